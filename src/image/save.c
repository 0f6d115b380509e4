/*
 * The archive in the order Docker writes it: blobs by digest, then index.json, manifest.json,
 * oci-layout, repositories. All documents and the sizes of all layers are known before the first
 * byte; layers are rebuilt as they are written. All times are zero, so that the same images give
 * the same bytes.
 */
#include "image/save.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/mem.h"
#include "image/layer.h"
#include "image/manifest.h"
#include "distribution/reference.h"
#include "image/store.h"
#include "store/blobs.h"
#include "store/layers.h"

struct export_image {
    struct image_row row;
    struct strv refs; /* full, with tag */
    struct oci_descriptor manifest;
    const struct oci_image *config;
};

/* A member of blobs/sha256: bytes in memory, or a layer. */
struct export_blob {
    char *digest;
    const char *text; /* NULL: a layer */
    uint64_t size;
};

struct image_export {
    struct image_store *s;
    struct lease *lease; /* what is being saved may be removed meanwhile */
    struct arena a;
    struct {
        struct export_image *v;
        size_t n;
    } images;
    struct {
        struct export_blob *v;
        size_t n;
    } blobs;
};

/* ---- which images ---- */

static struct export_image *add_image(struct image_export *x, const struct image_row *row)
{
    for (size_t i = 0; i < x->images.n; i++)
        if (strcmp(x->images.v[i].row.id, row->id) == 0)
            return &x->images.v[i];
    arena_push(&x->a, x->images) = (struct export_image){.row = *row};
    return &x->images.v[x->images.n - 1];
}

static void add_ref(struct image_export *x, struct export_image *img, const char *ref)
{
    if (!strv_has(&img->refs, ref))
        strv_push(&x->a, &img->refs, ref);
}

/* All tags of a repository. Return: how many. */
static int add_repository(struct image_export *x, const struct reference *ref, struct err *err)
{
    char prefix[REF_TEXT_MAX + 1];
    struct image_rows rows;
    int n = 0;
    int r = image_rows_all(x->s, &x->a, &rows, err);

    if (r < 0)
        return r;
    (void)snprintf(prefix, sizeof(prefix), "%s:", ref->name);
    for (size_t i = 0; i < rows.n; i++) {
        for (size_t j = 0; j < rows.v[i].tags.n; j++) {
            if (!str_starts(rows.v[i].tags.v[j], prefix))
                continue;
            add_ref(x, add_image(x, &rows.v[i]), rows.v[i].tags.v[j]);
            n++;
        }
    }
    return n;
}

static int add_name(struct image_export *x, const char *name, struct err *err)
{
    char full[REF_TEXT_MAX + 1];
    struct image_row row;
    struct reference ref;
    int r = 0;

    if (!reference_is_id(name) && !str_starts(name, "sha256:")) {
        r = reference_parse(name, &ref, err);
        if (r < 0)
            return r;
        if (!ref.tag[0] && !ref.digest[0] && (r = add_repository(x, &ref, err)) != 0)
            return r < 0 ? r : 0;
        if (ref.tag[0] && !ref.digest[0]) {
            r = image_by_tag(x->s, reference_text(&ref, full), &x->a, &row, err);
            if (r == -ENOENT)
                return err_not_found(err, "reference does not exist: %s", name);
            if (r >= 0)
                add_ref(x, add_image(x, &row), full);
            return r;
        }
    }
    r = image_resolve(x->s, name, &x->a, &row, err);
    if (r >= 0)
        (void)add_image(x, &row);
    return r;
}

/* ---- what is in them ---- */

static void add_blob(struct image_export *x, const char *digest, const char *text, uint64_t size)
{
    for (size_t i = 0; i < x->blobs.n; i++)
        if (strcmp(x->blobs.v[i].digest, digest) == 0)
            return;
    arena_push(&x->a, x->blobs) = (struct export_blob){arena_strdup(&x->a, digest), text, size};
}

/* Everything is leased first and looked for afterwards, so it stays until the end. */
static int add_layers(struct image_export *x, const struct image_row *row, struct oci_manifest *man,
                      struct err *err)
{
    for (size_t i = 0; i < row->layers.n; i++) {
        struct layer_row layer;
        lease_add(x->lease, row->layers.v[i]);
        int r = layer_get(x->s, row->layers.v[i], &x->a, &layer, err);
        if (r < 0)
            return r;
        struct oci_descriptor *d = arena_new(&x->a, struct oci_descriptor);
        d->media_type = arena_strdup(&x->a, MEDIA_OCI_LAYER);
        d->digest = layer.diff_id;
        d->size = layer.tar_size;
        arena_push(&x->a, man->layers) = d;
        add_blob(x, layer.diff_id, NULL, (uint64_t)layer.tar_size);
    }
    return 0;
}

static int add_documents(struct image_export *x, struct export_image *img, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char digest[DIGEST_LEN + 1];
    struct oci_manifest man = {.schema_version = 2,
                               .media_type = arena_strdup(&x->a, MEDIA_OCI_MANIFEST)};
    struct oci_image *config = NULL;
    struct json_raw raw;

    lease_add(x->lease, img->row.id);
    int r = image_config_read(x->s, img->row.id, &x->a, &config, &raw, err);
    if (r < 0)
        return r;
    img->config = config;
    man.config = arena_new(&x->a, struct oci_descriptor);
    *man.config = (struct oci_descriptor){.media_type = arena_strdup(&x->a, MEDIA_OCI_CONFIG),
                                          .digest = img->row.id,
                                          .size = (int64_t)raw.len};
    add_blob(x, img->row.id, raw.text, raw.len);
    r = add_layers(x, &img->row, &man, err);
    if (r < 0)
        return r;
    json_encode(&oci_manifest_type, &man, &text);
    sha256_of(text.data, text.len, digest);
    img->manifest = (struct oci_descriptor){.media_type = man.media_type,
                                            .digest = arena_strdup(&x->a, digest),
                                            .size = (int64_t)text.len};
    add_blob(x, digest, arena_strndup(&x->a, text.data, text.len), text.len);
    return 0;
}

static int by_digest(const void *a, const void *b)
{
    return strcmp(((const struct export_blob *)a)->digest, ((const struct export_blob *)b)->digest);
}

int image_export_new(struct image_store *s, const struct strv *names, struct image_export **ret,
                     struct err *err)
{
    auto_image_export struct image_export *x = xnew(struct image_export);
    int r = 0;

    x->s = s;
    x->lease = lease_new(s);
    for (size_t i = 0; r >= 0 && i < names->n; i++)
        r = add_name(x, names->v[i], err);
    for (size_t i = 0; r >= 0 && i < x->images.n; i++)
        r = add_documents(x, &x->images.v[i], err);
    if (r < 0)
        return r;
    if (x->blobs.n)
        qsort(x->blobs.v, x->blobs.n, sizeof(*x->blobs.v), by_digest);
    *ret = take_ptr(&x);
    return 0;
}

void image_export_free(struct image_export *x)
{
    if (!x)
        return;
    lease_free(x->lease);
    arena_done(&x->a);
    free(x);
}

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
            *d = img->manifest;
            d->platform = arena_new(&x->a, struct oci_platform);
            *d->platform = oci_image_platform(img->config);
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

static void put_source(struct json_w *w, const struct layer_row *layer)
{
    json_w_key(w, layer->diff_id);
    json_w_obj(w);
    json_w_key(w, "mediaType");
    json_w_str(w, MEDIA_OCI_LAYER);
    json_w_key(w, "size");
    json_w_i64(w, layer->tar_size);
    json_w_key(w, "digest");
    json_w_str(w, layer->diff_id);
    json_w_end_obj(w);
}

static void put_blob_path(struct json_w *w, const char *digest)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
    json_w_str(w, path);
}

static uint64_t blob_size(const struct image_export *x, const char *digest)
{
    for (size_t i = 0; i < x->blobs.n; i++)
        if (strcmp(x->blobs.v[i].digest, digest) == 0)
            return x->blobs.v[i].size;
    return 0;
}

static void put_archive_image(struct image_export *x, const struct export_image *img,
                              struct json_w *w)
{
    char name[REF_TEXT_MAX + 1];
    struct reference ref;

    json_w_obj(w);
    json_w_key(w, "Config");
    put_blob_path(w, img->row.id);
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
    for (size_t i = 0; i < img->row.layers.n; i++)
        put_blob_path(w, img->row.layers.v[i]);
    json_w_end_arr(w);
    json_w_key(w, "LayerSources");
    json_w_obj(w);
    for (size_t i = 0; i < img->row.layers.n; i++) {
        char *diff_id = img->row.layers.v[i];
        put_source(
            w, &(struct layer_row){.diff_id = diff_id, .tar_size = (int64_t)blob_size(x, diff_id)});
    }
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
        const struct image_row *row = &x->images.v[i].row;
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

static int write_layer(struct image_export *x, struct tar_writer *w, const char *name,
                       const struct export_blob *b, struct err *err)
{
    auto_source struct source *tar = NULL;
    const uint8_t *p = NULL;
    ssize_t n = 0;
    int r = layer_tar(x->s, b->digest, &tar, err);

    if (r >= 0)
        r = write_header(w, name, TAR_FILE, b->size, err);
    while (r >= 0 && (n = source_next(tar, &p, SIZE_MAX / 2, err)) > 0)
        r = tar_write_data(w, p, (size_t)n, err);
    return r < 0 ? r : (int)n;
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
