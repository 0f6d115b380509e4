#include "network/network-priv.h"

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
#include "kern/rtnl.h"

/* ---- opening and closing ---- */

static const struct net_driver *find_driver(const char *name)
{
    static const struct net_driver *const drivers[] = {&bridge_driver, &macvlan_driver,
                                                       &ipvlan_driver};

    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

bool net_driver_known(const char *driver)
{
    return find_driver(driver) != NULL;
}

bool net_driver_publishes(const char *driver)
{
    const struct net_driver *d = find_driver(driver);

    return d && d->publishes;
}

int network_check(const struct network_conf *c, struct err *err)
{
    const struct net_driver *d = find_driver(c->driver);

    return d ? d->check(c, err) : err_invalid(err, "plugin \"%s\" not found", c->driver);
}

/* Gateway and reserved addresses are taken from the start. A gateway outside of its subnet is
 * nobody's business here. */
static int open_pool(const struct net_subnet *s, struct net_pool *p, struct err *err)
{
    p->subnet = ip_network(&s->subnet);
    p->gateway = s->gateway;
    int r = ip_pool_new(&s->subnet, &s->range, &p->pool, err);
    if (r >= 0 && s->gateway.family)
        r = ip_pool_take_this(p->pool, &s->gateway, err);
    for (size_t i = 0; r >= 0 && i < s->nreserved; i++)
        r = ip_pool_take_this(p->pool, &s->reserved[i], err);
    return r;
}

static int open_pools(struct network *n, const struct network_conf *c, struct err *err)
{
    int r = 0;

    n->pools = xcalloc(c->nsubnets ? c->nsubnets : 1, sizeof(*n->pools));
    for (size_t i = 0; r >= 0 && i < c->nsubnets; i++)
        r = open_pool(&c->subnets[i], &n->pools[n->npools++], err);
    return r;
}

int network_open(struct net_host *h, const struct network_conf *c, struct network **ret,
                 struct err *err)
{
    struct network *n = xnew(struct network);

    n->host = h;
    n->driver = find_driver(c->driver);
    (void)snprintf(n->id, sizeof(n->id), "%s", c->id);
    n->opts = c->opts;
    n->internal = c->internal;
    n->given = c->given;
    n->claim = -1;
    (void)pthread_mutex_init(&n->lock, NULL);
    int r =
        n->driver ? open_pools(n, c, err) : err_invalid(err, "plugin \"%s\" not found", c->driver);
    if (r >= 0)
        r = n->driver->open(n, c, err);
    if (r < 0) {
        network_close(n);
        return r;
    }
    net_host_add(h, n);
    *ret = n;
    return 0;
}

void network_close(struct network *n)
{
    if (!n)
        return;
    net_host_drop(n->host, n);
    for (size_t i = 0; i < n->npools; i++)
        ip_pool_free(n->pools[i].pool);
    free(n->pools);
    close_fd(&n->claim);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
}

int network_remove(struct network *n, struct err *err)
{
    FAIL_POINT("network.links.remove", err);
    net_host_drop(n->host, n); /* what goes now is no news to the watch */
    int r = n->driver->remove(n, err);
    if (r < 0)
        net_host_add(n->host, n);
    n->removed = r >= 0;
    return r;
}

/* A removal that was given up when links and rules had gone already. */
static int reopen(struct network *n, struct err *err)
{
    struct network_conf c = {.id = n->id,
                             .driver = n->driver->name,
                             .opts = n->opts,
                             .internal = n->internal,
                             .given = n->given};
    int r = n->driver->open(n, &c, err);

    if (r < 0)
        return r;
    n->removed = false;
    net_host_add(n->host, n);
    return 1;
}

int network_heal(struct network *n, struct err *err)
{
    return n->removed ? reopen(n, err) : n->driver->heal(n, err);
}

bool network_has_link(const struct network *n, int index)
{
    char name[IFNAMSIZ];
    auto_close int nl = rtnl_open(NULL);

    return n->index == index && nl >= 0 && rtnl_link_name(nl, index, name, NULL) >= 0;
}

int network_attach(struct network *n, const struct endpoint *ep, bool hairpin, struct err *err)
{
    return n->driver->attach ? n->driver->attach(n, ep, hairpin, err) : 0;
}

const char *network_bridge(const struct network *n)
{
    return n->driver == &bridge_driver ? n->link : "";
}

const struct net_options *network_options(const struct network *n)
{
    return &n->opts;
}

struct ip network_subnet(const struct network *n, int family)
{
    for (size_t i = 0; i < n->npools; i++)
        if (n->pools[i].subnet.family == family)
            return n->pools[i].subnet;
    return (struct ip){0};
}

enum gateway_mode network_gateway_mode(const struct network *n, int family)
{
    bool v6 = family == AF_INET6 && network_subnet(n, AF_INET6).family;

    return v6 ? n->opts.mode6 : n->opts.mode4;
}

struct ip network_gateway(const struct network *n, const struct ip *ip)
{
    for (size_t i = 0; i < n->npools; i++)
        if (ip_contains(&n->pools[i].subnet, ip))
            return n->pools[i].gateway;
    return (struct ip){0};
}

void network_link(const struct network *n, struct net_link *ret)
{
    *ret = (struct net_link){.parent = n->index, .mtu = n->opts.mtu};
    n->driver->link(n, ret);
}

/* ---- endpoints ---- */

/* Of several subnets of a family the first with a free address serves; one that was asked for
 * decides by itself. Lock held. Return: 0 with family 0 when the network has no such family. */
static int take_address(struct network *n, int family, const struct ip *want, struct ip *ret,
                        struct err *err)
{
    int r = 0;

    *ret = (struct ip){0};
    for (size_t i = 0; i < n->npools; i++) {
        const struct net_pool *p = &n->pools[i];
        if (p->subnet.family != family || (want->family && !ip_contains(&p->subnet, want)))
            continue;
        err_clear(err);
        r = want->family ? ip_pool_take_this(p->pool, want, err) : ip_pool_take(p->pool, ret, err);
        if (r >= 0 && want->family) {
            *ret = *want;
            ret->prefix = p->subnet.prefix;
        }
        if (r != -ENOSPC)
            return r;
    }
    if (want->family && r == 0)
        return err_invalid(err, "no configured subnet contains the wanted IP address");
    return r;
}

static void give_back(struct network *n, const struct ip *ip)
{
    for (size_t i = 0; ip->family && i < n->npools; i++)
        ip_pool_give_back(n->pools[i].pool, ip);
}

/* From the address, as Docker's: a reused address then has the MAC its neighbours know. */
static void choose_mac(const struct endpoint *ep, char mac[18])
{
    uint8_t b[4];

    if (ep->ip.family)
        memcpy(b, ep->ip.addr, sizeof(b));
    else
        rand_bytes(b, sizeof(b));
    (void)snprintf(mac, 18, "02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
}

int network_join(struct network *n, const struct endpoint *want, struct endpoint *ret,
                 struct err *err)
{
    static const struct endpoint nothing = {0};
    struct endpoint ep = {0};
    char suffix[8];

    FAIL_POINT("network.join", err);
    if (!want)
        want = &nothing;
    (void)pthread_mutex_lock(&n->lock);
    int r = take_address(n, AF_INET, &want->ip, &ep.ip, err);
    if (r >= 0 && (r = take_address(n, AF_INET6, &want->ip6, &ep.ip6, err)) < 0)
        give_back(n, &ep.ip);
    (void)pthread_mutex_unlock(&n->lock);
    if (r < 0)
        return r;
    if (*want->mac)
        memcpy(ep.mac, want->mac, sizeof(ep.mac));
    else
        choose_mac(&ep, ep.mac);
    rand_hex(suffix, 7);
    if (n->driver == &bridge_driver)
        (void)snprintf(ep.host_if, sizeof(ep.host_if), "veth%s", suffix);
    *ret = ep;
    return 0;
}

int network_rejoin(struct network *n, const struct endpoint *ep, struct err *err)
{
    struct ip ignored;

    (void)pthread_mutex_lock(&n->lock);
    int r = ep->ip.family ? take_address(n, AF_INET, &ep->ip, &ignored, err) : 0;
    if (r >= 0 && ep->ip6.family && (r = take_address(n, AF_INET6, &ep->ip6, &ignored, err)) < 0)
        give_back(n, &ep->ip);
    (void)pthread_mutex_unlock(&n->lock);
    return r;
}

void network_leave(struct network *n, const struct endpoint *ep)
{
    (void)pthread_mutex_lock(&n->lock);
    give_back(n, &ep->ip);
    give_back(n, &ep->ip6);
    (void)pthread_mutex_unlock(&n->lock);
}

/* ---- published ports ---- */

/* Those the packet filter can lead to the endpoint: of a family that it has. */
static struct fw_port *fw_ports(const struct network *net, const struct endpoint *ep,
                                const struct publish *ports, size_t n, size_t *ret_n)
{
    struct fw_port *v = xcalloc(n, sizeof(*v));

    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ip *to = ports[i].host.family == AF_INET6 ? &ep->ip6 : &ep->ip;
        if (to->family)
            v[(*ret_n)++] =
                (struct fw_port){.host = ports[i].host,
                                 .host_port = ports[i].host_port,
                                 .port = ports[i].port,
                                 .to = *to,
                                 .proto = ports[i].proto,
                                 .near = network_gateway_mode(net, to->family) != GATEWAY_ROUTED};
    }
    return v;
}

/* The packet filter does not lead IPv6 to a container without it, nor ::1 to anybody; without a
 * packet filter every port is served from here. SCTP has no socket that could be spliced. */
static int serve_port(struct network *n, const struct endpoint *ep, struct publish *p,
                      struct err *err)
{
    bool v6 = p->host.family == AF_INET6;
    const struct ip *to = v6 && ep->ip6.family ? &ep->ip6 : &ep->ip;

    if (p->reserved < 0 || strcmp(p->proto, "sctp") == 0 || (n->host->filter && !v6))
        return 0;
    if (!to->family)
        to = &ep->ip6;
    return proxy_port_new(n->host->proxy, p->reserved, strcmp(p->proto, "tcp") == 0, to, p->port,
                          &p->proxy, err);
}

void network_forget_ports(struct network *n, struct publish *ports, size_t np)
{
    for (size_t i = 0; i < np; i++)
        proxy_port_free(take_ptr(&ports[i].proxy));
    ports_release(n->host->ports, ports, np);
}

int network_publish(struct network *n, const struct endpoint *ep, struct publish *ports, size_t np,
                    const char *owner, struct err *err)
{
    size_t count;

    FAIL_POINT("network.publish.reserve", err);
    int r = ports_reserve(n->host->ports, ports, np, owner, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < np; i++)
        r = serve_port(n, ep, &ports[i], err);
    auto_free struct fw_port *v = fw_ports(n, ep, ports, np, &count);
    if (r >= 0)
        r = fw_publish(n->host->fw, v, count, err);
    if (r < 0)
        network_forget_ports(n, ports, np);
    return r;
}

int network_open_ports(struct network *n, const struct endpoint *ep, const struct publish *ports,
                       size_t np, struct err *err)
{
    size_t count;
    auto_free struct fw_port *v = fw_ports(n, ep, ports, np, &count);

    FAIL_POINT("network.ports.open", err);
    return fw_open_ports(n->host->fw, v, count, err);
}

void network_shut_ports(struct network *n, const struct endpoint *ep, const struct publish *ports,
                        size_t np)
{
    size_t count;
    auto_free struct fw_port *v = fw_ports(n, ep, ports, np, &count);
    struct err err = {0};

    if (fw_shut_ports(n->host->fw, v, count, &err) < 0)
        log_warn("%s", err.msg);
}

void network_unpublish(struct network *n, const struct endpoint *ep, struct publish *ports,
                       size_t np)
{
    size_t count;
    auto_free struct fw_port *v = fw_ports(n, ep, ports, np, &count);
    struct err err = {0};

    if (fw_unpublish(n->host->fw, v, count, &err) < 0)
        log_warn("%s", err.msg);
    network_forget_ports(n, ports, np);
}
