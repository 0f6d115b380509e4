/*
 * config.json of the OCI runtime specification 1.3 (Linux), as structs with one JSON descriptor:
 * oci_spec_type. The engine fills a struct oci_spec and encodes it; the runtime decodes it. What
 * the kernel-facing modules need anyway (limits, seccomp, id maps) are their own structs.
 *
 * Strings are NUL-terminated UTF-8; NULL and "" both mean "not given". All of it lives in an arena.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "kern/cgroup.h"
#include "kern/idmap.h"
#include "kern/seccomp.h"

#include <stdbool.h>
#include <stdint.h>

#define OCI_VERSION "1.2.1"

struct oci_user {
    uint32_t uid, gid;
    uint32_t *umask;
    VEC_OF(int64_t) additional_gids;
    char *username;
};

struct oci_box {
    uint32_t height, width; /* rows, columns */
};

struct oci_capabilities {
    struct strv bounding, effective, inheritable, permitted, ambient; /* "CAP_CHOWN" ... */
};

struct oci_rlimit {
    char *type; /* "RLIMIT_NOFILE" */
    uint64_t hard, soft;
};

struct oci_scheduler {
    char *policy; /* "SCHED_BATCH" ... */
    int32_t nice, priority;
    struct strv flags;
    uint64_t runtime, deadline, period; /* ns */
};

struct oci_io_priority {
    char *class_; /* "IOPRIO_CLASS_BE" ... */
    int32_t priority;
};

struct oci_cpu_affinity {
    char *initial, *final; /* lists such as "0-3,7" */
};

struct oci_process {
    bool terminal;
    struct oci_box *console_size;
    struct oci_user user;
    struct strv args, env;
    char *cwd;                             /* absolute */
    struct oci_capabilities *capabilities; /* NULL: none at all */
    VEC_OF(struct oci_rlimit *) rlimits;
    bool no_new_privileges;
    char *apparmor_profile, *selinux_label;
    int64_t *oom_score_adj;
    struct oci_scheduler *scheduler;
    struct oci_io_priority *io_priority;
    struct oci_cpu_affinity *exec_cpu_affinity;
};

struct oci_root {
    char *path; /* absolute, or relative to the bundle */
    bool readonly;
};

struct oci_mount {
    char *destination; /* absolute in the container */
    char *type, *source;
    char *mount_ns; /* of a bind: the file of the mount namespace in which its source is; not OCI */
    char *subpath;  /* of what is mounted: the part that is mounted, found without leaving it;
                       not OCI */
    /* Of a bind: its source, open; the runtime's from then on. 0: none; not OCI. */
    int32_t source_fd;
    bool by_host; /* a file system that is mounted with the host's network and devices; not OCI */
    struct strv lowers; /* directories as one tree, topmost first, instead of a source; not OCI */
    char *upper, *work; /* with @lowers: where what is written goes; else it is read-only */
    struct strv options;
    struct idmap_list uid_mappings, gid_mappings;
};

struct oci_hook {
    char *path;
    struct strv args, env;
    int64_t *timeout; /* seconds */
};

struct oci_hook_list {
    struct oci_hook **v;
    size_t n;
};

struct oci_hooks {
    struct oci_hook_list prestart, create_runtime, create_container, start_container, poststart,
        poststop;
};

struct oci_namespace {
    char *type; /* "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time" */
    char *path; /* join this one instead of making a new one */
};

struct oci_device {
    char *path, *type; /* "c", "b", "u", "p" */
    int64_t major, minor;
    uint32_t *file_mode, *uid, *gid;
};

struct oci_net_device {
    char *name; /* name inside the container; empty: keep */
};

struct oci_time_offset {
    int64_t secs;
    uint32_t nanosecs;
};

struct oci_personality {
    char *domain; /* "LINUX", "LINUX32" */
    struct strv flags;
};

struct oci_memory_policy {
    char *mode, *nodes;
    struct strv flags;
};

struct oci_linux {
    struct idmap_list uid_mappings, gid_mappings;
    struct strmap sysctl;
    struct cgroup_limits *resources;
    char *cgroups_path;
    VEC_OF(struct oci_namespace *) namespaces;
    VEC_OF(struct oci_device *) devices;
    MAP_OF(struct oci_net_device *) net_devices;
    struct seccomp_profile *seccomp;
    char *rootfs_propagation; /* "private", "slave", "shared", "unbindable", with or without "r" */
    struct strv masked_paths, readonly_paths;
    char *mount_label;
    struct json_raw intel_rdt; /* kept, not applied */
    struct oci_personality *personality;
    struct oci_memory_policy *memory_policy;
    MAP_OF(struct oci_time_offset *) time_offsets; /* "monotonic", "boottime" */
};

struct oci_spec {
    char *oci_version;
    struct oci_process *process;
    struct oci_root *root;
    char *hostname, *domainname;
    VEC_OF(struct oci_mount *) mounts;
    struct oci_hooks *hooks;
    struct strmap annotations;
    struct oci_linux *lnx; /* "linux" is a macro in GNU C */
};

extern const struct json_type oci_spec_type;
extern const struct json_type oci_process_type;
extern const struct json_type oci_mount_type;
extern const struct json_type oci_resources_type; /* struct cgroup_limits */
extern const struct json_type oci_seccomp_type;   /* struct seccomp_profile */

/**
 * oci_spec_decode() - text of a config.json to a struct, with the checks of oci_spec_check()
 * @a: everything lives here
 */
int oci_spec_decode(const char *text, size_t len, struct arena *a, struct oci_spec **ret,
                    struct err *err) MUST;
/**
 * oci_spec_check() - what a table of fields cannot say: absolute paths, known namespaces, no
 * duplicates, maps only with a user namespace ...
 * Return: 0; -EINVAL naming the member; ERR_NOT_IMPLEMENTED for what is not built.
 */
int oci_spec_check(const struct oci_spec *spec, struct err *err) MUST;
/** oci_process_check() - the same for a process alone (exec --process). */
int oci_process_check(const struct oci_process *p, struct err *err) MUST;

/** oci_spec_ns() - the entry for a kind of namespace ("network"), or NULL. */
const struct oci_namespace *oci_spec_ns(const struct oci_spec *spec, const char *type);

/** oci_spec_example() - what "spec" prints: an ordinary container that runs sh. */
struct oci_spec *oci_spec_example(struct arena *a, bool rootless);
