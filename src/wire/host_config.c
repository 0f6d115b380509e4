/* Field tables of HostConfig and what it is made of, in the order in which Docker writes them. */
#include "wire/host_config.h"

#include "wire/fields-priv.h"

static const struct field log_config_fields[] = {
    FIELD(struct log_config, "Type", F_STR, type),
    FIELD(struct log_config, "Config", F_STRMAP, config, .flags = F_EMPTY),
};
const struct json_type log_config_type =
    JSON_TYPE("LogConfig", struct log_config, log_config_fields);

static const struct field restart_policy_fields[] = {
    FIELD(struct restart_policy, "Name", F_STR, name),
    FIELD(struct restart_policy, "MaximumRetryCount", F_I64, max_retries),
};
const struct json_type restart_policy_type =
    JSON_TYPE("RestartPolicy", struct restart_policy, restart_policy_fields);

static const struct field port_binding_fields[] = {
    FIELD(struct port_binding, "HostIp", F_STR, host_ip),
    FIELD(struct port_binding, "HostPort", F_STR, host_port, .flags = F_FLEX),
};
const struct json_type port_binding_type =
    JSON_TYPE("PortBinding", struct port_binding, port_binding_fields);

static const struct field bind_options_fields[] = {
    FIELD(struct bind_options, "Propagation", F_STR, propagation, .flags = F_OMIT),
    FIELD(struct bind_options, "NonRecursive", F_BOOL, non_recursive, .flags = F_OMIT),
    FIELD(struct bind_options, "CreateMountpoint", F_BOOL, create_mountpoint, .flags = F_OMIT),
    FIELD(struct bind_options, "ReadOnlyNonRecursive", F_BOOL, read_only_non_recursive,
          .flags = F_OMIT),
    FIELD(struct bind_options, "ReadOnlyForceRecursive", F_BOOL, read_only_force_recursive,
          .flags = F_OMIT),
};
static const struct json_type bind_options_type =
    JSON_TYPE("BindOptions", struct bind_options, bind_options_fields);

static const struct field volume_driver_config_fields[] = {
    FIELD(struct volume_driver_config, "Name", F_STR, name, .flags = F_OMIT),
    FIELD(struct volume_driver_config, "Options", F_STRMAP, options, .flags = F_OMIT),
};
static const struct json_type volume_driver_config_type =
    JSON_TYPE("DriverConfig", struct volume_driver_config, volume_driver_config_fields);

static const struct field volume_options_fields[] = {
    FIELD(struct volume_options, "NoCopy", F_BOOL, no_copy, .flags = F_OMIT),
    FIELD(struct volume_options, "Labels", F_STRMAP, labels, .flags = F_OMIT),
    FIELD(struct volume_options, "Subpath", F_STR, subpath, .flags = F_OMIT),
    FIELD(struct volume_options, "DriverConfig", F_PTR, driver_config, .flags = F_OMIT,
          .type = &volume_driver_config_type),
};
static const struct json_type volume_options_type =
    JSON_TYPE("VolumeOptions", struct volume_options, volume_options_fields);

static const struct field image_options_fields[] = {
    FIELD(struct image_options, "Subpath", F_STR, subpath, .flags = F_OMIT),
};
static const struct json_type image_options_type =
    JSON_TYPE("ImageOptions", struct image_options, image_options_fields);

static const struct field tmpfs_options_fields[] = {
    FIELD(struct tmpfs_options, "SizeBytes", F_I64, size_b, .flags = F_OMIT),
    FIELD(struct tmpfs_options, "Mode", F_U32, mode, .flags = F_OMIT),
    FIELD(struct tmpfs_options, "Options", F_STRVV, options, .flags = F_OMIT),
};
static const struct json_type tmpfs_options_type =
    JSON_TYPE("TmpfsOptions", struct tmpfs_options, tmpfs_options_fields);

static const struct field mount_spec_fields[] = {
    FIELD(struct mount_spec, "Type", F_STR, type, .flags = F_OMIT),
    FIELD(struct mount_spec, "Source", F_STR, source, .flags = F_OMIT),
    FIELD(struct mount_spec, "Target", F_STR, target, .flags = F_OMIT),
    FIELD(struct mount_spec, "ReadOnly", F_BOOL, read_only, .flags = F_OMIT),
    FIELD(struct mount_spec, "Consistency", F_STR, consistency, .flags = F_OMIT),
    FIELD(struct mount_spec, "BindOptions", F_PTR, bind_options, .flags = F_OMIT,
          .type = &bind_options_type),
    FIELD(struct mount_spec, "VolumeOptions", F_PTR, volume_options, .flags = F_OMIT,
          .type = &volume_options_type),
    FIELD(struct mount_spec, "ImageOptions", F_PTR, image_options, .flags = F_OMIT,
          .type = &image_options_type),
    FIELD(struct mount_spec, "TmpfsOptions", F_PTR, tmpfs_options, .flags = F_OMIT,
          .type = &tmpfs_options_type),
};
const struct json_type mount_spec_type = JSON_TYPE("Mounts", struct mount_spec, mount_spec_fields);

static const struct field weight_device_fields[] = {
    FIELD(struct weight_device, "Path", F_STR, path),
    FIELD(struct weight_device, "Weight", F_U32, weight),
};
const struct json_type weight_device_type =
    JSON_TYPE("WeightDevice", struct weight_device, weight_device_fields);

static const struct field throttle_device_fields[] = {
    FIELD(struct throttle_device, "Path", F_STR, path),
    FIELD(struct throttle_device, "Rate", F_U64, rate),
};
const struct json_type throttle_device_type =
    JSON_TYPE("ThrottleDevice", struct throttle_device, throttle_device_fields);

static const struct field device_mapping_fields[] = {
    FIELD(struct device_mapping, "PathOnHost", F_STR, host_path),
    FIELD(struct device_mapping, "PathInContainer", F_STR, container_path),
    FIELD(struct device_mapping, "CgroupPermissions", F_STR, permissions),
};
const struct json_type device_mapping_type =
    JSON_TYPE("DeviceMapping", struct device_mapping, device_mapping_fields);

static const struct field device_request_fields[] = {
    FIELD(struct device_request, "Driver", F_STR, driver),
    FIELD(struct device_request, "Count", F_I64, count),
    FIELD(struct device_request, "DeviceIDs", F_STRV, device_ids),
    FIELD(struct device_request, "Capabilities", F_STRVV, capabilities),
    FIELD(struct device_request, "Options", F_STRMAP, options),
};
const struct json_type device_request_type =
    JSON_TYPE("DeviceRequest", struct device_request, device_request_fields);

static const struct field ulimit_fields[] = {
    FIELD(struct ulimit, "Name", F_STR, name),
    FIELD(struct ulimit, "Hard", F_I64, hard),
    FIELD(struct ulimit, "Soft", F_I64, soft),
};
const struct json_type ulimit_type = JSON_TYPE("Ulimit", struct ulimit, ulimit_fields);

static const struct field resources_fields[] = {
    RESOURCES_FIELDS(struct resources, ),
};
const struct json_type resources_type = JSON_TYPE("Resources", struct resources, resources_fields);

static const struct field host_config_fields[] = {
    FIELD(struct host_config, "Binds", F_STRV, binds),
    FIELD(struct host_config, "ContainerIDFile", F_STR, container_id_file),
    FIELD(struct host_config, "LogConfig", F_OBJ, log_config, .type = &log_config_type),
    FIELD(struct host_config, "NetworkMode", F_STR, network_mode),
    FIELD(struct host_config, "PortBindings", F_OBJVMAP, port_bindings, .flags = F_EMPTY,
          .type = &port_binding_type),
    FIELD(struct host_config, "RestartPolicy", F_OBJ, restart_policy, .type = &restart_policy_type),
    FIELD(struct host_config, "AutoRemove", F_BOOL, auto_remove),
    FIELD(struct host_config, "VolumeDriver", F_STR, volume_driver),
    FIELD(struct host_config, "VolumesFrom", F_STRV, volumes_from),
    FIELD(struct host_config, "ConsoleSize", F_I64V, console_size),
    FIELD(struct host_config, "Annotations", F_STRMAP, annotations, .flags = F_OMIT),
    FIELD(struct host_config, "CapAdd", F_STRV, cap_add, .flags = F_FLEX),
    FIELD(struct host_config, "CapDrop", F_STRV, cap_drop, .flags = F_FLEX),
    FIELD(struct host_config, "CgroupnsMode", F_STR, cgroupns_mode),
    FIELD(struct host_config, "Dns", F_STRV, dns),
    FIELD(struct host_config, "DnsOptions", F_STRV, dns_options),
    FIELD(struct host_config, "DnsSearch", F_STRV, dns_search),
    FIELD(struct host_config, "ExtraHosts", F_STRV, extra_hosts),
    FIELD(struct host_config, "GroupAdd", F_STRV, group_add),
    FIELD(struct host_config, "IpcMode", F_STR, ipc_mode),
    FIELD(struct host_config, "Cgroup", F_STR, cgroup),
    FIELD(struct host_config, "Links", F_STRV, links),
    FIELD(struct host_config, "OomScoreAdj", F_I64, oom_score_adj),
    FIELD(struct host_config, "PidMode", F_STR, pid_mode),
    FIELD(struct host_config, "Privileged", F_BOOL, privileged),
    FIELD(struct host_config, "PublishAllPorts", F_BOOL, publish_all_ports),
    FIELD(struct host_config, "ReadonlyRootfs", F_BOOL, readonly_rootfs),
    FIELD(struct host_config, "SecurityOpt", F_STRV, security_opt),
    FIELD(struct host_config, "StorageOpt", F_STRMAP, storage_opt, .flags = F_OMIT),
    FIELD(struct host_config, "Tmpfs", F_STRMAP, tmpfs, .flags = F_OMIT),
    FIELD(struct host_config, "UTSMode", F_STR, uts_mode),
    FIELD(struct host_config, "UsernsMode", F_STR, userns_mode),
    FIELD(struct host_config, "ShmSize", F_I64, shm_size_b),
    FIELD(struct host_config, "Sysctls", F_STRMAP, sysctls, .flags = F_OMIT),
    FIELD(struct host_config, "Runtime", F_STR, runtime, .flags = F_OMIT),
    FIELD(struct host_config, "Isolation", F_STR, isolation),
    RESOURCES_FIELDS(struct host_config, res.),
    FIELD(struct host_config, "Mounts", F_OBJV, mounts, .flags = F_OMIT, .type = &mount_spec_type),
    FIELD(struct host_config, "MaskedPaths", F_STRV, masked_paths),
    FIELD(struct host_config, "ReadonlyPaths", F_STRV, readonly_paths),
    FIELD(struct host_config, "Init", F_BOOLP, init, .flags = F_OMIT),
};
const struct json_type host_config_type =
    JSON_TYPE("HostConfig", struct host_config, host_config_fields);

static struct objv **port_slot(const port_map *m, const char *port)
{
    for (size_t i = 0; i < m->n; i++) {
        if (str_eq(m->v[i].key, port))
            return &m->v[i].val;
    }
    return NULL;
}

struct objv *port_map_get(const port_map *m, const char *port)
{
    struct objv **slot = port_slot(m, port);

    return slot ? *slot : NULL;
}

void port_map_set_null(port_map *m, struct arena *a, const char *port)
{
    if (!port_slot(m, port))
        arena_push(a, *m).key = arena_strdup(a, port);
}

void port_map_add(port_map *m, struct arena *a, const char *port, const char *host_ip,
                  const char *host_port)
{
    struct port_binding *b = arena_new(a, struct port_binding);

    b->host_ip = arena_strdup(a, host_ip);
    b->host_port = arena_strdup(a, host_port);
    port_map_set_null(m, a, port);
    struct objv **slot = port_slot(m, port);
    if (!*slot)
        *slot = arena_new(a, struct objv);
    arena_push(a, **slot) = b;
}

void host_config_defaults(struct host_config *hc, struct arena *a)
{
    while (hc->console_size.n < 2)
        arena_push(a, hc->console_size) = 0;
}
