/* The field tables of config.json. What may not be said by a table is checked in spec_check.c. */
#include "oci/spec.h"

#define TABLE(NAME, JSON, T)                                                                       \
    static const struct json_type NAME##_type = JSON_TYPE(JSON, T, NAME##_fields)

#define O .flags = F_OMIT

/* ---- process ---- */

static const struct field user_fields[] = {
    FIELD(struct oci_user, "uid", F_U32, uid),
    FIELD(struct oci_user, "gid", F_U32, gid),
    FIELD(struct oci_user, "umask", F_U32P, umask, O),
    FIELD(struct oci_user, "additionalGids", F_I64V, additional_gids, O),
    FIELD(struct oci_user, "username", F_STR, username, O),
};
TABLE(user, "User", struct oci_user);

static const struct field box_fields[] = {
    FIELD(struct oci_box, "height", F_U32, height, .flags = F_REQUIRED),
    FIELD(struct oci_box, "width", F_U32, width, .flags = F_REQUIRED),
};
TABLE(box, "Box", struct oci_box);

static const struct field capabilities_fields[] = {
    FIELD(struct oci_capabilities, "bounding", F_STRV, bounding, O),
    FIELD(struct oci_capabilities, "effective", F_STRV, effective, O),
    FIELD(struct oci_capabilities, "inheritable", F_STRV, inheritable, O),
    FIELD(struct oci_capabilities, "permitted", F_STRV, permitted, O),
    FIELD(struct oci_capabilities, "ambient", F_STRV, ambient, O),
};
TABLE(capabilities, "LinuxCapabilities", struct oci_capabilities);

static const struct field rlimit_fields[] = {
    FIELD(struct oci_rlimit, "type", F_STR, type, .flags = F_REQUIRED),
    FIELD(struct oci_rlimit, "hard", F_U64, hard, .flags = F_REQUIRED),
    FIELD(struct oci_rlimit, "soft", F_U64, soft, .flags = F_REQUIRED),
};
TABLE(rlimit, "POSIXRlimit", struct oci_rlimit);

static const struct field scheduler_fields[] = {
    FIELD(struct oci_scheduler, "policy", F_STR, policy, .flags = F_REQUIRED),
    FIELD(struct oci_scheduler, "nice", F_I32, nice, O),
    FIELD(struct oci_scheduler, "priority", F_I32, priority, O),
    FIELD(struct oci_scheduler, "flags", F_STRV, flags, O),
    FIELD(struct oci_scheduler, "runtime", F_U64, runtime, O),
    FIELD(struct oci_scheduler, "deadline", F_U64, deadline, O),
    FIELD(struct oci_scheduler, "period", F_U64, period, O),
};
TABLE(scheduler, "Scheduler", struct oci_scheduler);

static const struct field io_priority_fields[] = {
    FIELD(struct oci_io_priority, "class", F_STR, class_, .flags = F_REQUIRED),
    FIELD(struct oci_io_priority, "priority", F_I32, priority),
};
TABLE(io_priority, "IOPriority", struct oci_io_priority);

static const struct field cpu_affinity_fields[] = {
    FIELD(struct oci_cpu_affinity, "initial", F_STR, initial, O),
    FIELD(struct oci_cpu_affinity, "final", F_STR, final, O),
};
TABLE(cpu_affinity, "CPUAffinity", struct oci_cpu_affinity);

static const struct field process_fields[] = {
    FIELD(struct oci_process, "terminal", F_BOOL, terminal, O),
    FIELD(struct oci_process, "consoleSize", F_PTR, console_size, O, .type = &box_type),
    FIELD(struct oci_process, "user", F_OBJ, user, .type = &user_type),
    FIELD(struct oci_process, "args", F_STRV, args, O),
    FIELD(struct oci_process, "env", F_STRV, env, O),
    FIELD(struct oci_process, "cwd", F_STR, cwd, .flags = F_REQUIRED),
    FIELD(struct oci_process, "capabilities", F_PTR, capabilities, O, .type = &capabilities_type),
    FIELD(struct oci_process, "rlimits", F_OBJV, rlimits, O, .type = &rlimit_type),
    FIELD(struct oci_process, "noNewPrivileges", F_BOOL, no_new_privileges, O),
    FIELD(struct oci_process, "apparmorProfile", F_STR, apparmor_profile, O),
    FIELD(struct oci_process, "oomScoreAdj", F_I64P, oom_score_adj, O),
    FIELD(struct oci_process, "scheduler", F_PTR, scheduler, O, .type = &scheduler_type),
    FIELD(struct oci_process, "selinuxLabel", F_STR, selinux_label, O),
    FIELD(struct oci_process, "ioPriority", F_PTR, io_priority, O, .type = &io_priority_type),
    FIELD(struct oci_process, "execCPUAffinity", F_PTR, exec_cpu_affinity, O,
          .type = &cpu_affinity_type),
};
const struct json_type oci_process_type = JSON_TYPE("Process", struct oci_process, process_fields);

/* ---- root, mounts, hooks ---- */

static const struct field root_fields[] = {
    FIELD(struct oci_root, "path", F_STR, path, .flags = F_REQUIRED),
    FIELD(struct oci_root, "readonly", F_BOOL, readonly, O),
};
TABLE(root, "Root", struct oci_root);

static const struct field idmap_fields[] = {
    FIELD(struct idmap_range, "containerID", F_U32, container_id, .flags = F_REQUIRED),
    FIELD(struct idmap_range, "hostID", F_U32, host_id, .flags = F_REQUIRED),
    FIELD(struct idmap_range, "size", F_U32, size, .flags = F_REQUIRED),
};
TABLE(idmap, "LinuxIDMapping", struct idmap_range);

static const struct field mount_fields[] = {
    FIELD(struct oci_mount, "destination", F_STR, destination, .flags = F_REQUIRED),
    FIELD(struct oci_mount, "type", F_STR, type, O),
    FIELD(struct oci_mount, "source", F_STR, source, O),
    FIELD(struct oci_mount, "cleatMountNamespace", F_STR, mount_ns, O),
    FIELD(struct oci_mount, "cleatSubpath", F_STR, subpath, O),
    FIELD(struct oci_mount, "cleatSourceFd", F_I32, source_fd, O),
    FIELD(struct oci_mount, "cleatByHost", F_BOOL, by_host, O),
    FIELD(struct oci_mount, "cleatLowers", F_STRV, lowers, O),
    FIELD(struct oci_mount, "cleatUpper", F_STR, upper, O),
    FIELD(struct oci_mount, "cleatWork", F_STR, work, O),
    FIELD(struct oci_mount, "options", F_STRV, options, O),
    FIELD(struct oci_mount, "uidMappings", F_OBJV, uid_mappings, O, .type = &idmap_type),
    FIELD(struct oci_mount, "gidMappings", F_OBJV, gid_mappings, O, .type = &idmap_type),
};
TABLE(mount, "Mount", struct oci_mount);
const struct json_type oci_mount_type = JSON_TYPE("Mount", struct oci_mount, mount_fields);

static const struct field hook_fields[] = {
    FIELD(struct oci_hook, "path", F_STR, path, .flags = F_REQUIRED),
    FIELD(struct oci_hook, "args", F_STRV, args, O),
    FIELD(struct oci_hook, "env", F_STRV, env, O),
    FIELD(struct oci_hook, "timeout", F_I64P, timeout, O),
};
TABLE(hook, "Hook", struct oci_hook);

static const struct field hooks_fields[] = {
    FIELD(struct oci_hooks, "prestart", F_OBJV, prestart, O, .type = &hook_type),
    FIELD(struct oci_hooks, "createRuntime", F_OBJV, create_runtime, O, .type = &hook_type),
    FIELD(struct oci_hooks, "createContainer", F_OBJV, create_container, O, .type = &hook_type),
    FIELD(struct oci_hooks, "startContainer", F_OBJV, start_container, O, .type = &hook_type),
    FIELD(struct oci_hooks, "poststart", F_OBJV, poststart, O, .type = &hook_type),
    FIELD(struct oci_hooks, "poststop", F_OBJV, poststop, O, .type = &hook_type),
};
TABLE(hooks, "Hooks", struct oci_hooks);

/* ---- linux.resources ---- */

static const struct field device_rule_fields[] = {
    FIELD(struct cgroup_device_rule, "allow", F_BOOL, allow, .flags = F_REQUIRED),
    FIELD(struct cgroup_device_rule, "type", F_STR, type, O),
    FIELD(struct cgroup_device_rule, "major", F_I64P, major, O),
    FIELD(struct cgroup_device_rule, "minor", F_I64P, minor, O),
    FIELD(struct cgroup_device_rule, "access", F_STR, access, O),
};
TABLE(device_rule, "LinuxDeviceCgroup", struct cgroup_device_rule);

static const struct field memory_fields[] = {
    FIELD(struct cgroup_memory, "limit", F_I64P, limit, O),
    FIELD(struct cgroup_memory, "reservation", F_I64P, reservation, O),
    FIELD(struct cgroup_memory, "swap", F_I64P, swap, O),
    FIELD(struct cgroup_memory, "kernel", F_I64P, kernel, O),
    FIELD(struct cgroup_memory, "kernelTCP", F_I64P, kernel_tcp, O),
    FIELD(struct cgroup_memory, "swappiness", F_I64P, swappiness, O),
    FIELD(struct cgroup_memory, "disableOOMKiller", F_BOOLP, disable_oom_killer, O),
    FIELD(struct cgroup_memory, "useHierarchy", F_BOOLP, use_hierarchy, O),
    FIELD(struct cgroup_memory, "checkBeforeUpdate", F_BOOLP, check_before_update, O),
};
TABLE(memory, "LinuxMemory", struct cgroup_memory);

static const struct field cpu_fields[] = {
    FIELD(struct cgroup_cpu, "shares", F_U64, shares, O),
    FIELD(struct cgroup_cpu, "quota", F_I64P, quota, O),
    FIELD(struct cgroup_cpu, "burst", F_I64P, burst, O),
    FIELD(struct cgroup_cpu, "period", F_U64, period, O),
    FIELD(struct cgroup_cpu, "realtimeRuntime", F_I64P, rt_runtime, O),
    FIELD(struct cgroup_cpu, "realtimePeriod", F_U64, rt_period, O),
    FIELD(struct cgroup_cpu, "cpus", F_STR, cpus, O),
    FIELD(struct cgroup_cpu, "mems", F_STR, mems, O),
    FIELD(struct cgroup_cpu, "idle", F_I64P, idle, O),
};
TABLE(cpu, "LinuxCPU", struct cgroup_cpu);

static const struct field pids_fields[] = {
    FIELD(struct cgroup_pids, "limit", F_I64, limit, .flags = F_REQUIRED),
};
TABLE(pids, "LinuxPids", struct cgroup_pids);

static const struct field io_weight_fields[] = {
    FIELD(struct cgroup_io_weight, "major", F_I64, major, .flags = F_REQUIRED),
    FIELD(struct cgroup_io_weight, "minor", F_I64, minor, .flags = F_REQUIRED),
    FIELD(struct cgroup_io_weight, "weight", F_U32, weight, O),
    FIELD(struct cgroup_io_weight, "leafWeight", F_U32, leaf_weight, O),
};
TABLE(io_weight, "LinuxWeightDevice", struct cgroup_io_weight);

static const struct field io_throttle_fields[] = {
    FIELD(struct cgroup_io_throttle, "major", F_I64, major, .flags = F_REQUIRED),
    FIELD(struct cgroup_io_throttle, "minor", F_I64, minor, .flags = F_REQUIRED),
    FIELD(struct cgroup_io_throttle, "rate", F_U64, rate),
};
TABLE(io_throttle, "LinuxThrottleDevice", struct cgroup_io_throttle);

static const struct field block_io_fields[] = {
    FIELD(struct cgroup_block_io, "weight", F_U32, weight, O),
    FIELD(struct cgroup_block_io, "leafWeight", F_U32, leaf_weight, O),
    FIELD(struct cgroup_block_io, "weightDevice", F_OBJV, weight_device, O,
          .type = &io_weight_type),
    FIELD(struct cgroup_block_io, "throttleReadBpsDevice", F_OBJV, read_bps, O,
          .type = &io_throttle_type),
    FIELD(struct cgroup_block_io, "throttleWriteBpsDevice", F_OBJV, write_bps, O,
          .type = &io_throttle_type),
    FIELD(struct cgroup_block_io, "throttleReadIOPSDevice", F_OBJV, read_iops, O,
          .type = &io_throttle_type),
    FIELD(struct cgroup_block_io, "throttleWriteIOPSDevice", F_OBJV, write_iops, O,
          .type = &io_throttle_type),
};
TABLE(block_io, "LinuxBlockIO", struct cgroup_block_io);

static const struct field hugetlb_fields[] = {
    FIELD(struct cgroup_hugetlb, "pageSize", F_STR, page_size, .flags = F_REQUIRED),
    FIELD(struct cgroup_hugetlb, "limit", F_U64, limit, .flags = F_REQUIRED),
};
TABLE(hugetlb, "LinuxHugepageLimit", struct cgroup_hugetlb);

static const struct field net_prio_fields[] = {
    FIELD(struct cgroup_net_prio, "name", F_STR, name, .flags = F_REQUIRED),
    FIELD(struct cgroup_net_prio, "priority", F_U32, priority, .flags = F_REQUIRED),
};
TABLE(net_prio, "LinuxInterfacePriority", struct cgroup_net_prio);

static const struct field network_fields[] = {
    FIELD(struct cgroup_network, "classID", F_U32P, class_id, O),
    FIELD(struct cgroup_network, "priorities", F_OBJV, priorities, O, .type = &net_prio_type),
};
TABLE(network, "LinuxNetwork", struct cgroup_network);

static const struct field rdma_fields[] = {
    FIELD(struct cgroup_rdma, "hcaHandles", F_U32P, hca_handles, O),
    FIELD(struct cgroup_rdma, "hcaObjects", F_U32P, hca_objects, O),
};
TABLE(rdma, "LinuxRdma", struct cgroup_rdma);

static const struct field resources_fields[] = {
    FIELD(struct cgroup_limits, "unified", F_STRMAP, unified, O),
    FIELD(struct cgroup_limits, "devices", F_OBJV, devices, O, .type = &device_rule_type),
    FIELD(struct cgroup_limits, "memory", F_PTR, memory, O, .type = &memory_type),
    FIELD(struct cgroup_limits, "cpu", F_PTR, cpu, O, .type = &cpu_type),
    FIELD(struct cgroup_limits, "pids", F_PTR, pids, O, .type = &pids_type),
    FIELD(struct cgroup_limits, "blockIO", F_PTR, block_io, O, .type = &block_io_type),
    FIELD(struct cgroup_limits, "hugepageLimits", F_OBJV, hugetlb, O, .type = &hugetlb_type),
    FIELD(struct cgroup_limits, "network", F_PTR, network, O, .type = &network_type),
    FIELD(struct cgroup_limits, "rdma", F_OBJMAP, rdma, O, .type = &rdma_type),
};
const struct json_type oci_resources_type =
    JSON_TYPE("LinuxResources", struct cgroup_limits, resources_fields);

/* ---- linux.seccomp ---- */

static const struct field seccomp_arg_fields[] = {
    FIELD(struct seccomp_arg, "index", F_U32, index, .flags = F_REQUIRED),
    FIELD(struct seccomp_arg, "value", F_U64, value, .flags = F_REQUIRED),
    FIELD(struct seccomp_arg, "valueTwo", F_U64, value_two, O),
    FIELD(struct seccomp_arg, "op", F_STR, op, .flags = F_REQUIRED),
};
TABLE(seccomp_arg, "LinuxSeccompArg", struct seccomp_arg);

static const struct field seccomp_rule_fields[] = {
    FIELD(struct seccomp_rule, "names", F_STRV, names, .flags = F_REQUIRED),
    FIELD(struct seccomp_rule, "action", F_STR, action, .flags = F_REQUIRED),
    FIELD(struct seccomp_rule, "errnoRet", F_U32P, errno_ret, O),
    FIELD(struct seccomp_rule, "args", F_OBJV, args, O, .type = &seccomp_arg_type),
};
TABLE(seccomp_rule, "LinuxSyscall", struct seccomp_rule);

static const struct field seccomp_fields[] = {
    FIELD(struct seccomp_profile, "defaultAction", F_STR, default_action, .flags = F_REQUIRED),
    FIELD(struct seccomp_profile, "defaultErrnoRet", F_U32P, default_errno_ret, O),
    FIELD(struct seccomp_profile, "architectures", F_STRV, architectures, O),
    FIELD(struct seccomp_profile, "flags", F_STRV, flags, O),
    FIELD(struct seccomp_profile, "listenerPath", F_STR, listener_path, O),
    FIELD(struct seccomp_profile, "listenerMetadata", F_STR, listener_metadata, O),
    FIELD(struct seccomp_profile, "syscalls", F_OBJV, syscalls, O, .type = &seccomp_rule_type),
};
const struct json_type oci_seccomp_type =
    JSON_TYPE("LinuxSeccomp", struct seccomp_profile, seccomp_fields);

/* ---- linux ---- */

static const struct field namespace_fields[] = {
    FIELD(struct oci_namespace, "type", F_STR, type, .flags = F_REQUIRED),
    FIELD(struct oci_namespace, "path", F_STR, path, O),
};
TABLE(namespace, "LinuxNamespace", struct oci_namespace);

static const struct field device_fields[] = {
    FIELD(struct oci_device, "path", F_STR, path, .flags = F_REQUIRED),
    FIELD(struct oci_device, "type", F_STR, type, .flags = F_REQUIRED),
    FIELD(struct oci_device, "major", F_I64, major),
    FIELD(struct oci_device, "minor", F_I64, minor),
    FIELD(struct oci_device, "fileMode", F_U32P, file_mode, O),
    FIELD(struct oci_device, "uid", F_U32P, uid, O),
    FIELD(struct oci_device, "gid", F_U32P, gid, O),
};
TABLE(device, "LinuxDevice", struct oci_device);

static const struct field net_device_fields[] = {
    FIELD(struct oci_net_device, "name", F_STR, name, O),
};
TABLE(net_device, "LinuxNetDevice", struct oci_net_device);

static const struct field time_offset_fields[] = {
    FIELD(struct oci_time_offset, "secs", F_I64, secs, O),
    FIELD(struct oci_time_offset, "nanosecs", F_U32, nanosecs, O),
};
TABLE(time_offset, "LinuxTimeOffset", struct oci_time_offset);

static const struct field personality_fields[] = {
    FIELD(struct oci_personality, "domain", F_STR, domain, .flags = F_REQUIRED),
    FIELD(struct oci_personality, "flags", F_STRV, flags, O),
};
TABLE(personality, "LinuxPersonality", struct oci_personality);

static const struct field memory_policy_fields[] = {
    FIELD(struct oci_memory_policy, "mode", F_STR, mode, .flags = F_REQUIRED),
    FIELD(struct oci_memory_policy, "nodes", F_STR, nodes, O),
    FIELD(struct oci_memory_policy, "flags", F_STRV, flags, O),
};
TABLE(memory_policy, "LinuxMemoryPolicy", struct oci_memory_policy);

static const struct field linux_fields[] = {
    FIELD(struct oci_linux, "uidMappings", F_OBJV, uid_mappings, O, .type = &idmap_type),
    FIELD(struct oci_linux, "gidMappings", F_OBJV, gid_mappings, O, .type = &idmap_type),
    FIELD(struct oci_linux, "sysctl", F_STRMAP, sysctl, O),
    FIELD(struct oci_linux, "resources", F_PTR, resources, O, .type = &oci_resources_type),
    FIELD(struct oci_linux, "cgroupsPath", F_STR, cgroups_path, O),
    FIELD(struct oci_linux, "namespaces", F_OBJV, namespaces, O, .type = &namespace_type),
    FIELD(struct oci_linux, "devices", F_OBJV, devices, O, .type = &device_type),
    FIELD(struct oci_linux, "netDevices", F_OBJMAP, net_devices, O, .type = &net_device_type),
    FIELD(struct oci_linux, "seccomp", F_PTR, seccomp, O, .type = &oci_seccomp_type),
    FIELD(struct oci_linux, "rootfsPropagation", F_STR, rootfs_propagation, O),
    FIELD(struct oci_linux, "maskedPaths", F_STRV, masked_paths, O),
    FIELD(struct oci_linux, "readonlyPaths", F_STRV, readonly_paths, O),
    FIELD(struct oci_linux, "mountLabel", F_STR, mount_label, O),
    FIELD(struct oci_linux, "intelRdt", F_RAW, intel_rdt, O),
    FIELD(struct oci_linux, "personality", F_PTR, personality, O, .type = &personality_type),
    FIELD(struct oci_linux, "memoryPolicy", F_PTR, memory_policy, O, .type = &memory_policy_type),
    FIELD(struct oci_linux, "timeOffsets", F_OBJMAP, time_offsets, O, .type = &time_offset_type),
};
TABLE(linux, "Linux", struct oci_linux);

static const struct field spec_fields[] = {
    FIELD(struct oci_spec, "ociVersion", F_STR, oci_version, .flags = F_REQUIRED),
    FIELD(struct oci_spec, "process", F_PTR, process, O, .type = &oci_process_type),
    FIELD(struct oci_spec, "root", F_PTR, root, O, .type = &root_type),
    FIELD(struct oci_spec, "hostname", F_STR, hostname, O),
    FIELD(struct oci_spec, "domainname", F_STR, domainname, O),
    FIELD(struct oci_spec, "mounts", F_OBJV, mounts, O, .type = &mount_type),
    FIELD(struct oci_spec, "hooks", F_PTR, hooks, O, .type = &hooks_type),
    FIELD(struct oci_spec, "annotations", F_STRMAP, annotations, O),
    FIELD(struct oci_spec, "linux", F_PTR, lnx, O, .type = &linux_type),
};
const struct json_type oci_spec_type = JSON_TYPE("Spec", struct oci_spec, spec_fields);
