/* Deep copies of structs that have a field table. */
#include "base/json.h"

#include <string.h>

#include "base/json-priv.h"

static void clone_into(const struct json_type *t, const void *from, void *to, struct arena *a);

static void *clone_obj(const struct json_type *t, const void *obj, struct arena *a)
{
    if (!obj)
        return NULL;
    void *copy = arena_alloc(a, t->size);
    clone_into(t, obj, copy, a);
    return copy;
}

static struct objv clone_objv(const struct json_type *t, const struct objv *v, struct arena *a)
{
    struct objv copy = {0};

    if (!v->v)
        return copy;
    copy.v = arena_alloc(a, sizeof(void *));
    for (size_t i = 0; i < v->n; i++)
        arena_push(a, copy) = clone_obj(t, v->v[i], a);
    return copy;
}

static void *clone_map_val(const struct field *f, void *val, struct arena *a)
{
    if (!val)
        return NULL;
    if (f->kind == F_STRMAP)
        return arena_strdup(a, val);
    if (f->kind == F_OBJMAP)
        return clone_obj(f->type, val, a);
    if (f->kind == F_STRVMAP) {
        struct strv v = strv_clone(a, val);
        return arena_memdup(a, &v, sizeof(v));
    }
    struct objv v = clone_objv(f->type, val, a);
    return arena_memdup(a, &v, sizeof(v));
}

static void clone_map(const struct field *f, const struct ptrmap *m, struct ptrmap *to,
                      struct arena *a)
{
    struct ptrmap copy = {0};

    if (m->v)
        copy.v = arena_alloc(a, sizeof(struct ptrpair));
    for (size_t i = 0; m->v && i < m->n; i++)
        arena_push(a, copy) =
            (struct ptrpair){arena_strdup(a, m->v[i].key), clone_map_val(f, m->v[i].val, a)};
    *to = copy;
}

static struct strvv clone_strvv(const struct strvv *v, struct arena *a)
{
    struct strvv copy = {0};

    if (!v->v)
        return copy;
    copy.v = arena_alloc(a, sizeof(struct strv));
    for (size_t i = 0; i < v->n; i++)
        arena_push(a, copy) = strv_clone(a, &v->v[i]);
    return copy;
}

static struct i64v clone_i64v(const struct i64v *v, struct arena *a)
{
    struct i64v copy = {0};

    if (!v->v)
        return copy;
    copy.v = arena_alloc(a, sizeof(int64_t));
    for (size_t i = 0; i < v->n; i++)
        arena_push(a, copy) = v->v[i];
    return copy;
}

static void clone_list(const struct field *f, const void *from, void *to, struct arena *a)
{
    if (f->kind == F_STRV)
        *(struct strv *)to = strv_clone(a, from);
    else if (f->kind == F_OBJV)
        *(struct objv *)to = clone_objv(f->type, from, a);
    else if (f->kind == F_STRVV)
        *(struct strvv *)to = clone_strvv(from, a);
    else
        *(struct i64v *)to = clone_i64v(from, a);
}

static void clone_field(const struct field *f, const void *from, void *to, struct arena *a)
{
    void *const *ptr = from;
    size_t small = f->kind == F_BOOLP ? sizeof(bool) : f->kind == F_U32P ? 4 : 8;

    if (is_list(f->kind)) {
        clone_list(f, from, to, a);
        return;
    }
    switch (f->kind) {
    case F_STR:
        *(char **)to = arena_strdup(a, *ptr);
        return;
    case F_BOOLP:
    case F_I64P:
    case F_U32P:
        *(void **)to = *ptr ? arena_memdup(a, *ptr, small) : NULL;
        return;
    case F_RAW: {
        const struct json_raw *raw = from;
        if (raw->text)
            ((struct json_raw *)to)->text = arena_strndup(a, raw->text, raw->len);
        return;
    }
    case F_OBJ:
        clone_into(f->type, from, to, a);
        return;
    case F_PTR:
        *(void **)to = clone_obj(f->type, *ptr, a);
        return;
    case F_SETMAP:
        *(struct strv *)to = strv_clone(a, from);
        return;
    case F_STRMAP:
    case F_OBJMAP:
    case F_OBJVMAP:
    case F_STRVMAP:
        clone_map(f, from, to, a);
        return;
    default:
        return; /* a plain value: copied with the struct */
    }
}

static void clone_into(const struct json_type *t, const void *from, void *to, struct arena *a)
{
    memcpy(to, from, t->size);
    for (size_t i = 0; i < t->nfields; i++)
        clone_field(&t->fields[i], (const char *)from + t->fields[i].offset,
                    (char *)to + t->fields[i].offset, a);
    if (t->unknown) {
        static const struct field f = {.kind = F_STRMAP};
        clone_map(&f, (const struct ptrmap *)((const char *)from + t->unknown - 1),
                  (struct ptrmap *)((char *)to + t->unknown - 1), a);
    }
}

void *json_clone(const struct json_type *type, const void *obj, struct arena *a)
{
    return clone_obj(type, obj, a);
}
