#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct err) <= PIPE_BUF, "an error must travel through a pipe in one piece");

static void set_place(struct err *err, const char *file, int line)
{
    const char *base = strrchr(file, '/');

    (void)snprintf(err->file, sizeof(err->file), "%s", base ? base + 1 : file);
    err->line = line;
}

/* Cuts on a UTF-8 boundary: a message goes into JSON and must stay valid. */
static void mark_cut(char *msg, size_t size)
{
    size_t at = size - 4;

    while (at > 0 && ((unsigned char)msg[at] & 0xc0) == 0x80)
        at--;
    memcpy(msg + at, "...", 4);
}

static void put(struct err *err, const char *fmt, va_list ap, const char *tail) PRINTF(2, 0);
static void put(struct err *err, const char *fmt, va_list ap, const char *tail)
{
    int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    size_t used = n < 0 ? 0 : (size_t)n;

    if (tail && used < sizeof(err->msg))
        used += (size_t)snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", tail);
    if (used >= sizeof(err->msg))
        mark_cut(err->msg, sizeof(err->msg));
}

static enum err_kind kind_of(int no)
{
    return no == ENOSYS || no == EOPNOTSUPP ? ERR_NOT_IMPLEMENTED : ERR_SYSTEM;
}

/* An error is never 0, whatever number a broken peer or a forgotten errno has given it: the caller
 * would take it for success. */
static int positive(int no)
{
    return no > 0 ? no : no < 0 && no > INT_MIN ? -no : EIO;
}

static int record(struct err *err, const char *file, int line, enum err_kind kind, int no,
                  const char *text, const char *fmt, va_list ap) PRINTF(7, 0);

/* @text: behind the message, or NULL. */
static int record(struct err *err, const char *file, int line, enum err_kind kind, int no,
                  const char *text, const char *fmt, va_list ap)
{
    if (err) {
        err->no = no;
        err->kind = kind;
        set_place(err, file, line);
        put(err, fmt, ap, text);
    }
    return -no;
}

int err_no_(struct err *err, const char *file, int line, int no, const char *fmt, ...)
{
    va_list ap;

    no = positive(no);
    va_start(ap, fmt);
    int r = record(err, file, line, kind_of(no), no, strerrordesc_np(no), fmt, ap);
    va_end(ap);
    return r;
}

int err_sys_(struct err *err, const char *file, int line, const char *fmt, ...)
{
    int no = positive(errno);
    va_list ap;

    va_start(ap, fmt);
    int r = record(err, file, line, kind_of(no), no, strerrordesc_np(no), fmt, ap);
    va_end(ap);
    return r;
}

int err_as_(struct err *err, const char *file, int line, enum err_kind kind, int no,
            const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int r = record(err, file, line, kind, positive(no), NULL, fmt, ap);
    va_end(ap);
    return r;
}

int err_wrap_(struct err *err, int r, const char *fmt, ...)
{
    char inner[sizeof(err->msg)];
    va_list ap;

    if (!err)
        return r;
    memcpy(inner, err->msg, sizeof(inner));
    va_start(ap, fmt);
    put(err, fmt, ap, inner);
    va_end(ap);
    return r;
}

void err_clear(struct err *err)
{
    if (err)
        memset(err, 0, sizeof(*err));
}
