#include "network/dns-priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * Answers from upstream, by question and servers, for as long as their TTLs say. Bounded in number
 * and bytes; what was not asked for the longest time goes first. Keys hold names that containers
 * chose, and so may collide in the map; the bound keeps that harmless.
 */

#define ENTRIES_MAX 4096
#define BYTES_MAX (4 << 20)

struct entry {
    char *key;
    uint8_t *p;
    size_t n;
    int64_t born, dies;        /* monotonic ns */
    struct entry *prev, *next; /* the last asked for is first */
};

struct dns_cache {
    struct map *entries;
    struct entry *first, *last;
    size_t bytes;
};

struct dns_cache *dns_cache_new(void)
{
    struct dns_cache *c = xnew(struct dns_cache);

    c->entries = map_new();
    return c;
}

static void unlink_entry(struct dns_cache *c, struct entry *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        c->first = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        c->last = e->prev;
}

static void push_front(struct dns_cache *c, struct entry *e)
{
    e->prev = NULL;
    e->next = c->first;
    if (e->next)
        e->next->prev = e;
    else
        c->last = e;
    c->first = e;
}

static size_t cost(const struct entry *e)
{
    return sizeof(*e) + e->n + 2 * strlen(e->key); /* the map has a copy of the key */
}

static void free_entry(struct entry *e)
{
    free(e->key);
    free(e->p);
    free(e);
}

static void drop(struct dns_cache *c, struct entry *e)
{
    if (!e)
        return;
    c->bytes -= cost(e);
    unlink_entry(c, e);
    (void)map_del(c->entries, e->key);
    free_entry(e);
}

void dns_cache_free(struct dns_cache *c)
{
    if (!c)
        return;
    for (struct entry *e = c->first, *next; e; e = next) {
        next = e->next;
        free_entry(e);
    }
    map_free(c->entries);
    free(c);
}

bool dns_cache_get(struct dns_cache *c, const char *key, struct dns_cached *ret)
{
    struct entry *e = map_get(c->entries, key);
    int64_t now = mono_ns();

    if (!e)
        return false;
    if (now >= e->dies) {
        drop(c, e);
        return false;
    }
    unlink_entry(c, e);
    push_front(c, e);
    *ret =
        (struct dns_cached){.p = e->p, .n = e->n, .age_s = (uint32_t)((now - e->born) / NS_PER_S)};
    return true;
}

void dns_cache_put(struct dns_cache *c, const char *key, const uint8_t *p, size_t n, uint32_t ttl_s)
{
    struct entry *e = xnew(struct entry);

    drop(c, map_get(c->entries, key));
    e->key = xstrdup(key);
    e->p = xmemdup(p, n);
    e->n = n;
    e->born = mono_ns();
    e->dies = e->born + ttl_s * NS_PER_S;
    c->bytes += cost(e);
    push_front(c, e);
    (void)map_set(c->entries, key, e);
    while (map_count(c->entries) > ENTRIES_MAX || c->bytes > BYTES_MAX) {
        assert(!c->last->next);
        drop(c, c->last);
    }
}
