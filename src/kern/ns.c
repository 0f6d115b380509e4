#include "kern/ns.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/auto.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* User first: it brings the privilege to join the others. Mount last but for nothing: paths of the
 * others are opened before, so the order matters to the kernel only. */
const struct ns_kind ns_kinds[] = {
    {"user", "user", CLONE_NEWUSER},
    {"ipc", "ipc", CLONE_NEWIPC},
    {"uts", "uts", CLONE_NEWUTS},
    {"network", "net", CLONE_NEWNET},
    {"pid", "pid", CLONE_NEWPID},
    {"cgroup", "cgroup", CLONE_NEWCGROUP},
    {"time", "time", CLONE_NEWTIME},
    {"mount", "mnt", CLONE_NEWNS},
    {NULL, NULL, 0},
};

const struct ns_kind *ns_by_name(const char *name)
{
    for (const struct ns_kind *k = ns_kinds; k->name; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

const struct ns_kind *ns_by_flag(int flag)
{
    for (const struct ns_kind *k = ns_kinds; k->name; k++)
        if (k->flag == flag)
            return k;
    return NULL;
}

int ns_open(pid_t pid, const struct ns_kind *kind, struct err *err)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind->file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open %s", path) : fd;
}

int ns_net_own(struct err *err)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? err_sys(err, "open network namespace") : fd;
}

int ns_socket(int like, int home, int family, int type, struct err *err)
{
    auto_close int there = ioctl(like, SIOCGSKNS);

    if (there < 0 || fcntl(there, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(err, "find a socket's network namespace");
    if (setns(there, CLONE_NEWNET) < 0)
        return err_sys(err, "enter a network namespace");
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? err_sys(err, "create socket") : fd;
    if (setns(home, CLONE_NEWNET) < 0)
        __builtin_trap();
    return r;
}
