/*
 * The layers of a pull, each by a thread: wait for a place, look whether the store has it, else
 * fetch and unpack it in one go. When one fails the others stop at their next read.
 *
 * A large blob may come by several connections (distribution/ahead.h); what lies ahead of the
 * reader is in a scratch file, so that the part file is always the blob's beginning.
 *
 * Where compressed blobs are kept, their bytes go into a file on their way. Such a file that an
 * earlier attempt has left is read first, through the same digests, and only the rest is fetched. A
 * layer that is here without the blob by which it comes is fetched, but not unpacked again; unless
 * a push made that blob of it, and would make it again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/time.h"
#include "distribution/blob.h"
#include "image/layer.h"
#include "image/pull-priv.h"
#include "store/blobs.h"
#include "store/layer_blobs.h"
#include "store/layers.h"

#define THREADS 6                 /* of one pull; transfers.h limits what goes on at once */
#define TELL_NS (100 * NS_PER_MS) /* between two progress messages of a layer */
#define KEEP_NS BLOB_PART_NS      /* a finished layer waits so long for the rest */

struct layer_job {
    struct pull *p;
    const struct oci_descriptor *d;
    const char *diff_id;
    char id[13];
    /* while it is fetched */
    struct dist_blob *blob;
    struct blob_part *part; /* NULL when the blob is not to be kept */
    uint64_t got;
    int64_t told_ns;
    bool ranges_failed;
    int read_error; /* of the download, which says more than the unpacking that it broke */
    struct err read_err;
};

static int tell(struct layer_job *j, const char *status, uint64_t current, struct err *err)
{
    struct transfer_event e = {.id = j->id,
                               .status = status,
                               .current_b = current,
                               .total_b = current ? (uint64_t)j->d->size : 0,
                               .detail = true};

    return transfer_report_event(&j->p->report, &e, err);
}

/* ---- one download ---- */

static int report(struct layer_job *j, struct err *err)
{
    int64_t now = mono_ns();

    if (now - j->told_ns < TELL_NS)
        return 0;
    j->told_ns = now;
    return tell(j, "Downloading", j->got, err);
}

static ssize_t read_blob(void *ctx, void *p, size_t n, struct err *err)
{
    struct layer_job *j = ctx;
    struct err why = {0};
    ssize_t got = transfer_report_failed(&j->p->report)
                      ? err_no(&why, ECANCELED, "another layer failed")
                      : dist_blob_read(j->blob, p, n, &why);

    if (got > 0) {
        j->got += (uint64_t)got;
        int r = report(j, &why);
        got = r < 0 ? r : got;
    }
    if (got < 0) {
        j->read_error = (int)got;
        j->read_err = why;
        if (err)
            *err = why;
    }
    return got;
}

/* To the proven end of the blob, of which an archive may leave something over. */
static int read_rest(struct layer_job *j, struct source *src, struct err *err)
{
    int r = source_drain(src, err);

    if (r >= 0 && !dist_blob_done(j->blob))
        r = err_as(err, ERR_SYSTEM, EPROTO, "blob %s was not read to its end", j->d->digest);
    return r;
}

static int keep(void *ctx, const void *p, size_t n, struct err *err)
{
    return blob_part_add(ctx, p, n, err);
}

static int unpack(struct layer_job *j, struct err *err)
{
    auto_source struct source *src = source_cb(read_blob, j);
    auto_sink struct sink *tee = j->part ? sink_cb(keep, j->part) : NULL;
    struct layer_wish wish = {.diff_id = j->diff_id, .tee = tee};
    struct unpacked_layer layer;
    int r = layer_exists(j->p->s, j->diff_id)
                ? layer_prove(src, &wish, &layer, err)
                : layer_unpack(j->p->s, src, &wish, j->p->lease, &layer, err);

    if (r >= 0)
        r = read_rest(j, src, err);
    if (r < 0 && j->read_error < 0) {
        r = j->read_error;
        if (err)
            *err = j->read_err;
    }
    return r < 0 ? r : 0;
}

static int remember(struct layer_job *j, struct err *err)
{
    struct layer_blob row = {.blob = j->d->digest,
                             .diff_id = (char *)(uintptr_t)j->diff_id,
                             .media_type = j->d->media_type,
                             .size = j->d->size,
                             .kept = j->part != NULL};

    return layer_blob_set(j->p->s, &row, j->p->o->ref->name, now_ns() + KEEP_NS, err);
}

/* Not after what came by ranges was something else. */
static int allow_ahead(struct layer_job *j, struct err *err)
{
    if (j->d->size < DIST_AHEAD_MIN || j->ranges_failed)
        return 0;
    int fd = blob_scratch(j->p->s, err);
    if (fd >= 0)
        dist_blob_allow_ahead(j->blob, fd);
    return fd < 0 ? fd : 0;
}

/* @have: bytes of the part to go on from. */
static int fetch_from(struct layer_job *j, uint64_t have, struct err *err)
{
    j->got = 0;
    j->read_error = 0;
    int r = dist_blob_resume(j->p->o->session, j->p->repo, j->d->digest, (uint64_t)j->d->size,
                             j->part ? blob_part_fd(j->part) : -1, have, &j->blob, err);
    if (r >= 0)
        r = allow_ahead(j, err);
    if (r >= 0)
        r = unpack(j, err);
    j->ranges_failed = r < 0 && err->kind == ERR_INVALID && dist_blob_was_ahead(j->blob);
    dist_blob_free(take_ptr(&j->blob));
    return r;
}

/* Would the same bytes do for another attempt? */
static bool may_go_on(int r)
{
    return dist_transient(r) || r == -ECANCELED;
}

/* What an earlier attempt left may be damaged, or not the beginning of this blob at all: then it is
 * fetched as if there were nothing. The same after a registry that answers wrongly when it is asked
 * for ranges. */
static int fetch_bytes(struct layer_job *j, struct err *err)
{
    struct err why = {0};
    uint64_t have = j->part ? blob_part_had(j->part) : 0;

    if (have > (uint64_t)j->d->size)
        have = 0;
    int r = j->part && have == 0 ? blob_part_clear(j->part, &why) : 0;
    if (r >= 0)
        r = fetch_from(j, have, &why);
    if (r < 0 && ((have > 0 && !may_go_on(r)) || j->ranges_failed)) {
        r = j->part ? blob_part_clear(j->part, err) : 0;
        if (r < 0)
            return r;
        why = (struct err){0};
        r = fetch_from(j, 0, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

static int fetch_and_keep(struct layer_job *j, struct err *err)
{
    int r = fetch_bytes(j, err);

    if (r < 0)
        return r;
    FAIL_POINT("image.pull.fetched", err);
    r = j->part ? blob_part_publish(j->part, err) : 0;
    if (r < 0)
        return r;
    FAIL_POINT("image.pull.kept", err);
    return remember(j, err);
}

/* Is the blob a file of its own beside the layer? A plain tar is not: the layer's recipe makes it
 * again, byte for byte. */
static bool is_kept(const struct layer_job *j)
{
    return image_store_keeps_blobs(j->p->s) && strcmp(j->d->digest, j->diff_id) != 0;
}

static int fetch(struct layer_job *j, struct err *err)
{
    FAIL_POINT("image.pull.fetch", err);
    int r = is_kept(j) ? blob_part_open(j->p->s, j->d->digest, j->p->lease, &j->part, err) : 0;

    if (r >= 0)
        r = fetch_and_keep(j, err);
    blob_part_free(take_ptr(&j->part), r < 0 && !may_go_on(r));
    return r;
}

static int fetch_and_tell(struct layer_job *j, struct err *err)
{
    int r = fetch(j, err);

    if (r >= 0)
        r = tell(j, "Verifying Checksum", 0, err);
    if (r >= 0)
        r = tell(j, "Download complete", 0, err);
    if (r >= 0)
        r = tell(j, "Extracting", (uint64_t)j->d->size, err);
    return r < 0 ? r : tell(j, "Pull complete", 0, err);
}

/* ---- one layer ---- */

static void say_waiting(void *ctx)
{
    struct layer_job *j = ctx;

    (void)!tell(j, "Waiting", 0, NULL); /* a client that is gone is noticed by who waits */
}

/* A layer that we have: if it is known to be this very blob, another place of it is known now. */
static int note_place(struct layer_job *j, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct layer_blob row;
    int r = layer_blob_get(j->p->s, j->d->digest, &a, &row, NULL);

    if (r < 0)
        return r == -ENOENT ? 0 : err_no(err, r, "look for blob %s", j->d->digest);
    if (strcmp(row.diff_id, j->diff_id) != 0)
        return 0;
    row.kept = false; /* nothing new about that */
    return layer_blob_set(j->p->s, &row, j->p->o->ref->name, 0, err);
}

/* Could a push send the very bytes, kept or made of the layer? */
static bool have_blob(struct layer_job *j)
{
    auto_arena struct arena a = ARENA_INIT;
    struct layer_blob row;

    return layer_blob_get(j->p->s, j->d->digest, &a, &row, NULL) >= 0 &&
           strcmp(row.diff_id, j->diff_id) == 0 &&
           (row.made || (row.kept && blob_exists(j->p->s, j->d->digest)));
}

/* Known here: then it is held, and nothing is fetched. */
static bool have_layer(struct layer_job *j)
{
    lease_add(j->p->lease, j->diff_id); /* before looking, so that they stay */
    lease_add(j->p->lease, j->d->digest);
    return layer_exists(j->p->s, j->diff_id) && (!is_kept(j) || have_blob(j));
}

static int do_layer(struct layer_job *j, struct err *err)
{
    struct transfers *t = j->p->o->transfers;

    if (transfer_report_failed(&j->p->report))
        return err_no(err, ECANCELED, "another layer failed");
    if (have_layer(j)) {
        int r = note_place(j, err);
        return r < 0 ? r : tell(j, "Already exists", 0, err);
    }
    int r = tell(j, "Pulling fs layer", 0, err);
    if (r >= 0)
        r = transfer_begin(t, TRANSFER_DOWN, j->d->digest, say_waiting, j, j->p->o->gone_fd, err);
    if (r < 0)
        return r;
    /* Somebody else may have fetched it while we waited. */
    r = have_layer(j) ? tell(j, "Pull complete", 0, err) : fetch_and_tell(j, err);
    transfer_end(t, TRANSFER_DOWN, j->d->digest);
    return r;
}

static void run_layer(void *arg)
{
    struct layer_job *j = arg;
    struct err err = {0};
    int r = do_layer(j, &err);

    if (r < 0)
        transfer_report_fail(&j->p->report, r, &err);
}

int pull_layers(struct pull *p, struct err *err)
{
    size_t n = p->man.man.layers.n;
    struct layer_job *jobs = arena_alloc(p->a, (n + 1) * sizeof(*jobs));
    struct pool *pool = NULL;
    int r = pool_new("pull", n < THREADS ? n + 1 : THREADS, &pool, err);

    for (size_t i = 0; r >= 0 && i < n; i++) {
        jobs[i] = (struct layer_job){
            .p = p, .d = p->man.man.layers.v[i], .diff_id = p->img->rootfs.diff_ids.v[i]};
        (void)snprintf(jobs[i].id, sizeof(jobs[i].id), "%.12s", jobs[i].d->digest + 7);
        strv_push(p->a, &p->blobs, jobs[i].d->digest);
        r = pool_run(pool, run_layer, &jobs[i], err);
    }
    if (r < 0)
        transfer_report_fail(&p->report, r, err ? err : &(struct err){0});
    pool_free(pool); /* waits for all of them */
    return transfer_report_result(&p->report, err);
}

void pull_release(struct pull *p)
{
    for (size_t i = 0; i < p->img->rootfs.diff_ids.n; i++)
        (void)!layer_blobs_release(p->s, p->img->rootfs.diff_ids.v[i], NULL); /* ends by itself */
}
