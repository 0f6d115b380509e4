/*
 * A save of what a name came by: its index, the manifests of the platforms that are here with their
 * compressed layers, and attestations. A layer that a push would compress anew is compressed anew
 * here; one whose bytes nobody can make again is an error, before anything is written.
 */
#include <errno.h>
#include <string.h>

#include "image/index.h"
#include "image/remote.h"
#include "image/save-priv.h"
#include "store/blobs.h"
#include "store/layer_blobs.h"

/* A document or another small blob, which is there. */
static int add_text(struct image_export *x, const struct oci_descriptor *d, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    lease_add(x->lease, d->digest);
    int r = blob_read(x->s, d->digest, &text, err);
    if (r < 0)
        return r;
    export_add_blob(x, &(struct export_blob){.digest = d->digest,
                                             .text = arena_strndup(&x->a, buf_str(&text), text.len),
                                             .size = text.len});
    return 0;
}

/* ---- layers ---- */

static int check_layer(struct image_export *x, const char *diff_id, const char *blob,
                       struct err *err)
{
    struct layer_blob known;

    lease_add(x->lease, diff_id);
    lease_add(x->lease, blob);
    if (strcmp(diff_id, blob) == 0)
        return 0;
    int r = layer_blob_get(x->s, blob, &x->a, &known, err);
    if (r >= 0 && (known.made || blob_exists(x->s, blob)))
        return 0;
    if (r < 0 && r != -ENOENT)
        return r;
    err_clear(err);
    return err_as(err, ERR_CONFLICT, ENODATA,
                  "layer %s is not kept as it came (%s): save the image without its documents",
                  diff_id, blob);
}

static int add_layers(struct image_export *x, const struct image_row *row,
                      const struct oci_manifest *man, struct strv *ret, struct err *err)
{
    int r = 0;

    if (man->layers.n != row->layers.n)
        return err_invalid(err, "manifest %s has other layers than its image", row->manifest);
    for (size_t i = 0; r >= 0 && i < row->layers.n; i++) {
        const struct oci_descriptor *d = man->layers.v[i];
        r = check_layer(x, row->layers.v[i], d->digest, err);
        export_add_blob(x, &(struct export_blob){.digest = d->digest,
                                                 .size = (uint64_t)d->size,
                                                 .diff_id = row->layers.v[i],
                                                 .media_type = d->media_type});
        strv_push(&x->a, ret, d->digest);
    }
    return r;
}

/* ---- documents ---- */

static int read_manifest(struct image_export *x, const char *digest, struct oci_descriptor *d,
                         struct oci_manifest *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct dist_manifest doc = {.media_type = ""};
    struct remote_manifest m;

    lease_add(x->lease, digest);
    int r = blob_read(x->s, digest, &text, err);
    if (r < 0)
        return r;
    doc.text = arena_strndup(&x->a, buf_str(&text), text.len);
    doc.len = text.len;
    r = remote_manifest_check(&doc, &x->a, &m, err);
    if (r < 0)
        return r;
    d->media_type = arena_strdup(&x->a, m.doc.media_type);
    d->digest = arena_strdup(&x->a, digest);
    d->size = (int64_t)text.len;
    *ret = m.man;
    return add_text(x, d, err);
}

/* @ret: blobs of its layers */
static int add_image(struct image_export *x, const struct image_row *row, struct oci_descriptor *d,
                     struct strv *ret, struct err *err)
{
    struct oci_manifest man = {0};
    int r = read_manifest(x, row->manifest, d, &man, err);

    lease_add(x->lease, row->id);
    if (r >= 0)
        r = add_text(x, man.config, err);
    return r < 0 ? r : add_layers(x, row, &man, ret, err);
}

static int add_artifact(struct image_export *x, const struct oci_descriptor *d, struct err *err)
{
    struct oci_manifest man = {0};
    struct dist_manifest doc;
    int r = 0;

    if (!index_artifact(x->s, d, x->lease, &x->a, &man, &doc))
        return 0; /* as little here as other platforms may be */
    if (man.config)
        r = add_text(x, man.config, err);
    for (size_t i = 0; r >= 0 && i < man.layers.n; i++)
        r = add_text(x, man.layers.v[i], err);
    return r < 0 ? r : add_text(x, d, err);
}

static int add_entry(struct image_export *x, struct export_image *img, const struct index_entry *e,
                     struct err *err)
{
    struct oci_descriptor own = {0};
    struct strv blobs = {0};

    if (!e->d || (index_entry_is_image(e) && !e->row))
        return 0;
    if (!e->row)
        return add_artifact(x, e->d, err);
    struct image_row row = *e->row;
    row.manifest = e->d->digest;
    int r = add_image(x, &row, &own, &blobs, err);
    if (strcmp(row.id, img->named.row.id) == 0)
        img->blobs = blobs;
    return r;
}

int export_original(struct image_export *x, struct export_image *img, struct err *err)
{
    const struct image_row *row = &img->named.row;
    struct image_index index = {0};
    bool whole = row->index && !x->o->want;

    if (!row->manifest)
        return 0;
    int r = whole ? image_index_read(x->s, row, &x->a, &index, err) : 0;
    if (r < 0)
        return r;
    if (!whole || !index.target || !str_eq(index.target->digest, row->index)) {
        r = add_image(x, row, &img->target, &img->blobs, err);
        return r < 0 ? r : 1;
    }
    for (size_t i = 0; r >= 0 && i < index.n; i++)
        r = add_entry(x, img, &index.v[i], err);
    img->target = *index.target;
    if (r >= 0)
        r = add_text(x, index.target, err);
    return r < 0 ? r : 1;
}
