/* The options of run and create, and how they become a create request. */
#pragma once

#include "cli/cmd.h"
#include "wire/container.h"

struct run_opts {
    /* of run alone */
    bool detach, sig_proxy;
    char *detach_keys;

    char *name, *platform, *pull;
    bool quiet, disable_content_trust, use_api_socket;

    struct strv attach;
    bool interactive, tty;
    char *cidfile;
    struct strv env, env_file, label, label_file, annotation;
    char *entrypoint, *user, *workdir, *hostname, *domainname, *stop_signal;
    int64_t stop_timeout;
    bool init, rm, privileged, read_only;

    struct strv volume, mount, tmpfs, volumes_from, storage_opt;
    char *volume_driver;

    struct strv publish, expose, network, network_alias, link, link_local_ip, add_host;
    struct strv dns, dns_option, dns_search;
    bool publish_all;
    char *ip, *ip6, *mac_address;

    char *health_cmd;
    int64_t health_interval, health_timeout, health_start_period, health_start_interval;
    int64_t health_retries;
    bool no_healthcheck;

    char *restart, *log_driver;
    struct strv log_opt;

    struct strv cap_add, cap_drop, security_opt, group_add, sysctl, ulimit;
    struct strv device, device_cgroup_rule, gpus;
    struct strv blkio_weight_device, device_read_bps, device_write_bps, device_read_iops;
    struct strv device_write_iops;
    char *cgroup_parent, *cgroupns, *ipc, *pid, *userns, *uts, *runtime, *isolation;

    int64_t memory, memory_reservation, memory_swap, memory_swappiness, kernel_memory, shm_size;
    int64_t cpu_count, cpu_percent, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime;
    int64_t cpu_shares, cpus, blkio_weight, pids_limit, oom_score_adj, io_max_bandwidth;
    int64_t io_max_iops;
    bool oom_kill_disable;
    char *cpuset_cpus, *cpuset_mems;
};

extern const struct opt run_opt_table[], create_opt_table[];
#define CREATE_OPTS 103
#define RUN_OPTS (CREATE_OPTS + 3)

/**
 * run_request() - options and arguments to a create request
 * @args: IMAGE [COMMAND] [ARG...]
 */
int run_request(struct cli *cli, const struct run_opts *o, const struct strv *args,
                struct container_create_request *ret, struct err *err) MUST;
