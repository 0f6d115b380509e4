/* Field tables of the container requests and responses. */
#include "wire/container.h"

#include "wire/fields-priv.h"

static const struct field create_request_fields[] = {
    CONTAINER_CONFIG_FIELDS(struct container_create_request, config.),
    FIELD(struct container_create_request, "HostConfig", F_PTR, host_config, .flags = F_OMIT,
          .type = &host_config_type),
    FIELD(struct container_create_request, "NetworkingConfig", F_PTR, networking_config,
          .flags = F_OMIT, .type = &networking_config_type),
};
const struct json_type container_create_request_type =
    JSON_TYPE("Config", struct container_create_request, create_request_fields);

static const struct field create_response_fields[] = {
    FIELD(struct container_create_response, "Id", F_STR, id),
    FIELD(struct container_create_response, "Warnings", F_STRV, warnings, .flags = F_EMPTY),
};
const struct json_type container_create_response_type =
    JSON_TYPE("ContainerCreated", struct container_create_response, create_response_fields);

static const struct field health_result_fields[] = {
    FIELD(struct health_result, "Start", F_STR, start),
    FIELD(struct health_result, "End", F_STR, end),
    FIELD(struct health_result, "ExitCode", F_I64, exit_code),
    FIELD(struct health_result, "Output", F_STR, output),
};
static const struct json_type health_result_type =
    JSON_TYPE("HealthResult", struct health_result, health_result_fields);

static const struct field health_fields[] = {
    FIELD(struct health, "Status", F_STR, status),
    FIELD(struct health, "FailingStreak", F_I64, failing_streak),
    FIELD(struct health, "Log", F_OBJV, log, .type = &health_result_type),
};
const struct json_type health_type = JSON_TYPE("Health", struct health, health_fields);

static const struct field container_state_fields[] = {
    FIELD(struct container_state, "Status", F_STR, status),
    FIELD(struct container_state, "Running", F_BOOL, running),
    FIELD(struct container_state, "Paused", F_BOOL, paused),
    FIELD(struct container_state, "Restarting", F_BOOL, restarting),
    FIELD(struct container_state, "OOMKilled", F_BOOL, oom_killed),
    FIELD(struct container_state, "Dead", F_BOOL, dead),
    FIELD(struct container_state, "Pid", F_I64, pid),
    FIELD(struct container_state, "ExitCode", F_I64, exit_code),
    FIELD(struct container_state, "Error", F_STR, error),
    FIELD(struct container_state, "StartedAt", F_STR, started_at),
    FIELD(struct container_state, "FinishedAt", F_STR, finished_at),
    FIELD(struct container_state, "Health", F_PTR, health, .flags = F_OMIT, .type = &health_type),
};
const struct json_type container_state_type =
    JSON_TYPE("State", struct container_state, container_state_fields);

static const struct field network_address_fields[] = {
    FIELD(struct network_address, "Addr", F_STR, addr),
    FIELD(struct network_address, "PrefixLen", F_I64, prefix_len),
};
static const struct json_type network_address_type =
    JSON_TYPE("Address", struct network_address, network_address_fields);

static const struct field network_settings_fields[] = {
    FIELD(struct network_settings, "Bridge", F_STR, bridge),
    FIELD(struct network_settings, "SandboxID", F_STR, sandbox_id),
    FIELD(struct network_settings, "SandboxKey", F_STR, sandbox_key),
    FIELD(struct network_settings, "Ports", F_OBJVMAP, ports, .flags = F_EMPTY,
          .type = &port_binding_type),
    FIELD(struct network_settings, "HairpinMode", F_BOOL, hairpin_mode),
    FIELD(struct network_settings, "LinkLocalIPv6Address", F_STR, link_local_ipv6_address),
    FIELD(struct network_settings, "LinkLocalIPv6PrefixLen", F_I64, link_local_ipv6_prefix_len),
    FIELD(struct network_settings, "SecondaryIPAddresses", F_OBJV, secondary_ip_addresses,
          .type = &network_address_type),
    FIELD(struct network_settings, "SecondaryIPv6Addresses", F_OBJV, secondary_ipv6_addresses,
          .type = &network_address_type),
    FIELD(struct network_settings, "EndpointID", F_STR, endpoint_id),
    FIELD(struct network_settings, "Gateway", F_STR, gateway),
    FIELD(struct network_settings, "GlobalIPv6Address", F_STR, global_ipv6_address),
    FIELD(struct network_settings, "GlobalIPv6PrefixLen", F_I64, global_ipv6_prefix_len),
    FIELD(struct network_settings, "IPAddress", F_STR, ip_address),
    FIELD(struct network_settings, "IPPrefixLen", F_I64, ip_prefix_len),
    FIELD(struct network_settings, "IPv6Gateway", F_STR, ipv6_gateway),
    FIELD(struct network_settings, "MacAddress", F_STR, mac_address),
    FIELD(struct network_settings, "Networks", F_OBJMAP, networks, .flags = F_EMPTY,
          .type = &endpoint_settings_type),
};
const struct json_type network_settings_type =
    JSON_TYPE("NetworkSettings", struct network_settings, network_settings_fields);

static const struct field mount_point_fields[] = {
    FIELD(struct mount_point, "Type", F_STR, type, .flags = F_OMIT),
    FIELD(struct mount_point, "Name", F_STR, name, .flags = F_OMIT),
    FIELD(struct mount_point, "Source", F_STR, source),
    FIELD(struct mount_point, "Destination", F_STR, destination),
    FIELD(struct mount_point, "Driver", F_STR, driver, .flags = F_OMIT),
    FIELD(struct mount_point, "Mode", F_STR, mode),
    FIELD(struct mount_point, "RW", F_BOOL, rw),
    FIELD(struct mount_point, "Propagation", F_STR, propagation),
};
const struct json_type mount_point_type =
    JSON_TYPE("MountPoint", struct mount_point, mount_point_fields);

static const struct field container_inspect_fields[] = {
    FIELD(struct container_inspect, "Id", F_STR, id),
    FIELD(struct container_inspect, "Created", F_STR, created),
    FIELD(struct container_inspect, "Path", F_STR, path),
    FIELD(struct container_inspect, "Args", F_STRV, args, .flags = F_EMPTY),
    FIELD(struct container_inspect, "State", F_OBJ, state, .type = &container_state_type),
    FIELD(struct container_inspect, "Image", F_STR, image),
    FIELD(struct container_inspect, "ResolvConfPath", F_STR, resolv_conf_path),
    FIELD(struct container_inspect, "HostnamePath", F_STR, hostname_path),
    FIELD(struct container_inspect, "HostsPath", F_STR, hosts_path),
    FIELD(struct container_inspect, "LogPath", F_STR, log_path),
    FIELD(struct container_inspect, "Name", F_STR, name),
    FIELD(struct container_inspect, "RestartCount", F_I64, restart_count),
    FIELD(struct container_inspect, "Driver", F_STR, driver),
    FIELD(struct container_inspect, "Platform", F_STR, platform),
    FIELD(struct container_inspect, "MountLabel", F_STR, mount_label),
    FIELD(struct container_inspect, "ProcessLabel", F_STR, process_label),
    FIELD(struct container_inspect, "AppArmorProfile", F_STR, apparmor_profile),
    FIELD(struct container_inspect, "ExecIDs", F_STRV, exec_ids),
    FIELD(struct container_inspect, "HostConfig", F_PTR, host_config, .type = &host_config_type),
    FIELD(struct container_inspect, "GraphDriver", F_OBJ, graph_driver, .type = &graph_driver_type),
    FIELD(struct container_inspect, "SizeRw", F_I64P, size_rw_b, .flags = F_OMIT),
    FIELD(struct container_inspect, "SizeRootFs", F_I64P, size_rootfs_b, .flags = F_OMIT),
    FIELD(struct container_inspect, "Mounts", F_OBJV, mounts, .flags = F_EMPTY,
          .type = &mount_point_type),
    FIELD(struct container_inspect, "Config", F_PTR, config, .type = &container_config_type),
    FIELD(struct container_inspect, "NetworkSettings", F_OBJ, network_settings,
          .type = &network_settings_type),
    FIELD(struct container_inspect, "ImageManifestDescriptor", F_PTR, image_manifest,
          .flags = F_OMIT, .type = &oci_descriptor_type),
};
const struct json_type container_inspect_type =
    JSON_TYPE("Container", struct container_inspect, container_inspect_fields);

static const struct field port_summary_fields[] = {
    FIELD(struct port_summary, "IP", F_STR, ip, .flags = F_OMIT),
    FIELD(struct port_summary, "PrivatePort", F_U32, private_port),
    FIELD(struct port_summary, "PublicPort", F_U32, public_port, .flags = F_OMIT),
    FIELD(struct port_summary, "Type", F_STR, type),
};
static const struct json_type port_summary_type =
    JSON_TYPE("Port", struct port_summary, port_summary_fields);

static const struct field host_config_summary_fields[] = {
    FIELD(struct host_config_summary, "NetworkMode", F_STR, network_mode, .flags = F_OMIT),
    FIELD(struct host_config_summary, "Annotations", F_STRMAP, annotations, .flags = F_OMIT),
};
static const struct json_type host_config_summary_type =
    JSON_TYPE("HostConfig", struct host_config_summary, host_config_summary_fields);

static const struct field network_settings_summary_fields[] = {
    FIELD(struct network_settings_summary, "Networks", F_OBJMAP, networks, .flags = F_EMPTY,
          .type = &endpoint_settings_type),
};
static const struct json_type network_settings_summary_type =
    JSON_TYPE("NetworkSettings", struct network_settings_summary, network_settings_summary_fields);

static const struct field container_summary_fields[] = {
    FIELD(struct container_summary, "Id", F_STR, id),
    FIELD(struct container_summary, "Names", F_STRV, names, .flags = F_EMPTY),
    FIELD(struct container_summary, "Image", F_STR, image),
    FIELD(struct container_summary, "ImageID", F_STR, image_id),
    FIELD(struct container_summary, "ImageManifestDescriptor", F_PTR, image_manifest,
          .flags = F_OMIT, .type = &oci_descriptor_type),
    FIELD(struct container_summary, "Command", F_STR, command),
    FIELD(struct container_summary, "Created", F_I64, created_s),
    FIELD(struct container_summary, "Ports", F_OBJV, ports, .flags = F_EMPTY,
          .type = &port_summary_type),
    FIELD(struct container_summary, "SizeRw", F_I64P, size_rw_b, .flags = F_OMIT),
    FIELD(struct container_summary, "SizeRootFs", F_I64P, size_rootfs_b, .flags = F_OMIT),
    FIELD(struct container_summary, "Labels", F_STRMAP, labels, .flags = F_EMPTY),
    FIELD(struct container_summary, "State", F_STR, state),
    FIELD(struct container_summary, "Status", F_STR, status),
    FIELD(struct container_summary, "HostConfig", F_OBJ, host_config,
          .type = &host_config_summary_type),
    FIELD(struct container_summary, "NetworkSettings", F_OBJ, network_settings,
          .type = &network_settings_summary_type),
    FIELD(struct container_summary, "Mounts", F_OBJV, mounts, .flags = F_EMPTY,
          .type = &mount_point_type),
};
const struct json_type container_summary_type =
    JSON_TYPE("ContainerSummary", struct container_summary, container_summary_fields);

static const struct field wait_error_fields[] = {
    FIELD(struct wait_error, "Message", F_STR, message, .flags = F_OMIT),
};
static const struct json_type wait_error_type =
    JSON_TYPE("Error", struct wait_error, wait_error_fields);

static const struct field wait_response_fields[] = {
    FIELD(struct container_wait_response, "StatusCode", F_I64, status_code),
    FIELD(struct container_wait_response, "Error", F_PTR, error, .flags = F_OMIT,
          .type = &wait_error_type),
};
const struct json_type container_wait_response_type =
    JSON_TYPE("ContainerWait", struct container_wait_response, wait_response_fields);

static const struct field top_response_fields[] = {
    FIELD(struct container_top_response, "Processes", F_STRVV, processes, .flags = F_EMPTY),
    FIELD(struct container_top_response, "Titles", F_STRV, titles, .flags = F_EMPTY),
};
const struct json_type container_top_response_type =
    JSON_TYPE("ContainerTop", struct container_top_response, top_response_fields);

static const struct field update_request_fields[] = {
    RESOURCES_FIELDS(struct container_update_request, res.),
    FIELD(struct container_update_request, "RestartPolicy", F_OBJ, restart_policy,
          .type = &restart_policy_type),
};
const struct json_type container_update_request_type =
    JSON_TYPE("Update", struct container_update_request, update_request_fields);

static const struct field update_response_fields[] = {
    FIELD(struct container_update_response, "Warnings", F_STRV, warnings),
};
const struct json_type container_update_response_type =
    JSON_TYPE("Updated", struct container_update_response, update_response_fields);

static const struct field prune_response_fields[] = {
    FIELD(struct container_prune_response, "ContainersDeleted", F_STRV, deleted),
    FIELD(struct container_prune_response, "SpaceReclaimed", F_U64, space_reclaimed_b),
};
const struct json_type container_prune_response_type =
    JSON_TYPE("ContainersPruned", struct container_prune_response, prune_response_fields);

static const struct field filesystem_change_fields[] = {
    FIELD(struct filesystem_change, "Kind", F_I64, kind),
    FIELD(struct filesystem_change, "Path", F_STR, path),
};
const struct json_type filesystem_change_type =
    JSON_TYPE("FilesystemChange", struct filesystem_change, filesystem_change_fields);

static const struct field path_stat_fields[] = {
    FIELD(struct path_stat, "name", F_STR, name),
    FIELD(struct path_stat, "size", F_I64, size_b),
    FIELD(struct path_stat, "mode", F_U32, mode),
    FIELD(struct path_stat, "mtime", F_STR, mtime),
    FIELD(struct path_stat, "linkTarget", F_STR, link_target),
};
const struct json_type path_stat_type = JSON_TYPE("PathStat", struct path_stat, path_stat_fields);
