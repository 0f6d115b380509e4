#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

const char *str_starts(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

char *str_trim(struct arena *a, const char *s, size_t n)
{
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    while (n > 0 && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    return arena_strndup(a, s, n);
}

bool str_ends(const char *s, const char *suffix)
{
    size_t a = strlen(s), b = strlen(suffix);

    return a >= b && memcmp(s + a - b, suffix, b) == 0;
}

int str_to_u64(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    if (!s || !*s)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return -ERANGE;
    }
    *ret = v;
    return 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
    bool minus = s && *s == '-';
    uint64_t v;
    int r = str_to_u64(minus ? s + 1 : s, &v);

    if (r < 0)
        return r;
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return -ERANGE;
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

int str_to_bool(const char *s, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *ret = strcmp(s, yes[i]) == 0;
            return 0;
        }
    return -EINVAL;
}

/* Length of the UTF-8 sequence at @s, 0 when it is none. Table 3-7 of the Unicode standard. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    unsigned char lo = 0x80, hi = 0xbf;
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (len == 0 || s[0] > 0xf4 || len > n)
        return 0;
    if (s[0] == 0xe0)
        lo = 0xa0;
    else if (s[0] == 0xed)
        hi = 0x9f;
    else if (s[0] == 0xf0)
        lo = 0x90;
    else if (s[0] == 0xf4)
        hi = 0x8f;
    for (size_t i = 1; i < len; i++) {
        if (s[i] < lo || s[i] > hi)
            return 0;
        lo = 0x80;
        hi = 0xbf;
    }
    return len;
}

bool str_valid_utf8(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;

    while (n > 0) {
        size_t len = utf8_len(p, n);
        if (len == 0)
            return false;
        p += len;
        n -= len;
    }
    return true;
}

void strv_push(struct arena *a, struct strv *v, const char *s)
{
    arena_push(a, *v) = arena_strdup(a, s);
}

bool strv_has(const struct strv *v, const char *s)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i], s) == 0)
            return true;
    return false;
}

struct strv strv_clone(struct arena *a, const struct strv *v)
{
    struct strv copy = {0};

    if (!v->v)
        return copy;
    copy.v = arena_alloc(a, sizeof(char *));
    for (size_t i = 0; i < v->n; i++)
        strv_push(a, &copy, v->v[i]);
    return copy;
}

char **strv_z(struct arena *a, const struct strv *v)
{
    char **z = arena_alloc(a, (v->n + 1) * sizeof(*z));

    if (v->n)
        memcpy(z, v->v, v->n * sizeof(*z));
    return z;
}

struct strv str_split(struct arena *a, const char *s, char sep)
{
    struct strv v = {0};

    for (;;) {
        const char *end = strchrnul(s, sep);
        arena_push(a, v) = arena_strndup(a, s, (size_t)(end - s));
        if (!*end)
            return v;
        s = end + 1;
    }
}

char *strv_join(struct arena *a, const struct strv *v, const char *sep)
{
    size_t len = 1, nsep = strlen(sep);

    for (size_t i = 0; i < v->n; i++)
        len += strlen(v->v[i]) + nsep;
    char *s = arena_alloc(a, len), *p = s;
    for (size_t i = 0; i < v->n; i++) {
        if (i)
            p = stpcpy(p, sep);
        p = stpcpy(p, v->v[i]);
    }
    return s;
}

char *path_clean(struct arena *a, const char *path)
{
    struct strv in = str_split(a, path, '/'), out = {0};

    for (size_t i = 0; i < in.n; i++) {
        if (str_empty(in.v[i]) || strcmp(in.v[i], ".") == 0)
            continue;
        if (strcmp(in.v[i], "..") != 0)
            arena_push(a, out) = in.v[i];
        else if (out.n)
            out.n--;
    }
    return arena_printf(a, "/%s", out.n ? strv_join(a, &out, "/") : "");
}

const char *strv_env(const struct strv *env, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
            return env->v[i] + n + 1;
    return NULL;
}

void strv_env_set(struct arena *a, struct strv *env, const char *pair)
{
    size_t n = (size_t)(strchrnul(pair, '=') - pair);

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], pair, n) == 0 && (env->v[i][n] == '=' || !env->v[i][n])) {
            env->v[i] = arena_strdup(a, pair);
            return;
        }
    strv_push(a, env, pair);
}

const char *strmap_get(const struct strmap *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].key, key) == 0)
            return m->v[i].val;
    return NULL;
}

void strmap_set(struct arena *a, struct strmap *m, const char *key, const char *val)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].key, key) == 0) {
            m->v[i].val = arena_strdup(a, val);
            return;
        }
    arena_push(a, *m) = (struct strpair){arena_strdup(a, key), arena_strdup(a, val)};
}
