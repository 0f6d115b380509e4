/*
 * The parent's side of a new container: plan, clone, then serve what the child waits for (id maps,
 * the cgroup, hooks, the network) while it mounts.
 */
#include "oci/runtime.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/json.h"
#include "kern/ns.h"
#include "kern/pidfd.h"
#include "oci/oci-priv.h"

#define CGROUP_WAIT_MS 2000

/* ---- following the child ---- */

static int run_hooks(const struct follow *f, struct err *err)
{
    const struct oci_hooks *h = f->c->spec->hooks;
    auto_buf struct buf state = BUF_INIT;

    oci_state_json(f->c, "creating", f->init->pid, &state);
    int r = oci_hooks_run(&h->prestart, "prestart", buf_str(&state), err);
    if (r == 0)
        r = oci_hooks_run(&h->create_runtime, "createRuntime", buf_str(&state), err);
    return r < 0 ? r : msg_send(f->init->sync, MSG_HOOKS, err);
}

/* The pipe closed before the child said that it was ready: something killed it. */
static int died(const struct follow *f, struct err *err)
{
    siginfo_t si = {0};

    if (waitid((idtype_t)P_PIDFD, (id_t)f->init->pidfd, &si, WEXITED | WNOWAIT) == 0 &&
        si.si_code != CLD_EXITED)
        return err_as(err, ERR_SYSTEM, ECANCELED,
                      "the container's init was killed by signal %d while starting", si.si_status);
    return err_as(err, ERR_SYSTEM, ECANCELED, "the container's init ended while starting");
}

static int child_error(const struct msg *m, struct err *err)
{
    if (err)
        *err = m->e;
    return m->e.no > 0 ? -m->e.no : -EIO;
}

int oci_follow(struct follow *f, struct err *err)
{
    bool was_ready = false;

    for (;;) {
        struct msg m;
        int fd = -1, r = msg_recv(f->init->sync, &m, &fd, err);
        if (r < 0)
            return r;
        if (r == 0)
            return was_ready ? 0 : died(f, err);
        switch (m.kind) {
        case MSG_ERROR:
            return child_error(&m, err);
        case MSG_CONSOLE:
            f->init->console = fd;
            break;
        case MSG_MOUNTED:
            r = run_hooks(f, err);
            if (r < 0)
                return r;
            break;
        case MSG_READY:
            f->init->warnings = m.warnings;
            was_ready = true;
            if (!f->to_exec)
                return 0;
            break;
        default:
            return err_no(err, EBADMSG, "message %d from the container's init", (int)m.kind);
        }
    }
}

void oci_abandon(struct oci_init *init)
{
    if (init->pidfd >= 0) {
        (void)!pidfd_signal(init->pidfd, SIGKILL, NULL);
        (void)!pidfd_reap(init->pidfd, NULL, NULL);
    }
    oci_init_done(init);
}

void oci_init_done(struct oci_init *init)
{
    close_fd(&init->pidfd);
    close_fd(&init->console);
    close_fd(&init->sync);
    close_fd(&init->mntns);
}

/* ---- cgroup ---- */

struct creation {
    const struct oci_create *c;
    struct plan plan;
    struct identity id;
    struct setup setup;
    bool cgroup_ready; /* exists, with its limits */
    bool cgroup_made;  /* by us, so ours to delete on failure */
};

/* One that exists may be used only if nobody lives there: its limits would hit strangers. */
static int want_empty(struct cgroup *cg, struct err *err)
{
    struct pid_list pids = {0};
    int r = cgroup_pids(cg, &pids, err);

    free(pids.v);
    if (r < 0 || pids.n == 0)
        return r;
    return err_as(err, ERR_CONFLICT, EBUSY, "cgroup %s is not empty", cgroup_path(cg));
}

static int make_cgroup(struct creation *k, struct err *err)
{
    struct cgroup_limits lim = {0};
    int existed = cgroup_create(k->c->cgroup, err);

    if (existed < 0)
        return existed;
    k->cgroup_made |= !existed;
    k->cgroup_ready = true;
    FAIL_POINT("oci.create.cgroup", err);
    int r = existed ? want_empty(k->c->cgroup, err) : 0;
    if (r < 0 || !k->c->spec->lnx->resources)
        return r;
    lim = *k->c->spec->lnx->resources;
    plan_device_rules(&k->plan, &lim);
    return cgroup_apply(k->c->cgroup, &lim, err);
}

/* In a v2 tree init is born inside its group; v1 has time until the child asks for it. */
static int cgroup_before_clone(struct creation *k, struct err *err)
{
    struct cgroup *cg = k->c->cgroup;

    if (!cg)
        return 0;
    if (cgroup_host_mode(cgroup_host_of(cg)) != CGROUP_V2) {
        int r = cgroup_create_unified(cg, err);
        k->cgroup_made = r > 0;
        return r < 0 ? r : 0;
    }
    int r = make_cgroup(k, err);
    return r < 0 ? r : cgroup_prepare_join(cg, err);
}

/* ---- clone ---- */

static pid_t do_clone(uint64_t flags, int cgroup_fd, int *pidfd)
{
    struct clone_args args = {.flags = flags | CLONE_PIDFD,
                              .pidfd = (uint64_t)(uintptr_t)pidfd,
                              .exit_signal = SIGCHLD,
                              .cgroup = (uint64_t)cgroup_fd};

    if (cgroup_fd >= 0)
        args.flags |= CLONE_INTO_CGROUP;
    else
        args.cgroup = 0;
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/*
 * A user namespace to join must be entered before the others are made, since they belong to it: a
 * helper enters it and clones init as our child (CLONE_PARENT), then ends. It shares our memory
 * until then (vfork), so init's pid and pidfd need no message.
 */
static pid_t clone_in_userns(struct creation *k, struct oci_init *init, struct err *err)
{
    volatile pid_t init_pid = 0;
    volatile int no = 0;
    pid_t helper = vfork();

    if (helper == 0) {
        int pidfd = -1;
        if (setns(k->plan.join_user, CLONE_NEWUSER) < 0) {
            no = errno;
            _exit(1);
        }
        pid_t pid = do_clone((unsigned)k->plan.new_ns | CLONE_PARENT, -1, &pidfd);
        if (pid == 0)
            init_child(&k->setup);
        init_pid = pid;
        no = pid < 0 ? errno : 0;
        _exit(0);
    }
    int status;
    while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
        ;
    if (helper < 0 || no)
        return err_no(err, helper < 0 ? errno : no, "join the user namespace");
    init->pidfd = pidfd_open_err(init_pid, err);
    return init->pidfd < 0 ? init->pidfd : init_pid;
}

/* Our own children are made in the pid namespace to join, for one clone; then as before. */
static int swap_pidns(int fd, struct err *err)
{
    return setns(fd, CLONE_NEWPID) < 0 ? err_sys(err, "join the pid namespace") : 0;
}

static pid_t clone_init(struct creation *k, struct oci_init *init, struct err *err)
{
    uint64_t flags = (unsigned)k->plan.new_ns;
    int cgroup_fd = k->cgroup_ready || k->cgroup_made ? cgroup_clone_fd(k->c->cgroup) : -1;
    auto_close int own = -1;

    if (k->plan.join_user >= 0)
        return clone_in_userns(k, init, err);
    if (k->plan.join_pid >= 0) {
        own = ns_open(getpid(), ns_by_name("pid"), err);
        int r = own < 0 ? own : swap_pidns(k->plan.join_pid, err);
        if (r < 0)
            return r;
    }
    k->setup.born_in_cgroup = cgroup_fd >= 0;
    pid_t pid = do_clone(flags, cgroup_fd, &init->pidfd);
    if (pid == 0)
        init_child(&k->setup);
    if (pid < 0)
        pid = err_sys(err, "clone the container's init");
    int r = own < 0 ? 0 : swap_pidns(own, pid < 0 ? NULL : err);
    return r < 0 && pid >= 0 ? r : pid;
}

/* ---- serving ---- */

static int serve_maps(struct creation *k, const struct oci_init *init, struct err *err)
{
    const struct oci_linux *l = k->c->spec->lnx;

    if (!(k->plan.new_ns & CLONE_NEWUSER))
        return 0;
    int r = idmap_write(init->pid, &l->uid_mappings, &l->gid_mappings, false, err);
    return r < 0 ? r : msg_send(init->sync, MSG_MAPS, err);
}

static int serve_root(struct creation *k, const struct oci_init *init, struct err *err)
{
    auto_close int fd = -1;

    if (!k->c->open_rootfs)
        return 0;
    int r = k->c->open_rootfs(k->c->arg, &fd, err);
    return r < 0 ? r : msg_send_fds(init->sync, MSG_ROOT, &fd, 1, err);
}

/* The child could open what it joins by itself; but we have nothing better to do, and in a user
 * namespace it could not. */
static int serve_cgroup(struct creation *k, const struct oci_init *init, struct err *err)
{
    int fds[CGROUP_JOIN_FDS];

    if (!k->c->cgroup)
        return 0;
    int r = k->cgroup_ready ? 0 : make_cgroup(k, err);
    if (r == 0)
        r = cgroup_prepare_join(k->c->cgroup, err);
    if (r < 0)
        return r;
    size_t n = cgroup_join_fds(k->c->cgroup, fds);
    return msg_send_fds(init->sync, MSG_CGROUP, fds, n, err);
}

static int serve_net(struct creation *k, const struct oci_init *init, struct err *err)
{
    auto_close int netns = -1;
    struct msg m;

    if (!k->c->setup_net)
        return 0;
    if (k->plan.new_netns) {
        int r = msg_recv(init->sync, &m, NULL, err);
        if (r > 0 && m.kind == MSG_ERROR)
            return child_error(&m, err);
        if (r <= 0 || m.kind != MSG_NETNS)
            return err_no(err, r < 0 ? r : ECONNRESET, "wait for the network namespace");
        netns = ns_open(init->pid, ns_by_name("network"), err);
        if (netns < 0)
            return netns;
    }
    int r = k->c->setup_net(k->c->arg, init->pid, netns, err);
    return r < 0 ? r : msg_send(init->sync, MSG_NET, err);
}

/* Best effort: without it the end of init only takes a little longer. */
static void hold_mounts(struct oci_init *init)
{
    init->mntns = ns_open(init->pid, ns_by_name("mount"), NULL);
    if (init->mntns < 0)
        init->mntns = -1;
}

/* A child that has failed sends why and goes; then our message to it fails, and its is the truth.
 */
static int prefer_child_error(struct creation *k, struct oci_init *init, int r, struct err *err)
{
    struct follow f = {.c = k->c, .init = init, .to_exec = true, .arena = &k->plan.arena};
    struct err theirs = {0};

    if (r != -EPIPE && r != -ECONNRESET)
        return r;
    int got = oci_follow(&f, &theirs);
    if (got >= 0)
        return r;
    if (err)
        *err = theirs;
    return got;
}

static int serve(struct creation *k, struct oci_init *init, struct err *err)
{
    struct follow f = {.c = k->c,
                       .init = init,
                       .to_exec = (k->c->flags & OCI_START) != 0,
                       .arena = &k->plan.arena};
    int r = serve_maps(k, init, err);

    FAIL_POINT("oci.create.cloned", err);
    if (r == 0)
        r = serve_root(k, init, err);
    FAIL_POINT("oci.create.root", err);
    if (r == 0)
        r = serve_cgroup(k, init, err);
    FAIL_POINT("oci.create.joined", err);
    if (r == 0)
        r = serve_net(k, init, err);
    if (r < 0)
        return prefer_child_error(k, init, r, err);
    FAIL_POINT("oci.create.net", err);
    hold_mounts(init);
    return oci_follow(&f, err);
}

/* ---- create ---- */

static void fill_setup(struct creation *k, int sync, int parent_sync)
{
    const struct oci_create *c = k->c;

    k->setup = (struct setup){.c = c,
                              .spec = c->spec,
                              .plan = &k->plan,
                              .id = &k->id,
                              .cgroup = c->cgroup,
                              .bpf = c->seccomp_bpf,
                              .bpf_len = c->seccomp_len,
                              .bpf_flags = c->seccomp_flags,
                              .stdio = {c->stdio[0], c->stdio[1], c->stdio[2]},
                              .new_session = c->new_session,
                              .extra_fds = c->extra_fds,
                              .nextra_fds = c->nextra_fds,
                              .sync = sync,
                              .parent_sync = parent_sync,
                              .root_fd = -1,
                              .mask_fd = -1,
                              .console = -1,
                              .sysctl_fd = -1,
                              .start_fd = c->start_fd > 0 ? c->start_fd : -1,
                              .lsm_fd = -1};
}

static int prepare(struct creation *k, struct err *err)
{
    int r = plan_container(k->c, &k->plan, err);

    if (r == 0)
        r = identity_plan(k->c->spec->process, &k->plan.arena, &k->id, err);
    return r < 0 ? r : cgroup_before_clone(k, err);
}

static int launch(struct creation *k, struct oci_init *init, struct err *err)
{
    int pair[2];
    int r = msg_pair(pair, err);

    if (r < 0)
        return r;
    auto_close int child_end = pair[1];
    init->sync = pair[0];
    fill_setup(k, child_end, init->sync);
    FAIL_POINT("oci.create.clone", err);
    pid_t pid = clone_init(k, init, err);
    if (pid < 0)
        return pid;
    init->pid = pid;
    close_fd(&child_end); /* or we would never see the end of file */
    return serve(k, init, err);
}

/* The container runs; a hook that fails now can only be reported. */
static void poststart(const struct oci_create *c, struct oci_init *init)
{
    auto_buf struct buf state = BUF_INIT;

    if (!c->spec->hooks || !c->spec->hooks->poststart.n)
        return;
    oci_state_json(c, "running", init->pid, &state);
    if (oci_hooks_run(&c->spec->hooks->poststart, "poststart", buf_str(&state), NULL) < 0)
        init->warnings |= OCI_WARN_POSTSTART;
}

int oci_create(const struct oci_create *c, struct oci_init *ret, struct err *err)
{
    struct creation k = {.c = c};
    struct oci_init init = OCI_INIT_NONE;
    int r = prepare(&k, err);

    if (r == 0)
        r = launch(&k, &init, err);
    if (c->cgroup)
        cgroup_finish_join(c->cgroup);
    plan_done(&k.plan);
    if (r < 0) {
        oci_abandon(&init);
        if (k.cgroup_made)
            (void)!cgroup_delete(c->cgroup, CGROUP_WAIT_MS, NULL);
        return r;
    }
    if (c->flags & OCI_START) {
        close_fd(&init.sync);
        poststart(c, &init);
    }
    *ret = init;
    return 0;
}

int oci_start(const struct oci_create *c, struct oci_init *init, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct follow f = {.c = c, .init = init, .to_exec = true, .arena = &a};
    struct msg m;
    int r;

    if (init->sync < 0)
        return err_as(err, ERR_CONFLICT, EALREADY, "the container has been started already");
    FAIL_POINT("oci.start.go", err);
    r = msg_send(init->sync, MSG_START, err);
    if (r < 0)
        return r == -EPIPE ? died(&f, err) : r;
    r = msg_recv(init->sync, &m, NULL, err);
    if (r > 0)
        r = m.kind == MSG_ERROR ? child_error(&m, err) : err_no(err, EBADMSG, "start");
    close_fd(&init->sync);
    if (r == 0)
        poststart(c, init);
    return r;
}

int oci_detach(struct oci_init *init, struct err *err)
{
    int r = msg_send(init->sync, MSG_DETACH, err);

    close_fd(&init->sync);
    return r;
}

const char *oci_warning_text(enum oci_warning w)
{
    switch (w) {
    case OCI_WARN_RLIMIT:
        return "a hard resource limit could not be raised (CAP_SYS_RESOURCE is missing)";
    case OCI_WARN_OOM_SCORE:
        return "oom_score_adj could not be lowered (CAP_SYS_RESOURCE is missing)";
    case OCI_WARN_CAPS:
        return "capabilities that this kernel does not know were left out";
    case OCI_WARN_POSTSTART:
        return "a poststart hook failed";
    }
    return "";
}

int oci_kill(int pidfd, struct cgroup *cg, int sig, bool all, struct err *err)
{
    if (all && cg)
        return cgroup_kill(cg, sig, err);
    return pidfd_signal(pidfd, sig, err);
}

void oci_state_json(const struct oci_create *c, const char *status, pid_t pid, struct buf *out)
{
    struct json_w w = {.out = out};
    const struct strmap *notes = &c->spec->annotations;

    json_w_obj(&w);
    json_w_key(&w, "ociVersion");
    json_w_str(&w, OCI_VERSION);
    json_w_key(&w, "id");
    json_w_str(&w, str_or(c->id, ""));
    json_w_key(&w, "status");
    json_w_str(&w, status);
    if (pid > 0) {
        json_w_key(&w, "pid");
        json_w_i64(&w, pid);
    }
    json_w_key(&w, "bundle");
    json_w_str(&w, str_or(c->bundle, ""));
    if (notes->n) {
        json_w_key(&w, "annotations");
        json_w_obj(&w);
        for (size_t i = 0; i < notes->n; i++) {
            json_w_key(&w, notes->v[i].key);
            json_w_str(&w, notes->v[i].val);
        }
        json_w_end_obj(&w);
    }
    json_w_end_obj(&w);
}
