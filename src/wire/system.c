/* Field tables of the engine itself. */
#include "wire/system.h"

static const struct field error_body_fields[] = {
    FIELD(struct error_body, "message", F_STR, message),
};
const struct json_type error_body_type =
    JSON_TYPE("ErrorResponse", struct error_body, error_body_fields);

static const struct field id_response_fields[] = {
    FIELD(struct id_response, "Id", F_STR, id),
};
const struct json_type id_response_type =
    JSON_TYPE("IDResponse", struct id_response, id_response_fields);

static const struct field version_platform_fields[] = {
    FIELD(struct version_platform, "Name", F_STR, name),
};
static const struct json_type version_platform_type =
    JSON_TYPE("Platform", struct version_platform, version_platform_fields);

static const struct field version_component_fields[] = {
    FIELD(struct version_component, "Name", F_STR, name),
    FIELD(struct version_component, "Version", F_STR, version),
    FIELD(struct version_component, "Details", F_STRMAP, details, .flags = F_OMIT),
};
static const struct json_type version_component_type =
    JSON_TYPE("Component", struct version_component, version_component_fields);

static const struct field system_version_fields[] = {
    FIELD(struct system_version, "Platform", F_OBJ, platform, .type = &version_platform_type),
    FIELD(struct system_version, "Components", F_OBJV, components, .flags = F_OMIT,
          .type = &version_component_type),
    FIELD(struct system_version, "Version", F_STR, version),
    FIELD(struct system_version, "ApiVersion", F_STR, api_version),
    FIELD(struct system_version, "MinAPIVersion", F_STR, min_api_version),
    FIELD(struct system_version, "GitCommit", F_STR, git_commit),
    FIELD(struct system_version, "GoVersion", F_STR, go_version),
    FIELD(struct system_version, "Os", F_STR, os),
    FIELD(struct system_version, "Arch", F_STR, arch),
    FIELD(struct system_version, "KernelVersion", F_STR, kernel_version, .flags = F_OMIT),
    FIELD(struct system_version, "Experimental", F_BOOL, experimental, .flags = F_OMIT),
    FIELD(struct system_version, "BuildTime", F_STR, build_time, .flags = F_OMIT),
};
const struct json_type system_version_type =
    JSON_TYPE("Version", struct system_version, system_version_fields);

static const struct field info_plugins_fields[] = {
    FIELD(struct info_plugins, "Volume", F_STRV, volume, .flags = F_EMPTY),
    FIELD(struct info_plugins, "Network", F_STRV, network, .flags = F_EMPTY),
    FIELD(struct info_plugins, "Authorization", F_STRV, authorization),
    FIELD(struct info_plugins, "Log", F_STRV, log, .flags = F_EMPTY),
};
static const struct json_type info_plugins_type =
    JSON_TYPE("Plugins", struct info_plugins, info_plugins_fields);

static const struct field registry_index_fields[] = {
    FIELD(struct registry_index, "Name", F_STR, name),
    FIELD(struct registry_index, "Mirrors", F_STRV, mirrors, .flags = F_EMPTY),
    FIELD(struct registry_index, "Secure", F_BOOL, secure),
    FIELD(struct registry_index, "Official", F_BOOL, official),
};
static const struct json_type registry_index_type =
    JSON_TYPE("IndexConfig", struct registry_index, registry_index_fields);

static const struct field registry_service_fields[] = {
    FIELD(struct registry_service_config, "InsecureRegistryCIDRs", F_STRV, insecure_cidrs,
          .flags = F_EMPTY),
    FIELD(struct registry_service_config, "IndexConfigs", F_OBJMAP, index_configs, .flags = F_EMPTY,
          .type = &registry_index_type),
    FIELD(struct registry_service_config, "Mirrors", F_STRV, mirrors),
};
static const struct json_type registry_service_type =
    JSON_TYPE("RegistryConfig", struct registry_service_config, registry_service_fields);

static const struct field runtime_info_fields[] = {
    FIELD(struct runtime_info, "path", F_STR, path, .flags = F_OMIT),
    FIELD(struct runtime_info, "runtimeArgs", F_STRV, args, .flags = F_OMIT),
    FIELD(struct runtime_info, "status", F_STRMAP, status, .flags = F_OMIT),
};
static const struct json_type runtime_info_type =
    JSON_TYPE("Runtime", struct runtime_info, runtime_info_fields);

static const struct field swarm_info_fields[] = {
    FIELD(struct swarm_info, "NodeID", F_STR, node_id),
    FIELD(struct swarm_info, "NodeAddr", F_STR, node_addr),
    FIELD(struct swarm_info, "LocalNodeState", F_STR, local_node_state),
    FIELD(struct swarm_info, "ControlAvailable", F_BOOL, control_available),
    FIELD(struct swarm_info, "Error", F_STR, error),
    FIELD(struct swarm_info, "RemoteManagers", F_STRV, remote_managers),
};
static const struct json_type swarm_info_type =
    JSON_TYPE("Swarm", struct swarm_info, swarm_info_fields);

static const struct field commit_info_fields[] = {
    FIELD(struct commit_info, "ID", F_STR, id),
    FIELD(struct commit_info, "Expected", F_STR, expected, .flags = F_OMIT),
};
static const struct json_type commit_info_type =
    JSON_TYPE("Commit", struct commit_info, commit_info_fields);

static const struct field address_pool_fields[] = {
    FIELD(struct address_pool, "Base", F_STR, base),
    FIELD(struct address_pool, "Size", F_I64, size),
};
static const struct json_type address_pool_type =
    JSON_TYPE("AddressPool", struct address_pool, address_pool_fields);

static const struct field firewall_info_fields[] = {
    FIELD(struct firewall_info, "Driver", F_STR, driver),
    FIELD(struct firewall_info, "Info", F_STRVV, info, .flags = F_OMIT),
};
static const struct json_type firewall_info_type =
    JSON_TYPE("FirewallBackend", struct firewall_info, firewall_info_fields);

static const struct field containerd_namespaces_fields[] = {
    FIELD(struct containerd_namespaces, "Containers", F_STR, containers),
    FIELD(struct containerd_namespaces, "Plugins", F_STR, plugins),
};
static const struct json_type containerd_namespaces_type =
    JSON_TYPE("Namespaces", struct containerd_namespaces, containerd_namespaces_fields);

static const struct field containerd_info_fields[] = {
    FIELD(struct containerd_info, "Address", F_STR, address, .flags = F_OMIT),
    FIELD(struct containerd_info, "Namespaces", F_OBJ, namespaces,
          .type = &containerd_namespaces_type),
};
static const struct json_type containerd_info_type =
    JSON_TYPE("Containerd", struct containerd_info, containerd_info_fields);

static const struct field system_info_fields[] = {
    FIELD(struct system_info, "ID", F_STR, id),
    FIELD(struct system_info, "Containers", F_I64, containers),
    FIELD(struct system_info, "ContainersRunning", F_I64, containers_running),
    FIELD(struct system_info, "ContainersPaused", F_I64, containers_paused),
    FIELD(struct system_info, "ContainersStopped", F_I64, containers_stopped),
    FIELD(struct system_info, "Images", F_I64, images),
    FIELD(struct system_info, "Driver", F_STR, driver),
    FIELD(struct system_info, "DriverStatus", F_STRVV, driver_status, .flags = F_EMPTY),
    FIELD(struct system_info, "Plugins", F_OBJ, plugins, .type = &info_plugins_type),
    FIELD(struct system_info, "MemoryLimit", F_BOOL, memory_limit),
    FIELD(struct system_info, "SwapLimit", F_BOOL, swap_limit),
    FIELD(struct system_info, "KernelMemoryTCP", F_BOOL, kernel_memory_tcp, .flags = F_OMIT),
    FIELD(struct system_info, "CpuCfsPeriod", F_BOOL, cpu_cfs_period),
    FIELD(struct system_info, "CpuCfsQuota", F_BOOL, cpu_cfs_quota),
    FIELD(struct system_info, "CPUShares", F_BOOL, cpu_shares),
    FIELD(struct system_info, "CPUSet", F_BOOL, cpuset),
    FIELD(struct system_info, "PidsLimit", F_BOOL, pids_limit),
    FIELD(struct system_info, "IPv4Forwarding", F_BOOL, ipv4_forwarding),
    FIELD(struct system_info, "Debug", F_BOOL, debug),
    FIELD(struct system_info, "NFd", F_I64, nfd),
    FIELD(struct system_info, "OomKillDisable", F_BOOL, oom_kill_disable),
    FIELD(struct system_info, "NGoroutines", F_I64, ngoroutines),
    FIELD(struct system_info, "SystemTime", F_STR, system_time),
    FIELD(struct system_info, "LoggingDriver", F_STR, logging_driver),
    FIELD(struct system_info, "CgroupDriver", F_STR, cgroup_driver),
    FIELD(struct system_info, "CgroupVersion", F_STR, cgroup_version, .flags = F_OMIT),
    FIELD(struct system_info, "NEventsListener", F_I64, nevents_listener),
    FIELD(struct system_info, "KernelVersion", F_STR, kernel_version),
    FIELD(struct system_info, "OperatingSystem", F_STR, operating_system),
    FIELD(struct system_info, "OSVersion", F_STR, os_version),
    FIELD(struct system_info, "OSType", F_STR, os_type),
    FIELD(struct system_info, "Architecture", F_STR, architecture),
    FIELD(struct system_info, "IndexServerAddress", F_STR, index_server_address),
    FIELD(struct system_info, "RegistryConfig", F_PTR, registry_config,
          .type = &registry_service_type),
    FIELD(struct system_info, "NCPU", F_I64, ncpu),
    FIELD(struct system_info, "MemTotal", F_I64, mem_total_b),
    FIELD(struct system_info, "GenericResources", F_STRV, generic_resources),
    FIELD(struct system_info, "DockerRootDir", F_STR, docker_root_dir),
    FIELD(struct system_info, "HttpProxy", F_STR, http_proxy),
    FIELD(struct system_info, "HttpsProxy", F_STR, https_proxy),
    FIELD(struct system_info, "NoProxy", F_STR, no_proxy),
    FIELD(struct system_info, "Name", F_STR, name),
    FIELD(struct system_info, "Labels", F_STRV, labels, .flags = F_EMPTY),
    FIELD(struct system_info, "ExperimentalBuild", F_BOOL, experimental_build),
    FIELD(struct system_info, "ServerVersion", F_STR, server_version),
    FIELD(struct system_info, "Runtimes", F_OBJMAP, runtimes, .flags = F_EMPTY,
          .type = &runtime_info_type),
    FIELD(struct system_info, "DefaultRuntime", F_STR, default_runtime),
    FIELD(struct system_info, "Swarm", F_OBJ, swarm, .type = &swarm_info_type),
    FIELD(struct system_info, "LiveRestoreEnabled", F_BOOL, live_restore_enabled),
    FIELD(struct system_info, "Isolation", F_STR, isolation),
    FIELD(struct system_info, "InitBinary", F_STR, init_binary),
    FIELD(struct system_info, "ContainerdCommit", F_OBJ, containerd_commit,
          .type = &commit_info_type),
    FIELD(struct system_info, "RuncCommit", F_OBJ, runc_commit, .type = &commit_info_type),
    FIELD(struct system_info, "InitCommit", F_OBJ, init_commit, .type = &commit_info_type),
    FIELD(struct system_info, "SecurityOptions", F_STRV, security_options, .flags = F_EMPTY),
    FIELD(struct system_info, "ProductLicense", F_STR, product_license, .flags = F_OMIT),
    FIELD(struct system_info, "DefaultAddressPools", F_OBJV, default_address_pools, .flags = F_OMIT,
          .type = &address_pool_type),
    FIELD(struct system_info, "FirewallBackend", F_PTR, firewall_backend, .flags = F_OMIT,
          .type = &firewall_info_type),
    FIELD(struct system_info, "CDISpecDirs", F_STRV, cdi_spec_dirs),
    FIELD(struct system_info, "Containerd", F_PTR, containerd, .flags = F_OMIT,
          .type = &containerd_info_type),
    FIELD(struct system_info, "Warnings", F_STRV, warnings),
};
const struct json_type system_info_type = JSON_TYPE("Info", struct system_info, system_info_fields);

static const struct field event_actor_fields[] = {
    FIELD(struct event_actor, "ID", F_STR, id),
    FIELD(struct event_actor, "Attributes", F_STRMAP, attributes, .flags = F_EMPTY),
};
static const struct json_type event_actor_type =
    JSON_TYPE("Actor", struct event_actor, event_actor_fields);

static const struct field event_message_fields[] = {
    FIELD(struct event_message, "status", F_STR, status, .flags = F_OMIT),
    FIELD(struct event_message, "id", F_STR, id, .flags = F_OMIT),
    FIELD(struct event_message, "from", F_STR, from, .flags = F_OMIT),
    FIELD(struct event_message, "Type", F_STR, type),
    FIELD(struct event_message, "Action", F_STR, action),
    FIELD(struct event_message, "Actor", F_OBJ, actor, .type = &event_actor_type),
    FIELD(struct event_message, "scope", F_STR, scope, .flags = F_OMIT),
    FIELD(struct event_message, "time", F_I64, time_s, .flags = F_OMIT),
    FIELD(struct event_message, "timeNano", F_I64, time_ns, .flags = F_OMIT),
};
const struct json_type event_message_type =
    JSON_TYPE("Event", struct event_message, event_message_fields);

static const struct field build_cache_fields[] = {
    FIELD(struct build_cache_record, "ID", F_STR, id),
    FIELD(struct build_cache_record, "Parents", F_STRV, parents, .flags = F_OMIT),
    FIELD(struct build_cache_record, "Type", F_STR, type),
    FIELD(struct build_cache_record, "Description", F_STR, description),
    FIELD(struct build_cache_record, "InUse", F_BOOL, in_use),
    FIELD(struct build_cache_record, "Shared", F_BOOL, shared),
    FIELD(struct build_cache_record, "Size", F_I64, size_b),
    FIELD(struct build_cache_record, "CreatedAt", F_STR, created_at),
    FIELD(struct build_cache_record, "LastUsedAt", F_STR, last_used_at, .flags = F_NULL),
    FIELD(struct build_cache_record, "UsageCount", F_I64, usage_count),
};
const struct json_type build_cache_record_type =
    JSON_TYPE("BuildCache", struct build_cache_record, build_cache_fields);

static const struct field disk_usage_fields[] = {
    FIELD(struct disk_usage, "LayersSize", F_I64, layers_size_b),
    FIELD(struct disk_usage, "Images", F_OBJV, images, .type = &image_summary_type),
    FIELD(struct disk_usage, "Containers", F_OBJV, containers, .type = &container_summary_type),
    FIELD(struct disk_usage, "Volumes", F_OBJV, volumes, .type = &volume_info_type),
    FIELD(struct disk_usage, "BuildCache", F_OBJV, build_cache, .type = &build_cache_record_type),
};
const struct json_type disk_usage_type =
    JSON_TYPE("DiskUsage", struct disk_usage, disk_usage_fields);

static const struct field auth_config_fields[] = {
    FIELD(struct auth_config, "username", F_STR, username, .flags = F_OMIT),
    FIELD(struct auth_config, "password", F_STR, password, .flags = F_OMIT | F_SECRET),
    FIELD(struct auth_config, "email", F_STR, email, .flags = F_OMIT),
    FIELD(struct auth_config, "serveraddress", F_STR, server_address, .flags = F_OMIT),
    FIELD(struct auth_config, "identitytoken", F_STR, identity_token, .flags = F_OMIT | F_SECRET),
    FIELD(struct auth_config, "registrytoken", F_STR, registry_token, .flags = F_OMIT | F_SECRET),
};
const struct json_type auth_config_type =
    JSON_TYPE("AuthConfig", struct auth_config, auth_config_fields);

static const struct field auth_response_fields[] = {
    FIELD(struct auth_response, "IdentityToken", F_STR, identity_token, .flags = F_SECRET),
    FIELD(struct auth_response, "Status", F_STR, status),
};
const struct json_type auth_response_type =
    JSON_TYPE("AuthResponse", struct auth_response, auth_response_fields);

static const struct field build_prune_response_fields[] = {
    FIELD(struct build_prune_response, "CachesDeleted", F_STRV, deleted),
    FIELD(struct build_prune_response, "SpaceReclaimed", F_U64, space_reclaimed_b),
};
const struct json_type build_prune_response_type =
    JSON_TYPE("BuildPruned", struct build_prune_response, build_prune_response_fields);
