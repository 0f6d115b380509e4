/*
 * The JSON codec: any bytes as a tree, and as a struct with a field of every kind. What was taken
 * must, once written, be taken again and be written the same way.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inner {
    char *name;
    int64_t num;
};

struct all {
    bool on, *maybe;
    int32_t i32;
    uint32_t u32, *u32p;
    int64_t i64, *i64p;
    uint64_t u64;
    double ratio;
    char *title, *nullable;
    struct json_raw raw;
    struct strv list, set;
    VEC_OF(int64_t) nums;
    struct strmap labels, rest;
    struct inner in, *ptr;
    VEC_OF(struct inner *) objs;
    MAP_OF(struct inner *) map;
    MAP_OF(struct objv *) ports;
    VEC_OF(struct strv) lists;
    MAP_OF(struct strv *) groups;
};

/* Names are short: a fuzzer has to guess them. */
static const struct field inner_fields[] = {
    FIELD(struct inner, "n", F_STR, name, .flags = F_REQUIRED),
    FIELD(struct inner, "i", F_I64, num, .flags = F_OMIT),
};
static const struct json_type inner_type = JSON_TYPE("Inner", struct inner, inner_fields);

static const struct field all_fields[] = {
    FIELD(struct all, "A", F_BOOL, on),
    FIELD(struct all, "B", F_BOOLP, maybe, .flags = F_OMIT),
    FIELD(struct all, "C", F_I32, i32),
    FIELD(struct all, "D", F_U32, u32),
    FIELD(struct all, "E", F_U32P, u32p),
    FIELD(struct all, "F", F_I64, i64, .flags = F_FLEX),
    FIELD(struct all, "G", F_I64P, i64p, .flags = F_OMIT),
    FIELD(struct all, "H", F_U64, u64, .flags = F_OMIT),
    FIELD(struct all, "I", F_F64, ratio),
    FIELD(struct all, "J", F_STR, title, .flags = F_FLEX),
    FIELD(struct all, "K", F_STR, nullable, .flags = F_NULL),
    FIELD(struct all, "L", F_RAW, raw, .flags = F_OMIT),
    FIELD(struct all, "M", F_STRV, list, .flags = F_FLEX),
    FIELD(struct all, "N", F_SETMAP, set, .flags = F_OMIT),
    FIELD(struct all, "O", F_I64V, nums, .flags = F_EMPTY),
    FIELD(struct all, "P", F_STRMAP, labels, .flags = F_EMPTY),
    FIELD(struct all, "Q", F_OBJ, in, .type = &inner_type),
    FIELD(struct all, "R", F_PTR, ptr, .type = &inner_type),
    FIELD(struct all, "S", F_OBJV, objs, .type = &inner_type, .flags = F_OMIT),
    FIELD(struct all, "T", F_OBJMAP, map, .type = &inner_type),
    FIELD(struct all, "U", F_OBJVMAP, ports, .type = &inner_type, .flags = F_EMPTY),
    FIELD(struct all, "V", F_STRVV, lists, .flags = F_OMIT),
    FIELD(struct all, "W", F_STRVMAP, groups, .flags = F_OMIT),
};
static const struct json_type all_type = {
    .name = "All",
    .size = sizeof(struct all),
    .fields = all_fields,
    .nfields = sizeof(all_fields) / sizeof(all_fields[0]),
    .unknown = offsetof(struct all, rest) + 1,
};

static void must_equal(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len || (a->len && memcmp(a->data, b->data, a->len) != 0))
        abort();
}

static void tree(const char *text, size_t n)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf once = BUF_INIT, twice = BUF_INIT, pretty = BUF_INIT;
    struct json *j = NULL;
    struct err e = {0};

    if (json_parse(text, n, &a, &j, &e) < 0) {
        if (!e.msg[0])
            abort(); /* an error without words */
        return;
    }
    if (j->raw < text || j->raw + j->raw_len > text + n)
        abort();
    json_write(j, &once);
    if (json_parse(once.data, once.len, &a, &j, NULL) < 0)
        abort();
    json_write(j, &twice);
    must_equal(&once, &twice);
    json_pretty(once.data, once.len, "", "    ", &pretty);
    if (json_parse(pretty.data, pretty.len, &a, &j, NULL) < 0)
        abort();
    buf_clear(&twice);
    json_write(j, &twice);
    must_equal(&once, &twice);
}

/* The text of a struct and of its copy. */
static void encode(const struct all *x, struct arena *a, struct buf *out)
{
    auto_buf struct buf copy = BUF_INIT;

    json_encode(&all_type, x, out);
    json_encode(&all_type, json_clone(&all_type, x, a), &copy);
    must_equal(out, &copy);
}

static void codec(const char *text, size_t n, unsigned flags)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf once = BUF_INIT, twice = BUF_INIT;
    struct all x = {0}, y = {0};
    struct err e = {0};

    if (json_decode(&all_type, text, n, &a, &x, flags, &e) < 0) {
        if (e.kind != ERR_INVALID || !e.msg[0])
            abort();
        return;
    }
    encode(&x, &a, &once);
    /* A missing member of type F_OBJ is written with an empty name, so this is complete. */
    if (json_decode(&all_type, once.data, once.len, &a, &y, 0, NULL) < 0)
        abort();
    encode(&y, &a, &twice);
    must_equal(&once, &twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* an exact copy, so that reading one byte too far is seen */
    char *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    tree(copy, size);
    codec(copy, size, 0);
    codec(copy, size, JSON_STRICT);
    codec(copy, size, JSON_NOCASE);
    free(copy);
    return 0;
}
