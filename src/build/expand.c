/*
 * A cursor walks over the text and appends to a result. The words behind a modifier are texts
 * again, so the walk is recursive, to a small depth. Where results are split into words, blanks
 * count that stood unquoted in the text or came from an unquoted variable.
 */
#include "build/expand.h"

#include <ctype.h>

#include "base/buf.h"
#include "build/expand-priv.h"
#include "build/words-priv.h"

#define DEPTH_MAX 32

struct walk {
    const struct expander *x;
    const char *p; /* what comes next */
    struct arena *a;
    struct err *err;
    size_t budget;
    unsigned depth;
    char escape;
    bool quotes; /* quotes group; false in heredocs */
};

struct result {
    struct buf text;    /* all of it; where words are wanted, the one being gathered */
    struct strv *words; /* NULL: no splitting */
    size_t total;       /* bytes of @words */
};

static void result_done(struct result *r)
{
    buf_done(&r->text);
}
#define auto_result __attribute__((__cleanup__(result_done), __unused__))

static int too_much(struct walk *w)
{
    return err_as(w->err, ERR_INVALID, E2BIG, "variables expand to too much");
}

static void flush_word(struct walk *w, struct result *r)
{
    if (r->words && r->text.len) {
        arena_push(w->a, *r->words) = arena_strdup(w->a, buf_str(&r->text));
        r->total += r->text.len;
        buf_clear(&r->text);
    }
}

static void put(struct walk *w, struct result *r, char c, bool quoted)
{
    if (r->words && !quoted && isspace((unsigned char)c))
        flush_word(w, r);
    else
        buf_putc(&r->text, c);
}

static int put_text(struct walk *w, struct result *r, const char *s, bool quoted)
{
    size_t n = strlen(s);

    if (n > w->budget || r->total + r->text.len + n > EXPAND_MAX)
        return too_much(w);
    w->budget -= n;
    for (; *s; s++)
        put(w, r, *s, quoted);
    return 0;
}

static int walk_to(struct walk *w, char stop, bool keep_escapes, struct result *r);

/* ---- $ ---- */

/* A name, a number, or one of the shell's special parameters; "" when there is none. */
static char *take_name(struct walk *w)
{
    const char *from = w->p, *p = from;

    if (isdigit((unsigned char)*p))
        while (isdigit((unsigned char)*p))
            p++;
    else if (*p && strchr("@*#?-$!", *p))
        p++;
    else
        while (isalnum((unsigned char)*p) || *p == '_')
            p++;
    w->p = p;
    return arena_strndup(w->a, from, (size_t)(p - from));
}

static const char *value_of(struct walk *w, const char *name, bool bare)
{
    const char *v = w->x->get(w->x->ctx, name);

    if (!v && bare && w->x->unset)
        w->x->unset(w->x->ctx, name);
    return v;
}

static int required(struct walk *w, const char *name, const char *why, const char *otherwise)
{
    return err_invalid(w->err, "%s: %s", name, *why ? why : otherwise);
}

/* ${NAME-word} and ${NAME:-word}; the same with + and ?. */
static int modified(struct walk *w, const char *name, char op, bool colon, struct result *r,
                    bool quoted)
{
    auto_result struct result word = {0};
    int ret = walk_to(w, '}', false, &word);

    if (ret < 0)
        return ret;
    const char *v = value_of(w, name, false), *text = buf_str(&word.text);
    bool set = v && (*v || !colon);
    if (op == '+')
        return set ? put_text(w, r, text, quoted) : 0;
    if (set)
        return put_text(w, r, v, quoted);
    if (op == '?')
        return required(w, name, text,
                        v ? "is not allowed to be empty" : "is not allowed to be unset");
    return put_text(w, r, text, quoted);
}

/* ${NAME#pattern}, ##, %, %% */
static int stripped(struct walk *w, const char *name, char op, struct result *r, bool quoted)
{
    auto_result struct result word = {0};
    auto_buf struct buf out = BUF_INIT;
    bool twice = *w->p == op;

    w->p += twice;
    int ret = walk_to(w, '}', true, &word);
    if (ret < 0)
        return ret;
    const char *v = value_of(w, name, false);
    struct pattern_job job = {buf_str(&word.text), str_or(v, ""), w->escape, &w->budget};
    ret = pattern_strip(&job, op == '%', twice, &out, w->err);
    return ret < 0 ? ret : put_text(w, r, buf_str(&out), quoted);
}

/* ${NAME/pattern/text}, and // for all */
static int replaced(struct walk *w, const char *name, struct result *r, bool quoted)
{
    auto_result struct result pattern = {0}, with = {0};
    auto_buf struct buf out = BUF_INIT;
    bool all = *w->p == '/';

    w->p += all;
    int ret = walk_to(w, '/', true, &pattern);
    if (ret >= 0)
        ret = walk_to(w, '}', false, &with);
    if (ret < 0)
        return ret;
    const char *v = value_of(w, name, false);
    struct pattern_job job = {buf_str(&pattern.text), str_or(v, ""), w->escape, &w->budget};
    ret = pattern_replace(&job, buf_str(&with.text), all, &out, w->err);
    return ret < 0 ? ret : put_text(w, r, buf_str(&out), quoted);
}

/* Behind "${". */
static int braced(struct walk *w, struct result *r, bool quoted)
{
    if (!*w->p)
        return err_invalid(w->err, "syntax error: missing '}'");
    if (strchr("{}:", *w->p))
        return err_invalid(w->err, "syntax error: bad substitution");
    const char *name = take_name(w);
    char op = *w->p;
    if (!op)
        return err_invalid(w->err, "syntax error: missing '}'");
    bool colon = op == ':';
    if (colon)
        op = *++w->p;
    if (op)
        w->p++;
    if (op && strchr("-+?", op))
        return modified(w, name, op, colon, r, quoted);
    if (!colon && (op == '#' || op == '%'))
        return stripped(w, name, op, r, quoted);
    if (!colon && op == '/')
        return replaced(w, name, r, quoted);
    if (!colon && op == '}')
        return put_text(w, r, str_or(value_of(w, name, true), ""), quoted);
    return err_invalid(w->err, "unsupported modifier (%s%.1s) in substitution", colon ? ":" : "",
                       op ? w->p - 1 : "");
}

/* Behind "$". */
static int dollar(struct walk *w, struct result *r, bool quoted)
{
    if (*w->p != '{') {
        const char *name = take_name(w);
        return put_text(w, r, *name ? str_or(value_of(w, name, true), "") : "$", quoted);
    }
    if (++w->depth > DEPTH_MAX)
        return err_invalid(w->err, "substitutions are nested too deeply");
    w->p++;
    int ret = braced(w, r, quoted);
    w->depth--;
    return ret;
}

/* ---- quotes ---- */

static int single(struct walk *w, struct result *r)
{
    for (; *w->p && *w->p != '\''; w->p++)
        put(w, r, *w->p, true);
    if (!*w->p)
        return err_invalid(w->err,
                           "unexpected end of statement while looking for matching single-quote");
    w->p++;
    return 0;
}

static int in_double(struct walk *w, bool keep_escapes, struct result *r)
{
    char c = *w->p++, next = *w->p;

    if (c == '$')
        return dollar(w, r, true);
    if (c == w->escape) {
        if (keep_escapes)
            put(w, r, c, true);
        if (!next)
            return 0;
        if (next == '"' || next == '$' || next == w->escape)
            c = *w->p++;
    }
    put(w, r, c, true);
    return 0;
}

static int doubled(struct walk *w, bool keep_escapes, struct result *r)
{
    int ret = 0;

    while (ret >= 0 && *w->p && *w->p != '"')
        ret = in_double(w, keep_escapes, r);
    if (ret < 0)
        return ret;
    if (!*w->p)
        return err_invalid(w->err,
                           "unexpected end of statement while looking for matching double-quote");
    w->p++;
    return 0;
}

/* ---- the walk ---- */

static void escaped(struct walk *w, bool keep_escapes, struct result *r)
{
    if (keep_escapes)
        put(w, r, w->escape, true);
    if (*w->p)
        put(w, r, *w->p++, true);
}

static int unclosed(struct walk *w, char stop)
{
    return err_invalid(w->err, "syntax error: missing '%c'%s", stop, stop == '/' ? " in ${}" : "");
}

/* Up to @stop, which is taken, or to the end of the text for 0. */
static int walk_to(struct walk *w, char stop, bool keep_escapes, struct result *r)
{
    int ret = 0;

    while (ret >= 0 && *w->p && *w->p != stop) {
        char c = *w->p++;
        if (c == '$')
            ret = dollar(w, r, false);
        else if (c == '\'' && w->quotes)
            ret = single(w, r);
        else if (c == '"' && w->quotes)
            ret = doubled(w, keep_escapes, r);
        else if (c == w->escape)
            escaped(w, keep_escapes, r);
        else
            put(w, r, c, false);
        if (ret >= 0 && r->total + r->text.len > EXPAND_MAX)
            ret = too_much(w);
    }
    if (ret < 0 || !stop)
        return ret;
    if (!*w->p)
        return unclosed(w, stop);
    w->p++;
    return 0;
}

/* Many results that are large, but not too large each, are too much as well. */
static int charge(struct walk *w, const struct result *r)
{
    size_t n = r->total + r->text.len;

    if (n > EXPAND_TOTAL_MAX ||
        __atomic_load_n(w->x->total, __ATOMIC_RELAXED) > EXPAND_TOTAL_MAX - n)
        return too_much(w);
    __atomic_fetch_add(w->x->total, n, __ATOMIC_RELAXED); /* stages run at once */
    return 0;
}

static int walk(const struct expander *x, const char *text, bool heredoc, struct arena *a,
                struct result *r, struct err *err)
{
    struct walk w = {.x = x,
                     .p = text,
                     .a = a,
                     .err = err,
                     .budget = EXPAND_BUDGET,
                     .escape = heredoc ? '\\' : x->escape,
                     .quotes = !heredoc};
    int ret = walk_to(&w, '\0', false, r);

    flush_word(&w, r);
    if (ret >= 0 && x->total)
        ret = charge(&w, r);
    return ret < 0 ? err_wrap(err, ret, "failed to process %s", text_quote(a, text)) : 0;
}

int expand_word(const struct expander *x, const char *text, struct arena *a, char **ret,
                struct err *err)
{
    auto_result struct result r = {0};
    int e = walk(x, text, false, a, &r, err);

    if (e >= 0)
        *ret = arena_strdup(a, buf_str(&r.text));
    return e;
}

int expand_words(const struct expander *x, const char *text, struct arena *a, struct strv *ret,
                 struct err *err)
{
    struct strv words = {0};
    auto_result struct result r = {.words = &words};
    int e = walk(x, text, false, a, &r, err);

    if (e >= 0)
        *ret = words;
    return e;
}

int expand_text(const struct expander *x, const char *text, struct arena *a, char **ret,
                struct err *err)
{
    auto_result struct result r = {0};
    int e = walk(x, text, true, a, &r, err);

    if (e >= 0)
        *ret = arena_strdup(a, buf_str(&r.text));
    return e;
}
