/*
 * The ends of a container in its networks: which it wants, making and giving back an end, and which
 * of them has the default route. Changes while it runs are net_connect.c's.
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define OPT_IFNAME "com.docker.network.endpoint.ifname"
#define OPT_SYSCTLS "com.docker.network.endpoint.sysctls"

bool ctr_own_netns(const struct container *c)
{
    const char *mode = c->host->network_mode;

    return !str_eq(mode, "host") && !str_starts(mode, "container:");
}

/* ---- what is wanted ---- */

const struct endpoint_settings *ctr_wanted(const struct container *c, const char *network)
{
    for (size_t i = 0; i < c->networks.endpoints.n; i++)
        if (strcmp(c->networks.endpoints.v[i].key, network) == 0)
            return c->networks.endpoints.v[i].val;
    return NULL;
}

int endpoint_check(const struct net *n, const struct endpoint_settings *s, struct err *err)
{
    const struct endpoint_ipam *ipam = s->ipam;
    const char *v4 = ipam ? str_or(ipam->ipv4_address, "") : "";
    const char *v6 = ipam ? str_or(ipam->ipv6_address, "") : "";
    struct ip ip;
    uint8_t mac[6];

    if (*v4 && (strchr(v4, '/') || ip_parse(v4, &ip) < 0 || ip.family != AF_INET))
        return err_invalid(err, "invalid endpoint settings:\ninvalid IPv4 address: %s", v4);
    if (*v6 && (strchr(v6, '/') || ip_parse(v6, &ip) < 0 || ip.family != AF_INET6))
        return err_invalid(err, "invalid endpoint settings:\ninvalid IPv6 address: %s", v6);
    if (!str_empty(s->mac_address) && mac_parse(s->mac_address, mac) < 0)
        return err_invalid(err, "invalid MAC address: %s", s->mac_address);
    const char *ifname = strmap_get(&s->driver_opts, OPT_IFNAME);
    if (!str_empty(ifname) && (!link_name_valid(ifname) || str_eq(ifname, "lo")))
        return err_invalid(err, "invalid interface name: %s", ifname);
    if (n && n->predefined && (*v4 || *v6))
        return err_invalid(err, "invalid endpoint settings:\nuser specified IP address is "
                                "supported on user defined networks only");
    if (n && n->predefined && s->aliases.n)
        return err_invalid(err, "invalid endpoint settings:\nnetwork-scoped alias is supported "
                                "only for containers in user defined networks");
    if (n && n->rec.net.config_only)
        return err_as(err, ERR_DENIED, EINVAL,
                      "cannot connect container to network %s: it only keeps a configuration",
                      n->rec.net.name);
    return 0;
}

static void want(struct container *c, const char *network, const struct endpoint_settings *s)
{
    struct endpoint_settings *copy = s ? json_clone(&endpoint_settings_type, s, &c->mem)
                                       : arena_new(&c->mem, struct endpoint_settings);

    arena_push(&c->mem, c->networks.endpoints).key = arena_strdup(&c->mem, network);
    c->networks.endpoints.v[c->networks.endpoints.n - 1].val = copy;
}

/* A network may be named by its id, or not exist yet: it is looked for again at the start. */
static int want_checked(struct container *c, const char *name, const struct endpoint_settings *s,
                        struct err *err)
{
    static const struct endpoint_settings nothing = {0};
    struct net *n = net_get(c->e, name, NULL);
    const char *proper = n ? n->rec.net.name : name;
    int r = endpoint_check(n, s ? s : &nothing, err);

    if (r >= 0 && ctr_wanted(c, proper))
        r = err_invalid(err, "network %s is named twice", proper);
    if (r >= 0)
        want(c, proper, s);
    net_put(c->e, n);
    return r;
}

/* The network of the mode comes first: it has the first interface. Its settings may stand under its
 * name or its id. */
static int want_mode(struct container *c, const struct networking_config *asked, struct err *err)
{
    const char *mode = c->host->network_mode;
    struct net *n = net_get(c->e, mode, NULL);
    const struct endpoint_settings *s = NULL;

    for (size_t i = 0; asked && i < asked->endpoints.n; i++) {
        const char *key = asked->endpoints.v[i].key;
        if (str_eq(key, mode) || (str_eq(key, "default") && str_eq(mode, "bridge")) ||
            (n && (str_eq(key, n->rec.net.id) || str_eq(key, n->rec.net.name))))
            s = asked->endpoints.v[i].val;
    }
    struct endpoint_settings with_mac = s ? *s : (struct endpoint_settings){0};
    if (str_empty(with_mac.mac_address)) /* the older place for it */
        with_mac.mac_address = c->config->mac_address;
    net_put(c->e, n);
    return want_checked(c, mode, &with_mac, err);
}

int ctr_networks_init(struct container *c, const struct networking_config *asked, struct err *err)
{
    const char *mode = c->host->network_mode;
    int r;

    if (str_starts(mode, "container:")) {
        if (asked && asked->endpoints.n)
            return err_invalid(err, "conflicting options: cannot attach both user-defined and "
                                    "non-user-defined network-modes");
        return 0;
    }
    r = want_mode(c, asked, err);
    for (size_t i = 0; r >= 0 && asked && i < asked->endpoints.n; i++) {
        const char *key = asked->endpoints.v[i].key;
        struct net *n = net_get(c->e, str_eq(key, "default") ? "bridge" : key, NULL);
        bool mode_too = str_eq(key, mode) || (n && ctr_wanted(c, n->rec.net.name));
        if (!mode_too && (str_eq(mode, "host") || str_eq(mode, "none")))
            r = err_invalid(err,
                            "conflicting options: a container with the %s network has no "
                            "other",
                            mode);
        else if (!mode_too)
            r = want_checked(c, key, asked->endpoints.v[i].val, err);
        net_put(c->e, n);
    }
    return r;
}

bool ctr_wants_dns(const struct container *c)
{
    for (size_t i = 0; i < c->net.nends; i++)
        if (net_user_defined(c->net.ends[i].net))
            return true;
    return false;
}

/* ---- one end ---- */

static void wanted_addresses(const struct endpoint_settings *s, struct endpoint *ret)
{
    *ret = (struct endpoint){0};
    if (s->ipam && !str_empty(s->ipam->ipv4_address))
        (void)!ip_parse(s->ipam->ipv4_address, &ret->ip); /* checked when it was asked for */
    if (s->ipam && !str_empty(s->ipam->ipv6_address))
        (void)!ip_parse(s->ipam->ipv6_address, &ret->ip6);
    if (!str_empty(s->mac_address))
        (void)snprintf(ret->mac, sizeof(ret->mac), "%s", s->mac_address);
}

static bool has_ifname(const struct container *c, const char *name)
{
    for (size_t i = 0; i < c->net.nends; i++)
        if (strcmp(c->net.ends[i].ifname, name) == 0)
            return true;
    return false;
}

/* As told, or the network's prefix with the lowest number that is free. */
static int choose_ifname(const struct container *c, const struct endpoint_settings *s,
                         struct ctr_end *end, struct err *err)
{
    const char *own = strmap_get(&s->driver_opts, OPT_IFNAME);

    if (!str_empty(own)) {
        (void)snprintf(end->ifname, sizeof(end->ifname), "%s", own);
        return has_ifname(c, own) ? err_conflict(err, "interface name %s is taken", own) : 0;
    }
    for (unsigned i = 0; i <= c->net.nends; i++) {
        (void)snprintf(end->ifname, sizeof(end->ifname), "%s%u",
                       network_options(end->net->links)->if_prefix, i);
        if (!has_ifname(c, end->ifname))
            break;
    }
    return 0;
}

int ctr_end_join(struct container *c, const char *network, const struct endpoint_settings *s,
                 struct ctr_end *ret, struct err *err)
{
    struct ctr_end end = {.net = net_hold_end(c->e, network, err)};
    struct endpoint wanted;

    if (!end.net)
        return err_wrap(err, err_code(err), "failed to set up container networking");
    int r = endpoint_check(end.net, s, err);
    if (r >= 0 && !end.net->links)
        r = err_as(err, ERR_SYSTEM, ENODEV, "network %s could not be set up on this host",
                   end.net->rec.net.name);
    wanted_addresses(s, &wanted);
    if (r >= 0)
        r = choose_ifname(c, s, &end, err);
    if (r >= 0)
        r = network_join(end.net->links, &wanted, &end.ep, err);
    if (r < 0) {
        net_put_end(c->e, end.net);
        return err_wrap(err, r, "failed to set up container networking");
    }
    rand_id(end.id);
    end_names_add(c, &end);
    *ret = end;
    return 0;
}

void ctr_end_leave(struct container *c, struct ctr_end *end)
{
    end_names_remove(c, end);
    ctr_shut_ports(c, end);
    network_leave(end->net->links, &end->ep);
    net_put_end(c->e, end->net);
    *end = (struct ctr_end){0};
}

/* "net.ipv4.conf.IFNAME.forwarding=1,...": below net. only, and for this interface. Docker's
 * command line writes all of its option in small letters. */
static int put_sysctls(const char *text, const char *ifname, struct shim_net *net, struct arena *a,
                       struct err *err)
{
    struct strv list = str_split(a, text, ',');

    for (size_t i = 0; i < list.n; i++) {
        char *key = list.v[i], *val = strchr(key, '=');
        auto_buf struct buf path = BUF_INIT;
        if (!val || !str_starts(key, "net.") || strpbrk(key, "/") || !strcasestr(key, ".ifname."))
            return err_invalid(err, "invalid sysctl of an interface: %s", key);
        *val++ = '\0';
        struct strv parts = str_split(a, key, '.');
        for (size_t k = 0; k < parts.n; k++)
            buf_printf(&path, "%s%s", k ? "/" : "",
                       strcasecmp(parts.v[k], "IFNAME") == 0 ? ifname : parts.v[k]);
        strmap_set(a, &net->sysctls, path.data, val);
    }
    return 0;
}

struct shim_net *ctr_end_plan(const struct container *c, const struct ctr_end *end,
                              const struct endpoint_settings *s, struct arena *a, struct err *err)
{
    struct shim_net *net = arena_new(a, struct shim_net);
    const char *sysctls = strmap_get(&s->driver_opts, OPT_SYSCTLS);
    struct net_link link;
    char text[IP_TEXT];

    network_link(end->net->links, &link);
    net->kind = arena_strdup(a, link.kind);
    net->host_if = arena_strdup(a, end->ep.host_if);
    net->peer_if = arena_strdup(a, end->ifname);
    net->parent = link.parent;
    net->mode = link.mode;
    net->flags = link.flags;
    net->mtu = link.mtu;
    net->isolated = link.isolated;
    net->no_ipv6 = !end->ep.ip6.family;
    net->hairpin = ctr_publishes(c);
    if (strcmp(link.kind, "ipvlan") != 0) /* these have their parent's */
        net->mac = arena_strdup(a, end->ep.mac);
    if (end->ep.ip.family)
        strv_push(a, &net->addresses, ip_format_cidr(&end->ep.ip, text));
    if (end->ep.ip6.family)
        strv_push(a, &net->addresses, ip_format_cidr(&end->ep.ip6, text));
    if (sysctls && put_sysctls(sysctls, end->ifname, net, a, err) < 0)
        return NULL;
    return net;
}

/* ---- the default route ---- */

static int64_t priority(const struct container *c, const struct ctr_end *end)
{
    const struct endpoint_settings *s = ctr_wanted(c, end->net->rec.net.name);

    return s ? s->gw_priority : 0;
}

static struct ip gateway_of(const struct ctr_end *end, int family)
{
    const struct ip *ip = family == AF_INET ? &end->ep.ip : &end->ep.ip6;

    return ip->family ? network_gateway(end->net->links, ip) : (struct ip){0};
}

static bool routes_by_link(const struct ctr_end *end)
{
    struct net_link link;

    network_link(end->net->links, &link);
    return link.route_by_link;
}

struct ctr_end *ctr_gateway_end(const struct container *c, int family)
{
    struct ctr_end *best = NULL;

    for (size_t i = 0; i < c->net.nends; i++) {
        struct ctr_end *end = &c->net.ends[i];
        const struct ip *ip = family == AF_INET ? &end->ep.ip : &end->ep.ip6;
        if (end->net->rec.net.internal || !ip->family ||
            (!gateway_of(end, family).family && !routes_by_link(end)))
            continue;
        int64_t more = best ? priority(c, end) - priority(c, best) : 1;
        if (more > 0 || (more == 0 && strcmp(end->net->rec.net.name, best->net->rec.net.name) < 0))
            best = end;
    }
    return best;
}

void ctr_gateways(const struct container *c, struct arena *a, shim_gateways *ret)
{
    static const int families[] = {AF_INET, AF_INET6};
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < 2; i++) {
        const struct ctr_end *end = ctr_gateway_end(c, families[i]);
        if (!end)
            continue;
        struct ip via = gateway_of(end, families[i]);
        struct shim_gateway *g = arena_new(a, struct shim_gateway);
        g->family = families[i];
        g->dev = arena_strdup(a, end->ifname);
        g->via = routes_by_link(end) ? NULL : arena_strdup(a, ip_format(&via, text));
        arena_push(a, *ret) = g;
    }
}

struct ctr_end *ctr_port_end(const struct container *c)
{
    struct ctr_end *end = ctr_gateway_end(c, AF_INET);

    if (!end)
        end = ctr_gateway_end(c, AF_INET6);
    return end && net_driver_publishes(end->net->rec.net.driver) ? end : NULL;
}

/* ---- at the start and at the end ---- */

static bool has_interface(const char *network)
{
    return strcmp(network, "host") != 0 && strcmp(network, "none") != 0;
}

void ctr_end_add(struct container *c, const struct ctr_end *end)
{
    (void)pthread_mutex_lock(&c->lock);
    c->net.ends = xrealloc(c->net.ends, (c->net.nends + 1) * sizeof(*c->net.ends));
    c->net.ends[c->net.nends++] = *end;
    (void)pthread_mutex_unlock(&c->lock);
}

int ctr_net_join(struct container *c, struct arena *a, struct shim_plan *plan, struct err *err)
{
    if (!ctr_own_netns(c) || c->config->network_disabled)
        return 0;
    for (size_t i = 0; i < c->networks.endpoints.n; i++) {
        const char *name = c->networks.endpoints.v[i].key;
        const struct endpoint_settings *s = c->networks.endpoints.v[i].val;
        struct ctr_end end;
        if (!has_interface(name))
            continue;
        int r = ctr_end_join(c, name, s, &end, err);
        if (r < 0)
            return r;
        ctr_end_add(c, &end);
        struct shim_net *net = ctr_end_plan(c, &end, s, a, err);
        if (!net)
            return err_code(err);
        arena_push(a, plan->nets) = net;
    }
    ctr_gateways(c, a, &plan->gateways);
    plan->dns = ctr_wants_dns(c);
    plan->go = c->net.nends > 0 && ctr_publishes(c);
    return 0;
}

int ctr_net_started(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req = {.op = "dns"};
    struct shim_reply reply = {0};
    struct dns_client *client;
    struct dns_view view;

    if (!ctr_wants_dns(c))
        return 0;
    int r = ctr_ask(c, &req, -1, &reply, err);
    if (r != 0) /* 1: it has ended already */
        return r < 0 ? err_wrap(err, r, "name server of the container") : 0;
    if (reply.nfds != 2) {
        for (size_t i = 0; i < reply.nfds; i++)
            close_fd(&reply.fds[i]);
        return err_no(err, EPROTO, "the shim sent no sockets for the name server");
    }
    ctr_dns_view(c, &a, &view);
    r = dns_client_new(c->e->nets.dns, reply.fds[0], reply.fds[1], &view, &client, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    struct dns_client *old = c->net.dns;
    c->net.dns = client;
    (void)pthread_mutex_unlock(&c->lock);
    if (old)
        dns_client_free(old);
    return 0;
}

int ctr_net_publish(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ctr_published all = {0};
    struct ctr_end *end = ctr_port_end(c);
    int r = ctr_open_ports(c, err);

    if (r >= 0 && end)
        r = ctr_collect_ports(c, end->net, &a, &all, err);
    struct ctr_ports ports = all.host;
    if (r < 0 || ports.n == 0)
        return r;
    r = network_publish(end->net->links, &end->ep, ports.v, ports.n, c->name, err);
    if (r < 0)
        return err_wrap(err, r, "driver failed programming external connectivity on endpoint %s",
                        c->name);
    (void)pthread_mutex_lock(&c->lock);
    c->net.ports = xmemdup(ports.v, ports.n * sizeof(*ports.v));
    c->net.nports = ports.n;
    memcpy(c->net.port_end, end->id, sizeof(end->id));
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

struct ctr_net ctr_net_take(struct container *c)
{
    struct ctr_net net = c->net;

    c->net = (struct ctr_net){0};
    return net;
}

void ctr_net_unpublish(struct ctr_net *net)
{
    for (size_t i = 0; i < net->nends && net->nports; i++)
        if (strcmp(net->ends[i].id, net->port_end) == 0)
            network_unpublish(net->ends[i].net->links, &net->ends[i].ep, net->ports, net->nports);
    free(take_ptr(&net->ports));
    net->nports = 0;
    net->port_end[0] = '\0';
}

void ctr_net_release(struct container *c, struct ctr_net *net)
{
    if (net->dns)
        dns_client_free(net->dns);
    ctr_net_unpublish(net);
    for (size_t i = 0; i < net->nends; i++)
        ctr_end_leave(c, &net->ends[i]);
    free(net->ends);
    *net = (struct ctr_net){0};
}

void ctr_net_forget(struct container *c)
{
    struct ctr_net net = ctr_net_take(c);

    if (net.dns)
        dns_client_free(net.dns);
    for (size_t i = 0; i < net.nends; i++) {
        if (strcmp(net.ends[i].id, net.port_end) == 0)
            network_forget_ports(net.ends[i].net->links, net.ports, net.nports);
        net_put_end(c->e, net.ends[i].net);
    }
    free(net.ports);
    free(net.ends);
}

void ctr_net_event(struct container *c, const char *action)
{
    if (str_starts(c->host->network_mode, "container:"))
        return;
    for (size_t i = 0; i < c->networks.endpoints.n; i++) {
        struct net *n = net_get(c->e, c->networks.endpoints.v[i].key, NULL);
        if (n)
            net_event(c->e, n, action, c->id);
        net_put(c->e, n);
    }
}
