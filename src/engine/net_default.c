/*
 * The default bridge: a network whose record the daemon's settings make at every start, and the
 * packet filter, which has its name.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/mem.h"
#include "store/settings.h"

#define MAX_BRIDGES 100

int net_open_host(struct engine *e, const char *name, struct err *err)
{
    auto_free char *table = xasprintf("cleat-%.20s", name);
    struct net_host_conf c = {.table = table,
                              .filter = e->conf->iptables,
                              .override = str_eq(e->conf->firewall, "docker"),
                              .forward = e->conf->ip_forward};

    if (!c.override && !str_eq(e->conf->firewall, "host"))
        return err_invalid(err, "invalid firewall \"%s\": want host or docker", e->conf->firewall);

    return net_host_open(&c, &e->nets.host, err);
}
/* Its address: as told, as the link has it from before, or the first of a free subnet. */
static int pick_bridge_address(struct engine *e, const char *name, struct ip *ret, struct err *err)
{
    if (!str_empty(e->conf->bip)) {
        if (ip_parse(e->conf->bip, ret) < 0 || ret->family != AF_INET)
            return err_invalid(err, "invalid bip \"%s\"", e->conf->bip);
        return 0;
    }
    int r = bridge_address(name, ret, err);
    if (r != 0)
        return r;
    r = net_pick_subnet(e, AF_INET, NULL, 0, ret, err);
    if (r >= 0)
        *ret = ip_add(ret, 1);
    return r;
}

static void add_subnet(struct net *n, const struct ip *gateway, const char *range)
{
    struct ipam_pool *pool = arena_new(&n->mem, struct ipam_pool);
    struct ip subnet = ip_network(gateway);
    char text[IP_TEXT];

    pool->subnet = arena_strdup(&n->mem, ip_format_cidr(&subnet, text));
    pool->gateway = arena_strdup(&n->mem, ip_format(gateway, text));
    if (!str_empty(range))
        pool->ip_range = arena_strdup(&n->mem, range);
    arena_push(&n->mem, n->rec.net.ipam.config) = pool;
}

/* The subnet of the bridge's IPv6 address, of the range, or the last of our own: always the same,
 * so that a restart finds the bridge as it was. */
static int add_ipv6(struct engine *e, struct net *n, struct err *err)
{
    const struct engine_config *c = e->conf;
    struct ip gateway = net_own_ipv6(e).base;

    if (!str_empty(c->bip6)) {
        if (ip_parse(c->bip6, &gateway) < 0 || gateway.family != AF_INET6)
            return err_invalid(err, "invalid bip6 \"%s\"", c->bip6);
    } else if (!str_empty(c->fixed_cidr_v6)) {
        if (ip_parse(c->fixed_cidr_v6, &gateway) < 0 || gateway.family != AF_INET6)
            return err_invalid(err, "invalid fixed-cidr-v6 \"%s\"", c->fixed_cidr_v6);
        gateway = ip_network(&gateway);
        gateway = ip_add(&gateway, 1);
    } else {
        gateway.prefix = 64;
        gateway.addr[6] = gateway.addr[7] = 0xff;
        gateway = ip_add(&gateway, 1);
    }
    add_subnet(n, &gateway, str_empty(c->bip6) ? NULL : c->fixed_cidr_v6);
    return 0;
}

static int fill_default(struct engine *e, struct net *n, const char *name, const struct ip *gateway,
                        struct err *err)
{
    struct network_inspect *rec = &n->rec.net;
    const struct {
        const char *key, *val;
    } options[] = {
        {"com.docker.network.bridge.default_bridge", "true"},
        {"com.docker.network.bridge.enable_icc", e->conf->icc ? "true" : "false"},
        {"com.docker.network.bridge.enable_ip_masquerade", e->conf->ip_masq ? "true" : "false"},
        {"com.docker.network.bridge.host_binding_ipv4", str_or(e->conf->ip, "0.0.0.0")},
        {"com.docker.network.bridge.name", name},
        {"com.docker.network.driver.mtu",
         arena_printf(&n->mem, "%d", e->conf->mtu ? (int)e->conf->mtu : 1500)},
    };

    rec->ipam.config.n = 0;
    add_subnet(n, gateway, e->conf->fixed_cidr);
    rec->enable_ipv6 = e->conf->ipv6;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        strmap_set(&n->mem, &rec->options, options[i].key, options[i].val);
    return e->conf->ipv6 ? add_ipv6(e, n, err) : 0;
}

static int open_bridge(struct engine *e, struct net *n, const char *name, bool fresh,
                       struct err *err)
{
    struct ip gateway;
    int r = net_open_host(e, name, err);

    if (r >= 0)
        r = pick_bridge_address(e, name, &gateway, err);
    if (r >= 0)
        r = fill_default(e, n, name, &gateway, err);
    if (r >= 0)
        r = net_open_links(e, n, fresh, err);
    if (r < 0)
        net_host_free(take_ptr(&e->nets.host));
    return r;
}

/* Daemons with different roots run beside each other: one without a name for its bridge keeps the
 * one that it had, and begins with the first that nobody uses. */
int net_open_default(struct engine *e, struct net *n, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char name[IFNAMSIZ];
    char *had = NULL;

    if (!str_empty(e->conf->bridge))
        return open_bridge(e, n, e->conf->bridge, false, err);
    int r = setting_get(e->db, "bridge", &a, &had, err);
    if (r < 0)
        return r;
    r = had ? open_bridge(e, n, had, false, err) : -EEXIST;
    if (r != -EEXIST)
        return r;
    for (int i = 0; r == -EEXIST && i < MAX_BRIDGES; i++) {
        err_clear(err);
        (void)snprintf(name, sizeof(name), "cleat%d", i);
        r = open_bridge(e, n, name, true, err);
    }
    return r < 0 ? r : setting_set(e->db, "bridge", name, err);
}
