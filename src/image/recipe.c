/*
 * The file "recipe" is one zstd stream of operations:
 *
 *   "cleat-recipe-1\n"            what follows
 *   'L' length, bytes             bytes that are no content
 *   'F' length, path              the next file that content comes from
 *   'X' offset, length            content of that file
 *   'E'                           the end; a recipe without it is cut short
 *
 * Numbers are base-128, low bits first. Files are counted from 1; if "lost/<n>" exists, the content
 * of file n lies there, because the layer itself replaced the file afterwards.
 */
#include "image/recipe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "archive/beneath.h"
#include "archive/compress.h"
#include "archive/unpack.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#define RECIPE "recipe"
#define LOST "lost"
#define MAGIC "cleat-recipe-1\n"
#define LEVEL 3
#define RAW_MAX (64u << 10) /* bytes of one 'L', so that a reader needs little memory */
#define PATH_LIMIT 8192
#define VARINT_MAX 10

/* ---- inode numbers of files with content ---- */

struct known {
    uint64_t ino; /* 0: free */
    uint64_t file;
};

struct known_set {
    struct known *v;
    size_t size, used;
};

static struct known *slot_of(struct known_set *s, uint64_t ino)
{
    size_t i = (ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->size - 1);

    while (s->v[i].ino != 0 && s->v[i].ino != ino)
        i = (i + 1) & (s->size - 1);
    return &s->v[i];
}

static void known_add(struct known_set *s, uint64_t ino, uint64_t file)
{
    if (s->used * 2 >= s->size) {
        struct known_set old = *s;
        s->size = old.size ? old.size * 2 : 64;
        s->v = xcalloc(s->size, sizeof(*s->v));
        for (size_t i = 0; i < old.size; i++)
            if (old.v[i].ino)
                *slot_of(s, old.v[i].ino) = old.v[i];
        free(old.v);
    }
    struct known *k = slot_of(s, ino);
    s->used += k->ino == 0;
    *k = (struct known){ino, file};
}

/* ---- writing ---- */

struct recipe_writer {
    int dir_fd; /* the stage; not owned */
    int fd, lost_fd;
    ZSTD_CStream *z;
    struct buf raw; /* bytes of the next 'L' */
    struct known_set known;
    uint64_t files;
    char out[64u << 10];
};

static int compress(struct recipe_writer *w, const void *p, size_t n, ZSTD_EndDirective how,
                    struct err *err)
{
    ZSTD_inBuffer in = {p, n, 0};

    for (;;) {
        ZSTD_outBuffer to = {w->out, sizeof(w->out), 0};
        size_t left = ZSTD_compressStream2(w->z, &to, &in, how);
        if (ZSTD_isError(left))
            return err_as(err, ERR_SYSTEM, EIO, "write a recipe: %s", ZSTD_getErrorName(left));
        int r = to.pos ? write_full(w->fd, w->out, to.pos) : 0;
        if (r < 0)
            return err_no(err, r, "write a recipe");
        if (how == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return 0;
    }
}

static size_t put_varint(char *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (char)(v | 0x80);
    out[n++] = (char)v;
    return n;
}

/* An operation with one or two numbers, then bytes. */
static int put_op(struct recipe_writer *w, char op, uint64_t a, const uint64_t *b, const void *p,
                  size_t n, struct err *err)
{
    char head[1 + 2 * VARINT_MAX];
    size_t len = 1;

    head[0] = op;
    len += put_varint(head + len, a);
    if (b)
        len += put_varint(head + len, *b);
    int r = compress(w, head, len, ZSTD_e_continue, err);
    return r < 0 || n == 0 ? r : compress(w, p, n, ZSTD_e_continue, err);
}

static int flush_raw(struct recipe_writer *w, struct err *err)
{
    if (w->raw.len == 0)
        return 0;
    int r = put_op(w, 'L', w->raw.len, NULL, w->raw.data, w->raw.len, err);
    buf_clear(&w->raw);
    return r;
}

int recipe_writer_new(int dir_fd, struct recipe_writer **ret, struct err *err)
{
    auto_recipe_writer struct recipe_writer *w = xnew(struct recipe_writer);

    w->dir_fd = dir_fd;
    w->lost_fd = -1;
    w->fd = openat(dir_fd, RECIPE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return err_sys(err, "create a recipe");
    w->z = ZSTD_createCStream();
    if (!w->z || ZSTD_isError(ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL)))
        return err_no(err, ENOMEM, "create a recipe");
    int r = compress(w, MAGIC, strlen(MAGIC), ZSTD_e_continue, err);
    if (r < 0)
        return r;
    *ret = take_ptr(&w);
    return 0;
}

void recipe_writer_free(struct recipe_writer *w)
{
    if (!w)
        return;
    close_fd(&w->fd);
    close_fd(&w->lost_fd);
    (void)ZSTD_freeCStream(w->z);
    buf_done(&w->raw);
    free(w->known.v);
    free(w);
}

static int recipe_raw(void *ctx, const void *p, size_t n, struct err *err)
{
    struct recipe_writer *w = ctx;
    const char *from = p;

    while (n > 0) {
        size_t part = RAW_MAX - w->raw.len < n ? RAW_MAX - w->raw.len : n;
        buf_put(&w->raw, from, part);
        from += part;
        n -= part;
        int r = w->raw.len == RAW_MAX ? flush_raw(w, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int recipe_file(void *writer, const char *path, uint64_t ino, struct err *err)
{
    struct recipe_writer *w = writer;
    size_t n = strlen(path);
    int r = flush_raw(w, err);

    if (r < 0)
        return r;
    if (n >= PATH_LIMIT)
        return err_as(err, ERR_INVALID, ENAMETOOLONG, "path too long: %.100s...", path);
    known_add(&w->known, ino, ++w->files);
    return put_op(w, 'F', n, NULL, path, n, err);
}

static int recipe_extent(void *writer, uint64_t offset, uint64_t len, struct err *err)
{
    struct recipe_writer *w = writer;
    int r = flush_raw(w, err);

    return r < 0 ? r : put_op(w, 'X', offset, &len, NULL, 0, err);
}

static int open_lost(struct recipe_writer *w, struct err *err)
{
    if (w->lost_fd >= 0)
        return 0;
    if (mkdirat(w->dir_fd, LOST, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "keep a replaced file");
    w->lost_fd = openat(w->dir_fd, LOST, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w->lost_fd < 0 ? err_sys(err, "keep a replaced file") : 0;
}

static int recipe_keep(void *writer, int dir_fd, const char *name, uint64_t ino, struct err *err)
{
    struct recipe_writer *w = writer;
    char number[24];

    if (!w->known.size)
        return 0;
    struct known *k = slot_of(&w->known, ino);
    if (k->ino == 0)
        return 0;
    int r = open_lost(w, err);
    if (r < 0)
        return r;
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)k->file);
    if (faccessat(w->lost_fd, number, F_OK, 0) == 0)
        return 0; /* another name of a file that was moved before */
    if (renameat(dir_fd, name, w->lost_fd, number) < 0)
        return err_sys(err, "keep a replaced file");
    return 1;
}

const struct unpack_watch recipe_watch = {recipe_raw, recipe_file, recipe_extent, recipe_keep};

int recipe_finish(struct recipe_writer *w, struct err *err)
{
    int r = flush_raw(w, err);

    return r < 0 ? r : compress(w, "E", 1, ZSTD_e_end, err);
}

/* ---- reading ---- */

struct recipe_reader {
    struct source base;
    int fd, diff_fd, lost_fd;   /* lost_fd -1: nothing was replaced */
    struct source *file, *text; /* the recipe: raw, inflated */
    uint64_t files;
    int from_fd; /* the file content comes from */
    bool raw;    /* what is being given out: bytes of the recipe, or of from_fd */
    bool ended;
    uint64_t offset, left;
    const uint8_t *at; /* inflated and not used yet, borrowed from text */
    size_t at_n;
    uint8_t *buf;
};

#define CHUNK (256u << 10)

static int damaged(struct err *err)
{
    return err_as(err, ERR_SYSTEM, EBADMSG, "the layer's recipe is damaged");
}

/* Bytes of the recipe itself. Return: 1..n, or an error. */
static ssize_t get_some(struct recipe_reader *x, void *p, size_t n, struct err *err)
{
    if (x->at_n == 0) {
        ssize_t r = source_next(x->text, &x->at, CHUNK, err);
        if (r <= 0)
            return r < 0 ? r : damaged(err);
        x->at_n = (size_t)r;
    }
    if (n > x->at_n)
        n = x->at_n;
    memcpy(p, x->at, n);
    x->at += n;
    x->at_n -= n;
    return (ssize_t)n;
}

static int get(struct recipe_reader *x, void *p, size_t n, struct err *err)
{
    char *to = p;

    while (n > 0) {
        ssize_t r = get_some(x, to, n, err);
        if (r < 0)
            return (int)r;
        to += r;
        n -= (size_t)r;
    }
    return 0;
}

static int get_varint(struct recipe_reader *x, uint64_t *ret, struct err *err)
{
    uint64_t v = 0;
    uint8_t c = 0x80;

    for (unsigned shift = 0; c & 0x80; shift += 7) {
        int r = shift < 64 ? get(x, &c, 1, err) : damaged(err);
        if (r < 0)
            return r;
        v |= (uint64_t)(c & 0x7f) << shift;
    }
    *ret = v;
    return 0;
}

/* The next file: where the layer put it, unless that was replaced later on. */
static int open_file(struct recipe_reader *x, struct err *err)
{
    char path[PATH_LIMIT], number[24];
    uint64_t n = 0;
    int r = get_varint(x, &n, err);

    if (r >= 0 && n >= sizeof(path))
        r = damaged(err);
    if (r >= 0)
        r = get(x, path, n, err);
    if (r < 0)
        return r;
    path[n] = '\0';
    close_fd(&x->from_fd);
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)++x->files);
    if (x->lost_fd >= 0)
        x->from_fd = openat(x->lost_fd, number, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (x->from_fd < 0)
        x->from_fd = open_beneath(x->diff_fd, path, O_RDONLY | O_NONBLOCK);
    return x->from_fd < 0 ? err_sys(err, "open %s of a layer", path) : 0;
}

static int start_extent(struct recipe_reader *x, struct err *err)
{
    int r = get_varint(x, &x->offset, err);

    if (r >= 0)
        r = get_varint(x, &x->left, err);
    if (r >= 0 && (x->from_fd < 0 || x->offset > INT64_MAX || x->left > INT64_MAX))
        r = damaged(err);
    x->raw = false;
    return r;
}

static int next_op(struct recipe_reader *x, struct err *err)
{
    char op = 0;
    int r = get(x, &op, 1, err);

    if (r < 0)
        return r;
    switch (op) {
    case 'L':
        x->raw = true;
        return get_varint(x, &x->left, err);
    case 'F':
        return open_file(x, err);
    case 'X':
        return start_extent(x, err);
    case 'E':
        x->ended = true;
        return 0;
    default:
        return damaged(err);
    }
}

static ssize_t give(struct recipe_reader *x, void *p, size_t n, struct err *err)
{
    ssize_t r = 0;

    if (n > x->left)
        n = x->left;
    if (x->raw)
        r = get_some(x, p, n, err);
    else
        r = pread(x->from_fd, p, n, (off_t)x->offset);
    if (r < 0)
        return x->raw ? r : err_sys(err, "read a file of a layer");
    if (r == 0)
        return damaged(err);
    x->offset += (uint64_t)r;
    x->left -= (uint64_t)r;
    return r;
}

static ssize_t recipe_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct recipe_reader *x = (struct recipe_reader *)s;

    while (x->left == 0 && !x->ended) {
        int r = next_op(x, err);
        if (r < 0)
            return r;
    }
    return x->left ? give(x, p, n, err) : 0;
}

static ssize_t recipe_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct recipe_reader *x = (struct recipe_reader *)s;

    if (!x->buf)
        x->buf = xmalloc(CHUNK);
    ssize_t r = recipe_read(s, x->buf, max < CHUNK ? max : CHUNK, err);
    if (r > 0)
        *ret = x->buf;
    return r;
}

static void recipe_free(struct source *s)
{
    struct recipe_reader *x = (struct recipe_reader *)s;

    source_free(x->text);
    source_free(x->file);
    close_fd(&x->from_fd);
    close_fd(&x->lost_fd);
    close_fd(&x->diff_fd);
    close_fd(&x->fd);
    free(x->buf);
    free(x);
}

static int open_parts(struct recipe_reader *x, int layer_fd, struct err *err)
{
    char magic[sizeof(MAGIC)] = "";

    x->fd = openat(layer_fd, RECIPE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (x->fd < 0)
        return err_sys(err, "open the layer's recipe");
    x->diff_fd = openat(layer_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (x->diff_fd < 0)
        return err_sys(err, "open the layer's files");
    x->lost_fd = openat(layer_fd, LOST, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    x->file = source_fd(x->fd);
    x->text = source_inflate(x->file, COMP_ZSTD);
    int r = get(x, magic, strlen(MAGIC), err);
    return r >= 0 && strcmp(magic, MAGIC) != 0 ? damaged(err) : r;
}

int recipe_source(int layer_fd, struct source **ret, struct err *err)
{
    struct recipe_reader *x = xnew(struct recipe_reader);

    x->base = (struct source){.next = recipe_next, .read = recipe_read, .free = recipe_free};
    x->fd = x->diff_fd = x->lost_fd = x->from_fd = -1;
    int r = open_parts(x, layer_fd, err);
    if (r < 0) {
        recipe_free(&x->base);
        return r;
    }
    *ret = &x->base;
    return 0;
}
