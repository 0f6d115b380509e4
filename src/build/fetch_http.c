/* A file behind an URL: redirects are followed, up to a few, and never from https to http. */
#include "build/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "distribution/transport.h"
#include "http/query.h"

#define REDIRECTS_MAX 10
#define PIECE 65536
#define NAME_OF_NOTHING "download"

struct getting {
    const struct fetcher *f;
    struct transport *t;
    struct arena *a;
    struct url url; /* where we are by now */
    struct http_reply *reply;
};

/* ---- the answer ---- */

static int ask(struct getting *g, struct err *err)
{
    struct http_call call = {.method = "GET"};

    strmap_set(g->a, &call.headers, "Accept-Encoding", "identity"); /* the file as it is there */
    if (g->url.user) {
        auto_buf struct buf b = BUF_INIT;
        base64_encode(g->url.user, strlen(g->url.user), false, &b);
        strmap_set(g->a, &call.headers, "Authorization",
                   arena_printf(g->a, "Basic %s", buf_str(&b)));
    }
    return transport_send(g->t, &g->url, &call, &g->reply, err);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* What belongs to one server is not told to the next. */
static int follow(struct getting *g, struct err *err)
{
    const char *location = http_reply_header(g->reply, "Location");
    struct url next;
    int r = str_empty(location)
                ? err_as(err, ERR_UNAVAILABLE, EBADMSG, "a redirect to nowhere")
                : url_resolve(&g->url, arena_strdup(g->a, location), g->a, &next, err);

    http_reply_free(take_ptr(&g->reply));
    if (r < 0)
        return r;
    if (g->url.https && !next.https)
        return err_as(err, ERR_UNAVAILABLE, EPROTO, "refusing to be sent from https to http");
    if (!next.user && url_same_origin(&next, &g->url))
        next.user = g->url.user;
    g->url = next;
    return 0;
}

static int get(struct getting *g, struct err *err)
{
    for (int n = 0; n <= REDIRECTS_MAX; n++) {
        int r = ask(g, err);
        if (r < 0)
            return r;
        int status = http_reply_status(g->reply);
        if (status == 200)
            return 0;
        if (!is_redirect(status))
            return err_as(err, ERR_UNAVAILABLE, ENOENT, "invalid response status %d", status);
        r = follow(g, err);
        if (r < 0)
            return r;
    }
    return err_as(err, ERR_UNAVAILABLE, ELOOP, "stopped after %d redirects", REDIRECTS_MAX);
}

/* ---- its name and time ---- */

static bool valid_name(const char *name)
{
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '/')
            return false;
    return *name && strlen(name) <= NAME_MAX && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Content-Disposition: attachment; filename="name" */
static char *told_name(const struct http_reply *reply, struct arena *a)
{
    const char *text = http_reply_header(reply, "Content-Disposition");
    const char *at = text ? strcasestr(text, "filename=") : NULL;

    if (!at)
        return NULL;
    at += strlen("filename=");
    bool quoted = *at == '"';
    return arena_strndup(a, at + quoted, strcspn(at + quoted, quoted ? "\"" : "; \t"));
}

static char *name_of(const struct http_reply *reply, const struct url *u, struct arena *a)
{
    char *name = told_name(reply, a);
    size_t n = strcspn(u->target, "?");

    if (name && valid_name(name))
        return name;
    size_t from = n;
    while (from > 0 && u->target[from - 1] != '/')
        from--;
    if (query_unescape(u->target + from, n - from, false, a, &name, NULL) >= 0 && valid_name(name))
        return name;
    return arena_strdup(a, NAME_OF_NOTHING);
}

static int64_t time_of(const struct http_reply *reply)
{
    const char *text = http_reply_header(reply, "Last-Modified");
    struct tm tm = {0};

    return text && strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) ? timegm(&tm) : 0;
}

/* ---- its content ---- */

static int too_large(struct err *err)
{
    return err_as(err, ERR_INVALID, E2BIG, "larger than %llu GiB",
                  (unsigned long long)(FETCH_MAX_B >> 30));
}

static int receive(struct http_reply *reply, int fd, struct sha256 *h, struct err *err)
{
    auto_free char *piece = xmalloc(PIECE);
    uint64_t have = 0;

    if (http_reply_length(reply) > (int64_t)FETCH_MAX_B)
        return too_large(err);
    for (;;) {
        ssize_t n = http_reply_read(reply, piece, PIECE, err);
        if (n <= 0)
            return (int)n;
        have += (uint64_t)n;
        if (have > FETCH_MAX_B)
            return too_large(err);
        sha256_add(h, piece, (size_t)n);
        int r = write_full(fd, piece, (size_t)n);
        if (r < 0)
            return err_no(err, r, "write");
    }
}

static int save(struct getting *g, struct fetched *ret, struct err *err)
{
    ret->mtime_s = time_of(g->reply);
    const struct timespec times[2] = {{.tv_sec = ret->mtime_s}, {.tv_sec = ret->mtime_s}};
    auto_close int fd = openat(ret->fd, ret->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make a file for it");
    struct sha256 *h = sha256_new();
    int r = receive(g->reply, fd, h, err);
    if (r >= 0)
        sha256_digest(h, ret->id);
    sha256_free(h);
    if (r < 0)
        return r;
    return fchmod(fd, 0600) < 0 || futimens(fd, times) < 0 ? err_sys(err, "set its mode") : 0;
}

static int compare(const char *checksum, const char *id, struct err *err)
{
    return !checksum || strcmp(checksum, id) == 0
               ? 0
               : err_as(err, ERR_INVALID, EBADMSG, "digest mismatch %s: %s", id, checksum);
}

int fetch_http(const struct fetcher *f, const char *url, const char *checksum, struct arena *a,
               struct fetched *ret, struct err *err)
{
    struct getting g = {.f = f, .a = a};
    struct url first;

    *ret = (struct fetched){.fd = -1};
    if (checksum && !digest_valid(checksum))
        return err_invalid(err, "invalid checksum \"%.100s\"", checksum);
    int r = url_parse(url, a, &first, err);
    if (r < 0)
        return r;
    g.url = first;
    g.t = transport_new(f->web, f->gone_fd);
    r = get(&g, err);
    if (r >= 0)
        r = fetch_dir(f, ret, err);
    if (r >= 0) {
        ret->path = name_of(g.reply, &first, a);
        r = save(&g, ret, err);
    }
    if (r >= 0)
        r = compare(checksum, ret->id, err);
    http_reply_free(g.reply);
    transport_free(g.t);
    char *text = url_text(&first, a);
    text[strcspn(text, "?")] = '\0'; /* it may hold a signature */
    return r < 0 ? err_wrap(err, r, "fetch %.300s", text) : 0;
}
