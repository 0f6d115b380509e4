/*
 * The layers of a push, each by a thread. A layer has been seen as certain blobs before; if the
 * registry has one of these it is taken as it is, from this repository or by a mount from another.
 * Else its bytes are sent: those of a kept blob, or the layer's tar, rebuilt and compressed while
 * it is sent. The blob by which the layer came with this image goes before all others, since with
 * it the image keeps its manifest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/compress.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/time.h"
#include "distribution/blob.h"
#include "distribution/upload.h"
#include "image/layer.h"
#include "image/push-priv.h"
#include "store/blobs.h"
#include "store/layer_blobs.h"
#include "store/layers.h"

#define THREADS 6
#define TELL_NS (100 * NS_PER_MS)
#define ASKS_MAX 8   /* blobs of one layer that the registry is asked for */
#define MOUNTS_MAX 4 /* repositories that one blob is asked from */
#define CHUNK (256u << 10)

struct layer_job {
    struct push *p;
    const char *diff_id;
    const struct oci_descriptor *first; /* blob by which it came with this image, or NULL */
    struct oci_descriptor *out;
    struct arena mem; /* of this thread; what @out points to is copied in the end */
    char id[13];
    uint64_t sent, total;
    int64_t told_ns;
    char digest[DIGEST_LEN + 1], media_type[80];
    int64_t size;
    bool proven; /* known to be this layer, not only said so by the image's manifest */
    bool made;   /* of the layer's tar, just now */
};

static int tell(struct layer_job *j, const char *status, struct err *err)
{
    struct transfer_event e = {.id = j->id,
                               .status = status,
                               .current_b = j->sent,
                               .total_b = j->sent ? j->total : 0,
                               .detail = true};

    return transfer_report_event(&j->p->report, &e, err);
}

static void found(struct layer_job *j, const char *digest, int64_t size, const char *media_type,
                  bool proven)
{
    j->proven = proven;
    (void)snprintf(j->digest, sizeof(j->digest), "%s", digest);
    (void)snprintf(j->media_type, sizeof(j->media_type), "%s", media_type);
    j->size = size;
}

static int remember(struct layer_job *j, struct err *err)
{
    struct layer_blob row = {.blob = j->digest,
                             .diff_id = (char *)(uintptr_t)j->diff_id,
                             .media_type = j->media_type,
                             .size = j->size,
                             .made = j->made};

    return layer_blob_set(j->p->s, &row, j->p->o->ref->name, 0, err);
}

/* ---- what the registry has ---- */

/* Where a blob may be: where it was seen, and where the image itself has been. */
static int places(struct layer_job *j, const struct layer_blob *b, struct strv *ret,
                  struct err *err)
{
    int r = layer_blob_repos(j->p->s, b->blob, &j->mem, ret, err);

    for (size_t i = 0; r >= 0 && i < j->p->row.digests.n; i++) {
        const char *name = j->p->row.digests.v[i];
        char *repo = arena_strndup(&j->mem, name, strcspn(name, "@"));
        if (!strv_has(ret, repo))
            strv_push(&j->mem, ret, repo);
    }
    return r;
}

/* Return: 1: mounted, and told of; 0: no repository would. */
static int try_mounts(struct layer_job *j, const struct layer_blob *b, struct err *err)
{
    struct strv repos = {0};
    int r = places(j, b, &repos, err), asked = 0;

    for (size_t i = 0; r == 0 && i < repos.n && asked < MOUNTS_MAX; i++) {
        const char *from = str_starts(repos.v[i], j->p->registry);
        if (!from || strcmp(from, j->p->repo) == 0)
            continue;
        asked++;
        r = dist_mount(j->p->o->session, j->p->repo, b->blob, from, err);
        if (r == 0)
            r = layer_blob_moved(j->p->s, b->blob, repos.v[i], err);
        else if (r > 0)
            r = tell(j, arena_printf(&j->mem, "Mounted from %s", from), err) < 0 ? -EPIPE : 1;
    }
    return r;
}

/* Return: 1: the registry has this blob; 0: it has not. */
static int try_blob(struct layer_job *j, const struct layer_blob *b, struct err *err)
{
    int64_t size = -1;
    int r = dist_blob_stat(j->p->o->session, j->p->repo, b->blob, &size, err);

    if (r < 0)
        return r;
    if (r == 0 && (size == b->size || size < 0)) {
        r = tell(j, "Layer already exists", err);
        return r < 0 ? r : 1;
    }
    return try_mounts(j, b, err);
}

static bool is_known(const struct layer_blobs *known, const char *digest)
{
    for (size_t i = 0; i < known->n; i++)
        if (strcmp(known->v[i].blob, digest) == 0)
            return true;
    return false;
}

/* Can these very bytes be sent? */
static bool have_bytes(struct layer_job *j, const char *digest)
{
    lease_add(j->p->lease, digest); /* before looking, so that they stay */
    return strcmp(digest, j->diff_id) == 0 || blob_exists(j->p->s, digest);
}

/* The blob by which the layer came with this image is asked for first: if all layers are there as
 * these, the image's own manifest can be pushed. It need not have been fetched (we had the layer),
 * so that it is the layer may be no more than the manifest's word, which is passed on as it is.
 * Others do not matter if it can be sent. */
static int look(struct layer_job *j, const struct layer_blobs *all, struct err *err)
{
    struct layer_blobs known = *all;
    int r = 0;

    if (j->first) {
        struct layer_blob b = {.blob = j->first->digest, .size = j->first->size};
        r = try_blob(j, &b, err);
        if (r > 0)
            found(j, b.blob, b.size, j->first->media_type, is_known(&known, b.blob));
        if (have_bytes(j, b.blob))
            known.n = 0;
    }
    for (size_t i = 0; r == 0 && i < known.n && i < ASKS_MAX; i++) {
        const struct layer_blob *b = &known.v[i];
        if (j->first && strcmp(b->blob, j->first->digest) == 0)
            continue;
        if (strcmp(b->blob, j->diff_id) == 0)
            continue; /* a plain tar: who pulls would pay for what we spare here */
        r = try_blob(j, b, err);
        if (r > 0)
            found(j, b->blob, b->size, str_or(b->media_type, MEDIA_OCI_LAYER "+gzip"), true);
    }
    return r;
}

/* ---- sending ---- */

static int put(void *ctx, const void *p, size_t n, struct err *err)
{
    return dist_upload_add(ctx, p, n, err);
}

static int report(struct layer_job *j, size_t n, struct err *err)
{
    int64_t now = mono_ns();

    j->sent += n;
    if (transfer_report_failed(&j->p->report))
        return err_no(err, ECANCELED, "another layer failed");
    if (now - j->told_ns < TELL_NS)
        return 0;
    j->told_ns = now;
    return tell(j, "Pushing", err);
}

static int copy(struct layer_job *j, struct source *tar, struct sink *out, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n;
    int r = 0;

    while (r >= 0 && (n = source_next(tar, &p, CHUNK, err)) != 0) {
        if (n < 0)
            return (int)n;
        r = sink_write(out, p, (size_t)n, err);
        if (r >= 0)
            r = report(j, (size_t)n, err);
    }
    return r;
}

/* What is sent: a blob as it is, or, when it has no digest yet, the tar compressed. */
struct parcel {
    const char *digest; /* NULL: not known before it is made */
    const char *media_type;
    int64_t size; /* bytes that are read for it */
    bool proven;  /* see struct layer_job */
};

/* The bytes by which the layer came, else a kept blob of it, else new ones. */
static struct parcel choose(struct layer_job *j, const struct layer_blobs *known, int64_t tar_size)
{
    const struct oci_descriptor *d = j->first;

    if (d && have_bytes(j, d->digest))
        return (struct parcel){d->digest, d->media_type, d->size,
                               strcmp(d->digest, j->diff_id) == 0 || is_known(known, d->digest)};
    for (size_t i = 0; i < known->n; i++) {
        const struct layer_blob *b = &known->v[i];
        if (b->kept && have_bytes(j, b->blob))
            return (struct parcel){b->blob, str_or(b->media_type, MEDIA_OCI_LAYER "+gzip"), b->size,
                                   true};
    }
    return (struct parcel){NULL, MEDIA_OCI_LAYER "+gzip", tar_size, true};
}

static int send_gzip(struct layer_job *j, struct source *tar, struct sink *raw, struct err *err)
{
    auto_sink struct sink *gz = sink_compress(raw, COMP_GZIP, 0);
    int r = copy(j, tar, gz, err);

    return r < 0 ? r : sink_compress_finish(gz, err);
}

static int send_once(struct layer_job *j, const struct parcel *what, struct err *err)
{
    auto_dist_upload struct dist_upload *up = NULL;
    auto_source struct source *bytes = NULL;
    char digest[DIGEST_LEN + 1];
    uint64_t size = 0;
    bool tar = !what->digest || strcmp(what->digest, j->diff_id) == 0;

    FAIL_POINT("image.push.send", err);
    int r = tar ? layer_tar(j->p->s, j->diff_id, &bytes, err)
                : layer_blob_source(j->p->s, what->digest, &bytes, err);
    if (r >= 0)
        r = dist_upload_new(j->p->o->session, j->p->repo, &up, err);
    if (r < 0)
        return r;
    auto_sink struct sink *raw = sink_cb(put, up);
    r = what->digest ? copy(j, bytes, raw, err) : send_gzip(j, bytes, raw, err);
    if (r >= 0)
        r = dist_upload_finish(up, digest, &size, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.push.sent", err);
    found(j, digest, (int64_t)size, what->media_type, what->proven);
    j->made = !what->digest;
    j->sent = 0;
    return 0;
}

/* Not every registry lets an upload go on that broke in the middle of a piece (Debian's does not):
 * then it begins anew. */
static int send(struct layer_job *j, const struct parcel *what, struct err *err)
{
    for (unsigned n = 1;; n++) {
        struct err why = {0};
        int r = send_once(j, what, &why);
        if (r >= 0)
            return tell(j, "Pushed", err);
        if ((!dist_transient(r) && r != -ESTALE) || n >= dist_tries(j->p->o->session)) {
            if (err)
                *err = why;
            return r;
        }
        j->sent = 0;
        r = dist_pause(j->p->o->session, n, err);
        if (r < 0)
            return r;
    }
}

static void say_waiting(void *ctx)
{
    (void)!tell(ctx, "Waiting", NULL); /* a client that is gone is noticed by who waits */
}

/* Somebody else may have sent it while we waited: look only now. */
static int look_and_send(struct layer_job *j, struct err *err)
{
    struct layer_blobs known = {0};
    struct layer_row row;
    int r = layer_get(j->p->s, j->diff_id, &j->mem, &row, err);

    if (r >= 0)
        r = layer_blobs_of(j->p->s, j->diff_id, &j->mem, &known, err);
    if (r >= 0)
        r = look(j, &known, err);
    if (r != 0)
        return r < 0 ? r : 0;
    struct parcel what = choose(j, &known, row.tar_size);
    j->total = (uint64_t)what.size;
    return send(j, &what, err);
}

static int do_layer(struct layer_job *j, struct err *err)
{
    struct transfers *t = j->p->o->transfers;
    char key[REF_NAME_MAX + DIGEST_LEN + 2];
    int r = transfer_report_failed(&j->p->report) ? err_no(err, ECANCELED, "another layer failed")
                                                  : tell(j, "Preparing", err);

    if (r < 0)
        return r;
    (void)snprintf(key, sizeof(key), "%s@%s", j->p->o->ref->name, j->diff_id);
    r = transfer_begin(t, TRANSFER_UP, key, say_waiting, j, j->p->o->gone_fd, err);
    if (r < 0)
        return r;
    r = look_and_send(j, err);
    transfer_end(t, TRANSFER_UP, key);
    return r < 0 || !j->proven ? r : remember(j, err);
}

static void run_layer(void *arg)
{
    struct layer_job *j = arg;
    struct err err = {0};
    int r = do_layer(j, &err);

    if (r < 0)
        transfer_report_fail(&j->p->report, r, &err);
}

static const struct oci_descriptor *came_as(const struct push *p, size_t i)
{
    const struct oci_manifest *man = &p->came.man;

    return p->came.doc.text && man->layers.n == p->row.layers.n ? man->layers.v[i] : NULL;
}

static void collect(struct layer_job *j)
{
    struct arena *a = j->p->a;

    *j->out = (struct oci_descriptor){.media_type = arena_strdup(a, j->media_type),
                                      .digest = arena_strdup(a, j->digest),
                                      .size = j->size};
    arena_done(&j->mem);
}

int push_layers(struct push *p, struct err *err)
{
    size_t n = p->row.layers.n;
    auto_free struct layer_job *jobs = xcalloc(n + 1, sizeof(*jobs));
    struct pool *pool = NULL;
    int r = pool_new("push", n < THREADS ? n + 1 : THREADS, &pool, err);

    if (r < 0)
        return r;
    p->layers = arena_alloc(p->a, (n + 1) * sizeof(*p->layers));
    for (size_t i = n; r >= 0 && i-- > 0;) { /* the topmost first, as docker lists them */
        jobs[i] = (struct layer_job){
            .p = p, .diff_id = p->row.layers.v[i], .first = came_as(p, i), .out = &p->layers[i]};
        (void)snprintf(jobs[i].id, sizeof(jobs[i].id), "%.12s", jobs[i].diff_id + 7);
        struct err why = {0};
        r = pool_run(pool, run_layer, &jobs[i], &why);
        if (r < 0)
            transfer_report_fail(&p->report, r, &why);
    }
    pool_free(pool); /* waits for all of them */
    for (size_t i = 0; i < n; i++)
        if (jobs[i].p)
            collect(&jobs[i]);
    return transfer_report_result(&p->report, err);
}
