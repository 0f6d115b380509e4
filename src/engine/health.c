/*
 * Health checks: a probe is an exec like any other, run when its timer says so. Its output is kept
 * with its exit code, the last few of them; the status changes after so many failures in a row.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/time.h"

#define KEPT 5
#define OUTPUT_MAX 4096
#define INTERVAL_NS (30 * NS_PER_S)
#define START_INTERVAL_NS (5 * NS_PER_S)
#define RETRIES 3
#define KILL_WAIT_MS 5000

struct result {
    int64_t start_ns, end_ns, code;
    char *output; /* heap */
};

struct health_state {
    const char *status; /* "starting", "healthy", "unhealthy" */
    int64_t streak;
    struct result log[KEPT];
    size_t n;
    struct loop_source *timer;
};

static const struct healthcheck *check_of(const struct container *c)
{
    const struct healthcheck *h = c->config->healthcheck;

    return h && h->test.n > 1 && strcmp(h->test.v[0], "NONE") != 0 ? h : NULL;
}

static int64_t or_default(int64_t ns, int64_t otherwise)
{
    return ns ? ns : otherwise;
}

/* ---- one probe ---- */

/* {"CMD", a, b} is a command; {"CMD-SHELL", text} goes through the container's shell. */
static struct strv command(const struct container *c, const struct healthcheck *h, struct arena *a)
{
    struct strv cmd = {0};

    if (strcmp(h->test.v[0], "CMD-SHELL") == 0) {
        for (size_t i = 0; i < c->config->shell.n; i++)
            strv_push(a, &cmd, c->config->shell.v[i]);
        if (cmd.n == 0) {
            strv_push(a, &cmd, "/bin/sh");
            strv_push(a, &cmd, "-c");
        }
    }
    for (size_t i = 1; i < h->test.n; i++)
        strv_push(a, &cmd, h->test.v[i]);
    return cmd;
}

/* Reads what the probe says, until it ends or its time is over. Return: false on a time-out. */
static bool collect(int fd, int64_t deadline, struct buf *out)
{
    char block[1024];

    for (;;) {
        int64_t left = (deadline - mono_ns()) / NS_PER_MS;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return false;
        ssize_t got = read(fd, block, sizeof(block));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        if (out->len < OUTPUT_MAX)
            buf_put(out, block, (size_t)got);
    }
}

static void kill_probe(struct container *c, const char *exec_id)
{
    struct shim_req req = {.op = "kill", .exec = exec_id, .signal = SIGKILL};

    (void)!ctr_ask(c, &req, -1, NULL, NULL);
}

/* The exit code arrives as an event of its own, a moment after the end of the output. */
static int64_t wait_code(struct container *c, const char *exec_id)
{
    struct watcher w;
    struct exec_inspect in = {0};
    auto_arena struct arena a = ARENA_INIT;
    int64_t deadline = mono_ns() + KILL_WAIT_MS * NS_PER_MS;

    if (ctr_watch(c, &w, NULL) < 0)
        return -1;
    while (exec_inspect(c->e, exec_id, &a, &in, NULL) >= 0 && !in.exit_code && mono_ns() < deadline)
        (void)ctr_wait_change(&w, -1, 1000);
    ctr_unwatch(c, &w);
    return in.exit_code ? *in.exit_code : -1;
}

static void run_probe(struct container *c, const struct healthcheck *h, struct result *res)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    struct exec_create_request req = {
        .attach_stdout = true, .attach_stderr = true, .tty = false, .cmd = command(c, h, &a)};
    struct err err = {0};
    int64_t timeout = or_default(h->timeout_ns, INTERVAL_NS);
    char *id = NULL;
    int pair[2];

    res->start_ns = now_ns();
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0
                ? err_sys(&err, "create socket pair")
                : exec_create(c->e, c->id, &req, &a, &id, &err);
    if (r >= 0) {
        auto_close int ours = pair[0];
        r = exec_start_raw(c->e, id, pair[1], &err);
        bool done = r < 0 || collect(ours, mono_ns() + timeout, &out);
        if (!done)
            kill_probe(c, id);
        res->code = r < 0 ? -1 : wait_code(c, id);
        if (!done) {
            res->code = -1;
            buf_clear(&out);
            buf_printf(&out, "Health check exceeded timeout (%lld ms)",
                       (long long)(timeout / NS_PER_MS));
        }
    } else {
        res->code = -1;
    }
    if (r < 0)
        buf_puts(&out, err.msg);
    if (out.len > OUTPUT_MAX) {
        out.len = OUTPUT_MAX;
        out.data[OUTPUT_MAX] = '\0';
    }
    res->output = buf_take(&out);
    res->end_ns = now_ns();
}

/* ---- the state ---- */

static void keep(struct health_state *hs, const struct result *res)
{
    if (hs->n == KEPT) {
        free(hs->log[0].output);
        memmove(hs->log, hs->log + 1, (KEPT - 1) * sizeof(hs->log[0]));
        hs->n--;
    }
    hs->log[hs->n++] = *res;
}

static void arm(struct container *c, const struct healthcheck *h, struct health_state *hs)
{
    bool early =
        strcmp(hs->status, "starting") == 0 && now_ns() - c->started_ns < h->start_period_ns;
    int64_t every = early ? or_default(h->start_interval_ns, START_INTERVAL_NS)
                          : or_default(h->interval_ns, INTERVAL_NS);

    loop_timer_set(hs->timer, every, 0);
}

/* Return: the new status when it changed, else NULL. Lock held. */
static const char *judge(struct container *c, const struct healthcheck *h, const struct result *res)
{
    struct health_state *hs = c->health;
    const char *old = hs->status;
    int64_t retries = h->retries ? h->retries : RETRIES;
    bool grace = strcmp(old, "starting") == 0 && res->start_ns - c->started_ns < h->start_period_ns;

    keep(hs, res);
    if (res->code == 0) {
        hs->streak = 0;
        hs->status = "healthy";
    } else if (!grace && ++hs->streak >= retries) {
        hs->status = "unhealthy";
    }
    arm(c, h, hs);
    return strcmp(old, hs->status) == 0 ? NULL : hs->status;
}

static void probe_job(void *arg)
{
    auto_ctr struct container *c = arg;
    const struct healthcheck *h = check_of(c);
    struct result res = {0};
    const char *changed = NULL;
    char action[40];

    (void)pthread_mutex_lock(&c->lock);
    bool go = ctr_running(c) && !c->paused && c->health;
    unsigned run = c->exits;
    if (c->paused && c->health)
        arm(c, h, c->health);
    (void)pthread_mutex_unlock(&c->lock);
    if (!go)
        return;
    run_probe(c, h, &res);
    (void)pthread_mutex_lock(&c->lock);
    if (ctr_running(c) && c->exits == run)
        changed = judge(c, h, &res);
    else
        free(res.output);
    (void)pthread_mutex_unlock(&c->lock);
    if (!changed)
        return;
    (void)snprintf(action, sizeof(action), "health_status: %s", changed);
    ctr_event(c, action, NULL);
}

static void due(struct loop_source *s, uint32_t events, void *arg)
{
    struct container *c = arg;

    (void)s;
    (void)events;
    if (ctr_ref(c))
        engine_job(c->e, probe_job, c);
}

static void forget_results(struct health_state *hs)
{
    for (size_t i = 0; i < hs->n; i++)
        free(hs->log[i].output);
    hs->n = 0;
}

/* The timer is made once and kept: only the loop's thread may free it. */
void health_start(struct container *c)
{
    const struct healthcheck *h = check_of(c);
    struct err err = {0};

    if (!h)
        return;
    if (!c->health) {
        c->health = xnew(struct health_state);
        if (loop_add_timer(c->e->loop, -1, 0, due, c, &c->health->timer, &err) < 0) {
            log_error("container %s: health check: %s", c->id, err.msg);
            free(take_ptr(&c->health));
            return;
        }
    }
    forget_results(c->health);
    c->health->status = "starting";
    c->health->streak = 0;
    arm(c, h, c->health);
}

void health_stop(struct container *c)
{
    if (c->health)
        loop_timer_set(c->health->timer, -1, 0);
}

void health_free(struct container *c)
{
    struct health_state *hs = take_ptr(&c->health);

    if (!hs)
        return;
    loop_source_free(hs->timer);
    forget_results(hs);
    free(hs);
}

const char *health_word(const struct container *c)
{
    return c->health ? c->health->status : "none";
}

struct health *health_describe(const struct container *c, struct arena *a)
{
    const struct health_state *hs = c->health;
    char text[TIME_TEXT];

    if (!hs)
        return NULL;
    struct health *out = arena_new(a, struct health);
    out->status = arena_strdup(a, hs->status);
    out->failing_streak = hs->streak;
    out->log.v = arena_alloc(a, sizeof(*out->log.v));
    for (size_t i = 0; i < hs->n; i++) {
        struct health_result *r = arena_new(a, struct health_result);
        r->start = arena_strdup(a, time_rfc3339(hs->log[i].start_ns, text));
        r->end = arena_strdup(a, time_rfc3339(hs->log[i].end_ns, text));
        r->exit_code = hs->log[i].code;
        r->output = arena_strdup(a, hs->log[i].output);
        arena_push(a, out->log) = r;
    }
    return out;
}
