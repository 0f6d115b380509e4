/* Signals to a container: kill, stop, restart; and pause, unpause, resize. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/time.h"

#define STOP_DEFAULT_S 10
#define KILL_WAIT_MS 10000
#define FREEZE_MS 10000

static int not_running(const struct container *c, struct err *err)
{
    return err_as(err, ERR_CONFLICT, ESRCH, "container %s is not running", c->id);
}

static bool still_running(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c);
    (void)pthread_mutex_unlock(&c->lock);
    return running;
}

/* Return: 0 sent, 1 it was gone already. */
static int send_signal(struct container *c, int sig, struct err *err)
{
    struct shim_req req = {.op = "kill", .signal = sig};
    int r = still_running(c) ? ctr_ask(c, &req, -1, NULL, err) : 1;

    if (r != -ESRCH)
        return r;
    err_clear(err);
    return 1;
}

static void thaw(struct container *c)
{
    struct err err = {0};

    (void)pthread_mutex_lock(&c->lock);
    bool paused = c->paused;
    (void)pthread_mutex_unlock(&c->lock);
    if (paused)
        (void)!ctr_unpause(c->e, c->id, &err);
}

/* Return: 0 it is not running any more, -ETIMEDOUT. @timeout_ms < 0: for ever. */
static int wait_stopped(struct container *c, int64_t timeout_ms, struct err *err)
{
    struct watcher w;
    int64_t deadline = mono_ns() + timeout_ms * NS_PER_MS;
    int r = ctr_watch(c, &w, err);

    while (r >= 0) {
        (void)pthread_mutex_lock(&c->lock);
        bool running = ctr_running(c), paused = c->paused;
        (void)pthread_mutex_unlock(&c->lock);
        if (!running) {
            r = 0;
            break;
        }
        if (paused) /* somebody froze it again: it must wake up to end */
            thaw(c);
        int64_t left = timeout_ms < 0 ? -1 : (deadline - mono_ns()) / NS_PER_MS;
        if (timeout_ms >= 0 && left <= 0) {
            r = -ETIMEDOUT;
            break;
        }
        (void)ctr_wait_change(&w, -1, (int)left);
    }
    ctr_unwatch(c, &w);
    return r;
}

static int stop_signal(const struct container *c, const char *signal, struct err *err)
{
    const char *name = str_or(signal, str_or(c->config->stop_signal, "SIGTERM"));
    int sig = signal_parse(name);

    return sig < 0 ? err_invalid(err, "invalid signal: %s", name) : sig;
}

static void kill_event(struct container *c, int sig)
{
    char num[8];

    (void)snprintf(num, sizeof(num), "%d", sig);
    ctr_event(c, "kill", "signal", num, NULL);
}

static int stop(struct container *c, const char *signal, const int64_t *timeout_s, struct err *err)
{
    int64_t t = timeout_s                   ? *timeout_s
                : c->config->stop_timeout_s ? *c->config->stop_timeout_s
                                            : STOP_DEFAULT_S;
    int sig = stop_signal(c, signal, err);

    if (sig < 0)
        return sig;
    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c), restarting = c->restarting;
    c->manual_stop = true;
    (void)pthread_mutex_unlock(&c->lock);
    ctr_cancel_restart(c);
    if (!running)
        return restarting ? 0 : 1;
    FAIL_POINT("container.stop.signal", err);
    int r = send_signal(c, sig, err);
    if (r < 0)
        return r;
    kill_event(c, sig);
    r = wait_stopped(c, t < 0 ? -1 : t * 1000, err);
    if (r == -ETIMEDOUT) {
        r = send_signal(c, SIGKILL, err);
        if (r >= 0) {
            kill_event(c, SIGKILL);
            r = wait_stopped(c, KILL_WAIT_MS, err);
        }
    }
    if (r == -ETIMEDOUT)
        return err_as(err, ERR_SYSTEM, ETIMEDOUT,
                      "tried to kill container, but did not receive an "
                      "exit event");
    if (r >= 0)
        ctr_event(c, "stop", NULL);
    return r < 0 ? r : 0;
}

int ctr_stop(struct engine *e, const char *id, const char *signal, const int64_t *timeout_s,
             struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    int r = stop(c, signal, timeout_s, err);
    return r < 0 ? err_wrap(err, r, "cannot stop container: %s", id) : r;
}

/* With --rm, too: the end in between is not the container's. That end is dealt with when a start
 * finds the old shim gone. */
static void keep(struct container *c, bool begins)
{
    (void)pthread_mutex_lock(&c->lock);
    c->kept = begins ? c->kept + 1 : c->kept - 1;
    (void)pthread_mutex_unlock(&c->lock);
}

static int restart(struct container *c, const char *signal, const int64_t *timeout_s,
                   struct err *err)
{
    int r = stop(c, signal, timeout_s, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->op);
    r = still_running(c) ? 0 : ctr_start_locked(c, err); /* somebody may have been faster */
    if (r < 0)
        ctr_remove_failed(c);
    (void)pthread_mutex_unlock(&c->op);
    return r;
}

int ctr_restart(struct engine *e, const char *id, const char *signal, const int64_t *timeout_s,
                struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    keep(c, true);
    int r = restart(c, signal, timeout_s, err);
    keep(c, false);
    if (r < 0)
        return err_wrap(err, r, "cannot restart container %s", id);
    ctr_event(c, "restart", NULL);
    return 0;
}

int ctr_kill(struct engine *e, const char *id, const char *signal, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    int sig = signal_parse(str_or(signal, "SIGKILL"));

    if (!c)
        return err_code(err);
    if (sig < 0)
        return err_invalid(err, "invalid signal: %s", signal);
    (void)pthread_mutex_lock(&c->lock);
    bool restarting = c->restarting;
    /* A deliberate end: not to be undone by the restart policy. */
    if (sig == SIGKILL || sig == stop_signal(c, "", NULL))
        c->manual_stop = true;
    (void)pthread_mutex_unlock(&c->lock);
    if (restarting) {
        ctr_cancel_restart(c);
        return 0;
    }
    int r = send_signal(c, sig, err);
    if (r > 0) {
        (void)not_running(c, err);
        r = -ESRCH;
    }
    if (r < 0)
        return err_wrap(err, r, "cannot kill container: %s", id);
    kill_event(c, sig);
    if (sig == SIGKILL) {
        (void)wait_stopped(c, KILL_WAIT_MS, NULL);
    }
    return 0;
}

/* ---- pause ---- */

static int open_cgroup(struct container *c, struct cgroup **ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    return cgroup_new(c->e->cgroups, ctr_cgroup_path(c, &a), ret, err);
}

static int set_paused(struct container *c, bool paused, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!ctr_running(c)) { /* it ended while we froze it */
        (void)pthread_mutex_unlock(&c->lock);
        return not_running(c, err);
    }
    c->paused = paused;
    int r = ctr_save_state(c, err);
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    ctr_event(c, paused ? "pause" : "unpause", NULL);
    return r;
}

static int pause_locked(struct container *c, struct err *err)
{
    struct cgroup *cg = NULL;

    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c), paused = c->paused, restarting = c->restarting;
    (void)pthread_mutex_unlock(&c->lock);
    if (restarting)
        return err_conflict(err, "container %s is restarting, wait until the container is running",
                            c->id);
    if (!running)
        return not_running(c, err);
    if (paused)
        return err_conflict(err, "container %s is already paused", c->id);
    int r = open_cgroup(c, &cg, err);
    if (r >= 0)
        r = cgroup_freeze(cg, FREEZE_MS, err);
    cgroup_free(cg);
    if (r < 0 && (r == -ENOENT || r == -ENODEV || !still_running(c)))
        return not_running(c, err); /* the kernel knows it before its shim has told us */
    return r < 0 ? err_wrap(err, r, "cannot pause container %s", c->id) : set_paused(c, true, err);
}

static int unpause_locked(struct container *c, struct err *err)
{
    struct cgroup *cg = NULL;

    (void)pthread_mutex_lock(&c->lock);
    bool paused = c->paused;
    (void)pthread_mutex_unlock(&c->lock);
    if (!paused)
        return err_as(err, ERR_SYSTEM, EINVAL, "Container %s is not paused", c->id);
    int r = open_cgroup(c, &cg, err);
    if (r >= 0)
        r = cgroup_thaw(cg, err);
    cgroup_free(cg);
    if (r < 0 && (r == -ENOENT || r == -ENODEV || !still_running(c)))
        return not_running(c, err);
    return r < 0 ? err_wrap(err, r, "cannot unpause container %s", c->id)
                 : set_paused(c, false, err);
}

/* One at a time: a freeze that waits for its end would never see it if a thaw came in between. */
static int locked(struct engine *e, const char *id, int (*fn)(struct container *, struct err *),
                  struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    (void)pthread_mutex_lock(&c->freeze);
    int r = fn(c, err);
    (void)pthread_mutex_unlock(&c->freeze);
    return r;
}

int ctr_pause(struct engine *e, const char *id, struct err *err)
{
    return locked(e, id, pause_locked, err);
}

int ctr_unpause(struct engine *e, const char *id, struct err *err)
{
    return locked(e, id, unpause_locked, err);
}

int ctr_resize(struct engine *e, const char *id, uint32_t rows, uint32_t cols, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct shim_req req = {.op = "resize", .rows = rows, .cols = cols};
    char height[16], width[16];

    if (!c)
        return err_code(err);
    int r = still_running(c) ? ctr_ask(c, &req, -1, NULL, err) : 1;
    if (r != 0)
        return r < 0 ? r : not_running(c, err);
    (void)snprintf(height, sizeof(height), "%u", rows);
    (void)snprintf(width, sizeof(width), "%u", cols);
    ctr_event(c, "resize", "height", height, "width", width, NULL);
    return 0;
}
