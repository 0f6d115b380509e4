#include "base/glob.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum kind {
    CHAR,
    ONE,    /* a character, no slash */
    ANY,    /* a character */
    STAR,   /* characters, no slash; may be none */
    ALL,    /* characters; may be none */
    DEEP,   /* directories with their slashes; may be none. INSIDE follows */
    INSIDE, /* within DEEP: on at every slash */
    CLASS,  /* one of some ranges, no slash */
};

struct range {
    uint32_t from, to;
};

struct glob_token {
    enum kind kind;
    uint32_t c;           /* CHAR */
    struct range *ranges; /* CLASS */
    size_t n;
    bool negated;
};

/* ---- compiling ---- */

struct compiler {
    const uint32_t *p, *end;
    struct arena *a;
    struct glob g;
};

static void add(struct compiler *c, enum kind kind, uint32_t ch)
{
    bool again = c->g.n && (kind == STAR || kind == ALL) && c->g.v[c->g.n - 1].kind == kind;

    if (!again) /* "***" is no more than "**" */
        arena_push(c->a, c->g) = (struct glob_token){.kind = kind, .c = ch};
}

/* A bound of a range. Return: false where there is none. */
static bool take_bound(struct compiler *c, uint32_t *ret)
{
    if (c->p < c->end && *c->p == '\\')
        c->p++;
    else if (c->p == c->end || *c->p == '-' || *c->p == ']')
        return false;
    if (c->p == c->end)
        return false;
    *ret = *c->p++;
    return true;
}

/* Behind "[". */
static bool take_class(struct compiler *c)
{
    struct glob_token t = {.kind = CLASS};
    struct {
        struct range *v;
        size_t n;
    } v = {0};

    if (c->p < c->end && *c->p == '^') {
        t.negated = true;
        c->p++;
    }
    while (c->p < c->end && (*c->p != ']' || v.n == 0)) {
        struct range r;
        if (!take_bound(c, &r.from))
            return false;
        r.to = r.from;
        if (c->p < c->end && *c->p == '-') {
            c->p++;
            if (!take_bound(c, &r.to))
                return false;
        }
        arena_push(c->a, v) = r;
    }
    if (c->p == c->end)
        return false;
    c->p++;
    t.ranges = v.v;
    t.n = v.n;
    arena_push(c->a, c->g) = t;
    return true;
}

static bool is_literal(const uint32_t *p, const uint32_t *end)
{
    for (; p < end; p++)
        if (*p == '*' || *p == '?' || *p == '[' || *p == '\\')
            return false;
    return true;
}

/* Behind the first "*". "**" is directories, but any text at the end; "**x" is "ends with x". */
static void take_star(struct compiler *c, bool first)
{
    if (c->p == c->end || *c->p != '*') {
        add(c, STAR, 0);
        return;
    }
    c->p++;
    bool slash = c->p < c->end && *c->p == '/';
    c->p += slash;
    if (c->p == c->end || (first && !slash && is_literal(c->p, c->end))) {
        add(c, ALL, 0);
        return;
    }
    if (c->g.n && c->g.v[c->g.n - 1].kind == INSIDE)
        return; /* nor is "**" twice */
    add(c, DEEP, 0);
    add(c, INSIDE, 0);
}

int glob_path(const char *pattern, struct arena *a, struct glob *ret, struct err *err)
{
    struct runes r = runes_decode(pattern, a);
    struct compiler c = {.p = r.v, .end = r.v + r.n, .a = a};
    bool good = true;

    while (good && c.p < c.end) {
        const uint32_t *at = c.p;
        uint32_t ch = *c.p++;
        if (ch == '*')
            take_star(&c, at == r.v);
        else if (ch == '?')
            add(&c, ONE, 0);
        else if (ch == '[')
            good = take_class(&c);
        else if (ch != '\\')
            add(&c, CHAR, ch);
        else if ((good = c.p < c.end))
            add(&c, CHAR, *c.p++);
    }
    if (!good)
        return err_invalid(err, "syntax error in pattern: %s", pattern);
    *ret = c.g;
    return 0;
}

int glob_shell(const char *pattern, char escape, struct arena *a, struct glob *ret, struct err *err)
{
    struct runes r = runes_decode(pattern, a);
    struct compiler c = {.p = r.v, .end = r.v + r.n, .a = a};

    while (c.p < c.end) {
        uint32_t ch = *c.p++, esc = (unsigned char)escape, next = c.p < c.end ? *c.p : 0;
        if (ch == esc && next != '*' && next != '?' && next != esc && next != '}' && next != '/')
            return err_invalid(err, "invalid pattern (%s) in substitution: invalid escape",
                               pattern);
        if (ch == esc)
            add(&c, CHAR, *c.p++);
        else
            add(&c, ch == '*' ? ALL : ch == '?' ? ANY : CHAR, ch);
    }
    *ret = c.g;
    return 0;
}

void glob_reverse(struct glob *g)
{
    for (size_t i = 0; i < g->n / 2; i++) {
        struct glob_token t = g->v[i];
        g->v[i] = g->v[g->n - 1 - i];
        g->v[g->n - 1 - i] = t;
    }
}

/* ---- matching ---- */

#define PLACES_SMALL 64

/* Places in the pattern, each once; @seen tells by the number of the round. */
struct places {
    size_t *v, n;
};

struct run {
    const struct glob *g;
    struct places now, then;
    size_t *seen, round;
    size_t small[3 * (PLACES_SMALL + 1)], *heap;
};

static void run_init(struct run *r, const struct glob *g)
{
    size_t n = g->n + 1, *at = r->small;

    r->g = g;
    r->heap = NULL;
    if (g->n > PLACES_SMALL)
        at = r->heap = xmalloc(3 * n * sizeof(size_t));
    r->now = (struct places){at, 0};
    r->then = (struct places){at + n, 0};
    r->seen = at + 2 * n;
    memset(r->seen, 0, n * sizeof(size_t));
    r->round = 1;
}

/* What may match nothing is passed as soon as it is reached. */
static void reach(struct run *r, size_t at)
{
    while (r->seen[at] != r->round) {
        r->seen[at] = r->round;
        r->then.v[r->then.n++] = at;
        enum kind k = at < r->g->n ? r->g->v[at].kind : CHAR;
        if (k != STAR && k != ALL && k != DEEP)
            return;
        at += k == DEEP ? 2 : 1;
    }
}

static bool in_class(const struct glob_token *t, uint32_t c)
{
    bool in = false;

    for (size_t i = 0; i < t->n && !in; i++)
        in = t->ranges[i].from <= c && c <= t->ranges[i].to;
    return c != '/' && in != t->negated;
}

/* Where one place leads with a character. */
static void step(struct run *r, size_t at, uint32_t c)
{
    const struct glob_token *t = &r->g->v[at];

    switch (t->kind) {
    case CHAR:
    case ONE:
    case ANY:
    case CLASS:
        if (t->kind == CHAR    ? t->c == c
            : t->kind == ONE   ? c != '/'
            : t->kind == CLASS ? in_class(t, c)
                               : true)
            reach(r, at + 1);
        return;
    case STAR:
        if (c != '/')
            reach(r, at);
        return;
    case ALL:
        reach(r, at);
        return;
    case DEEP:
        step(r, at + 1, c);
        return;
    case INSIDE:
        reach(r, at);
        if (c == '/')
            reach(r, at + 1);
        return;
    }
}

static void swap(struct run *r)
{
    struct places p = r->now;

    r->now = r->then;
    r->then = p;
    r->then.n = 0;
    r->round++;
}

static bool accepted(const struct run *r)
{
    return r->seen[r->g->n] == r->round - 1;
}

static bool wanted(enum glob_want want, const uint32_t *s, size_t i, size_t n)
{
    bool border = i == n || s[i] == '/';

    return want == GLOB_SHORTEST || want == GLOB_LONGEST || (want == GLOB_WHOLE ? i == n : border);
}

size_t glob_match_runes(const struct glob *g, const uint32_t *s, size_t n, enum glob_want want,
                        size_t *budget)
{
    size_t found = GLOB_NONE, left = budget ? *budget : SIZE_MAX;
    struct run r;

    run_init(&r, g);
    reach(&r, 0);
    swap(&r);
    for (size_t i = 0; i <= n && r.now.n && left; i++) {
        if (accepted(&r) && wanted(want, s, i, n)) {
            found = i;
            if (want != GLOB_LONGEST)
                break;
        }
        /* A file below has a slash behind the text, and a name. */
        if (i == n && want != GLOB_BELOW)
            break;
        for (size_t k = 0; k < r.now.n; k++)
            if (r.now.v[k] < g->n)
                step(&r, r.now.v[k], i < n ? s[i] : '/');
        left -= r.now.n < left ? r.now.n : left;
        swap(&r);
    }
    if (want == GLOB_BELOW && found == GLOB_NONE && r.now.n)
        found = n;
    free(r.heap);
    if (budget)
        *budget = left;
    return left ? found : GLOB_NONE;
}
