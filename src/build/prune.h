/*
 * What builds keep: layers that only the cache has, cache mounts, and contexts. Listed as one,
 * removed by who was not used for the longest time.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct builder;

struct build_kept {
    char *id;         /* 64 hex digits */
    const char *type; /* "regular", "exec.cachemount", "source.local" */
    char *description;
    int64_t size, created_ns, used_ns, uses;
    bool in_use; /* by a step that runs now */
    bool shared; /* an image has the layer, too: removing the record frees nothing */
};
struct build_kepts {
    struct build_kept *v;
    size_t n;
};

/** build_kept_list() - everything, the least recently used first. Walks the cache mounts. */
int build_kept_list(struct builder *b, struct arena *a, struct build_kepts *ret,
                    struct err *err) MUST;

/* Bytes; 0: no such limit, and without any everything goes. */
struct build_space {
    int64_t reserved; /* so much may stay in any case */
    int64_t max_used; /* not more */
    int64_t min_free; /* on the file system, as far as the others allow */
};

struct build_prune {
    bool all;                 /* shared ones and contexts, too */
    int64_t before_ns;        /* only what was last used before; INT64_MAX: whenever */
    struct build_space space; /* stop when it is kept */
    /* Only what this says yes to; may be NULL. */
    bool (*wanted)(void *ctx, const struct build_kept *k);
    void *ctx;
};

/**
 * build_prune() - remove what is asked for and not in use
 * @ret_ids: of what was removed, in @a; may be NULL
 * Return: bytes that became free, -errno.
 */
int64_t build_prune(struct builder *b, const struct build_prune *p, struct arena *a,
                    struct strv *ret_ids, struct err *err) MUST;
