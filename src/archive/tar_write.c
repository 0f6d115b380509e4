/*
 * The tar writer. An entry is one ustar header; what that has no room for (long or non-ASCII names,
 * large numbers, xattrs) goes into a pax header before it, with the same records and names that
 * Go's archive/tar writes. The same entries give the same bytes.
 */
#include "archive/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/tar-priv.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

#define BUFFER (256u << 10)
#define DIRECT (64u << 10) /* a piece of this size is worth a write of its own */

struct tar_writer {
    struct sink *s;
    uint64_t left; /* content the current entry still wants */
    unsigned pad;
    uint8_t *buf; /* BUFFER bytes, made when first needed; small files are many to a write */
    size_t n;
};

static const uint8_t zeros[2 * TAR_BLOCK];

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* ---- the plain header ---- */

/* Octal with a NUL behind it; what does not fit stays zero, and a pax record tells it. */
static bool put_octal(char *field, size_t n, uint64_t v)
{
    bool fits = v < UINT64_C(1) << (3 * (n - 1));

    (void)snprintf(field, n, "%0*llo", (int)(n - 1), (unsigned long long)(fits ? v : 0));
    return fits;
}

/* The last slash that leaves at most 155 bytes before it and 100 behind; NULL if there is none. */
static const char *split(const char *name, size_t len)
{
    size_t end = len > sizeof(((struct tar_header *)0)->prefix)
                     ? sizeof(((struct tar_header *)0)->prefix) + 1
                     : len - 1; /* a directory's last slash is part of its name */
    const char *slash = memrchr(name, '/', end);

    if (!slash || slash == name || (size_t)(name + len - slash - 1) > 100 || slash[1] == '\0')
        return NULL;
    return slash;
}

static bool put_name(struct tar_header *h, const char *name)
{
    size_t len = strlen(name);

    if (!is_ascii(name))
        return false;
    if (len <= sizeof(h->name)) {
        memcpy(h->name, name, len);
        return true;
    }
    const char *slash = split(name, len);
    if (!slash)
        return false;
    memcpy(h->prefix, name, (size_t)(slash - name));
    memcpy(h->name, slash + 1, len - (size_t)(slash + 1 - name));
    return true;
}

/* What does not fit at all: the start of the name, for readers that know no pax. */
static void put_cut(char *field, size_t n, const char *text)
{
    size_t at = 0;

    for (; *text && at < n; text++)
        if ((unsigned char)*text < 0x80)
            field[at++] = *text;
}

static void seal(struct tar_header *h)
{
    int64_t sum = 0, other = 0;

    memcpy(h->magic,
           "ustar\0"
           "00",
           8);
    tar_checksum((const uint8_t *)h, &sum, &other);
    (void)snprintf(h->chksum, 7, "%06llo", (unsigned long long)sum);
    h->chksum[7] = ' ';
}

/* ---- pax records ---- */

/* The length counts its own digits. */
static void put_record(struct buf *out, const char *key, const char *val, size_t n)
{
    size_t rest = strlen(key) + n + 3; /* blank, "=", newline */
    size_t len = rest, before = 0;
    char digits[24];

    while (len != before) {
        before = len;
        len = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len);
    }
    buf_printf(out, "%zu %s=", len, key);
    buf_put(out, val, n);
    buf_putc(out, '\n');
}

static void put_text(struct buf *out, const char *key, const char *val)
{
    put_record(out, key, val, strlen(val));
}

static void put_number(struct buf *out, const char *key, uint64_t v)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v);
    put_text(out, key, digits);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static void put_xattrs(struct buf *out, const struct tar_entry *e)
{
    if (e->xattrs.n == 0)
        return;
    struct tar_xattr *sorted = xmemdup(e->xattrs.v, e->xattrs.n * sizeof(*e->xattrs.v));
    qsort(sorted, e->xattrs.n, sizeof(*sorted), by_name);
    for (size_t i = 0; i < e->xattrs.n; i++) {
        char *key = xasprintf("SCHILY.xattr.%s", sorted[i].name);
        put_record(out, key, sorted[i].val, sorted[i].len);
        free(key);
    }
    free(sorted);
}

static uint64_t content_size(const struct tar_entry *e)
{
    return e->type == TAR_FILE ? e->size : 0;
}

/* Fills the header, and gathers what it has no room for. Keys come sorted, as Go writes them. */
static void describe(const struct tar_entry *e, struct tar_header *h, struct buf *pax)
{
    int64_t mtime = e->mtime_ns / NS_PER_S - (e->mtime_ns % NS_PER_S < 0);
    char time[24];

    h->type = (char)e->type;
    (void)put_octal(h->mode, sizeof(h->mode), e->mode & 07777);
    (void)put_octal(h->dev_major, sizeof(h->dev_major), e->dev_major);
    (void)put_octal(h->dev_minor, sizeof(h->dev_minor), e->dev_minor);
    put_xattrs(pax, e);
    if (!put_octal(h->gid, sizeof(h->gid), e->gid))
        put_number(pax, "gid", e->gid);
    size_t link = strlen(e->link ? e->link : "");
    if (link > sizeof(h->link) || (link && !is_ascii(e->link)))
        put_text(pax, "linkpath", e->link);
    put_cut(h->link, sizeof(h->link), link ? e->link : "");
    if (!put_octal(h->mtime, sizeof(h->mtime), mtime < 0 ? UINT64_MAX : (uint64_t)mtime)) {
        (void)snprintf(time, sizeof(time), "%lld", (long long)mtime);
        put_text(pax, "mtime", time);
    }
    if (!put_name(h, e->name)) {
        put_text(pax, "path", e->name);
        put_cut(h->name, sizeof(h->name), e->name);
    }
    if (!put_octal(h->size, sizeof(h->size), content_size(e)))
        put_number(pax, "size", e->size);
    if (!put_octal(h->uid, sizeof(h->uid), e->uid))
        put_number(pax, "uid", e->uid);
}

/* "dir/PaxHeaders.0/file" */
static void pax_name(struct tar_header *h, const char *name)
{
    size_t len = strlen(name);

    while (len > 1 && name[len - 1] == '/')
        len--;
    const char *slash = memrchr(name, '/', len);
    size_t dir = slash ? (size_t)(slash + 1 - name) : 0;
    char *full = xasprintf("%.*sPaxHeaders.0/%.*s", (int)dir, name, (int)(len - dir), name + dir);
    if (!put_name(h, full))
        put_cut(h->name, sizeof(h->name), full);
    free(full);
}

int tar_write_flush(struct tar_writer *w, struct err *err)
{
    size_t n = w->n;

    w->n = 0;
    return n ? sink_write(w->s, w->buf, n, err) : 0;
}

static int put(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
    int r = n >= DIRECT || w->n + n > BUFFER ? tar_write_flush(w, err) : 0;

    if (r < 0 || n >= DIRECT)
        return r < 0 ? r : sink_write(w->s, p, n, err);
    if (!w->buf)
        w->buf = xmalloc(BUFFER);
    memcpy(w->buf + w->n, p, n);
    w->n += n;
    return 0;
}

static int write_padded(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
    int r = put(w, p, n, err);
    size_t pad = (0 - n) % TAR_BLOCK;

    return r < 0 || pad == 0 ? r : put(w, zeros, pad, err);
}

static int write_pax(struct tar_writer *w, const char *name, const struct buf *pax, struct err *err)
{
    struct tar_header h = {.type = 'x'};

    pax_name(&h, name);
    (void)put_octal(h.mode, sizeof(h.mode), 0);
    (void)put_octal(h.uid, sizeof(h.uid), 0);
    (void)put_octal(h.gid, sizeof(h.gid), 0);
    (void)put_octal(h.size, sizeof(h.size), pax->len);
    (void)put_octal(h.mtime, sizeof(h.mtime), 0);
    (void)put_octal(h.dev_major, sizeof(h.dev_major), 0);
    (void)put_octal(h.dev_minor, sizeof(h.dev_minor), 0);
    seal(&h);
    int r = put(w, &h, sizeof(h), err);
    return r < 0 ? r : write_padded(w, pax->data, pax->len, err);
}

/* ---- the writer ---- */

struct tar_writer *tar_writer_new(struct sink *s)
{
    struct tar_writer *w = xnew(struct tar_writer);

    w->s = s;
    return w;
}

void tar_writer_free(struct tar_writer *w)
{
    if (w)
        free(w->buf);
    free(w);
}

static int end_entry(struct tar_writer *w, struct err *err)
{
    unsigned pad = w->pad;

    if (w->left > 0)
        return err_as(err, ERR_SYSTEM, EPROTO, "archive/tar: missed writing %llu bytes",
                      (unsigned long long)w->left);
    w->pad = 0;
    return pad ? put(w, zeros, pad, err) : 0;
}

int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct err *err)
{
    auto_buf struct buf pax = BUF_INIT;
    struct tar_header h = {0};
    int r = end_entry(w, err);

    if (r < 0)
        return r;
    describe(e, &h, &pax);
    r = pax.len ? write_pax(w, e->name, &pax, err) : 0;
    if (r < 0)
        return r;
    seal(&h);
    w->left = content_size(e);
    w->pad = (unsigned)((0 - w->left) % TAR_BLOCK);
    return put(w, &h, sizeof(h), err);
}

int tar_write_data(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
    if (n > w->left)
        return err_as(err, ERR_SYSTEM, EPROTO, "archive/tar: write too long");
    w->left -= n;
    return put(w, p, n, err);
}

int tar_write_pad(struct tar_writer *w, struct err *err)
{
    int r = end_entry(w, err);

    return r < 0 ? r : tar_write_flush(w, err);
}

int tar_write_end(struct tar_writer *w, struct err *err)
{
    int r = end_entry(w, err);

    if (r >= 0)
        r = put(w, zeros, sizeof(zeros), err);
    return r < 0 ? r : tar_write_flush(w, err);
}
