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
#include "build/context.h"
#include "build/layout_line.h"
#include "engine/build-priv.h"
#include "engine/build_ssh.h"
#include "wire/build.h"

#define SESSIONS_MAX 64
#define BYTES_MAX (256u << 20) /* of all that wait */
#define UNUSED_NS (60 * NS_PER_S)
#define NAME_MAX_B 255
#define AGENTS_MAX 8
#define LAYOUTS_MAX 16
#define NO_SESSION "no such build session: it was used, or has expired"

struct build_session {
    char id[BUILD_SESSION_ID + 1];
    int64_t until_ns; /* monotonic */
    struct build_secret *secrets;
    size_t nsecrets, bytes;
    struct kept_context *context;
    struct arena mem; /* of the context's list */
    struct {
        char *id;
        struct build_agent *agent;
    } agents[AGENTS_MAX];
    struct build_ssh ssh[AGENTS_MAX]; /* the same for the build */
    size_t nagents;
    struct build_layout layouts[LAYOUTS_MAX];
    size_t nlayouts;
    struct build_session *next;
};

struct build_sessions {
    struct engine *e;
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
    for (size_t i = 0; i < s->nagents; i++) {
        build_agent_free(s->agents[i].agent);
        free(s->agents[i].id);
    }
    for (size_t i = 0; i < s->nlayouts; i++) {
        layout_line_free(s->layouts[i].line);
        free(s->layouts[i].id);
    }
    context_close(s->context);
    arena_done(&s->mem);
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

static struct build_session *make_empty(void)
{
    struct build_session *s = xnew(struct build_session);

    rand_hex(s->id, BUILD_SESSION_ID);
    return s;
}

static int make(const struct build_session_request *rq, struct build_session **ret, struct err *err)
{
    struct build_session *s = make_empty();
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
        unlink_session(all, &all->first);
        engine_job(all->e, forget, s);
    }
    arm(all);
    (void)pthread_mutex_unlock(&all->lock);
}

/* Let it wait; given away, also when there is no room for it. */
static int put(struct build_sessions *all, struct build_session *s, struct err *err)
{
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
    int r = make(rq, &s, err);

    if (r < 0)
        return r;
    memcpy(ret_id, s->id, BUILD_SESSION_ID + 1);
    return put(e->build_sessions, s, err);
}

int engine_build_context(struct engine *e, const char *session,
                         const struct build_context_request *rq, struct arena *mem, struct arena *a,
                         struct build_context_response *ret, struct err *err)
{
    struct build_session *s = NULL;
    int r = str_empty(session) ? 0 : build_session_take(e, session, &s, err);

    if (r < 0) {
        arena_done(mem);
        return r;
    }
    s = s ? s : make_empty();
    if (s->context) {
        arena_done(mem);
        r = err_invalid(err, "the session has a context");
    } else {
        s->mem = *mem;
        *mem = (struct arena)ARENA_INIT;
        s->bytes += s->mem.total;
        r = context_open(e->builder, rq, &s->mem, &s->context, err);
    }
    if (r >= 0)
        context_missing(s->context, a, ret);
    ret->session = arena_strdup(a, s->id);
    if (r >= 0)
        return put(e->build_sessions, s, err);
    build_session_free(s);
    return r;
}

/* ---- agents and directories: connections ---- */

static int check_id(const char *what, const char *id, struct err *err)
{
    return str_empty(id) || strlen(id) > NAME_MAX_B
               ? err_invalid(err, "the id of %s has 1 to %d bytes", what, NAME_MAX_B)
               : 0;
}

static int check_agent(const struct build_session *s, const char *id, struct err *err)
{
    int r = check_id("an agent", id, err);

    if (r >= 0 && s->nagents == AGENTS_MAX)
        return err_invalid(err, "more than %d agents", AGENTS_MAX);
    for (size_t i = 0; r >= 0 && i < s->nagents; i++)
        if (strcmp(s->agents[i].id, id) == 0)
            return err_invalid(err, "agent %s is given twice", id);
    return r;
}

static int check_layout(const struct build_session *s, const char *id, struct err *err)
{
    int r = check_id("a directory", id, err);

    if (r >= 0 && s->nlayouts == LAYOUTS_MAX)
        return err_invalid(err, "more than %d directories", LAYOUTS_MAX);
    for (size_t i = 0; r >= 0 && i < s->nlayouts; i++)
        if (strcmp(s->layouts[i].id, id) == 0)
            return err_invalid(err, "directory %s is given twice", id);
    return r;
}

typedef int (*check_fn)(const struct build_session *s, const char *id, struct err *err);

static int check_waiting(struct engine *e, const char *session, const char *id, check_fn check,
                         struct err *err)
{
    struct build_sessions *all = e->build_sessions;
    const struct build_session *s;

    (void)pthread_mutex_lock(&all->lock);
    for (s = all->first; s && strcmp(s->id, session) != 0; s = s->next)
        ;
    int r = s ? check(s, id, err) : err_not_found(err, NO_SESSION);
    (void)pthread_mutex_unlock(&all->lock);
    return r;
}

int engine_build_agent_check(struct engine *e, const char *session, const char *id, struct err *err)
{
    return check_waiting(e, session, id, check_agent, err);
}

int engine_build_layout_check(struct engine *e, const char *session, const char *id,
                              struct err *err)
{
    return check_waiting(e, session, id, check_layout, err);
}

static int add_agent(struct engine *e, struct build_session *s, const char *id, int *conn,
                     struct err *err)
{
    int r = build_agent_new(e->build_run_path, take_fd(conn), &s->agents[s->nagents].agent, err);

    if (r >= 0)
        s->agents[s->nagents++].id = xstrdup(id);
    return r;
}

static int add_layout(struct engine *e, struct build_session *s, const char *id, int *conn,
                      struct err *err)
{
    (void)e, (void)err;
    s->layouts[s->nlayouts++] = (struct build_layout){xstrdup(id), layout_line_new(take_fd(conn))};
    return 0;
}

/* @fd: given away */
static int add_connection(struct engine *e, const char *session, const char *id, int fd,
                          check_fn check,
                          int (*add)(struct engine *e, struct build_session *s, const char *id,
                                     int *conn, struct err *err),
                          struct err *err)
{
    auto_close int conn = fd;
    struct build_session *s = NULL;
    int r = build_session_take(e, session, &s, err);

    if (r >= 0)
        r = check(s, id, err);
    if (r >= 0)
        r = add(e, s, id, &conn, err);
    if (r >= 0)
        return put(e->build_sessions, s, err);
    build_session_free(s);
    return r;
}

int engine_build_agent(struct engine *e, const char *session, const char *id, int fd,
                       struct err *err)
{
    return add_connection(e, session, id, fd, check_agent, add_agent, err);
}

int engine_build_layout(struct engine *e, const char *session, const char *id, int fd,
                        struct err *err)
{
    return add_connection(e, session, id, fd, check_layout, add_layout, err);
}

struct kept_context *build_session_context(const struct build_session *s)
{
    return s ? s->context : NULL;
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
        return err_not_found(err, NO_SESSION);
    *ret = found;
    return 0;
}

int build_sessions_open(struct engine *e, struct err *err)
{
    struct build_sessions *all = xnew(struct build_sessions);

    (void)pthread_mutex_init(&all->lock, NULL);
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
    free(all);
}
