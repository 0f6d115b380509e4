#include "distribution/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "distribution/session.h"

#define CONNECTIONS 4
#define CHUNK 65536

/* A place in the ring: piece number @n of the blob is there up to @got bytes. */
struct piece {
    uint64_t n, got;
};

/* A thread and what it fetches. It does not look at the ring for that: when the last byte is there,
 * the piece is soon read and its place another's. */
struct fetcher {
    struct ahead *a;
    uint64_t n, got;
    struct dist_reply *reply; /* under the lock; NULL while there is none */
};

struct ahead {
    struct ahead_opts o;
    struct pool *pool;
    uint64_t pieces; /* of the whole */
    uint64_t at;     /* bytes that were read; the reader's alone */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* anything below */
    uint64_t next;        /* piece that nobody fetches yet */
    uint64_t reading;     /* piece whose place is not free yet */
    struct piece ring[AHEAD_PIECES];
    struct fetcher fetchers[CONNECTIONS];
    bool stop;
    int failed; /* -errno of the first failure */
    struct err why;
};

static uint64_t piece_len(const struct ahead *a, uint64_t n)
{
    uint64_t left = a->o.size - a->o.from - n * AHEAD_PIECE;

    return left < AHEAD_PIECE ? left : AHEAD_PIECE;
}

static off_t place_of(uint64_t n, uint64_t got)
{
    return (off_t)(n % AHEAD_PIECES * AHEAD_PIECE + got);
}

/* ---- the threads ---- */

/* Return: false: it is over. */
static bool take_piece(struct fetcher *f)
{
    struct ahead *a = f->a;

    (void)pthread_mutex_lock(&a->lock);
    while (!a->stop && !a->failed && a->next < a->pieces && a->next >= a->reading + AHEAD_PIECES)
        (void)pthread_cond_wait(&a->moved, &a->lock);
    bool more = !a->stop && !a->failed && a->next < a->pieces;
    if (more) {
        f->n = a->next++;
        f->got = 0;
        a->ring[f->n % AHEAD_PIECES] = (struct piece){.n = f->n};
    }
    (void)pthread_mutex_unlock(&a->lock);
    return more;
}

/* Shown to ahead_free(), which cuts it. Return: false: it is over. */
static bool show_reply(struct fetcher *f, struct dist_reply *reply)
{
    struct ahead *a = f->a;

    (void)pthread_mutex_lock(&a->lock);
    f->reply = reply;
    bool go_on = !a->stop && !a->failed;
    (void)pthread_mutex_unlock(&a->lock);
    return go_on;
}

static bool add_bytes(struct fetcher *f, size_t n)
{
    struct ahead *a = f->a;

    f->got += n;
    (void)pthread_mutex_lock(&a->lock);
    a->ring[f->n % AHEAD_PIECES].got = f->got;
    bool go_on = !a->stop && !a->failed;
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
    return go_on;
}

/* Exactly the range that was asked for, of a blob of the right size. */
static int check_range(const struct ahead *a, const struct dist_reply *reply, uint64_t first,
                       uint64_t last, struct err *err)
{
    const char *range = dist_reply_header(reply, "Content-Range");
    const char *coding = str_or(dist_reply_header(reply, "Content-Encoding"), "identity");
    char want[96];

    (void)snprintf(want, sizeof(want), "bytes %llu-%llu/%llu", (unsigned long long)first,
                   (unsigned long long)last, (unsigned long long)a->o.size);
    if (dist_reply_status(reply) != 206 || !str_eq(range, want) || strcmp(coding, "identity") != 0)
        return err_as(err, ERR_INVALID, EBADMSG, "the registry sends another range");
    return 0;
}

static int copy_piece(struct fetcher *f, struct dist_reply *reply, struct err *err)
{
    auto_free char *tmp = xmalloc(CHUNK);
    uint64_t len = piece_len(f->a, f->n);

    while (f->got < len) {
        uint64_t left = len - f->got;
        ssize_t n = dist_reply_read(reply, tmp, left < CHUNK ? (size_t)left : CHUNK, err);
        if (n <= 0)
            return n < 0 ? (int)n : err_no(err, ENODATA, "a range ends too early");
        int r = pwrite_full(f->a->o.fd, tmp, (size_t)n, place_of(f->n, f->got));
        if (r < 0)
            return err_no(err, r, "write a piece of a blob");
        if (!add_bytes(f, (size_t)n))
            return err_no(err, ECANCELED, "fetching ahead is over");
    }
    return 0;
}

static int fetch_once(struct fetcher *f, struct err *err)
{
    struct ahead *a = f->a;
    auto_arena struct arena mem = ARENA_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "GET", .path = a->o.path, .scopes = a->o.scopes};
    uint64_t start = a->o.from + f->n * AHEAD_PIECE;
    uint64_t first = start + f->got, last = start + piece_len(a, f->n) - 1;

    strmap_set(&mem, &call.headers, "Accept-Encoding", "identity");
    strmap_set(
        &mem, &call.headers, "Range",
        arena_printf(&mem, "bytes=%llu-%llu", (unsigned long long)first, (unsigned long long)last));
    int r = dist_send(a->o.s, &call, &reply, err);
    if (r >= 0)
        r = check_range(a, reply, first, last, err);
    if (r < 0)
        return r;
    r = show_reply(f, reply) ? copy_piece(f, reply, err)
                             : err_no(err, ECANCELED, "fetching ahead is over");
    (void)show_reply(f, NULL);
    return r;
}

/* A range that breaks goes on where it was. */
static int fetch_piece(struct fetcher *f, struct err *err)
{
    for (unsigned n = 1;; n++) {
        uint64_t before = f->got;
        int r = fetch_once(f, err);
        if (r >= 0 || !dist_transient(r) || n >= dist_tries(f->a->o.s))
            return r;
        n = f->got - before >= CHUNK ? 1 : n;
        r = dist_pause(f->a->o.s, n, err);
        if (r < 0)
            return r;
    }
}

static void fail(struct ahead *a, int r, const struct err *why)
{
    (void)pthread_mutex_lock(&a->lock);
    if (!a->failed) {
        a->failed = r;
        a->why = *why;
    }
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
}

static void run_fetch(void *arg)
{
    struct fetcher *f = arg;

    while (take_piece(f)) {
        struct err why = {0};
        int r = fetch_piece(f, &why);
        if (r < 0)
            fail(f->a, r, &why);
    }
}

/* ---- the reader ---- */

int ahead_start(const struct ahead_opts *o, struct ahead **ret, struct err *err)
{
    struct ahead *a = xnew(struct ahead);
    uint64_t left = o->size - o->from;
    int r = pool_new("ahead", CONNECTIONS, &a->pool, err);

    a->o = *o;
    a->pieces = (left + AHEAD_PIECE - 1) / AHEAD_PIECE;
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->moved, NULL);
    for (size_t i = 0; i < AHEAD_PIECES; i++)
        a->ring[i].n = UINT64_MAX;
    for (size_t i = 0; r >= 0 && i < CONNECTIONS; i++) {
        a->fetchers[i].a = a;
        r = pool_run(a->pool, run_fetch, &a->fetchers[i], err);
    }
    if (r < 0) {
        ahead_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

/* Return: bytes of the piece that can be read behind @within; -errno. */
static ssize_t wait_for(struct ahead *a, uint64_t n, uint64_t within, struct err *err)
{
    const struct piece *p = &a->ring[n % AHEAD_PIECES];
    ssize_t r = 0;

    (void)pthread_mutex_lock(&a->lock);
    while (!a->failed && (p->n != n || p->got <= within))
        (void)pthread_cond_wait(&a->moved, &a->lock);
    if (p->n == n && p->got > within)
        r = (ssize_t)(p->got - within);
    else
        r = a->failed;
    if (r < 0 && err)
        *err = a->why;
    (void)pthread_mutex_unlock(&a->lock);
    return r;
}

static void release(struct ahead *a, uint64_t n)
{
    (void)pthread_mutex_lock(&a->lock);
    a->reading = n + 1;
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
}

ssize_t ahead_read(struct ahead *a, void *p, size_t n, struct err *err)
{
    uint64_t piece = a->at / AHEAD_PIECE, within = a->at % AHEAD_PIECE;
    ssize_t have = wait_for(a, piece, within, err), got = 0;

    if (have < 0)
        return have;
    do
        got = pread(a->o.fd, p, n < (size_t)have ? n : (size_t)have, place_of(piece, within));
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? err_sys(err, "read a piece of a blob")
                       : err_no(err, EIO, "a piece of a blob has been cut");
    a->at += (uint64_t)got;
    if (within + (uint64_t)got == piece_len(a, piece))
        release(a, piece);
    return got;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    (void)pthread_mutex_lock(&a->lock);
    a->stop = true;
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (a->fetchers[i].reply)
            dist_reply_cut(a->fetchers[i].reply);
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
    pool_free(a->pool);
    (void)pthread_cond_destroy(&a->moved);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}
