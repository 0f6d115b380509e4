#include "distribution/upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "distribution/blob.h"
#include "distribution/repo-priv.h"
#include "distribution/session.h"
#include "http/query.h"

/* S3 wants at least 5 MiB of every piece but the last; less of it costs round trips. */
#define PIECE (6u << 20)
#define PIECE_MAX (64u << 20) /* of what a registry may ask for */

struct dist_upload {
    struct dist_session *s;
    struct arena mem;       /* repo, scopes */
    struct arena places[2]; /* of the place, by turns: a registry names a new one every time */
    int turn;
    char *repo;
    struct strv scopes;
    struct dist_place place;
    struct sha256 *hash;
    uint8_t *piece; /* @size bytes, of which @have are in use */
    size_t size, have;
    uint64_t off; /* where the piece begins */
    unsigned resumed;
    bool open; /* the registry waits for more */
};

/* ---- mount ---- */

int dist_mount(struct dist_session *s, const char *repo, const char *digest, const char *from,
               struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf path = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "POST", .scopes = dist_scope(s, repo, &a)};

    strv_push(&a, &call.scopes, arena_printf(&a, "repository:%s:pull", from));
    buf_puts(&path, repo_path(&a, repo, "blobs", "uploads"));
    buf_putc(&path, '/');
    query_add(&path, "mount", digest);
    query_add(&path, "from", from);
    call.path = buf_str(&path);
    /* Without the right to read there the registry may refuse altogether: then bytes are sent. */
    call.also[0] = 401;
    call.also[1] = 403;
    call.also[2] = 404;
    int r = dist_send(s, &call, &reply, err);
    if (r < 0)
        return r;
    if (dist_reply_status(reply) != 202)
        return dist_reply_status(reply) == 201;
    struct dist_call cancel = {.method = "DELETE", .scopes = call.scopes, .once = true};
    struct dist_place place;
    if (dist_reply_place(reply, &a, &place, NULL) < 0)
        return 0;
    dist_reply_free(take_ptr(&reply));
    cancel.place = &place;
    (void)!dist_send(s, &cancel, &reply, NULL); /* it began an upload instead; it may expire */
    return 0;
}

/* ---- the place of an upload ---- */

static int take_place(struct dist_upload *u, const struct dist_reply *reply, struct err *err)
{
    struct arena *a = &u->places[u->turn ^ 1];

    arena_done(a);
    int r = dist_reply_place(reply, a, &u->place, err);
    if (r >= 0)
        u->turn ^= 1;
    return r;
}

static void take_size(struct dist_upload *u, const struct dist_reply *reply)
{
    const char *text = dist_reply_header(reply, "OCI-Chunk-Min-Length");
    uint64_t least = 0;

    u->size = PIECE;
    if (text && str_to_u64(text, &least) >= 0 && least > PIECE && least <= PIECE_MAX)
        u->size = least;
}

int dist_upload_new(struct dist_session *s, const char *repo, struct dist_upload **ret,
                    struct err *err)
{
    auto_dist_upload struct dist_upload *u = xnew(struct dist_upload);
    auto_dist_reply struct dist_reply *reply = NULL;

    u->s = s;
    u->repo = arena_strdup(&u->mem, repo);
    u->scopes = dist_scope(s, repo, &u->mem);
    u->hash = sha256_new();
    struct dist_call call = {
        .method = "POST",
        .path = arena_printf(&u->mem, "%s/", repo_path(&u->mem, repo, "blobs", "uploads")),
        .scopes = u->scopes};
    int r = dist_send(s, &call, &reply, err);
    if (r >= 0)
        r = take_place(u, reply, err);
    if (r < 0)
        return r;
    u->open = true;
    take_size(u, reply);
    u->piece = xmalloc(u->size);
    *ret = take_ptr(&u);
    return 0;
}

/* ---- pieces ---- */

/* "0-1023": how many bytes the registry has. */
static int has_bytes(const struct dist_reply *reply, uint64_t *ret)
{
    const char *text = dist_reply_header(reply, "Range"), *dash = text ? strchr(text, '-') : NULL;
    uint64_t last = 0;

    if (!dash || str_to_u64(dash + 1, &last) < 0)
        return -EINVAL;
    *ret = last + 1;
    return 0;
}

/* Ask how far it got. Return: 0: the piece goes on at *@ret; -errno. */
static int ask_status(struct dist_upload *u, size_t *ret, struct err *err)
{
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "GET", .place = &u->place, .scopes = u->scopes};
    uint64_t got = 0;
    int r = dist_send(u->s, &call, &reply, err);

    if (r < 0 && r != -ECANCELED && !dist_transient(r)) {
        (void)err_wrap(err, r, "the upload cannot go on");
        return -ESTALE;
    }
    if (r < 0)
        return r;
    if (has_bytes(reply, &got) < 0)
        return err_as(err, ERR_UNAVAILABLE, ESTALE, "the registry does not say how far it got");
    if (got == 1 && u->off == 0)
        got = 0; /* "0-0" is how some say that they have nothing */
    uint64_t end = u->off + u->have;
    if (got < u->off || got > end)
        return err_as(err, ERR_UNAVAILABLE, ESTALE,
                      "the registry has %llu bytes of the upload, not %llu to %llu",
                      (unsigned long long)got, (unsigned long long)u->off, (unsigned long long)end);
    *ret = (size_t)(got - u->off);
    return dist_reply_header(reply, "Location") ? take_place(u, reply, err) : 0;
}

/* Of the piece from @from on; the last byte counts. */
static char *range(const struct dist_upload *u, size_t from, struct arena *a)
{
    unsigned long long first = u->off + from, last = u->off + u->have - 1;

    return arena_printf(a, "%llu-%llu", first, last);
}

static int patch(struct dist_upload *u, size_t from, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "PATCH",
                             .place = &u->place,
                             .scopes = u->scopes,
                             .body = u->piece + from,
                             .body_len = u->have - from,
                             .content_type = "application/octet-stream",
                             .once = true};

    strmap_set(&a, &call.headers, "Content-Range", range(u, from, &a));
    int r = dist_send(u->s, &call, &reply, err);
    return r < 0 ? r : take_place(u, reply, err);
}

static bool may_go_on(int r)
{
    return dist_transient(r) || r == -EREMOTEIO || r == -EDQUOT;
}

static int send_piece(struct dist_upload *u, struct err *err)
{
    size_t from = 0;

    for (unsigned n = 1;; n++) {
        struct err why = {0};
        int r = from == u->have ? 0 : patch(u, from, &why);
        if (r >= 0)
            break;
        if (n >= dist_tries(u->s) || !may_go_on(r)) {
            if (err)
                *err = why;
            return r;
        }
        u->resumed++;
        r = dist_pause(u->s, n, err);
        if (r >= 0)
            r = ask_status(u, &from, err);
        if (r < 0)
            return r;
    }
    u->off += u->have;
    u->have = 0;
    return 0;
}

int dist_upload_add(struct dist_upload *u, const void *p, size_t n, struct err *err)
{
    const uint8_t *from = p;

    sha256_add(u->hash, p, n);
    while (n > 0) {
        size_t k = u->size - u->have < n ? u->size - u->have : n;
        memcpy(u->piece + u->have, from, k);
        u->have += k;
        from += k;
        n -= k;
        int r = u->have == u->size ? send_piece(u, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the end ---- */

/* The last piece goes with the name of the whole. */
static int put(struct dist_upload *u, const char *digest, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf target = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_place place = u->place;
    struct dist_call call = {.method = "PUT",
                             .place = &place,
                             .scopes = u->scopes,
                             .body = u->piece,
                             .body_len = u->have,
                             .content_type = "application/octet-stream",
                             .once = true};

    buf_puts(&target, u->place.url.target);
    query_add(&target, "digest", digest);
    place.url.target = buf_str(&target);
    if (u->off > 0 && u->have > 0)
        strmap_set(&a, &call.headers, "Content-Range", range(u, 0, &a));
    return dist_send(u->s, &call, &reply, err);
}

int dist_upload_finish(struct dist_upload *u, char ret_digest[DIGEST_LEN + 1], uint64_t *ret_size,
                       struct err *err)
{
    char digest[DIGEST_LEN + 1];
    uint64_t size = u->off + u->have;

    sha256_digest(u->hash, digest);
    for (unsigned n = 1;; n++) {
        struct err why = {0};
        size_t from = 0;
        int r = put(u, digest, &why);
        if (r >= 0)
            break;
        if (n >= dist_tries(u->s) || !may_go_on(r)) {
            if (err)
                *err = why;
            return r;
        }
        u->resumed++;
        r = dist_pause(u->s, n, err);
        if (r < 0)
            return r;
        /* The answer may have been lost, not the blob. */
        if (dist_blob_stat(u->s, u->repo, digest, NULL, NULL) == 0)
            break;
        r = ask_status(u, &from, err);
        if (r < 0)
            return r;
        memmove(u->piece, u->piece + from, u->have - from);
        u->off += from;
        u->have -= from;
    }
    u->open = false;
    if (ret_digest)
        memcpy(ret_digest, digest, sizeof(digest));
    if (ret_size)
        *ret_size = size;
    return 0;
}

unsigned dist_upload_resumed(const struct dist_upload *u)
{
    return u->resumed;
}

static void cancel(struct dist_upload *u)
{
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {
        .method = "DELETE", .place = &u->place, .scopes = u->scopes, .once = true};

    (void)!dist_send(u->s, &call, &reply, NULL); /* registries forget by themselves, in time */
}

void dist_upload_free(struct dist_upload *u)
{
    if (!u)
        return;
    if (u->open)
        cancel(u);
    sha256_free(u->hash);
    free(u->piece);
    arena_done(&u->places[0]);
    arena_done(&u->places[1]);
    arena_done(&u->mem);
    free(u);
}

int dist_upload_blob(struct dist_session *s, const char *repo, const void *p, size_t n,
                     struct err *err)
{
    auto_dist_upload struct dist_upload *u = NULL;
    char digest[DIGEST_LEN + 1];

    sha256_of(p, n, digest);
    int r = dist_blob_stat(s, repo, digest, NULL, err);
    if (r <= 0)
        return r;
    r = dist_upload_new(s, repo, &u, err);
    if (r >= 0)
        r = dist_upload_add(u, p, n, err);
    return r < 0 ? r : dist_upload_finish(u, NULL, NULL, err);
}
