/*
 * Networks and a container's end in one of them (an endpoint). The same endpoint_settings are what
 * a client asks for at create and connect, and what inspect reports: address fields that a client
 * sends outside IPAMConfig are ignored.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct endpoint_ipam {
    char *ipv4_address, *ipv6_address;
    struct strv link_local_ips;
};

struct endpoint_settings {
    struct endpoint_ipam *ipam; /* what was asked for; NULL: any address */
    struct strv links, aliases;
    char *mac_address;
    struct strmap driver_opts;
    int64_t gw_priority; /* API 1.48 */
    char *network_id, *endpoint_id;
    char *gateway, *ip_address;
    int64_t ip_prefix_len;
    char *ipv6_gateway, *global_ipv6_address;
    int64_t global_ipv6_prefix_len;
    struct strv dns_names; /* API 1.44 */
};

/* NetworkingConfig of a create request: network name or id -> settings (NULL for null). */
struct networking_config {
    MAP_OF(struct endpoint_settings *) endpoints;
};

struct ipam_pool {
    char *subnet, *ip_range, *gateway; /* CIDR, CIDR, address */
    struct strmap aux_addresses;
};

struct ipam {
    char *driver; /* "default" */
    struct strmap options;
    VEC_OF(struct ipam_pool *) config;
};

struct config_reference {
    char *network;
};

/* One container of a network, keyed by the container's id. */
struct network_container {
    char *name, *endpoint_id, *mac_address;
    char *ipv4_address, *ipv6_address; /* CIDR */
};

struct network_inspect {
    char *name, *id;
    char *created; /* RFC 3339 */
    char *scope, *driver;
    bool enable_ipv4, enable_ipv6; /* EnableIPv4: API 1.47 */
    struct ipam ipam;
    bool internal, attachable, ingress;
    struct config_reference config_from;
    bool config_only;
    MAP_OF(struct network_container *) containers; /* {} in lists */
    struct strmap options, labels;
};

struct network_create_request {
    char *name;
    bool check_duplicate; /* before API 1.44; names are always unique */
    char *driver, *scope;
    bool *enable_ipv4, *enable_ipv6;
    struct ipam *ipam;
    bool internal, attachable, ingress, config_only;
    struct config_reference *config_from;
    struct strmap options, labels;
};

struct network_create_response {
    char *id, *warning;
};

struct network_connect_request {
    char *container;
    struct endpoint_settings *endpoint;
};

struct network_disconnect_request {
    char *container;
    bool force;
};

struct network_prune_response {
    struct strv deleted; /* names */
};

extern const struct json_type endpoint_settings_type;
extern const struct json_type networking_config_type;
extern const struct json_type ipam_type;
extern const struct json_type network_inspect_type;
extern const struct json_type network_create_request_type;
extern const struct json_type network_create_response_type;
extern const struct json_type network_connect_request_type;
extern const struct json_type network_disconnect_request_type;
extern const struct json_type network_prune_response_type;
