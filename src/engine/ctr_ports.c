/*
 * What a container publishes in a network: its port bindings and exposed ports, in both families,
 * as ports of the host; or, in a network that is routed, as its own ports that the outside may
 * reach, or that links which the network trusts reach. No port of the host is taken for these, and
 * the binding's host address only tells which family is meant; but one on loopback, which nobody
 * outside can mean, opens nothing.
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"

const char *port_proto(const char *name)
{
    static const char *const protos[] = {"tcp", "udp", "sctp"};

    for (size_t i = 0; i < 3; i++)
        if (str_eq(name, protos[i]))
            return protos[i];
    return NULL;
}

/* "80/tcp" -> 80, "tcp" (static text). A range is the CLI's business: one port here. */
static int parse_port(const char *text, uint16_t *port, const char **proto, struct err *err)
{
    char num[8];
    const char *slash = strchrnul(text, '/');
    uint64_t v;

    *proto = port_proto(*slash ? slash + 1 : "tcp");
    if ((size_t)(slash - text) < sizeof(num) && *proto) {
        memcpy(num, text, (size_t)(slash - text));
        num[slash - text] = '\0';
        if (str_to_u64(num, &v) == 0 && v >= 1 && v <= 65535) {
            *port = (uint16_t)v;
            return 0;
        }
    }
    return err_invalid(err, "invalid port specification: \"%s\"", text);
}

static int parse_host_port(const char *text, struct publish *p, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv range = str_split(&a, text, '-');
    uint64_t v[2] = {0, 0};

    if (str_empty(text))
        return 0;
    for (size_t i = 0; i < range.n; i++)
        if (i > 1 || str_to_u64(range.v[i], &v[i]) < 0 || v[i] > 65535)
            return err_invalid(err, "invalid port specification: \"%s\"", text);
    if (range.n > 1 && v[1] < v[0])
        return err_invalid(err, "invalid port specification: \"%s\"", text);
    p->host_port = (uint16_t)v[0];
    p->host_port_last = (uint16_t)v[1];
    return 0;
}

/* Where the user names no address: on all of both families, or where the network or the daemon
 * says. */
static struct ip default_host(const struct container *c, const struct net *n)
{
    struct ip ip = {.family = AF_INET};

    if (n && n->links && network_options(n->links)->binding.family &&
        !ip_is_any(&network_options(n->links)->binding))
        return network_options(n->links)->binding;
    if (c && ip_parse(str_or(c->e->conf->ip, "0.0.0.0"), &ip) < 0)
        ip = (struct ip){.family = AF_INET};
    return ip;
}

static bool is_routed(const struct net *n, int family)
{
    return n && n->links && network_gateway_mode(n->links, family) == GATEWAY_ROUTED;
}

static bool trusts_links(const struct net *n)
{
    return n && n->links && network_options(n->links)->trusted.n > 0;
}

/* Return: true: it is a port of the host. */
static bool put_port(const struct net *n, const struct publish *p, struct arena *a,
                     struct ctr_published *out)
{
    bool routed = is_routed(n, p->host.family);

    if (!routed)
        arena_push(a, out->host) = *p;
    if ((routed || trusts_links(n)) && network_subnet(n->links, p->host.family).family &&
        !ip_is_loopback(&p->host))
        arena_push(a, out->own) = *p;
    return !routed;
}

static int add_port(const struct container *c, const struct net *n, const char *key,
                    const struct port_binding *b, struct arena *a, struct ctr_published *out,
                    struct err *err)
{
    struct publish p = {.reserved = -1};
    const char *host = b ? str_or(b->host_ip, "") : "";
    int r = parse_port(key, &p.port, &p.proto, err);

    if (r >= 0 && b)
        r = parse_host_port(b->host_port, &p, err);
    if (r < 0)
        return r;
    p.host = default_host(c, n);
    if (*host && (strchr(host, '/') || ip_parse(host, &p.host) < 0))
        return err_invalid(err, "invalid host address \"%s\"", host);
    bool first = put_port(n, &p, a, out);
    if (*host || !ip_is_any(&p.host) || !ports_have_ipv6())
        return 0;
    p.host = (struct ip){.family = AF_INET6};
    p.twin = first;
    (void)put_port(n, &p, a, out);
    return 0;
}

static int collect(const struct container *c, const struct net *n,
                   const struct container_config *config, const struct host_config *host,
                   struct arena *a, struct ctr_published *ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < host->port_bindings.n; i++) {
        const struct objv *list = host->port_bindings.v[i].val;
        const char *key = host->port_bindings.v[i].key;
        if (!list || list->n == 0)
            r = add_port(c, n, key, NULL, a, ret, err);
        for (size_t j = 0; list && r >= 0 && j < list->n; j++)
            r = add_port(c, n, key, list->v[j], a, ret, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; host->publish_all_ports && i < config->exposed_ports.n; i++) {
        if (port_map_get(&host->port_bindings, config->exposed_ports.v[i]))
            continue;
        r = add_port(c, n, config->exposed_ports.v[i], NULL, a, ret, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int ctr_collect_ports(const struct container *c, const struct net *n, struct arena *a,
                      struct ctr_published *ret, struct err *err)
{
    return collect(c, n, c->config, c->host, a, ret, err);
}

bool ctr_publishes(const struct container *c)
{
    return c->host->port_bindings.n > 0 || c->host->publish_all_ports;
}

bool ctr_own_ports(const struct container *c, const struct ctr_end *end, struct arena *a,
                   struct ctr_ports *ret)
{
    struct ctr_published all = {0};
    struct err checked = {0}; /* at the creation */

    bool any =
        is_routed(end->net, AF_INET) || is_routed(end->net, AF_INET6) || trusts_links(end->net);

    if (!ctr_publishes(c) || !any || ctr_collect_ports(c, end->net, a, &all, &checked) < 0 ||
        all.own.n == 0)
        return false;
    *ret = all.own;
    return true;
}

int ctr_open_ports(struct container *c, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->net.nends; i++) {
        auto_arena struct arena a = ARENA_INIT;
        const struct ctr_end *end = &c->net.ends[i];
        struct ctr_ports own;
        if (ctr_own_ports(c, end, &a, &own))
            r = network_open_ports(end->net->links, &end->ep, own.v, own.n, err);
    }
    return r;
}

void ctr_shut_ports(const struct container *c, const struct ctr_end *end)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ctr_ports own;

    if (ctr_own_ports(c, end, &a, &own))
        network_shut_ports(end->net->links, &end->ep, own.v, own.n);
}

int ctr_check_ports(struct engine *e, const struct container_config *config,
                    const struct host_config *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ctr_published ports = {0};
    uint16_t port;
    const char *proto;

    if (str_eq(host->network_mode, "bridge") && !e->nets.bridge)
        return err_not_found(err, "network bridge not found: the daemon runs with --bridge none");
    for (size_t i = 0; i < config->exposed_ports.n; i++)
        if (parse_port(config->exposed_ports.v[i], &port, &proto, err) < 0)
            return -EINVAL;
    return collect(NULL, NULL, config, host, &a, &ports, err);
}
