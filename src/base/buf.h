/* Growing byte buffer. Always NUL-terminated behind its last byte, so buf->data is also a string.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL only while empty and never written */
    size_t len, cap;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

/** buf_done() - free the memory; the buffer is empty and usable again. */
void buf_done(struct buf *b);
/** buf_clear() - forget the contents, keep the memory. */
void buf_clear(struct buf *b);
/** buf_room() - make sure that @n more bytes fit; returns where to write them. Then buf_commit().
 */
char *buf_room(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/** buf_drop() - remove @n bytes from the front. */
void buf_drop(struct buf *b, size_t n);
/** buf_take() - the contents as a heap string that the caller frees ("" when empty). */
char *buf_take(struct buf *b);
/** buf_str() - the contents as a string, "" when empty. */
const char *buf_str(const struct buf *b);

#define auto_buf __attribute__((__cleanup__(buf_done), __unused__))
