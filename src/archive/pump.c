/*
 * A ring of chunks between threads: one thread fills them from the source below, the caller takes
 * them in order, and a third may watch: hash them, write them elsewhere. A chunk is filled again
 * when both have done with it.
 * Each chunk is touched by one thread at a time; only the counters are shared, under the lock.
 */
#include "archive/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "kern/sandbox.h"

#define CHUNK (256u << 10)
#define CHUNKS 8

struct chunk {
    uint8_t *data;
    size_t len;
};

struct pump {
    struct source base;
    struct source *below;
    struct sink *tee; /* or NULL; the watcher's */
    bool shut_in;

    pthread_t filler, watcher;
    bool filling, watching; /* threads to join; the caller's */
    struct chunk *chunk;    /* what the caller has on loan, or NULL; the caller's */
    size_t at;              /* bytes of it that were lent; the caller's */
    struct sha256 *sha;     /* or NULL; the watcher's until it is joined */
    uint64_t total;         /* likewise the filler's */

    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under the lock: chunks ever filled, taken and watched. */
    size_t filled, taken, watched;
    bool ended, stop;
    int error;  /* why it ended */
    int failed; /* why the watcher ended before the others */
    struct err err;
    struct chunk ring[CHUNKS];
    uint8_t *memory; /* of all chunks: mapped, so that it goes back to the system at once */
};

static bool is_watched(const struct pump *p)
{
    return p->sha || p->tee;
}

/* ---- the filling thread ---- */

static bool may_fill(const struct pump *p)
{
    size_t done = is_watched(p) && p->watched < p->taken ? p->watched : p->taken;

    return p->filled - done < CHUNKS;
}

static struct chunk *next_to_fill(struct pump *p)
{
    struct chunk *c = NULL;

    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop && !may_fill(p))
        (void)pthread_cond_wait(&p->moved, &p->lock);
    if (!p->stop)
        c = &p->ring[p->filled % CHUNKS];
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

static void *fill(void *arg)
{
    static const struct sandbox memory_only = {.dir_fd = -1};
    struct pump *p = arg;
    struct chunk *c = NULL;
    struct err e = {0};
    int r = p->shut_in ? sandbox_enter(&memory_only, &e) : 0;

    for (ssize_t n = 1; n > 0 && (c = next_to_fill(p));) {
        n = r < 0 ? r : source_read(p->below, c->data, CHUNK, &e);
        (void)pthread_mutex_lock(&p->lock);
        if (n > 0) {
            c->len = (size_t)n;
            p->total += c->len;
            p->filled++;
        } else {
            p->ended = true;
            p->error = (int)n;
            if (!p->failed)
                p->err = e;
        }
        (void)pthread_cond_broadcast(&p->moved);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* ---- the watching thread ---- */

static struct chunk *next_to_watch(struct pump *p)
{
    struct chunk *c = NULL;

    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop && !p->ended && p->watched == p->filled)
        (void)pthread_cond_wait(&p->moved, &p->lock);
    if (!p->stop && p->watched < p->filled)
        c = &p->ring[p->watched % CHUNKS];
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

/* After an error of the other place nothing more is filled: the caller shall notice soon. */
static void fail(struct pump *p, int r, const struct err *e)
{
    (void)pthread_mutex_lock(&p->lock);
    p->failed = r;
    p->err = *e;
    p->stop = p->ended = true;
    (void)pthread_cond_broadcast(&p->moved);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *watch(void *arg)
{
    struct pump *p = arg;
    struct err e = {0};

    for (struct chunk *c; (c = next_to_watch(p));) {
        if (p->sha)
            sha256_add(p->sha, c->data, c->len);
        int r = p->tee ? sink_write(p->tee, c->data, c->len, &e) : 0;
        if (r < 0) {
            fail(p, r, &e);
            break;
        }
        (void)pthread_mutex_lock(&p->lock);
        p->watched++;
        (void)pthread_cond_broadcast(&p->moved);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* ---- the caller's side ---- */

static int map_ring(struct pump *p, struct err *err)
{
    void *m = mmap(NULL, (size_t)CHUNK * CHUNKS, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (m == MAP_FAILED)
        return err_sys(err, "map memory");
    p->memory = m;
    for (size_t i = 0; i < CHUNKS; i++)
        p->ring[i].data = p->memory + i * CHUNK;
    return 0;
}

int pump_start(struct pump *p, struct err *err)
{
    int r = p->filling ? 0 : map_ring(p, err);

    if (r < 0 || p->filling)
        return r;
    r = pthread_create(&p->filler, NULL, fill, p);
    if (r)
        return err_no(err, r, "start a thread");
    p->filling = true;
    if (!is_watched(p))
        return 0;
    r = pthread_create(&p->watcher, NULL, watch, p);
    if (r)
        return err_no(err, r, "start a thread");
    p->watching = true;
    return 0;
}

/* Gives back the chunk on loan and waits for the next. Return: 1, 0 at the end, -errno. */
static int take(struct pump *p, struct err *err)
{
    int r = 0;

    (void)pthread_mutex_lock(&p->lock);
    if (p->chunk) {
        p->taken++;
        p->chunk = NULL;
        (void)pthread_cond_broadcast(&p->moved);
    }
    while (!p->ended && p->taken == p->filled)
        (void)pthread_cond_wait(&p->moved, &p->lock);
    if (p->failed) {
        r = p->failed;
        if (err)
            *err = p->err;
    } else if (p->taken < p->filled) {
        p->chunk = &p->ring[p->taken % CHUNKS];
        p->at = 0;
        r = 1;
    } else if (p->error < 0) {
        r = p->error;
        if (err)
            *err = p->err;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return r;
}

static ssize_t pump_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct pump *p = (struct pump *)s;

    int started = pump_start(p, err);
    if (started < 0)
        return started;
    if (!p->chunk || p->at == p->chunk->len) {
        int r = take(p, err);
        if (r <= 0)
            return r;
    }
    size_t n = p->chunk->len - p->at < max ? p->chunk->len - p->at : max;
    *ret = p->chunk->data + p->at;
    p->at += n;
    return (ssize_t)n;
}

static void join(bool *running, pthread_t thread)
{
    if (*running)
        (void)pthread_join(thread, NULL);
    *running = false;
}

static void pump_free(struct source *s)
{
    struct pump *p = (struct pump *)s;

    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->moved);
    (void)pthread_mutex_unlock(&p->lock);
    join(&p->filling, p->filler);
    join(&p->watching, p->watcher);
    if (p->memory)
        (void)munmap(p->memory, (size_t)CHUNK * CHUNKS);
    sha256_free(p->sha);
    (void)pthread_cond_destroy(&p->moved);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

struct pump *pump_new(struct source *below, bool hash_it)
{
    struct pump *p = xnew(struct pump);

    p->base = (struct source){.next = pump_next, .free = pump_free};
    p->below = below;
    p->sha = hash_it ? sha256_new() : NULL;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->moved, NULL);
    return p;
}

void pump_shut_in(struct pump *p)
{
    p->shut_in = true;
}

struct source *pump_source(struct pump *p)
{
    return &p->base;
}

void pump_tee(struct pump *p, struct sink *to)
{
    p->tee = to;
}

int pump_flush(struct pump *p, struct err *err)
{
    int r = p->filling ? take(p, err) : 1;

    if (r > 0)
        return err_as(err, ERR_SYSTEM, EPROTO, "the end of a stream that has not ended");
    join(&p->watching, p->watcher);
    if (p->failed && err)
        *err = p->err;
    return r < 0 ? r : p->failed;
}

int pump_digest(struct pump *p, char out[DIGEST_LEN + 1], uint64_t *ret_size, struct err *err)
{
    int r = p->sha ? pump_flush(p, err)
                   : err_as(err, ERR_SYSTEM, EPROTO, "digest of a stream that was not hashed");

    if (r < 0)
        return r;
    sha256_digest(p->sha, out);
    sha256_free(take_ptr(&p->sha));
    if (ret_size)
        *ret_size = p->total;
    return 0;
}
