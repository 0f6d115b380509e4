#include "http/query.h"

#include <errno.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int query_unescape(const char *s, size_t n, bool plus, struct arena *a, char **ret, struct err *err)
{
    char *out = arena_alloc(a, n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '+' && plus)
            c = ' ';
        else if (c == '%') {
            if (n - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
                return err_invalid(err, "invalid URL escape in \"%.*s\"", n > 64 ? 64 : (int)n, s);
            c = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return err_invalid(err, "NUL byte in URL");
        out[len++] = c;
    }
    *ret = out;
    return 0;
}

int query_parse(const char *s, struct arena *a, struct strmap *ret, struct err *err)
{
    struct strmap m = {0};

    while (*s) {
        size_t n = strcspn(s, "&");
        const char *eq = memchr(s, '=', n);
        size_t klen = eq ? (size_t)(eq - s) : n;
        char *key = NULL, *val = NULL;
        int r = query_unescape(s, klen, true, a, &key, err);
        if (r == 0)
            r = eq ? query_unescape(eq + 1, n - klen - 1, true, a, &val, err)
                   : query_unescape("", 0, true, a, &val, err);
        if (r < 0)
            return r;
        if (n > 0)
            arena_push(a, m) = (struct strpair){key, val};
        s += n;
        s += *s == '&';
    }
    *ret = m;
    return 0;
}

static void escape(struct buf *out, const char *s, const char *keep)
{
    for (; *s; s++) {
        char c = *s;
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (alnum || strchr(keep, c))
            buf_putc(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

void query_add(struct buf *target, const char *key, const char *val)
{
    buf_putc(target, target->data && strchr(target->data, '?') ? '&' : '?');
    escape(target, key, "-_.~");
    buf_putc(target, '=');
    escape(target, val, "-_.~");
}

void query_escape_path(struct buf *out, const char *s, bool slash)
{
    escape(out, s, slash ? "-_.~:@!$&'()*+,;=/" : "-_.~:@!$&'()*+,;=");
}
