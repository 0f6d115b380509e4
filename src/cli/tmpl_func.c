#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "cli/tmpl-priv.h"

/* The functions: Go's built-in ones and docker's. */

typedef int func(const struct func_call *c, struct val *ret, struct err *err);

static struct val str_val(const char *s)
{
    return (struct val){V_STR, .s = s};
}

static const char *arg_str(const struct func_call *c, size_t i)
{
    return val_str(&c->args[i], c->arena);
}

static int64_t arg_int(const struct func_call *c, size_t i)
{
    double d = 0;

    (void)val_num(&c->args[i], &d);
    return (int64_t)d;
}

/* ---- text ---- */

/* Go's encoder of the json function does not escape these for HTML. */
static void unescape_html(struct buf *b)
{
    static const struct {
        char code[7], c;
    } codes[] = {{"\\u003c", '<'}, {"\\u003e", '>'}, {"\\u0026", '&'}};
    size_t to = 0;

    for (size_t i = 0; i < b->len; i++) {
        char c = b->data[i];
        if (c == '\\' && b->data[i + 1] == '\\') {
            b->data[to++] = c;
            b->data[to++] = b->data[++i];
            continue;
        }
        for (size_t k = 0; c == '\\' && k < 3; k++) {
            if (b->len - i >= 6 && strncmp(b->data + i, codes[k].code, 6) == 0) {
                c = codes[k].c;
                i += 5;
            }
        }
        b->data[to++] = c;
    }
    b->len = to;
    if (b->data)
        b->data[to] = '\0';
}

static int f_json(const struct func_call *c, struct val *ret, struct err *err)
{
    auto_buf struct buf b = BUF_INIT;
    const struct val *v = &c->args[0];

    (void)err;
    if (v->kind == V_JSON)
        json_write(v->j, &b);
    else if (v->kind == V_STR)
        json_quote(&b, v->s, strlen(v->s));
    else if (v->kind == V_NIL)
        buf_puts(&b, "null");
    else
        val_print(v, &b);
    if (!(c->data->labels && v->kind == V_JSON && v->j == c->data->root))
        unescape_html(&b); /* docker's rows encode themselves, and escape */
    *ret = str_val(arena_strdup(c->arena, buf_str(&b)));
    return 0;
}

static int map_chars(const struct func_call *c, struct val *ret, int (*fn)(int))
{
    char *s = arena_strdup(c->arena, arg_str(c, 0));

    for (char *p = s; *p; p++)
        *p = (char)fn((unsigned char)*p);
    *ret = str_val(s);
    return 0;
}

static int f_lower(const struct func_call *c, struct val *ret, struct err *err)
{
    (void)err;
    return map_chars(c, ret, tolower);
}

static int f_upper(const struct func_call *c, struct val *ret, struct err *err)
{
    (void)err;
    return map_chars(c, ret, toupper);
}

static int f_title(const struct func_call *c, struct val *ret, struct err *err)
{
    char *s = arena_strdup(c->arena, arg_str(c, 0));

    (void)err;
    if (*s)
        *s = (char)toupper((unsigned char)*s);
    *ret = str_val(s);
    return 0;
}

static int f_split(const struct func_call *c, struct val *ret, struct err *err)
{
    const char *s = arg_str(c, 0), *sep = arg_str(c, 1);
    struct json *list = arena_new(c->arena, struct json), **tail = &list->child;
    size_t n = strlen(sep);

    (void)err;
    list->kind = JSON_ARRAY;
    for (;;) {
        const char *end = n ? strstr(s, sep) : *s ? s + 1 : NULL;
        struct json *e = arena_new(c->arena, struct json);
        e->kind = JSON_STRING;
        e->text = end ? arena_strndup(c->arena, s, (size_t)(end - s)) : arena_strdup(c->arena, s);
        e->n = (uint32_t)strlen(e->text);
        *tail = e;
        tail = &e->next;
        list->n++;
        if (!end || (n == 0 && !*end))
            break;
        s = end + n;
    }
    *ret = (struct val){V_JSON, .j = list};
    return 0;
}

static int f_join(const struct func_call *c, struct val *ret, struct err *err)
{
    auto_buf struct buf b = BUF_INIT;
    const struct val *list = &c->args[0];

    if (list->kind != V_JSON || list->j->kind != JSON_ARRAY) {
        *ret = str_val("");
        return list->kind == V_NIL ? 0 : err_invalid(err, "error calling join: want a list");
    }
    for (const struct json *e = list->j->child; e; e = e->next) {
        struct val v = val_of_json(e);
        val_print(&v, &b);
        if (e->next)
            buf_puts(&b, arg_str(c, 1));
    }
    *ret = str_val(arena_strdup(c->arena, buf_str(&b)));
    return 0;
}

static int f_pad(const struct func_call *c, struct val *ret, struct err *err)
{
    const char *s = arg_str(c, 0);
    int64_t before = arg_int(c, 1), after = arg_int(c, 2);

    (void)err;
    if (*s && before >= 0 && after >= 0 && before < 4096 && after < 4096)
        s = arena_printf(c->arena, "%*s%s%*s", (int)before, "", s, (int)after, "");
    *ret = str_val(s);
    return 0;
}

static int f_truncate(const struct func_call *c, struct val *ret, struct err *err)
{
    const char *s = arg_str(c, 0);
    int64_t n = arg_int(c, 1);

    (void)err;
    *ret = str_val(n >= 0 && (uint64_t)n < strlen(s) ? arena_strndup(c->arena, s, (size_t)n) : s);
    return 0;
}

static int f_print(const struct func_call *c, struct val *ret, struct err *err)
{
    auto_buf struct buf b = BUF_INIT;
    bool line = strcmp(c->name, "println") == 0;

    (void)err;
    for (size_t i = 0; i < c->n; i++) {
        /* print puts a blank between two values only when neither is text */
        bool blank = i > 0 && (line || (c->args[i].kind != V_STR && c->args[i - 1].kind != V_STR));
        if (blank)
            buf_putc(&b, ' ');
        val_print(&c->args[i], &b);
    }
    if (line)
        buf_putc(&b, '\n');
    *ret = str_val(arena_strdup(c->arena, buf_str(&b)));
    return 0;
}

/* One verb with its flags, "%-10s" without the '%'; @v NULL: there was no argument for it. */
static void format_one(const struct func_call *c, const char *spec, size_t n, const struct val *v,
                       struct buf *out)
{
    char fmt[32], verb = spec[n - 1];
    double d = 0;

    if (!v) {
        buf_printf(out, "%%!%c(MISSING)", verb);
        return;
    }
    bool num = val_num(v, &d);
    int len = snprintf(fmt, sizeof(fmt), "%%%.*s", (int)(n - 1 > 16 ? 16 : n - 1), spec);
    if (verb == 'q') {
        json_quote(out, val_str(v, c->arena), strlen(val_str(v, c->arena)));
        return;
    }
    char *end = fmt + len;
    size_t room = sizeof(fmt) - (size_t)len;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (num && strchr("dxXoc", verb)) {
        (void)snprintf(end, room, "%s%c", "ll", verb == 'c' ? 'd' : verb);
        buf_printf(out, fmt, (long long)d);
    } else if (num && strchr("feEgG", verb)) {
        (void)snprintf(end, room, "%c", verb);
        buf_printf(out, fmt, d);
    } else if (strchr("svtxX", verb)) {
        (void)snprintf(end, room, "s");
        buf_printf(out, fmt, val_str(v, c->arena));
    } else {
        buf_printf(out, "%%!%c(%s)", verb, val_str(v, c->arena));
    }
#pragma GCC diagnostic pop
}

static int f_printf(const struct func_call *c, struct val *ret, struct err *err)
{
    auto_buf struct buf b = BUF_INIT;
    size_t next = 1;

    (void)err;
    for (const char *p = arg_str(c, 0); *p; p++) {
        if (*p != '%') {
            buf_putc(&b, *p);
            continue;
        }
        size_t n = strspn(p + 1, "+-# 0123456789.") + 1;
        if (p[n] == '\0') {
            buf_puts(&b, "%!(NOVERB)");
            break;
        }
        if (p[n] == '%')
            buf_putc(&b, '%');
        else
            format_one(c, p + 1, n, next < c->n ? &c->args[next] : NULL, &b);
        next += p[n] != '%';
        p += n;
    }
    *ret = str_val(arena_strdup(c->arena, buf_str(&b)));
    return 0;
}

/* ---- collections ---- */

static int f_len(const struct func_call *c, struct val *ret, struct err *err)
{
    const struct val *v = &c->args[0];
    int64_t n = 0;

    if (v->kind == V_STR)
        n = (int64_t)strlen(v->s);
    else if (v->kind == V_JSON && v->j->kind != JSON_NUMBER)
        n = v->j->n;
    else if (v->kind != V_NIL)
        return err_invalid(err, "error calling len: len of a value without length");
    *ret = (struct val){V_INT, .i = n};
    return 0;
}

static int index_one(const struct func_call *c, struct val *v, size_t i, struct err *err)
{
    double d = 0;

    if (v->kind == V_NIL)
        return err_invalid(err, "error calling index: index of untyped nil");
    if (v->kind == V_JSON && v->j->kind == JSON_OBJECT) {
        const struct json *e = json_get(v->j, arg_str(c, i));
        *v = e ? val_of_json(e) : str_val(""); /* a missing key is the zero value */
        return 0;
    }
    if (v->kind != V_JSON || v->j->kind != JSON_ARRAY || !val_num(&c->args[i], &d))
        return err_invalid(err, "error calling index: can't index item");
    if (d < 0 || d >= v->j->n)
        return err_invalid(err, "error calling index: reflect: slice index out of range");
    const struct json *e = v->j->child;
    for (int64_t k = (int64_t)d; k > 0; k--)
        e = e->next;
    *v = val_of_json(e);
    return 0;
}

static int f_index(const struct func_call *c, struct val *ret, struct err *err)
{
    struct val v = c->args[0];

    for (size_t i = 1; i < c->n; i++) {
        int r = index_one(c, &v, i, err);
        if (r < 0)
            return r;
    }
    *ret = v;
    return 0;
}

static int f_slice(const struct func_call *c, struct val *ret, struct err *err)
{
    const char *s = arg_str(c, 0);
    int64_t from = c->n > 1 ? arg_int(c, 1) : 0;
    int64_t to = c->n > 2 ? arg_int(c, 2) : (int64_t)strlen(s);

    if (c->args[0].kind != V_STR)
        return err_invalid(err, "error calling slice: only strings can be sliced here");
    if (from < 0 || to < from || (uint64_t)to > strlen(s))
        return err_invalid(err, "error calling slice: index out of range");
    *ret = str_val(arena_strndup(c->arena, s + from, (size_t)(to - from)));
    return 0;
}

/* ---- logic ---- */

static int f_not(const struct func_call *c, struct val *ret, struct err *err)
{
    (void)err;
    *ret = (struct val){V_BOOL, .b = !val_true(&c->args[0])};
    return 0;
}

static int f_and_or(const struct func_call *c, struct val *ret, struct err *err)
{
    bool stop_at = strcmp(c->name, "or") == 0;

    (void)err;
    for (size_t i = 0; i < c->n; i++) {
        *ret = c->args[i];
        if (val_true(ret) == stop_at)
            break;
    }
    return 0;
}

/* Return: <0, 0, >0 as strcmp; -EINVAL in @bad when the two do not compare. */
static int compare(const struct func_call *c, size_t i, size_t k, bool *bad)
{
    const struct val *a = &c->args[i], *b = &c->args[k];
    double x, y;

    *bad = false;
    if (val_num(a, &x) && val_num(b, &y))
        return x < y ? -1 : x > y;
    if (a->kind == V_STR && b->kind == V_STR)
        return strcmp(a->s, b->s);
    if (a->kind == V_BOOL && b->kind == V_BOOL)
        return (int)a->b - (int)b->b;
    if (a->kind == V_NIL && b->kind == V_NIL)
        return 0;
    *bad = a->kind != V_NIL && b->kind != V_NIL;
    return 1;
}

static int f_compare(const struct func_call *c, struct val *ret, struct err *err)
{
    const char *op = c->name;
    bool result = false, bad = false;

    for (size_t i = 1; i < c->n && !result; i++) {
        int d = compare(c, 0, i, &bad);
        if (bad)
            return err_invalid(err, "error calling %s: incompatible types for comparison", op);
        result = (str_eq(op, "eq") && d == 0) || (str_eq(op, "ne") && d != 0) ||
                 (str_eq(op, "lt") && d < 0) || (str_eq(op, "le") && d <= 0) ||
                 (str_eq(op, "gt") && d > 0) || (str_eq(op, "ge") && d >= 0);
    }
    *ret = (struct val){V_BOOL, .b = result};
    return 0;
}

static const struct {
    const char *name;
    func *fn;
    size_t min, max;
    bool text; /* leaves a table's header alone */
} funcs[] = {
    {"json", f_json, 1, 1, true},       {"lower", f_lower, 1, 1, true},
    {"upper", f_upper, 1, 1, true},     {"title", f_title, 1, 1, true},
    {"split", f_split, 2, 2, true},     {"join", f_join, 2, 2, true},
    {"pad", f_pad, 3, 3, true},         {"truncate", f_truncate, 2, 2, true},
    {"print", f_print, 0, 64, false},   {"println", f_print, 0, 64, false},
    {"printf", f_printf, 1, 64, false}, {"len", f_len, 1, 1, false},
    {"index", f_index, 1, 64, false},   {"slice", f_slice, 1, 3, false},
    {"not", f_not, 1, 1, false},        {"and", f_and_or, 1, 64, false},
    {"or", f_and_or, 1, 64, false},     {"eq", f_compare, 2, 64, false},
    {"ne", f_compare, 2, 2, false},     {"lt", f_compare, 2, 2, false},
    {"le", f_compare, 2, 2, false},     {"gt", f_compare, 2, 2, false},
    {"ge", f_compare, 2, 2, false},
};

bool func_exists(const char *name)
{
    for (size_t i = 0; i < sizeof(funcs) / sizeof(funcs[0]); i++)
        if (strcmp(funcs[i].name, name) == 0)
            return true;
    return false;
}

int func_call(const struct func_call *c, struct val *ret, struct err *err)
{
    size_t i = 0;

    while (strcmp(funcs[i].name, c->name) != 0) /* the parser knows them all */
        i++;
    if (c->n < funcs[i].min || c->n > funcs[i].max)
        return err_invalid(err, "wrong number of args for %s: want %zu got %zu", c->name,
                           funcs[i].min, c->n);
    if (c->data->header && funcs[i].text) {
        *ret = c->args[0];
        return 0;
    }
    return funcs[i].fn(c, ret, err);
}
