/* The three networks every engine has: bridge, host, none. More come with the networks issue. */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/time.h"

static const struct {
    const char *name, *driver, *id;
} predefined[] = {
    {"bridge", "bridge", NET_BRIDGE_ID},
    {"host", "host", "4057000000000000000000000000000000000000000000000000000000000002"},
    {"none", "null", "704e000000000000000000000000000000000000000000000000000000000003"},
};
#define NETWORKS (sizeof(predefined) / sizeof(predefined[0]))

const char *net_id(const char *name)
{
    for (size_t i = 0; i < NETWORKS; i++)
        if (strcmp(predefined[i].name, name) == 0)
            return predefined[i].id;
    return "";
}

static void put_bridge(struct engine *e, struct arena *a, struct network_inspect *n)
{
    char text[INET6_ADDRSTRLEN];
    struct ipam_pool *pool = arena_new(a, struct ipam_pool);
    struct ip subnet = bridge_subnet(e->bridge), gw = bridge_gateway(e->bridge);

    pool->subnet = arena_printf(a, "%s/%d", ip_format(&subnet, text), subnet.prefix);
    pool->gateway = arena_strdup(a, ip_format(&gw, text));
    arena_push(a, n->ipam.config) = pool;
    strmap_set(a, &n->options, "com.docker.network.bridge.default_bridge", "true");
    strmap_set(a, &n->options, "com.docker.network.bridge.enable_icc",
               e->conf->icc ? "true" : "false");
    strmap_set(a, &n->options, "com.docker.network.bridge.enable_ip_masquerade",
               e->conf->ip_masq ? "true" : "false");
    strmap_set(a, &n->options, "com.docker.network.bridge.host_binding_ipv4",
               str_or(e->conf->ip, "0.0.0.0"));
    strmap_set(a, &n->options, "com.docker.network.bridge.name", bridge_name(e->bridge));
    strmap_set(a, &n->options, "com.docker.network.driver.mtu",
               arena_printf(a, "%d", bridge_mtu(e->bridge)));
}

static void put_containers(struct engine *e, struct arena *a, struct network_inspect *n)
{
    char text[INET6_ADDRSTRLEN];
    size_t count;
    auto_free struct container **all = ctr_all(e, &count);

    for (size_t i = 0; i < count; i++) {
        struct container *c = all[i];
        (void)pthread_mutex_lock(&c->lock);
        if (ctr_running(c) && str_eq(c->host->network_mode, n->name)) {
            struct network_container *nc = arena_new(a, struct network_container);
            nc->name = arena_strdup(a, c->name);
            nc->endpoint_id = arena_printf(a, "e%.63s", c->id);
            nc->mac_address = arena_strdup(a, c->ep.mac);
            if (c->ep.ip.family)
                nc->ipv4_address =
                    arena_printf(a, "%s/%d", ip_format(&c->ep.ip, text), c->ep.ip.prefix);
            arena_push(a, n->containers).key = arena_strdup(a, c->id);
            n->containers.v[n->containers.n - 1].val = nc;
        }
        (void)pthread_mutex_unlock(&c->lock);
        ctr_unref(c);
    }
}

static struct network_inspect *describe(struct engine *e, size_t i, bool containers,
                                        struct arena *a)
{
    struct network_inspect *n = arena_new(a, struct network_inspect);
    char when[TIME_TEXT];

    n->name = arena_strdup(a, predefined[i].name);
    n->id = arena_strdup(a, predefined[i].id);
    n->driver = arena_strdup(a, predefined[i].driver);
    n->created = arena_strdup(a, time_rfc3339(e->started_ns, when));
    n->scope = arena_strdup(a, "local");
    n->enable_ipv4 = true;
    n->ipam.driver = arena_strdup(a, "default");
    n->containers.v = arena_alloc(a, sizeof(*n->containers.v));
    if (i == 0 && e->bridge)
        put_bridge(e, a, n);
    if (containers)
        put_containers(e, a, n);
    return n;
}

static bool matches(const struct network_inspect *n, const struct filters *f)
{
    return filters_pattern(f, "name", n->name) && filters_prefix(f, "id", n->id) &&
           filters_exact(f, "driver", n->driver) && filters_exact(f, "scope", n->scope) &&
           filters_exact(f, "type", "builtin") && filters_labels(f, "label", &n->labels) &&
           filters_exact(f, "dangling", "false");
}

int net_list(struct engine *e, const struct filters *f, struct arena *a, struct net_infos *ret,
             struct err *err)
{
    static const char *const accepted[] = {"dangling", "driver", "id",   "label",
                                           "name",     "scope",  "type", NULL};
    int r = filters_check(f, accepted, err);

    for (size_t i = 0; r >= 0 && i < NETWORKS; i++) {
        if (i == 0 && !e->bridge)
            continue;
        struct network_inspect *n = describe(e, i, false, a);
        if (matches(n, f))
            arena_push(a, *ret) = n;
    }
    return r;
}

int net_inspect(struct engine *e, const char *name, struct arena *a, struct network_inspect **ret,
                struct err *err)
{
    for (size_t i = 0; i < NETWORKS; i++) {
        if (strcmp(name, predefined[i].name) != 0 && strcmp(name, predefined[i].id) != 0)
            continue;
        *ret = describe(e, i, true, a);
        return 0;
    }
    return err_not_found(err, "network %s not found", name);
}

int net_remove(struct engine *e, const char *name, struct err *err)
{
    (void)e;
    for (size_t i = 0; i < NETWORKS; i++)
        if (strcmp(name, predefined[i].name) == 0 || strcmp(name, predefined[i].id) == 0)
            return err_as(err, ERR_DENIED, EPERM,
                          "%s is a pre-defined network and cannot be removed", predefined[i].name);
    return err_not_found(err, "network %s not found", name);
}

/* Predefined networks stay, and there are no others yet. */
int net_prune(struct engine *e, const struct filters *f, struct network_prune_response *ret,
              struct err *err)
{
    static const char *const accepted[] = {"label", "label!", "until", NULL};

    (void)e;
    *ret = (struct network_prune_response){0};
    return filters_check(f, accepted, err);
}
