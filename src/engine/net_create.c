/*
 * How a network is made: a request becomes a record, with every address settled; a record becomes
 * links.
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
#include "base/time.h"
#include "store/networks.h"

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

/* ---- from the request to the record ---- */

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
    if (!rec->enable_ipv6 && ipam_has_family(&rec->ipam, AF_INET6))
        return err_invalid(err, "invalid network config:\ninvalid subnet: IPv6 has not been "
                                "enabled for this network");
    if (!rec->enable_ipv4 && ipam_has_family(&rec->ipam, AF_INET))
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
        r = net_settle_pools(e, n, err);
    if (r >= 0 && !rq->config_only)
        r = check_conf(n, err);
    if (r >= 0)
        r = look_for_bridge(n, err);
    return r < 0 ? r : store_it(e, n, err);
}

int net_create(struct engine *e, const struct network_create_request *rq, struct arena *a,
               struct network_create_response *ret, struct err *err)
{
    int r = net_check_request(rq, err);

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
