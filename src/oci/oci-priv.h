/*
 * What the files of the runtime share. The parent parses everything into a struct plan before it
 * clones; the child (struct setup) then only executes: a step fails because the kernel refuses, not
 * because a string was wrong.
 */
#pragma once

#include "base/arena.h"
#include "kern/caps.h"
#include "kern/mount.h"
#include "oci/runtime.h"

#define NS_MAX 8

/* ---- plan ---- */

enum mount_kind {
    MOUNT_FS,      /* a new file system */
    MOUNT_BIND,    /* something of the host */
    MOUNT_LAYERS,  /* an overlay, made by the parent */
    MOUNT_CGROUP1, /* tmpfs with one directory per hierarchy */
    MOUNT_CGROUP2,
};

struct plan_mount {
    const struct oci_mount *m;
    enum mount_kind kind;
    struct mount_opts o;
    const char *source; /* absolute */
    bool dir;           /* what a bind's source is */
    int fd;             /* made by the parent already, or -1 */
};

struct plan_rlimit {
    int resource;
    uint64_t soft, hard;
};

struct plan_ns {
    int fd, flag;
};

struct plan {
    struct arena arena;
    int new_ns;                  /* CLONE_NEW* of clone3() */
    bool new_cgroupns;           /* made later, when init is in its cgroup */
    bool new_netns;              /* made by the child, while the parent does other things */
    bool new_timens;             /* made by the child, which must set the offsets first */
    struct plan_ns join[NS_MAX]; /* joined by the child, in this order */
    size_t njoin;
    int join_pid, join_user; /* need care before the clone; -1: none */
    VEC_OF(struct plan_mount) mounts;
    bool own_dev; /* /dev is not the host's: make devices and links */
    bool cgroup_mount;
    uint64_t root_propagation;
    bool root_propagation_rec;
    int root_fd; /* what becomes the root */
    bool root_fd_ours;
    char *bundle;
};

/** plan_container() - parse the mounts, open the namespaces to join, prepare what needs the host.
 */
int plan_container(const struct oci_create *c, struct plan *ret, struct err *err) MUST;
void plan_done(struct plan *p);
/** clone_source() - a bind's source as a detached mount; in the namespace that shall mount it. */
int clone_source(const struct plan_mount *pm, struct err *err) MUST;
/** clone_foreign() - the same, of a source in another mount namespace; in the parent. */
int clone_foreign(const struct plan_mount *pm, struct err *err) MUST;
/** plan_device_rules() - add what every container may use, unless the list says so already. */
void plan_device_rules(struct plan *p, struct cgroup_limits *lim);

/* ---- the process to be, for create and exec alike ---- */

struct identity {
    const struct oci_process *p;
    struct caps caps;
    bool set_caps;
    VEC_OF(struct plan_rlimit) rlimits;
    gid_t *gids;
    size_t ngids;
    char **argv, **env;
    const char *path; /* $PATH, or NULL */
    unsigned warnings;
};

/** identity_plan() - parse capabilities, limits, groups; everything lives in @a. */
int identity_plan(const struct oci_process *p, struct arena *a, struct identity *ret,
                  struct err *err) MUST;

/* ---- messages between parent and child ---- */

enum msg_kind {
    MSG_NONE,
    MSG_ERROR,   /* child: struct err follows; it is about to exit */
    MSG_CONSOLE, /* child: the pty master comes along */
    MSG_MOUNTED, /* child: mounts are there, root not switched; parent runs the runtime's hooks */
    MSG_READY,   /* child: everything is set up; warnings */
    MSG_NETNS,   /* child: it is in its network namespace */
    MSG_MAPS,    /* parent: ids are mapped */
    MSG_ROOT,    /* parent: the root's mount comes along */
    MSG_CGROUP,  /* parent: the cgroup exists, limits are set; descriptors for joining */
    MSG_HOOKS,   /* parent: hooks have run */
    MSG_NET,     /* parent: the network is there */
    MSG_DETACH,  /* parent: the start comes over the start socket, I am leaving */
    MSG_START,   /* parent: go */
};

struct msg {
    enum msg_kind kind;
    unsigned warnings;
    struct err e;
};

int msg_pair(int ret[2], struct err *err) MUST;
int msg_send(int sock, enum msg_kind kind, struct err *err) MUST;
/** msg_send_fds() - with descriptors, at most FDS_MAX. */
int msg_send_fds(int sock, enum msg_kind kind, const int *fds, size_t nfds, struct err *err) MUST;
int msg_send_ready(int sock, unsigned warnings, struct err *err) MUST;
/** msg_send_error() - last words of a child; nothing can be done when they are not heard. */
void msg_send_error(int sock, const struct err *e);
/** msg_recv() - Return: 1, 0 at end of file, -errno. @ret_fd: a descriptor that came along or -1.
 */
int msg_recv(int sock, struct msg *ret, int *ret_fd, struct err *err) MUST;
/** msg_expect() - in the child: the parent's next message must be @kind. */
int msg_expect(int sock, enum msg_kind kind, struct err *err) MUST;
/** msg_expect_fds() - the same with descriptors; @nfds is the room, then how many came. */
int msg_expect_fds(int sock, enum msg_kind kind, int *fds, size_t *nfds, struct err *err) MUST;

/* ---- child ---- */

struct setup {
    const struct oci_create *c; /* NULL in exec */
    const struct oci_spec *spec;
    struct plan *plan;
    struct identity *id;
    struct cgroup *cgroup;
    const void *bpf;
    size_t bpf_len;
    unsigned bpf_flags;
    int stdio[3];
    bool new_session;
    const int *extra_fds;
    size_t nextra_fds;
    int sync;
    int parent_sync; /* the other end: closed first, or its end would never be seen */
    int root_fd;
    int mask_fd;   /* tmpfs that hides directories, once attached */
    int console;   /* slave */
    int start_fd;  /* listening socket for a start by another process, or -1 */
    int lsm_fd;    /* where the label for exec is written */
    int sysctl_fd; /* /proc/sys of the container's own proc, before it is hidden; or -1 */
    const char *exe;
    char exe_buf[4096];
    bool joined; /* the cgroup */
    bool born_in_cgroup;
};

struct step {
    const char *name;
    int (*run)(struct setup *s, struct err *err);
};

/** steps_run() - execute a table of steps that ends with name == NULL. */
int steps_run(struct setup *s, const struct step *steps, struct err *err) MUST;

/** init_child() - in the cloned child: never returns. */
void init_child(struct setup *s) __attribute__((__noreturn__));
/** exec_child() - the same for a further process; @pidfd is the container's init. */
void exec_child(struct setup *s, int pidfd, int ns_flags) __attribute__((__noreturn__));

/* init_mount.c */
int setup_root(struct setup *s, struct err *err) MUST;
int setup_mounts(struct setup *s, struct err *err) MUST;
int setup_pivot(struct setup *s, struct err *err) MUST;
int setup_root_ro(struct setup *s, struct err *err) MUST;
int setup_root_propagation(struct setup *s, struct err *err) MUST;
/* init_cgroupfs.c */
int setup_join_cgroup(struct setup *s, struct err *err) MUST;
int mount_cgroup1(struct setup *s, const struct plan_mount *m, struct err *err) MUST;
int mount_cgroup2(struct setup *s, const struct plan_mount *m, struct err *err) MUST;
/** mount_at() - attach a detached mount at a path of the container. */
int mount_at(struct setup *s, int mnt_fd, const char *path, bool dir, struct err *err) MUST;
/* init_tmpcopy.c: fill the detached tmpfs @mnt_fd with what is at @path */
int tmpcopyup(struct setup *s, const char *path, int mnt_fd, struct err *err) MUST;
/* init_dev.c */
int setup_devices(struct setup *s, struct err *err) MUST;
int setup_dev_links(struct setup *s, struct err *err) MUST;
int setup_console(struct setup *s, struct err *err) MUST;
int exec_console(struct setup *s, struct err *err) MUST;
/* init_mask.c */
int setup_readonly_paths(struct setup *s, struct err *err) MUST;
int setup_masked_paths(struct setup *s, struct err *err) MUST;
/* identity.c */
int setup_host_proc(struct setup *s, struct err *err) MUST;
int setup_rlimits(struct setup *s, struct err *err) MUST;
int setup_scheduling(struct setup *s, struct err *err) MUST;
int setup_fds(struct setup *s, struct err *err) MUST;
int setup_user(struct setup *s, struct err *err) MUST;
int setup_make_cwd(struct setup *s, struct err *err) MUST;
int setup_cwd(struct setup *s, struct err *err) MUST;
int setup_lookup(struct setup *s, struct err *err) MUST;
int setup_privileges(struct setup *s, struct err *err) MUST;
int setup_execve(struct setup *s, struct err *err) MUST;

/* ---- parent ---- */

/** oci_follow() - read the child's messages until it is ready, or (@to_exec) has executed. */
struct follow {
    const struct oci_create *c; /* hooks; NULL in exec */
    struct oci_init *init;
    bool to_exec;
    struct arena *arena;
};
int oci_follow(struct follow *f, struct err *err) MUST;
