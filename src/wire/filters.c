/*
 * Filters. The text is parsed as a tree, since its two forms share no struct. Patterns run on
 * regcomp(3), whose memory grows with nested repetition and whose time explodes on back
 * references: a client's pattern is checked for both before it is compiled.
 */
#include "wire/filters.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "base/json.h"

#define PATTERN_MAX 256
#define REPEAT_MAX 1000 /* product of all {n,m} of a pattern */

static struct strv *values_of(const struct filters *f, const char *key)
{
    for (size_t i = 0; i < f->n; i++) {
        if (str_eq(f->v[i].key, key))
            return &f->v[i].values;
    }
    return NULL;
}

static struct strv *add_key(struct filters *f, struct arena *a, const char *key)
{
    struct strv *values = values_of(f, key);

    if (values)
        return values;
    struct filter *new = &arena_push(a, *f);
    new->key = arena_strdup(a, key);
    return &new->values;
}

void filters_add(struct filters *f, struct arena *a, const char *key, const char *value)
{
    struct strv *values = add_key(f, a, key);

    if (!strv_has(values, value))
        strv_push(a, values, value);
}

/* One value of either form: "v" in a list, or "v": true in an object. */
static bool parse_value(struct filters *f, struct arena *a, const struct json *key,
                        const struct json *val)
{
    if (key->kind == JSON_ARRAY && val->kind == JSON_STRING)
        filters_add(f, a, key->key, val->text);
    else if (key->kind == JSON_OBJECT && val->kind == JSON_TRUE)
        filters_add(f, a, key->key, val->key);
    else if (key->kind != JSON_OBJECT || val->kind != JSON_FALSE)
        return false;
    return true;
}

int filters_parse(const char *text, size_t len, struct arena *a, struct filters *ret,
                  struct err *err)
{
    struct filters f = {0};
    struct json *j = NULL;

    if (!text || len == 0) {
        *ret = f;
        return 0;
    }
    if (json_parse(text, len, a, &j, NULL) < 0 || (j->kind != JSON_OBJECT && j->kind != JSON_NULL))
        return err_invalid(err, "invalid filter");
    for (const struct json *key = j->child; key; key = key->next) {
        if (key->kind != JSON_ARRAY && key->kind != JSON_OBJECT)
            return err_invalid(err, "invalid filter");
        (void)add_key(&f, a, key->key);
        for (const struct json *val = key->child; val; val = val->next) {
            if (!parse_value(&f, a, key, val))
                return err_invalid(err, "invalid filter");
        }
    }
    *ret = f;
    return 0;
}

int filters_check(const struct filters *f, const char *const *accepted, struct err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *const *k = accepted;
        while (*k && !str_eq(*k, f->v[i].key))
            k++;
        if (!*k)
            return err_invalid(err, "invalid filter '%s'", f->v[i].key);
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct filter *const *)a)->key, (*(const struct filter *const *)b)->key);
}

void filters_encode(const struct filters *f, struct buf *out)
{
    auto_arena struct arena a = ARENA_INIT;
    struct json_w w = {.out = out};

    if (f->n == 0)
        return;
    const struct filter **sorted = arena_alloc(&a, f->n * sizeof(*sorted));
    for (size_t i = 0; i < f->n; i++)
        sorted[i] = &f->v[i];
    qsort(sorted, f->n, sizeof(*sorted), by_key);
    json_w_obj(&w);
    for (size_t i = 0; i < f->n; i++) {
        json_w_key(&w, sorted[i]->key);
        json_w_obj(&w);
        for (size_t j = 0; j < sorted[i]->values.n; j++) {
            json_w_key(&w, sorted[i]->values.v[j]);
            json_w_bool(&w, true);
        }
        json_w_end_obj(&w);
    }
    json_w_end_obj(&w);
}

const struct strv *filters_get(const struct filters *f, const char *key)
{
    return values_of(f, key);
}

bool filters_has(const struct filters *f, const char *key, const char *value)
{
    const struct strv *values = values_of(f, key);

    return values && strv_has(values, value);
}

int filters_bool(const struct filters *f, const char *key, bool otherwise, bool *ret,
                 struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct strv *values = values_of(f, key);

    if (!values) {
        *ret = otherwise;
        return 0;
    }
    const char *v = values->n == 1 ? values->v[0] : "";
    bool yes = str_eq(v, "true") || str_eq(v, "1");
    if (!yes && !str_eq(v, "false") && !str_eq(v, "0"))
        return err_invalid(err, "invalid filter '%s=[%s]'", key, strv_join(&a, values, " "));
    *ret = yes;
    return 0;
}

bool filters_exact(const struct filters *f, const char *key, const char *s)
{
    const struct strv *values = values_of(f, key);

    return !values || values->n == 0 || strv_has(values, s);
}

bool filters_prefix(const struct filters *f, const char *key, const char *s)
{
    const struct strv *values = values_of(f, key);

    if (!values || values->n == 0)
        return true;
    for (size_t i = 0; i < values->n; i++) {
        if (str_starts(s, values->v[i]))
            return true;
    }
    return false;
}

/* The larger number of "{n}", "{n,m}" or "{n,}" at @p. */
static unsigned long repeat_bound(const char *p)
{
    char *end = NULL;
    unsigned long least = strtoul(p + 1, &end, 10);
    unsigned long most = *end == ',' ? strtoul(end + 1, NULL, 10) : 0;

    return least > most ? least : most;
}

/* May regcomp() see it? No back references, and a bound on what repetition multiplies up to. */
static bool pattern_is_cheap(const char *p)
{
    unsigned long product = 1;

    if (strlen(p) > PATTERN_MAX)
        return false;
    for (; *p; p++) {
        if (*p == '\\' && p[1]) {
            if (*++p >= '0' && *p <= '9')
                return false;
        } else if (*p == '{') {
            unsigned long most = repeat_bound(p);
            if (most > REPEAT_MAX || (product *= most ? most : 1) > REPEAT_MAX)
                return false;
        }
    }
    return true;
}

static bool pattern_matches(const char *pattern, const char *s)
{
    regex_t re;

    if (!strpbrk(pattern, "\\^$.|?*+()[]{}"))
        return strstr(s, pattern) != NULL;
    if (!pattern_is_cheap(pattern) || regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool yes = regexec(&re, s, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

bool filters_pattern(const struct filters *f, const char *key, const char *s)
{
    const struct strv *values = values_of(f, key);

    if (filters_exact(f, key, s))
        return true;
    for (size_t i = 0; i < values->n; i++) {
        if (pattern_matches(values->v[i], s))
            return true;
    }
    return false;
}

/* "key" is there, or "key=value" holds. */
static bool label_holds(const char *want, const struct strmap *labels)
{
    const char *eq = strchr(want, '=');
    size_t n = eq ? (size_t)(eq - want) : strlen(want);

    for (size_t i = 0; i < labels->n; i++) {
        const struct strpair *l = &labels->v[i];
        if (strncmp(l->key, want, n) == 0 && l->key[n] == '\0')
            return !eq || str_eq(l->val, eq + 1);
    }
    return false;
}

bool filters_labels(const struct filters *f, const char *key, const struct strmap *labels)
{
    const struct strv *values = values_of(f, key);

    for (size_t i = 0; values && i < values->n; i++) {
        if (!label_holds(values->v[i], labels))
            return false;
    }
    return true;
}

bool filters_prune_labels(const struct filters *f, const struct strmap *labels)
{
    const struct strv *without = values_of(f, "label!");

    if (!filters_labels(f, "label", labels))
        return false;
    return !without || without->n == 0 || !filters_labels(f, "label!", labels);
}
