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
