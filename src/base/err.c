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

int err_no_(struct err *err, const char *file, int line, int no, const char *fmt, ...)
{
    va_list ap;

    if (no < 0)
        no = -no;
    if (err) {
        err->no = no;
        err->kind = kind_of(no);
        set_place(err, file, line);
        va_start(ap, fmt);
        put(err, fmt, ap, strerrordesc_np(no));
        va_end(ap);
    }
    return -no;
}

int err_sys_(struct err *err, const char *file, int line, const char *fmt, ...)
{
    int no = errno ? errno : EIO;
    va_list ap;

    if (err) {
        err->no = no;
        err->kind = kind_of(no);
        set_place(err, file, line);
        va_start(ap, fmt);
        put(err, fmt, ap, strerrordesc_np(no));
        va_end(ap);
    }
    return -no;
}

int err_as_(struct err *err, const char *file, int line, enum err_kind kind, int no,
            const char *fmt, ...)
{
    va_list ap;

    if (err) {
        err->no = no;
        err->kind = kind;
        set_place(err, file, line);
        va_start(ap, fmt);
        put(err, fmt, ap, NULL);
        va_end(ap);
    }
    return -no;
}

int err_wrap(struct err *err, int r, const char *fmt, ...)
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
