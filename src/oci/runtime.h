/*
 * The container runtime. The caller (cleat-shim, cleat-oci) is a single-threaded process; it
 * becomes the parent of every container process it makes, and reaps it by itself.
 *
 * A container is made by one clone3() with all its namespaces. The child (init.c) then walks a list
 * of named steps: mounts, devices, pivot, limits, identity; while the parent prepares the network.
 * They talk over one SOCK_SEQPACKET pair that closes on exec: end-of-file there means that the
 * user's program runs. An error of the child arrives as its own struct err.
 *
 * Nothing in here waits for the daemon, writes a log or knows images, names and networks.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "kern/cgroup.h"
#include "oci/spec.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum oci_create_flags {
    OCI_START = 1,          /* do not wait at the start barrier: oci_create() is also oci_start() */
    OCI_NO_PIVOT = 2,       /* MS_MOVE + chroot, for a root on an initramfs */
    OCI_NO_NEW_KEYRING = 4, /* keep the caller's session keyring */
};

/* What could not be done, but does not stop the container. Texts: oci_warning_text(). */
enum oci_warning {
    OCI_WARN_RLIMIT = 1,    /* a hard limit could not be raised */
    OCI_WARN_OOM_SCORE = 2, /* oom_score_adj could not be lowered */
    OCI_WARN_CAPS = 4,      /* capabilities unknown to this kernel were left out */
    OCI_WARN_POSTSTART = 8, /* a poststart hook failed */
};

struct oci_create {
    const char *id; /* container id: hooks' state, name of the session keyring */
    const struct oci_spec *spec;
    const char *bundle; /* absolute path, for hooks' state; may be NULL */
    int bundle_fd;      /* relative root.path and mount sources are resolved here; -1: cwd */
    int rootfs_fd;      /* detached mount that becomes the root; -1: bind spec->root->path.
                           Consumed by the attach; the caller still closes the descriptor */
    /*
     * Makes that mount instead, when it is given: called right after the clone, so that it costs
     * nothing while the child makes its network namespace. oci_create() closes what it returns.
     */
    int (*open_rootfs)(void *arg, int *ret_fd, struct err *err);
    int stdio[3];            /* -1: inherit ours; ignored with process.terminal */
    bool new_session;        /* setsid(); implied by process.terminal */
    const void *seccomp_bpf; /* compiled filter of @seccomp_len bytes; NULL: none */
    size_t seccomp_len;
    unsigned seccomp_flags;
    unsigned flags; /* enum oci_create_flags */
    /*
     * A handle from cgroup_new(). Its directories are made, spec->lnx->resources applied and init
     * joined by oci_create(), partly while init sets up its mounts. NULL: stay in our cgroup.
     */
    struct cgroup *cgroup;
    /*
     * Parent side, host namespaces, right after clone while the child mounts. @netns_fd is init's
     * network namespace (borrowed; -1 when the container has no new one).
     */
    int (*setup_net)(void *arg, pid_t pid, int netns_fd, struct err *err);
    /* Child side: inside the new namespaces with all capabilities, after setup_net() returned and
     * before the root is switched, so host files can still be opened. @proc_sys: /proc/sys. */
    int (*child_net)(void *arg, int proc_sys, struct err *err);
    void *arg;
    const int *extra_fds; /* these become 3, 4, ... in the container */
    size_t nextra_fds;
    /*
     * A listening SOCK_SEQPACKET socket, or -1 (0 counts as -1, for zeroed structs). With it the
     * start barrier outlives this process: init accepts a connection and waits for the start there;
     * oci_start() works on that connection as init->sync.
     */
    int start_fd;
};

struct oci_init {
    pid_t pid;
    int pidfd;         /* CLOEXEC */
    int console;       /* pty master when process.terminal, else -1; O_CLOEXEC, blocking */
    int sync;          /* -1 once started */
    int mntns;         /* holds the mount namespace until oci_init_done(): its teardown is
                          slow, and would else be part of init's end */
    unsigned warnings; /* enum oci_warning */
};

#define OCI_INIT_NONE                                                                              \
    {                                                                                              \
        .pidfd = -1, .console = -1, .sync = -1, .mntns = -1                                        \
    }

/**
 * oci_create() - make a container; its init waits at the start barrier (unless OCI_START)
 * Runs prestart, createRuntime and createContainer hooks. Blocking, a few milliseconds.
 * @ret: the caller closes with oci_init_done() and reaps the pid (waitid on pidfd)
 * Return: 0. On failure nothing is left: init is killed and reaped, the cgroup deleted if it was
 *   made here. -ENOENT / -EACCES (and -EISDIR, -ENOEXEC, -ENOTDIR) with kind ERR_INVALID mean that
 *   process.args[0] cannot be executed: exit codes 127 and 126 (see oci_exit_code()).
 */
int oci_create(const struct oci_create *c, struct oci_init *ret, struct err *err) MUST;

/**
 * oci_start() - open the barrier and wait until execve() succeeded
 * startContainer hooks run inside before that, poststart hooks after it (one that fails is a
 * warning). Return: 0, or the child's own error; it has exited then, and the caller reaps it.
 */
int oci_start(const struct oci_create *c, struct oci_init *init, struct err *err) MUST;

/** oci_abandon() - kill and reap a child that will not do, and close its descriptors. */
void oci_abandon(struct oci_init *init);

/** oci_init_done() - close the descriptors; the process is left alone. */
void oci_init_done(struct oci_init *init);

/**
 * oci_detach() - leave a created container to whoever connects to oci_create.start_fd's socket
 * Before that the end of this process is the end of init, too; after it the container is on its
 * own.
 */
int oci_detach(struct oci_init *init, struct err *err) MUST;

/** oci_exit_code() - of a command that could not be started: 127 not found, 126 not executable, 128
 * anything else. @no: positive errno. */
static inline int oci_exit_code(int no)
{
    switch (no) {
    case ENOENT:
    case ENOTDIR:
        return 127;
    case EACCES:
    case EISDIR:
    case ENOEXEC:
        return 126;
    default:
        return 128;
    }
}

const char *oci_warning_text(enum oci_warning w);

struct oci_exec {
    int pidfd; /* init of the running container */
    pid_t pid;
    const struct oci_process *process;
    const struct oci_spec *spec; /* the container's own: namespaces it shares with the host, ids */
    struct cgroup *cgroup;       /* joined by the new process; NULL: stay in ours */
    int stdio[3];
    bool new_session;
    const void *seccomp_bpf;
    size_t seccomp_len;
    unsigned seccomp_flags;
    const int *extra_fds;
    size_t nextra_fds;
};

/**
 * oci_exec() - start a further process in a running container
 * The caller is its parent. Returns when execve() has succeeded (ret->sync is -1).
 * Return: 0; -ESRCH with ERR_CONFLICT when the container is not running; errors as oci_create().
 */
int oci_exec(const struct oci_exec *x, struct oci_init *ret, struct err *err) MUST;

/**
 * oci_kill() - signal init, or with @all every process of the cgroup
 * Return: 0, 1 when it was gone already.
 */
int oci_kill(int pidfd, struct cgroup *cg, int sig, bool all, struct err *err) MUST;

/** oci_hooks_run() - run a list of hooks on the host; @state is the JSON they get on stdin. */
int oci_hooks_run(const struct oci_hook_list *hooks, const char *what, const char *state,
                  struct err *err) MUST;

/** oci_state_json() - the state document of the specification, appended to @out. */
struct buf;
void oci_state_json(const struct oci_create *c, const char *status, pid_t pid, struct buf *out);

/**
 * oci_seal_self() - run from a read-only copy of our own program from now on
 * Container processes could otherwise reach our file through /proc/<pid>/exe and overwrite it
 * (CVE-2019-5736). Re-executes once, from a sealed memfd, unless the program already runs from one
 * or its file system is read-only. Call it first thing in main(). Return: 0 when running sealed;
 * -errno (the caller decides to go on or not).
 */
int oci_seal_self(char **argv, struct err *err) MUST;
