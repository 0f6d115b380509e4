/*
 * The codec between JSON text and structs: decoding. It goes by way of a tree: the text is checked
 * as a whole first, so a struct is filled from valid JSON only. Each kind of field has one row in
 * each of three switch tables: decode here, encode (json_encode.c), clone (json_clone.c).
 */
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json-priv.h"

struct dec {
    struct arena *a;
    unsigned flags;
    struct err *err;
    /* Where we are, for messages: a chain of names from the root. */
    const struct place *at;
};

struct place {
    const struct place *up;
    const char *name;
    size_t index; /* used when name is NULL */
};

static void put_place(struct buf *b, const struct place *at)
{
    if (!at)
        return;
    put_place(b, at->up);
    if (!at->name)
        buf_printf(b, "[%zu]", at->index);
    else
        buf_printf(b, "%s%.100s", b->len ? "." : "", at->name);
}

static int fail_at(const struct dec *d, const char *what)
{
    auto_buf struct buf path = BUF_INIT;

    put_place(&path, d->at);
    return err_invalid(d->err, "%s%s%s", buf_str(&path), path.len ? ": " : "", what);
}

static int want(const struct dec *d, const char *wanted, const struct json *j)
{
    static const char *const names[] = {"null",     "a boolean", "a boolean", "a number",
                                        "a string", "an array",  "an object"};
    char text[80];

    (void)snprintf(text, sizeof(text), "want %s, got %s", wanted, names[j->kind]);
    return fail_at(d, text);
}

static int dec_struct(struct dec *d, const struct json_type *t, const struct json *j, void *out);

/* ---- decoding, a function for each family of kinds ---- */

static int dec_i64(struct dec *d, const struct field *f, const struct json *j, int64_t *ret)
{
    int r =
        (f->flags & F_FLEX) && j->kind == JSON_STRING ? str_to_i64(j->text, ret) : json_i64(j, ret);

    if (r == -ERANGE)
        return fail_at(d, "number out of range");
    if (r < 0)
        return j->kind == JSON_NUMBER ? fail_at(d, "want an integer") : want(d, "a number", j);
    return 0;
}

static int dec_u64(struct dec *d, const struct json *j, uint64_t *ret)
{
    int64_t v;

    if (j->kind != JSON_NUMBER)
        return want(d, "a number", j);
    if (str_to_u64(j->text, ret) == 0)
        return 0;
    if (json_i64(j, &v) < 0 || v < 0)
        return fail_at(d, "want a non-negative integer");
    *ret = (uint64_t)v;
    return 0;
}

static int dec_number(struct dec *d, const struct field *f, const struct json *j, void *to)
{
    int64_t v = 0;
    int r;

    switch (f->kind) {
    case F_F64:
        if (j->kind != JSON_NUMBER)
            return want(d, "a number", j);
        *(double *)to = strtod(j->text, NULL);
        return 0;
    case F_U64:
        return dec_u64(d, j, to);
    default:
        r = dec_i64(d, f, j, &v);
        if (r < 0)
            return r;
    }
    switch (f->kind) {
    case F_I32:
        if (v < INT32_MIN || v > INT32_MAX)
            return fail_at(d, "number out of range");
        *(int32_t *)to = (int32_t)v;
        return 0;
    case F_U32:
    case F_U32P:
        if (v < 0 || v > UINT32_MAX)
            return fail_at(d, "number out of range");
        if (f->kind == F_U32) {
            *(uint32_t *)to = (uint32_t)v;
        } else {
            uint32_t u = (uint32_t)v;
            *(uint32_t **)to = arena_memdup(d->a, &u, sizeof(u));
        }
        return 0;
    case F_I64P:
        *(int64_t **)to = arena_memdup(d->a, &v, sizeof(v));
        return 0;
    default:
        *(int64_t *)to = v;
        return 0;
    }
}

static int dec_bool(struct dec *d, const struct field *f, const struct json *j, void *to)
{
    if (j->kind != JSON_TRUE && j->kind != JSON_FALSE)
        return want(d, "a boolean", j);
    bool v = j->kind == JSON_TRUE;
    if (f->kind == F_BOOL)
        *(bool *)to = v;
    else
        *(bool **)to = arena_memdup(d->a, &v, sizeof(v));
    return 0;
}

static int dec_str(struct dec *d, const struct field *f, const struct json *j, char **to)
{
    if (j->kind != JSON_STRING && !((f->flags & F_FLEX) && j->kind == JSON_NUMBER))
        return want(d, "a string", j);
    *to = arena_strndup(d->a, j->text, j->n);
    return 0;
}

/* What is required is never NULL afterwards: null is as good as nothing. */
static int check_required(struct dec *d, const struct json_type *t, const struct json *j)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct json *v = json_get(j, t->fields[i].name);
        if (!(t->fields[i].flags & F_REQUIRED) || (v && v->kind != JSON_NULL))
            continue;
        struct place here = {.up = d->at, .name = t->fields[i].name};
        d->at = &here;
        int r = fail_at(d, "missing");
        d->at = here.up;
        return r;
    }
    return 0;
}

static int dec_strv(struct dec *d, const struct field *f, const struct json *j, struct strv *to)
{
    static const struct field item = {.kind = F_STR};
    struct strv v = {.v = arena_alloc(d->a, sizeof(char *))};
    size_t i = 0;

    if ((f->flags & F_FLEX) && j->kind == JSON_STRING) {
        strv_push(d->a, &v, j->text);
        *to = v;
        return 0;
    }
    if (j->kind != JSON_ARRAY)
        return want(d, "an array", j);
    for (const struct json *c = j->child; c; c = c->next) {
        struct place here = {.up = d->at, .index = i++};
        d->at = &here;
        int r = dec_str(d, &item, c, &arena_push(d->a, v));
        d->at = here.up;
        if (r < 0)
            return r;
    }
    *to = v;
    return 0;
}

static int dec_list(struct dec *d, const struct field *f, const struct json *j, void *to);

/* One element of a list or map, of the kind that the container kind @f says. */
static int dec_elem(struct dec *d, const struct field *f, const struct json *j, void **ret)
{
    static const struct field strs = {.kind = F_STRV};

    if (j->kind == JSON_NULL && f->kind == F_OBJV) { /* as Go, whose lists hold values */
        *ret = arena_alloc(d->a, f->type->size);
        return check_required(d, f->type, j);
    }
    if (j->kind == JSON_NULL && f->kind != F_SETMAP) {
        *ret = NULL;
        return 0;
    }
    if (f->kind == F_OBJVMAP) {
        struct field list = {.kind = F_OBJV, .type = f->type};
        *ret = arena_new(d->a, struct objv);
        return dec_list(d, &list, j, *ret);
    }
    if (f->kind == F_STRVMAP) {
        *ret = arena_new(d->a, struct strv);
        return dec_strv(d, &strs, j, *ret);
    }
    *ret = arena_alloc(d->a, f->type->size);
    return dec_struct(d, f->type, j, *ret);
}

static int dec_list(struct dec *d, const struct field *f, const struct json *j, void *to)
{
    static const struct field strs = {.kind = F_STRV}, num = {.kind = F_I64};
    struct objv objs = {.v = arena_alloc(d->a, sizeof(void *))};
    struct strvv lists = {.v = arena_alloc(d->a, sizeof(struct strv))};
    struct i64v nums = {.v = arena_alloc(d->a, sizeof(int64_t))};
    size_t i = 0;

    if (j->kind != JSON_ARRAY)
        return want(d, "an array", j);
    for (const struct json *c = j->child; c; c = c->next) {
        struct place here = {.up = d->at, .index = i++};
        d->at = &here;
        int r = f->kind == F_OBJV    ? dec_elem(d, f, c, &arena_push(d->a, objs))
                : f->kind == F_STRVV ? dec_strv(d, &strs, c, &arena_push(d->a, lists))
                                     : dec_i64(d, &num, c, &arena_push(d->a, nums));
        d->at = here.up;
        if (r < 0)
            return r;
    }
    if (f->kind == F_OBJV)
        *(struct objv *)to = objs;
    else if (f->kind == F_STRVV)
        *(struct strvv *)to = lists;
    else
        *(struct i64v *)to = nums;
    return 0;
}

static int dec_map(struct dec *d, const struct field *f, const struct json *j, void *to)
{
    static const struct field flex = {.kind = F_STR};
    struct strmap strs = {.v = arena_alloc(d->a, sizeof(struct strpair))};
    struct ptrmap ptrs = {.v = arena_alloc(d->a, sizeof(struct ptrpair))};
    struct strv set = {.v = arena_alloc(d->a, sizeof(char *))};
    int r = 0;

    if (j->kind != JSON_OBJECT)
        return want(d, "an object", j);
    for (const struct json *c = j->child; c && r >= 0; c = c->next) {
        struct place here = {.up = d->at, .name = c->key};
        d->at = &here;
        if (f->kind == F_STRMAP) {
            struct strpair *p = &arena_push(d->a, strs);
            p->key = arena_strdup(d->a, c->key);
            p->val = arena_strdup(d->a, "");
            if (c->kind != JSON_NULL)
                r = dec_str(d, &flex, c, &p->val);
        } else if (f->kind == F_SETMAP) {
            strv_push(d->a, &set, c->key);
        } else {
            struct ptrpair *p = &arena_push(d->a, ptrs);
            p->key = arena_strdup(d->a, c->key);
            r = dec_elem(d, f, c, &p->val);
        }
        d->at = here.up;
    }
    if (r < 0)
        return r;
    if (f->kind == F_STRMAP)
        *(struct strmap *)to = strs;
    else if (f->kind == F_SETMAP)
        *(struct strv *)to = set;
    else
        *(struct ptrmap *)to = ptrs;
    return 0;
}

static int dec_value(struct dec *d, const struct field *f, const struct json *j, void *to)
{
    if (f->kind == F_RAW) {
        *(struct json_raw *)to =
            (struct json_raw){arena_strndup(d->a, j->raw, j->raw_len), j->raw_len};
        return 0;
    }
    if (j->kind == JSON_NULL)
        return 0; /* as Go: null leaves the zero value */
    switch (f->kind) {
    case F_BOOL:
    case F_BOOLP:
        return dec_bool(d, f, j, to);
    case F_STR:
        return dec_str(d, f, j, to);
    case F_STRV:
        return dec_strv(d, f, j, to);
    case F_STRMAP:
    case F_SETMAP:
    case F_OBJMAP:
    case F_OBJVMAP:
    case F_STRVMAP:
        return dec_map(d, f, j, to);
    case F_OBJV:
    case F_STRVV:
    case F_I64V:
        return dec_list(d, f, j, to);
    case F_OBJ:
        return dec_struct(d, f->type, j, to);
    case F_PTR:
        *(void **)to = arena_alloc(d->a, f->type->size);
        return dec_struct(d, f->type, j, *(void **)to);
    default:
        return dec_number(d, f, j, to);
    }
}

static const struct field *find_field(const struct json_type *t, const char *key, bool nocase)
{
    for (size_t i = 0; i < t->nfields; i++)
        if (strcmp(t->fields[i].name, key) == 0)
            return &t->fields[i];
    for (size_t i = 0; nocase && i < t->nfields; i++)
        if (strcasecmp(t->fields[i].name, key) == 0)
            return &t->fields[i];
    return NULL;
}

static int dec_unknown(struct dec *d, const struct json_type *t, const struct json *c, void *out)
{
    if (t->unknown) {
        struct strmap *m = (struct strmap *)((char *)out + t->unknown - 1);
        arena_push(d->a, *m) =
            (struct strpair){arena_strdup(d->a, c->key), arena_strndup(d->a, c->raw, c->raw_len)};
        return 0;
    }
    return d->flags & JSON_STRICT ? fail_at(d, "unknown key") : 0;
}

static int dec_struct(struct dec *d, const struct json_type *t, const struct json *j, void *out)
{
    if (j->kind != JSON_OBJECT)
        return want(d, "an object", j);
    for (const struct json *c = j->child; c; c = c->next) {
        const struct field *f = find_field(t, c->key, d->flags & JSON_NOCASE);
        struct place here = {.up = d->at, .name = c->key};
        d->at = &here;
        int r = f ? dec_value(d, f, c, (char *)out + f->offset) : dec_unknown(d, t, c, out);
        d->at = here.up;
        if (r < 0)
            return r;
    }
    return check_required(d, t, j);
}

int json_decode(const struct json_type *type, const char *text, size_t len, struct arena *a,
                void *out, unsigned flags, struct err *err)
{
    auto_arena struct arena tmp = ARENA_INIT;
    struct dec d = {.a = a, .flags = flags, .err = err};
    struct json *j;
    int r = json_parse(text, len, &tmp, &j, err);

    return r < 0 ? r : dec_struct(&d, type, j, out);
}
