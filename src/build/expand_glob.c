#include "build/expand-priv.h"

#include <errno.h>
#include <string.h>

#include "base/glob.h"
#include "build/expand.h"

#define PATTERN_MAX 65536

static int too_much(struct err *err)
{
    return err_as(err, ERR_INVALID, E2BIG, "variables expand to too much");
}

static int compile(const struct pattern_job *j, struct arena *a, struct glob *ret, struct err *err)
{
    if (strlen(j->pattern) > PATTERN_MAX || strlen(j->pattern) > *j->budget)
        return too_much(err);
    *j->budget -= strlen(j->pattern);
    return glob_shell(j->pattern, j->escape, a, ret, err);
}

static void reverse(struct runes *r)
{
    for (size_t i = 0; i < r->n / 2; i++) {
        uint32_t c = r->v[i];
        r->v[i] = r->v[r->n - 1 - i];
        r->v[r->n - 1 - i] = c;
    }
}

int pattern_strip(const struct pattern_job *j, bool suffix, bool longest, struct buf *out,
                  struct err *err)
{
    auto_runes struct runes v = runes_decode(j->value, NULL);
    auto_arena struct arena a = ARENA_INIT;
    struct glob g = {0};

    int r = compile(j, &a, &g, err);
    if (r < 0)
        return r;
    if (suffix) {
        glob_reverse(&g);
        reverse(&v);
    }
    size_t n = glob_match_runes(&g, v.v, v.n, longest ? GLOB_LONGEST : GLOB_SHORTEST, j->budget);
    if (*j->budget == 0)
        return too_much(err);
    n = n == GLOB_NONE ? 0 : n;
    size_t cut = runes_len(j->value, suffix ? v.n - n : n);
    if (suffix)
        buf_put(out, j->value, cut);
    else
        buf_puts(out, j->value + cut);
    return 0;
}

int pattern_replace(const struct pattern_job *j, const char *with, bool all, struct buf *out,
                    struct err *err)
{
    auto_runes struct runes v = runes_decode(j->value, NULL);
    const char *text = j->value;
    auto_arena struct arena a = ARENA_INIT;
    struct glob g = {0};

    int r = compile(j, &a, &g, err);
    if (r < 0)
        return r;
    if (v.n == 0 && *j->pattern && glob_match_runes(&g, v.v, 0, GLOB_WHOLE, NULL) == 0)
        text = with; /* "*" takes nothing, too */
    for (size_t i = 0; i < v.n;) {
        size_t n = glob_match_runes(&g, v.v + i, v.n - i, GLOB_LONGEST, j->budget);
        bool found = n != GLOB_NONE && n > 0;
        size_t bytes = runes_len(text, found ? n : 1);
        if (found)
            buf_puts(out, with);
        else
            buf_put(out, text, bytes);
        if (*j->budget == 0 || out->len > EXPAND_MAX)
            return too_much(err);
        i += found ? n : 1;
        text += bytes;
        if (found && !all)
            break;
    }
    buf_puts(out, text);
    return 0;
}
