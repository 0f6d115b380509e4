/*
 * The table of networks: finding, holding, listing, looking at, removing. How one is made is
 * net_create.c's business; what containers do with it, ends.c's.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/networks.h"

/* Docker's predefined networks have random ids; ours are the same on every machine. */
static const struct {
    const char *name, *driver, *id;
} predefined[] = {
    {"bridge", "bridge", "b71d6e0000000000000000000000000000000000000000000000000000000001"},
    {"host", "host", "4057000000000000000000000000000000000000000000000000000000000002"},
    {"none", "null", "704e000000000000000000000000000000000000000000000000000000000003"},
};

/* ---- holding ---- */

void net_put(struct engine *e, struct net *n)
{
    if (!n)
        return;
    (void)pthread_mutex_lock(&e->nets.lock);
    bool last = --n->refs == 0;
    (void)pthread_mutex_unlock(&e->nets.lock);
    if (!last)
        return;
    dns_zone_free(n->zone);
    network_close(n->links);
    arena_done(&n->mem);
    free(n);
}

/* Lock held. A full id or a name wins over the beginning of an id. */
static struct net *find(struct nets *nets, const char *name, struct err *err)
{
    struct net *found = NULL;
    size_t prefixes = 0;

    for (size_t i = 0; i < nets->n; i++)
        if (strcmp(nets->v[i]->rec.net.id, name) == 0)
            return nets->v[i];
    for (size_t i = 0; i < nets->n; i++)
        if (strcmp(nets->v[i]->rec.net.name, name) == 0)
            return nets->v[i];
    for (size_t i = 0; *name && i < nets->n; i++)
        if (str_starts(nets->v[i]->rec.net.id, name)) {
            found = nets->v[i];
            prefixes++;
        }
    if (prefixes > 1) {
        (void)err_invalid(err, "network %s is ambiguous (%zu matches found based on ID prefix)",
                          name, prefixes);
        return NULL;
    }
    if (!found)
        (void)err_not_found(err, "network %s not found", name);
    return found;
}

struct net *net_get(struct engine *e, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    struct net *n = find(&e->nets, name, err);
    if (n)
        n->refs++;
    (void)pthread_mutex_unlock(&e->nets.lock);
    return n;
}

struct net *net_hold_end(struct engine *e, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    struct net *n = find(&e->nets, name, err);
    if (n) {
        n->refs++;
        n->ends++;
    }
    (void)pthread_mutex_unlock(&e->nets.lock);
    return n;
}

void net_put_end(struct engine *e, struct net *n)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    n->ends--;
    (void)pthread_mutex_unlock(&e->nets.lock);
    net_put(e, n);
}

bool net_user_defined(const struct net *n)
{
    return !n->predefined;
}

void net_event(struct engine *e, const struct net *n, const char *action, const char *container)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    if (container)
        strmap_set(&a, &attrs, "container", container);
    strmap_set(&a, &attrs, "name", n->rec.net.name);
    strmap_set(&a, &attrs, "type", n->rec.net.driver);
    events_put(e->events, "network", action, n->rec.net.id, &attrs);
}

/* ---- the table ---- */

/* The table's own reference is one of n->refs already. */
static void net_relink(struct engine *e, struct net *n)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    e->nets.v = xrealloc(e->nets.v, (e->nets.n + 1) * sizeof(*e->nets.v));
    e->nets.v[e->nets.n++] = n;
    (void)pthread_mutex_unlock(&e->nets.lock);
}

void net_link(struct engine *e, struct net *n)
{
    n->refs = 1;
    net_relink(e, n);
}

static void unlink_net(struct engine *e, struct net *n)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    for (size_t i = 0; i < e->nets.n; i++)
        if (e->nets.v[i] == n) {
            e->nets.v[i] = e->nets.v[--e->nets.n];
            break;
        }
    (void)pthread_mutex_unlock(&e->nets.lock);
    net_put(e, n);
}

static struct net *add_predefined(struct engine *e, size_t i)
{
    struct net *n = xnew(struct net);
    struct network_inspect *rec = &n->rec.net;
    char when[TIME_TEXT];

    n->predefined = true;
    rec->name = arena_strdup(&n->mem, predefined[i].name);
    rec->id = arena_strdup(&n->mem, predefined[i].id);
    rec->driver = arena_strdup(&n->mem, predefined[i].driver);
    rec->created = arena_strdup(&n->mem, time_rfc3339(e->started_ns, when));
    rec->scope = arena_strdup(&n->mem, "local");
    rec->enable_ipv4 = true;
    rec->ipam.driver = arena_strdup(&n->mem, "default");
    net_link(e, n);
    return n;
}

static int load_one(struct engine *e, const struct network_row *row, struct err *err)
{
    struct net *n = xnew(struct net);
    int r = json_decode(&net_record_type, row->json, strlen(row->json), &n->mem, &n->rec, 0, err);

    if (r < 0) {
        arena_done(&n->mem);
        free(n);
        return r;
    }
    net_link(e, n);
    return net_open_links(e, n, false, err);
}

/* One damaged network must not keep the others from working; it can be looked at and removed. */
static int load_all(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct network_rows rows = {0};
    int r = network_list(e->db, &a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct err one = {0};
        if (load_one(e, &rows.v[i], &one) < 0)
            log_error("network %s: %s", rows.v[i].name, one.msg);
    }
    return r;
}

int nets_open(struct engine *e, struct err *err)
{
    bool bridge = !str_eq(e->conf->bridge, "none");
    int r = dns_new(&e->nets.dns, err);

    for (size_t i = bridge ? 0 : 1; r >= 0 && i < sizeof(predefined) / sizeof(predefined[0]); i++) {
        struct net *n = add_predefined(e, i);
        if (i == 0) {
            r = net_open_default(e, n, err);
            e->nets.bridge = n;
        }
    }
    if (r >= 0 && !bridge)
        r = net_open_host(e, e->id, err);
    return r < 0 ? r : load_all(e, err);
}

int nets_settle(struct engine *e, struct err *err)
{
    int r = net_host_sync(e->nets.host, err);

    if (r > 0)
        log_info("packet filter: %s", r == 1 ? "elements changed" : "table made");
    return r < 0 ? r : nets_watch(e, err);
}

void nets_close(struct engine *e, bool remove)
{
    struct err err = {0};

    net_watch_free(e->nets.watch);
    for (size_t i = 0; remove && i < e->nets.n; i++)
        if (e->nets.v[i]->links && network_remove(e->nets.v[i]->links, &err) < 0)
            log_warn("network %s: %s", e->nets.v[i]->rec.net.name, err.msg);
    if (remove && e->nets.host && net_host_remove(e->nets.host, &err) < 0)
        log_warn("%s", err.msg);
    while (e->nets.n > 0)
        unlink_net(e, e->nets.v[e->nets.n - 1]);
    free(take_ptr(&e->nets.v));
    net_host_free(e->nets.host);
    dns_free(e->nets.dns);
}

struct net **nets_all(struct engine *e, size_t *ret_n)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    struct net **v = xcalloc(e->nets.n + 1, sizeof(struct net *));
    for (size_t i = 0; i < e->nets.n; i++) {
        v[i] = e->nets.v[i];
        v[i]->refs++;
    }
    *ret_n = e->nets.n;
    (void)pthread_mutex_unlock(&e->nets.lock);
    return v;
}

/* ---- looking ---- */

static void put_end(const struct container *c, const struct ctr_end *end, struct arena *a,
                    struct network_inspect *n)
{
    struct network_container *nc = arena_new(a, struct network_container);
    char text[IP_TEXT];

    nc->name = arena_strdup(a, c->name);
    nc->endpoint_id = arena_strdup(a, end->id);
    nc->mac_address = arena_strdup(a, end->ep.mac);
    nc->ipv4_address = arena_strdup(a, end->ep.ip.family ? ip_format_cidr(&end->ep.ip, text) : "");
    nc->ipv6_address =
        arena_strdup(a, end->ep.ip6.family ? ip_format_cidr(&end->ep.ip6, text) : "");
    arena_push(a, n->containers).key = arena_strdup(a, c->id);
    n->containers.v[n->containers.n - 1].val = nc;
}

static void put_containers(struct engine *e, const struct net *net, struct arena *a,
                           struct network_inspect *n)
{
    size_t count;
    auto_free struct container **all = ctr_all(e, &count);

    for (size_t i = 0; i < count; i++) {
        struct container *c = all[i];
        (void)pthread_mutex_lock(&c->lock);
        for (size_t k = 0; k < c->net.nends; k++)
            if (c->net.ends[k].net == net && ctr_running(c) && !ctr_hidden(c))
                put_end(c, &c->net.ends[k], a, n);
        (void)pthread_mutex_unlock(&c->lock);
        ctr_unref(c);
    }
}

static struct network_inspect *describe(struct engine *e, const struct net *net, bool containers,
                                        struct arena *a)
{
    struct network_inspect *n = json_clone(&network_inspect_type, &net->rec.net, a);

    n->containers.v = arena_alloc(a, sizeof(*n->containers.v));
    n->containers.n = 0;
    if (containers)
        put_containers(e, net, a, n);
    return n;
}

/* Is a network in use, by a container that runs or by one that would? */
static bool is_wanted(struct engine *e, const struct net *net)
{
    size_t count;
    auto_free struct container **all = ctr_all(e, &count);
    bool wanted = false;

    for (size_t i = 0; i < count; i++) {
        (void)pthread_mutex_lock(&all[i]->lock);
        wanted |= ctr_wanted(all[i], net->rec.net.name) != NULL;
        (void)pthread_mutex_unlock(&all[i]->lock);
        ctr_unref(all[i]);
    }
    return wanted;
}

static int matches(struct engine *e, const struct net *net, const struct filters *f,
                   struct err *err)
{
    const struct network_inspect *n = &net->rec.net;
    bool dangling = false;
    int r = filters_bool(f, "dangling", false, &dangling, err);

    if (r < 0)
        return r;
    if (filters_get(f, "dangling") &&
        (dangling ? net->predefined || is_wanted(e, net) : !net->predefined && !is_wanted(e, net)))
        return 0;
    return filters_pattern(f, "name", n->name) && filters_prefix(f, "id", n->id) &&
           filters_exact(f, "driver", n->driver) && filters_exact(f, "scope", n->scope) &&
           filters_exact(f, "type", net->predefined ? "builtin" : "custom") &&
           filters_labels(f, "label", &n->labels);
}

static int check_list_filters(const struct filters *f, struct err *err)
{
    static const char *const accepted[] = {"dangling", "driver", "id",   "label",
                                           "name",     "scope",  "type", NULL};
    const struct strv *type = filters_get(f, "type");
    int r = filters_check(f, accepted, err);

    for (size_t i = 0; r >= 0 && type && i < type->n; i++)
        if (!str_eq(type->v[i], "custom") && !str_eq(type->v[i], "builtin"))
            r = err_invalid(err, "invalid filter: 'type'='%s'", type->v[i]);
    return r;
}

int net_list(struct engine *e, const struct filters *f, struct arena *a, struct net_infos *ret,
             struct err *err)
{
    int r = check_list_filters(f, err);
    size_t n;

    if (r < 0)
        return r;
    auto_free struct net **all = nets_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        if (r >= 0 && (r = matches(e, all[i], f, err)) > 0)
            arena_push(a, *ret) = describe(e, all[i], false, a);
        net_put(e, all[i]);
    }
    return r < 0 ? r : 0;
}

int net_inspect(struct engine *e, const char *name, struct arena *a, struct network_inspect **ret,
                struct err *err)
{
    struct net *n = net_get(e, name, err);

    if (!n)
        return err_code(err);
    *ret = describe(e, n, true, a);
    net_put(e, n);
    return 0;
}

/* ---- removing ---- */

/* Nobody finds it any more, and nobody has an end in it; or an error. nets.making is held. */
static int take_out(struct engine *e, struct net *n, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    bool used = n->ends > 0;
    for (size_t i = 0; !used && i < e->nets.n; i++)
        if (e->nets.v[i] == n) {
            e->nets.v[i] = e->nets.v[--e->nets.n];
            break;
        }
    (void)pthread_mutex_unlock(&e->nets.lock);
    return used ? err_as(err, ERR_DENIED, EBUSY,
                         "error while removing network: network %s has active endpoints",
                         n->rec.net.name)
                : 0;
}

static bool is_source(struct engine *e, const struct net *n)
{
    bool found = false;

    (void)pthread_mutex_lock(&e->nets.lock);
    for (size_t i = 0; i < e->nets.n; i++)
        found |= str_eq(e->nets.v[i]->rec.net.config_from.network, n->rec.net.name);
    (void)pthread_mutex_unlock(&e->nets.lock);
    return found;
}

/* The links go first: a network whose row is left is made again at the next start, one without a
 * row would leave its bridge behind for ever. */
static int delete_it(struct engine *e, struct net *n, struct err *err)
{
    int r = n->links ? network_remove(n->links, err) : 0;

    if (r < 0)
        return r;
    FAIL_POINT("network.remove.links", err);
    r = network_delete(e->db, n->rec.net.id, err);
    FAIL_POINT("network.remove.row", err);
    return r;
}

/* nets.making is held. */
static int remove_net(struct engine *e, struct net *n, struct err *err)
{
    if (n->predefined)
        return err_as(err, ERR_DENIED, EPERM, "%s is a pre-defined network and cannot be removed",
                      n->rec.net.name);
    if (n->rec.net.config_only && is_source(e, n))
        return err_as(err, ERR_DENIED, EBUSY, "configuration network \"%s\" is in use",
                      n->rec.net.name);
    int r = take_out(e, n, err);
    if (r < 0)
        return r;
    r = delete_it(e, n, err);
    if (r < 0) {
        struct err ignored = {0};
        if (n->links && network_heal(n->links, &ignored) < 0)
            log_error("network %s: %s", n->rec.net.name, ignored.msg);
        net_relink(e, n);
        return err_wrap(err, r, "remove network %s", n->rec.net.name);
    }
    net_event(e, n, "destroy", NULL);
    net_put(e, n); /* the table's */
    return 0;
}

/* nets.making is held: nobody else takes a network out of the table, so that it needs no reference
 * of ours. */
static int remove_named(struct engine *e, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.lock);
    struct net *n = find(&e->nets, name, err);
    (void)pthread_mutex_unlock(&e->nets.lock);
    return n ? remove_net(e, n, err) : err_code(err);
}

int net_remove(struct engine *e, const char *name, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.making);
    int r = remove_named(e, name, err);
    (void)pthread_mutex_unlock(&e->nets.making);
    return r;
}

static bool prunable(struct engine *e, const struct net *n, const struct filters *f,
                     int64_t before_ns)
{
    int64_t created = 0;

    if (n->predefined || !filters_prune_labels(f, &n->rec.net.labels) || is_wanted(e, n))
        return false;
    return time_parse_rfc3339(n->rec.net.created, strlen(n->rec.net.created), &created) < 0 ||
           created < before_ns;
}

int net_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct network_prune_response *ret, struct err *err)
{
    static const char *const accepted[] = {"label", "label!", "until", NULL};
    const struct strv *until = filters_get(f, "until");
    int64_t before = INT64_MAX;
    size_t n;

    *ret = (struct network_prune_response){0};
    int r = filters_check(f, accepted, err);
    if (r >= 0 && until && until->n > 0)
        r = time_parse_user(until->v[0], now_ns(), &before, err);
    if (r < 0)
        return r;
    struct strv names = {0};
    (void)pthread_mutex_lock(&e->nets.making);
    auto_free struct net **all = nets_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        if (prunable(e, all[i], f, before))
            strv_push(a, &names, all[i]->rec.net.name);
        net_put(e, all[i]);
    }
    for (size_t i = 0; i < names.n; i++) /* one that has found a user meanwhile stays */
        if (remove_named(e, names.v[i], NULL) >= 0)
            strv_push(a, &ret->deleted, names.v[i]);
    (void)pthread_mutex_unlock(&e->nets.making);
    struct strmap attrs = {0};
    strmap_set(a, &attrs, "reclaimed", "0");
    events_put(e->events, "network", "prune", "", &attrs);
    return 0;
}
