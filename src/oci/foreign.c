/*
 * A mount of another mount namespace. Only what is mounted in the caller's own namespace can be
 * cloned, so a helper enters that one; the clone is a descriptor, detached, and can be attached
 * anywhere. The helper shares our memory and descriptors but not our root and directory, which
 * entering changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "oci/oci-priv.h"

#define STACK_SIZE (256 << 10)

struct visit {
    int ns_fd;
    const struct plan_mount *pm;
    struct err *err;
    int ret; /* the clone, or -errno */
};

static int visit(void *arg)
{
    struct visit *v = arg;

    if (setns(v->ns_fd, CLONE_NEWNS) < 0)
        v->ret = err_sys(v->err, "enter %s", v->pm->m->mount_ns);
    else
        v->ret = clone_source(v->pm, v->err);
    return 0;
}

int clone_foreign(const struct plan_mount *pm, struct err *err)
{
    struct visit v = {.pm = pm, .err = err, .ret = -ECHILD};
    auto_free char *stack = xmalloc(STACK_SIZE);
    int status;

    auto_close int ns = open(pm->m->mount_ns, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return err_sys(err, "open mount namespace %s", pm->m->mount_ns);
    v.ns_fd = ns;
    pid_t pid =
        clone(visit, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &v);
    if (pid < 0)
        return err_sys(err, "clone a helper");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return v.ret == -ECHILD ? err_no(err, ECHILD, "the helper died") : v.ret;
}
