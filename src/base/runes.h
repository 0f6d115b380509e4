/* UTF-8 text as an array of characters. */
#pragma once

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

/* Characters; a byte that is no UTF-8 is one of its own. */
struct runes {
    uint32_t *v;
    size_t n;
};

/** runes_decode() - @s as characters, in @a. runes_done(): for those on the heap (a == NULL). */
struct runes runes_decode(const char *s, struct arena *a);
void runes_done(struct runes *r);
#define auto_runes __attribute__((__cleanup__(runes_done), __unused__))
/** runes_len() - bytes of the first @n characters of @s, the text that was decoded. */
size_t runes_len(const char *s, size_t n);
