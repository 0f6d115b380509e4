/*
 * Sessions of builds: what waits for the build that names it. Secrets, in memory alone, and a
 * context that was compared with what the client has. A session is used up by one build; one that
 * nobody asks for is forgotten after a minute. What is forgotten is wiped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "build/layout_line.h"
#include "engine/build_session-priv.h"
#include "engine/build_ssh.h"
#include "wire/build.h"

#define SESSIONS_MAX 64
#define BYTES_MAX (256u << 20) /* of all that wait */
#define NO_SESSION "no such build session: it was used, or has expired"
#define UNUSED_NS (60 * NS_PER_S)

struct build_sessions {
    struct engine *e;
    pthread_mutex_t lock;
    pthread_cond_t released; /* somebody holds one no more */
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
    for (size_t i = 0; i < s->nagents; i++) {
        build_agent_free(s->agents[i].agent);
        free(s->agents[i].id);
    }
    for (size_t i = 0; i < s->nlayouts; i++) {
        layout_line_free(s->layouts[i].line);
        free(s->layouts[i].id);
    }
    build_session_drop_files(s);
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

    if (str_empty(in->id) || strlen(in->id) > SESSION_NAME_MAX)
        return err_invalid(err, "the id of a secret has 1 to %d bytes", SESSION_NAME_MAX);
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

struct build_session *build_session_new(struct engine *e)
{
    struct build_session *s = xnew(struct build_session);

    s->e = e;
    rand_hex(s->id, BUILD_SESSION_ID);
    return s;
}

static int make(struct engine *e, const struct build_session_request *rq,
                struct build_session **ret, struct err *err)
{
    struct build_session *s = build_session_new(e);
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
    *ret = s;
    return 0;
}

void build_session_fill(struct build_session *s, struct build_request *rq)
{
    for (size_t i = 0; i < s->nagents; i++)
        s->ssh[i] = (struct build_ssh){s->agents[i].id,
                                       (char *)(uintptr_t)build_agent_path(s->agents[i].agent)};
    rq->ssh.v = s->ssh;
    rq->ssh.n = s->nagents;
    rq->layouts.v = s->layouts;
    rq->layouts.n = s->nlayouts;
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

static void forget(void *arg)
{
    build_session_free(arg);
}

static void expire(struct loop_source *timer, uint32_t events, void *arg)
{
    struct build_sessions *all = arg;
    int64_t now = mono_ns();

    (void)timer, (void)events;
    (void)pthread_mutex_lock(&all->lock);
    while (all->first && all->first->until_ns <= now) {
        struct build_session *s = all->first;
        if (s->holders) {
            s->until_ns = now + NS_PER_S;
            break;
        }
        unlink_session(all, &all->first);
        engine_job(all->e, forget, s);
    }
    arm(all);
    (void)pthread_mutex_unlock(&all->lock);
}

int build_session_put(struct build_session *s, struct err *err)
{
    struct build_sessions *all = s->e->build_sessions;

    (void)pthread_mutex_lock(&all->lock);
    bool room = all->n < SESSIONS_MAX && all->bytes + s->bytes <= BYTES_MAX;
    if (room) {
        struct build_session **end = &all->first;
        while (*end)
            end = &(*end)->next;
        s->until_ns = mono_ns() + UNUSED_NS;
        s->next = NULL;
        *end = s;
        all->n++;
        all->bytes += s->bytes;
        arm(all);
    }
    (void)pthread_mutex_unlock(&all->lock);
    if (room)
        return 0;
    build_session_free(s);
    return err_as(err, ERR_UNAVAILABLE, EBUSY, "too many sessions wait for their builds");
}

int engine_build_session(struct engine *e, const struct build_session_request *rq, char *ret_id,
                         struct err *err)
{
    struct build_session *s = NULL;
    int r = make(e, rq, &s, err);

    if (r < 0)
        return r;
    memcpy(ret_id, s->id, BUILD_SESSION_ID + 1);
    return build_session_put(s, err);
}

/* Lock held. */
static struct build_session **find(struct build_sessions *all, const char *id)
{
    struct build_session **at = &all->first;

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

int build_session_hold(struct engine *e, const char *id,
                       int (*fn)(const struct build_session *s, const char *what, struct err *err),
                       const char *what, struct build_session **ret, struct err *err)
{
    struct build_sessions *all = e->build_sessions;

    (void)pthread_mutex_lock(&all->lock);
    struct build_session *s = *find(all, id);
    int r = s ? fn(s, what, err) : err_not_found(err, NO_SESSION);
    if (r >= 0) {
        s->holders++;
        *ret = s;
    }
    (void)pthread_mutex_unlock(&all->lock);
    return r;
}

int build_session_release(struct build_session *s, int (*fn)(struct build_session *s, void *arg),
                          void *arg)
{
    struct build_sessions *all = s->e->build_sessions;

    (void)pthread_mutex_lock(&all->lock);
    int r = fn ? fn(s, arg) : 0;
    s->holders--;
    (void)pthread_cond_broadcast(&all->released);
    (void)pthread_mutex_unlock(&all->lock);
    return r;
}

int build_session_take(struct engine *e, const char *id, struct build_session **ret,
                       struct err *err)
{
    struct build_sessions *all = e->build_sessions;
    struct build_session **at, *found;

    (void)pthread_mutex_lock(&all->lock);
    while (*(at = find(all, id)) && (*at)->holders)
        (void)pthread_cond_wait(&all->released, &all->lock);
    found = *at;
    if (found)
        unlink_session(all, at);
    arm(all);
    (void)pthread_mutex_unlock(&all->lock);
    if (!found)
        return err_not_found(err, NO_SESSION);
    *ret = found;
    return 0;
}

int build_sessions_open(struct engine *e, struct err *err)
{
    struct build_sessions *all = xnew(struct build_sessions);

    (void)pthread_mutex_init(&all->lock, NULL);
    (void)pthread_cond_init(&all->released, NULL);
    all->e = e;
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
    (void)pthread_cond_destroy(&all->released);
    free(all);
}
