/*
 * What a container gets from the machine it runs on: mounts, ports, limits, privileges. Lists keep
 * the difference between null and empty, as they were given; host_config_defaults() fills what the
 * engine always shows.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct log_config {
    char *type; /* "json-file"; "" is the engine's default */
    struct strmap config;
};

struct restart_policy {
    char *name; /* "", "no", "always", "unless-stopped", "on-failure" */
    int64_t max_retries;
};

struct port_binding {
    char *host_ip;
    char *host_port; /* "8080", a range "8000-8010", or "" for any */
};

/* "80/tcp" -> list of struct port_binding. A null list is a NULL value. */
typedef MAP_OF(struct objv *) port_map;

struct bind_options {
    char *propagation;
    bool non_recursive, create_mountpoint, read_only_non_recursive, read_only_force_recursive;
};

struct volume_driver_config {
    char *name;
    struct strmap options;
};

struct volume_options {
    bool no_copy;
    struct strmap labels;
    char *subpath;
    struct volume_driver_config *driver_config;
};

struct image_options {
    char *subpath;
};

struct tmpfs_options {
    int64_t size_b;              /* 0: no limit */
    uint32_t mode;               /* 0: 1777 */
    VEC_OF(struct strv) options; /* {"exec"} or {"key", "value"} */
};

/* One element of HostConfig.Mounts. */
struct mount_spec {
    char *type; /* "bind", "volume", "tmpfs", "image" */
    char *source, *target;
    bool read_only;
    char *consistency; /* accepted, no meaning on Linux */
    struct bind_options *bind_options;
    struct volume_options *volume_options;
    struct image_options *image_options;
    struct tmpfs_options *tmpfs_options;
};

struct weight_device {
    char *path;
    uint32_t weight;
};

struct throttle_device {
    char *path;
    uint64_t rate; /* bytes or operations per second */
};

struct device_mapping {
    char *host_path, *container_path;
    char *permissions; /* of "rwm" */
};

struct device_request {
    char *driver;
    int64_t count; /* -1: all */
    struct strv device_ids;
    VEC_OF(struct strv) capabilities;
    struct strmap options;
};

struct ulimit {
    char *name;         /* "nofile" */
    int64_t soft, hard; /* -1: unlimited */
};

/* The limits: part of HostConfig, and what an update may change. 0, "" and NULL: no limit. */
struct resources {
    int64_t cpu_shares;
    int64_t memory_b;
    int64_t nano_cpus; /* 1e-9 CPU */
    char *cgroup_parent;
    uint32_t blkio_weight;
    VEC_OF(struct weight_device *) blkio_weight_device;
    VEC_OF(struct throttle_device *) blkio_read_bps;
    VEC_OF(struct throttle_device *) blkio_write_bps;
    VEC_OF(struct throttle_device *) blkio_read_iops;
    VEC_OF(struct throttle_device *) blkio_write_iops;
    int64_t cpu_period_us, cpu_quota_us;
    int64_t cpu_rt_period_us, cpu_rt_runtime_us;
    char *cpuset_cpus, *cpuset_mems;
    VEC_OF(struct device_mapping *) devices;
    struct strv device_cgroup_rules;
    VEC_OF(struct device_request *) device_requests;
    int64_t kernel_memory_b; /* before API 1.42; ignored */
    int64_t kernel_memory_tcp_b;
    int64_t memory_reservation_b;
    int64_t memory_swap_b;      /* memory plus swap; -1: unlimited swap */
    int64_t *memory_swappiness; /* percent */
    bool *oom_kill_disable;
    int64_t *pids_limit; /* NULL, 0, -1: unlimited */
    VEC_OF(struct ulimit *) ulimits;
    int64_t cpu_count, cpu_percent;         /* Windows only; kept */
    uint64_t io_max_iops, io_max_bandwidth; /* Windows only; kept */
};

struct host_config {
    struct strv binds; /* "source:target[:options]" */
    char *container_id_file;
    struct log_config log_config;
    char *network_mode; /* "", "default", "bridge", "none", "host", "container:x", a network */
    port_map port_bindings;
    struct restart_policy restart_policy;
    bool auto_remove;
    char *volume_driver;
    struct strv volumes_from;     /* "container[:ro|rw]" */
    VEC_OF(int64_t) console_size; /* rows, columns */
    struct strmap annotations;
    struct strv cap_add, cap_drop;
    char *cgroupns_mode; /* "", "private", "host" */
    struct strv dns, dns_options, dns_search;
    struct strv extra_hosts; /* "name:address" */
    struct strv group_add;
    char *ipc_mode;
    char *cgroup;
    struct strv links;
    int64_t oom_score_adj;
    char *pid_mode;
    bool privileged, publish_all_ports, readonly_rootfs;
    struct strv security_opt;
    struct strmap storage_opt;
    struct strmap tmpfs; /* path -> options */
    char *uts_mode, *userns_mode;
    int64_t shm_size_b;
    struct strmap sysctls;
    char *runtime;
    char *isolation; /* Windows only; kept */
    struct resources res;
    VEC_OF(struct mount_spec *) mounts;
    struct strv masked_paths, readonly_paths; /* NULL: the engine's defaults; empty: none */
    bool *init;
};

extern const struct json_type log_config_type;
extern const struct json_type restart_policy_type;
extern const struct json_type port_binding_type;
extern const struct json_type mount_spec_type;
extern const struct json_type weight_device_type;
extern const struct json_type throttle_device_type;
extern const struct json_type device_mapping_type;
extern const struct json_type device_request_type;
extern const struct json_type ulimit_type;
extern const struct json_type resources_type;
extern const struct json_type host_config_type;

/** port_map_get() - the bindings of "80/tcp", or NULL; port_map_add() - append one binding; the
 * strings are copied into @a. */
struct objv *port_map_get(const port_map *m, const char *port);
void port_map_add(port_map *m, struct arena *a, const char *port, const char *host_ip,
                  const char *host_port);
/** port_map_set_null() - make sure @port is a key (its list stays null when it is new): an exposed
 * port that is not published. */
void port_map_set_null(port_map *m, struct arena *a, const char *port);

/** host_config_defaults() - give ConsoleSize its two numbers. */
void host_config_defaults(struct host_config *hc, struct arena *a);
