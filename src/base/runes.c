#include "base/runes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define RAW_BYTE 0x80000000u /* marks a byte that is no UTF-8 */

/* Bytes of the sequence at @s, 0 when it is none. */
static size_t sequence(const char *s)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return strnlen(s, n) == n && str_valid_utf8(s, n) ? n : 0;
}

static uint32_t rune_at(const char *s, size_t n)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)*s;

    if (n == 0)
        return c | RAW_BYTE;
    c &= lead[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3f);
    return c;
}

struct runes runes_decode(const char *s, struct arena *a)
{
    size_t size = (strlen(s) + 1) * sizeof(uint32_t);
    struct runes r = {.v = a ? arena_alloc(a, size) : xmalloc(size)};

    while (*s) {
        size_t n = sequence(s);
        r.v[r.n++] = rune_at(s, n);
        s += n ? n : 1;
    }
    return r;
}

void runes_done(struct runes *r)
{
    free(r->v);
    *r = (struct runes){0};
}

size_t runes_len(const char *s, size_t n)
{
    const char *p = s;

    for (; n > 0 && *p; n--) {
        size_t len = sequence(p);
        p += len ? len : 1;
    }
    return (size_t)(p - s);
}
