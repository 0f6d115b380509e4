#include "archive/ignore.h"

#include <errno.h>

#include "base/auto.h"
#include "base/glob.h"

struct ignore_pattern {
    struct glob glob;
    bool exception; /* "!": what was left out is wanted again */
};

struct ignore {
    struct ignore_pattern *v;
    size_t n;
    bool exceptions;
};

/* ---- patterns ---- */

/* Cleaned, and relative to the root of the tree. Return: NULL when it leads out of it. */
static char *relative(const char *pattern, struct arena *a)
{
    static const char root[] = "/\001"; /* a directory that ".." would remove */
    const char *rest;

    if (*pattern == '/')
        return path_clean(a, pattern) + 1;
    char *clean = path_clean(a, arena_printf(a, "%s/%s", root, pattern));
    rest = str_starts(clean, root);
    return !rest ? NULL : *rest == '/' ? clean + sizeof(root) : arena_strdup(a, "");
}

static int add(struct ignore *ig, const char *text, size_t n, struct arena *a, struct err *err)
{
    struct ignore_pattern p = {0};

    if (n > IGNORE_PATTERN_MAX || ig->n >= IGNORE_PATTERNS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "too many or too long patterns");
    char *pattern = str_trim(a, text, n);
    p.exception = *pattern == '!';
    if (p.exception)
        pattern = str_trim(a, pattern + 1, strlen(pattern + 1));
    if (p.exception && !*pattern)
        return err_invalid(err, "illegal exclusion pattern: \"!\"");
    pattern = relative(pattern, a);
    if (str_empty(pattern))
        return 0; /* nothing has such a name */
    int r = glob_path(pattern, a, &p.glob, err);
    if (r < 0)
        return r;
    arena_push(a, *ig) = p;
    ig->exceptions |= p.exception;
    return 0;
}

int ignore_new(const struct strv *patterns, struct arena *a, struct ignore **ret, struct err *err)
{
    struct ignore *ig = arena_new(a, struct ignore);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < patterns->n; i++)
        r = add(ig, patterns->v[i], strlen(patterns->v[i]), a, err);
    if (r >= 0)
        *ret = ig;
    return r;
}

int ignore_parse(const char *text, size_t len, struct arena *a, struct ignore **ret,
                 struct err *err)
{
    struct ignore *ig = arena_new(a, struct ignore);
    const char *p = text, *end = text + len;
    int r = 0;

    if (len > IGNORE_MAX)
        return err_as(err, ERR_INVALID, E2BIG, ".dockerignore is larger than %u bytes", IGNORE_MAX);
    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (r >= 0 && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        if (*p != '#')
            r = add(ig, p, n, a, err);
        p += n + 1;
    }
    if (r >= 0)
        *ret = ig;
    return r;
}

/* ---- matching ---- */

/* A pattern that could change nothing is not tried. */
static bool left_out(const struct ignore *ig, const struct runes *path)
{
    bool out = false;

    for (size_t i = 0; i < ig->n; i++) {
        const struct ignore_pattern *p = &ig->v[i];
        if (p->exception == out &&
            glob_match_runes(&p->glob, path->v, path->n, GLOB_PARENT, NULL) != GLOB_NONE)
            out = !p->exception;
    }
    return out;
}

bool ignore_match(const struct ignore *ig, const char *path)
{
    if (!ig || !ig->n)
        return false;
    auto_runes struct runes r = runes_decode(path, NULL);
    return left_out(ig, &r);
}

bool ignore_has_exceptions(const struct ignore *ig)
{
    return ig && ig->exceptions;
}

bool ignore_below(const struct ignore *ig, const char *path)
{
    if (!ig || !ig->exceptions)
        return false;
    auto_runes struct runes r = runes_decode(path, NULL);
    for (size_t i = 0; i < ig->n; i++)
        if (ig->v[i].exception &&
            glob_match_runes(&ig->v[i].glob, r.v, r.n, GLOB_BELOW, NULL) != GLOB_NONE)
            return true;
    return false;
}

int glob_match(const char *pattern, const char *path)
{
    auto_arena struct arena a = ARENA_INIT;
    struct glob g = {0};

    int r = glob_path(pattern, &a, &g, NULL);
    if (r < 0)
        return r;
    struct runes s = runes_decode(path, &a);
    return glob_match_runes(&g, s.v, s.n, GLOB_WHOLE, NULL) != GLOB_NONE;
}
