/*
 * JSON text to a tree in an arena. Recursive descent with a depth limit; everything is checked
 * here (syntax, UTF-8, duplicate keys), so that code above may trust a tree.
 */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DUP_SCAN 12 /* up to this many members pairwise comparison beats sorting */

struct parser {
    const char *start, *p, *end;
    struct arena *a;
    struct err *err;
    int depth;
};

static int fail(struct parser *ps, const char *what)
{
    return err_invalid(ps->err, "invalid JSON at byte %zu: %s", (size_t)(ps->p - ps->start), what);
}

static void skip_space(struct parser *ps)
{
    while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\t' || *ps->p == '\r'))
        ps->p++;
}

static int hex4(const char *p, uint32_t *ret)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : 16;
        if (d == 16)
            return -EINVAL;
        v = v << 4 | d;
    }
    *ret = v;
    return 0;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* The four digits behind "\u" at ps->p; a pair of surrogates is one code point, a lone one U+FFFD.
 */
static int unescape_u(struct parser *ps, char **to)
{
    uint32_t c, low;

    if (ps->end - ps->p < 4 || hex4(ps->p, &c) < 0)
        return fail(ps, "bad \\u escape");
    ps->p += 4;
    if (c >= 0xd800 && c < 0xdc00 && ps->end - ps->p >= 6 && ps->p[0] == '\\' && ps->p[1] == 'u' &&
        hex4(ps->p + 2, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        ps->p += 6;
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    if (c == 0)
        return fail(ps, "a string must not contain U+0000");
    *to = put_utf8(*to, c);
    return 0;
}

static int unescape(struct parser *ps, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";

    if (ps->p == ps->end)
        return fail(ps, "unexpected end");
    char c = *ps->p++;
    if (c == 'u')
        return unescape_u(ps, to);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return fail(ps, "unknown escape");
    *(*to)++ = into[at - from];
    return 0;
}

/* Behind the opening quote. The unescaped text is never longer than the escaped one. */
static int parse_string(struct parser *ps, const char **ret, uint32_t *ret_len)
{
    const char *q = ps->p;

    while (q < ps->end && *q != '"') {
        if (*q == '\\' && q + 1 < ps->end)
            q++;
        q++;
    }
    if (q >= ps->end)
        return fail(ps, "unterminated string");
    if (q - ps->p > INT32_MAX)
        return fail(ps, "string too long");
    char *text = arena_alloc(ps->a, (size_t)(q - ps->p) + 1), *to = text;
    while (*ps->p != '"') {
        unsigned char c = (unsigned char)*ps->p++;
        if (c < 0x20)
            return fail(ps, "control character in string");
        if (c != '\\') {
            *to++ = (char)c;
            continue;
        }
        int r = unescape(ps, &to);
        if (r < 0)
            return r;
    }
    ps->p++;
    *to = '\0';
    if (!str_valid_utf8(text, (size_t)(to - text)))
        return fail(ps, "string is not UTF-8");
    *ret = text;
    *ret_len = (uint32_t)(to - text);
    return 0;
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static int parse_number(struct parser *ps, struct json *j)
{
    const char *p = ps->p, *from;

    if (p < ps->end && *p == '-')
        p++;
    from = p;
    p = digits(p, ps->end);
    if (p == from || (*from == '0' && p - from > 1))
        return fail(ps, "bad number");
    if (p < ps->end && *p == '.') {
        from = ++p;
        p = digits(p, ps->end);
        if (p == from)
            return fail(ps, "bad number");
    }
    if (p < ps->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < ps->end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p = digits(p, ps->end);
        if (p == from)
            return fail(ps, "bad number");
    }
    if (p - ps->p > 400)
        return fail(ps, "number too long");
    j->kind = JSON_NUMBER;
    j->n = (uint32_t)(p - ps->p);
    j->text = arena_strndup(ps->a, ps->p, j->n);
    ps->p = p;
    return 0;
}

static int cmp_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int dup_fail(struct parser *ps, const char *key)
{
    return err_invalid(ps->err, "invalid JSON at byte %zu: duplicate key \"%.100s\"",
                       (size_t)(ps->p - ps->start), key);
}

static int check_keys(struct parser *ps, const struct json *obj)
{
    if (obj->n <= DUP_SCAN) {
        for (const struct json *x = obj->child; x; x = x->next)
            for (const struct json *y = x->next; y; y = y->next)
                if (strcmp(x->key, y->key) == 0)
                    return dup_fail(ps, x->key);
        return 0;
    }
    const char **keys = arena_alloc(ps->a, obj->n * sizeof(*keys));
    size_t n = 0;
    for (const struct json *x = obj->child; x; x = x->next)
        keys[n++] = x->key;
    qsort(keys, n, sizeof(*keys), cmp_keys);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return dup_fail(ps, keys[i]);
    return 0;
}

static int parse_value(struct parser *ps, struct json **ret);

static int parse_key(struct parser *ps, const char **ret)
{
    uint32_t len;

    skip_space(ps);
    if (ps->p == ps->end || *ps->p != '"')
        return fail(ps, "want a key");
    ps->p++;
    int r = parse_string(ps, ret, &len);
    if (r < 0)
        return r;
    skip_space(ps);
    if (ps->p == ps->end || *ps->p != ':')
        return fail(ps, "want ':'");
    ps->p++;
    return 0;
}

/* Behind the opening bracket of an array or object. */
static int parse_children(struct parser *ps, struct json *j, char close)
{
    struct json **tail = &j->child;

    skip_space(ps);
    if (ps->p < ps->end && *ps->p == close) {
        ps->p++;
        return 0;
    }
    for (;;) {
        const char *key = NULL;
        int r = j->kind == JSON_OBJECT ? parse_key(ps, &key) : 0;
        if (r >= 0)
            r = parse_value(ps, tail);
        if (r < 0)
            return r;
        (*tail)->key = key;
        tail = &(*tail)->next;
        j->n++;
        skip_space(ps);
        char c = ps->p < ps->end ? *ps->p++ : '\0';
        if (c == close)
            return j->kind == JSON_OBJECT ? check_keys(ps, j) : 0;
        if (c != ',')
            return fail(ps, "want ',' or the closing bracket");
    }
}

static int parse_nested(struct parser *ps, struct json *j, enum json_kind kind, char close)
{
    if (++ps->depth > JSON_DEPTH)
        return fail(ps, "nested too deeply");
    ps->p++;
    j->kind = kind;
    int r = parse_children(ps, j, close);
    ps->depth--;
    return r;
}

static int parse_word(struct parser *ps, struct json *j)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};

    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(ps->end - ps->p) >= n && memcmp(ps->p, words[i].word, n) == 0) {
            j->kind = words[i].kind;
            ps->p += n;
            return 0;
        }
    }
    return fail(ps, "unexpected character");
}

static int parse_value(struct parser *ps, struct json **ret)
{
    int r;

    skip_space(ps);
    if (ps->p == ps->end)
        return fail(ps, "unexpected end of JSON input");
    struct json *j = arena_new(ps->a, struct json);
    j->raw = ps->p;
    switch (*ps->p) {
    case '{':
        r = parse_nested(ps, j, JSON_OBJECT, '}');
        break;
    case '[':
        r = parse_nested(ps, j, JSON_ARRAY, ']');
        break;
    case '"':
        ps->p++;
        j->kind = JSON_STRING;
        r = parse_string(ps, &j->text, &j->n);
        break;
    case '-':
    case '0' ... '9':
        r = parse_number(ps, j);
        break;
    default:
        r = parse_word(ps, j);
    }
    j->raw_len = (size_t)(ps->p - j->raw);
    *ret = j;
    return r;
}

int json_parse(const char *text, size_t len, struct arena *a, struct json **ret, struct err *err)
{
    struct parser ps = {.start = text, .p = text, .end = text + len, .a = a, .err = err};
    struct json *j;
    int r = parse_value(&ps, &j);

    if (r < 0)
        return r;
    skip_space(&ps);
    if (ps.p != ps.end)
        return fail(&ps, "something follows the value");
    *ret = j;
    return 0;
}

const struct json *json_get(const struct json *j, const char *key)
{
    if (!j || j->kind != JSON_OBJECT)
        return NULL;
    for (const struct json *c = j->child; c; c = c->next)
        if (strcmp(c->key, key) == 0)
            return c;
    return NULL;
}

const char *json_str(const struct json *j, const char *key)
{
    const struct json *c = json_get(j, key);

    return c && c->kind == JSON_STRING ? c->text : NULL;
}

double json_num(const struct json *j, double otherwise)
{
    return j && j->kind == JSON_NUMBER ? strtod(j->text, NULL) : otherwise;
}

/* "1e3" and "5.0" are integers too: Go's clients send such numbers through float64. */
int json_i64(const struct json *j, int64_t *ret)
{
    if (!j || j->kind != JSON_NUMBER)
        return -EINVAL;
    int r = str_to_i64(j->text, ret);
    if (r != -EINVAL)
        return r;
    double d = strtod(j->text, NULL);
    if (d != floor(d))
        return -EINVAL;
    if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0))
        return -ERANGE;
    *ret = (int64_t)d;
    return 0;
}

void json_write(const struct json *j, struct buf *out)
{
    static const char *const words[] = {"null", "false", "true"};

    switch (j->kind) {
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        buf_puts(out, words[j->kind]);
        return;
    case JSON_NUMBER:
        buf_put(out, j->text, j->n);
        return;
    case JSON_STRING:
        json_quote(out, j->text, j->n);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    buf_putc(out, j->kind == JSON_ARRAY ? '[' : '{');
    for (const struct json *c = j->child; c; c = c->next) {
        if (c != j->child)
            buf_putc(out, ',');
        if (c->key) {
            json_quote(out, c->key, strlen(c->key));
            buf_putc(out, ':');
        }
        json_write(c, out);
    }
    buf_putc(out, j->kind == JSON_ARRAY ? ']' : '}');
}
