/*
 * Loading reads the archive once. What a member is, is told by its first bytes, since manifest.json
 * may come last: a layer (a tar, compressed or not) is unpacked into the store at once; anything
 * else that is small is kept in memory. When the archive has ended, the manifests say which layers
 * belong to which image (load_plan.c), and all images are made in one transaction.
 *
 * A member that looks like a layer and is none is an error only if an image wants it.
 */
#include "image/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/compress.h"
#include "archive/tar.h"
#include "base/failpoint.h"
#include "base/map.h"
#include "base/mem.h"
#include "image/layer.h"
#include "image/load-priv.h"
#include "distribution/reference.h"
#include "image/store.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/layer_blobs.h"
#include "store/layers.h"

#define TAR_FAILED "Error processing tar file(exit status 1)" /* Docker's words */
#define MEMBERS_MAX 100000
#define SMALL_TOTAL_MAX (64u << 20)
#define NAME_COPIES 4             /* of a member's name, and its parts */
#define REPORT_EVERY (512u << 10) /* bytes between two calls of progress() */

/* ---- members ---- */

/* "./a//b" -> "a/b". Names that lead out match nothing; nothing is ever written by such a name. */
static const char *member_name(struct arena *a, const char *name)
{
    struct strv parts = str_split(a, name, '/');
    size_t n = 0;

    for (size_t i = 0; i < parts.n; i++)
        if (*parts.v[i] && strcmp(parts.v[i], ".") != 0)
            parts.v[n++] = parts.v[i];
    parts.n = n;
    return n ? strv_join(a, &parts, "/") : "";
}

/* The digest in "blobs/sha256/<hex>", or NULL. */
static char *digest_of_name(struct arena *a, const char *name)
{
    const char *hex = str_starts(name, "blobs/sha256/");
    char *digest = hex ? arena_printf(a, "sha256:%s", hex) : NULL;

    return digest && digest_valid(digest) ? digest : NULL;
}

static struct member *add_member(struct loader *l, const char *name)
{
    struct member *m = arena_new(l->a, struct member);

    (void)map_set(l->members, member_name(l->a, name), m);
    return m;
}

/* ---- progress ---- */

struct counted {
    struct source base;
    struct source *below;
    const struct load_options *opts;
    const char *layer;
    uint64_t done, told, total;
};

static void count(struct counted *c, ssize_t n)
{
    c->done += n > 0 ? (uint64_t)n : 0;
    if (c->done - c->told < REPORT_EVERY && c->done < c->total)
        return;
    c->told = c->done;
    c->opts->progress(c->opts->ctx, c->layer, c->done, c->total);
}

static ssize_t counted_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct counted *c = (struct counted *)s;
    ssize_t n = source_next(c->below, ret, max, err);

    if (n > 0)
        count(c, n);
    return n;
}

static ssize_t counted_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct counted *c = (struct counted *)s;
    ssize_t got = source_read(c->below, p, n < REPORT_EVERY ? n : REPORT_EVERY, err);

    if (got > 0)
        count(c, got);
    return got;
}

/* Lives in the caller; nothing to free. */
static struct source *counted_init(struct counted *c, struct loader *l, struct source *below,
                                   const char *name, uint64_t total)
{
    const char *hex = str_starts(name, "blobs/sha256/");

    if (!l->opts || !l->opts->progress)
        return below;
    *c = (struct counted){
        .base = {.next = counted_next, .read = counted_read},
        .below = below,
        .opts = l->opts,
        .layer = arena_strndup(l->a, hex ? hex : name, 12),
        .total = total,
    };
    return &c->base;
}

/* ---- reading ---- */

/* A plain layer that the store has: its digest is its name, so hashing it proves it. */
static int verify_known(struct loader *l, struct source *s, const char *digest, struct member *m,
                        struct err *err)
{
    struct pump *pump = pump_new(s, true);
    auto_source struct source *top = pump_source(pump);
    int r = source_drain(top, err);

    if (r >= 0)
        r = pump_digest(pump, m->layer.diff_id, &m->layer.tar_size, err);
    if (r < 0)
        return r;
    if (strcmp(m->layer.diff_id, digest) != 0)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s has the digest %s", digest,
                      m->layer.diff_id);
    memcpy(m->layer.blob, m->layer.diff_id, sizeof(m->layer.blob));
    m->layer.blob_size = m->layer.tar_size;
    lease_add(l->lease, digest);
    return 0;
}

static int keep(void *ctx, const void *p, size_t n, struct err *err)
{
    return blob_writer_add(ctx, p, n, err);
}

/* Under the digest that it has, not under that of its name: whether both agree matters only if an
 * image wants it. */
static int unpack_and_keep(struct loader *l, struct source *s, struct member *m, struct err *err)
{
    auto_blob_writer struct blob_writer *w = NULL;
    int r = blob_writer_new(l->s, &w, err);

    if (r < 0)
        return r;
    auto_sink struct sink *tee = sink_cb(keep, w);
    r = layer_unpack(l->s, s, &(struct layer_wish){.tee = tee}, l->lease, &m->layer, err);
    if (r < 0)
        return r;
    m->layer.blob_size = blob_writer_size(w);
    return blob_writer_finish(w, NULL, l->lease, m->layer.blob, err);
}

static int read_layer(struct loader *l, struct source *s, const struct tar_entry *e,
                      enum compression c, struct member *m, struct err *err)
{
    struct counted counted;
    const char *name = member_name(l->a, e->name);
    char *digest = digest_of_name(l->a, name);
    struct source *top = counted_init(&counted, l, s, name, e->size);
    int r = 0;

    m->kind = MEMBER_LAYER;
    if (digest)
        lease_add(l->lease, digest); /* before looking, so that it stays */
    if (digest && c == COMP_NONE && layer_exists(l->s, digest))
        r = verify_known(l, top, digest, m, err);
    else if (digest && c != COMP_NONE && image_store_keeps_blobs(l->s))
        r = unpack_and_keep(l, top, m, err);
    else
        r = layer_unpack(l->s, top, &(struct layer_wish){.blob = digest != NULL}, l->lease,
                         &m->layer, err);
    return r < 0 ? r : 0;
}

/* Everything that is kept in memory counts. */
static int count_small(struct loader *l, uint64_t n, struct err *err)
{
    l->small += n;
    return l->small <= SMALL_TOTAL_MAX
               ? 0
               : err_as(err, ERR_INVALID, E2BIG, "the archive's documents are larger than %u bytes",
                        SMALL_TOTAL_MAX);
}

static int read_small(struct loader *l, struct source *s, const struct tar_entry *e,
                      struct member *m, struct err *err)
{
    int r = count_small(l, e->size, err);

    if (r < 0)
        return r;
    m->kind = MEMBER_TEXT;
    m->len = e->size;
    m->text = arena_alloc(l->a, e->size + 1);
    ssize_t n = source_read(s, m->text, e->size, err);
    if (n < 0)
        return err_wrap(err, (int)n, TAR_FAILED);
    return (uint64_t)n == e->size
               ? 0
               : err_as(err, ERR_INVALID, EBADMSG, TAR_FAILED ": unexpected EOF");
}

/* An error of the content is kept with the member; one of the archive or the disk ends the load. */
static int read_content(struct loader *l, struct tar_reader *tar, const struct tar_entry *e,
                        struct member *m, struct err *err)
{
    const uint8_t *head = NULL;
    size_t n = 0;
    auto_source struct source *s = NULL;
    int r = source_peek(tar_entry_source(tar), TAR_BLOCK, &head, &n, &s, err);
    if (r < 0)
        return err_wrap(err, r, TAR_FAILED);
    enum compression c = compression_detect(head, n);
    if (c != COMP_NONE || (n == TAR_BLOCK && tar_header_valid(head))) {
        struct err why = {0};
        r = read_layer(l, s, e, c, m, &why);
        if (r < 0 && why.kind == ERR_INVALID && c != COMP_NONE) {
            m->kind = MEMBER_BROKEN;
            m->why = arena_strdup(l->a, why.msg);
            return 0;
        }
        if (r < 0 && err)
            *err = why;
        return r;
    }
    if (e->size <= BLOB_SMALL_MAX)
        return read_small(l, s, e, m, err);
    m->kind = MEMBER_BROKEN; /* large, and no layer: nothing an image could want */
    m->why = "not a layer";
    return 0;
}

static int read_member(struct loader *l, struct tar_reader *tar, const struct tar_entry *e,
                       struct err *err)
{
    if (map_count(l->members) >= MEMBERS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "the archive has more than %d members", MEMBERS_MAX);
    int r = count_small(l, NAME_COPIES * strlen(e->name) + strlen(e->link), err);
    if (r < 0)
        return r;
    if (e->type == TAR_SYMLINK || e->type == TAR_HARDLINK) {
        struct member *m = add_member(l, e->name);
        m->kind = e->type == TAR_SYMLINK ? MEMBER_SYMLINK : MEMBER_HARDLINK;
        m->text = arena_strdup(l->a, e->link);
        return 0;
    }
    return e->type == TAR_FILE ? read_content(l, tar, e, add_member(l, e->name), err) : 0;
}

static int read_archive(struct loader *l, struct source *body, struct err *err)
{
    auto_source struct source *plain = NULL;
    int r = source_auto(body, NULL, &plain, err);
    if (r < 0)
        return err_wrap(err, r, TAR_FAILED);
    auto_tar_reader struct tar_reader *tar = tar_reader_new(plain, NULL, NULL);
    const struct tar_entry *e = NULL;

    while ((r = tar_next(tar, &e, err)) > 0) {
        r = read_member(l, tar, e, err);
        if (r < 0)
            return r; /* says already what it was doing */
    }
    return r < 0 ? err_wrap(err, r, TAR_FAILED) : 0;
}

/* ---- making the images ---- */

static int tag_all(struct loader *l, const struct planned_image *p, struct loaded_image *out,
                   struct err *err)
{
    char name[REF_TEXT_MAX + 1], old[DIGEST_LEN + 1];

    for (size_t i = 0; i < p->refs.n; i++) {
        struct reference ref;
        int r = reference_parse(p->refs.v[i], &ref, err);
        if (r < 0)
            return r;
        if (!ref.tag[0])
            return err_invalid(err, "invalid tag \"%s\"", p->refs.v[i]);
        ref.digest[0] = '\0';
        r = image_tag_set(l->s, reference_text(&ref, name), out->id, old, err);
        if (r < 0)
            return r;
        reference_familiar(&ref, name);
        strv_push(l->a, &out->refs, name);
        if (old[0])
            arena_push(l->a, out->moved) =
                (struct strpair){arena_strdup(l->a, name), arena_strdup(l->a, old)};
    }
    return 0;
}

/* By which manifest the image and its names came, and which kept blobs are its layers. */
static int record_origin(struct loader *l, const struct planned_image *p,
                         const struct loaded_image *out, struct err *err)
{
    char digest[DIGEST_LEN + 1], index[DIGEST_LEN + 1], name[REF_TEXT_MAX + 1];
    struct strv blobs = {0}, parts = {0};
    struct reference ref;
    int r = 0;

    sha256_of(p->manifest->text, p->manifest->len, digest);
    if (p->index)
        sha256_of(p->index->text, p->index->len, index);
    for (size_t i = 0; r >= 0 && i < p->man.layers.n; i++) {
        const struct oci_descriptor *d = p->man.layers.v[i];
        struct layer_blob b = {.blob = d->digest,
                               .diff_id = p->diff_ids.v[i],
                               .media_type = d->media_type,
                               .size = d->size,
                               .kept = blob_exists(l->s, d->digest)};
        strv_push(l->a, &blobs, d->digest);
        r = layer_blob_set(l->s, &b, NULL, 0, err);
    }
    if (r >= 0)
        r = image_manifest_set(l->s, out->id, digest, err);
    if (r >= 0)
        r = manifest_blobs_set(l->s, digest, &blobs, err);
    strv_push(l->a, &parts, digest);
    if (r >= 0 && p->index)
        r = index_parts_set(l->s, index, &parts, err);
    for (size_t i = 0; r >= 0 && i < out->refs.n; i++) {
        r = reference_parse(out->refs.v[i], &ref, err);
        if (r >= 0)
            r = image_name_origin_set(l->s, reference_text(&ref, name), digest,
                                      p->index ? index : NULL, err);
    }
    return r;
}

static int make_image(struct loader *l, const struct planned_image *p, struct load_result *res,
                      struct err *err)
{
    char id[DIGEST_LEN + 1];
    struct loaded_image out = {0};
    int r = image_create(l->s, p->config, p->config_len, NULL, l->lease, id, err);

    if (r < 0)
        return r;
    out.id = arena_strdup(l->a, id);
    r = tag_all(l, p, &out, err);
    if (r >= 0 && p->manifest)
        r = record_origin(l, p, &out, err);
    if (r >= 0)
        arena_push(l->a, *res) = out;
    return r;
}

/* Before the transaction: syncing files would hold up everybody else. */
static int write_documents(struct loader *l, const struct load_plan *plan, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < plan->n; i++) {
        const struct planned_image *p = &plan->v[i];
        r = blob_put(l->s, p->config, p->config_len, l->lease, NULL, err);
        if (r >= 0 && p->manifest)
            r = blob_put(l->s, p->manifest->text, p->manifest->len, l->lease, NULL, err);
        if (r >= 0 && p->manifest && p->index)
            r = blob_put(l->s, p->index->text, p->index->len, l->lease, NULL, err);
    }
    for (size_t i = 0; i < plan->artifacts.n; i++)
        for (size_t k = 0; r >= 0 && k < plan->artifacts.v[i].blobs.n; k++) {
            const struct member *m = plan->artifacts.v[i].blobs.v[k];
            r = blob_put(l->s, m->text, m->len, l->lease, NULL, err);
        }
    return r;
}

/* Those of an index that an image came by; of others nothing would be left anyway. */
static int record_artifacts(struct loader *l, const struct load_plan *plan, struct err *err)
{
    char index[DIGEST_LEN + 1], digest[DIGEST_LEN + 1];
    int r = 0;

    for (size_t i = 0; r >= 0 && i < plan->artifacts.n; i++) {
        const struct planned_artifact *p = &plan->artifacts.v[i];
        struct strv parts = {0};
        sha256_of(p->index->text, p->index->len, index);
        for (size_t k = 0; k < p->blobs.n; k++) {
            sha256_of(p->blobs.v[k]->text, p->blobs.v[k]->len, digest);
            strv_push(l->a, &parts, digest);
        }
        r = index_parts_set(l->s, index, &parts, err);
    }
    return r;
}

static int make_images(struct loader *l, const struct load_plan *plan, struct load_result *ret,
                       struct err *err)
{
    struct db *db = image_store_db(l->s);
    struct load_result res = {0};
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    for (size_t i = 0; r >= 0 && i < plan->n; i++)
        r = make_image(l, &plan->v[i], &res, err);
    if (r >= 0)
        r = record_artifacts(l, plan, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.load.made", err);
    r = db_commit(&tx, err);
    if (r >= 0)
        *ret = res;
    return r;
}

static int load(struct loader *l, struct source *body, struct load_result *ret, struct err *err)
{
    struct load_plan plan = {0};

    FAIL_POINT("image.load.before", err);
    int r = read_archive(l, body, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.load.read", err);
    r = load_plan(l, &plan, err);
    if (r >= 0)
        r = write_documents(l, &plan, err);
    return r < 0 ? r : make_images(l, &plan, ret, err);
}

int image_load(struct image_store *s, struct source *body, const struct load_options *opts,
               struct arena *a, struct load_result *ret, struct err *err)
{
    auto_map struct map *members = map_new();
    struct loader l = {.s = s, .a = a, .opts = opts, .lease = lease_new(s), .members = members};
    int r = load(&l, body, ret, err);

    lease_free(l.lease);
    /* Layers that no image took. What this collection cannot get, a later one will. */
    (void)!store_gc(s, NULL, NULL, NULL);
    return r;
}
