/*
 * A pattern is matched as a set of places in it, all moved on together by each character of the
 * value: time is the product of the two lengths, whatever the pattern. Both are arrays of code
 * points, so that "?" takes a character and a suffix is a prefix of the reversed.
 */
#include "build/expand-priv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/str.h"
#include "build/expand.h"

#define ANY UINT32_MAX        /* "?" */
#define STAR (UINT32_MAX - 1) /* "*" */
#define NO_MATCH SIZE_MAX

struct text {
    uint32_t *v; /* code points; a byte that is no UTF-8 counts as one, with this bit */
    size_t n;
};
#define RAW_BYTE 0x80000000u

static void text_done(struct text *t)
{
    free(t->v);
}
#define auto_text __attribute__((__cleanup__(text_done), __unused__))

static size_t sequence(const char *s)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return strnlen(s, n) == n && str_valid_utf8(s, n) ? n : 0;
}

static struct text decode(const char *s)
{
    struct text t = {.v = xcalloc(strlen(s) + 1, sizeof(uint32_t))};

    while (*s) {
        size_t n = sequence(s);
        uint32_t c = (unsigned char)*s;
        if (n == 0)
            c |= RAW_BYTE;
        for (size_t i = 1; i < n; i++)
            c = c << 8 | (unsigned char)s[i]; /* the bytes, packed: only equality counts */
        t.v[t.n++] = c;
        s += n ? n : 1;
    }
    return t;
}

static void encode(const uint32_t *v, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t c = v[i];
        if ((c & RAW_BYTE) && c <= (RAW_BYTE | 0xff))
            c &= 0xff;
        for (int shift = 24; shift >= 0; shift -= 8)
            if (c >> shift || shift == 0)
                buf_putc(out, (char)(c >> shift & 0xff));
    }
}

static void reverse(struct text *t)
{
    for (size_t i = 0; i < t->n / 2; i++) {
        uint32_t c = t->v[i];
        t->v[i] = t->v[t->n - 1 - i];
        t->v[t->n - 1 - i] = c;
    }
}

/* Escapes and wildcards of a decoded pattern become tokens, in place. */
static int compile(const struct pattern_job *j, struct text *p, struct err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++) {
        uint32_t c = p->v[i], next = i + 1 < p->n ? p->v[i + 1] : 0;
        if (c == (unsigned char)j->escape) {
            if (next != '*' && next != '?' && next != c && next != '}' && next != '/')
                return err_invalid(err, "invalid pattern (%s) in substitution: invalid escape",
                                   j->pattern);
            c = next;
            i++;
        } else if (c == '*') {
            c = STAR;
        } else if (c == '?') {
            c = ANY;
        }
        if (c != STAR || n == 0 || p->v[n - 1] != STAR)
            p->v[n++] = c;
    }
    p->n = n;
    return 0;
}

/* A place behind a star is reached together with the star. */
static void reach(const struct text *p, bool *set, size_t at)
{
    set[at] = true;
    while (at < p->n && p->v[at] == STAR)
        set[++at] = true;
}

/* One character. Return: is there a place left? */
static bool step(const struct text *p, const bool *from, bool *to, uint32_t c)
{
    bool left = false;

    memset(to, 0, p->n + 1);
    for (size_t i = 0; i < p->n; i++) {
        if (!from[i])
            continue;
        if (p->v[i] == STAR)
            reach(p, to, i);
        else if (p->v[i] == ANY || p->v[i] == c)
            reach(p, to, i + 1);
        else
            continue;
        left = true;
    }
    return left;
}

/* How many characters of @s from its start match; *ret is NO_MATCH when none do. */
static int match(const struct text *p, const uint32_t *s, size_t n, bool longest, size_t *work,
                 size_t *ret, struct err *err)
{
    auto_free bool *sets = xcalloc(2 * (p->n + 1), 1);
    bool *now = sets, *then = sets + p->n + 1;

    *ret = NO_MATCH;
    reach(p, now, 0);
    for (size_t i = 0;; i++) {
        if (now[p->n])
            *ret = i;
        if (i == n || (now[p->n] && !longest))
            return 0;
        *work += p->n + 1;
        if (*work > EXPAND_WORK_MAX)
            return err_as(err, ERR_INVALID, E2BIG, "variables expand to too much");
        bool left = step(p, now, then, s[i]);
        bool *swap = now;
        now = then;
        then = swap;
        if (!left)
            return 0;
    }
}

int pattern_strip(const struct pattern_job *j, bool suffix, bool longest, struct buf *out,
                  struct err *err)
{
    auto_text struct text p = decode(j->pattern), v = decode(j->value);
    size_t n = 0;

    int r = compile(j, &p, err);
    if (r >= 0 && suffix) {
        reverse(&p);
        reverse(&v);
    }
    if (r >= 0)
        r = match(&p, v.v, v.n, longest, j->work, &n, err);
    if (r < 0)
        return r;
    n = n == NO_MATCH ? 0 : n;
    if (suffix)
        reverse(&v);
    encode(v.v + (suffix ? 0 : n), v.n - n, out);
    return 0;
}

int pattern_replace(const struct pattern_job *j, const char *with, bool all, struct buf *out,
                    struct err *err)
{
    auto_text struct text p = decode(j->pattern), v = decode(j->value);
    bool done = false;
    size_t n = 0;

    int r = compile(j, &p, err);
    for (size_t i = 0; r >= 0 && i < v.n; i += n) {
        if (!done)
            r = match(&p, v.v + i, v.n - i, true, j->work, &n, err);
        if (r < 0)
            return r;
        if (done || n == NO_MATCH || n == 0) {
            n = 1;
            encode(v.v + i, n, out);
            continue;
        }
        buf_puts(out, with);
        done = !all;
        if (out->len > EXPAND_MAX)
            return err_as(err, ERR_INVALID, E2BIG, "variables expand to too much");
    }
    return r;
}
