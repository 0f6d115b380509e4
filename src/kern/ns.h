/* Kinds of namespaces: OCI name, CLONE_* flag and file below /proc/<pid>/ns. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct ns_kind {
    const char *name; /* OCI: "mount", "network" ... */
    const char *file; /* "mnt", "net" ... */
    int flag;         /* CLONE_NEW* */
};

/* In the order in which they are joined; ends with name == NULL. */
extern const struct ns_kind ns_kinds[];

/** ns_by_name(), ns_by_flag() - or NULL. */
const struct ns_kind *ns_by_name(const char *name);
const struct ns_kind *ns_by_flag(int flag);
/** ns_open() - namespace file of a process ("/proc/<pid>/ns/net"). Return: CLOEXEC fd. */
int ns_open(pid_t pid, const struct ns_kind *kind, struct err *err) MUST;

/** ns_net_own() - the network namespace of this thread. Return: CLOEXEC fd. */
int ns_net_own(struct err *err) MUST;
/**
 * ns_socket() - a socket in the network namespace in which another one was made
 * The thread steps in and back, which no other thread notices, and has all signals as before.
 * @like: a socket there
 * @home: ns_net_own() of this thread
 * @type: as socket(2); SOCK_CLOEXEC is added
 * Return: fd; -errno. Wants CAP_SYS_ADMIN over both namespaces. A thread that cannot come back ends
 *   the process: nothing it did from there on would be where it thinks it is.
 * Source: ioctl(2) SIOCGSKNS (Linux 4.10), setns(2)
 */
int ns_socket(int like, int home, int family, int type, struct err *err) MUST;
