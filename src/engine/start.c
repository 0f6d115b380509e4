/*
 * Starting a container: join the network, write its files, build the plan, give birth to a shim,
 * and publish ports while the shim works. Everything that was done is undone when a step fails.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "oci/runtime.h"

#define ATTACH_MAX 16
#define OLD_SHIM_WAIT_MS 5000
#define ATTACH_WAIT_NS (2 * NS_PER_S)
#define RESTART_FIRST_NS (100 * NS_PER_MS)

/* A client of the run before that does not read its output must not hold up the next one. */
static void hurry_old_shim(struct container *c)
{
    struct shim_req req = {.op = "end"};

    (void)!ctr_ask(c, &req, -1, NULL, NULL);
}

/* The shim of the run before may still be tidying up (cgroup, socket). */
static int wait_for_old_shim(struct container *c, struct err *err)
{
    struct watcher w;
    int64_t deadline = mono_ns() + OLD_SHIM_WAIT_MS * NS_PER_MS;
    bool hurried = false;
    int r = ctr_watch(c, &w, err);

    while (r >= 0) {
        (void)pthread_mutex_lock(&c->lock);
        bool gone = c->control < 0;
        (void)pthread_mutex_unlock(&c->lock);
        if (gone)
            break;
        if (mono_ns() >= deadline) {
            r = err_as(err, ERR_SYSTEM, EBUSY, "the container's last run has not ended yet");
            break;
        }
        if (ctr_wait_change(&w, -1, 50) == 0 && !hurried) {
            hurry_old_shim(c);
            hurried = true;
        }
    }
    ctr_unwatch(c, &w);
    return r < 0 ? r : 0;
}

/* A client that has been promised the container's output must be in place before there is any. */
static int wait_for_attaches(struct container *c, struct err *err)
{
    struct watcher w;
    int64_t deadline = mono_ns() + ATTACH_WAIT_NS;
    bool more = true;
    int r = ctr_watch(c, &w, err);

    while (r >= 0 && more && mono_ns() < deadline) {
        (void)pthread_mutex_lock(&c->lock);
        more = c->attaching > 0;
        (void)pthread_mutex_unlock(&c->lock);
        if (more)
            (void)ctr_wait_change(&w, -1, 100);
    }
    ctr_unwatch(c, &w);
    return r < 0 ? r : 0;
}

static int open_run_dir(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct engine *e = c->e;
    auto_close int fd = -1;

    if (mkdirat(e->shims_fd, c->id, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "create run directory");
    fd = openat(e->shims_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, "open run directory");
    if ((unlinkat(fd, SHIM_EXIT_RECORD, 0) < 0 && errno != ENOENT) ||
        (unlinkat(fd, RUN_CGROUP, 0) < 0 && errno != ENOENT))
        return err_sys(err, "remove old exit record");
    if (symlinkat(ctr_cgroup_path(c, &a), fd, RUN_CGROUP) < 0)
        return err_sys(err, "note the cgroup");
    (void)pthread_mutex_lock(&c->lock);
    close_fd(&c->run_fd);
    c->run_fd = take_fd(&fd);
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

/* "10m", "100k", "1g", "-1" */
static int parse_size(const char *text, int64_t *ret)
{
    static const char units[] = "bkmgt";
    size_t n = text ? strlen(text) : 0;
    auto_free char *num = xstrdup(str_or(text, "-1"));
    int shift = 0;

    if (n && strchr(units, text[n - 1] | 32)) {
        shift = 10 * (int)(strchr(units, text[n - 1] | 32) - units);
        num[n - 1] = '\0';
    }
    int r = str_to_i64(num, ret);
    if (r >= 0 && *ret > (INT64_MAX >> shift))
        return -ERANGE;
    if (r >= 0 && *ret > 0)
        *ret <<= shift;
    return r;
}

/* Labels and environment that the user wants beside every log line. */
static void log_attrs(struct container *c, struct arena *a, struct shim_log *log)
{
    const struct strmap *o = &c->host->log_config.config;
    const char *labels = strmap_get(o, "labels"), *env = strmap_get(o, "env"),
               *tag = strmap_get(o, "tag");
    auto_buf struct buf t = BUF_INIT;
    struct json_w w = {.out = &t};
    struct strv names;

    json_w_obj(&w);
    names = str_split(a, str_or(labels, ""), ',');
    for (size_t i = 0; i < names.n; i++) {
        const char *v = strmap_get(&c->config->labels, names.v[i]);
        if (v) {
            json_w_key(&w, names.v[i]);
            json_w_str(&w, v);
        }
    }
    names = str_split(a, str_or(env, ""), ',');
    for (size_t i = 0; i < names.n; i++) {
        const char *v = *names.v[i] ? strv_env(&c->config->env, names.v[i]) : NULL;
        if (v) {
            json_w_key(&w, names.v[i]);
            json_w_str(&w, v);
        }
    }
    if (!str_empty(tag)) {
        json_w_key(&w, "tag");
        json_w_str(&w, tag);
    }
    json_w_end_obj(&w);
    if (t.len > 2)
        log->attrs = (struct json_raw){arena_strndup(a, t.data, t.len), t.len};
}

/* Rotation is on unless switched off: 10 MB, 3 files, compressed. */
static int log_plan(struct container *c, struct arena *a, struct shim_log *ret, struct err *err)
{
    const struct strmap *o = &c->host->log_config.config;
    const char *size = strmap_get(o, "max-size"), *files = strmap_get(o, "max-file"),
               *compress = strmap_get(o, "compress");
    int64_t n = 3;

    *ret = (struct shim_log){.driver = c->host->log_config.type,
                             .max_size = 10 << 20,
                             .compress = !compress || strcmp(compress, "true") == 0};
    if (size && parse_size(size, &ret->max_size) < 0)
        return err_invalid(err, "invalid value for max-size: %s", size);
    if (files && (str_to_i64(files, &n) < 0 || n < 1 || n > 1000))
        return err_invalid(err, "max-file cannot be less than 1");
    ret->max_files = (int32_t)n;
    log_attrs(c, a, ret);
    return 0;
}

/* Clients that attached while the container was not running are passed to the new shim. */
static struct waiting_client *take_waiting(struct container *c, struct arena *a,
                                           struct shim_plan *plan, int fds[ATTACH_MAX])
{
    (void)pthread_mutex_lock(&c->lock);
    struct waiting_client *first = c->waiting;
    c->waiting = NULL;
    (void)pthread_mutex_unlock(&c->lock);
    for (struct waiting_client *w = first; w && plan->attach.n < ATTACH_MAX; w = w->next) {
        struct shim_attach *sa = arena_new(a, struct shim_attach);
        *sa = w->a;
        fds[plan->attach.n] = w->fd;
        arena_push(a, plan->attach) = sa;
    }
    return first;
}

static void free_waiting(struct waiting_client *w)
{
    while (w) {
        struct waiting_client *next = w->next;
        close_fd(&w->fd);
        free(w);
        w = next;
    }
}

void ctr_drop_waiting(struct container *c)
{
    free_waiting(take_ptr(&c->waiting));
}

/* A fleeting layer's work directory is marked by the kernel as not to be used again; it holds
 * nothing that the next run needs. */
static int renew_work(struct container *c, struct err *err)
{
    if (!c->host->auto_remove || !c->started_ns)
        return 0;
    int r = remove_tree_at(c->data_fd, "work", err);
    if (r < 0)
        return r;
    if (mkdirat(c->data_fd, "work", 0711) < 0)
        return err_sys(err, "create work directory");
    return c->host->storage_opt.n ? ctr_limit_work(c, "work", err) : 0;
}

static int fill_plan(struct container *c, struct arena *a, struct shim_plan *plan, int *ret_seccomp,
                     struct err *err)
{
    *plan = (struct shim_plan){
        .version = SHIM_PROTOCOL,
        .id = c->id,
        .lowers = c->lowers,
        .upper = arena_printf(a, "%s/containers/%s/diff", c->e->data_path, c->id),
        .work = arena_printf(a, "%s/containers/%s/work", c->e->data_path, c->id),
        .cgroup = ctr_cgroup_path(c, a),
        .open_stdin = c->config->open_stdin,
        .stdin_once = c->config->stdin_once,
        .fleeting = c->host->auto_remove || ctr_hidden(c),
    };
    struct strv caps;
    int r = log_plan(c, a, &plan->log, err);
    if (r >= 0)
        r = renew_work(c, err);
    if (r >= 0)
        r = ctr_volumes_make(c, false, err);
    if (r >= 0)
        r = ctr_volumes_attach(c, err);
    if (r >= 0)
        r = ctr_make_bind_sources(c, err);
    if (r >= 0)
        r = links_running(c, err);
    if (r >= 0)
        r = ctr_net_join(c, a, plan, err);
    if (r >= 0)
        r = ctr_net_files(c, err);
    if (r >= 0)
        r = ctr_build_spec(c, a, &plan->spec, err);
    if (r >= 0)
        r = ctr_caps(c->host, a, &caps, err);
    return r < 0 ? r : ctr_seccomp(c, &caps, ret_seccomp, err);
}

/* Somebody has deleted the link that an end was to be made on. */
static int answer_parent(struct container *c, int control, const struct shim_event *ev,
                         struct err *err)
{
    struct shim_req req = {.op = "parent"};
    struct net_link link;

    if (ev->net >= c->net.nends)
        return err_no(err, EPROTO, "the shim asks for network %u of %zu", ev->net, c->net.nends);
    struct net *n = c->net.ends[ev->net].net;
    int r = net_mend(c->e, n, err);
    if (r < 0)
        return err_wrap(err, r, "network %s", n->rec.net.name);
    network_link(n->links, &link);
    req.parent = link.parent;
    r = shim_send(control, &shim_req_type, &req, NULL, 0);
    return r < 0 ? err_no(err, r, "tell the shim the network's link") : 0;
}

/* Waits for the shim's first word about the container. */
static int first_event(struct container *c, int control, struct arena *a, struct shim_event *ev,
                       struct err *err)
{
    for (;;) {
        int r = shim_first_event(control, SHIM_PATIENCE_MS, a, ev, err);
        if (r == 0)
            return err_no(err, ECONNRESET, "the shim ended before the container was started");
        if (r < 0)
            return r;
        if (strcmp(ev->event, "parent") != 0)
            break;
        r = answer_parent(c, control, ev, err);
        if (r < 0)
            return r;
    }
    if (strcmp(ev->event, "failed") == 0)
        return err_as(err, (enum err_kind)ev->kind, ev->no, "%s", str_or(ev->msg, ""));
    return 0;
}

static int go(struct container *c, int control, struct err *err)
{
    struct shim_req req = {.op = "go"};
    int r = ctr_net_publish(c, err);

    if (r < 0)
        return r;
    r = shim_send(control, &shim_req_type, &req, NULL, 0);
    return r < 0 ? err_no(err, r, "tell the shim to go on") : 0;
}

static int follow_shim(struct container *c, const struct shim_plan *plan, int control,
                       struct arena *a, struct shim_event *ev, struct err *err)
{
    FAIL_POINT("container.start.spawned", err);
    int r = plan->go ? go(c, control, err) : 0;

    return r < 0 ? r : first_event(c, control, a, ev, err);
}

/* The shim of a failed start is waited for: it deletes a cgroup, with all that is in it, which the
 * next start would have made again. The end of our direction is the "no" to its question. */
static void dismiss(int control)
{
    int64_t deadline = mono_ns() + OLD_SHIM_WAIT_MS * NS_PER_MS;
    char junk[256];
    ssize_t n = 1;

    (void)shutdown(control, SHUT_WR);
    for (int64_t left; n > 0 && (left = deadline - mono_ns()) > 0;) {
        struct pollfd p = {.fd = control, .events = POLLIN};
        if (poll(&p, 1, (int)(left / NS_PER_MS) + 1) > 0)
            n = recv(control, junk, sizeof(junk), MSG_DONTWAIT | MSG_TRUNC);
    }
}

static int run_shim(struct container *c, struct arena *a, struct shim_event *ev, struct err *err)
{
    struct shim_plan plan;
    int fds[ATTACH_MAX];
    auto_close int seccomp = -1, control = -1;

    int r = fill_plan(c, a, &plan, &seccomp, err);
    if (r < 0)
        return r;
    FAIL_POINT("container.start.spawn", err);
    struct waiting_client *waiting = take_waiting(c, a, &plan, fds);
    struct shim_spawn sp = {.program = c->e->shim,
                            .plan = &plan,
                            .run_fd = c->run_fd,
                            .data_fd = c->data_fd,
                            .seccomp_fd = seccomp,
                            .attach_fds = fds};
    control = r = shim_spawn(&sp, err);
    free_waiting(waiting);
    if (r < 0)
        return r;
    r = follow_shim(c, &plan, control, a, ev, err);
    if (r < 0) {
        dismiss(control);
        return r;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->control = take_fd(&control);
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

static void set_running(struct container *c, const struct shim_event *ev)
{
    c->status = CTR_RUNNING;
    c->restarting = false;
    c->pid = ev->pid;
    c->started_ns = ev->at_ns;
    c->exit_code = 0;
    c->oom = c->paused = c->manual_stop = false;
    free(c->error);
    c->error = NULL;
    health_start(c);
}

static void set_failed(struct container *c, int r, const struct err *err)
{
    struct err ignored = {0};

    (void)pthread_mutex_lock(&c->lock);
    struct ctr_net net = ctr_net_take(c);
    c->exit_code = err->kind == ERR_INVALID || err->kind == ERR_SYSTEM ? oci_exit_code(-r) : 128;
    free(c->error);
    c->error = xstrdup(err->msg);
    c->restarting = false;
    if (c->status == CTR_RUNNING)
        c->status = CTR_EXITED;
    c->exits++; /* for those who wait for the end of a run that never began */
    if (ctr_save_state(c, &ignored) < 0)
        log_error("container %s: %s", c->id, ignored.msg);
    (void)pthread_mutex_unlock(&c->lock);
    ctr_net_release(c, &net);
    ctr_volumes_detach(c);
    ctr_drop_waiting(c);
    engine_sweep_run(c->e, c->id);
    (void)pthread_mutex_lock(&c->lock);
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
}

static int save_running(struct container *c, struct err *err)
{
    FAIL_POINT("container.start.started", err);
    return ctr_save_state(c, err);
}

/* Those who came when the plan had been written already. */
static void attach_late(struct container *c, struct waiting_client *late)
{
    struct err err = {0};

    for (struct waiting_client *w = late; w; w = w->next) {
        struct shim_req req = {.op = "attach", .attach = &w->a};
        int r = ctr_ask(c, &req, w->fd, NULL, &err);
        if (r < 0 && r != -ESRCH)
            log_warn("container %s: attach a client: %s", c->id, err.msg);
    }
    free_waiting(late);
}

/* From here on the container runs; what cannot be recorded is ended again, by its own exit. */
static int started(struct container *c, const struct shim_event *ev, struct err *err)
{
    struct shim_req req = {.op = "kill", .signal = SIGKILL};
    struct err names = {0};

    (void)pthread_mutex_lock(&c->lock);
    set_running(c, ev);
    int r = save_running(c, err);
    c->manual_stop |= r < 0;
    struct waiting_client *late = take_ptr(&c->waiting);
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    attach_late(c, late);
    if (r >= 0 && ctr_net_started(c, &names) < 0) /* it runs, if without names of others */
        log_error("container %s: %s", c->id, names.msg);
    links_refresh(c);
    ctr_volume_events(c, "mount");
    ctr_net_event(c, "connect");
    ctr_event(c, "start", NULL);
    int w = ctr_watch_shim(c, r < 0 ? NULL : err);
    if (r < 0)
        (void)!ctr_ask(c, &req, -1, NULL, NULL);
    return r < 0 ? r : w;
}

int ctr_start_locked(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_event ev = {0};

    int r = wait_for_old_shim(c, err);
    if (r >= 0)
        r = wait_for_attaches(c, err);
    if (r < 0)
        return r;
    FAIL_POINT("container.start.begin", err);
    r = open_run_dir(c, err);
    if (r >= 0)
        r = run_shim(c, &a, &ev, err);
    ctr_volumes_close(c);
    if (r < 0) {
        set_failed(c, r, err);
        return err_wrap(err, r, "failed to create task for container: failed to start container");
    }
    return started(c, &ev, err);
}

/* What was to be removed after its run has had its run. */
void ctr_remove_failed(struct container *c)
{
    struct err ignored = {0};

    if (!c->host->auto_remove)
        return;
    if (ctr_remove_locked(c, true, &ignored) < 0)
        log_error("container %s: %s", c->id, ignored.msg);
    else
        ctr_volumes_drop(c);
}

int ctr_start(struct engine *e, const char *id, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    int r;

    if (!c)
        return err_code(err);
    (void)pthread_mutex_lock(&c->op);
    (void)pthread_mutex_lock(&c->lock);
    enum ctr_status status = c->status;
    bool paused = c->paused, running = ctr_running(c);
    c->restart_delay_ns = RESTART_FIRST_NS;
    if (!running)
        c->restart_count = 0;
    (void)pthread_mutex_unlock(&c->lock);
    if (paused)
        r = err_conflict(err, "cannot start a paused container, try unpause instead");
    else if (status == CTR_REMOVING || status == CTR_DEAD)
        r = err_conflict(err, "container is marked for removal and cannot be started");
    else if (running)
        r = 1;
    else {
        ctr_cancel_restart(c);
        r = ctr_start_locked(c, err);
        if (r < 0)
            ctr_remove_failed(c);
    }
    (void)pthread_mutex_unlock(&c->op);
    return r;
}
