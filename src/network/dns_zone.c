#include "network/dns-priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/rand.h"

/*
 * Zones are the names of networks; a sight is what one client sees of them. All of this is under
 * dns->lock, since any thread changes it and the loop's thread reads it.
 */

static char *key_of(const char *name)
{
    char key[NS_MAXDNAME];

    return xstrdup(dns_name_key(name, key) < 0 ? "" : key);
}

struct dns_zone *dns_zone_new(struct dns *d, const char *domain)
{
    struct dns_zone *z = xnew(struct dns_zone);

    z->d = d;
    z->domain = key_of(domain);
    z->domain_text = xstrdup(domain);
    z->names = map_new();
    z->reverse = map_new();
    pthread_mutex_lock(&d->lock);
    d->nzones++;
    pthread_mutex_unlock(&d->lock);
    return z;
}

static void free_name(struct dns_name *n)
{
    free(n->v);
    free(n);
}

void dns_zone_free(struct dns_zone *z)
{
    size_t pos = 0;
    void *v;

    if (!z)
        return;
    pthread_mutex_lock(&z->d->lock);
    for (struct dns_client *c = z->d->clients; c; c = c->next)
        dns_sight_forget(&c->sight, z);
    z->d->nzones--;
    pthread_mutex_unlock(&z->d->lock);
    while (map_next(z->names, &pos, NULL, &v))
        free_name(v);
    for (pos = 0; map_next(z->reverse, &pos, NULL, &v);)
        free(v);
    map_free(z->names);
    map_free(z->reverse);
    free(z->domain);
    free(z->domain_text);
    free(z);
}

static bool same_ip(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, a->family == AF_INET ? 4 : 16) == 0;
}

static struct dns_addr *find_addr(struct dns_name *n, const struct ip *ip)
{
    for (size_t i = 0; n && i < n->n; i++)
        if (same_ip(&n->v[i].ip, ip))
            return &n->v[i];
    return NULL;
}

static void add_addr(struct dns_zone *z, const char *key, const struct ip *ip)
{
    struct dns_name *n = map_get(z->names, key);

    if (!n) {
        n = xnew(struct dns_name);
        (void)map_set(z->names, key, n);
    }
    struct dns_addr *a = find_addr(n, ip);
    if (a) {
        a->count++;
        return;
    }
    if (n->n == n->cap) {
        n->cap = n->cap ? 2 * n->cap : 1;
        n->v = xrealloc(n->v, n->cap * sizeof(*n->v));
    }
    n->v[n->n++] = (struct dns_addr){.ip = *ip, .count = 1};
}

void dns_zone_add(struct dns_zone *z, const char *name, const struct ip *ip, bool reverse)
{
    char key[NS_MAXDNAME], text[INET6_ADDRSTRLEN];

    if (dns_name_key(name, key) < 0)
        return;
    pthread_mutex_lock(&z->d->lock);
    add_addr(z, key, ip);
    if (reverse)
        free(map_set(z->reverse, ip_format(ip, text), xstrdup(name)));
    pthread_mutex_unlock(&z->d->lock);
}

/* The address' own name goes with it, unless another name has taken that place. */
static void remove_reverse(struct dns_zone *z, const char *key, const struct ip *ip)
{
    char text[INET6_ADDRSTRLEN];
    const char *name = map_get(z->reverse, ip_format(ip, text));

    if (!name)
        return;
    auto_free char *its_key = key_of(name);
    if (strcmp(its_key, key) == 0)
        free(map_del(z->reverse, text));
}

static void remove_addr(struct dns_zone *z, const char *key, const struct ip *ip)
{
    struct dns_name *n = map_get(z->names, key);
    struct dns_addr *a = find_addr(n, ip);

    if (!a || --a->count > 0)
        return;
    remove_reverse(z, key, ip);
    *a = n->v[--n->n];
    if (n->n == 0)
        free_name(map_del(z->names, key));
}

void dns_zone_remove(struct dns_zone *z, const char *name, const struct ip *ip)
{
    char key[NS_MAXDNAME];

    if (dns_name_key(name, key) < 0)
        return;
    pthread_mutex_lock(&z->d->lock);
    remove_addr(z, key, ip);
    pthread_mutex_unlock(&z->d->lock);
}

/* ---- what a client sees ---- */

static int by_address(const void *a, const void *b)
{
    const struct dns_server *x = a, *y = b;

    if (x->ip.family != y->ip.family)
        return x->ip.family - y->ip.family;
    int r = memcmp(x->ip.addr, y->ip.addr, sizeof(x->ip.addr));
    return r ? r : x->host - y->host;
}

/* In one order and without doubles: who asks the same servers shares their answers. */
static void copy_upstream(struct dns_sight *s, const struct dns_view *view)
{
    struct dns_server all[DNS_UPSTREAM_MAX] = {0};
    size_t n = view->nupstream < DNS_UPSTREAM_MAX ? view->nupstream : DNS_UPSTREAM_MAX;

    for (size_t i = 0; i < n; i++) {
        const struct dns_server *from = &view->upstream[i];
        all[i].host = from->host;
        all[i].ip.family = from->ip.family;
        memcpy(all[i].ip.addr, from->ip.addr, ip_len(&from->ip));
    }
    qsort(all, n, sizeof(*all), by_address);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_address(&all[i], &all[i - 1]) != 0)
            s->upstream[s->nupstream++] = all[i];
}

void dns_sight_init(struct dns_sight *s, const struct dns_view *view)
{
    *s = (struct dns_sight){.nzones = view->nzones, .naliases = view->naliases};
    if (s->nzones)
        s->zones = xmemdup(view->zones, s->nzones * sizeof(struct dns_zone *));
    s->aliases = xcalloc(s->naliases + 1, sizeof(*s->aliases));
    for (size_t i = 0; i < s->naliases; i++) {
        s->aliases[i].alias = key_of(view->aliases[i].alias);
        s->aliases[i].name = key_of(view->aliases[i].name);
    }
    copy_upstream(s, view);
}

void dns_sight_done(struct dns_sight *s)
{
    for (size_t i = 0; i < s->naliases; i++) {
        free(s->aliases[i].alias);
        free(s->aliases[i].name);
    }
    free(s->aliases);
    free(s->zones);
    *s = (struct dns_sight){0};
}

void dns_sight_forget(struct dns_sight *s, const struct dns_zone *z)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->nzones; i++)
        if (s->zones[i] != z)
            s->zones[kept++] = s->zones[i];
    s->nzones = kept;
}

/* ---- look-ups ---- */

/* "web.net" asks for "web" in the zone of the domain "net". Return: length of the name within the
 * zone, or 0. */
static size_t inside(const struct dns_zone *z, const char *key)
{
    size_t n = strlen(key), domain = strlen(z->domain);

    return domain > 0 && n > domain + 1 && key[n - domain - 1] == '.' &&
                   strcmp(key + n - domain, z->domain) == 0
               ? n - domain - 1
               : 0;
}

static const char *alias_of(const struct dns_sight *s, const char *key)
{
    for (size_t i = 0; i < s->naliases; i++)
        if (*key && strcmp(s->aliases[i].alias, key) == 0)
            return s->aliases[i].name;
    return NULL;
}

/* A name as it stands, or the one that an alias stands for. */
static const struct dns_name *find_one(const struct dns_sight *s, const struct dns_zone *z,
                                       const char *key, bool aliases)
{
    if (aliases)
        key = alias_of(s, key);
    return key ? map_get(z->names, key) : NULL;
}

static const struct dns_name *find_in(const struct dns_sight *s, const struct dns_zone *z,
                                      const char *key, bool aliases)
{
    char name[NS_MAXDNAME];
    const struct dns_name *found = find_one(s, z, key, aliases);
    size_t n = found ? 0 : inside(z, key);

    if (n == 0)
        return found;
    memcpy(name, key, n);
    name[n] = '\0';
    return find_one(s, z, name, aliases);
}

static size_t count_family(const struct dns_name *n, int family)
{
    size_t count = 0;

    for (size_t i = 0; i < n->n; i++)
        count += n->v[i].ip.family == family;
    return count;
}

/* The first zone that has addresses of the family; otherwise the first that has the name. What the
 * client's own aliases say comes before what others are called. */
static const struct dns_name *find_name(const struct dns_sight *s, const char *key, int family)
{
    const struct dns_name *known = NULL;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < s->nzones; i++) {
            const struct dns_name *n = find_in(s, s->zones[i], key, pass == 0);
            if (n && count_family(n, family) > 0)
                return n;
            known = known ? known : n;
        }
        if (known)
            return known;
    }
    return NULL;
}

/* In another order each time, so that clients that take the first spread over all. */
static void put_addrs(const struct dns_name *n, const struct dns_question *q, size_t limit,
                      struct buf *out)
{
    int family = q->type == ns_t_a ? AF_INET : q->type == ns_t_aaaa ? AF_INET6 : 0;
    size_t count = 0;

    if (family == 0 || count_family(n, family) == 0)
        return;
    auto_free const struct ip **v = xcalloc(n->n, sizeof(*v));
    for (size_t i = 0; i < n->n; i++)
        if (n->v[i].ip.family == family)
            v[count++] = &n->v[i].ip;
    for (size_t left = count; left > 0; left--) {
        uint32_t r = 0;
        if (left > 1)
            rand_bytes(&r, sizeof(r));
        size_t k = r % left;
        dns_answer_addr(out, q, limit, v[k]);
        v[k] = v[left - 1];
    }
}

static bool answer_reverse(const struct dns_sight *s, const struct dns_question *q, size_t limit,
                           struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    struct ip ip;

    if (!dns_name_ip(q->name, &ip))
        return false;
    (void)ip_format(&ip, text);
    for (size_t i = 0; i < s->nzones; i++) {
        const char *name = map_get(s->zones[i]->reverse, text);
        if (!name)
            continue;
        auto_free char *full = *s->zones[i]->domain
                                   ? xasprintf("%s.%s", name, s->zones[i]->domain_text)
                                   : xstrdup(name);
        dns_answer_begin(out, q, ns_r_noerror);
        if (q->type == ns_t_ptr)
            dns_answer_ptr(out, q, limit, full);
        dns_answer_end(out, q, ns_r_noerror);
        return true;
    }
    return false;
}

bool dns_sight_answer(const struct dns_sight *s, const struct dns_question *q, size_t limit,
                      struct buf *out)
{
    const struct dns_name *n = find_name(s, q->name, q->type == ns_t_aaaa ? AF_INET6 : AF_INET);

    if (!n)
        return answer_reverse(s, q, limit, out);
    dns_answer_begin(out, q, ns_r_noerror);
    put_addrs(n, q, limit, out);
    dns_answer_end(out, q, ns_r_noerror);
    return true;
}
