/* A container's names in its networks, and what its name server knows of others. */
#include "engine/engine-priv.h"

#include <string.h>

#include "base/auto.h"

#define SHORT_ID 12

/* As Docker's order: name, aliases, short id, host name. The first is what an address is called. */
struct strv ctr_end_names(const struct container *c, const struct endpoint_settings *s,
                          struct arena *a)
{
    struct strv names = {0};
    char *id = arena_strndup(a, c->id, SHORT_ID);
    const char *host = str_or(c->config->hostname, "");

    strv_push(a, &names, c->name);
    for (size_t i = 0; s && i < s->aliases.n; i++)
        if (!strv_has(&names, s->aliases.v[i]))
            strv_push(a, &names, s->aliases.v[i]);
    if (!strv_has(&names, id))
        strv_push(a, &names, id);
    if (*host && !strv_has(&names, host))
        strv_push(a, &names, host);
    return names;
}

static void each_name(const struct container *c, const struct ctr_end *end,
                      void (*fn)(struct dns_zone *z, const char *name, const struct ip *ip,
                                 bool first))
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};

    if (!end->net->zone)
        return;
    names = ctr_end_names(c, ctr_wanted(c, end->net->rec.net.name), &a);
    for (size_t i = names.n; i-- > 0;) {
        if (end->ep.ip.family)
            fn(end->net->zone, names.v[i], &end->ep.ip, i == 0);
        if (end->ep.ip6.family)
            fn(end->net->zone, names.v[i], &end->ep.ip6, i == 0);
    }
}

static void add_one(struct dns_zone *z, const char *name, const struct ip *ip, bool first)
{
    dns_zone_add(z, name, ip, first);
}

static void remove_one(struct dns_zone *z, const char *name, const struct ip *ip, bool first)
{
    (void)first;
    dns_zone_remove(z, name, ip);
}

void end_names_add(const struct container *c, const struct ctr_end *end)
{
    each_name(c, end, add_one);
}

void end_names_remove(const struct container *c, const struct ctr_end *end)
{
    each_name(c, end, remove_one);
}

void ctr_names_add(const struct container *c)
{
    for (size_t i = 0; i < c->net.nends; i++)
        end_names_add(c, &c->net.ends[i]);
}

void ctr_names_remove(const struct container *c)
{
    for (size_t i = 0; i < c->net.nends; i++)
        end_names_remove(c, &c->net.ends[i]);
}

/* "db:database", "db". */
static void add_link(const char *text, struct arena *a, struct dns_alias *v, size_t *n)
{
    const char *colon = strchrnul(text, ':');

    v[*n].name = arena_strndup(a, text, (size_t)(colon - text));
    v[*n].alias = *colon ? arena_strdup(a, colon + 1) : v[*n].name;
    if (str_starts(v[*n].name, "/"))
        v[*n].name++;
    ++*n;
}

/* Links stand at the end in the network, or, from older clients, in the container's settings. */
static void add_links(const struct container *c, struct arena *a, struct dns_view *ret)
{
    const struct strv *older = &c->host->links;
    size_t room = older->n, n = 0;

    for (size_t i = 0; i < c->networks.endpoints.n; i++)
        room += c->networks.endpoints.v[i].val->links.n;
    struct dns_alias *v = arena_alloc(a, (room + 1) * sizeof(*v));
    for (size_t i = 0; i < c->networks.endpoints.n; i++) {
        const struct strv *links = &c->networks.endpoints.v[i].val->links;
        for (size_t k = 0; k < links->n; k++)
            add_link(links->v[k], a, v, &n);
    }
    for (size_t i = 0; i < older->n; i++)
        add_link(older->v[i], a, v, &n);
    ret->aliases = v;
    ret->naliases = n;
}

void ctr_dns_view(const struct container *c, struct arena *a, struct dns_view *ret)
{
    struct dns_zone **zones = arena_alloc(a, (c->net.nends + 1) * sizeof(struct dns_zone *));
    bool outside = false;

    *ret = (struct dns_view){.zones = zones};
    for (size_t i = 0; i < c->net.nends; i++) {
        const struct net *n = c->net.ends[i].net;
        outside |= !n->rec.net.internal;
        if (n->zone)
            zones[ret->nzones++] = n->zone;
    }
    add_links(c, a, ret);
    /* Who cannot reach the outside cannot ask it either. */
    if (outside)
        ret->nupstream = ctr_upstreams(c, ret->upstream, DNS_UPSTREAM_MAX);
}
