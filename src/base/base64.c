#include "base/base64.h"

#include <errno.h>
#include <string.h>

void base64_encode(const void *p, size_t n, bool url, struct buf *out)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const unsigned char *s = p;

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) |
                     (i + 2 < n ? s[i + 2] : 0U);
        for (unsigned k = 0; k < 4; k++) {
            unsigned d = v >> (18 - 6 * k) & 63;
            if (i + k > n)
                buf_putc(out, '=');
            else
                buf_putc(out, d < 62 ? common[d] : (url ? "-_" : "+/")[d - 62]);
        }
    }
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(const char *s, size_t n, struct buf *out)
{
    unsigned v = 0, bits = 0;

    while (n > 0 && s[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        int d = digit(s[i]);
        if (d < 0)
            return -EINVAL;
        v = v << 6 | (unsigned)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_putc(out, (char)(v >> bits & 0xff));
        }
    }
    return n % 4 == 1 ? -EINVAL : 0;
}
