/*
 * Compressing sinks. Their output depends on nothing but what is written to them and in which
 * pieces, so that who makes the same layer twice gets the same blob.
 */
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <zstd.h>

#include "archive/compress.h"
#include "base/mem.h"

#define CHUNK (256u << 10)
#define PART_MAX (1u << 30) /* the library counts in 32 bits */

struct compressor {
    struct sink base;
    int (*finish)(struct compressor *c, struct err *err);
    struct sink *below;
    union {
        struct isal_zstream gzip;
        ZSTD_CCtx *zstd;
    };
    uint8_t *level_buf; /* gzip */
    uint8_t out[CHUNK];
};

/* ---- gzip ---- */

/* Levels as people know them, 1 to 9, among the three of the library that look back at all. */
static const struct {
    int up_to;
    uint32_t level, buf;
} gzip_levels[] = {
    {2, 1, ISAL_DEF_LVL1_DEFAULT}, {5, 2, ISAL_DEF_LVL2_DEFAULT}, {9, 3, ISAL_DEF_LVL3_DEFAULT}};

/* Hands everything that is at next_in to the library, and its output on. */
static int deflate_all(struct compressor *c, struct err *err)
{
    struct isal_zstream *z = &c->gzip;

    do {
        z->next_out = c->out;
        z->avail_out = sizeof(c->out);
        if (isal_deflate(z) != COMP_OK)
            return err_as(err, ERR_SYSTEM, EIO, "gzip: compression failed");
        size_t n = sizeof(c->out) - z->avail_out;
        int r = n ? sink_write(c->below, c->out, n, err) : 0;
        if (r < 0)
            return r;
    } while (z->avail_out == 0 || (z->end_of_stream && z->internal_state.state != ZSTATE_END));
    return 0;
}

static int gzip_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct compressor *c = (struct compressor *)s;
    const uint8_t *from = p;

    while (n > 0) {
        uint32_t part = n > PART_MAX ? PART_MAX : (uint32_t)n;
        c->gzip.next_in = (uint8_t *)(uintptr_t)from; /* only read */
        c->gzip.avail_in = part;
        int r = deflate_all(c, err);
        if (r < 0)
            return r;
        from += part;
        n -= part;
    }
    return 0;
}

static int gzip_finish(struct compressor *c, struct err *err)
{
    c->gzip.end_of_stream = 1;
    c->gzip.avail_in = 0;
    return deflate_all(c, err);
}

static void gzip_free(struct sink *s)
{
    struct compressor *c = (struct compressor *)s;

    free(c->level_buf);
    free(c);
}

static struct sink *gzip_new(struct sink *below, int level)
{
    struct compressor *c = xnew(struct compressor);
    size_t i = 0;

    while (level > gzip_levels[i].up_to && i + 1 < sizeof(gzip_levels) / sizeof(gzip_levels[0]))
        i++;
    c->base = (struct sink){.write = gzip_write, .free = gzip_free};
    c->finish = gzip_finish;
    c->below = below;
    c->level_buf = xmalloc(gzip_levels[i].buf);
    isal_deflate_init(&c->gzip);
    c->gzip.level = gzip_levels[i].level;
    c->gzip.level_buf = c->level_buf;
    c->gzip.level_buf_size = gzip_levels[i].buf;
    c->gzip.gzip_flag = IGZIP_GZIP;
    return &c->base;
}

/* ---- zstd ---- */

static int zstd_all(struct compressor *c, ZSTD_inBuffer *in, ZSTD_EndDirective how, struct err *err)
{
    size_t left;

    do {
        ZSTD_outBuffer to = {c->out, sizeof(c->out), 0};
        left = ZSTD_compressStream2(c->zstd, &to, in, how);
        if (ZSTD_isError(left))
            return err_as(err, ERR_SYSTEM, EIO, "zstd: %s", ZSTD_getErrorName(left));
        int r = to.pos ? sink_write(c->below, c->out, to.pos, err) : 0;
        if (r < 0)
            return r;
    } while (how == ZSTD_e_end ? left > 0 : in->pos < in->size);
    return 0;
}

static int zstd_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    ZSTD_inBuffer in = {p, n, 0};

    return zstd_all((struct compressor *)s, &in, ZSTD_e_continue, err);
}

static int zstd_finish(struct compressor *c, struct err *err)
{
    ZSTD_inBuffer in = {NULL, 0, 0};

    return zstd_all(c, &in, ZSTD_e_end, err);
}

static void zstd_free(struct sink *s)
{
    struct compressor *c = (struct compressor *)s;

    (void)ZSTD_freeCCtx(c->zstd);
    free(c);
}

static struct sink *zstd_new(struct sink *below, int level)
{
    struct compressor *c = xnew(struct compressor);

    c->base = (struct sink){.write = zstd_write, .free = zstd_free};
    c->finish = zstd_finish;
    c->below = below;
    c->zstd = ZSTD_createCCtx();
    if (!c->zstd)
        abort(); /* as every small allocation */
    (void)ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel,
                                 level ? level : ZSTD_CLEVEL_DEFAULT);
    return &c->base;
}

/* ---- both ---- */

struct sink *sink_compress(struct sink *below, enum compression c, int level)
{
    return c == COMP_ZSTD ? zstd_new(below, level) : gzip_new(below, level);
}

int sink_compress_finish(struct sink *s, struct err *err)
{
    struct compressor *c = (struct compressor *)s;

    return c->finish(c, err);
}
