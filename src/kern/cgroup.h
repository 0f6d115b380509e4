/*
 * cgroups behind one interface. Which version the machine has is found once (struct cgroup_host);
 * behind it stand an implementation for v2 and one for v1; a hybrid machine is v1 whose unified
 * tree is used for what v2 does better (kill, freeze, birth inside the group).
 *
 * The limits are those of the OCI runtime specification's linux.resources; oci/spec.c reads them
 * from JSON straight into the structs below. There is no container concept in here.
 *
 * Why the process joins by itself: a write of "0" to a v1 tasks file by a single-threaded process
 * moves it without the global cgroup_threadgroup_rwsem, hence without waiting for an RCU grace
 * period; a write of a pid to cgroup.procs from outside costs milliseconds. On v2 the process is
 * born inside with CLONE_INTO_CGROUP.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_DEFAULT_PARENT "/cleat"

enum cgroup_mode { CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

/* ---- limits: linux.resources ---- */

struct cgroup_device_rule {
    bool allow;
    char *type;             /* "a", "b", "c"; empty is "a" */
    int64_t *major, *minor; /* NULL or -1: any */
    char *access;           /* of "rwm"; empty is all */
};

struct cgroup_memory {
    int64_t *limit, *reservation, *swap; /* bytes; -1 = no limit; swap is memory + swap, as v1 */
    int64_t *kernel, *kernel_tcp;        /* bytes; ignored where the kernel has dropped them */
    int64_t *swappiness;                 /* 0..100; v1 only */
    bool *disable_oom_killer;            /* v1 only */
    bool *use_hierarchy;
    bool *check_before_update; /* refuse a limit below the current usage */
};

struct cgroup_cpu {
    uint64_t shares;     /* 0: not given; 2..262144 */
    int64_t *quota;      /* us per period; -1 = none */
    uint64_t period;     /* us; 0: not given */
    int64_t *burst;      /* us */
    int64_t *rt_runtime; /* us */
    uint64_t rt_period;  /* us; 0: not given */
    char *cpus, *mems;   /* lists such as "0-2,4"; empty: not given */
    int64_t *idle;
};

struct cgroup_pids {
    int64_t limit; /* <= 0: no limit */
};

struct cgroup_io_weight {
    int64_t major, minor;
    uint32_t weight, leaf_weight; /* 10..1000; 0: not given */
};

struct cgroup_io_throttle {
    int64_t major, minor;
    uint64_t rate; /* bytes or operations per second; 0 = no limit */
};

struct cgroup_block_io {
    uint32_t weight, leaf_weight; /* 10..1000; 0: not given */
    VEC_OF(struct cgroup_io_weight *) weight_device;
    VEC_OF(struct cgroup_io_throttle *) read_bps, write_bps, read_iops, write_iops;
};

struct cgroup_hugetlb {
    char *page_size; /* "2MB" */
    uint64_t limit;  /* bytes */
};

struct cgroup_net_prio {
    char *name;
    uint32_t priority;
};

struct cgroup_network {
    uint32_t *class_id;
    VEC_OF(struct cgroup_net_prio *) priorities;
};

struct cgroup_rdma {
    uint32_t *hca_handles, *hca_objects;
};

struct cgroup_limits {
    VEC_OF(struct cgroup_device_rule *) devices;
    struct cgroup_memory *memory;
    struct cgroup_cpu *cpu;
    struct cgroup_pids *pids;
    struct cgroup_block_io *block_io;
    VEC_OF(struct cgroup_hugetlb *) hugetlb;
    struct cgroup_network *network;
    MAP_OF(struct cgroup_rdma *) rdma;
    struct strmap unified; /* v2: file name -> value, written after everything else */
};

/* ---- the machine ---- */

struct cgroup_host;

/**
 * cgroup_host_open() - find out what the machine has, and hold its hierarchies open
 * Costs about ten system calls; do it once per process. Every struct cgroup borrows it.
 * Return: 0; -ENOENT when no cgroup file system is mounted below /sys/fs/cgroup.
 */
int cgroup_host_open(struct cgroup_host **ret, struct err *err) MUST;
void cgroup_host_free(struct cgroup_host *host);
enum cgroup_mode cgroup_host_mode(const struct cgroup_host *host);
/** cgroup_host_has() - is the controller ("memory", "pids", "cpu", ...) there? */
bool cgroup_host_has(const struct cgroup_host *host, const char *controller);

/**
 * cgroup_host_make_room() - let controllers be handed down from the root of what we see
 * In a container of its own a daemon sees, as the root, a group that is not the machine's: there
 * the kernel enables no controller while processes are in it, ours among them. They move to
 * "/init". Return: 0, 1 when processes were moved; -errno when that cannot be (a read-only tree).
 */
int cgroup_host_make_room(struct cgroup_host *host, struct err *err) MUST;

/* ---- one group ---- */

struct cgroup;

/**
 * cgroup_new() - a handle; touches nothing in the file system
 * @path: absolute below each hierarchy's mount ("/cleat/<id>"), without ".." (-EINVAL)
 */
int cgroup_new(struct cgroup_host *host, const char *path, struct cgroup **ret,
               struct err *err) MUST;
/** cgroup_free() - forget the handle; the group stays. */
void cgroup_free(struct cgroup *cg);
const char *cgroup_path(const struct cgroup *cg);
struct cgroup_host *cgroup_host_of(const struct cgroup *cg);

/**
 * cgroup_create() - make the directories (and parents, with controllers enabled) everywhere
 * Return: 0, 1 when the group existed before; -errno, with nothing new left behind.
 */
int cgroup_create(struct cgroup *cg, struct err *err) MUST;
/**
 * cgroup_create_unified() - on a hybrid machine, make the group in its v2 tree already
 * A later cgroup_create() makes the rest. It is one directory, and what cgroup_clone_fd() needs:
 * a process that joins a v2 group later waits for an RCU grace period, 10 ms and more.
 * Return: 1 made; 0 nothing done: there is no such tree, or the group exists somewhere.
 */
int cgroup_create_unified(struct cgroup *cg, struct err *err) MUST;
/** cgroup_exists() - 1, 0, -errno. */
int cgroup_exists(struct cgroup *cg, struct err *err) MUST;

/**
 * cgroup_apply() - set the limits that are given, leave the others
 * A controller that the machine lacks is an error only when a limit asks for it.
 * Return: 0; -EINVAL for values the kernel refuses; -EBUSY for a memory limit below the usage.
 */
int cgroup_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;

/**
 * cgroup_prepare_join() - open what cgroup_join_self() needs, before a clone
 * Needed when the joining process may not open those files itself (user or mount namespace). The
 * descriptors are CLOEXEC and belong to @cg until cgroup_finish_join().
 */
int cgroup_prepare_join(struct cgroup *cg, struct err *err) MUST;
void cgroup_finish_join(struct cgroup *cg);
/**
 * cgroup_join_fds() - the descriptors of cgroup_prepare_join(), to be sent to the joining process
 * @fds: room for CGROUP_JOIN_FDS; borrowed
 * Return: how many.
 */
#define CGROUP_JOIN_FDS 20
size_t cgroup_join_fds(const struct cgroup *cg, int *fds);
/** cgroup_adopt_fds() - in the other process, with a copy of @cg: take over what was received. */
int cgroup_adopt_fds(struct cgroup *cg, const int *fds, size_t n, struct err *err) MUST;
/**
 * cgroup_clone_fd() - directory fd for clone3(CLONE_INTO_CGROUP), after cgroup_prepare_join() or
 * cgroup_create_unified()
 * Return: borrowed fd (the v2 tree, also on hybrid machines), or -1 when there is none.
 */
int cgroup_clone_fd(const struct cgroup *cg);
/**
 * cgroup_join_self() - move the calling, single-threaded process
 * @born_inside: it was cloned with cgroup_clone_fd(), so the v2 tree is done already
 */
int cgroup_join_self(struct cgroup *cg, bool born_inside, struct err *err) MUST;
/**
 * cgroup_open_inner() - where in the v2 tree a process of the group is, if below the group itself
 * A container that hands controllers down (systemd, a nested engine) has its processes in leaves,
 * and the kernel lets nobody else into the group any more (clone3: EBUSY): who wants in joins init.
 * @pid: of our pid namespace; the caller makes sure by pidfd that it is still the one it means
 * Return: directory fd for clone3(CLONE_INTO_CGROUP), the caller's; -ENOENT when the process is in
 * the group itself or outside, or when there is no v2 tree.
 */
int cgroup_open_inner(struct cgroup *cg, pid_t pid, struct err *err) MUST;
/** cgroup_add() - move another process, from outside (slow on v1). */
int cgroup_add(struct cgroup *cg, pid_t pid, struct err *err) MUST;

/**
 * cgroup_freeze(), cgroup_thaw() - stop and continue every process below the group
 * @timeout_ms: how long to wait until all are frozen; -ETIMEDOUT (thawed again) after that
 * Return: 0, 1 when it already was so.
 */
int cgroup_freeze(struct cgroup *cg, int timeout_ms, struct err *err) MUST;
int cgroup_thaw(struct cgroup *cg, struct err *err) MUST;
/** cgroup_frozen() - 1 frozen (or being frozen), 0 not. */
int cgroup_frozen(struct cgroup *cg, struct err *err) MUST;

/** cgroup_kill() - send @sig to every process below the group. Return: 0; a missing group is 0. */
int cgroup_kill(struct cgroup *cg, int sig, struct err *err) MUST;

struct pid_list {
    pid_t *v; /* heap; the caller frees */
    size_t n;
};
/** cgroup_pids() - all processes below the group, ascending. Pids are those of our namespace. */
int cgroup_pids(struct cgroup *cg, struct pid_list *ret, struct err *err) MUST;

/**
 * cgroup_delete() - remove the group and what the container made below it
 * @timeout_ms: how long to wait for dying processes to leave (woken by the kernel, not by sleeping)
 * Processes are not killed. Return: 0, also when it was gone; -EBUSY after the timeout.
 */
int cgroup_delete(struct cgroup *cg, int timeout_ms, struct err *err) MUST;

/* ---- observing ---- */

struct cgroup_io_stat {
    uint64_t major, minor;
    const char *op; /* as the kernel has it: "Read", "Total" on v1; "read", "write" on v2 */
    uint64_t value;
};

struct cgroup_io_stats {
    struct cgroup_io_stat *v;
    size_t n;
};

struct cgroup_kv {
    const char *key;
    uint64_t val;
};

struct cgroup_stats {
    struct {
        uint64_t total_ns, user_ns, system_ns;
        uint64_t *percpu_ns; /* v1 only; NULL on v2 */
        size_t npercpu;
        uint64_t periods, throttled_periods, throttled_ns;
    } cpu;
    struct {
        uint64_t usage, max_usage, limit, failcnt; /* bytes; limit UINT64_MAX: none */
        uint64_t swap_usage, swap_limit;           /* v1: memory + swap; v2: swap alone */
        struct {
            struct cgroup_kv *v;
            size_t n;
        } stat; /* memory.stat as it stands */
    } memory;
    struct {
        uint64_t current, limit; /* limit 0: none */
    } pids;
    struct {
        struct cgroup_io_stats service_bytes, serviced, queued, service_time, wait_time, merged,
            time, sectors; /* v2 fills the first two */
    } io;
    bool v2;
};

/** cgroup_stats() - read everything. Lists live in @a. Files a kernel lacks leave zeros. */
int cgroup_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret,
                 struct err *err) MUST;

/** cgroup_oom_count() - how many processes the OOM killer took in the group so far. */
int cgroup_oom_count(struct cgroup *cg, uint64_t *ret, struct err *err) MUST;
/**
 * cgroup_oom_open() - descriptor that becomes readable when memory ran out in the group
 * It also becomes readable when the group is deleted, and on v2 at other memory events: drain it
 * with cgroup_oom_drain(), then compare cgroup_oom_count().
 * Return: 0; -EOPNOTSUPP without a memory controller.
 */
int cgroup_oom_open(struct cgroup *cg, int *ret_fd, struct err *err) MUST;
void cgroup_oom_drain(int fd);

/**
 * cgroup_each_hierarchy() - walk the v1 hierarchies, for what a container sees as /sys/fs/cgroup
 * @each: gets the hierarchy's directory name ("cpu", "net_cls,net_prio", "unified") and a directory
 *   fd of the group's own place in it (borrowed); a negative return ends the walk
 * Return: 0, or what @each returned. On v2 there is one call, with the name "".
 */
int cgroup_each_hierarchy(struct cgroup *cg,
                          int (*each)(void *arg, const char *name, int dir_fd, struct err *err),
                          void *arg, struct err *err) MUST;
