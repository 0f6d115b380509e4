/*
 * One inflating source for all formats: a format is three functions over the same state. A format
 * that is read member by member ("end of member" is its own answer) starts again when input is
 * left; the end of input anywhere else is a truncated stream.
 */
#include "archive/compress.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"

#define CHUNK (256u << 10)
#define XZ_MEMORY_MAX (256u << 20) /* xz -9 needs 65 MiB */

struct inflater;

struct format {
    int (*begin)(struct inflater *f, struct err *err); /* before every member */
    /* Takes from f->in, puts *n bytes at most to @out. Return: 1 the member has ended, 0, -errno.
     */
    int (*step)(struct inflater *f, uint8_t *out, size_t *n, struct err *err);
    void (*end)(struct inflater *f); /* also when begin() has never been called */
};

/* The library forgets what it has read of a header when the input ends within; kept here it goes on
 * where it was. */
struct gunzip {
    struct inflate_state z;
    struct isal_gzip_header head;
    bool body; /* the header is behind us */
};

struct inflater {
    struct source base;
    struct source *below;
    const struct format *format;
    const uint8_t *in; /* borrowed from below */
    size_t in_n;
    bool in_end;  /* below has ended */
    bool started; /* a member has begun and not ended */
    bool any;     /* at least one member was there */
    uint8_t *buf;
    union {
        struct gunzip *gzip;
        ZSTD_DStream *zstd;
        lzma_stream xz;
        bz_stream bz;
    };
    bool ready; /* the library's state exists */
};

static void took(struct inflater *f, size_t n)
{
    f->in += n;
    f->in_n -= n;
}

static uint32_t at_most_1g(size_t n)
{
    return n > (1u << 30) ? 1u << 30 : (uint32_t)n;
}

/* ---- gzip ---- */

static int gzip_begin(struct inflater *f, struct err *err)
{
    (void)err;
    if (!f->ready)
        f->gzip = xmalloc(sizeof(*f->gzip));
    f->ready = true;
    isal_inflate_init(&f->gzip->z);
    isal_gzip_header_init(&f->gzip->head);
    f->gzip->z.crc_flag = ISAL_GZIP;
    f->gzip->body = false;
    return 0;
}

static int gzip_fail(int code, struct err *err)
{
    const char *what = code == ISAL_INCORRECT_CHECKSUM ? "gzip: invalid checksum"
                       : code == ISAL_INVALID_WRAPPER || code == ISAL_UNSUPPORTED_METHOD
                           ? "gzip: invalid header"
                           : "gzip: corrupt input";

    return err_as(err, ERR_INVALID, EBADMSG, "%s", what);
}

static int gzip_step(struct inflater *f, uint8_t *out, size_t *n, struct err *err)
{
    struct inflate_state *z = &f->gzip->z;
    uint32_t in = at_most_1g(f->in_n), room = at_most_1g(*n);
    int code = ISAL_DECOMP_OK;

    z->next_in = (uint8_t *)(uintptr_t)f->in; /* only read */
    z->avail_in = in;
    z->next_out = out;
    z->avail_out = room;
    if (!f->gzip->body)
        code = isal_read_gzip_header(z, &f->gzip->head);
    if (code == ISAL_DECOMP_OK) {
        f->gzip->body = true;
        code = isal_inflate(z);
    }
    if (code < 0)
        return gzip_fail(code, err);
    took(f, in - z->avail_in);
    *n = room - z->avail_out;
    return z->block_state == ISAL_BLOCK_FINISH;
}

static void gzip_end(struct inflater *f)
{
    free(f->gzip);
}

/* ---- zstd ---- */

static int zstd_begin(struct inflater *f, struct err *err)
{
    if (!f->ready)
        f->zstd = ZSTD_createDStream();
    f->ready = f->zstd != NULL;
    return f->ready ? 0 : err_no(err, ENOMEM, "zstd");
}

static int zstd_step(struct inflater *f, uint8_t *out, size_t *n, struct err *err)
{
    ZSTD_inBuffer in = {f->in, f->in_n, 0};
    ZSTD_outBuffer to = {out, *n, 0};
    size_t code = ZSTD_decompressStream(f->zstd, &to, &in);

    if (ZSTD_isError(code))
        return err_as(err, ERR_INVALID, EBADMSG, "zstd: %s", ZSTD_getErrorName(code));
    took(f, in.pos);
    *n = to.pos;
    return code == 0;
}

static void zstd_end(struct inflater *f)
{
    (void)ZSTD_freeDStream(f->zstd);
}

/* ---- xz: the library joins the members by itself ---- */

static int xz_begin(struct inflater *f, struct err *err)
{
    static const lzma_stream init = LZMA_STREAM_INIT;

    f->xz = init;
    f->ready = true;
    if (lzma_stream_decoder(&f->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
        return err_no(err, ENOMEM, "xz");
    return 0;
}

static int xz_step(struct inflater *f, uint8_t *out, size_t *n, struct err *err)
{
    f->xz.next_in = f->in;
    f->xz.avail_in = f->in_n;
    f->xz.next_out = out;
    f->xz.avail_out = *n;
    lzma_ret code = lzma_code(&f->xz, f->in_end ? LZMA_FINISH : LZMA_RUN);
    if (code == LZMA_MEMLIMIT_ERROR)
        return err_as(err, ERR_INVALID, E2BIG, "xz: needs more than %u bytes of memory",
                      XZ_MEMORY_MAX);
    if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
        return err_as(err, ERR_INVALID, EBADMSG, "xz: corrupt input");
    took(f, f->in_n - f->xz.avail_in);
    *n -= f->xz.avail_out;
    return code == LZMA_STREAM_END;
}

static void xz_end(struct inflater *f)
{
    lzma_end(&f->xz);
}

/* ---- bzip2 ---- */

static int bzip2_begin(struct inflater *f, struct err *err)
{
    if (f->ready)
        (void)BZ2_bzDecompressEnd(&f->bz);
    f->bz = (bz_stream){0};
    f->ready = BZ2_bzDecompressInit(&f->bz, 0, 0) == BZ_OK;
    return f->ready ? 0 : err_no(err, ENOMEM, "bzip2");
}

static int bzip2_step(struct inflater *f, uint8_t *out, size_t *n, struct err *err)
{
    uint32_t in = at_most_1g(f->in_n), room = at_most_1g(*n);

    f->bz.next_in = (char *)(uintptr_t)f->in; /* only read */
    f->bz.avail_in = in;
    f->bz.next_out = (char *)out;
    f->bz.avail_out = room;
    int code = BZ2_bzDecompress(&f->bz);
    if (code != BZ_OK && code != BZ_STREAM_END)
        return err_as(err, ERR_INVALID, EBADMSG, "bzip2: corrupt input");
    took(f, in - f->bz.avail_in);
    *n = room - f->bz.avail_out;
    return code == BZ_STREAM_END;
}

static void bzip2_end(struct inflater *f)
{
    (void)BZ2_bzDecompressEnd(&f->bz);
}

/* ---- the source ---- */

static const struct format formats[] = {
    [COMP_NONE] = {NULL, NULL, NULL},
    [COMP_GZIP] = {gzip_begin, gzip_step, gzip_end},
    [COMP_ZSTD] = {zstd_begin, zstd_step, zstd_end},
    [COMP_XZ] = {xz_begin, xz_step, xz_end},
    [COMP_BZIP2] = {bzip2_begin, bzip2_step, bzip2_end},
};

static int refill(struct inflater *f, struct err *err)
{
    if (f->in_n > 0 || f->in_end)
        return 0;
    ssize_t r = source_next(f->below, &f->in, CHUNK, err);
    if (r < 0)
        return (int)r;
    f->in_n = (size_t)r;
    f->in_end = r == 0;
    return 0;
}

/* One call of the library. @n: room, then what came out. Return: 1 go on, 0 all is done, -errno. */
static int advance(struct inflater *f, uint8_t *out, size_t *n, struct err *err)
{
    size_t before = f->in_n;
    int r = 0;

    if (!f->started) {
        if (f->in_end && f->any) {
            *n = 0;
            return 0;
        }
        r = f->format->begin(f, err);
        if (r < 0)
            return r;
        f->started = f->any = true;
    }
    r = f->format->step(f, out, n, err);
    if (r < 0)
        return r;
    f->started = r == 0;
    if (r == 0 && *n == 0 && f->in_end && f->in_n == before)
        return err_as(err, ERR_INVALID, EBADMSG, "unexpected EOF");
    return 1;
}

static ssize_t inflate_read(struct source *s, void *p, size_t max, struct err *err)
{
    struct inflater *f = (struct inflater *)s;
    size_t n = 0;

    for (int r = 1; r > 0 && n == 0;) {
        n = max;
        r = refill(f, err);
        if (r >= 0)
            r = advance(f, p, &n, err);
        if (r < 0)
            return r;
    }
    return (ssize_t)n;
}

static ssize_t inflate_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct inflater *f = (struct inflater *)s;

    if (!f->buf)
        f->buf = xmalloc(CHUNK);
    ssize_t r = inflate_read(s, f->buf, max < CHUNK ? max : CHUNK, err);
    if (r > 0)
        *ret = f->buf;
    return r;
}

static void inflate_free(struct source *s)
{
    struct inflater *f = (struct inflater *)s;

    if (f->ready)
        f->format->end(f);
    free(f->buf);
    free(f);
}

struct source *source_inflate(struct source *below, enum compression c)
{
    struct inflater *f = xnew(struct inflater);

    f->base = (struct source){.next = inflate_next, .read = inflate_read, .free = inflate_free};
    f->below = below;
    f->format = &formats[c];
    return &f->base;
}

/* ---- detect and inflate ---- */

struct detected {
    struct source base;
    struct source *peek;
    struct source *top; /* what is read: an inflater, or the peek itself */
};

static ssize_t detected_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    return source_next(((struct detected *)s)->top, ret, max, err);
}

static ssize_t detected_read(struct source *s, void *p, size_t n, struct err *err)
{
    return source_read(((struct detected *)s)->top, p, n, err);
}

static void detected_free(struct source *s)
{
    struct detected *d = (struct detected *)s;

    if (d->top != d->peek)
        source_free(d->top);
    source_free(d->peek);
    free(d);
}

int source_auto(struct source *below, enum compression *ret_kind, struct source **ret,
                struct err *err)
{
    struct source *peek = NULL;
    const uint8_t *p = NULL;
    size_t n = 0;
    int r = source_peek(below, COMP_MAGIC, &p, &n, &peek, err);

    if (r < 0)
        return r;
    enum compression c = compression_detect(p, n);
    struct detected *d = xnew(struct detected);
    d->base = (struct source){.next = detected_next, .read = detected_read, .free = detected_free};
    d->peek = peek;
    d->top = c == COMP_NONE ? peek : source_inflate(peek, c);
    if (ret_kind)
        *ret_kind = c;
    *ret = &d->base;
    return 0;
}
