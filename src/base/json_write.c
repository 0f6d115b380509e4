/* Streaming JSON writer, with Go's escapes and number formats, and the re-indenter. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hex[] = "0123456789abcdef";

static void put_escape(struct buf *out, unsigned char c)
{
    static const char from[] = "\"\\\n\r\t\b\f", into[] = "\"\\nrtbf";
    const char *at = memchr(from, c, sizeof(from) - 1);

    if (at) {
        char two[2] = {'\\', into[at - from]};
        buf_put(out, two, 2);
        return;
    }
    char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    buf_put(out, six, 6);
}

/* A look at a table per byte: output of containers goes through here. */
static bool plain(unsigned char c)
{
    static const bool special[256] = {[0x00 ... 0x1f] = true, ['"'] = true, ['\\'] = true,
                                      ['<'] = true,           ['>'] = true, ['&'] = true,
                                      [0x80 ... 0xff] = true};

    return !special[c];
}

/* One multi-byte sequence. U+2028 and U+2029 are escaped as Go does; a bad byte is U+FFFD. */
static size_t put_multi(struct buf *out, const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    if (len > n || !str_valid_utf8(s, len)) {
        buf_puts(out, "\\ufffd");
        return 1;
    }
    if (len == 3 && memcmp(s, "\xe2\x80", 2) == 0 && ((unsigned char)s[2] & 0xfe) == 0xa8)
        buf_puts(out, s[2] & 1 ? "\\u2029" : "\\u2028");
    else
        buf_put(out, s, len);
    return len;
}

void json_quote(struct buf *out, const char *s, size_t n)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && plain((unsigned char)s[run]))
            run++;
        if (run > i) {
            buf_put(out, s + i, run - i);
            i = run;
        } else if ((unsigned char)s[i] < 0x80) {
            put_escape(out, (unsigned char)s[i++]);
        } else {
            i += put_multi(out, s + i, n - i);
        }
    }
    buf_putc(out, '"');
}

static void value(struct json_w *w)
{
    if (w->comma)
        buf_putc(w->out, ',');
    w->comma = true;
}

static void open_with(struct json_w *w, char c)
{
    value(w);
    buf_putc(w->out, c);
    w->comma = false;
}

static void close_with(struct json_w *w, char c)
{
    buf_putc(w->out, c);
    w->comma = true;
}

void json_w_obj(struct json_w *w)
{
    open_with(w, '{');
}

void json_w_end_obj(struct json_w *w)
{
    close_with(w, '}');
}

void json_w_arr(struct json_w *w)
{
    open_with(w, '[');
}

void json_w_end_arr(struct json_w *w)
{
    close_with(w, ']');
}

void json_w_key(struct json_w *w, const char *key)
{
    value(w);
    json_quote(w->out, key, strlen(key));
    buf_putc(w->out, ':');
    w->comma = false;
}

void json_w_strn(struct json_w *w, const char *s, size_t n)
{
    value(w);
    json_quote(w->out, s, n);
}

void json_w_str(struct json_w *w, const char *s)
{
    if (s)
        json_w_strn(w, s, strlen(s));
    else
        json_w_null(w);
}

void json_w_raw(struct json_w *w, const char *text, size_t len)
{
    value(w);
    buf_put(w->out, text, len);
}

void json_w_i64(struct json_w *w, int64_t v)
{
    value(w);
    buf_printf(w->out, "%" PRId64, v);
}

void json_w_u64(struct json_w *w, uint64_t v)
{
    value(w);
    buf_printf(w->out, "%" PRIu64, v);
}

/* JSON has no infinities; Go refuses them, we write null. */
void json_w_f64(struct json_w *w, double v)
{
    char text[40];

    if (!isfinite(v)) {
        json_w_null(w);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    double mag = fabs(v);
    if (strchr(text, 'e') && mag >= 1e-6 && mag < 1e21)
        (void)snprintf(text, sizeof(text), "%.0f", v);
    json_w_raw(w, text, strlen(text));
}

void json_w_bool(struct json_w *w, bool v)
{
    json_w_raw(w, v ? "true" : "false", v ? 4 : 5);
}

void json_w_null(struct json_w *w)
{
    json_w_raw(w, "null", 4);
}

static void newline(struct buf *out, const char *prefix, const char *indent, int depth)
{
    buf_putc(out, '\n');
    buf_puts(out, prefix);
    for (int i = 0; i < depth; i++)
        buf_puts(out, indent);
}

static size_t string_end(const char *text, size_t i, size_t len)
{
    for (i++; i < len && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i + 1 < len ? i + 1 : len;
}

void json_pretty(const char *text, size_t len, const char *prefix, const char *indent,
                 struct buf *out)
{
    int depth = 0;

    for (size_t i = 0; i < len;) {
        char c = text[i];
        if (c == '"') {
            size_t end = string_end(text, i, len);
            buf_put(out, text + i, end - i);
            i = end;
            continue;
        }
        i++;
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
            continue;
        if (c == '{' || c == '[') {
            buf_putc(out, c);
            if (i < len && (text[i] == '}' || text[i] == ']'))
                buf_putc(out, text[i++]);
            else
                newline(out, prefix, indent, ++depth);
        } else if (c == '}' || c == ']') {
            newline(out, prefix, indent, --depth);
            buf_putc(out, c);
        } else if (c == ',') {
            buf_putc(out, c);
            newline(out, prefix, indent, depth);
        } else {
            buf_putc(out, c);
            if (c == ':')
                buf_putc(out, ' ');
        }
    }
}
