/*
 * The daemon's settings: daemon.json and dockerd's flags fill the same struct; a flag and a key
 * for the same setting are refused, as dockerd does. Unknown keys are errors.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "wire/system.h"

struct engine_config {
    char *data_root, *exec_root, *pidfile;
    struct strv hosts; /* unix://, tcp://, fd:// */
    char *group;       /* of the unix socket */
    bool debug;
    char *log_level, *log_format;
    char *bridge; /* link name of the default bridge; "": cleat0 or the next; "none": no bridge */
    char *bip, *bip6;
    char *fixed_cidr, *fixed_cidr_v6; /* of the default bridge: where its addresses come from */
    bool ipv6;                        /* the default bridge has IPv6 */
    bool userland_proxy;              /* accepted: ports need no process of their own here */
    int64_t mtu;
    bool ip_masq, ip_forward, icc, iptables;
    char *firewall; /* who has the last word on forwarding: "host", or as with Docker "docker" */
    /* Subnets for networks that name none: all of Size bits within Base. */
    VEC_OF(struct address_pool *) default_address_pools;
    char *ip; /* default host address for published ports */
    bool init;
    char *init_path;
    char *cgroup_parent;
    char *log_driver;
    struct strmap log_opts;
    struct strv dns, dns_opts, dns_search;
    struct strv labels;
    int64_t default_shm_size; /* bytes */
    char *default_ipc_mode, *default_cgroupns_mode;
    bool no_new_privileges;
    char *seccomp_profile;    /* "builtin", "unconfined", or a path */
    int64_t shutdown_timeout; /* s */
    bool live_restore;
    bool experimental;
    bool tls, tlsverify;
    char *tlscacert, *tlscert, *tlskey;
    struct strv registry_mirrors;    /* "URL" (of docker.io) or "REGISTRY=URL" */
    struct strv insecure_registries; /* names, or networks as 10.0.0.0/8 */
    struct proxy_config {
        char *http, *https, *no;
    } proxies; /* for the daemon's own connections; else the environment's */
    int64_t max_concurrent_downloads, max_concurrent_uploads, max_download_attempts;
    struct strv plugin_dirs; /* where plugins are found */
    int64_t plugin_timeout;  /* s: the longest that one may take for an answer */
    char *image_blobs;       /* "keep" or "drop" the compressed blobs of layers */
    struct builder_config {
        struct builder_gc {
            bool enabled;
            char *keep, *reserved; /* "20GB": how much builds may keep; two names of one thing */
        } gc;
    } builder;
    char *request_log; /* flag --request-log only: every request and reply, for tests */
};

extern const struct json_type engine_config_type;

/** engine_config_defaults() - every setting that nobody gave. */
void engine_config_defaults(struct engine_config *c, struct arena *a);

/** engine_config_finish() - what depends on what was given; and checks. */
int engine_config_finish(struct engine_config *c, struct arena *a, struct err *err) MUST;

/**
 * engine_config_load() - read a daemon.json into @c
 * @missing_ok: a missing file is no error (the default path)
 */
int engine_config_load(struct engine_config *c, const char *path, bool missing_ok, struct arena *a,
                       struct err *err) MUST;
