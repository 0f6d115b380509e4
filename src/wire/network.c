/* Field tables of networks and endpoints. */
#include "wire/network.h"

static const struct field endpoint_ipam_fields[] = {
    FIELD(struct endpoint_ipam, "IPv4Address", F_STR, ipv4_address, .flags = F_OMIT),
    FIELD(struct endpoint_ipam, "IPv6Address", F_STR, ipv6_address, .flags = F_OMIT),
    FIELD(struct endpoint_ipam, "LinkLocalIPs", F_STRV, link_local_ips, .flags = F_OMIT),
};
static const struct json_type endpoint_ipam_type =
    JSON_TYPE("IPAMConfig", struct endpoint_ipam, endpoint_ipam_fields);

static const struct field endpoint_settings_fields[] = {
    FIELD(struct endpoint_settings, "IPAMConfig", F_PTR, ipam, .type = &endpoint_ipam_type),
    FIELD(struct endpoint_settings, "Links", F_STRV, links),
    FIELD(struct endpoint_settings, "Aliases", F_STRV, aliases),
    FIELD(struct endpoint_settings, "MacAddress", F_STR, mac_address),
    FIELD(struct endpoint_settings, "DriverOpts", F_STRMAP, driver_opts),
    FIELD(struct endpoint_settings, "GwPriority", F_I64, gw_priority),
    FIELD(struct endpoint_settings, "NetworkID", F_STR, network_id),
    FIELD(struct endpoint_settings, "EndpointID", F_STR, endpoint_id),
    FIELD(struct endpoint_settings, "Gateway", F_STR, gateway),
    FIELD(struct endpoint_settings, "IPAddress", F_STR, ip_address),
    FIELD(struct endpoint_settings, "IPPrefixLen", F_I64, ip_prefix_len),
    FIELD(struct endpoint_settings, "IPv6Gateway", F_STR, ipv6_gateway),
    FIELD(struct endpoint_settings, "GlobalIPv6Address", F_STR, global_ipv6_address),
    FIELD(struct endpoint_settings, "GlobalIPv6PrefixLen", F_I64, global_ipv6_prefix_len),
    FIELD(struct endpoint_settings, "DNSNames", F_STRV, dns_names),
};
const struct json_type endpoint_settings_type =
    JSON_TYPE("EndpointSettings", struct endpoint_settings, endpoint_settings_fields);

static const struct field networking_config_fields[] = {
    FIELD(struct networking_config, "EndpointsConfig", F_OBJMAP, endpoints, .flags = F_EMPTY,
          .type = &endpoint_settings_type),
};
const struct json_type networking_config_type =
    JSON_TYPE("NetworkingConfig", struct networking_config, networking_config_fields);

static const struct field ipam_pool_fields[] = {
    FIELD(struct ipam_pool, "Subnet", F_STR, subnet, .flags = F_OMIT),
    FIELD(struct ipam_pool, "IPRange", F_STR, ip_range, .flags = F_OMIT),
    FIELD(struct ipam_pool, "Gateway", F_STR, gateway, .flags = F_OMIT),
    FIELD(struct ipam_pool, "AuxiliaryAddresses", F_STRMAP, aux_addresses, .flags = F_OMIT),
};
static const struct json_type ipam_pool_type =
    JSON_TYPE("IPAMConfig", struct ipam_pool, ipam_pool_fields);

static const struct field ipam_fields[] = {
    FIELD(struct ipam, "Driver", F_STR, driver),
    FIELD(struct ipam, "Options", F_STRMAP, options),
    FIELD(struct ipam, "Config", F_OBJV, config, .type = &ipam_pool_type),
};
const struct json_type ipam_type = JSON_TYPE("IPAM", struct ipam, ipam_fields);

static const struct field config_reference_fields[] = {
    FIELD(struct config_reference, "Network", F_STR, network),
};
static const struct json_type config_reference_type =
    JSON_TYPE("ConfigFrom", struct config_reference, config_reference_fields);

static const struct field network_container_fields[] = {
    FIELD(struct network_container, "Name", F_STR, name),
    FIELD(struct network_container, "EndpointID", F_STR, endpoint_id),
    FIELD(struct network_container, "MacAddress", F_STR, mac_address),
    FIELD(struct network_container, "IPv4Address", F_STR, ipv4_address),
    FIELD(struct network_container, "IPv6Address", F_STR, ipv6_address),
};
static const struct json_type network_container_type =
    JSON_TYPE("NetworkContainer", struct network_container, network_container_fields);

static const struct field network_inspect_fields[] = {
    FIELD(struct network_inspect, "Name", F_STR, name),
    FIELD(struct network_inspect, "Id", F_STR, id),
    FIELD(struct network_inspect, "Created", F_STR, created),
    FIELD(struct network_inspect, "Scope", F_STR, scope),
    FIELD(struct network_inspect, "Driver", F_STR, driver),
    FIELD(struct network_inspect, "EnableIPv4", F_BOOL, enable_ipv4),
    FIELD(struct network_inspect, "EnableIPv6", F_BOOL, enable_ipv6),
    FIELD(struct network_inspect, "IPAM", F_OBJ, ipam, .type = &ipam_type),
    FIELD(struct network_inspect, "Internal", F_BOOL, internal),
    FIELD(struct network_inspect, "Attachable", F_BOOL, attachable),
    FIELD(struct network_inspect, "Ingress", F_BOOL, ingress),
    FIELD(struct network_inspect, "ConfigFrom", F_OBJ, config_from, .type = &config_reference_type),
    FIELD(struct network_inspect, "ConfigOnly", F_BOOL, config_only),
    FIELD(struct network_inspect, "Containers", F_OBJMAP, containers, .flags = F_EMPTY,
          .type = &network_container_type),
    FIELD(struct network_inspect, "Options", F_STRMAP, options, .flags = F_EMPTY),
    FIELD(struct network_inspect, "Labels", F_STRMAP, labels, .flags = F_EMPTY),
};
const struct json_type network_inspect_type =
    JSON_TYPE("Network", struct network_inspect, network_inspect_fields);

static const struct field network_create_request_fields[] = {
    FIELD(struct network_create_request, "Name", F_STR, name),
    FIELD(struct network_create_request, "CheckDuplicate", F_BOOL, check_duplicate,
          .flags = F_OMIT),
    FIELD(struct network_create_request, "Driver", F_STR, driver),
    FIELD(struct network_create_request, "Scope", F_STR, scope),
    FIELD(struct network_create_request, "EnableIPv4", F_BOOLP, enable_ipv4, .flags = F_OMIT),
    FIELD(struct network_create_request, "EnableIPv6", F_BOOLP, enable_ipv6, .flags = F_OMIT),
    FIELD(struct network_create_request, "IPAM", F_PTR, ipam, .type = &ipam_type),
    FIELD(struct network_create_request, "Internal", F_BOOL, internal),
    FIELD(struct network_create_request, "Attachable", F_BOOL, attachable),
    FIELD(struct network_create_request, "Ingress", F_BOOL, ingress),
    FIELD(struct network_create_request, "ConfigOnly", F_BOOL, config_only),
    FIELD(struct network_create_request, "ConfigFrom", F_PTR, config_from,
          .type = &config_reference_type),
    FIELD(struct network_create_request, "Options", F_STRMAP, options),
    FIELD(struct network_create_request, "Labels", F_STRMAP, labels),
};
const struct json_type network_create_request_type =
    JSON_TYPE("NetworkCreate", struct network_create_request, network_create_request_fields);

static const struct field network_create_response_fields[] = {
    FIELD(struct network_create_response, "Id", F_STR, id),
    FIELD(struct network_create_response, "Warning", F_STR, warning),
};
const struct json_type network_create_response_type =
    JSON_TYPE("NetworkCreated", struct network_create_response, network_create_response_fields);

static const struct field network_connect_request_fields[] = {
    FIELD(struct network_connect_request, "Container", F_STR, container),
    FIELD(struct network_connect_request, "EndpointConfig", F_PTR, endpoint, .flags = F_OMIT,
          .type = &endpoint_settings_type),
};
const struct json_type network_connect_request_type =
    JSON_TYPE("NetworkConnect", struct network_connect_request, network_connect_request_fields);

static const struct field network_disconnect_request_fields[] = {
    FIELD(struct network_disconnect_request, "Container", F_STR, container),
    FIELD(struct network_disconnect_request, "Force", F_BOOL, force),
};
const struct json_type network_disconnect_request_type = JSON_TYPE(
    "NetworkDisconnect", struct network_disconnect_request, network_disconnect_request_fields);

static const struct field network_prune_response_fields[] = {
    FIELD(struct network_prune_response, "NetworksDeleted", F_STRV, deleted),
};
const struct json_type network_prune_response_type =
    JSON_TYPE("NetworksPruned", struct network_prune_response, network_prune_response_fields);
