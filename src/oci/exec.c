/*
 * A further process in a running container. One clone: the child is born in the container's pid
 * namespace, because we enter it (for our children only) for that moment; it then joins all the
 * other namespaces with a single setns() on init's pidfd.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/ns.h"
#include "kern/pidfd.h"
#include "oci/oci-priv.h"

/* What the container does not share with the host. A user namespace we are in refuses to be joined
 * again, so it counts only when the container has its own. */
static int namespaces(const struct oci_spec *spec)
{
    int flags = 0;

    for (const struct ns_kind *k = ns_kinds; k->name; k++)
        if (k->flag != CLONE_NEWPID && oci_spec_ns(spec, k->name))
            flags |= k->flag;
    return flags;
}

static void fill_setup(const struct oci_exec *x, struct identity *id, int sync, struct setup *ret)
{
    *ret = (struct setup){.spec = x->spec,
                          .id = id,
                          .cgroup = x->cgroup,
                          .bpf = x->seccomp_bpf,
                          .bpf_len = x->seccomp_len,
                          .bpf_flags = x->seccomp_flags,
                          .stdio = {x->stdio[0], x->stdio[1], x->stdio[2]},
                          .new_session = x->new_session,
                          .extra_fds = x->extra_fds,
                          .nextra_fds = x->nextra_fds,
                          .sync = sync,
                          .root_fd = -1,
                          .mask_fd = -1,
                          .console = -1,
                          .sysctl_fd = -1,
                          .start_fd = -1,
                          .lsm_fd = -1};
}

static int not_running(int no, struct err *err, const char *what)
{
    if (no == ESRCH || no == ENOMEM) /* ENOMEM: the namespace's init has ended */
        return err_as(err, ERR_CONFLICT, ESRCH, "container is not running");
    return err_no(err, no, "%s", what);
}

static pid_t do_clone(const struct oci_exec *x, struct setup *s, int cgroup_fd, int *pidfd)
{
    struct clone_args args = {.flags = CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
                              .pidfd = (uint64_t)(uintptr_t)pidfd,
                              .exit_signal = SIGCHLD,
                              .cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0};

    s->born_in_cgroup = cgroup_fd >= 0;
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        exec_child(s, x->pidfd, namespaces(x->spec));
    return pid;
}

/* On v2 a group that hands controllers down takes no processes: then the child is born beside init,
 * in the leaf that the container made for it. */
static pid_t clone_in_cgroup(const struct oci_exec *x, struct setup *s, int *pidfd)
{
    pid_t pid = do_clone(x, s, x->cgroup ? cgroup_clone_fd(x->cgroup) : -1, pidfd);

    if (pid >= 0 || errno != EBUSY || !x->cgroup)
        return pid;
    auto_close int inner = cgroup_open_inner(x->cgroup, x->pid, NULL);
    if (inner < 0 || pidfd_wait_exit(x->pidfd, 0, NULL) != 0) {
        errno = EBUSY;
        return -1;
    }
    return do_clone(x, s, inner, pidfd);
}

static pid_t clone_inside(const struct oci_exec *x, struct setup *s, int *pidfd, struct err *err)
{
    bool pidns = oci_spec_ns(x->spec, "pid") != NULL;
    auto_close int own = pidns ? ns_open(getpid(), ns_by_name("pid"), err) : -1;

    if (pidns && own < 0)
        return own;
    if (pidns && setns(x->pidfd, CLONE_NEWPID) < 0)
        return not_running(errno, err, "join the container's pid namespace");
    pid_t pid = clone_in_cgroup(x, s, pidfd);
    int no = errno;
    if (pidns && setns(own, CLONE_NEWPID) < 0)
        abort(); /* our next child would be born in a foreign namespace */
    return pid < 0 ? not_running(no, err, "clone into the container") : pid;
}

static int launch(const struct oci_exec *x, struct setup *s, struct oci_init *init, struct err *err)
{
    int pair[2];
    int r = msg_pair(pair, err);

    if (r < 0)
        return r;
    auto_close int child_end = pair[1];
    init->sync = pair[0];
    s->sync = child_end;
    s->parent_sync = init->sync;
    pid_t pid = clone_inside(x, s, &init->pidfd, err);
    if (pid < 0)
        return pid;
    init->pid = pid;
    close_fd(&child_end);
    struct follow f = {.init = init, .to_exec = true};
    return oci_follow(&f, err);
}

int oci_exec(const struct oci_exec *x, struct oci_init *ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_init init = OCI_INIT_NONE;
    struct identity id;
    struct setup s;
    int r = oci_process_check(x->process, err);

    if (r == 0 && pidfd_wait_exit(x->pidfd, 0, NULL) != 0)
        r = not_running(ESRCH, err, "");
    if (r == 0)
        r = identity_plan(x->process, &a, &id, err);
    if (r == 0 && x->cgroup)
        r = cgroup_prepare_join(x->cgroup, err);
    if (r < 0)
        return r;
    fill_setup(x, &id, -1, &s);
    r = launch(x, &s, &init, err);
    if (x->cgroup)
        cgroup_finish_join(x->cgroup);
    if (r < 0) {
        oci_abandon(&init);
        return r;
    }
    close_fd(&init.sync);
    *ret = init;
    return 0;
}
