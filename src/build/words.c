#include "build/words-priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/buf.h"
#include "base/json.h"

#define QUOTE_MAX 200 /* bytes of a quoted text in a message */
#define SUGGEST_MAX 64
#define SUGGEST_NEAR 2

const char *text_skip(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

char *text_quote(struct arena *a, const char *s)
{
    auto_buf struct buf out = BUF_INIT;
    size_t n = strlen(s);

    buf_putc(&out, '"');
    for (size_t i = 0; i < n && i < QUOTE_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            buf_printf(&out, "\\%c", c);
        else if (c == '\n' || c == '\t')
            buf_puts(&out, c == '\n' ? "\\n" : "\\t");
        else if (c < ' ' || c == 0x7f)
            buf_printf(&out, "\\x%02x", c);
        else
            buf_putc(&out, (char)c);
    }
    buf_puts(&out, n > QUOTE_MAX ? "...\"" : "\"");
    return arena_strdup(a, buf_str(&out));
}

struct strv words_blank(struct arena *a, const char *text)
{
    struct strv v = {0};

    for (const char *p = text_skip(text), *end; *p; p = text_skip(end)) {
        for (end = p; *end && !isspace((unsigned char)*end); end++)
            ;
        arena_push(a, v) = arena_strndup(a, p, (size_t)(end - p));
    }
    return v;
}

/* The end of the word at @p. *ret_open is only ever set. */
static const char *word_end(const char *p, char escape, bool *ret_open)
{
    char quote = '\0';

    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (*p == escape && quote != '\'' && p[1])
            p++;
        else if (*p == quote)
            quote = '\0';
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
    }
    *ret_open |= quote != '\0';
    return p;
}

struct strv words_quoted(struct arena *a, const char *text, char escape, bool *ret_open)
{
    struct strv v = {0};
    bool open = false;

    for (const char *p = text_skip(text), *end; *p; p = text_skip(end)) {
        end = word_end(p, escape, &open);
        arena_push(a, v) = arena_strndup(a, p, (size_t)(end - p));
    }
    if (ret_open)
        *ret_open = open;
    return v;
}

/* A word without its quotes and escapes. */
static char *plain(struct arena *a, const char *p, const char *end)
{
    char *out = arena_alloc(a, (size_t)(end - p) + 1), *o = out, quote = '\0';

    for (; p < end; p++) {
        if (*p == '\\' && quote != '\'' && p + 1 < end)
            *o++ = *++p;
        else if (*p == quote)
            quote = '\0';
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else
            *o++ = *p;
    }
    return out;
}

const char *words_flags(const char *text, struct arena *a, struct strv *ret)
{
    bool open = false;
    const char *p = text_skip(text), *end;

    for (; p[0] == '-' && p[1] == '-'; p = text_skip(end)) {
        end = word_end(p, '\\', &open);
        if (end - p == 2)
            return text_skip(end);
        if (ret)
            arena_push(a, *ret) = plain(a, p, end);
    }
    return p;
}

int words_json(struct arena *a, const char *text, struct strv *ret, struct err *err)
{
    struct json *j = NULL;
    struct strv v = {0};

    text = text_skip(text);
    if (*text != '[' || json_parse(text, strlen(text), a, &j, NULL) < 0 || j->kind != JSON_ARRAY)
        return 0;
    if (!j->child)
        v.v = arena_alloc(a, sizeof(char *));
    for (const struct json *e = j->child; e; e = e->next) {
        if (e->kind != JSON_STRING || strlen(e->text) != e->n)
            return err_invalid(err, "when using JSON array syntax, arrays must be comprised of "
                                    "strings only");
        strv_push(a, &v, e->text);
    }
    *ret = v;
    return 1;
}

static bool same(char a, char b, bool fold)
{
    return fold ? tolower((unsigned char)a) == tolower((unsigned char)b) : a == b;
}

/* Levenshtein's distance, row by row; both are short. */
static size_t distance(const char *a, const char *b, bool fold)
{
    size_t row[SUGGEST_MAX + 1], nb = strlen(b);

    for (size_t k = 0; k <= nb; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < nb; k++) {
            size_t cost = corner + !same(a[i], b[k], fold);
            corner = row[k + 1];
            if (corner + 1 < cost)
                cost = corner + 1;
            if (row[k] + 1 < cost)
                cost = row[k] + 1;
            row[k + 1] = cost;
        }
    }
    return row[nb];
}

char *suggest(struct arena *a, const char *word, const char *const *options, size_t n, bool fold)
{
    return suggest_as(a, word, options, n, fold, "");
}

char *suggest_as(struct arena *a, const char *word, const char *const *options, size_t n, bool fold,
                 const char *prefix)
{
    size_t best = SUGGEST_NEAR + 1;
    const char *found = NULL;

    for (size_t i = 0; i < n && strlen(word) <= SUGGEST_MAX; i++) {
        if (strlen(options[i]) > SUGGEST_MAX)
            continue;
        size_t d = distance(word, options[i], fold);
        if (d == 0)
            return arena_strdup(a, "");
        if (d < best) {
            best = d;
            found = options[i];
        }
    }
    return found ? arena_printf(a, " (did you mean %s%s?)", prefix, found) : arena_strdup(a, "");
}
