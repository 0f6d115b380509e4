/*
 * The archive in the order Docker writes it: blobs by digest, then index.json, manifest.json,
 * oci-layout, repositories. All documents and the sizes of all layers are known before the first
 * byte (save_plan.c); layers are rebuilt as they are written. All times are zero, so that the same
 * images give the same bytes.
 */
#include "image/save.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/tar.h"
#include "distribution/reference.h"
#include "image/packed.h"
#include "image/save-priv.h"

/* ---- the documents at the top ---- */

static char *tag_of(const char *ref)
{
    return strrchr(ref, ':') + 1; /* refs here always have one */
}

static void put_index(struct image_export *x, struct buf *out)
{
    struct oci_manifest index = {.schema_version = 2,
                                 .media_type = arena_strdup(&x->a, MEDIA_OCI_INDEX)};

    for (size_t i = 0; i < x->images.n; i++) {
        const struct export_image *img = &x->images.v[i];
        for (size_t j = 0; j < img->refs.n || (j == 0 && img->refs.n == 0); j++) {
            struct oci_descriptor *d = arena_new(&x->a, struct oci_descriptor);
            *d = img->target;
            if (img->refs.n) {
                strmap_set(&x->a, &d->annotations, "io.containerd.image.name", img->refs.v[j]);
                strmap_set(&x->a, &d->annotations, "org.opencontainers.image.ref.name",
                           tag_of(img->refs.v[j]));
            }
            arena_push(&x->a, index.manifests) = d;
        }
    }
    json_encode(&oci_manifest_type, &index, out);
}

static const struct export_blob *find_blob(const struct image_export *x, const char *digest)
{
    for (size_t i = 0; i < x->blobs.n; i++)
        if (strcmp(x->blobs.v[i].digest, digest) == 0)
            return &x->blobs.v[i];
    return NULL;
}

static void put_source(struct json_w *w, const char *diff_id, const struct export_blob *b)
{
    json_w_key(w, diff_id);
    json_w_obj(w);
    json_w_key(w, "mediaType");
    json_w_str(w, str_or(b->media_type, MEDIA_OCI_LAYER));
    json_w_key(w, "size");
    json_w_u64(w, b->size);
    json_w_key(w, "digest");
    json_w_str(w, b->digest);
    json_w_end_obj(w);
}

static void put_blob_path(struct json_w *w, const char *digest)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
    json_w_str(w, path);
}

static void put_archive_image(struct image_export *x, const struct export_image *img,
                              struct json_w *w)
{
    const struct strv *layers = img->blobs.n ? &img->blobs : &img->named.row.layers;
    char name[REF_TEXT_MAX + 1];
    struct reference ref;

    json_w_obj(w);
    json_w_key(w, "Config");
    put_blob_path(w, img->named.row.id);
    json_w_key(w, "RepoTags");
    if (img->refs.n == 0)
        json_w_null(w);
    else
        json_w_arr(w);
    for (size_t i = 0; i < img->refs.n; i++)
        if (reference_parse(img->refs.v[i], &ref, NULL) >= 0)
            json_w_str(w, reference_familiar(&ref, name));
    if (img->refs.n)
        json_w_end_arr(w);
    json_w_key(w, "Layers");
    json_w_arr(w);
    for (size_t i = 0; i < layers->n; i++)
        put_blob_path(w, layers->v[i]);
    json_w_end_arr(w);
    json_w_key(w, "LayerSources");
    json_w_obj(w);
    for (size_t i = 0; i < layers->n; i++)
        put_source(w, img->named.row.layers.v[i], find_blob(x, layers->v[i]));
    json_w_end_obj(w);
    json_w_end_obj(w);
}

static void put_manifest(struct image_export *x, struct buf *out)
{
    struct json_w w = {.out = out};

    json_w_arr(&w);
    for (size_t i = 0; i < x->images.n; i++)
        put_archive_image(x, &x->images.v[i], &w);
    json_w_end_arr(&w);
    buf_putc(out, '\n');
}

/* {"busybox": {"latest": "<topmost layer>"}}: what clients older than manifest.json read. */
static void put_repositories(struct image_export *x, struct buf *out)
{
    char name[REF_TEXT_MAX + 1], last[REF_TEXT_MAX + 1] = "";
    struct json_w w = {.out = out};
    struct reference ref;

    json_w_obj(&w);
    for (size_t i = 0; i < x->images.n; i++) {
        const struct image_row *row = &x->images.v[i].named.row;
        for (size_t j = 0; j < x->images.v[i].refs.n; j++) {
            if (row->layers.n == 0 || reference_parse(x->images.v[i].refs.v[j], &ref, NULL) < 0)
                continue;
            reference_familiar_name(&ref, name);
            if (strcmp(name, last) != 0) {
                if (last[0])
                    json_w_end_obj(&w);
                json_w_key(&w, name);
                json_w_obj(&w);
                memcpy(last, name, sizeof(last));
            }
            json_w_key(&w, ref.tag);
            json_w_str(&w, row->layers.v[row->layers.n - 1] + 7);
        }
    }
    if (last[0])
        json_w_end_obj(&w);
    json_w_end_obj(&w);
    buf_putc(out, '\n');
}

/* ---- writing ---- */

static int write_header(struct tar_writer *w, const char *name, enum tar_type type, uint64_t size,
                        struct err *err)
{
    struct tar_entry e = {.name = (char *)(uintptr_t)name,
                          .type = type,
                          .mode = type == TAR_DIR ? 0755 : 0644,
                          .size = size};

    return tar_write_entry(w, &e, err);
}

static int write_text(struct tar_writer *w, const char *name, const void *p, size_t n,
                      struct err *err)
{
    int r = write_header(w, name, TAR_FILE, n, err);

    return r < 0 ? r : tar_write_data(w, p, n, err);
}

static int put_data(void *ctx, const void *p, size_t n, struct err *err)
{
    return tar_write_data(ctx, p, n, err);
}

static int write_layer(struct image_export *x, struct tar_writer *w, const char *name,
                       const struct export_blob *b, struct err *err)
{
    const struct oci_descriptor d = {.digest = b->digest};
    auto_sink struct sink *out = sink_cb(put_data, w);
    int r = write_header(w, name, TAR_FILE, b->size, err);

    return r < 0 ? r : layer_packed_write(x->s, str_or(b->diff_id, b->digest), &d, out, err);
}

static int write_blobs(struct image_export *x, struct tar_writer *w, struct err *err)
{
    char name[128];
    int r = write_header(w, "blobs/", TAR_DIR, 0, err);

    if (r >= 0)
        r = write_header(w, "blobs/sha256/", TAR_DIR, 0, err);
    for (size_t i = 0; r >= 0 && i < x->blobs.n; i++) {
        const struct export_blob *b = &x->blobs.v[i];
        (void)snprintf(name, sizeof(name), "blobs/sha256/%s", b->digest + 7);
        r = b->text ? write_text(w, name, b->text, b->size, err) : write_layer(x, w, name, b, err);
    }
    return r;
}

static void put_layout(struct image_export *x, struct buf *out)
{
    (void)x;
    buf_puts(out, "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static const struct {
    const char *name;
    void (*put)(struct image_export *x, struct buf *out);
} documents[] = {
    {"index.json", put_index},
    {"manifest.json", put_manifest},
    {"oci-layout", put_layout},
    {"repositories", put_repositories},
};

static bool any_ref(const struct image_export *x)
{
    for (size_t i = 0; i < x->images.n; i++)
        if (x->images.v[i].refs.n)
            return true;
    return false;
}

int image_export_write(struct image_export *x, struct sink *out, struct err *err)
{
    auto_tar_writer struct tar_writer *w = tar_writer_new(out);
    int r = write_blobs(x, w, err);

    for (size_t i = 0; r >= 0 && i < sizeof(documents) / sizeof(documents[0]); i++) {
        auto_buf struct buf text = BUF_INIT;
        if (documents[i].put == put_repositories && !any_ref(x))
            continue;
        documents[i].put(x, &text);
        r = write_text(w, documents[i].name, text.data, text.len, err);
    }
    return r < 0 ? r : tar_write_end(w, err);
}
