/* Search in an index (v1 of the protocol, which Docker Hub and some others still answer). */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

struct dist_session;

struct dist_hit {
    char *name, *description;
    int64_t stars;
    bool official;
};

struct dist_hits {
    struct dist_hit **v;
    size_t n;
};

/** dist_search() - @limit: at most so many; results in @a. */
int dist_search(struct dist_session *s, const char *term, unsigned limit, struct arena *a,
                struct dist_hits *ret, struct err *err) MUST;
