#include "image/packed.h"

#include <errno.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/hash.h"
#include "image/layer.h"
#include "image/manifest.h"
#include "store/blobs.h"
#include "store/layer_blobs.h"
#include "store/layers.h"
#include "store/store.h"

#define CHUNK (256u << 10) /* as a push reads: what comes of it is the same */

static enum compression kind_of(const char *media_type)
{
    return str_ends(media_type, "gzip")   ? COMP_GZIP
           : str_ends(media_type, "zstd") ? COMP_ZSTD
                                          : COMP_NONE;
}

/* A blob that a push makes is gzip at the usual level; it is good for who wants that. */
static bool is_good(struct image_store *s, const struct layer_blob *b, const struct packing *how,
                    struct lease *lease)
{
    enum compression kind = kind_of(str_or(b->media_type, MEDIA_OCI_LAYER "+gzip"));

    if (how->force && (how->level || kind != how->kind))
        return false;
    lease_add(lease, b->blob); /* before looking, so that it stays */
    if (b->kept && blob_exists(s, b->blob))
        return true;
    return b->made && kind == how->kind && !how->level;
}

static int find(struct image_store *s, const char *diff_id, const struct packing *how,
                struct lease *lease, struct arena *a, struct oci_descriptor *ret, struct err *err)
{
    struct layer_blobs known = {0};
    const struct layer_blob *found = NULL;
    int r = layer_blobs_of(s, diff_id, a, &known, err);

    for (size_t i = 0; r >= 0 && i < known.n; i++) {
        const struct layer_blob *b = &known.v[i];
        if (strcmp(b->blob, diff_id) != 0 && (!found || (b->kept && !found->kept)) &&
            is_good(s, b, how, lease))
            found = b;
    }
    if (r < 0 || !found)
        return r < 0 ? r : 0;
    *ret = (struct oci_descriptor){
        .media_type = arena_strdup(a, str_or(found->media_type, MEDIA_OCI_LAYER "+gzip")),
        .digest = found->blob,
        .size = found->size};
    return 1;
}

/* ---- making it ---- */

struct packer {
    struct sha256 *hash;
    int64_t size;
    struct blob_writer *keep; /* NULL: only the digest is wanted */
    struct sink *out;         /* or somebody wants the bytes */
};

static int take(void *ctx, const void *p, size_t n, struct err *err)
{
    struct packer *k = ctx;

    sha256_add(k->hash, p, n);
    k->size += (int64_t)n;
    if (k->out)
        return sink_write(k->out, p, n, err);
    return k->keep ? blob_writer_add(k->keep, p, n, err) : 0;
}

static int copy(struct source *from, struct sink *to, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n;

    while ((n = source_next(from, &p, CHUNK, err)) > 0) {
        int r = sink_write(to, p, (size_t)n, err);
        if (r < 0)
            return r;
    }
    return (int)n;
}

static int pack_into(struct image_store *s, const char *diff_id, const struct packing *how,
                     struct sink *out, struct err *err)
{
    auto_source struct source *tar = NULL;
    int r = layer_tar(s, diff_id, &tar, err);

    if (r < 0)
        return r;
    auto_sink struct sink *top = sink_compress(out, how->kind, how->level);
    r = copy(tar, top, err);
    return r < 0 ? r : sink_compress_finish(top, err);
}

/* What only these options make must be kept; what a push makes anyway need not be. */
static bool must_keep(const struct packing *how)
{
    return how->kind != COMP_GZIP || how->level;
}

static int make(struct image_store *s, const char *diff_id, const struct packing *how,
                struct lease *lease, char digest[DIGEST_LEN + 1], struct layer_blob *b,
                struct err *err)
{
    auto_blob_writer struct blob_writer *keep = NULL;
    struct packer k = {0};
    int r = must_keep(how) ? blob_writer_new(s, &keep, err) : 0;

    if (r < 0)
        return r;
    k.keep = keep;
    k.hash = sha256_new();
    auto_sink struct sink *out = sink_cb(take, &k);
    r = pack_into(s, diff_id, how, out, err);
    sha256_digest(k.hash, digest);
    sha256_free(k.hash);
    if (r >= 0 && keep)
        r = blob_writer_finish(keep, digest, lease, NULL, err);
    if (r < 0)
        return r;
    *b = (struct layer_blob){.blob = digest, .size = k.size, .kept = keep, .made = !keep};
    return 0;
}

static int make_and_remember(struct image_store *s, const char *diff_id, const struct packing *how,
                             struct lease *lease, struct arena *a, struct oci_descriptor *ret,
                             struct err *err)
{
    char digest[DIGEST_LEN + 1];
    struct layer_blob b;
    int r = make(s, diff_id, how, lease, digest, &b, err);

    if (r < 0)
        return r;
    FAIL_POINT("image.packed.made", err);
    b.diff_id = arena_strdup(a, diff_id);
    b.media_type = arena_printf(a, "%s+%s", MEDIA_OCI_LAYER, compression_name(how->kind));
    r = layer_blob_set(s, &b, NULL, 0, err);
    *ret = (struct oci_descriptor){
        .media_type = b.media_type, .digest = arena_strdup(a, digest), .size = b.size};
    return r;
}

int layer_packed(struct image_store *s, const char *diff_id, const struct packing *how,
                 struct lease *lease, struct arena *a, struct oci_descriptor *ret, struct err *err)
{
    struct layer_row row;

    lease_add(lease, diff_id);
    int r = layer_get(s, diff_id, a, &row, err);
    if (r < 0)
        return r;
    if (how->kind == COMP_NONE && how->force) {
        *ret = (struct oci_descriptor){.media_type = arena_strdup(a, MEDIA_OCI_LAYER),
                                       .digest = row.diff_id,
                                       .size = row.tar_size};
        return 0;
    }
    r = find(s, diff_id, how, lease, a, ret, err);
    if (r == 0 && how->kind == COMP_NONE) {
        const struct packing plain = {.kind = COMP_NONE, .force = true};
        return layer_packed(s, diff_id, &plain, lease, a, ret, err);
    }
    if (r == 0)
        r = make_and_remember(s, diff_id, how, lease, a, ret, err);
    return r < 0 ? err_wrap(err, r, "compress layer %s", diff_id) : 0;
}

/* ---- its bytes ---- */

static int write_again(struct image_store *s, const char *diff_id, const char *digest,
                       struct sink *out, struct err *err)
{
    const struct packing usual = {.kind = COMP_GZIP};
    char made[DIGEST_LEN + 1];
    struct packer k = {.hash = sha256_new(), .out = out};
    auto_sink struct sink *tee = sink_cb(take, &k);
    int r = pack_into(s, diff_id, &usual, tee, err);

    sha256_digest(k.hash, made);
    sha256_free(k.hash);
    if (r < 0 || strcmp(made, digest) == 0)
        return r;
    return err_as(err, ERR_SYSTEM, EBADMSG, "layer %s compressed anew is %s, not %s", diff_id, made,
                  digest);
}

int layer_packed_write(struct image_store *s, const char *diff_id, const struct oci_descriptor *d,
                       struct sink *out, struct err *err)
{
    auto_source struct source *bytes = NULL;
    bool plain = strcmp(d->digest, diff_id) == 0;

    if (!plain && !blob_exists(s, d->digest))
        return write_again(s, diff_id, d->digest, out, err);
    int r =
        plain ? layer_tar(s, diff_id, &bytes, err) : layer_blob_source(s, d->digest, &bytes, err);
    return r < 0 ? r : copy(bytes, out, err);
}
