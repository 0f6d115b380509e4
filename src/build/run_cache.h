/* Cache mounts: directories below build/cache that outlive a build, by what RUN calls them. */
#pragma once

#include "build/solve-priv.h"

struct builder;

/* What a mount asks for. */
struct cache_want {
    struct stage *st;
    const struct build_step *step;
    const struct ins_mount *m;
    const char *id, *source;
    const struct origin *from; /* what a new one is filled with, if it names something */
};
struct cache_use {
    char *claim; /* released by cache_give_back(); NULL: nothing to release */
};

/**
 * cache_take() - find or make the directory
 * shared: at once; locked: waits until nobody else has it; private: another one when it is in use.
 * @ret_path: absolute, in @a
 */
int cache_take(const struct cache_want *want, struct cache_use *use, struct arena *a,
               char **ret_path, struct err *err) MUST;
void cache_give_back(struct builder *b, struct cache_use *use);
