#include "shim/run.h"

#include "shim/shim-priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "kern/overlay.h"

#define CGROUP_WAIT_MS 2000
#define CLIENT_WAIT_NS (10 * NS_PER_S)

/* ---- epoll ---- */

void source_set(struct shim *s, struct source *src, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};

    if (src->fd < 0 || src->events == events)
        return;
    int op = src->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(s->epoll, op, src->fd, &ev) < 0)
        log_error("epoll: %s", strerrordesc_np(errno));
    src->events = events;
}

void source_close(struct shim *s, struct source *src)
{
    source_set(s, src, 0);
    close_fd(&src->fd);
}

void shim_tell(struct shim *s, const struct shim_event *ev)
{
    for (struct peer *p = s->peers; p; p = p->next)
        if (p->watch && shim_send(p->src.fd, &shim_event_type, ev, NULL, 0) < 0)
            p->watch = false; /* gone: its end-of-file comes next */
}

/* ---- the start ---- */

static int read_plan(struct shim *s, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_close int fd = SHIM_FD_PLAN;
    int r = read_fd(fd, SHIM_MESSAGE_MAX, &text, err);

    if (r < 0)
        return err_wrap(err, r, "read plan");
    s->plan = arena_new(&s->mem, struct shim_plan);
    r = json_decode(&shim_plan_type, text.data, text.len, &s->mem, s->plan, 0, err);
    if (r < 0)
        return err_wrap(err, r, "read plan");
    if (s->plan->version != SHIM_PROTOCOL)
        return err_invalid(err, "plan of version %d, want %d", s->plan->version, SHIM_PROTOCOL);
    if (s->plan->seccomp_fd <= 0)
        return 0;
    struct stat st;
    if (fstat(s->plan->seccomp_fd, &st) < 0)
        return err_sys(err, "seccomp filter");
    s->bpf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, s->plan->seccomp_fd, 0);
    if (s->bpf == MAP_FAILED)
        return err_sys(err, "map seccomp filter");
    s->bpf_len = (size_t)st.st_size;
    return close(s->plan->seccomp_fd) < 0 ? err_sys(err, "close seccomp filter") : 0;
}

/* Called by oci_create() while the child makes its namespaces. */
static int open_rootfs(void *arg, int *ret_fd, struct err *err)
{
    const struct shim_plan *plan = ((const struct shim *)arg)->plan;
    struct overlay o = {.lowers = plan->lowers,
                        .upper = str_empty(plan->upper) ? NULL : plan->upper,
                        .work = str_empty(plan->work) ? NULL : plan->work,
                        .options = plan->fleeting ? "volatile" : NULL,
                        .ro = plan->rootfs_ro};

    int r = overlay_mount(&o, ret_fd, err);
    return r < 0 ? err_wrap(err, r, "mount root file system") : r;
}

int shim_hear(struct shim *s, const char *op, struct arena *a, struct shim_req *ret,
              struct err *err)
{
    for (;;) {
        *ret = (struct shim_req){0};
        int r = shim_recv(SHIM_FD_CONTROL, &shim_req_type, a, ret, NULL, NULL, err);
        if (r < 0)
            return r;
        if (r == 0)
            return err_no(err, EPIPE, "the daemon is gone");
        if (strcmp(ret->op, op) == 0)
            return 0;
        if (strcmp(ret->op, "go") != 0)
            return err_as(err, ERR_SYSTEM, ECANCELED, "start cancelled");
        s->gone_on = true;
    }
}

/* The daemon says "go" when the published ports lead somewhere; its death means that it never
 * will. */
static int wait_for_go(struct shim *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req;

    return s->gone_on ? 0 : shim_hear(s, "go", &a, &req, err);
}

static int make_container(struct shim *s, struct stdio_pipes *pipes, struct err *err)
{
    struct shim_plan *plan = s->plan;
    bool go = plan->go;

    struct oci_create c = {.id = plan->id,
                           .spec = plan->spec,
                           .bundle_fd = -1,
                           .rootfs_fd = -1,
                           .open_rootfs = open_rootfs,
                           .stdio = {pipes->child[0], pipes->child[1], pipes->child[2]},
                           .new_session = true,
                           .seccomp_bpf = s->bpf,
                           .seccomp_len = s->bpf_len,
                           .seccomp_flags = plan->seccomp_flags,
                           .flags = go ? 0U : OCI_START,
                           .cgroup = s->cgroup,
                           .setup_net = net_setup,
                           .child_net = net_child,
                           .arg = s};
    int r = oci_create(&c, &s->init, err);
    if (r < 0 || !go)
        return r;
    r = wait_for_go(s, err);
    if (r >= 0)
        r = oci_start(&c, &s->init, err);
    if (r < 0)
        oci_abandon(&s->init); /* created, not started: nobody else will clean it up */
    return r;
}

static void add_init_proc(struct shim *s, struct stdio_pipes *pipes)
{
    struct proc *p = xnew(struct proc);

    p->id = arena_strdup(&p->mem, "");
    p->pid = s->init.pid;
    p->tty = s->plan->spec->process->terminal;
    p->stdin_once = s->plan->stdin_once;
    s->procs = s->init_proc = p;
    proc_take_streams(s, p, pipes, take_fd(&s->init.console));
    for (size_t i = 0; i < s->plan->attach.n; i++)
        client_add(s, p, s->plan->attach.v[i], s->plan->attach.v[i]->fd);
}

static int start_container(struct shim *s, struct err *err)
{
    struct stdio_pipes pipes;
    struct shim_plan *plan = s->plan;
    int r = cgroup_host_open(&s->host, err);

    if (r >= 0)
        r = cgroup_new(s->host, plan->cgroup, &s->cgroup, err);
    if (r >= 0)
        r = logfile_open(&s->log, s->data_fd, &plan->log, err);
    if (r >= 0)
        r = stdio_open(plan->spec->process->terminal, plan->open_stdin, &pipes, err);
    if (r < 0)
        return r;
    r = make_container(s, &pipes, err);
    if (r >= 0) {
        s->started_ns = now_ns();
        add_init_proc(s, &pipes);
    }
    stdio_close(&pipes);
    return r;
}

/* ---- the end ---- */

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_exit_record(struct shim *s, const struct shim_event *ev)
{
    auto_buf struct buf text = BUF_INIT;
    struct err err = {0};

    json_encode(&shim_event_type, ev, &text);
    if (write_file_at(s->run_fd, SHIM_EXIT_RECORD, 0600, text.data, text.len, false, &err) < 0)
        log_error("container %s: write exit record: %s", s->plan->id, err.msg);
}

/* Everything is said and written: tell the daemon first, tidy up behind its back. */
static void end_init(struct shim *s, struct proc *p)
{
    uint64_t ooms = 0;

    logfile_done(&s->log);
    (void)!cgroup_oom_count(s->cgroup, &ooms, NULL);
    struct shim_event ev = {
        .event = "exit", .at_ns = now_ns(), .code = p->code, .oom = ooms > 0, .exec = ""};
    write_exit_record(s, &ev);
    shim_tell(s, &ev);
}

static void end_exec(struct shim *s, struct proc *p)
{
    struct shim_event ev = {
        .event = "exec-exit", .at_ns = now_ns(), .code = p->code, .exec = p->id};

    shim_tell(s, &ev);
}

/* Its output is over: say so; its clients go when they have taken what is queued for them. */
static void end_proc(struct shim *s, struct proc *p)
{
    p->ended = true;
    p->linger_at = mono_ns() + CLIENT_WAIT_NS;
    clients_end(s, p);
    if (p == s->init_proc)
        end_init(s, p);
    else
        end_exec(s, p);
}

static void forget_exec(struct shim *s, struct proc *p)
{
    for (struct proc **at = &s->procs; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    proc_free(s, p);
}

static void settle(struct shim *s)
{
    bool left = false;

    for (struct proc *p = s->procs, *next; p; p = next) {
        next = p->next;
        if (p->exited && !p->ended && proc_output_done(p))
            end_proc(s, p);
        bool gone = p->ended && (!p->clients || mono_ns() >= p->linger_at);
        if (gone && p != s->init_proc)
            forget_exec(s, p);
        left |= !gone;
    }
    s->done = !left;
}

static void child_ended(struct shim *s, pid_t pid, int status)
{
    if (logfile_reaped(&s->log, pid))
        return;
    for (struct proc *p = s->procs; p; p = p->next) {
        if (p->pid != pid || p->exited)
            continue;
        p->exited = true;
        p->code = exit_code(status);
        proc_drain(s, p);
        if (p == s->init_proc)
            (void)!cgroup_kill(s->cgroup, SIGKILL, NULL); /* with the host's pid namespace */
    }
}

static void signals_ready(struct shim *s, struct source *src, uint32_t events)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    (void)events;
    (void)!read(src->fd, &info, sizeof(info));
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(s, pid, status);
}

static void oom_ready(struct shim *s, struct source *src, uint32_t events)
{
    uint64_t n = 0;

    (void)events;
    cgroup_oom_drain(src->fd);
    if (cgroup_oom_count(s->cgroup, &n, NULL) < 0 || n <= s->ooms) {
        if (events & (EPOLLHUP | EPOLLERR))
            source_close(s, src);
        return;
    }
    s->ooms = n;
    struct shim_event ev = {.event = "oom", .at_ns = now_ns(), .exec = ""};
    shim_tell(s, &ev);
}

/* ---- the loop ---- */

static int64_t next_deadline(const struct shim *s)
{
    int64_t at = 0;

    for (const struct proc *p = s->procs; p; p = p->next)
        if (p->exited && p->linger_at && (!at || p->linger_at < at))
            at = p->linger_at;
    return at;
}

static int timeout_ms(const struct shim *s)
{
    int64_t at = next_deadline(s), left = at - mono_ns();

    if (at == 0)
        return -1;
    return left <= 0 ? 0 : (int)(left / NS_PER_MS) + 1;
}

static void loop(struct shim *s)
{
    struct epoll_event ev;

    while (!s->done) {
        settle(s);
        if (s->done)
            return;
        /* One at a time: a callback may free what a later event of the same batch points to. */
        int n = epoll_wait(s->epoll, &ev, 1, timeout_ms(s));
        if (n < 0 && errno != EINTR) {
            log_error("epoll_wait: %s", strerrordesc_np(errno));
            return;
        }
        if (n > 0) {
            struct source *src = ev.data.ptr;
            src->fn(s, src, ev.events);
        }
    }
}

static void add_control_peer(struct shim *s)
{
    struct peer *peer = xnew(struct peer);

    peer->src = (struct source){.fd = SHIM_FD_CONTROL, .fn = serve_peer};
    peer->watch = true;
    s->peers = peer;
    source_set(s, &peer->src, EPOLLIN);
}

static int open_signals(struct shim *s, struct err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, "block SIGCHLD");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, "create signalfd");
    s->signals = (struct source){.fd = fd, .fn = signals_ready};
    source_set(s, &s->signals, EPOLLIN);
    return 0;
}

static void watch_oom(struct shim *s)
{
    struct err err = {0};
    int fd;

    if (cgroup_oom_open(s->cgroup, &fd, &err) < 0) {
        log_debug("container %s: no out-of-memory events: %s", s->plan->id, err.msg);
        return;
    }
    s->oom = (struct source){.fd = fd, .fn = oom_ready};
    source_set(s, &s->oom, EPOLLIN);
}

static int run_container(struct shim *s, struct err *err)
{
    int r = read_plan(s, err);

    if (r >= 0)
        r = open_signals(s, err);
    if (r >= 0)
        r = serve_open(s, err);
    return r < 0 ? r : start_container(s, err);
}

/* The process ends next; what is left after this is a leak, and its checker says so. */
static void free_all(struct shim *s)
{
    while (s->procs) {
        struct proc *p = s->procs;
        s->procs = p->next;
        proc_free(s, p);
    }
    while (s->peers) {
        struct peer *peer = s->peers;
        s->peers = peer->next;
        free(peer);
    }
    logfile_done(&s->log);
    cgroup_free(s->cgroup);
    cgroup_host_free(s->host);
    arena_done(&s->mem);
}

static void tidy_up(struct shim *s)
{
    struct err err = {0};

    oci_init_done(&s->init); /* the mounts go now: nobody waits for it */
    if (s->cgroup && cgroup_delete(s->cgroup, CGROUP_WAIT_MS, &err) < 0)
        log_warn("container %s: %s", s->plan->id, err.msg);
    (void)unlinkat(s->run_fd, SHIM_SOCKET, 0);
    free_all(s);
}

int shim_run(void)
{
    struct shim s = {.epoll = epoll_create1(EPOLL_CLOEXEC),
                     .run_fd = SHIM_FD_RUN,
                     .data_fd = SHIM_FD_DATA,
                     .listen = {.fd = -1},
                     .signals = {.fd = -1},
                     .oom = {.fd = -1},
                     .dns_udp = -1,
                     .dns_tcp = -1,
                     .init = OCI_INIT_NONE,
                     .log = {.fd = -1}};
    struct err err = {0};

    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (s.epoll < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return 1;
    int r = run_container(&s, &err);
    add_control_peer(&s);
    if (r < 0) {
        struct shim_event ev = {
            .event = "failed", .at_ns = now_ns(), .no = -r, .kind = (int)err.kind, .msg = err.msg};
        shim_tell(&s, &ev);
        tidy_up(&s);
        return 1;
    }
    struct shim_event ev = {
        .event = "started", .pid = s.init.pid, .at_ns = s.started_ns, .warnings = s.init.warnings};
    shim_tell(&s, &ev);
    watch_oom(&s);
    loop(&s);
    tidy_up(&s);
    return 0;
}
