#include "distribution/blob.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/time.h"
#include "distribution/ahead.h"
#include "distribution/repo-priv.h"
#include "distribution/session.h"

#define HEADWAY (1u << 20) /* bytes after which earlier failures are forgiven */
#define SKIP 65536
#define JUDGE_NS NS_PER_S
#define SLOW_B (48u << 20) /* a second */

struct dist_blob {
    struct dist_session *s;
    struct arena mem;
    char *path;
    struct strv scopes;
    char digest[DIGEST_LEN + 1];
    uint64_t size, off;
    int fd; /* where the first @have bytes are; not ours */
    uint64_t have;
    uint64_t failed_at; /* off at the last failure */
    unsigned fails, resumed;
    struct dist_reply *reply; /* NULL while there is no connection */
    struct sha256 *hash;
    bool done;
    /* several connections */
    int ahead_fd;        /* -1: not (or no more) allowed */
    bool ranges;         /* the registry says that it knows them */
    int64_t since_ns;    /* judged from here */
    int64_t waited_ns;   /* for the network, since then */
    uint64_t judged_off; /* off at that time */
    struct ahead *ahead; /* or NULL */
    uint64_t ahead_at;   /* off from which on it is read */
    bool was_ahead;
};

int dist_blob_stat(struct dist_session *s, const char *repo, const char *digest, int64_t *ret_size,
                   struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "HEAD",
                             .path = repo_path(&a, repo, "blobs", digest),
                             .scopes = dist_scope(s, repo, &a),
                             .also = {404}};
    int r = dist_send(s, &call, &reply, err);

    if (r < 0)
        return r;
    if (dist_reply_status(reply) == 404)
        return 1;
    const char *text = dist_reply_header(reply, "Content-Length");
    if (ret_size && (!text || str_to_i64(text, ret_size) < 0))
        *ret_size = -1;
    return 0;
}

/* ---- connecting ---- */

/* "bytes 100-199/200": does it begin where we are? */
static bool range_fits(const struct dist_blob *b, const char *text)
{
    char want[32];
    int n = snprintf(want, sizeof(want), "bytes %llu-", (unsigned long long)b->off);

    return text && strncmp(text, want, (size_t)n) == 0;
}

/* A registry without Range sends all of it again. */
static int skip(struct dist_blob *b, struct err *err)
{
    auto_free char *tmp = xmalloc(SKIP);
    uint64_t left = b->off;

    while (left > 0) {
        ssize_t n = dist_reply_read(b->reply, tmp, left < SKIP ? (size_t)left : SKIP, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return err_no(err, ENODATA, "blob %s ends too early", b->digest);
        left -= (uint64_t)n;
    }
    return 0;
}

static int check_length(const struct dist_blob *b, uint64_t want, struct err *err)
{
    int64_t got = dist_reply_length(b->reply);
    const char *coding = dist_reply_header(b->reply, "Content-Encoding");

    if (coding && strcmp(coding, "identity") != 0)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s comes in the coding \"%.30s\"", b->digest,
                      coding);
    if (got >= 0 && (uint64_t)got != want)
        return err_as(err, ERR_INVALID, EBADMSG,
                      "blob %s: expected %llu bytes, the registry has %lld", b->digest,
                      (unsigned long long)want, (long long)got);
    return 0;
}

static int connect_blob(struct dist_blob *b, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dist_call call = {.method = "GET", .path = b->path, .scopes = b->scopes};

    strmap_set(&a, &call.headers, "Accept-Encoding", "identity");
    if (b->off > 0)
        strmap_set(&a, &call.headers, "Range",
                   arena_printf(&a, "bytes=%llu-", (unsigned long long)b->off));
    int r = dist_send(b->s, &call, &b->reply, err);
    if (r < 0)
        return r;
    b->ranges = dist_reply_status(b->reply) == 206 ||
                str_eq(dist_reply_header(b->reply, "Accept-Ranges"), "bytes");
    b->since_ns = 0;
    if (dist_reply_status(b->reply) != 206) {
        r = check_length(b, b->size, err);
        return r < 0 ? r : skip(b, err);
    }
    if (!range_fits(b, dist_reply_header(b->reply, "Content-Range")))
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s: the registry sends another range",
                      b->digest);
    return check_length(b, b->size - b->off, err);
}

static void disconnect(struct dist_blob *b)
{
    dist_reply_free(take_ptr(&b->reply));
}

/* After a failure. Return: 0: try again; @r when it makes no sense, or no more. */
static int forgive(struct dist_blob *b, int r, const struct err *why, struct err *err)
{
    bool fresh = b->off - b->failed_at >= HEADWAY;

    disconnect(b);
    b->fails = fresh ? 1 : b->fails + 1;
    b->failed_at = b->off;
    if (!dist_transient(r) || b->fails >= dist_tries(b->s)) {
        if (err)
            *err = *why;
        return r;
    }
    b->resumed++;
    return dist_pause(b->s, b->fails, err);
}

int dist_blob_open(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                   struct dist_blob **ret, struct err *err)
{
    return dist_blob_resume(s, repo, digest, size, -1, 0, ret, err);
}

int dist_blob_resume(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                     int fd, uint64_t have, struct dist_blob **ret, struct err *err)
{
    if (!digest_valid(digest))
        return err_invalid(err, "invalid digest: %.100s", digest);
    auto_dist_blob struct dist_blob *b = xnew(struct dist_blob);
    b->s = s;
    b->size = size;
    b->fd = fd;
    b->ahead_fd = -1;
    b->have = have < size ? have : size;
    b->path = repo_path(&b->mem, repo, "blobs", digest);
    b->scopes = dist_scope(s, repo, &b->mem);
    b->hash = sha256_new();
    (void)snprintf(b->digest, sizeof(b->digest), "%s", digest);
    int r = b->have ? 0 : connect_blob(b, err);
    if (r < 0)
        return r;
    *ret = take_ptr(&b);
    return 0;
}

/* ---- several connections ---- */

/* Looked at once a second: is it the network that is waited for, and is it slow? Where it is not,
 * as in a local network, more connections would only be in each other's way. */
static bool is_slow(struct dist_blob *b)
{
    int64_t now = mono_ns(), took = now - b->since_ns;

    if (b->since_ns && took < JUDGE_NS)
        return false;
    bool slow = b->since_ns && b->waited_ns > took / 10 * 8 &&
                b->off - b->judged_off < SLOW_B * (uint64_t)took / NS_PER_S;
    b->since_ns = now;
    b->waited_ns = 0;
    b->judged_off = b->off;
    return slow;
}

/* The connection that is there reads one piece more while the others begin. */
static int consider_ahead(struct dist_blob *b, struct err *err)
{
    struct ahead_opts o = {.s = b->s,
                           .path = b->path,
                           .scopes = b->scopes,
                           .from = b->off + AHEAD_PIECE,
                           .size = b->size,
                           .fd = b->ahead_fd};

    if (b->ahead_fd < 0 || b->ahead || !b->ranges || b->size - b->off < DIST_AHEAD_MIN ||
        !is_slow(b))
        return 0;
    int r = ahead_start(&o, &b->ahead, err);
    b->ahead_at = o.from;
    b->was_ahead |= r >= 0;
    return r;
}

static void end_ahead(struct dist_blob *b)
{
    ahead_free(take_ptr(&b->ahead));
    close_fd(&b->ahead_fd); /* never again for this blob */
}

/* Return: bytes > 0; 0: it is over, one connection goes on; -ECANCELED. */
static ssize_t read_ahead(struct dist_blob *b, void *p, size_t n, struct err *err)
{
    struct err why = {0};

    disconnect(b);
    ssize_t got = ahead_read(b->ahead, p, n, &why);
    if (got > 0)
        return got;
    end_ahead(b);
    if (got == -ECANCELED && err)
        *err = why;
    return got == -ECANCELED ? got : 0;
}

void dist_blob_allow_ahead(struct dist_blob *b, int fd)
{
    close_fd(&b->ahead_fd);
    b->ahead_fd = fd;
}

bool dist_blob_was_ahead(const struct dist_blob *b)
{
    return b && b->was_ahead;
}

/* ---- reading ---- */

static ssize_t read_had(struct dist_blob *b, void *p, size_t n, struct err *err)
{
    uint64_t left = b->have - b->off;
    ssize_t got = 0;

    do
        got = pread(b->fd, p, n < left ? n : (size_t)left, (off_t)b->off);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, "read what is here of blob %s", b->digest);
    return got ? got : err_no(err, EIO, "what is here of blob %s has been cut", b->digest);
}

static int finish(struct dist_blob *b, struct err *err)
{
    char digest[DIGEST_LEN + 1];
    char more;
    ssize_t n = b->reply ? dist_reply_read(b->reply, &more, 1, NULL) : 0;

    disconnect(b);
    if (n > 0)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s: more than %llu bytes came", b->digest,
                      (unsigned long long)b->size);
    sha256_digest(b->hash, digest);
    b->done = true;
    if (strcmp(digest, b->digest) != 0) {
        b->done = false;
        b->size = UINT64_MAX; /* never a second verdict */
        return err_as(err, ERR_INVALID, EBADMSG,
                      "filesystem layer verification failed for digest %s: it is %s", b->digest,
                      digest);
    }
    return 0;
}

/* Return: bytes > 0, -errno. */
static ssize_t read_some(struct dist_blob *b, void *p, size_t n, struct err *err)
{
    if (b->off < b->have)
        return read_had(b, p, n, err);
    if (b->ahead && b->off >= b->ahead_at) {
        ssize_t ahead = read_ahead(b, p, n, err);
        if (ahead != 0)
            return ahead;
    }
    int r = b->reply ? 0 : connect_blob(b, err);
    if (r >= 0)
        r = consider_ahead(b, err);
    if (r < 0)
        return r;
    int64_t before = mono_ns();
    if (b->ahead && n > b->ahead_at - b->off)
        n = (size_t)(b->ahead_at - b->off);
    ssize_t got = dist_reply_read(b->reply, p, n, err);
    b->waited_ns += mono_ns() - before;
    return got ? got : err_no(err, ENODATA, "blob %s ends too early", b->digest);
}

ssize_t dist_blob_read(struct dist_blob *b, void *p, size_t n, struct err *err)
{
    if (b->done || n == 0)
        return 0;
    if (b->size == UINT64_MAX)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s is not what it should be", b->digest);
    if (b->off == b->size)
        return finish(b, err);
    for (;;) {
        struct err why = {0};
        uint64_t left = b->size - b->off;
        ssize_t got = read_some(b, p, n < left ? n : (size_t)left, &why);
        if (got > 0) {
            sha256_add(b->hash, p, (size_t)got);
            b->off += (uint64_t)got;
            return got;
        }
        int r = forgive(b, (int)got, &why, err);
        if (r < 0)
            return r;
    }
}

bool dist_blob_done(const struct dist_blob *b)
{
    return b->done;
}

unsigned dist_blob_resumed(const struct dist_blob *b)
{
    return b->resumed;
}

void dist_blob_free(struct dist_blob *b)
{
    if (!b)
        return;
    end_ahead(b);
    dist_reply_free(b->reply);
    sha256_free(b->hash);
    arena_done(&b->mem);
    free(b);
}

int dist_blob_get(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                  struct buf *out, struct err *err)
{
    auto_dist_blob struct dist_blob *b = NULL;
    ssize_t n = dist_blob_open(s, repo, digest, size, &b, err);

    while (n >= 0) {
        n = dist_blob_read(b, buf_room(out, 16384), 16384, err);
        if (n <= 0)
            break;
        buf_commit(out, (size_t)n);
    }
    return (int)n;
}
