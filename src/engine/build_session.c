/*
 * Sessions of builds: secrets that wait, in memory alone, for the build that will mount them. A
 * session is used up by one build; one that nobody asks for is forgotten after a minute. What is
 * forgotten is wiped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "engine/build-priv.h"
#include "wire/build.h"

#define SESSIONS_MAX 64
#define BYTES_MAX (64u << 20) /* of all secrets that wait */
#define UNUSED_NS (60 * NS_PER_S)
#define NAME_MAX_B 255

struct build_session {
    char id[BUILD_SESSION_ID + 1];
    int64_t until_ns; /* monotonic */
    struct build_secret *secrets;
    size_t nsecrets, bytes;
    struct build_session *next;
};

struct build_sessions {
    pthread_mutex_t lock;
    struct build_session *first;
    size_t n, bytes;
    struct loop_source *timer;
};

/* ---- one session ---- */

void build_session_free(struct build_session *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nsecrets; i++) {
        struct build_secret *x = &s->secrets[i];
        if (x->data)
            explicit_bzero((void *)(uintptr_t)x->data, x->len);
        free((void *)(uintptr_t)x->data);
        free(x->id);
    }
    free(s->secrets);
    free(s);
}

static bool has_secret(const struct build_session *s, const char *id)
{
    for (size_t i = 0; i < s->nsecrets; i++)
        if (strcmp(s->secrets[i].id, id) == 0)
            return true;
    return false;
}

static int add_secret(struct build_session *s, const struct build_session_secret *in,
                      struct err *err)
{
    struct build_secret *to = &s->secrets[s->nsecrets];
    const char *text = str_or(in->data, "");
    struct buf data = BUF_INIT;

    if (str_empty(in->id) || strlen(in->id) > NAME_MAX_B)
        return err_invalid(err, "the id of a secret has 1 to %d bytes", NAME_MAX_B);
    if (has_secret(s, in->id))
        return err_invalid(err, "secret %s is given twice", in->id);
    (void)buf_room(&data, strlen(text) / 4 * 3 + 3); /* at once: no copies are left behind */
    int r = base64_decode(text, strlen(text), &data);
    *to = (struct build_secret){xstrdup(in->id), data.data, data.len};
    s->nsecrets++;
    s->bytes += data.len;
    if (r < 0)
        return err_invalid(err, "secret %s is no base64", in->id);
    return data.len <= BUILD_SECRET_MAX ? 0
                                        : err_invalid(err, "secret %s is larger than %u KiB",
                                                      in->id, BUILD_SECRET_MAX >> 10);
}

static int make(const struct build_session_request *rq, struct build_session **ret, struct err *err)
{
    struct build_session *s = xnew(struct build_session);
    int r = rq->secrets.n <= BUILD_SECRETS_MAX
                ? 0
                : err_invalid(err, "more than %d secrets", BUILD_SECRETS_MAX);

    if (r >= 0)
        s->secrets = xcalloc(rq->secrets.n + 1, sizeof(*s->secrets));
    for (size_t i = 0; r >= 0 && i < rq->secrets.n; i++)
        r = add_secret(s, rq->secrets.v[i], err);
    if (r < 0) {
        build_session_free(s);
        return r;
    }
    rand_hex(s->id, BUILD_SESSION_ID);
    s->until_ns = mono_ns() + UNUSED_NS;
    *ret = s;
    return 0;
}

void build_session_fill(const struct build_session *s, struct build_request *rq)
{
    rq->secrets.v = s->secrets;
    rq->secrets.n = s->nsecrets;
}

/* ---- those that wait, the oldest first ---- */

/* Lock held. */
static void unlink_session(struct build_sessions *all, struct build_session **at)
{
    struct build_session *s = *at;

    *at = s->next;
    all->n--;
    all->bytes -= s->bytes;
}

/* Lock held. All wait equally long, so the first is always the next. */
static void arm(struct build_sessions *all)
{
    int64_t left = all->first ? all->first->until_ns - mono_ns() : -1;

    loop_timer_set(all->timer, !all->first ? -1 : left > 0 ? left : 0, 0);
}

static void expire(struct loop_source *timer, uint32_t events, void *arg)
{
    struct build_sessions *all = arg;
    int64_t now = mono_ns();

    (void)timer, (void)events;
    (void)pthread_mutex_lock(&all->lock);
    while (all->first && all->first->until_ns <= now) {
        struct build_session *s = all->first;
        unlink_session(all, &all->first);
        build_session_free(s);
    }
    arm(all);
    (void)pthread_mutex_unlock(&all->lock);
}

int engine_build_session(struct engine *e, const struct build_session_request *rq, char *ret_id,
                         struct err *err)
{
    struct build_sessions *all = e->build_sessions;
    struct build_session *s = NULL, **end = &all->first;
    int r = make(rq, &s, err);

    if (r < 0)
        return r;
    memcpy(ret_id, s->id, BUILD_SESSION_ID + 1);
    (void)pthread_mutex_lock(&all->lock);
    if (all->n >= SESSIONS_MAX || all->bytes + s->bytes > BYTES_MAX) {
        r = err_as(err, ERR_UNAVAILABLE, EBUSY, "too many sessions wait for their builds");
        build_session_free(s);
    } else {
        while (*end)
            end = &(*end)->next;
        *end = s;
        all->n++;
        all->bytes += s->bytes;
        arm(all);
    }
    (void)pthread_mutex_unlock(&all->lock);
    return r;
}

int build_session_take(struct engine *e, const char *id, struct build_session **ret,
                       struct err *err)
{
    struct build_sessions *all = e->build_sessions;
    struct build_session *found = NULL;

    (void)pthread_mutex_lock(&all->lock);
    for (struct build_session **at = &all->first; *at && !found; at = &(*at)->next) {
        if (strcmp((*at)->id, id) != 0)
            continue;
        found = *at;
        unlink_session(all, at);
        break;
    }
    arm(all);
    (void)pthread_mutex_unlock(&all->lock);
    if (!found)
        return err_not_found(err, "no such build session: it was used, or has expired");
    *ret = found;
    return 0;
}

int build_sessions_open(struct engine *e, struct err *err)
{
    struct build_sessions *all = xnew(struct build_sessions);

    (void)pthread_mutex_init(&all->lock, NULL);
    e->build_sessions = all;
    return loop_add_timer(e->loop, -1, 0, expire, all, &all->timer, err);
}

void build_sessions_free(struct engine *e)
{
    struct build_sessions *all = e->build_sessions;

    if (!all)
        return;
    loop_source_free(all->timer);
    for (struct build_session *s = all->first; s;) {
        struct build_session *next = s->next;
        build_session_free(s);
        s = next;
    }
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}
