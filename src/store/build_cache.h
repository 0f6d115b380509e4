/*
 * What steps of builds made, by the digest of all that they depend on: a layer, or nothing when a
 * step changed no file. A record keeps its layer; it goes when it is pruned, and with its layer.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

struct image_store;
struct lease;

struct build_cache_row {
    char *key;     /* "sha256:<hex>" */
    char *diff_id; /* NULL: the step changed no file */
    char *description;
    int64_t created_ns, used_ns, uses;
    int64_t size; /* of the layer; filled in when read */
    bool shared;  /* an image has the layer, too; filled in when read */
};
struct build_cache_rows {
    struct build_cache_row *v;
    size_t n;
};

/**
 * build_cache_use() - what a step made, if it is known; counts as a use
 * @lease: takes the layer in
 * Return: 1 with *ret in @a; 0 it is not known.
 */
int build_cache_use(struct image_store *s, const char *key, struct lease *lease, struct arena *a,
                    struct build_cache_row *ret, struct err *err) MUST;
/** build_cache_put() - remember; an older record of the key is replaced. @row: key, diff_id and
 * description count. @now: when it was made, ns. */
int build_cache_put(struct image_store *s, const struct build_cache_row *row, int64_t now,
                    struct err *err) MUST;
/** build_cache_list() - all records, the least recently used first. */
int build_cache_list(struct image_store *s, struct arena *a, struct build_cache_rows *ret,
                     struct err *err) MUST;
/** build_cache_remove() - forget a record; its layer goes with the next store_gc(). Return: 0, 1:
 * it was not there. */
int build_cache_remove(struct image_store *s, const char *key, struct err *err) MUST;
