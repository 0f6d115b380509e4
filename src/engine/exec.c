/*
 * Exec: a further process in a running container. An exec object lives in memory with its
 * container; starting it is one message to the shim, which becomes the parent of the process.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/frame.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "oci/runtime.h"

#define EXECS_MAX 10000
#define SETTLE_NS (2 * NS_PER_S)

/*
 * The list of a container's execs changes under both engine.lock and container.lock, so holding
 * either is enough to walk it.
 */

static void exec_free(struct exec *x)
{
    arena_done(&x->mem);
    free(x);
}

static void exec_unref(struct exec *x)
{
    if (!x)
        return;
    struct engine *e = x->e;
    (void)pthread_mutex_lock(&e->lock);
    bool last = --x->refs == 0;
    (void)pthread_mutex_unlock(&e->lock);
    if (last)
        exec_free(x);
}

DEFINE_AUTO(exec, struct exec *, exec_unref)
#define auto_exec AUTO(auto_exec_)

/* Finds an exec by id; the references to it and to its container are the caller's. */
static struct exec *find(struct engine *e, const char *id, struct container **ret_c,
                         struct err *err)
{
    struct exec *found = NULL;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c && !found; c = c->next)
        for (struct exec *x = c->execs; x && !found; x = x->next)
            if (strcmp(x->id, id) == 0) {
                found = x;
                x->refs++;
                c->refs++;
                *ret_c = c;
            }
    (void)pthread_mutex_unlock(&e->lock);
    if (!found)
        (void)err_not_found(err, "No such exec instance: %.200s", id);
    return found;
}

void execs_free(struct container *c)
{
    while (c->execs) {
        struct exec *x = c->execs;
        c->execs = x->next;
        exec_unref(x);
    }
}

static char *command_line(const struct exec *x, struct arena *a)
{
    return strv_join(a, &x->req->cmd, " ");
}

static void exec_event(struct container *c, const char *what, const struct exec *x)
{
    auto_arena struct arena a = ARENA_INIT;

    ctr_event(c, arena_printf(&a, "%s: %s", what, command_line(x, &a)), "execID", x->id, NULL);
}

static int check_state(struct container *c, struct err *err)
{
    int r = 0;

    (void)pthread_mutex_lock(&c->lock);
    if (c->restarting)
        r = err_conflict(err, "Container %s is restarting, wait until the container is running",
                         c->id);
    else if (!ctr_running(c))
        r = err_conflict(err, "container %s is not running", c->id);
    else if (c->paused)
        r = err_conflict(err, "Container %s is paused, unpause the container before exec", c->id);
    (void)pthread_mutex_unlock(&c->lock);
    return r;
}

/* Both locks held. Those that ended and that nobody asked about for long: a health check makes
 * thousands. */
static void drop_old(struct container *c)
{
    size_t n = 0;

    for (struct exec **at = &c->execs; *at;) {
        struct exec *x = *at;
        if (++n > EXECS_MAX / 10 && x->has_code) {
            *at = x->next;
            if (--x->refs == 0)
                exec_free(x);
        } else {
            at = &x->next;
        }
    }
}

int exec_create(struct engine *e, const char *id, const struct exec_create_request *req,
                struct arena *a, char **ret_id, struct err *err)
{
    char keys[64];
    auto_ctr struct container *c = ctr_find(e, id, err);
    int r = c ? check_state(c, err) : err_code(err);

    if (r >= 0 && req->cmd.n == 0)
        r = err_invalid(err, "No exec command specified");
    if (r >= 0)
        r = keys_parse(req->detach_keys, keys, err);
    if (r < 0)
        return r;
    struct exec *x = xnew(struct exec);
    rand_id(x->id);
    x->e = e;
    x->refs = 1;
    x->req = json_clone(&exec_create_request_type, req, &x->mem);
    *ret_id = arena_strdup(a, x->id);
    exec_event(c, "exec_create", x);
    (void)pthread_mutex_lock(&e->lock);
    (void)pthread_mutex_lock(&c->lock);
    drop_old(c);
    x->next = c->execs;
    c->execs = x;
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_mutex_unlock(&e->lock);
    return 0;
}

int exec_check(struct engine *e, const char *exec_id, bool *ret_tty, struct err *err)
{
    struct container *owner = NULL;
    auto_exec struct exec *x = find(e, exec_id, &owner, err);
    auto_ctr struct container *c = owner;

    if (!x)
        return err_code(err);
    (void)pthread_mutex_lock(&c->lock);
    bool started = x->started, ended = x->has_code;
    (void)pthread_mutex_unlock(&c->lock);
    if (ended)
        return err_conflict(err, "exec command %s has already run", x->id);
    if (started)
        return err_conflict(err, "exec command %s is already running", x->id);
    *ret_tty = x->req->tty;
    return check_state(c, err);
}

/* ---- the process ---- */

static int build_process(struct container *c, const struct exec *x, const int64_t size[2],
                         struct arena *a, struct oci_process **ret, struct err *err)
{
    struct oci_process *p;
    struct user_info u;
    struct strv caps;
    struct host_config host = *c->host;

    int r = ctr_caps(c->host, a, &caps, err);
    if (r >= 0)
        r = ctr_build_process(c, &caps, a, &p, err); /* no-new-privileges, limits: as there */
    if (r >= 0)
        r = user_lookup(c, str_empty(x->req->user) ? c->config->user : x->req->user,
                        &c->host->group_add, a, &u, err);
    host.privileged |= x->req->privileged;
    if (r >= 0)
        r = ctr_caps(&host, a, &caps, err);
    if (r < 0)
        return r;
    p->args = x->req->cmd;
    p->terminal = x->req->tty;
    p->console_size = NULL;
    if (size && size[0] > 0) {
        p->console_size = arena_new(a, struct oci_box);
        p->console_size->height = (uint32_t)size[0];
        p->console_size->width = (uint32_t)size[1];
    }
    p->user.uid = u.uid;
    p->user.gid = u.gid;
    p->user.additional_gids.v = u.groups.v;
    p->user.additional_gids.n = u.groups.n;
    p->cwd = arena_strdup(a, str_or(x->req->working_dir, str_or(c->config->working_dir, "/")));
    p->capabilities->bounding = caps;
    p->capabilities->permitted = p->capabilities->effective = u.uid == 0 ? caps : (struct strv){0};
    p->env = ctr_environment(c, x->req->tty, &x->req->env, u.home, a);
    *ret = p;
    return 0;
}

static int ask_shim(struct container *c, struct exec *x, const struct shim_attach *sa, int fd,
                    const int64_t size[2], struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req = {
        .op = "exec", .exec = x->id, .tty = x->req->tty, .attach = (struct shim_attach *)sa};
    struct shim_reply reply = {0};
    int r = build_process(c, x, size, &a, &req.process, err);

    if (r >= 0)
        r = check_state(c, err);
    if (r >= 0)
        r = ctr_ask(c, &req, fd, &reply, err);
    if (r != 0)
        return r < 0 ? r : err_conflict(err, "container %s is not running", c->id);
    (void)pthread_mutex_lock(&c->lock);
    x->pid = reply.pid;
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

/* Return: 0 it is ours to start. */
static int claim(struct container *c, struct exec *x, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    bool taken = x->started;
    x->started = x->running = true;
    (void)pthread_mutex_unlock(&c->lock);
    return taken ? err_conflict(err, "exec command %s is already running", x->id) : 0;
}

/* The client already has its "101 UPGRADED": it reads the reason where it expects output. */
static void tell_client(int fd, bool mux, const struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    size_t n = strlen(err->msg) + 2;
    uint8_t head[FRAME_HEADER];

    frame_put(head, FRAME_STDOUT, (uint32_t)n);
    if (mux)
        buf_put(&text, head, sizeof(head));
    buf_printf(&text, "%s\r\n", err->msg);
    (void)!write_full(fd, text.data, text.len);
}

static int start(struct engine *e, const char *exec_id, int *fd, bool raw, const int64_t size[2],
                 struct err *err)
{
    struct container *owner = NULL;
    auto_exec struct exec *x = find(e, exec_id, &owner, err);
    auto_ctr struct container *c = owner;
    char keys[64];

    int r = x ? claim(c, x, err) : err_code(err);
    if (r >= 0)
        r = keys_parse(x->req->detach_keys, keys, err);
    if (r < 0)
        return r;
    struct shim_attach sa = {.in = x->req->attach_stdin && *fd >= 0,
                             .out = x->req->attach_stdout,
                             .err = x->req->attach_stderr,
                             .mux = !x->req->tty && !raw,
                             .detach_keys = keys};
    exec_event(c, "exec_start", x);
    r = ask_shim(c, x, &sa, *fd, size, err);
    if (r >= 0)
        return 0;
    (void)pthread_mutex_lock(&c->lock);
    x->has_code = true;
    x->running = false;
    x->code = oci_exit_code(-r);
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    (void)err_wrap(err, r, "OCI runtime exec failed");
    if (*fd >= 0)
        tell_client(*fd, sa.mux, err);
    return r;
}

int exec_start(struct engine *e, const char *exec_id, int client, const struct buf *early,
               const int64_t size[2], struct err *err)
{
    auto_close int fd = client;
    int r = push_early(&fd, early, err);

    return r < 0 ? r : start(e, exec_id, &fd, false, size, err);
}

int exec_start_raw(struct engine *e, const char *exec_id, int client, struct err *err)
{
    auto_close int fd = client;

    return start(e, exec_id, &fd, true, NULL, err);
}

void exec_ended(struct container *c, const char *exec_id, int code)
{
    char num[16];

    (void)pthread_mutex_lock(&c->lock);
    for (struct exec *x = c->execs; x; x = x->next)
        if (strcmp(x->id, exec_id) == 0) {
            x->has_code = true;
            x->running = false;
            x->code = code;
        }
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    (void)snprintf(num, sizeof(num), "%d", code);
    ctr_event(c, "exec_die", "execID", exec_id, "exitCode", num, NULL);
}

void execs_ended(struct container *c)
{
    for (struct exec *x = c->execs; x; x = x->next)
        if (x->running) {
            x->running = false;
            x->has_code = true;
            x->code = 137;
        }
}

int exec_resize(struct engine *e, const char *exec_id, uint32_t rows, uint32_t cols,
                struct err *err)
{
    struct container *owner = NULL;
    auto_exec struct exec *x = find(e, exec_id, &owner, err);
    auto_ctr struct container *c = owner;

    if (!x)
        return err_code(err);
    struct shim_req req = {.op = "resize", .exec = x->id, .rows = rows, .cols = cols};
    (void)pthread_mutex_lock(&c->lock);
    bool running = x->running;
    (void)pthread_mutex_unlock(&c->lock);
    int r = running ? ctr_ask(c, &req, -1, NULL, err) : 1;
    return r <= 0 ? r : err_conflict(err, "exec process is not running");
}

enum exec_phase { STARTING, RUNNING, OVER };

static enum exec_phase phase(struct container *c, const struct exec *x)
{
    (void)pthread_mutex_lock(&c->lock);
    enum exec_phase now = !x->running ? OVER : x->pid ? RUNNING : STARTING;
    (void)pthread_mutex_unlock(&c->lock);
    return now;
}

/* Is it over for the shim? Then the event that says so is on its way to us. */
static bool over_for_shim(struct container *c, struct exec *x)
{
    struct shim_req req = {.op = "state", .exec = x->id};
    struct shim_reply reply = {0};

    return ctr_ask(c, &req, -1, &reply, NULL) == 0 && reply.exited;
}

/*
 * A client asks for the exit code as soon as its stream ends, which may be before we have read the
 * shim's answer to the start, or its event. Wait for both if they are on their way.
 */
static void settle(struct container *c, struct exec *x)
{
    struct watcher w;
    int64_t deadline = mono_ns() + SETTLE_NS;

    if (phase(c, x) == OVER || ctr_watch(c, &w, NULL) < 0)
        return;
    while (phase(c, x) == STARTING && mono_ns() < deadline)
        (void)ctr_wait_change(&w, -1, 100);
    if (phase(c, x) == RUNNING && over_for_shim(c, x))
        while (phase(c, x) == RUNNING && mono_ns() < deadline)
            (void)ctr_wait_change(&w, -1, 100);
    ctr_unwatch(c, &w);
}

int exec_inspect(struct engine *e, const char *exec_id, struct arena *a, struct exec_inspect *ret,
                 struct err *err)
{
    struct container *owner = NULL;
    auto_exec struct exec *x = find(e, exec_id, &owner, err);
    auto_ctr struct container *c = owner;

    if (!x)
        return err_code(err);
    settle(c, x);
    (void)pthread_mutex_lock(&c->lock);
    *ret = (struct exec_inspect){
        .id = arena_strdup(a, x->id),
        .running = x->running,
        .exit_code = x->has_code ? arena_memdup(a, &x->code, sizeof(x->code)) : NULL,
        .open_stdin = x->req->attach_stdin,
        .open_stderr = x->req->attach_stderr,
        .open_stdout = x->req->attach_stdout,
        .can_remove = false,
        .container_id = arena_strdup(a, c->id),
        .detach_keys = arena_strdup(a, ""),
        .pid = x->pid,
    };
    ret->process.tty = x->req->tty;
    ret->process.entrypoint = arena_strdup(a, x->req->cmd.v[0]);
    ret->process.arguments.v = arena_alloc(a, sizeof(char *));
    for (size_t i = 1; i < x->req->cmd.n; i++)
        strv_push(a, &ret->process.arguments, x->req->cmd.v[i]);
    ret->process.privileged = arena_memdup(a, &x->req->privileged, sizeof(bool));
    ret->process.user = arena_strdup(a, x->req->user);
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}
