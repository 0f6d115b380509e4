#include "archive/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"

#define CHUNK (256u << 10)
#define PEEK_MAX 4096

ssize_t source_read(struct source *s, void *p, size_t n, struct err *err)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = 0;
        if (s->read) {
            r = s->read(s, (char *)p + got, n - got, err);
        } else {
            const uint8_t *from = NULL;
            r = s->next(s, &from, n - got, err);
            if (r > 0)
                memcpy((char *)p + got, from, (size_t)r);
        }
        if (r < 0)
            return r;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

int source_drain(struct source *s, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t r = 0;

    while ((r = source_next(s, &p, CHUNK, err)) > 0)
        ;
    return (int)r;
}

/* ---- from a function or a descriptor: both fill a buffer ---- */

struct filled {
    struct source base;
    source_read_fn fn;
    void *ctx;
    int fd;
    uint8_t *buf; /* CHUNK bytes, made when it is first needed */
};

static ssize_t fill_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct filled *f = (struct filled *)s;

    return f->fn(f->ctx, p, n, err);
}

static ssize_t fill_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct filled *f = (struct filled *)s;

    if (!f->buf)
        f->buf = xmalloc(CHUNK);
    ssize_t r = s->read(s, f->buf, max < CHUNK ? max : CHUNK, err);
    if (r > 0)
        *ret = f->buf;
    return r;
}

static void fill_free(struct source *s)
{
    free(((struct filled *)s)->buf);
    free(s);
}

struct source *source_cb(source_read_fn fn, void *ctx)
{
    struct filled *f = xnew(struct filled);

    f->base = (struct source){.next = fill_next, .read = fill_read, .free = fill_free};
    f->fn = fn;
    f->ctx = ctx;
    return &f->base;
}

static ssize_t fd_read(void *ctx, void *p, size_t n, struct err *err)
{
    const struct filled *f = ctx;
    ssize_t r = 0;

    do
        r = read(f->fd, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? err_sys(err, "read") : r;
}

struct source *source_fd(int fd)
{
    struct filled *f = (struct filled *)source_cb(fd_read, NULL);

    f->ctx = f;
    f->fd = fd;
    return &f->base;
}

/* ---- from memory ---- */

struct memory {
    struct source base;
    const uint8_t *p;
    size_t n;
};

static ssize_t mem_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct memory *m = (struct memory *)s;
    size_t n = m->n < max ? m->n : max;

    (void)err;
    *ret = m->p;
    m->p += n;
    m->n -= n;
    return (ssize_t)n;
}

static void plain_free(struct source *s)
{
    free(s);
}

struct source *source_mem(const void *p, size_t n)
{
    struct memory *m = xnew(struct memory);

    *m = (struct memory){.base = {.next = mem_next, .free = plain_free}, .p = p, .n = n};
    return &m->base;
}

/* ---- in large pieces ---- */

struct buffered {
    struct source base;
    struct source *below;
    const uint8_t *p; /* lent by it */
    size_t n;
};

static ssize_t buffered_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct buffered *b = (struct buffered *)s;
    ssize_t r = b->n ? (ssize_t)b->n : source_next(b->below, &b->p, CHUNK, err);

    if (r <= 0)
        return r;
    size_t n = (size_t)r < max ? (size_t)r : max;
    *ret = b->p;
    b->p += n;
    b->n = (size_t)r - n;
    return (ssize_t)n;
}

struct source *source_buffered(struct source *below)
{
    struct buffered *b = xnew(struct buffered);

    *b = (struct buffered){.base = {.next = buffered_next, .free = plain_free}, .below = below};
    return &b->base;
}

/* ---- look ahead ---- */

struct peek {
    struct source base;
    struct source *below;
    size_t at, n;
    uint8_t head[PEEK_MAX];
};

static ssize_t peek_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct peek *p = (struct peek *)s;

    if (p->at == p->n)
        return source_next(p->below, ret, max, err);
    size_t n = p->n - p->at < max ? p->n - p->at : max;
    *ret = p->head + p->at;
    p->at += n;
    return (ssize_t)n;
}

static ssize_t peek_read(struct source *s, void *to, size_t n, struct err *err)
{
    struct peek *p = (struct peek *)s;
    const uint8_t *from = NULL;

    if (p->at == p->n)
        return source_read(p->below, to, n, err);
    ssize_t r = peek_next(s, &from, n, err);
    if (r > 0)
        memcpy(to, from, (size_t)r);
    return r;
}

int source_peek(struct source *below, size_t n, const uint8_t **ret_p, size_t *ret_n,
                struct source **ret, struct err *err)
{
    struct peek *p = xnew(struct peek);

    p->base = (struct source){.next = peek_next, .read = peek_read, .free = plain_free};
    p->below = below;
    ssize_t r = source_read(below, p->head, n < PEEK_MAX ? n : PEEK_MAX, err);
    if (r < 0) {
        free(p);
        return (int)r;
    }
    p->n = (size_t)r;
    *ret_p = p->head;
    *ret_n = p->n;
    *ret = &p->base;
    return 0;
}

/* ---- sinks ---- */

struct output {
    struct sink base;
    sink_write_fn fn;
    void *ctx;
    int fd;
};

static int output_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    const struct output *o = (const struct output *)s;

    return o->fn(o->ctx, p, n, err);
}

static void output_free(struct sink *s)
{
    free(s);
}

struct sink *sink_cb(sink_write_fn fn, void *ctx)
{
    struct output *o = xnew(struct output);

    *o =
        (struct output){.base = {.write = output_write, .free = output_free}, .fn = fn, .ctx = ctx};
    return &o->base;
}

static int fd_write(void *ctx, const void *p, size_t n, struct err *err)
{
    const struct output *o = ctx;
    int r = write_full(o->fd, p, n);

    return r < 0 ? err_no(err, r, "write") : 0;
}

struct sink *sink_fd(int fd)
{
    struct output *o = (struct output *)sink_cb(fd_write, NULL);

    o->ctx = o;
    o->fd = fd;
    return &o->base;
}

void sink_free(struct sink *s)
{
    if (s)
        s->free(s);
}
