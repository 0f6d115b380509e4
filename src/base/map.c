#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * Open addressing with linear probing, at most three quarters full. A deleted slot keeps a mark
 * until the next resize, so that the entries behind it stay reachable.
 */
struct slot {
    char *key; /* NULL: never used; &gone: deleted */
    uint64_t hash;
    void *val;
};

struct map {
    struct slot *slots;
    size_t size; /* power of two */
    size_t used; /* live and deleted */
    size_t live;
};

#define FIRST_SIZE 16

static const char gone_mark[1];
#define GONE ((char *)(uintptr_t)gone_mark)

static bool is_live(const struct slot *s)
{
    return s->key && s->key != GONE;
}

/* FNV-1a. Keys are ids and names of our own tables, so collisions cannot be forced to any use. */
static uint64_t hash_of(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h;
}

struct map *map_new(void)
{
    struct map *m = xnew(struct map);

    m->size = FIRST_SIZE;
    m->slots = xcalloc(m->size, sizeof(*m->slots));
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->size; i++)
        if (is_live(&m->slots[i]))
            free(m->slots[i].key);
    free(m->slots);
    free(m);
}

size_t map_count(const struct map *m)
{
    return m->live;
}

static struct slot *find(const struct map *m, const char *key, uint64_t h)
{
    for (size_t i = h & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
        struct slot *s = &m->slots[i];
        if (!s->key)
            return NULL;
        if (s->key != GONE && s->hash == h && strcmp(s->key, key) == 0)
            return s;
    }
}

static void place(struct map *m, char *key, uint64_t h, void *val)
{
    size_t i = h & (m->size - 1);

    while (m->slots[i].key)
        i = (i + 1) & (m->size - 1);
    m->slots[i] = (struct slot){key, h, val};
    m->used++;
    m->live++;
}

static void make_room(struct map *m)
{
    if (m->used + 1 <= m->size / 4 * 3)
        return;
    struct slot *old = m->slots;
    size_t n = m->size;

    m->size = m->live * 2 >= n ? n * 2 : n; /* mostly deleted marks: the same size will do */
    m->slots = xcalloc(m->size, sizeof(*m->slots));
    m->used = m->live = 0;
    for (size_t i = 0; i < n; i++)
        if (is_live(&old[i]))
            place(m, old[i].key, old[i].hash, old[i].val);
    free(old);
}

void *map_get(const struct map *m, const char *key)
{
    struct slot *s = find(m, key, hash_of(key));

    return s ? s->val : NULL;
}

bool map_has(const struct map *m, const char *key)
{
    return find(m, key, hash_of(key)) != NULL;
}

void *map_set(struct map *m, const char *key, void *val)
{
    uint64_t h = hash_of(key);
    struct slot *s = find(m, key, h);

    if (s) {
        void *old = s->val;
        s->val = val;
        return old;
    }
    make_room(m);
    place(m, xstrdup(key), h, val);
    return NULL;
}

void *map_del(struct map *m, const char *key)
{
    struct slot *s = find(m, key, hash_of(key));

    if (!s)
        return NULL;
    free(s->key);
    s->key = GONE;
    m->live--;
    return s->val;
}

bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_val)
{
    while (*pos < m->size) {
        const struct slot *s = &m->slots[(*pos)++];
        if (!is_live(s))
            continue;
        if (ret_key)
            *ret_key = s->key;
        if (ret_val)
            *ret_val = s->val;
        return true;
    }
    return false;
}
