/*
 * One pass over the file's lines. The lines themselves are one copy of the text, cut at its
 * newlines; an instruction is gathered in a buffer and stored when it is complete.
 */
#include "build/dockerfile.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/buf.h"
#include "build/heredoc-priv.h"
#include "build/words-priv.h"

static const char bom[] = "\xef\xbb\xbf";

struct parser {
    struct dockerfile *d;
    struct arena *a;
    struct err *err;
    size_t at;       /* index of the next line */
    char *escape;    /* the directive's text */
    bool directives; /* nothing but directives has been seen */
    struct buf comment;
};

static int fail(struct parser *p, size_t line, const char *what)
{
    return err_invalid(p->err, "dockerfile parse error on line %zu: %s", line, what);
}

static int too_big(struct parser *p, size_t line)
{
    return err_as(p->err, ERR_INVALID, E2BIG,
                  "dockerfile parse error on line %zu: instruction is longer than %u bytes", line,
                  DOCKERFILE_LINE_MAX);
}

static char *next_line(struct parser *p)
{
    return p->at < p->d->lines.n ? p->d->lines.v[p->at++] : NULL;
}

/* Length without the carriage return of a file from Windows. */
static size_t line_len(const char *line)
{
    size_t n = strlen(line);

    while (n > 0 && line[n - 1] == '\r')
        n--;
    return n;
}

/* ---- directives and comments ---- */

/* "# key = value". Return: the value in the arena, *ret_key set; NULL when it is none. */
static char *directive(struct parser *p, const char *comment, char **ret_key)
{
    const char *key = text_skip(comment), *end = key;

    while (isalnum((unsigned char)*end))
        end++;
    const char *eq = text_skip(end);
    if (!isalpha((unsigned char)*key) || *eq != '=')
        return NULL;
    char *value = str_trim(p->a, eq + 1, strlen(eq + 1));
    if (!*value)
        return NULL;
    *ret_key = arena_strndup(p->a, key, (size_t)(end - key));
    return value;
}

static int set_escape(struct parser *p, const char *value)
{
    if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
        return fail(p, p->at,
                    arena_printf(p->a, "invalid escape token '%s' does not match ` or \\", value));
    p->d->escape = *value;
    return 0;
}

/* Return: 1 it was one; 0 it is a comment like others, and no directive comes after it; -EINVAL. */
static int take_directive(struct parser *p, const char *comment)
{
    static const char *const names[] = {"syntax", "check", "escape"};
    char *key = NULL, **to[] = {&p->d->syntax, &p->d->check, &p->escape};
    char *value = directive(p, comment, &key);

    for (size_t i = 0; value && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(key, names[i]) != 0)
            continue;
        if (*to[i])
            return fail(p, p->at,
                        arena_printf(p->a, "only one %s parser directive can be used", names[i]));
        *to[i] = value;
        int r = to[i] == &p->escape ? set_escape(p, value) : 0;
        return r < 0 ? r : 1;
    }
    return 0;
}

/* A comment outside of instructions; @text: behind its "#". */
static int take_comment(struct parser *p, const char *text)
{
    if (p->directives && p->at == 1 && *text == '!')
        return 0; /* a file that names its interpreter */
    int r = p->directives ? take_directive(p, text) : 0;
    if (r != 0)
        return r < 0 ? r : 0;
    p->directives = false;
    char *line = str_trim(p->a, text, strlen(text));
    if (!*line)
        buf_clear(&p->comment);
    else
        buf_printf(&p->comment, "%s%s", p->comment.len ? "\n" : "", line);
    return 0;
}

/* ---- lines of an instruction ---- */

/* Appends a line without its continuation mark. Return: does the next one belong to it? */
static bool put_line(struct parser *p, const char *line, struct buf *out)
{
    size_t n = line_len(line), end = n;
    char esc = p->d->escape;

    while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    bool more = end > 0 && line[end - 1] == esc && (end < 2 || line[end - 2] != esc);
    buf_put(out, line, more ? end - 1 : n);
    return more;
}

/* Lines up to the one without a mark; comments between them are dropped. */
static int join(struct parser *p, const char *first, struct df_line *l, struct buf *out)
{
    bool more = put_line(p, first, out);
    char *line;

    while (more && (line = next_line(p))) {
        const char *text = text_skip(line);
        if (*text == '#')
            continue;
        if (*text)
            more = put_line(p, line, out);
        else if (p->at < p->d->lines.n) /* not what is behind the last newline */
            l->blank_inside = true;
        if (out->len > DOCKERFILE_LINE_MAX)
            return too_big(p, l->line);
    }
    return out->len > DOCKERFILE_LINE_MAX ? too_big(p, l->line) : 0;
}

/* ---- heredocs ---- */

static bool takes_heredocs(const struct df_line *l, struct arena *a)
{
    const char *name = l->keyword, *rest = l->rest;
    struct strv words;

    if (strcasecmp(name, "ONBUILD") == 0) {
        size_t n = strcspn(rest, " \t");
        name = arena_strndup(a, rest, n);
        rest = text_skip(rest + n);
    }
    if (strcasecmp(name, "RUN") != 0 && strcasecmp(name, "COPY") != 0 &&
        strcasecmp(name, "ADD") != 0)
        return false;
    return words_json(a, words_flags(rest, NULL, NULL), &words, NULL) <= 0;
}

static int read_body(struct parser *p, const struct df_line *l, struct df_heredoc *h, bool tabs,
                     size_t *total)
{
    auto_buf struct buf body = BUF_INIT;
    char *line;

    while ((line = next_line(p))) {
        while (tabs && *line == '\t')
            line++;
        size_t n = line_len(line);
        if (n == strlen(h->name) && memcmp(line, h->name, n) == 0) {
            h->body = arena_strdup(p->a, buf_str(&body));
            return 0;
        }
        buf_puts(&body, line);
        buf_putc(&body, '\n');
        if (*total + body.len > DOCKERFILE_LINE_MAX)
            return too_big(p, l->line);
    }
    *total += body.len;
    return fail(p, l->line, "unterminated heredoc");
}

static int read_heredocs(struct parser *p, struct df_line *l)
{
    size_t total = strlen(l->rest);
    bool open = false;

    if (!strstr(l->rest, "<<") || !takes_heredocs(l, p->a))
        return 0;
    struct strv words = words_quoted(p->a, l->rest, '\\', &open);
    for (size_t i = 0; !open && i < words.n; i++) {
        bool tabs = false;
        struct df_heredoc *h = heredoc_word(p->a, words.v[i], &tabs);
        if (!h)
            continue;
        int r = read_body(p, l, h, tabs, &total);
        if (r < 0)
            return r;
        total += strlen(h->body);
        arena_push(p->a, l->heredocs) = h;
    }
    return 0;
}

/* ---- the file ---- */

static void split(struct parser *p, struct df_line *l, const char *text)
{
    const char *end = text;

    while (*end && !isspace((unsigned char)*end))
        end++;
    l->keyword = arena_strndup(p->a, text, (size_t)(end - text));
    l->rest = str_trim(p->a, end, strlen(end));
    if (p->comment.len)
        l->comment = arena_strdup(p->a, buf_str(&p->comment));
    buf_clear(&p->comment);
}

static int instruction(struct parser *p, const char *first)
{
    auto_buf struct buf text = BUF_INIT;
    struct df_line *l = arena_new(p->a, struct df_line);

    l->line = (unsigned)p->at;
    if (p->d->code.n >= DOCKERFILE_CODE_MAX)
        return err_as(p->err, ERR_INVALID, E2BIG,
                      "dockerfile parse error on line %u: more than %d instructions", l->line,
                      DOCKERFILE_CODE_MAX);
    int r = join(p, first, l, &text);
    if (r < 0)
        return r;
    const char *code = text_skip(buf_str(&text));
    if (!*code)
        return 0; /* a mark that continues nothing */
    split(p, l, code);
    r = read_heredocs(p, l);
    l->end_line = (unsigned)p->at;
    arena_push(p->a, p->d->code) = l;
    return r;
}

static int parse_lines(struct parser *p)
{
    char *line;
    int r = 0;

    while (r >= 0 && (line = next_line(p))) {
        const char *text = text_skip(line);
        if (*text == '#') {
            r = take_comment(p, text + 1);
            continue;
        }
        p->directives = false;
        if (*text)
            r = instruction(p, text);
        else
            buf_clear(&p->comment);
    }
    return r;
}

/* Cuts a copy of the text into lines. */
static void cut(struct dockerfile *d, const char *text, size_t len, struct arena *a)
{
    char *copy = arena_strndup(a, text, len), *nl;
    size_t n = 1;

    for (const char *s = copy; (s = strchr(s, '\n')); s++)
        n++;
    d->lines.v = arena_alloc(a, n * sizeof(char *));
    do {
        nl = strchr(copy, '\n');
        d->lines.v[d->lines.n++] = copy;
        if (nl) {
            *nl = '\0';
            copy = nl + 1;
        }
    } while (nl);
}

int dockerfile_parse(const char *text, size_t len, struct arena *a, struct dockerfile *ret,
                     struct err *err)
{
    struct dockerfile d = {.escape = '\\'};
    struct parser p = {.d = &d, .a = a, .err = err, .directives = true};

    if (len > DOCKERFILE_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "dockerfile is larger than %u bytes",
                      DOCKERFILE_MAX);
    if (len >= strlen(bom) && memcmp(text, bom, strlen(bom)) == 0) {
        text += strlen(bom);
        len -= strlen(bom);
    }
    if (len && memchr(text, '\0', len))
        return err_invalid(err, "dockerfile parse error: the file has a NUL byte");
    cut(&d, text, len, a);
    int r = parse_lines(&p);
    buf_done(&p.comment);
    if (r < 0)
        return r;
    if (d.code.n == 0)
        return err_invalid(err, "file with no instructions");
    *ret = d;
    return 0;
}
