/* What the builds of one daemon share. */
#pragma once

#include "build/build.h"

#include <pthread.h>

struct map;

struct builder {
    struct image_store *store;
    const struct build_host *host;
    int dir_fd;           /* build/ below the data root */
    int cache_fd;         /* build/cache: cache mounts, a directory each */
    int contexts_fd;      /* build/contexts: what clients sent, a directory each */
    int tmp_fd;           /* build/tmp: of steps that run */
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct map *claimed; /* keys of steps that somebody carries out, and cache mounts in use */
};

#define BUILD_CACHE "build/cache"
#define BUILD_CONTEXTS "build/contexts"
#define BUILD_TMP "build/tmp"

/**
 * builder_claim() - wait until nobody else has @key, and take it
 * @given_up: asked now and then while waiting; true ends it
 * Return: 0; -ECANCELED.
 */
int builder_claim(struct builder *b, const char *key, bool (*given_up)(void *ctx), void *ctx,
                  struct err *err) MUST;
/** builder_try_claim() - Return: true when nobody had it. */
bool builder_try_claim(struct builder *b, const char *key);
void builder_release(struct builder *b, const char *key);
/** builder_nudge() - who waits looks whether to give up. */
void builder_nudge(struct builder *b);
