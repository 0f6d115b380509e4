/* A hash map from strings to pointers, for small tables that live in memory: containers by name,
 * leases, prepared statements. Keys are copied; values belong to the caller. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct map;

struct map *map_new(void);
/** map_free() - forget all keys; the values are the caller's to free. NULL is fine. */
void map_free(struct map *m);
size_t map_count(const struct map *m);
/** map_get() - Return: the value, or NULL when there is none. */
void *map_get(const struct map *m, const char *key);
bool map_has(const struct map *m, const char *key);
/** map_set() - insert or replace. Return: the value that was there before, or NULL. */
void *map_set(struct map *m, const char *key, void *val);
/** map_del() - Return: the value that was there, or NULL. */
void *map_del(struct map *m, const char *key);

/**
 * map_next() - walk over all entries, in no particular order
 * @pos: 0 at first, then what this call left there
 * @ret_key, @ret_val: may be NULL; the key is valid until it is deleted
 * Deleting the entry just returned is allowed while walking, setting a new key is not.
 * Return: false at the end.
 */
bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_val);

static inline void map_freep_(struct map **m)
{
    map_free(*m);
}
#define auto_map __attribute__((__cleanup__(map_freep_), __unused__))
