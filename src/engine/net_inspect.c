/* What inspect and ps say of a container's networks. */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

static void put_ip(const struct ip *ip, char **text, int64_t *prefix, struct arena *a)
{
    char shown[INET6_ADDRSTRLEN];

    if (!ip->family)
        return;
    *text = arena_strdup(a, ip_format(ip, shown));
    *prefix = ip->prefix;
}

static void put_gateway(const struct ctr_end *end, const struct ip *ip, char **ret, struct arena *a)
{
    char text[INET6_ADDRSTRLEN];
    struct ip gw = ip->family ? network_gateway(end->net->links, ip) : (struct ip){0};

    if (gw.family && !end->net->rec.net.internal)
        *ret = arena_strdup(a, ip_format(&gw, text));
}

static const struct ctr_end *end_in(const struct container *c, const char *network)
{
    for (size_t i = 0; i < c->net.nends; i++)
        if (strcmp(c->net.ends[i].net->rec.net.name, network) == 0)
            return &c->net.ends[i];
    return NULL;
}

static struct endpoint_settings *describe(const struct container *c, const char *network,
                                          const struct endpoint_settings *wanted, struct arena *a)
{
    struct endpoint_settings *s = json_clone(&endpoint_settings_type, wanted, a);
    const struct ctr_end *end = end_in(c, network);
    struct net *n = net_get(c->e, network, NULL);

    s->network_id = n ? arena_strdup(a, n->rec.net.id) : NULL;
    if (n && net_user_defined(n))
        s->dns_names = ctr_end_names(c, wanted, a);
    net_put(c->e, n);
    if (!end)
        return s;
    s->endpoint_id = arena_strdup(a, end->id);
    s->mac_address = arena_strdup(a, end->ep.mac);
    put_ip(&end->ep.ip, &s->ip_address, &s->ip_prefix_len, a);
    put_ip(&end->ep.ip6, &s->global_ipv6_address, &s->global_ipv6_prefix_len, a);
    put_gateway(end, &end->ep.ip, &s->gateway, a);
    put_gateway(end, &end->ep.ip6, &s->ipv6_gateway, a);
    return s;
}

static bool is_shown(const port_map *map, const char *key, const char *host_ip)
{
    const struct objv *list = port_map_get(map, key);

    for (size_t i = 0; list && i < list->n; i++) {
        const struct port_binding *b = list->v[i];
        if (str_eq(b->host_ip, host_ip) && str_empty(b->host_port))
            return true;
    }
    return false;
}

/* A container's own ports, in all of its routed networks together: without a host port. */
static void put_own_ports(const struct container *c, struct arena *a, port_map *map)
{
    struct ctr_ports own;

    for (size_t i = 0; i < c->net.nends; i++) {
        if (!ctr_own_ports(c, &c->net.ends[i], a, &own))
            continue;
        for (size_t k = 0; k < own.n; k++) {
            char text[INET6_ADDRSTRLEN];
            const char *key = arena_printf(a, "%u/%s", own.v[k].port, own.v[k].proto);
            const char *host = ip_format(&own.v[k].host, text);
            if (network_gateway_mode(c->net.ends[i].net->links, own.v[k].host.family) !=
                GATEWAY_ROUTED)
                continue;
            if (!is_shown(map, key, host))
                port_map_add(map, a, key, host, "");
        }
    }
}

static void published(struct container *c, struct arena *a, port_map *map)
{
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < c->config->exposed_ports.n; i++)
        port_map_set_null(map, a, c->config->exposed_ports.v[i]);
    for (size_t i = 0; i < c->net.nports; i++) {
        const struct publish *p = &c->net.ports[i];
        port_map_add(map, a, arena_printf(a, "%u/%s", p->port, p->proto),
                     p->host.family ? ip_format(&p->host, text) : "0.0.0.0",
                     arena_printf(a, "%u", p->host_port));
    }
    put_own_ports(c, a, map);
}

/* The members that stand outside of Networks are those of the default bridge. */
static void put_bridge(const struct endpoint_settings *s, struct network_settings *ret)
{
    ret->endpoint_id = s->endpoint_id;
    ret->ip_address = s->ip_address;
    ret->ip_prefix_len = s->ip_prefix_len;
    ret->gateway = s->gateway;
    ret->global_ipv6_address = s->global_ipv6_address;
    ret->global_ipv6_prefix_len = s->global_ipv6_prefix_len;
    ret->ipv6_gateway = s->ipv6_gateway;
    ret->mac_address = s->mac_address;
}

void ctr_net_settings(struct container *c, struct arena *a, struct network_settings *ret)
{
    ret->ports.v = arena_alloc(a, sizeof(*ret->ports.v));
    ret->networks.v = arena_alloc(a, sizeof(*ret->networks.v));
    if (str_starts(c->host->network_mode, "container:"))
        return;
    for (size_t i = 0; i < c->networks.endpoints.n; i++) {
        const char *name = c->networks.endpoints.v[i].key;
        struct endpoint_settings *s = describe(c, name, c->networks.endpoints.v[i].val, a);
        arena_push(a, ret->networks).key = arena_strdup(a, name);
        ret->networks.v[ret->networks.n - 1].val = s;
        if (strcmp(name, "bridge") == 0 && ctr_running(c))
            put_bridge(s, ret);
    }
    if (!ctr_running(c))
        return;
    published(c, a, &ret->ports);
    ret->sandbox_id = arena_strdup(a, c->id);
    ret->sandbox_key = arena_printf(a, "/proc/%lld/ns/net", (long long)c->pid);
}
