#include "image/transfers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/guard.h"

/* How long a waiting thread may not notice that its client has left: a condition variable and a
 * descriptor cannot be waited for together. */
#define LOOK_MS 250

struct transfers {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned free[2]; /* by kind */
    struct map *busy; /* keys being transferred */
};

struct transfers *transfers_new(unsigned down, unsigned up)
{
    struct transfers *t = xnew(struct transfers);
    pthread_condattr_t attr;

    t->free[TRANSFER_DOWN] = down ? down : 1;
    t->free[TRANSFER_UP] = up ? up : 1;
    t->busy = map_new();
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->moved, &attr);
    (void)pthread_condattr_destroy(&attr);
    return t;
}

void transfers_free(struct transfers *t)
{
    if (!t)
        return;
    map_free(t->busy);
    (void)pthread_cond_destroy(&t->moved);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

static void wait_a_little(struct transfers *t)
{
    int64_t at = mono_ns() + LOOK_MS * NS_PER_MS;
    struct timespec ts = {.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S};

    (void)pthread_cond_timedwait(&t->moved, &t->lock, &ts);
}

static bool may_begin(const struct transfers *t, enum transfer_kind kind, const char *key)
{
    return t->free[kind] > 0 && !map_has(t->busy, key);
}

/* Tell outside of the lock: it may block. */
static void tell_waiting(struct transfers *t, void (*waiting)(void *ctx), void *ctx)
{
    (void)pthread_mutex_unlock(&t->lock);
    waiting(ctx);
    (void)pthread_mutex_lock(&t->lock);
}

int transfer_begin(struct transfers *t, enum transfer_kind kind, const char *key,
                   void (*waiting)(void *ctx), void *ctx, int gone_fd, struct err *err)
{
    bool gone = false;

    (void)pthread_mutex_lock(&t->lock);
    if (waiting && !may_begin(t, kind, key))
        tell_waiting(t, waiting, ctx);
    while (!gone && !may_begin(t, kind, key)) {
        wait_a_little(t);
        gone = fd_gone(gone_fd);
    }
    if (!gone) {
        t->free[kind]--;
        (void)map_set(t->busy, key, t);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return gone ? err_no(err, ECANCELED, "wait for other transfers") : 0;
}

void transfer_end(struct transfers *t, enum transfer_kind kind, const char *key)
{
    (void)pthread_mutex_lock(&t->lock);
    t->free[kind]++;
    (void)map_del(t->busy, key);
    (void)pthread_cond_broadcast(&t->moved);
    (void)pthread_mutex_unlock(&t->lock);
}

/* ---- reports ---- */

void transfer_report_init(struct transfer_report *t, transfer_tell tell, void *ctx)
{
    *t = (struct transfer_report){.tell = tell, .ctx = ctx};
    (void)pthread_mutex_init(&t->lock, NULL);
}

void transfer_report_done(struct transfer_report *t)
{
    (void)pthread_mutex_destroy(&t->lock);
}

int transfer_report_event(struct transfer_report *t, const struct transfer_event *e,
                          struct err *err)
{
    (void)pthread_mutex_lock(&t->lock);
    int r = t->failed;
    if (r >= 0)
        r = t->tell(t->ctx, e, &t->err);
    if (r < 0 && err)
        *err = t->err;
    t->failed = r < 0 ? r : 0;
    (void)pthread_mutex_unlock(&t->lock);
    return r < 0 ? r : 0;
}

void transfer_report_fail(struct transfer_report *t, int r, const struct err *err)
{
    (void)pthread_mutex_lock(&t->lock);
    if (t->failed >= 0) {
        t->failed = r;
        t->err = *err;
    }
    (void)pthread_mutex_unlock(&t->lock);
}

bool transfer_report_failed(struct transfer_report *t)
{
    (void)pthread_mutex_lock(&t->lock);
    bool yes = t->failed < 0;
    (void)pthread_mutex_unlock(&t->lock);
    return yes;
}

int transfer_report_result(const struct transfer_report *t, struct err *err)
{
    if (t->failed < 0 && err)
        *err = t->err;
    return t->failed;
}
