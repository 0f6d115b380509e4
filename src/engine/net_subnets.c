/*
 * The subnets of a network: those it asks for, checked against others; else the first free ones of
 * the daemon's pools. Gateways, too: when this is done every address is settled.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/mem.h"

/* A /48 of unique local addresses (RFC 4193) that is this daemon's: from its id. */
struct ip_block net_own_ipv6(const struct engine *e)
{
    struct ip_block b = {.base = {.family = AF_INET6, .prefix = 48}, .size = 64};
    char digest[DIGEST_LEN + 1];
    unsigned byte[5] = {0};

    sha256_of(e->id, strlen(e->id), digest);
    (void)sscanf(digest + strlen("sha256:"), "%2x%2x%2x%2x%2x", &byte[0], &byte[1], &byte[2],
                 &byte[3], &byte[4]);
    b.base.addr[0] = 0xfd;
    for (int i = 0; i < 5; i++)
        b.base.addr[i + 1] = (uint8_t)byte[i];
    return b;
}
/* From the daemon's pools of this family, or from the usual ones. */
int net_pick_subnet(struct engine *e, int family, const struct ip *taken, size_t ntaken,
                    struct ip *ret, struct err *err)
{
    const struct engine_config *c = e->conf;
    struct ip_block own6 = net_own_ipv6(e);
    auto_free struct ip_block *blocks = xcalloc(c->default_address_pools.n + 1, sizeof(*blocks));
    size_t n = 0;

    for (size_t i = 0; i < c->default_address_pools.n; i++) {
        const struct address_pool *p = c->default_address_pools.v[i];
        struct ip_block b = {.size = (uint8_t)p->size};
        if (ip_parse(str_or(p->base, ""), &b.base) < 0 || p->size < b.base.prefix ||
            p->size > (int64_t)ip_len(&b.base) * 8 - 2)
            return err_invalid(err, "invalid default address pool: base %s, size %lld", p->base,
                               (long long)p->size);
        if (b.base.family == family)
            blocks[n++] = b;
    }
    if (n > 0)
        return ipam_find_subnet(blocks, n, family, taken, ntaken, ret, err);
    return ipam_find_subnet(family == AF_INET6 ? &own6 : NULL, 1, family, taken, ntaken, ret, err);
}
/* Subnets of all our networks, with room for @more behind them. */
static struct ip *taken_subnets(struct engine *e, size_t more, size_t *ret_n)
{
    struct ip *v = xcalloc(more + 1, sizeof(*v));
    size_t n = 0;

    (void)pthread_mutex_lock(&e->nets.lock);
    for (size_t i = 0; i < e->nets.n; i++) {
        const struct ipam *ipam = &e->nets.v[i]->rec.net.ipam;
        if (e->nets.v[i]->rec.net.config_only)
            continue;
        v = xrealloc(v, (n + ipam->config.n + more + 1) * sizeof(*v));
        for (size_t k = 0; k < ipam->config.n; k++)
            if (ip_parse(str_or(ipam->config.v[k]->subnet, ""), &v[n]) == 0)
                n++;
    }
    (void)pthread_mutex_unlock(&e->nets.lock);
    *ret_n = n;
    return v;
}
static int add_pool(struct engine *e, struct net *n, int family, const struct ip *taken,
                    size_t ntaken, struct err *err)
{
    struct ipam_pool *pool = arena_new(&n->mem, struct ipam_pool);
    struct ip subnet;
    char text[IP_TEXT];
    int r = net_pick_subnet(e, family, taken, ntaken, &subnet, err);

    if (r < 0)
        return r;
    pool->subnet = arena_strdup(&n->mem, ip_format_cidr(&subnet, text));
    arena_push(&n->mem, n->rec.net.ipam.config) = pool;
    return 0;
}

static int check_overlap(const struct ipam_pool *p, const struct ip *taken, size_t ntaken,
                         struct err *err)
{
    struct ip subnet;

    if (ip_parse(p->subnet, &subnet) < 0)
        return err_invalid(err, "invalid subnet %s", p->subnet);
    for (size_t i = 0; i < ntaken; i++)
        if (ip_overlap(&subnet, &taken[i]))
            return err_as(err, ERR_DENIED, EEXIST,
                          "invalid pool request: Pool overlaps with other one on this address "
                          "space");
    return 0;
}

/* The first address of a subnet is the gateway's, unless it has another or needs none. */
static void choose_gateway(struct net *n, struct ipam_pool *p, const struct net_options *o)
{
    struct ip subnet;
    char text[INET6_ADDRSTRLEN];

    if (!str_empty(p->gateway) || ip_parse(p->subnet, &subnet) < 0)
        return;
    bool bridge = str_eq(n->rec.net.driver, "bridge");
    enum gateway_mode mode = subnet.family == AF_INET ? o->mode4 : o->mode6;
    if (mode == GATEWAY_ISOLATED || (!bridge && n->rec.net.internal))
        return;
    struct ip gateway = ip_add(&subnet, 1);
    p->gateway = arena_strdup(&n->mem, ip_format(&gateway, text));
}

bool ipam_has_family(const struct ipam *ipam, int family)
{
    struct ip ip;

    for (size_t i = 0; i < ipam->config.n; i++)
        if (ip_parse(str_or(ipam->config.v[i]->subnet, ""), &ip) == 0 && ip.family == family)
            return true;
    return false;
}

/* Every address is settled here, so that a restart of the daemon finds the same network. */
int net_settle_pools(struct engine *e, struct net *n, struct err *err)
{
    struct network_inspect *rec = &n->rec.net;
    struct net_options opts;
    size_t ntaken;
    auto_free struct ip *taken = taken_subnets(e, rec->ipam.config.n, &ntaken);
    int r = net_options_parse(rec->driver, &rec->options, &opts, err);

    for (size_t i = 0; r >= 0 && i < rec->ipam.config.n; i++) {
        r = check_overlap(rec->ipam.config.v[i], taken, ntaken, err);
        if (r >= 0) /* nor those of the same request */
            r = ip_parse(rec->ipam.config.v[i]->subnet, &taken[ntaken++]);
    }
    if (r >= 0 && rec->enable_ipv4 && !ipam_has_family(&rec->ipam, AF_INET))
        r = add_pool(e, n, AF_INET, taken, ntaken, err);
    if (r >= 0 && rec->enable_ipv6 && !ipam_has_family(&rec->ipam, AF_INET6))
        r = add_pool(e, n, AF_INET6, taken, ntaken, err);
    for (size_t i = 0; r >= 0 && i < rec->ipam.config.n; i++)
        choose_gateway(n, rec->ipam.config.v[i], &opts);
    return r;
}
