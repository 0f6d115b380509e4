/*
 * Containers: requests and responses around the two configurations (config.h, host_config.h).
 * Times are RFC 3339 text as they go over the wire; "0001-01-01T00:00:00Z" is never.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "wire/config.h"
#include "wire/host_config.h"
#include "wire/image.h"
#include "wire/network.h"
#include "wire/stats.h"

/* Body of a create request: a container_config with two more members. */
struct container_create_request {
    struct container_config config;
    struct host_config *host_config;             /* NULL: all defaults */
    struct networking_config *networking_config; /* NULL: the network mode says it all */
};

struct container_create_response {
    char *id;
    struct strv warnings;
};

struct health_result {
    char *start, *end;
    int64_t exit_code;
    char *output;
};

struct health {
    char *status; /* "starting", "healthy", "unhealthy" */
    int64_t failing_streak;
    VEC_OF(struct health_result *) log;
};

struct container_state {
    char *status; /* "created", "running", "paused", "restarting", "removing", "exited", "dead" */
    bool running, paused, restarting, oom_killed, dead;
    int64_t pid;
    int64_t exit_code;
    char *error;
    char *started_at, *finished_at;
    struct health *health; /* NULL without a health check */
};

struct network_address {
    char *addr;
    int64_t prefix_len;
};

/* The single-network fields describe the default bridge, and are empty without it. */
struct network_settings {
    char *bridge, *sandbox_id, *sandbox_key;
    port_map ports; /* {} when nothing is exposed; null list: exposed, not published */
    bool hairpin_mode;
    char *link_local_ipv6_address;
    int64_t link_local_ipv6_prefix_len;
    VEC_OF(struct network_address *) secondary_ip_addresses;   /* always null */
    VEC_OF(struct network_address *) secondary_ipv6_addresses; /* always null */
    char *endpoint_id, *gateway;
    char *global_ipv6_address;
    int64_t global_ipv6_prefix_len;
    char *ip_address;
    int64_t ip_prefix_len;
    char *ipv6_gateway, *mac_address;
    MAP_OF(struct endpoint_settings *) networks; /* name -> endpoint */
};

struct mount_point {
    char *type, *name, *source, *destination, *driver, *mode;
    bool rw;
    char *propagation;
};

struct container_inspect {
    char *id, *created, *path;
    struct strv args;
    struct container_state state;
    char *image; /* id */
    char *resolv_conf_path, *hostname_path, *hosts_path, *log_path;
    char *name; /* with its leading slash */
    int64_t restart_count;
    char *driver, *platform, *mount_label, *process_label, *apparmor_profile;
    struct strv exec_ids; /* null when there are none */
    struct host_config *host_config;
    struct graph_driver graph_driver;
    int64_t *size_rw_b, *size_rootfs_b; /* NULL: not asked for */
    VEC_OF(struct mount_point *) mounts;
    struct container_config *config;
    struct network_settings network_settings;
    struct oci_descriptor *image_manifest; /* API 1.48 */
};

struct port_summary {
    char *ip; /* "" when not published */
    uint32_t private_port, public_port;
    char *type;
};

struct host_config_summary {
    char *network_mode;
    struct strmap annotations; /* API 1.46 */
};

struct network_settings_summary {
    MAP_OF(struct endpoint_settings *) networks;
};

/* One element of the container list. */
struct container_summary {
    char *id;
    struct strv names; /* with leading slashes */
    char *image, *image_id;
    struct oci_descriptor *image_manifest; /* API 1.48 */
    char *command;
    int64_t created_s;
    VEC_OF(struct port_summary *) ports;
    int64_t *size_rw_b, *size_rootfs_b; /* NULL: not asked for */
    struct strmap labels;
    char *state;
    char *status; /* "Up 3 minutes (healthy)" */
    struct host_config_summary host_config;
    struct network_settings_summary network_settings;
    VEC_OF(struct mount_point *) mounts;
};

struct wait_error {
    char *message;
};

struct container_wait_response {
    int64_t status_code;
    struct wait_error *error;
};

struct container_top_response {
    VEC_OF(struct strv) processes;
    struct strv titles;
};

struct container_update_request {
    struct resources res;
    struct restart_policy restart_policy;
};

struct container_update_response {
    struct strv warnings;
};

struct container_prune_response {
    struct strv deleted; /* ids; null when none was */
    uint64_t space_reclaimed_b;
};

enum change_kind { CHANGE_MODIFIED = 0, CHANGE_ADDED = 1, CHANGE_DELETED = 2 };

struct filesystem_change {
    int64_t kind; /* enum change_kind */
    char *path;
};

/* Sent base64-encoded in X-Docker-Container-Path-Stat. */
struct path_stat {
    char *name;
    int64_t size_b;
    uint32_t mode; /* bits of Go's fs.FileMode */
    char *mtime;   /* RFC 3339 */
    char *link_target;
};

extern const struct json_type container_create_request_type;
extern const struct json_type container_create_response_type;
extern const struct json_type container_state_type;
extern const struct json_type health_type;
extern const struct json_type network_settings_type;
extern const struct json_type mount_point_type;
extern const struct json_type container_inspect_type;
extern const struct json_type container_summary_type;
extern const struct json_type container_wait_response_type;
extern const struct json_type container_top_response_type;
extern const struct json_type container_update_request_type;
extern const struct json_type container_update_response_type;
extern const struct json_type container_prune_response_type;
extern const struct json_type filesystem_change_type;
extern const struct json_type path_stat_type;
