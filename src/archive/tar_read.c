/*
 * The tar reader. One entry may be several headers (pax records, GNU long names, sparse extents)
 * before its content; all of them are gathered into one struct tar_entry. Every byte that is not
 * content is also given to the raw function, in order.
 *
 * Where the formats leave room, Go's archive/tar decides, since that is what other engines see in
 * the same archive: global pax headers are read over, GNU's long names come before those of pax,
 * links and directories have no content whatever their size says, an archive may end without its
 * two empty blocks.
 */
#include "archive/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/tar-priv.h"
#include "archive/tar_read-priv.h"
#include "base/mem.h"
#include "base/str.h"

#define CHAIN_MAX 16 /* extra headers before one entry */
#define LEND (1u << 20)

/* What the headers before an entry say about it. */
struct extra {
    struct pax pax;
    char *long_name, *long_link;
};

int tar_bad_header(struct err *err)
{
    return err_as(err, ERR_INVALID, EBADMSG, "archive/tar: invalid tar header");
}

int tar_cut_short(struct err *err)
{
    return err_as(err, ERR_INVALID, EBADMSG, "unexpected EOF");
}

/* ---- bytes ---- */

static int tell(struct tar_reader *r, const void *p, size_t n, struct err *err)
{
    return r->raw && n ? r->raw(r->ctx, p, n, err) : 0;
}

/* Return: 1; 0 when the source ends exactly here; -errno. */
int tar_read_block(struct tar_reader *r, uint8_t block[TAR_BLOCK], struct err *err)
{
    ssize_t n = source_read(r->s, block, TAR_BLOCK, err);

    if (n < 0)
        return (int)n;
    if (n > 0 && n < TAR_BLOCK)
        return tar_cut_short(err);
    int rc = tell(r, block, (size_t)n, err);
    return rc < 0 ? rc : n > 0;
}

static bool is_zero(const uint8_t block[TAR_BLOCK])
{
    return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

/* Bytes that nobody wants: content that was not read, and padding. */
static int skip(struct tar_reader *r, uint64_t n, struct err *err)
{
    const uint8_t *p = NULL;

    while (n > 0) {
        ssize_t got = source_next(r->s, &p, n < LEND ? n : LEND, err);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return tar_cut_short(err);
        int rc = tell(r, p, (size_t)got, err);
        if (rc < 0)
            return rc;
        n -= (uint64_t)got;
    }
    return 0;
}

static int skip_content(struct tar_reader *r, struct err *err)
{
    int rc = skip(r, r->left, err);

    if (rc >= 0)
        rc = skip(r, r->pad, err);
    r->left = 0;
    r->pad = 0;
    return rc;
}

/* The content of a header that describes another, in the arena. */
static int read_special(struct tar_reader *r, uint64_t size, char **ret, struct err *err)
{
    static const char zeros[TAR_BLOCK];

    r->special += size;
    if (size > TAR_PAX_MAX || r->special > TAR_SPECIAL_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "archive/tar: header field too long");
    char *p = arena_alloc(&r->a, size + 1);
    ssize_t n = source_read(r->s, p, size, err);
    if (n < 0)
        return (int)n;
    if ((uint64_t)n < size)
        return tar_cut_short(err);
    int rc = tell(r, p, size, err);
    if (rc >= 0)
        rc = skip(r, (0 - size) % sizeof(zeros), err);
    *ret = p;
    return rc;
}

/* ---- fields ---- */

/* Octal text, or big-endian two's complement behind a byte with its top bit set. */
static int number(const char *field, size_t n, int64_t *ret, struct err *err)
{
    const uint8_t *p = (const uint8_t *)field;
    uint64_t v = 0;
    size_t i = 0;

    if (p[0] & 0x80) {
        uint8_t fill = p[0] & 0x40 ? 0xff : 0;
        for (; i < n; i++) {
            uint8_t c = i == 0 ? (uint8_t)((p[0] & 0x7f) | (fill & 0x80)) : p[i];
            if (i + 8 < n && c != fill)
                return tar_bad_header(err);
            v = v << 8 | c;
        }
        if (((v >> 63) != 0) != (fill != 0))
            return tar_bad_header(err);
        *ret = (int64_t)v;
        return 0;
    }
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
        n--;
    while (i < n && (p[i] == ' ' || p[i] == '\0'))
        i++;
    for (; i < n && p[i] != '\0'; i++) {
        if (p[i] < '0' || p[i] > '7' || v >> 60)
            return tar_bad_header(err);
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    *ret = (int64_t)v;
    return 0;
}

int tar_natural(const char *field, size_t n, uint64_t *ret, struct err *err)
{
    int64_t v = 0;
    int rc = number(field, n, &v, err);

    if (rc >= 0 && v < 0)
        rc = tar_bad_header(err);
    if (rc >= 0)
        *ret = (uint64_t)v;
    return rc;
}

#define NUMBER(field, ret) number(h->field, sizeof(h->field), (ret), err)
#define NATURAL(field, ret) tar_natural(h->field, sizeof(h->field), (ret), err)

static int check_sum(const uint8_t block[TAR_BLOCK], struct err *err)
{
    const struct tar_header *h = (const struct tar_header *)block;
    int64_t want = 0, is_unsigned = 0, is_signed = 0;
    int rc = NUMBER(chksum, &want);

    tar_checksum(block, &is_unsigned, &is_signed);
    if (rc >= 0 && want != is_unsigned && want != is_signed)
        rc = tar_bad_header(err);
    return rc;
}

bool tar_header_valid(const uint8_t block[TAR_BLOCK])
{
    return is_zero(block) || check_sum(block, NULL) >= 0;
}

static char *text(struct tar_reader *r, const char *field, size_t n)
{
    return arena_strndup(&r->a, field, strnlen(field, n));
}

static char *full_name(struct tar_reader *r, const struct tar_header *h)
{
    char *name = text(r, h->name, sizeof(h->name));

    if (memcmp(h->magic, "ustar\0", 6) != 0 || !h->prefix[0])
        return name;
    return arena_printf(&r->a, "%s/%s", text(r, h->prefix, sizeof(h->prefix)), name);
}

static int parse_device(struct tar_reader *r, const struct tar_header *h, struct err *err)
{
    uint64_t dev_major = 0, dev_minor = 0;

    if (r->e.type != TAR_CHAR && r->e.type != TAR_BLOCKDEV)
        return 0;
    int rc = NATURAL(dev_major, &dev_major);
    if (rc >= 0)
        rc = NATURAL(dev_minor, &dev_minor);
    if (rc >= 0 && (dev_major > 0xfffff || dev_minor > 0xfffff))
        rc = tar_bad_header(err);
    r->e.dev_major = (uint32_t)dev_major;
    r->e.dev_minor = (uint32_t)dev_minor;
    return rc;
}

/* The plain header alone; what the extra ones say comes on top. */
static int parse_header(struct tar_reader *r, const uint8_t block[TAR_BLOCK], struct err *err)
{
    const struct tar_header *h = (const struct tar_header *)block;
    struct tar_entry *e = &r->e;
    uint64_t mode = 0;
    int64_t mtime = 0;

    *e = (struct tar_entry){.type = (enum tar_type)h->type, .link = text(r, h->link, 100)};
    int rc = NATURAL(mode, &mode);
    if (rc >= 0)
        rc = NATURAL(uid, &e->uid);
    if (rc >= 0)
        rc = NATURAL(gid, &e->gid);
    if (rc >= 0)
        rc = NATURAL(size, &e->size);
    if (rc >= 0)
        rc = NUMBER(mtime, &mtime);
    if (rc >= 0)
        rc = parse_device(r, h, err);
    if (rc < 0)
        return rc;
    e->mode = mode & 07777;
    e->mtime_ns = pax_clamp_time(mtime, 0);
    e->name = full_name(r, h);
    return 0;
}

/* ---- entries ---- */

static bool has_content(int type)
{
    return !(type >= TAR_HARDLINK && type <= TAR_FIFO);
}

static void old_types(struct tar_entry *e)
{
    if (e->type == 0) /* V7 had no type for directories */
        e->type = str_ends(e->name, "/") ? TAR_DIR : TAR_FILE;
    else if (e->type == '7')
        e->type = TAR_FILE;
}

static void apply(struct tar_reader *r, const struct extra *x)
{
    struct tar_entry *e = &r->e;
    const struct pax *p = &x->pax;

    if (p->path)
        e->name = p->path;
    if (p->link)
        e->link = p->link;
    if (!str_empty(x->long_name))
        e->name = x->long_name;
    if (!str_empty(x->long_link))
        e->link = x->long_link;
    if (p->has & PAX_SIZE)
        e->size = p->size;
    if (p->has & PAX_UID)
        e->uid = p->uid;
    if (p->has & PAX_GID)
        e->gid = p->gid;
    if (p->has & PAX_MTIME)
        e->mtime_ns = p->mtime_ns;
    e->xattrs.v = p->xattrs.v;
    e->xattrs.n = p->xattrs.n;
}

static int check_entry(const struct tar_entry *e, struct err *err)
{
    if (strlen(e->name) >= TAR_NAME_MAX || strlen(e->link) >= TAR_NAME_MAX)
        return err_as(err, ERR_INVALID, ENAMETOOLONG, "archive/tar: a name is longer than %d bytes",
                      TAR_NAME_MAX);
    if (e->uid >= UINT32_MAX || e->gid >= UINT32_MAX || e->size > INT64_MAX)
        return tar_bad_header(err);
    return 0;
}

static int finish_entry(struct tar_reader *r, const uint8_t block[TAR_BLOCK], const struct extra *x,
                        struct err *err)
{
    int rc = parse_header(r, block, err);

    if (rc < 0)
        return rc;
    bool gnu = r->e.type == 'S';
    apply(r, x);
    old_types(&r->e);
    rc = check_entry(&r->e, err);
    if (rc < 0)
        return rc;
    r->left = has_content(r->e.type) ? r->e.size : 0;
    r->pad = (unsigned)((0 - r->left) % TAR_BLOCK);
    if (gnu)
        rc = tar_sparse_gnu(r, block, err);
    else if (r->e.type == TAR_FILE)
        rc = tar_sparse_pax(r, &x->pax, err);
    if (rc >= 0)
        rc = tar_sparse_check(r, err);
    r->e.stored = r->left;
    if (!has_content(r->e.type))
        r->e.size = 0;
    return rc;
}

/* A header that describes the next one. Return: 1 it was such a header; 0 not; -errno. */
static int read_extra(struct tar_reader *r, const uint8_t block[TAR_BLOCK], struct extra *x,
                      struct err *err)
{
    const struct tar_header *h = (const struct tar_header *)block;
    uint64_t size = 0;
    char *p = NULL;

    if (!h->type || !strchr("xgLK", h->type))
        return 0;
    int rc = NATURAL(size, &size);
    if (rc >= 0)
        rc = read_special(r, size, &p, err);
    if (rc < 0)
        return rc;
    if (h->type == 'L')
        x->long_name = p;
    else if (h->type == 'K')
        x->long_link = p;
    else if (h->type == 'x')
        rc = pax_parse(p, size, &r->a, &x->pax, err);
    return rc < 0 ? rc : 1;
}

/* The end: a second empty block, then whatever the writer padded with. */
static int read_end(struct tar_reader *r, struct err *err)
{
    uint8_t block[TAR_BLOCK];
    const uint8_t *p = NULL;
    int rc = tar_read_block(r, block, err);

    if (rc > 0 && !is_zero(block))
        return tar_bad_header(err);
    while (rc > 0) {
        ssize_t n = source_next(r->s, &p, LEND, err);
        rc = n < 0 ? (int)n : tell(r, p, (size_t)n, err);
        if (n == 0)
            break;
        rc = rc < 0 ? rc : 1;
    }
    r->ended = rc >= 0;
    return rc < 0 ? rc : 0;
}

static int read_headers(struct tar_reader *r, struct err *err)
{
    struct extra x = {0};
    uint8_t block[TAR_BLOCK];

    for (int i = 0; i < CHAIN_MAX; i++) {
        int rc = tar_read_block(r, block, err);
        if (rc == 0)
            r->ended = true;
        if (rc <= 0)
            return rc == 0 && i > 0 ? tar_cut_short(err) : rc;
        if (is_zero(block))
            return i > 0 ? tar_bad_header(err) : read_end(r, err);
        rc = check_sum(block, err);
        if (rc >= 0)
            rc = read_extra(r, block, &x, err);
        if (rc == 0)
            rc = finish_entry(r, block, &x, err);
        else if (rc > 0)
            continue;
        return rc < 0 ? rc : 1;
    }
    return err_as(err, ERR_INVALID, E2BIG, "archive/tar: too many headers before an entry");
}

int tar_next(struct tar_reader *r, const struct tar_entry **ret, struct err *err)
{
    if (r->ended)
        return 0;
    int rc = skip_content(r, err);
    if (rc < 0)
        return rc;
    arena_done(&r->a);
    r->extent = 0;
    r->extent_at = 0;
    r->special = 0;
    rc = read_headers(r, err);
    if (rc <= 0)
        return rc;
    if (++r->entries > TAR_ENTRIES_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "archive/tar: more than %u entries",
                      TAR_ENTRIES_MAX);
    *ret = &r->e;
    return 1;
}

/* ---- content ---- */

/* Where the next bytes belong, and how many of them follow without a hole. */
static uint64_t place(struct tar_reader *r, uint64_t *offset)
{
    if (r->e.sparse.n == 0) {
        *offset = r->e.stored - r->left;
        return r->left;
    }
    while (r->extent_at == r->e.sparse.v[r->extent].len) { /* the sums match: one is left */
        r->extent++;
        r->extent_at = 0;
    }
    const struct tar_extent *x = &r->e.sparse.v[r->extent];
    *offset = x->offset + r->extent_at;
    return x->len - r->extent_at;
}

ssize_t tar_data(struct tar_reader *r, const uint8_t **ret, uint64_t *ret_offset, struct err *err)
{
    uint64_t offset = 0;

    if (r->left == 0)
        return 0;
    uint64_t run = place(r, &offset);
    ssize_t n = source_next(r->s, ret, run < LEND ? run : LEND, err);
    if (n == 0)
        return tar_cut_short(err);
    if (n < 0)
        return n;
    r->left -= (uint64_t)n;
    r->extent_at += (uint64_t)n;
    if (ret_offset)
        *ret_offset = offset;
    return n;
}

static ssize_t content_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct tar_reader *r = ((struct reader_source *)s)->r;

    if (r->left == 0)
        return 0;
    ssize_t n = source_next(r->s, ret, max < r->left ? max : r->left, err);
    if (n == 0)
        return tar_cut_short(err);
    if (n > 0)
        r->left -= (uint64_t)n;
    return n;
}

static ssize_t content_read(struct source *s, void *p, size_t max, struct err *err)
{
    struct tar_reader *r = ((struct reader_source *)s)->r;

    if (r->left == 0)
        return 0;
    ssize_t n = source_read(r->s, p, max < r->left ? max : r->left, err);
    if (n == 0)
        return tar_cut_short(err);
    if (n > 0)
        r->left -= (uint64_t)n;
    return n;
}

static void content_free(struct source *s)
{
    (void)s; /* it is a part of the reader */
}

struct source *tar_entry_source(struct tar_reader *r)
{
    return &r->content.base;
}

struct tar_reader *tar_reader_new(struct source *s, tar_raw_fn raw, void *ctx)
{
    struct tar_reader *r = xnew(struct tar_reader);

    r->s = s;
    r->raw = raw;
    r->ctx = ctx;
    r->content.base =
        (struct source){.next = content_next, .read = content_read, .free = content_free};
    r->content.r = r;
    return r;
}

void tar_reader_free(struct tar_reader *r)
{
    if (!r)
        return;
    arena_done(&r->a);
    free(r);
}
