/* The engine itself: info, version, events, disk usage, errors, registry credentials. */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "wire/container.h"
#include "wire/image.h"
#include "wire/volume.h"

struct error_body {
    char *message;
};

struct id_response {
    char *id;
};

struct version_platform {
    char *name;
};

struct version_component {
    char *name, *version;
    struct strmap details; /* not sent when there are none */
};

struct system_version {
    struct version_platform platform;
    VEC_OF(struct version_component *) components;
    char *version, *api_version, *min_api_version, *git_commit, *go_version, *os, *arch;
    char *kernel_version;
    bool experimental;
    char *build_time; /* RFC 3339 */
};

struct info_plugins {
    struct strv volume, network, authorization, log;
};

struct registry_index {
    char *name;
    struct strv mirrors;
    bool secure, official;
};

struct registry_service_config {
    struct strv insecure_cidrs;
    MAP_OF(struct registry_index *) index_configs;
    struct strv mirrors;
};

struct runtime_info {
    char *path;
    struct strv args;
    struct strmap status;
};

struct swarm_info {
    char *node_id, *node_addr;
    char *local_node_state; /* "inactive" */
    bool control_available;
    char *error;
    struct strv remote_managers; /* always null */
};

struct commit_info {
    char *id;
    char *expected; /* before API 1.49; "" later: not sent */
};

struct address_pool {
    char *base;
    int64_t size; /* prefix length */
};

struct firewall_info {
    char *driver;
    VEC_OF(struct strv) info; /* pairs */
};

struct containerd_namespaces {
    char *containers, *plugins;
};

struct containerd_info {
    char *address;
    struct containerd_namespaces namespaces;
};

struct system_info {
    char *id;
    int64_t containers, containers_running, containers_paused, containers_stopped, images;
    char *driver;
    VEC_OF(struct strv) driver_status; /* pairs */
    struct info_plugins plugins;
    bool memory_limit, swap_limit, kernel_memory_tcp, cpu_cfs_period, cpu_cfs_quota, cpu_shares;
    bool cpuset, pids_limit, ipv4_forwarding, debug;
    int64_t nfd;
    bool oom_kill_disable;
    int64_t ngoroutines; /* threads, here */
    char *system_time;   /* RFC 3339 */
    char *logging_driver, *cgroup_driver, *cgroup_version;
    int64_t nevents_listener;
    char *kernel_version, *operating_system, *os_version, *os_type, *architecture;
    char *index_server_address;
    struct registry_service_config *registry_config;
    int64_t ncpu, mem_total_b;
    struct strv generic_resources; /* always null */
    char *docker_root_dir, *http_proxy, *https_proxy, *no_proxy, *name;
    struct strv labels;
    bool experimental_build;
    char *server_version;
    MAP_OF(struct runtime_info *) runtimes;
    char *default_runtime;
    struct swarm_info swarm;
    bool live_restore_enabled;
    char *isolation, *init_binary;
    struct commit_info containerd_commit, runc_commit, init_commit;
    struct strv security_options; /* "name=seccomp,profile=builtin" */
    char *product_license;
    VEC_OF(struct address_pool *) default_address_pools;
    struct firewall_info *firewall_backend; /* API 1.49 */
    struct strv cdi_spec_dirs;              /* API 1.44; null before */
    struct containerd_info *containerd;     /* API 1.46 */
    struct strv warnings;
};

struct event_actor {
    char *id;
    struct strmap attributes;
};

struct event_message {
    char *status, *id, *from; /* older clients: action, id and image of containers and images */
    char *type, *action;
    struct event_actor actor;
    char *scope;             /* "local" */
    int64_t time_s, time_ns; /* the same moment in two units */
};

struct build_cache_record {
    char *id;
    struct strv parents;
    char *type, *description;
    bool in_use, shared;
    int64_t size_b;
    char *created_at, *last_used_at; /* RFC 3339; the latter NULL: null */
    int64_t usage_count;
};

struct disk_usage {
    int64_t layers_size_b;
    VEC_OF(struct image_summary *) images;
    VEC_OF(struct container_summary *) containers;
    VEC_OF(struct volume_info *) volumes;
    VEC_OF(struct build_cache_record *) build_cache;
};

/* Registry credentials: X-Registry-Auth (base64url) and POST /auth. */
struct auth_config {
    char *username, *password, *email, *server_address, *identity_token, *registry_token;
};

struct auth_response {
    char *identity_token, *status;
};

extern const struct json_type error_body_type;
extern const struct json_type id_response_type;
extern const struct json_type system_version_type;
extern const struct json_type system_info_type;
extern const struct json_type event_message_type;
struct build_prune_response {
    struct strv deleted;
    uint64_t space_reclaimed_b;
};

extern const struct json_type build_cache_record_type;
extern const struct json_type build_prune_response_type;
extern const struct json_type disk_usage_type;
extern const struct json_type auth_config_type;
extern const struct json_type auth_response_type;
