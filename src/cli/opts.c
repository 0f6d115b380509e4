#include "cli/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/units.h"

/*
 * The rules are pflag's, word for word in the errors: "--name value", "--name=value", "-n value",
 * "-nvalue", "-abc" for switches, "--" ends, a switch takes a value only behind '='.
 */

struct parser {
    const struct opt *opts;
    size_t n;
    struct arena *arena;
    void *values;
    bool *given;
    const struct strv *words;
    size_t next; /* word to look at next */
};

static const char *const type_names[] = {
    [O_BOOL] = "",           [O_STR] = "string",  [O_INT] = "int",     [O_UINT16] = "uint16",
    [O_UINT] = "uint",       [O_BYTES] = "bytes", [O_SWAP] = "bytes",  [O_DURATION] = "duration",
    [O_DECIMAL] = "decimal", [O_LIST] = "list",   [O_CSV] = "strings", [O_MAP] = "map",
    [O_CUSTOM] = "value",
};

const char *opt_type(const struct opt *o)
{
    return o->type ? o->type : type_names[o->kind];
}

static int parse_bool(const char *s, bool *ret, struct err *err)
{
    if (str_to_bool(s, ret) >= 0)
        return 0;
    return err_invalid(err, "strconv.ParseBool: parsing \"%s\": invalid syntax", s);
}

static int parse_int(const struct opt *o, const char *s, int64_t *ret, struct err *err)
{
    int64_t v;
    int r = str_to_i64(*s == '+' ? s + 1 : s, &v);
    int64_t max = o->kind == O_UINT16 ? UINT16_MAX : INT64_MAX;

    if (r == 0 && o->kind != O_INT && (v < 0 || v > max))
        r = v < 0 ? -EINVAL : -ERANGE;
    if (r < 0)
        return err_invalid(err, "strconv.Parse%s: parsing \"%s\": %s",
                           o->kind == O_INT ? "Int" : "Uint", s,
                           r == -ERANGE ? "value out of range" : "invalid syntax");
    *ret = v;
    return 0;
}

static int parse_number(const struct opt *o, const char *s, int64_t *ret, struct err *err)
{
    switch (o->kind) {
    case O_BYTES:
        return units_parse_bytes(s, ret, err);
    case O_SWAP:
        if (str_eq(s, "-1")) {
            *ret = -1;
            return 0;
        }
        return units_parse_bytes(s, ret, err);
    case O_DURATION:
        if (duration_parse(s, ret) < 0)
            return err_invalid(err, "time: invalid duration \"%s\"", s);
        return 0;
    case O_DECIMAL:
        return units_parse_cpus(s, ret, err);
    default:
        return parse_int(o, s, ret, err);
    }
}

static void push_csv(struct arena *a, struct strv *v, const char *s)
{
    struct strv parts = str_split(a, s, ',');

    for (size_t i = 0; i < parts.n; i++)
        strv_push(a, v, parts.v[i]);
}

int opts_set(const struct opt *o, const char *val, struct arena *a, void *values, struct err *err)
{
    void *at = (char *)values + o->offset;
    int r = o->check ? o->check(val, err) : 0;

    if (r < 0)
        return r;
    switch (o->kind) {
    case O_BOOL:
        return parse_bool(val, at, err);
    case O_STR:
        *(char **)at = arena_strdup(a, val);
        return 0;
    case O_MAP:
    case O_LIST:
    case O_CUSTOM:
        strv_push(a, at, val);
        return 0;
    case O_CSV:
        push_csv(a, at, val);
        return 0;
    default:
        return parse_number(o, val, at, err);
    }
}

/* A value of an option on the command line, with pflag's words around its error. */
static int set(struct parser *p, const struct opt *o, const char *val, struct err *err)
{
    struct err e = {0};
    int r = opts_set(o, val, p->arena, p->values, &e);

    p->given[o - p->opts] = true;
    if (r == 0)
        return 0;
    if (o->letter)
        return err_invalid(err, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s", val,
                           o->letter, o->name, e.msg);
    return err_invalid(err, "invalid argument \"%s\" for \"--%s\" flag: %s", val, o->name, e.msg);
}

static const struct opt *by_name(const struct parser *p, const char *name, size_t len)
{
    for (size_t i = 0; i < p->n; i++)
        if (strncmp(p->opts[i].name, name, len) == 0 && p->opts[i].name[len] == '\0')
            return &p->opts[i];
    return NULL;
}

static const struct opt *by_letter(const struct parser *p, char c)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->opts[i].letter == c)
            return &p->opts[i];
    return NULL;
}

static int parse_long(struct parser *p, const char *word, struct parsed *out, struct err *err)
{
    const char *name = word + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);

    if (*name == '-' || *name == '=')
        return err_invalid(err, "bad flag syntax: %s", word);
    const struct opt *o = by_name(p, name, len);
    if (!o && len == 4 && strncmp(name, "help", 4) == 0) {
        out->help = !eq || str_eq(eq, "=true");
        return 0;
    }
    if (!o)
        return err_invalid(err, "unknown flag: --%.*s", (int)len, name);
    if (eq)
        return set(p, o, eq + 1, err);
    if (o->kind == O_BOOL)
        return set(p, o, "true", err);
    if (p->next == p->words->n)
        return err_invalid(err, "flag needs an argument: --%s", o->name);
    return set(p, o, p->words->v[p->next++], err);
}

/* "-abc": every letter a switch, but the last one may take a value. */
static int parse_short(struct parser *p, const char *word, struct parsed *out, struct err *err)
{
    for (const char *c = word + 1; *c; c++) {
        const struct opt *o = by_letter(p, *c);
        if (!o && *c == 'h') {
            out->help = out->deprecated_help = true;
            return 0;
        }
        if (!o)
            return err_invalid(err, "unknown shorthand flag: '%c' in -%s", *c, c);
        if (c[1] == '=' && c[2])
            return set(p, o, c + 2, err);
        if (o->kind == O_BOOL) {
            int r = set(p, o, "true", err);
            if (r < 0)
                return r;
            continue;
        }
        if (c[1])
            return set(p, o, c + 1, err);
        if (p->next == p->words->n)
            return err_invalid(err, "flag needs an argument: '%c' in -%s", *c, c);
        return set(p, o, p->words->v[p->next++], err);
    }
    return 0;
}

static int set_defaults(struct parser *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct opt *o = &p->opts[i];
        bool list =
            o->kind == O_LIST || o->kind == O_MAP || o->kind == O_CUSTOM || o->kind == O_CSV;
        if (!o->def || list)
            continue;
        int r = opts_set(o, o->def, p->arena, p->values, err);
        if (r < 0)
            return err_wrap(err, r, "default of --%s", o->name);
    }
    return 0;
}

int opts_parse(const struct opt *opts, size_t n, bool first, const struct strv *words,
               struct arena *a, void *values, struct parsed *ret, struct err *err)
{
    struct parser p = {.opts = opts, .n = n, .arena = a, .values = values, .words = words};
    struct parsed out = {0};

    p.given = arena_alloc(a, n ? n * sizeof(bool) : 1);
    int r = set_defaults(&p, err);
    while (r == 0 && p.next < words->n && !out.help) {
        const char *word = words->v[p.next++];
        if (word[0] != '-' || word[1] == '\0') {
            strv_push(a, &out.args, word);
            if (!first)
                continue;
        }
        bool end = word[0] != '-' || word[1] == '\0' || str_eq(word, "--");
        if (end) {
            while (p.next < words->n)
                strv_push(a, &out.args, words->v[p.next++]);
            break;
        }
        r = word[1] == '-' ? parse_long(&p, word, &out, err) : parse_short(&p, word, &out, err);
    }
    if (r < 0)
        return r;
    out.given = p.given;
    *ret = out;
    return 0;
}
