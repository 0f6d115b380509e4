#include "build/layout_line.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "wire/layout.h"

#define SILENCE_S 120

struct layout_line {
    int fd;
    bool broken; /* somebody stopped in the middle of an answer */
    pthread_mutex_t lock;
};

struct layout_line *layout_line_new(int fd)
{
    const struct timeval limit = {.tv_sec = SILENCE_S};
    struct layout_line *l = xnew(struct layout_line);

    l->fd = fd;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return l;
}

void layout_line_free(struct layout_line *l)
{
    if (!l)
        return;
    close_fd(&l->fd);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- messages; the lock is held ---- */

static int broken(struct layout_line *l, int r, struct err *err)
{
    l->broken = true;
    return err_no(err, r, "the connection to the client's directory");
}

static int say(struct layout_line *l, const char *verb, const char *what, struct err *err)
{
    auto_buf struct buf line = BUF_INIT;

    if (l->broken)
        return err_no(err, EPIPE, "the connection to the client's directory");
    buf_printf(&line, "%s%s%s\n", verb, *what ? " " : "", what);
    int r = write_full(l->fd, line.data, line.len);
    return r < 0 ? broken(l, r, err) : 0;
}

/* The size that an answer begins with. */
static int hear(struct layout_line *l, const char *what, uint64_t *ret, struct err *err)
{
    int64_t n;
    int r = read_full(l->fd, &n, sizeof(n));

    if (r < 0)
        return broken(l, r, err);
    n = (int64_t)be64toh((uint64_t)n);
    if (n < -4095)
        return broken(l, EPROTO, err);
    if (n == -ENOENT)
        return err_not_found(err, "the client's directory has no %s", what);
    if (n < 0)
        return err_no(err, (int)-n, "%s of the client's directory", what);
    *ret = (uint64_t)n;
    return 0;
}

static int ask(struct layout_line *l, const char *verb, const char *what, uint64_t *ret,
               struct err *err)
{
    int r = say(l, verb, what, err);

    return r < 0 ? r : hear(l, *what ? what : verb, ret, err);
}

static int send_chunk(struct layout_line *l, const void *p, size_t n, struct err *err)
{
    uint32_t len = htonl((uint32_t)n);
    int r = write_full(l->fd, &len, sizeof(len));

    if (r >= 0 && n)
        r = write_full(l->fd, p, n);
    return r < 0 ? broken(l, r, err) : 0;
}

/* ---- reading ---- */

static int take(struct layout_line *l, uint64_t size, struct buf *out, struct err *err)
{
    int r = read_full(l->fd, buf_room(out, size), size);

    if (r < 0)
        return broken(l, r, err);
    buf_commit(out, size);
    return 0;
}

static int index_locked(struct layout_line *l, struct buf *out, struct err *err)
{
    uint64_t size = 0;
    int r = ask(l, LAYOUT_INDEX, "", &size, err);

    if (r >= 0 && size > LAYOUT_INDEX_MAX) {
        l->broken = true;
        return err_as(err, ERR_INVALID, E2BIG, "index.json has more than %u bytes",
                      LAYOUT_INDEX_MAX);
    }
    return r < 0 ? r : take(l, size, out, err);
}

int layout_index(struct layout_line *l, struct buf *out, struct err *err)
{
    (void)pthread_mutex_lock(&l->lock);
    int r = index_locked(l, out, err);
    (void)pthread_mutex_unlock(&l->lock);
    return r;
}

int layout_stat(struct layout_line *l, const char *digest, uint64_t *ret_size, struct err *err)
{
    (void)pthread_mutex_lock(&l->lock);
    int r = ask(l, LAYOUT_STAT, digest, ret_size, err);
    (void)pthread_mutex_unlock(&l->lock);
    return r;
}

/* The connection stays in step only if all of the answer is read. */
static int begin_get(struct layout_line *l, const char *digest, uint64_t size, struct err *err)
{
    uint64_t has = 0;
    int r = ask(l, LAYOUT_GET, digest, &has, err);

    if (r < 0 || has == size)
        return r;
    l->broken = true;
    return err_as(err, ERR_INVALID, EBADMSG, "blob %s: expected %llu bytes, got %llu", digest,
                  (unsigned long long)size, (unsigned long long)has);
}

static int other_digest(const char *digest, const char *got, struct err *err)
{
    return err_as(err, ERR_INVALID, EBADMSG, "blob %s has the digest %s", digest, got);
}

int layout_get(struct layout_line *l, const char *digest, uint64_t size, struct buf *out,
               struct err *err)
{
    char got[DIGEST_LEN + 1];
    size_t before = out->len;

    (void)pthread_mutex_lock(&l->lock);
    int r = begin_get(l, digest, size, err);
    if (r >= 0)
        r = take(l, size, out, err);
    (void)pthread_mutex_unlock(&l->lock);
    if (r < 0)
        return r;
    sha256_of(out->data + before, size, got);
    return strcmp(got, digest) == 0 ? 0 : other_digest(digest, got, err);
}

struct line_source {
    struct source base;
    struct layout_line *l;
    char digest[DIGEST_LEN + 1];
    uint64_t left;
    struct sha256 *hash; /* NULL: its end was told */
    uint8_t chunk[64 << 10];
};

static int end_blob(struct line_source *s, struct err *err)
{
    char got[DIGEST_LEN + 1];

    if (!s->hash)
        return 0;
    sha256_digest(s->hash, got);
    sha256_free(take_ptr(&s->hash));
    return strcmp(got, s->digest) == 0 ? 0 : other_digest(s->digest, got, err);
}

static ssize_t line_next(struct source *base, const uint8_t **ret, size_t max, struct err *err)
{
    struct line_source *s = (struct line_source *)base;
    size_t n = max < sizeof(s->chunk) ? max : sizeof(s->chunk);
    ssize_t got;

    if (s->left == 0)
        return end_blob(s, err);
    n = n < s->left ? n : (size_t)s->left;
    do
        got = read(s->l->fd, s->chunk, n);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return broken(s->l, got < 0 ? errno : ENODATA, err);
    sha256_add(s->hash, s->chunk, (size_t)got);
    s->left -= (uint64_t)got;
    *ret = s->chunk;
    return got;
}

static void line_free(struct source *base)
{
    struct line_source *s = (struct line_source *)base;

    s->l->broken |= s->left > 0;
    sha256_free(s->hash);
    (void)pthread_mutex_unlock(&s->l->lock);
    free(s);
}

int layout_blob(struct layout_line *l, const char *digest, uint64_t size, struct source **ret,
                struct err *err)
{
    (void)pthread_mutex_lock(&l->lock);
    int r = begin_get(l, digest, size, err);
    if (r < 0) {
        (void)pthread_mutex_unlock(&l->lock);
        return r;
    }
    struct line_source *s = xnew(struct line_source);
    s->base = (struct source){.next = line_next, .free = line_free};
    s->l = l;
    memcpy(s->digest, digest, sizeof(s->digest));
    s->left = size;
    s->hash = sha256_new();
    *ret = &s->base;
    return 0;
}

/* ---- writing ---- */

struct putting {
    struct layout_line *l;
    struct sha256 *hash;
    uint64_t size;
};

static int put_bytes(void *ctx, const void *p, size_t n, struct err *err)
{
    struct putting *x = ctx;
    const char *at = p;

    sha256_add(x->hash, p, n);
    x->size += n;
    while (n > 0) {
        size_t part = n < LAYOUT_CHUNK_MAX ? n : LAYOUT_CHUNK_MAX;
        int r = send_chunk(x->l, at, part, err);
        if (r < 0)
            return r;
        at += part;
        n -= part;
    }
    return 0;
}

static int put_all(struct putting *x, layout_fill fill, void *ctx, char digest[DIGEST_LEN + 1],
                   struct err *err)
{
    auto_sink struct sink *to = sink_cb(put_bytes, x);
    uint64_t size = 0;
    int r = say(x->l, LAYOUT_PUT, "", err);

    if (r < 0)
        return r;
    r = fill(ctx, to, err);
    if (r < 0) {
        x->l->broken = true; /* half a blob must not look like a whole one */
        return r;
    }
    sha256_digest(x->hash, digest);
    r = send_chunk(x->l, NULL, 0, err);
    if (r >= 0)
        r = ask(x->l, digest, "", &size, err);
    if (r >= 0 && size != x->size)
        r = err_no(err, EIO, "the client wrote %llu bytes of %llu", (unsigned long long)size,
                   (unsigned long long)x->size);
    return r;
}

int layout_put(struct layout_line *l, layout_fill fill, void *ctx, char ret_digest[DIGEST_LEN + 1],
               uint64_t *ret_size, struct err *err)
{
    struct putting x = {.l = l, .hash = sha256_new()};

    (void)pthread_mutex_lock(&l->lock);
    int r = put_all(&x, fill, ctx, ret_digest, err);
    (void)pthread_mutex_unlock(&l->lock);
    sha256_free(x.hash);
    if (r >= 0)
        *ret_size = x.size;
    return r;
}

int layout_name(struct layout_line *l, const char *tag, const struct buf *descriptor,
                struct err *err)
{
    uint64_t none = 0;

    (void)pthread_mutex_lock(&l->lock);
    int r = say(l, LAYOUT_NAME, tag, err);
    if (r >= 0)
        r = send_chunk(l, descriptor->data, descriptor->len, err);
    if (r >= 0)
        r = send_chunk(l, NULL, 0, err);
    if (r >= 0)
        r = hear(l, "index.json", &none, err);
    (void)pthread_mutex_unlock(&l->lock);
    return r;
}
