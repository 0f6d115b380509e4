#include "distribution/challenge.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/*
 * The grammar is ambiguous at commas: what follows one is a parameter if it has a "=", else the
 * next scheme. "Scheme token68" (Negotiate) has a lone word instead of parameters; it is skipped.
 */

static size_t token_len(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("!#$%&'*+-.^_`|~", s[n])))
        n++;
    return n;
}

static const char *blanks(const char *s)
{
    return s + strspn(s, " \t");
}

static const char *separators(const char *s)
{
    return s + strspn(s, " \t,");
}

static char *lower(struct arena *a, const char *s, size_t n)
{
    char *out = arena_strndup(a, s, n);

    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

/* A quoted string at *@p, which is left behind it. */
static int quoted(const char **p, struct arena *a, char **ret, struct err *err)
{
    const char *s = *p + 1;
    char *out = arena_alloc(a, strlen(s) + 1);
    size_t n = 0;

    for (; *s && *s != '"'; s++) {
        if (*s == '\\' && s[1])
            s++;
        out[n++] = *s;
    }
    if (!*s)
        return err_invalid(err, "challenge: unfinished string");
    *p = s + 1;
    *ret = out;
    return 0;
}

/* "key = value" at *@p. Return: 1; 0: there is none here; -EINVAL. */
static int param(const char **p, struct arena *a, struct challenge *c, struct err *err)
{
    size_t n = token_len(*p);
    const char *eq = blanks(*p + n), *val = *eq == '=' ? blanks(eq + 1) : NULL;
    char *key = NULL, *text = NULL;

    /* "YII=" is the padding of a token68, not a parameter without a value. */
    if (n == 0 || !val || (*val != '"' && token_len(val) == 0))
        return 0;
    if (c->params.n == CHALLENGE_PARAMS_MAX)
        return err_invalid(err, "challenge: more than %d parameters", CHALLENGE_PARAMS_MAX);
    key = lower(a, *p, n);
    if (*val == '"') {
        int r = quoted(&val, a, &text, err);
        if (r < 0)
            return r;
    } else {
        /* Not only tokens: realms are found without quotes, too. */
        size_t len = strcspn(val, " \t,\"");
        text = arena_strndup(a, val, len);
        val += len;
    }
    if (!strmap_get(&c->params, key))
        strmap_set(a, &c->params, key, text);
    *p = val;
    return 1;
}

static int params(const char **p, struct arena *a, struct challenge *c, struct err *err)
{
    int r = 1;

    while (r > 0) {
        const char *at = separators(*p);
        r = param(&at, a, c, err);
        if (r > 0)
            *p = at;
    }
    return r;
}

/* A lone word behind the scheme: token68. */
static const char *skip_token68(const char *s)
{
    const char *p = blanks(s);
    size_t n = 0;

    while (isalnum((unsigned char)p[n]) || (p[n] && strchr("-._~+/=", p[n])))
        n++;
    const char *end = blanks(p + n);
    return n > 0 && (*end == ',' || !*end) ? end : s;
}

int challenge_parse(const char *text, struct arena *a, struct challenges *ret, struct err *err)
{
    if (strnlen(text, CHALLENGE_TEXT_MAX + 1) > CHALLENGE_TEXT_MAX)
        return err_invalid(err, "challenge: longer than %d bytes", CHALLENGE_TEXT_MAX);
    for (const char *p = separators(text); *p; p = separators(p)) {
        size_t n = token_len(p);
        if (n == 0 || (p[n] && !strchr(" \t,", p[n])))
            return err_invalid(err, "challenge: malformed");
        if (ret->n == CHALLENGES_MAX)
            return err_invalid(err, "challenge: more than %d", CHALLENGES_MAX);
        struct challenge c = {.scheme = lower(a, p, n)};
        p += n;
        const char *at = p;
        int r = params(&p, a, &c, err);
        if (r < 0)
            return r;
        if (p == at)
            p = skip_token68(p);
        else if (*blanks(p) && *blanks(p) != ',')
            return err_invalid(err, "challenge: malformed");
        arena_push(a, *ret) = c;
    }
    return 0;
}

const struct challenge *challenge_find(const struct challenges *c, const char *scheme)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].scheme, scheme) == 0)
            return &c->v[i];
    return NULL;
}
