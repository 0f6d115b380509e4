/*
 * How a network is made: a request becomes a record, with every address settled; a record becomes
 * links. The default bridge is a record that the daemon's settings make at every start.
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
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "store/networks.h"
#include "store/settings.h"

#define MAX_BRIDGES 100
#define SUBNETS_MAX 64 /* of one network */
#define OPT_ENABLE_IPV4 "com.docker.network.enable_ipv4"
#define OPT_ENABLE_IPV6 "com.docker.network.enable_ipv6"

static const struct field record_fields[] = {
    FIELD(struct net_record, "network", F_OBJ, net, .type = &network_inspect_type),
    FIELD(struct net_record, "given", F_BOOL, given, .flags = F_OMIT),
};
const struct json_type net_record_type = JSON_TYPE("Network", struct net_record, record_fields);

/* ---- from the record to links ---- */

static int read_subnet(const struct ipam_pool *p, struct arena *a, struct net_subnet *ret,
                       struct err *err)
{
    struct ip *reserved = arena_alloc(a, (p->aux_addresses.n + 1) * sizeof(*reserved));

    *ret = (struct net_subnet){.reserved = reserved, .nreserved = p->aux_addresses.n};
    if (ip_parse(p->subnet, &ret->subnet) < 0)
        return err_invalid(err, "invalid subnet %s", p->subnet);
    if (!str_empty(p->ip_range) && ip_parse(p->ip_range, &ret->range) < 0)
        return err_invalid(err, "invalid ip-range %s", p->ip_range);
    if (!str_empty(p->gateway)) {
        if (ip_parse(p->gateway, &ret->gateway) < 0)
            return err_invalid(err, "invalid gateway %s", p->gateway);
        ret->gateway.prefix = ret->subnet.prefix;
    }
    for (size_t i = 0; i < p->aux_addresses.n; i++)
        if (ip_parse(p->aux_addresses.v[i].val, &reserved[i]) < 0)
            return err_invalid(err, "invalid auxiliary address %s", p->aux_addresses.v[i].val);
    return 0;
}

static int read_record(const struct net_record *rec, struct arena *a, struct network_conf *ret,
                       struct err *err)
{
    const struct network_inspect *n = &rec->net;
    struct net_subnet *subnets = arena_alloc(a, (n->ipam.config.n + 1) * sizeof(*subnets));
    int r = net_options_parse(n->driver, &n->options, &ret->opts, err);

    for (size_t i = 0; r >= 0 && i < n->ipam.config.n; i++)
        r = read_subnet(n->ipam.config.v[i], a, &subnets[i], err);
    ret->id = n->id;
    ret->driver = n->driver;
    ret->subnets = subnets;
    ret->nsubnets = n->ipam.config.n;
    ret->internal = n->internal;
    ret->given = rec->given;
    return r;
}

int net_open_links(struct engine *e, struct net *n, bool fresh, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct network_conf conf = {0};

    if (n->rec.net.config_only)
        return 0;
    int r = read_record(&n->rec, &a, &conf, err);
    conf.fresh = fresh;
    if (r >= 0)
        r = network_open(e->nets.host, &conf, &n->links, err);
    if (r >= 0 && !n->predefined)
        n->zone = dns_zone_new(e->nets.dns, n->rec.net.name);
    return r;
}

/* ---- the default bridge ---- */

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

/* A /48 of unique local addresses (RFC 4193) that is this daemon's: from its id. */
static struct ip_block own_ipv6_block(const struct engine *e)
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
static int pick_subnet(struct engine *e, int family, const struct ip *taken, size_t ntaken,
                       struct ip *ret, struct err *err)
{
    const struct engine_config *c = e->conf;
    struct ip_block own6 = own_ipv6_block(e);
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
    r = pick_subnet(e, AF_INET, NULL, 0, ret, err);
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
    struct ip gateway = own_ipv6_block(e).base;

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

/* ---- checks of a request ---- */

static int check_name(const char *name, struct err *err)
{
    static const char *const reserved[] = {"bridge", "host", "none", "default"};

    if (str_empty(name))
        return err_invalid(err, "invalid network name: name is empty");
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(name, reserved[i]) == 0)
            return err_as(err, ERR_DENIED, EPERM,
                          "operation is not permitted on predefined %s network", name);
    if (str_starts(name, "container:") || strlen(name) > 255 || strpbrk(name, "/ \t\r\n"))
        return err_invalid(err, "invalid network name: %.300s", name);
    return 0;
}

static int check_driver(const struct network_create_request *rq, struct err *err)
{
    const char *driver = str_or(rq->driver, "bridge");

    if (rq->ingress || str_eq(rq->scope, "swarm") || strcmp(driver, "overlay") == 0)
        return err_as(err, ERR_UNAVAILABLE, ENOTSUP,
                      "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
                      "swarm join\" to connect this node to swarm and try again.");
    if (strcmp(driver, "host") == 0 || strcmp(driver, "null") == 0)
        return err_as(err, ERR_DENIED, EPERM, "only one instance of \"%s\" network is allowed",
                      driver);
    if (!net_driver_known(driver))
        return err_not_found(
            err, "could not find plugin %s in v1 plugin registry: plugin not found", driver);
    if (!str_empty(rq->scope) && !str_eq(rq->scope, "local"))
        return err_invalid(err, "invalid scope: %s", rq->scope);
    if (rq->ipam && !str_empty(rq->ipam->driver) && !str_eq(rq->ipam->driver, "default"))
        return err_invalid(err, "invalid ipam driver: %s", rq->ipam->driver);
    return 0;
}

/* Docker collects what is wrong with a pool under one heading. */
static int bad(struct err *err, const char *what, const char *text, const char *why)
{
    return err_invalid(err, "invalid network config:\ninvalid %s %s: %s", what, text, why);
}

static int check_in(const struct ip *subnet, const char *what, const char *text, bool bare,
                    struct ip *ret, struct err *err)
{
    char shown[IP_TEXT];

    if (ip_parse(text, ret) < 0 || bare != !strchr(text, '/'))
        return bad(err, what, text, bare ? "invalid address" : "invalid CIDR block notation");
    if (ret->family != subnet->family)
        return bad(err, what, text,
                   subnet->family == AF_INET ? "parent subnet is an IPv4 block"
                                             : "parent subnet is an IPv6 block");
    if (!ip_contains(subnet, ret))
        return err_invalid(err,
                           "invalid network config:\ninvalid %s %s: parent subnet %s doesn't "
                           "contain %s",
                           what, text, ip_format_cidr(subnet, shown), what);
    return 0;
}

static int check_pool(const struct ipam_pool *p, struct err *err)
{
    struct ip subnet, ip;
    char should[IP_TEXT + 32] = "it should be ";
    int r = 0;

    if (str_empty(p->subnet))
        return err_invalid(err, "invalid network config:\nempty subnet");
    if (!strchr(p->subnet, '/') || ip_parse(p->subnet, &subnet) < 0)
        return bad(err, "subnet", p->subnet, "invalid CIDR block notation");
    struct ip net = ip_network(&subnet);
    (void)ip_format_cidr(&net, should + strlen(should));
    if (!ip_same(&net, &subnet))
        return bad(err, "subnet", p->subnet, should);
    if (!str_empty(p->ip_range))
        r = check_in(&net, "ip-range", p->ip_range, false, &ip, err);
    if (r >= 0 && !str_empty(p->gateway))
        r = check_in(&net, "gateway", p->gateway, true, &ip, err);
    for (size_t i = 0; r >= 0 && i < p->aux_addresses.n; i++)
        r = check_in(&net, "auxiliary address", p->aux_addresses.v[i].val, true, &ip, err);
    return r;
}

static int check_pools(const struct ipam *ipam, struct err *err)
{
    int r = 0;

    if (!ipam)
        return 0;
    if (ipam->config.n > SUBNETS_MAX)
        return err_invalid(err, "invalid network config:\nmore than %d subnets", SUBNETS_MAX);
    for (size_t i = 0; r >= 0 && i < ipam->config.n; i++)
        if (!str_empty(ipam->config.v[i]->subnet) || !str_empty(ipam->config.v[i]->gateway) ||
            !str_empty(ipam->config.v[i]->ip_range))
            r = check_pool(ipam->config.v[i], err);
    return r;
}

/* ---- from the request to the record ---- */

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
    int r = pick_subnet(e, family, taken, ntaken, &subnet, err);

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

static bool has_family(const struct ipam *ipam, int family)
{
    struct ip ip;

    for (size_t i = 0; i < ipam->config.n; i++)
        if (ip_parse(str_or(ipam->config.v[i]->subnet, ""), &ip) == 0 && ip.family == family)
            return true;
    return false;
}

/* Every address is settled here, so that a restart of the daemon finds the same network. */
static int settle_pools(struct engine *e, struct net *n, struct err *err)
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
    if (r >= 0 && rec->enable_ipv4 && !has_family(&rec->ipam, AF_INET))
        r = add_pool(e, n, AF_INET, taken, ntaken, err);
    if (r >= 0 && rec->enable_ipv6 && !has_family(&rec->ipam, AF_INET6))
        r = add_pool(e, n, AF_INET6, taken, ntaken, err);
    for (size_t i = 0; r >= 0 && i < rec->ipam.config.n; i++)
        choose_gateway(n, rec->ipam.config.v[i], &opts);
    return r;
}

static bool option_true(const struct strmap *o, const char *key, bool otherwise)
{
    const char *v = strmap_get(o, key);

    return v ? str_eq(v, "true") || str_eq(v, "1") : otherwise;
}

static void copy_map(struct arena *a, struct strmap *to, const struct strmap *from)
{
    for (size_t i = 0; i < from->n; i++)
        strmap_set(a, to, from->v[i].key, from->v[i].val);
}

/* IPv6 is on when asked for, or when an IPv6 subnet is given to a client that knows no better. */
static int set_families(struct network_inspect *rec, const struct network_create_request *rq,
                        struct err *err)
{
    rec->enable_ipv4 =
        rq->enable_ipv4 ? *rq->enable_ipv4 : option_true(&rq->options, OPT_ENABLE_IPV4, true);
    rec->enable_ipv6 =
        rq->enable_ipv6 ? *rq->enable_ipv6 : option_true(&rq->options, OPT_ENABLE_IPV6, false);
    if (!rec->enable_ipv4 && !rec->enable_ipv6)
        return err_invalid(err, "IPv4 or IPv6 must be enabled");
    if (!rec->enable_ipv6 && has_family(&rec->ipam, AF_INET6))
        return err_invalid(err, "invalid network config:\ninvalid subnet: IPv6 has not been "
                                "enabled for this network");
    if (!rec->enable_ipv4 && has_family(&rec->ipam, AF_INET))
        return err_invalid(err, "invalid network config:\ninvalid subnet: IPv4 has not been "
                                "enabled for this network");
    return 0;
}

/* Subnets that are all empty are as good as none: docker-compose sends one. */
static void take_pools(struct net *n, const struct ipam *ipam)
{
    struct network_inspect *rec = &n->rec.net;

    rec->ipam.driver = arena_strdup(&n->mem, "default");
    if (!ipam)
        return;
    copy_map(&n->mem, &rec->ipam.options, &ipam->options);
    for (size_t i = 0; i < ipam->config.n; i++) {
        struct ipam all = {.driver = NULL};
        if (str_empty(ipam->config.v[i]->subnet))
            continue;
        arena_push(&n->mem, all.config) = ipam->config.v[i];
        struct ipam *copy = json_clone(&ipam_type, &all, &n->mem);
        arena_push(&n->mem, rec->ipam.config) = copy->config.v[0];
    }
}

static int take_source(struct engine *e, struct net *n, const struct network_create_request *rq,
                       struct err *err)
{
    struct network_inspect *rec = &n->rec.net;

    if ((rq->ipam && rq->ipam->config.n) || rq->options.n || rq->labels.n)
        return err_as(err, ERR_DENIED, EINVAL,
                      "user specified configurations are not supported if the network depends on "
                      "a configuration network");
    struct net *source = net_get(e, rq->config_from->network, NULL);
    if (!source || !source->rec.net.config_only) {
        net_put(e, source);
        return err_not_found(err, "configuration network \"%s\" does not exist",
                             rq->config_from->network);
    }
    const struct network_inspect *from = &source->rec.net;
    rec->config_from.network = arena_strdup(&n->mem, from->name);
    take_pools(n, &from->ipam);
    copy_map(&n->mem, &rec->options, &from->options);
    copy_map(&n->mem, &rec->labels, &from->labels);
    rec->enable_ipv4 = from->enable_ipv4;
    rec->enable_ipv6 = from->enable_ipv6;
    rec->internal |= from->internal;
    net_put(e, source);
    return 0;
}

static int fill_record(struct engine *e, struct net *n, const struct network_create_request *rq,
                       struct err *err)
{
    struct network_inspect *rec = &n->rec.net;
    char id[ID_LEN + 1], when[TIME_TEXT];

    rand_id(id);
    rec->id = arena_strdup(&n->mem, id);
    rec->name = arena_strdup(&n->mem, rq->name);
    rec->created = arena_strdup(&n->mem, time_rfc3339(now_ns(), when));
    rec->scope = arena_strdup(&n->mem, "local");
    rec->driver = arena_strdup(&n->mem, rq->config_only ? "null" : str_or(rq->driver, "bridge"));
    rec->internal = rq->internal;
    rec->attachable = rq->attachable;
    rec->config_only = rq->config_only;
    if (rq->config_from && !str_empty(rq->config_from->network))
        return take_source(e, n, rq, err);
    take_pools(n, rq->ipam);
    copy_map(&n->mem, &rec->options, &rq->options);
    copy_map(&n->mem, &rec->labels, &rq->labels);
    return set_families(rec, rq, err);
}

/* ---- making it ---- */

static int check_free(struct engine *e, const struct net *n, struct err *err)
{
    const char *bridge = strmap_get(&n->rec.net.options, "com.docker.network.bridge.name");
    int r = 0;

    (void)pthread_mutex_lock(&e->nets.lock);
    for (size_t i = 0; r >= 0 && i < e->nets.n; i++) {
        const struct net *o = e->nets.v[i];
        if (str_eq(o->rec.net.name, n->rec.net.name))
            r = err_conflict(err, "network with name %s already exists", n->rec.net.name);
        else if (bridge && o->links && str_eq(network_bridge(o->links), bridge))
            r = err_as(err, ERR_DENIED, EEXIST,
                       "cannot create network %s (%s): conflicts with network %s (%s): networks "
                       "have same bridge name",
                       n->rec.net.id, bridge, o->rec.net.id, bridge);
    }
    (void)pthread_mutex_unlock(&e->nets.lock);
    return r;
}

/* A bridge that is there already is somebody else's: it serves, and stays when the network goes. */
static int look_for_bridge(struct net *n, struct err *err)
{
    const char *bridge = strmap_get(&n->rec.net.options, "com.docker.network.bridge.name");

    if (!bridge || !str_eq(n->rec.net.driver, "bridge"))
        return 0;
    int r = bridge_exists(bridge, err);
    n->rec.given = r > 0;
    return r;
}

static int check_conf(const struct net *n, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct network_conf conf = {0};
    int r = read_record(&n->rec, &a, &conf, err);

    return r < 0 ? r : network_check(&conf, err);
}

/* The row first: a bridge without one would stay for ever. */
static int store_it(struct engine *e, struct net *n, struct err *err)
{
    auto_buf struct buf json = BUF_INIT;

    json_encode(&net_record_type, &n->rec, &json);
    struct network_row row = {n->rec.net.id, n->rec.net.name, json.data};
    int r = network_insert(e->db, &row, err);
    if (r < 0)
        return r;
    FAIL_POINT("network.create.row", err);
    r = net_open_links(e, n, false, err);
    FAIL_POINT("network.create.links", err);
    return r;
}

static void discard(struct engine *e, struct net *n)
{
    struct err why = {0};

    if (n->links && network_remove(n->links, &why) < 0)
        log_error("network %s: %s", n->rec.net.name, why.msg);
    if (n->rec.net.id) /* there may be a row */
        (void)!network_delete(e->db, n->rec.net.id, NULL);
    dns_zone_free(n->zone);
    network_close(n->links);
    arena_done(&n->mem);
    free(n);
}

static int make(struct engine *e, const struct network_create_request *rq, struct net *n,
                struct err *err)
{
    int r = fill_record(e, n, rq, err);

    if (r >= 0)
        r = check_free(e, n, err);
    if (r >= 0 && !rq->config_only)
        r = settle_pools(e, n, err);
    if (r >= 0 && !rq->config_only)
        r = check_conf(n, err);
    if (r >= 0)
        r = look_for_bridge(n, err);
    return r < 0 ? r : store_it(e, n, err);
}

int net_create(struct engine *e, const struct network_create_request *rq, struct arena *a,
               struct network_create_response *ret, struct err *err)
{
    int r = check_name(rq->name, err);

    if (r >= 0 && !rq->config_only)
        r = check_driver(rq, err);
    if (r >= 0)
        r = check_pools(rq->ipam, err);
    if (r < 0)
        return r;
    FAIL_POINT("network.create.before", err);
    struct net *n = xnew(struct net);
    (void)pthread_mutex_lock(&e->nets.making);
    r = make(e, rq, n, err);
    if (r >= 0)
        net_link(e, n);
    (void)pthread_mutex_unlock(&e->nets.making);
    if (r < 0) {
        discard(e, n);
        return r;
    }
    net_event(e, n, "create", NULL);
    *ret = (struct network_create_response){.id = arena_strdup(a, n->rec.net.id),
                                            .warning = arena_strdup(a, "")};
    return 0;
}
