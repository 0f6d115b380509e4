#include "cli/runopts.h"
#include "cli/specs.h"

/* The options of run and create: names, kinds, words. How they are used is runopts.c. */

#define O(...) OPT(struct run_opts, __VA_ARGS__)

#define COMMON                                                                                     \
    O("add-host", 0, O_CUSTOM, add_host, "Add a line to the container's hosts file (name:ip)",     \
      .type = "list", .check = check_host),                                                        \
        O("annotation", 0, O_MAP, annotation,                                                      \
          "Add an annotation, which the OCI runtime gets to see", .def = "map[]"),                 \
        O("attach", 'a', O_CUSTOM, attach, "Connect to STDIN, STDOUT or STDERR", .type = "list",   \
          .check = check_attach),                                                                  \
        O("blkio-weight", 0, O_UINT16, blkio_weight,                                               \
          "Relative share of block I/O, 10 to 1000; 0 switches it off", .def = "0"),               \
        O("blkio-weight-device", 0, O_CUSTOM, blkio_weight_device,                                 \
          "Relative share of block I/O of one device", .type = "list", .def = "[]",                \
          .check = check_weight),                                                                  \
        O("cap-add", 0, O_LIST, cap_add, "Add a Linux capability"),                                \
        O("cap-drop", 0, O_LIST, cap_drop, "Take a Linux capability away"),                        \
        O("cgroup-parent", 0, O_STR, cgroup_parent, "Parent cgroup of the container"),             \
        O("cgroupns", 0, O_STR, cgroupns,                                                          \
          "Cgroup namespace to use (host|private)\n'host':    the host's own\n'private': one of "  \
          "its "                                                                                   \
          "own\n'':        what the daemon is set to (default)"),                                  \
        O("cidfile", 0, O_STR, cidfile, "Write the container's id to this file"),                  \
        O("cpu-count", 0, O_INT, cpu_count, "Number of CPUs (Windows only)", .flags = OPT_HIDDEN), \
        O("cpu-percent", 0, O_INT, cpu_percent, "CPU percentage (Windows only)",                   \
          .flags = OPT_HIDDEN),                                                                    \
        O("cpu-period", 0, O_INT, cpu_period, "Period of the CPU quota in microseconds"),          \
        O("cpu-quota", 0, O_INT, cpu_quota, "CPU time per period in microseconds"),                \
        O("cpu-rt-period", 0, O_INT, cpu_rt_period,                                                \
          "Period of real-time scheduling, microseconds"),                                         \
        O("cpu-rt-runtime", 0, O_INT, cpu_rt_runtime,                                              \
          "Real-time CPU time per period, microseconds"),                                          \
        O("cpu-shares", 'c', O_INT, cpu_shares, "Relative share of CPU time"),                     \
        O("cpus", 0, O_DECIMAL, cpus, "Number of CPUs it may use at most"),                        \
        O("cpuset-cpus", 0, O_STR, cpuset_cpus, "CPUs it may run on (0-3, 0,1)"),                  \
        O("cpuset-mems", 0, O_STR, cpuset_mems, "Memory nodes it may use (0-3, 0,1)"),             \
        O("device", 0, O_CUSTOM, device, "Give the container a device of the host",                \
          .type = "list", .check = check_device),                                                  \
        O("device-cgroup-rule", 0, O_LIST, device_cgroup_rule,                                     \
          "Allow a class of devices (as in the device cgroup)"),                                   \
        O("device-read-bps", 0, O_CUSTOM, device_read_bps,                                         \
          "Limit bytes per second read from a device", .type = "list", .def = "[]",                \
          .check = check_throttle_bps),                                                            \
        O("device-read-iops", 0, O_CUSTOM, device_read_iops,                                       \
          "Limit reads per second from a device", .type = "list", .def = "[]",                     \
          .check = check_throttle_iops),                                                           \
        O("device-write-bps", 0, O_CUSTOM, device_write_bps,                                       \
          "Limit bytes per second written to a device", .type = "list", .def = "[]",               \
          .check = check_throttle_bps),                                                            \
        O("device-write-iops", 0, O_CUSTOM, device_write_iops,                                     \
          "Limit writes per second to a device", .type = "list", .def = "[]",                      \
          .check = check_throttle_iops),                                                           \
        O("disable-content-trust", 0, O_BOOL, disable_content_trust, "Accepted, without effect",   \
          .def = "true"),                                                                          \
        O("dns", 0, O_CUSTOM, dns, "Use this DNS server", .type = "list", .check = check_ip),      \
        O("dns-opt", 0, O_LIST, dns_option, "Set a DNS option", .flags = OPT_HIDDEN),              \
        O("dns-option", 0, O_LIST, dns_option, "Set a DNS option"),                                \
        O("dns-search", 0, O_LIST, dns_search, "Set a DNS search domain"),                         \
        O("domainname", 0, O_STR, domainname, "NIS domain name of the container"),                 \
        O("entrypoint", 0, O_STR, entrypoint, "Run this in place of the image's ENTRYPOINT"),      \
        O("env", 'e', O_CUSTOM, env, "Set an environment variable", .type = "list",                \
          .check = check_env),                                                                     \
        O("env-file", 0, O_LIST, env_file, "Read environment variables from a file"),              \
        O("expose", 0, O_LIST, expose, "Expose a port or a range of ports"),                       \
        O("gpus", 0, O_CUSTOM, gpus, "GPU devices to add ('all' for every one)",                   \
          .type = "gpu-request", .check = check_gpus),                                             \
        O("group-add", 0, O_LIST, group_add, "Add a further group"),                               \
        O("health-cmd", 0, O_STR, health_cmd, "Command that checks the container's health"),       \
        O("health-interval", 0, O_DURATION, health_interval, "Time between two checks (ms|s|m|h)", \
          .def = "0s"),                                                                            \
        O("health-retries", 0, O_INT, health_retries,                                              \
          "Failures in a row until it counts as unhealthy"),                                       \
        O("health-start-interval", 0, O_DURATION, health_start_interval,                           \
          "Time between two checks while starting (ms|s|m|h)", .def = "0s"),                       \
        O("health-start-period", 0, O_DURATION, health_start_period,                               \
          "Time to start in which failures do not count (ms|s|m|h)", .def = "0s"),                 \
        O("health-timeout", 0, O_DURATION, health_timeout,                                         \
          "Longest time one check may take (ms|s|m|h)", .def = "0s"),                              \
        O("hostname", 'h', O_STR, hostname, "Host name of the container"),                         \
        O("init", 0, O_BOOL, init, "Run an init that forwards signals and reaps processes"),       \
        O("interactive", 'i', O_BOOL, interactive, "Keep STDIN open even when not attached"),      \
        O("io-maxbandwidth", 0, O_BYTES, io_max_bandwidth, "I/O bandwidth (Windows only)",         \
          .flags = OPT_HIDDEN),                                                                    \
        O("io-maxiops", 0, O_UINT, io_max_iops, "I/O operations (Windows only)",                   \
          .flags = OPT_HIDDEN),                                                                    \
        O("ip", 0, O_STR, ip, "IPv4 address of the container (172.30.100.104)"),                   \
        O("ip6", 0, O_STR, ip6, "IPv6 address of the container (2001:db8::33)"),                   \
        O("ipc", 0, O_STR, ipc, "IPC namespace to use"),                                           \
        O("isolation", 0, O_STR, isolation, "Isolation technology"),                               \
        O("kernel-memory", 0, O_BYTES, kernel_memory, "Kernel memory limit", .def = "0"),          \
        O("label", 'l', O_LIST, label, "Set a label"),                                             \
        O("label-file", 0, O_LIST, label_file, "Read labels from a file"),                         \
        O("link", 0, O_CUSTOM, link, "Link to another container", .type = "list",                  \
          .check = check_link),                                                                    \
        O("link-local-ip", 0, O_CUSTOM, link_local_ip, "IPv4 or IPv6 link-local address",          \
          .type = "list", .check = check_ip),                                                      \
        O("log-driver", 0, O_STR, log_driver, "Log driver of the container"),                      \
        O("log-opt", 0, O_LIST, log_opt, "Option of the log driver"),                              \
        O("mac-address", 0, O_STR, mac_address, "MAC address (92:d0:c6:0a:29:33)"),                \
        O("memory", 'm', O_BYTES, memory, "Memory limit", .def = "0"),                             \
        O("memory-reservation", 0, O_BYTES, memory_reservation, "Soft memory limit", .def = "0"),  \
        O("memory-swap", 0, O_SWAP, memory_swap,                                                   \
          "Limit of memory and swap together: '-1' for unlimited swap", .def = "0"),               \
        O("memory-swappiness", 0, O_INT, memory_swappiness,                                        \
          "How eagerly it is swapped (0 to 100)", .def = "-1"),                                    \
        O("mount", 0, O_CUSTOM, mount, "Mount a file system into the container", .type = "mount",  \
          .check = check_mount),                                                                   \
        O("name", 0, O_STR, name, "Name of the container"),                                        \
        O("net", 0, O_LIST, network, "Connect to a network", .type = "network",                    \
          .flags = OPT_HIDDEN),                                                                    \
        O("net-alias", 0, O_LIST, network_alias, "Name in the network", .flags = OPT_HIDDEN),      \
        O("network", 0, O_LIST, network, "Connect to a network", .type = "network"),               \
        O("network-alias", 0, O_LIST, network_alias, "Additional name in the network"),            \
        O("no-healthcheck", 0, O_BOOL, no_healthcheck, "Switch the image's HEALTHCHECK off"),      \
        O("oom-kill-disable", 0, O_BOOL, oom_kill_disable, "Do not kill it when memory runs out"), \
        O("oom-score-adj", 0, O_INT, oom_score_adj,                                                \
          "How readily the host kills it when memory runs out (-1000 to 1000)"),                   \
        O("pid", 0, O_STR, pid, "PID namespace to use"),                                           \
        O("pids-limit", 0, O_INT, pids_limit, "Limit of processes (-1 for none)"),                 \
        O("platform", 0, O_STR, platform, "Platform the daemon must be able to run"),              \
        O("privileged", 0, O_BOOL, privileged, "Give the container every privilege"),              \
        O("publish", 'p', O_LIST, publish, "Publish a container's port on the host"),              \
        O("publish-all", 'P', O_BOOL, publish_all, "Publish all exposed ports on random ports"),   \
        O("pull", 0, O_STR, pull, "Pull the image before (\"always\", \"missing\", \"never\")",    \
          .def = "missing"),                                                                       \
        O("quiet", 'q', O_BOOL, quiet, "Do not show the progress of pulling"),                     \
        O("read-only", 0, O_BOOL, read_only, "Mount the root file system read-only"),              \
        O("restart", 0, O_STR, restart, "When to start it again after it exited", .def = "no"),    \
        O("rm", 0, O_BOOL, rm, "Remove the container and its anonymous volumes when it exits"),    \
        O("runtime", 0, O_STR, runtime, "OCI runtime to use"),                                     \
        O("security-opt", 0, O_LIST, security_opt, "Security option"),                             \
        O("shm-size", 0, O_BYTES, shm_size, "Size of /dev/shm", .def = "0"),                       \
        O("stop-signal", 0, O_STR, stop_signal, "Signal that stops the container"),                \
        O("stop-timeout", 0, O_INT, stop_timeout, "Seconds to stop in until it is killed"),        \
        O("storage-opt", 0, O_LIST, storage_opt, "Option of the storage driver"),                  \
        O("sysctl", 0, O_MAP, sysctl, "Kernel parameter of the container's namespaces",            \
          .def = "map[]"),                                                                         \
        O("tmpfs", 0, O_LIST, tmpfs, "Mount a tmpfs directory"),                                   \
        O("tty", 't', O_BOOL, tty, "Give it a pseudo terminal"),                                   \
        O("ulimit", 0, O_CUSTOM, ulimit, "Resource limit", .type = "ulimit", .def = "[]",          \
          .check = check_ulimit),                                                                  \
        O("use-api-socket", 0, O_BOOL, use_api_socket, "Bind mount the daemon's socket"),          \
        O("user", 'u', O_STR, user, "User name or id (<name|uid>[:<group|gid>])"),                 \
        O("userns", 0, O_STR, userns, "User namespace to use"),                                    \
        O("uts", 0, O_STR, uts, "UTS namespace to use"),                                           \
        O("volume", 'v', O_LIST, volume, "Bind mount a volume or a directory"),                    \
        O("volume-driver", 0, O_STR, volume_driver, "Volume driver of the container"),             \
        O("volumes-from", 0, O_LIST, volumes_from, "Mount the volumes of another container"),      \
        O("workdir", 'w', O_STR, workdir, "Working directory in the container")

const struct opt create_opt_table[] = {COMMON};
_Static_assert(sizeof(create_opt_table) / sizeof(create_opt_table[0]) == CREATE_OPTS, "count");

const struct opt run_opt_table[] = {
    O("detach", 'd', O_BOOL, detach, "Run in the background and print the container's id"),
    O("detach-keys", 0, O_STR, detach_keys, "Keys that detach from the container"),
    O("sig-proxy", 0, O_BOOL, sig_proxy, "Pass signals on to the process", .def = "true"),
    COMMON,
};
_Static_assert(sizeof(run_opt_table) / sizeof(run_opt_table[0]) == RUN_OPTS, "count");
