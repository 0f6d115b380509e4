/* The codec between JSON text and structs: encoding. Maps come out sorted by key. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json-priv.h"
#include "base/mem.h"

static bool is_empty(const struct field *f, const void *p)
{
    switch (f->kind) {
    case F_BOOL:
        return !*(const bool *)p;
    case F_I32:
    case F_U32:
        return *(const uint32_t *)p == 0;
    case F_I64:
    case F_U64:
        return *(const uint64_t *)p == 0;
    case F_F64:
        return *(const double *)p == 0;
    case F_STR:
        return str_empty(*(char *const *)p);
    case F_BOOLP:
    case F_I64P:
    case F_U32P:
    case F_PTR:
        return *(void *const *)p == NULL;
    case F_RAW:
        return ((const struct json_raw *)p)->text == NULL;
    case F_OBJ:
        return false;
    default: /* every list and map is {pointer, count} */
        return ((const struct objv *)p)->n == 0;
    }
}

static int cmp_pair(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Maps go out sorted by key; both pair types start with the key. */
static void *sorted(const void *v, size_t n, size_t elem)
{
    void *copy = xmemdup(v, n * elem);

    qsort(copy, n, elem, cmp_pair);
    return copy;
}

static void enc_strv(struct json_w *w, const struct strv *v)
{
    if (!v || !v->v) {
        json_w_null(w);
        return;
    }
    json_w_arr(w);
    for (size_t i = 0; i < v->n; i++)
        json_w_str(w, v->v[i]);
    json_w_end_arr(w);
}

static void enc_obj(struct json_w *w, const struct json_type *t, const void *obj)
{
    if (obj)
        json_w_type(w, t, obj);
    else
        json_w_null(w);
}

static void enc_objv(struct json_w *w, const struct json_type *t, const struct objv *v)
{
    if (!v || !v->v) {
        json_w_null(w);
        return;
    }
    json_w_arr(w);
    for (size_t i = 0; i < v->n; i++)
        enc_obj(w, t, v->v[i]);
    json_w_end_arr(w);
}

static void enc_map(struct json_w *w, const struct field *f, const void *p)
{
    const struct ptrmap *m = p;
    size_t elem = f->kind == F_SETMAP ? sizeof(char *) : sizeof(struct ptrpair);
    void *v = m->n ? sorted(m->v, m->n, elem) : NULL;

    json_w_obj(w);
    for (size_t i = 0; i < m->n; i++) {
        const struct ptrpair *pair = f->kind == F_SETMAP ? NULL : (struct ptrpair *)v + i;
        json_w_key(w, pair ? pair->key : ((char **)v)[i]);
        switch (f->kind) {
        case F_STRMAP:
            json_w_str(w, pair->val);
            break;
        case F_SETMAP:
            json_w_raw(w, "{}", 2);
            break;
        case F_OBJMAP:
            enc_obj(w, f->type, pair->val);
            break;
        case F_STRVMAP:
            enc_strv(w, pair->val);
            break;
        default:
            enc_objv(w, f->type, pair->val);
        }
    }
    json_w_end_obj(w);
    free(v);
}

static void enc_lists(struct json_w *w, const struct field *f, const void *p)
{
    const struct strvv *lists = p;
    const struct i64v *nums = p;

    json_w_arr(w);
    for (size_t i = 0; i < lists->n; i++)
        if (f->kind == F_STRVV)
            enc_strv(w, &lists->v[i]);
        else
            json_w_i64(w, nums->v[i]);
    json_w_end_arr(w);
}

static void enc_collection(struct json_w *w, const struct field *f, const void *p)
{
    const struct objv *any = p; /* {pointer, count}, as all of them */

    if (!any->v && (f->flags & F_EMPTY))
        json_w_raw(w, is_map(f->kind) ? "{}" : "[]", 2);
    else if (!any->v)
        json_w_null(w);
    else if (is_map(f->kind))
        enc_map(w, f, p);
    else if (f->kind == F_STRV)
        enc_strv(w, p);
    else if (f->kind == F_OBJV)
        enc_objv(w, f->type, p);
    else
        enc_lists(w, f, p);
}

static void enc_scalar_ptr(struct json_w *w, const struct field *f, const void *p)
{
    if (!p)
        json_w_null(w);
    else if (f->kind == F_BOOLP)
        json_w_bool(w, *(const bool *)p);
    else if (f->kind == F_I64P)
        json_w_i64(w, *(const int64_t *)p);
    else
        json_w_u64(w, *(const uint32_t *)p);
}

static void enc_value(struct json_w *w, const struct field *f, const void *p)
{
    switch (f->kind) {
    case F_BOOL:
        json_w_bool(w, *(const bool *)p);
        return;
    case F_I32:
        json_w_i64(w, *(const int32_t *)p);
        return;
    case F_U32:
        json_w_u64(w, *(const uint32_t *)p);
        return;
    case F_I64:
        json_w_i64(w, *(const int64_t *)p);
        return;
    case F_U64:
        json_w_u64(w, *(const uint64_t *)p);
        return;
    case F_F64:
        json_w_f64(w, *(const double *)p);
        return;
    case F_STR:
        if (*(char *const *)p || (f->flags & F_NULL))
            json_w_str(w, *(char *const *)p);
        else
            json_w_strn(w, "", 0);
        return;
    case F_BOOLP:
    case F_I64P:
    case F_U32P:
        enc_scalar_ptr(w, f, *(void *const *)p);
        return;
    case F_RAW: {
        const struct json_raw *raw = p;
        json_w_raw(w, raw->text ? raw->text : "null", raw->text ? raw->len : 4);
        return;
    }
    case F_OBJ:
        json_w_type(w, f->type, p);
        return;
    case F_PTR:
        enc_obj(w, f->type, *(void *const *)p);
        return;
    default:
        enc_collection(w, f, p);
    }
}

void json_w_type(struct json_w *w, const struct json_type *t, const void *obj)
{
    json_w_obj(w);
    for (size_t i = 0; i < t->nfields; i++) {
        const struct field *f = &t->fields[i];
        const void *p = (const char *)obj + f->offset;
        if ((f->flags & F_OMIT) && is_empty(f, p))
            continue;
        json_w_key(w, f->name);
        enc_value(w, f, p);
    }
    if (t->unknown) {
        const struct strmap *m = (const struct strmap *)((const char *)obj + t->unknown - 1);
        for (size_t i = 0; i < m->n; i++) {
            json_w_key(w, m->v[i].key);
            json_w_raw(w, m->v[i].val, strlen(m->v[i].val));
        }
    }
    json_w_end_obj(w);
}

void json_encode(const struct json_type *type, const void *obj, struct buf *out)
{
    struct json_w w = {.out = out};

    json_w_type(&w, type, obj);
}
