/*
 * What a shim tells the daemon, and what follows from it. The control socket is watched by the
 * event loop; its messages are read and acted upon by a thread of the pool, one at a time per
 * container, since the source is re-armed only when a message is dealt with.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/time.h"

#define RESTART_FIRST_NS (100 * NS_PER_MS)
#define RESTART_MAX_NS (60 * NS_PER_S)
#define RESTART_RESET_NS (10 * NS_PER_S)
#define LOST_CODE 255
#define CGROUP_WAIT_MS 2000
#define ADOPT_MS 10000 /* the daemon's start waits for it */

struct job {
    struct engine *e;
    void (*fn)(void *arg);
    void *arg;
};

static void run_job(void *arg)
{
    struct job *j = arg;
    struct engine *e = j->e;

    j->fn(j->arg);
    free(j);
    (void)pthread_mutex_lock(&e->lock);
    e->jobs--;
    (void)pthread_cond_broadcast(&e->quiet);
    (void)pthread_mutex_unlock(&e->lock);
}

void engine_job(struct engine *e, void (*fn)(void *arg), void *arg)
{
    struct job *j = xnew(struct job);
    struct err err = {0};

    *j = (struct job){e, fn, arg};
    (void)pthread_mutex_lock(&e->lock);
    e->jobs++;
    (void)pthread_mutex_unlock(&e->lock);
    if (pool_run(e->pool, run_job, j, &err) < 0) {
        log_error("%s", err.msg);
        run_job(j); /* slow beats lost */
    }
}

/* ---- the end of a container ---- */

/* Nobody sees it stopped before its networks are free of it: what follows may be their removal. */
static void give_back_networks(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct ctr_net net = ctr_net_take(c);
    (void)pthread_mutex_unlock(&c->lock);
    ctr_net_release(c, &net);
}

static void record_exit(struct container *c, int code, bool oom, int64_t at_ns)
{
    struct err err = {0};

    (void)pthread_mutex_lock(&c->ends);
    give_back_networks(c);
    (void)pthread_mutex_lock(&c->lock);
    c->status = CTR_EXITED;
    c->paused = false;
    c->pid = 0;
    c->exit_code = code;
    c->oom = oom;
    c->finished_ns = at_ns;
    c->exits++;
    health_stop(c);
    execs_ended(c);
    if (ctr_save_state(c, &err) < 0)
        log_error("container %s: %s", c->id, err.msg);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_mutex_unlock(&c->ends);
}

/* The run directory tells which cgroup, also when the container itself is forgotten. */
static int sweep_cgroup(struct engine *e, const char *id, struct err *err)
{
    auto_free char *link = xasprintf("%s/" RUN_CGROUP, id);
    char path[4096];
    struct cgroup *cg = NULL;
    ssize_t n = readlinkat(e->shims_fd, link, path, sizeof(path) - 1);

    if (n < 0)
        return errno == ENOENT ? 0 : err_sys(err, "read %s", link);
    path[n] = '\0';
    int r = cgroup_new(e->cgroups, path, &cg, err);
    bool left = r >= 0 && (r = cgroup_exists(cg, err)) > 0;
    if (left)
        r = cgroup_kill(cg, SIGKILL, err);
    if (left && r >= 0)
        r = cgroup_delete(cg, CGROUP_WAIT_MS, err);
    cgroup_free(cg);
    return r;
}

void engine_sweep_run(struct engine *e, const char *id)
{
    struct err err = {0};
    int r = sweep_cgroup(e, id, &err);

    if (r >= 0)
        r = remove_tree_at(e->shims_fd, id, &err);
    if (r < 0) /* the directory stays: the next start tries again */
        log_warn("container %s: %s", id, err.msg);
}

void ctr_exited(struct container *c, int code, bool oom, int64_t at_ns)
{
    char text[16], secs[24];

    if (c->e->loaded) /* else vol_sweep() does it, which holds up no start of the daemon */
        ctr_volumes_detach(c);
    (void)snprintf(text, sizeof(text), "%d", code);
    (void)snprintf(secs, sizeof(secs), "%lld",
                   (long long)(c->started_ns ? (at_ns - c->started_ns) / NS_PER_S : 0));
    record_exit(c, code, oom, at_ns);
    ctr_net_event(c, "disconnect");
    ctr_volume_events(c, "unmount");
    ctr_event(c, "die", "exitCode", text, "execDuration", secs, NULL);
}

static bool wants_restart(const struct container *c)
{
    const struct restart_policy *p = &c->host->restart_policy;

    if (c->manual_stop || c->e->stopping)
        return false;
    if (str_eq(p->name, "always") || str_eq(p->name, "unless-stopped"))
        return true;
    return str_eq(p->name, "on-failure") && c->exit_code != 0 &&
           (p->max_retries == 0 || c->restart_count < p->max_retries);
}

static void restart_now(void *arg)
{
    auto_ctr struct container *c = arg;
    struct err err = {0};

    (void)pthread_mutex_lock(&c->op);
    (void)pthread_mutex_lock(&c->lock);
    bool go = c->restarting && !c->e->stopping;
    (void)pthread_mutex_unlock(&c->lock);
    if (go && ctr_start_locked(c, &err) < 0) {
        log_error("container %s: restart: %s", c->id, err.msg);
        ctr_after_exit(c);
    }
    (void)pthread_mutex_unlock(&c->op);
}

static void restart_due(struct loop_source *s, uint32_t events, void *arg)
{
    struct container *c = arg;

    (void)s;
    (void)events;
    if (ctr_ref(c))
        engine_job(c->e, restart_now, c);
}

static void schedule_restart(struct container *c)
{
    struct err err = {0};
    int64_t ran = c->finished_ns - c->started_ns;

    if (c->restart_delay_ns == 0 || ran >= RESTART_RESET_NS)
        c->restart_delay_ns = RESTART_FIRST_NS;
    int64_t delay = c->restart_delay_ns;
    c->restart_delay_ns = delay * 2 > RESTART_MAX_NS ? RESTART_MAX_NS : delay * 2;
    c->restart_count++;
    c->restarting = true;
    c->status = CTR_RUNNING;
    if (c->restart_timer)
        loop_timer_set(c->restart_timer, delay, 0);
    else if (loop_add_timer(c->e->loop, delay, 0, restart_due, c, &c->restart_timer, &err) < 0)
        log_error("container %s: %s", c->id, err.msg);
}

void ctr_cancel_restart(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    if (c->restarting) {
        c->restarting = false;
        c->status = CTR_EXITED;
        if (c->restart_timer)
            loop_timer_set(c->restart_timer, -1, 0);
        ctr_changed(c);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static void remove_now(void *arg)
{
    auto_ctr struct container *c = arg;
    struct err err = {0};

    (void)pthread_mutex_lock(&c->op);
    int r = c->removed ? 0 : ctr_remove_locked(c, true, &err);
    (void)pthread_mutex_unlock(&c->op);
    if (r >= 0)
        ctr_volumes_drop(c);
    if (r < 0)
        log_error("container %s: %s", c->id, err.msg);
}

/* Restart it, remove it, or leave it: then everybody who waits may look. */
void ctr_after_exit(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool again = wants_restart(c), drop = c->host->auto_remove && !c->auto_removing && !c->kept;
    if (again)
        schedule_restart(c);
    else
        c->restarting = false;
    c->auto_removing |= drop && !again;
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    if (drop && !again)
        engine_job(c->e, remove_now, ctr_ref(c));
}

/* ---- the control socket ---- */

/* The shim has gone. If it did not say "exit" before, its record may; else the container is lost.
 */
static void shim_gone(struct container *c)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_event ev = {0};
    struct err err = {0};

    (void)pthread_mutex_lock(&c->lock);
    bool unseen = ctr_running(c);
    int run_fd = take_fd(&c->run_fd);
    (void)pthread_mutex_unlock(&c->lock);
    if (unseen) {
        if (run_fd < 0 || shim_exit_record(run_fd, &a, &ev, &err) != 1)
            ev = (struct shim_event){.code = LOST_CODE, .at_ns = now_ns()};
        ctr_exited(c, ev.code, ev.oom, ev.at_ns);
    }
    close_fd(&run_fd);
    engine_sweep_run(c->e, c->id);
    ctr_unwatch_shim(c);
    if (unseen)
        ctr_after_exit(c);
}

/* A daemon that stops waits for shims that are about to go: see engine_stop(). */
static void count_ending(struct container *c, bool begins)
{
    struct engine *e = c->e;

    (void)pthread_mutex_lock(&e->lock);
    if (c->ending != begins) {
        c->ending = begins;
        e->ending = begins ? e->ending + 1 : e->ending - 1;
        (void)pthread_cond_broadcast(&e->quiet);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static void on_event(struct container *c, const struct shim_event *ev)
{
    if (strcmp(ev->event, "exit") == 0) {
        count_ending(c, true);
        ctr_exited(c, ev->code, ev->oom, ev->at_ns);
        ctr_after_exit(c);
    } else if (strcmp(ev->event, "exec-exit") == 0) {
        exec_ended(c, ev->exec, ev->code);
    } else if (strcmp(ev->event, "oom") == 0) {
        ctr_event(c, "oom", NULL);
    } else if (strcmp(ev->event, "detach") == 0) {
        if (str_empty(ev->exec))
            ctr_event(c, "detach", NULL);
        else
            ctr_event(c, "exec_detach", "execID", ev->exec, NULL);
    }
}

static void read_control(void *arg)
{
    auto_ctr struct container *c = arg;
    auto_arena struct arena a = ARENA_INIT;
    struct shim_event ev = {0};
    struct err err = {0};
    int r = shim_recv(c->control, &shim_event_type, &a, &ev, NULL, NULL, &err);

    if (r > 0) {
        on_event(c, &ev);
    } else {
        if (r < 0)
            log_error("container %s: %s", c->id, err.msg);
        shim_gone(c);
        return;
    }
    if (loop_source_arm(c->control_src, EPOLLIN | EPOLLONESHOT, &err) < 0)
        log_error("container %s: %s", c->id, err.msg);
}

static void control_ready(struct loop_source *s, uint32_t events, void *arg)
{
    struct container *c = arg;

    (void)s;
    (void)events;
    engine_job(c->e, read_control, ctr_ref(c));
}

int ctr_watch_shim(struct container *c, struct err *err)
{
    struct container *held = ctr_ref(c); /* the source's, until the shim is gone */

    (void)pthread_mutex_lock(&c->lock);
    int r = loop_add_fd(c->e->loop, c->control, EPOLLIN | EPOLLONESHOT, control_ready, c,
                        &c->control_src, err);
    (void)pthread_mutex_unlock(&c->lock);
    if (r < 0)
        ctr_unref(held);
    return r;
}

void ctr_unwatch_shim(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool watched = c->control_src != NULL;
    loop_source_free(take_ptr(&c->control_src));
    close_fd(&c->control);
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    count_ending(c, false);
    if (watched)
        ctr_unref(c);
}

/* ---- at the start of the daemon ---- */

static void take_watch_reply(struct container *c, const struct shim_reply *st)
{
    c->status = CTR_RUNNING;
    c->pid = st->pid;
    if (st->started_ns)
        c->started_ns = st->started_ns;
    health_start(c);
}

/* Return: 1 a living shim was found and is watched, 0 none. */
static int find_shim(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req = {.op = "watch"};
    struct shim_reply st = {0};
    auto_close int run = openat(c->e->shims_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (run < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open run directory");
    auto_close int sock = shim_connect(run, ADOPT_MS, err);
    c->run_fd = take_fd(&run);
    int r = sock < 0 ? sock : shim_call_on(sock, &req, -1, &a, &st, err);
    if (r == -ETIMEDOUT)
        return r; /* it may live: nothing of it is touched */
    if (r != 0) {
        err_clear(err);
        return 0; /* gone, or on its way out */
    }
    if (st.version != SHIM_PROTOCOL)
        return err_invalid(err, "its shim speaks protocol %d, this daemon %d", st.version,
                           SHIM_PROTOCOL);
    if (!st.started_ns || st.exited)
        return 0;
    c->control = take_fd(&sock);
    take_watch_reply(c, &st);
    return 1;
}

int ctr_adopt(struct container *c, struct err *err)
{
    bool was_running = c->status == CTR_RUNNING;
    int r = find_shim(c, err);

    if (r < 0)
        return err_wrap(err, r, "container %s", c->id);
    if (r > 0) {
        (void)pthread_mutex_lock(&c->lock);
        r = ctr_save_state(c, err);
        (void)pthread_mutex_unlock(&c->lock);
        if (r >= 0 && ctr_net_started(c, err) < 0) { /* it runs, if without names of others */
            log_error("container %s: %s", c->id, err->msg);
            err_clear(err);
        }
        return r < 0 ? r : ctr_watch_shim(c, err);
    }
    if (was_running) {
        shim_gone(c);
        return 0;
    }
    close_fd(&c->run_fd);
    engine_sweep_run(c->e, c->id);
    /* "always" means also after a restart of the daemon, unless stopped by hand. */
    bool again = (str_eq(c->host->restart_policy.name, "always") && c->status == CTR_EXITED) ||
                 (c->status == CTR_EXITED && wants_restart(c));
    if (again) {
        (void)pthread_mutex_lock(&c->lock);
        schedule_restart(c);
        (void)pthread_mutex_unlock(&c->lock);
    }
    return 0;
}
