/*
 * What decoding, encoding and cloning have in common: the untyped shapes behind VEC_OF and MAP_OF,
 * and which kinds of fields have which.
 */
#pragma once

#include "base/json.h"

struct i64v {
    int64_t *v;
    size_t n;
};
struct strvv {
    struct strv *v;
    size_t n;
};
struct ptrpair {
    char *key;
    void *val;
};
struct ptrmap {
    struct ptrpair *v;
    size_t n;
};

static inline bool is_map(enum field_kind kind)
{
    return kind == F_STRMAP || kind == F_SETMAP || kind == F_OBJMAP || kind == F_OBJVMAP ||
           kind == F_STRVMAP;
}

static inline bool is_list(enum field_kind kind)
{
    return kind == F_STRV || kind == F_OBJV || kind == F_STRVV || kind == F_I64V;
}
