/*
 * Field lists that stand in more than one table. A list names its members below prefix M of T, so
 * that one JSON object can be the members of two structs (a create request is a configuration plus
 * two members more).
 */
#pragma once

#include "wire/config.h"
#include "wire/host_config.h"

/* The fields of a container_config that sits in T at member prefix M ("" or "config."): the create
 * request holds them beside HostConfig. */
#define CONTAINER_CONFIG_FIELDS(T, M)                                                              \
    FIELD(T, "Hostname", F_STR, M hostname), FIELD(T, "Domainname", F_STR, M domainname),          \
        FIELD(T, "User", F_STR, M user), FIELD(T, "AttachStdin", F_BOOL, M attach_stdin),          \
        FIELD(T, "AttachStdout", F_BOOL, M attach_stdout),                                         \
        FIELD(T, "AttachStderr", F_BOOL, M attach_stderr),                                         \
        FIELD(T, "ExposedPorts", F_SETMAP, M exposed_ports, .flags = F_OMIT),                      \
        FIELD(T, "Tty", F_BOOL, M tty), FIELD(T, "OpenStdin", F_BOOL, M open_stdin),               \
        FIELD(T, "StdinOnce", F_BOOL, M stdin_once), FIELD(T, "Env", F_STRV, M env),               \
        FIELD(T, "Cmd", F_STRV, M cmd, .flags = F_FLEX),                                           \
        FIELD(T, "Healthcheck", F_PTR, M healthcheck, .flags = F_OMIT, .type = &healthcheck_type), \
        FIELD(T, "ArgsEscaped", F_BOOL, M args_escaped, .flags = F_OMIT),                          \
        FIELD(T, "Image", F_STR, M image), FIELD(T, "Volumes", F_SETMAP, M volumes),               \
        FIELD(T, "WorkingDir", F_STR, M working_dir),                                              \
        FIELD(T, "Entrypoint", F_STRV, M entrypoint, .flags = F_FLEX),                             \
        FIELD(T, "NetworkDisabled", F_BOOL, M network_disabled, .flags = F_OMIT),                  \
        FIELD(T, "MacAddress", F_STR, M mac_address, .flags = F_OMIT),                             \
        FIELD(T, "OnBuild", F_STRV, M on_build),                                                   \
        FIELD(T, "Labels", F_STRMAP, M labels, .flags = F_EMPTY),                                  \
        FIELD(T, "StopSignal", F_STR, M stop_signal, .flags = F_OMIT),                             \
        FIELD(T, "StopTimeout", F_I64P, M stop_timeout_s, .flags = F_OMIT),                        \
        FIELD(T, "Shell", F_STRV, M shell, .flags = F_OMIT | F_FLEX)

/* The fields of a struct resources at member prefix M of T: HostConfig and the update request hold
 * them among their own. */
#define RESOURCES_FIELDS(T, M)                                                                     \
    FIELD(T, "CpuShares", F_I64, M cpu_shares), FIELD(T, "Memory", F_I64, M memory_b),             \
        FIELD(T, "NanoCpus", F_I64, M nano_cpus),                                                  \
        FIELD(T, "CgroupParent", F_STR, M cgroup_parent),                                          \
        FIELD(T, "BlkioWeight", F_U32, M blkio_weight),                                            \
        FIELD(T, "BlkioWeightDevice", F_OBJV, M blkio_weight_device, .type = &weight_device_type), \
        FIELD(T, "BlkioDeviceReadBps", F_OBJV, M blkio_read_bps, .type = &throttle_device_type),   \
        FIELD(T, "BlkioDeviceWriteBps", F_OBJV, M blkio_write_bps, .type = &throttle_device_type), \
        FIELD(T, "BlkioDeviceReadIOps", F_OBJV, M blkio_read_iops, .type = &throttle_device_type), \
        FIELD(T, "BlkioDeviceWriteIOps", F_OBJV, M blkio_write_iops,                               \
              .type = &throttle_device_type),                                                      \
        FIELD(T, "CpuPeriod", F_I64, M cpu_period_us),                                             \
        FIELD(T, "CpuQuota", F_I64, M cpu_quota_us),                                               \
        FIELD(T, "CpuRealtimePeriod", F_I64, M cpu_rt_period_us),                                  \
        FIELD(T, "CpuRealtimeRuntime", F_I64, M cpu_rt_runtime_us),                                \
        FIELD(T, "CpusetCpus", F_STR, M cpuset_cpus),                                              \
        FIELD(T, "CpusetMems", F_STR, M cpuset_mems),                                              \
        FIELD(T, "Devices", F_OBJV, M devices, .type = &device_mapping_type),                      \
        FIELD(T, "DeviceCgroupRules", F_STRV, M device_cgroup_rules),                              \
        FIELD(T, "DeviceRequests", F_OBJV, M device_requests, .type = &device_request_type),       \
        FIELD(T, "KernelMemory", F_I64, M kernel_memory_b, .flags = F_OMIT),                       \
        FIELD(T, "KernelMemoryTCP", F_I64, M kernel_memory_tcp_b, .flags = F_OMIT),                \
        FIELD(T, "MemoryReservation", F_I64, M memory_reservation_b),                              \
        FIELD(T, "MemorySwap", F_I64, M memory_swap_b),                                            \
        FIELD(T, "MemorySwappiness", F_I64P, M memory_swappiness),                                 \
        FIELD(T, "OomKillDisable", F_BOOLP, M oom_kill_disable),                                   \
        FIELD(T, "PidsLimit", F_I64P, M pids_limit),                                               \
        FIELD(T, "Ulimits", F_OBJV, M ulimits, .type = &ulimit_type),                              \
        FIELD(T, "CpuCount", F_I64, M cpu_count), FIELD(T, "CpuPercent", F_I64, M cpu_percent),    \
        FIELD(T, "IOMaximumIOps", F_U64, M io_max_iops),                                           \
        FIELD(T, "IOMaximumBandwidth", F_U64, M io_max_bandwidth)
