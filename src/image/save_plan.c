/*
 * What is to be saved: which images, by which names, and all documents about them. Of a name that
 * stands for several platforms all that are here are saved, tied together by an index that is made
 * anew, since the manifests are: they name plain tars.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "distribution/reference.h"
#include "image/document.h"
#include "image/index.h"
#include "image/save-priv.h"
#include "store/blobs.h"
#include "store/layers.h"

/* ---- which images ---- */

static int add_platforms(struct image_export *x, struct export_image *img, struct err *err)
{
    struct image_index index;
    int r = image_index_read(x->s, &img->named.row, &x->a, &index, err);

    for (size_t i = 0; r >= 0 && i < index.n; i++) {
        const struct index_entry *e = &index.v[i];
        if (!e->row || !index_entry_is_image(e))
            continue;
        arena_push(&x->a, img->platforms) =
            (struct export_platform){.row = *e->row, .manifest.platform = e->platform};
    }
    if (img->platforms.n > 1)
        img->index = img->named.row.index;
    else
        img->platforms.n = 0;
    return r;
}

/* @row: as a name found it, with its index; without: only this image. */
static int add_image(struct image_export *x, const char *name, const struct image_row *row,
                     struct export_image **ret, struct err *err)
{
    struct export_image img = {.named.row = *row};
    int r = image_for_platform(x->s, name, x->o->want, &x->a, &img.named.row, err);

    if (r >= 0 && img.named.row.index)
        r = add_platforms(x, &img, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < x->images.n; i++) {
        *ret = &x->images.v[i];
        if (strcmp((*ret)->named.row.id, img.named.row.id) == 0 && str_eq((*ret)->index, img.index))
            return 0;
    }
    arena_push(&x->a, x->images) = img;
    *ret = &x->images.v[x->images.n - 1];
    return 0;
}

static int add_ref(struct image_export *x, const char *name, const struct image_row *row,
                   const char *ref, struct err *err)
{
    struct export_image *img = NULL;
    int r = add_image(x, name, row, &img, err);

    if (r >= 0 && !strv_has(&img->refs, ref))
        strv_push(&x->a, &img->refs, ref);
    return r;
}

/* All tags of a repository. Return: how many. */
static int add_repository(struct image_export *x, const char *name, const struct reference *ref,
                          struct err *err)
{
    char prefix[REF_TEXT_MAX + 1];
    struct image_rows rows;
    int n = 0;
    int r = image_rows_all(x->s, &x->a, &rows, err);

    (void)snprintf(prefix, sizeof(prefix), "%s:", ref->name);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        for (size_t j = 0; r >= 0 && j < rows.v[i].tags.n; j++) {
            const char *tag = rows.v[i].tags.v[j];
            struct image_row row;
            if (!str_starts(tag, prefix))
                continue;
            r = image_by_tag(x->s, tag, &x->a, &row, err);
            if (r >= 0)
                r = add_ref(x, name, &row, tag, err);
            n++;
        }
    }
    return r < 0 ? r : n;
}

/* The index itself was asked for, not one of its images. */
static bool is_digest_of(const struct image_row *row, const char *name)
{
    const char *hex = str_starts(name, "sha256:");

    return row->index && strcmp(row->index + strlen("sha256:"), hex ? hex : name) == 0;
}

static int add_name(struct image_export *x, const char *name, struct err *err)
{
    char full[REF_TEXT_MAX + 1];
    struct image_row row;
    struct reference ref = {0};
    struct export_image *img = NULL;
    bool is_id = reference_is_id(name) || str_starts(name, "sha256:");
    int r = is_id ? 0 : reference_parse(name, &ref, err);

    if (r < 0)
        return r;
    if (!is_id && !ref.tag[0] && !ref.digest[0] && (r = add_repository(x, name, &ref, err)) != 0)
        return r < 0 ? r : 0;
    if (ref.tag[0] && !ref.digest[0]) {
        r = image_by_tag(x->s, reference_text(&ref, full), &x->a, &row, err);
        if (r == -ENOENT)
            return err_not_found(err, "reference does not exist: %s", name);
        return r < 0 ? r : add_ref(x, name, &row, full, err);
    }
    r = image_resolve(x->s, name, &x->a, &row, err);
    if (r < 0)
        return r;
    if (!ref.digest[0] && !x->o->want && !is_digest_of(&row, name))
        row.index = NULL; /* an id is of one image, whatever names it has */
    return add_image(x, name, &row, &img, err);
}

/* ---- what is in them ---- */

void export_add_blob(struct image_export *x, const struct export_blob *b)
{
    for (size_t i = 0; i < x->blobs.n; i++)
        if (strcmp(x->blobs.v[i].digest, b->digest) == 0)
            return;
    arena_push(&x->a, x->blobs) = *b;
}

static void add_blob(struct image_export *x, const char *digest, const char *text, uint64_t size)
{
    export_add_blob(x, &(struct export_blob){
                           .digest = arena_strdup(&x->a, digest), .text = text, .size = size});
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

/* A manifest or an index: its text becomes a blob. */
static void add_document(struct image_export *x, const struct oci_manifest *man,
                         struct oci_descriptor *ret)
{
    struct document doc;

    document_make(man, &x->a, &doc);
    ret->media_type = doc.d.media_type;
    ret->digest = doc.d.digest;
    ret->size = doc.d.size;
    add_blob(x, doc.d.digest, doc.text, (uint64_t)doc.d.size);
}

static int add_documents(struct image_export *x, struct export_platform *p, struct err *err)
{
    struct oci_manifest man = {.schema_version = 2,
                               .media_type = arena_strdup(&x->a, MEDIA_OCI_MANIFEST)};
    struct oci_image *config = NULL;
    struct json_raw raw;

    lease_add(x->lease, p->row.id);
    int r = image_config_read(x->s, p->row.id, &x->a, &config, &raw, err);
    if (r < 0)
        return r;
    if (!p->manifest.platform) {
        p->manifest.platform = arena_new(&x->a, struct oci_platform);
        *p->manifest.platform = oci_image_platform(config);
    }
    man.config = arena_new(&x->a, struct oci_descriptor);
    *man.config = (struct oci_descriptor){.media_type = arena_strdup(&x->a, MEDIA_OCI_CONFIG),
                                          .digest = p->row.id,
                                          .size = (int64_t)raw.len};
    add_blob(x, p->row.id, raw.text, raw.len);
    r = add_layers(x, &p->row, &man, err);
    if (r >= 0)
        add_document(x, &man, &p->manifest);
    return r;
}

static int add_target(struct image_export *x, struct export_image *img, struct err *err)
{
    struct oci_manifest index = {.schema_version = 2,
                                 .media_type = arena_strdup(&x->a, MEDIA_OCI_INDEX)};
    int r = x->o->original ? export_original(x, img, err) : 0;

    if (r != 0)
        return r < 0 ? r : 0;
    r = add_documents(x, &img->named, err);
    img->target = img->named.manifest;
    for (size_t i = 0; r >= 0 && i < img->platforms.n; i++) {
        r = add_documents(x, &img->platforms.v[i], err);
        arena_push(&x->a, index.manifests) = &img->platforms.v[i].manifest;
    }
    if (r < 0 || img->platforms.n == 0)
        return r;
    img->target = (struct oci_descriptor){0};
    add_document(x, &index, &img->target);
    return 0;
}

static int by_digest(const void *a, const void *b)
{
    return strcmp(((const struct export_blob *)a)->digest, ((const struct export_blob *)b)->digest);
}

int image_export_new(struct image_store *s, const struct strv *names, const struct save_options *o,
                     struct image_export **ret, struct err *err)
{
    static const struct save_options usual = {0};
    auto_image_export struct image_export *x = xnew(struct image_export);
    int r = 0;

    x->s = s;
    x->o = o ? o : &usual;
    x->lease = lease_new(s);
    for (size_t i = 0; r >= 0 && i < names->n; i++)
        r = add_name(x, names->v[i], err);
    for (size_t i = 0; r >= 0 && i < x->images.n; i++)
        r = add_target(x, &x->images.v[i], err);
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
