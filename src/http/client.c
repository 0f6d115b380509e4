#include "http/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/dial.h"
#include "http/guard.h"
#include "http/h1.h"

/*
 * One call at a time per connection. The connection travels: the client keeps it between calls, a
 * reply owns it while its body is read, an upgrade keeps it for good.
 */

#define KEEP_MAX 16

struct http_client {
    struct http_client_opts o; /* pointers into the arena */
    struct addr proxy;
    struct tls_ctx *tls;
    struct arena arena;
    struct strmap headers;
    pthread_mutex_t lock;
    struct stream *kept[KEEP_MAX]; /* idle connections, oldest first; under the lock */
    size_t nkept;
};

struct http_reply {
    struct http_client *client;
    struct arena arena;
    struct h1_in in;
    struct h1_head head;
    struct h1_body body;
    char method[16];
};

int http_client_open(const struct http_client_opts *o, struct http_client **ret, struct err *err)
{
    struct tls_ctx *ctx = NULL;

    if (o->tls) {
        int r = tls_ctx_new(false, o->tls, &ctx, err);
        if (r < 0)
            return r;
    }
    struct http_client *c = xnew(struct http_client);
    c->o = *o;
    c->o.tls = NULL;
    c->o.keep = o->keep < 1 ? 1 : o->keep > KEEP_MAX ? KEEP_MAX : o->keep;
    if (o->proxy) {
        c->proxy = *o->proxy;
        c->o.proxy = &c->proxy;
        c->o.proxy_auth = o->proxy_auth ? arena_strdup(&c->arena, o->proxy_auth) : NULL;
    }
    c->tls = ctx;
    (void)pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return 0;
}

int http_client_new(const struct addr *addr, const struct tls_opts *tls, struct http_client **ret,
                    struct err *err)
{
    struct http_client_opts o = {.addr = *addr, .tls = tls};

    return http_client_open(&o, ret, err);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->nkept; i++)
        stream_free(c->kept[i]);
    tls_ctx_free(c->tls);
    (void)pthread_mutex_destroy(&c->lock);
    arena_done(&c->arena);
    free(c);
}

void http_client_header(struct http_client *c, const char *name, const char *val)
{
    strmap_set(&c->arena, &c->headers, name, val);
}

/* ---- connections ---- */

/* Give a connection back; the newest ones are kept. */
static void keep(struct http_client *c, struct stream *s)
{
    struct stream *drop = NULL;

    (void)pthread_mutex_lock(&c->lock);
    if (c->nkept == c->o.keep) {
        drop = c->kept[0];
        memmove(c->kept, c->kept + 1, --c->nkept * sizeof(*c->kept));
    }
    c->kept[c->nkept++] = s;
    (void)pthread_mutex_unlock(&c->lock);
    stream_free(drop);
}

/* An idle connection that has something to say was closed by the server. */
static bool is_closed(const struct stream *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN | POLLRDHUP};

    return poll(&p, 1, 0) != 0;
}

static struct stream *take_kept(struct http_client *c)
{
    struct stream *s = NULL;

    do {
        stream_free(s);
        (void)pthread_mutex_lock(&c->lock);
        s = c->nkept ? c->kept[--c->nkept] : NULL;
        (void)pthread_mutex_unlock(&c->lock);
    } while (s && is_closed(s));
    return s;
}

/* ---- request ---- */

static void put_headers(struct buf *out, const struct strmap *m)
{
    for (size_t i = 0; i < m->n; i++)
        buf_printf(out, "%s: %s\r\n", m->v[i].key, m->v[i].val);
}

/* The scheme's own port is left out: signatures over URLs of blob stores cover this header. */
static void put_host(struct buf *out, const struct http_client *c)
{
    const struct addr *a = &c->o.addr;

    if (a->kind != ADDR_TCP) {
        buf_puts(out, "localhost");
        return;
    }
    if (a->port != (c->tls ? 443 : 80)) {
        addr_put_authority(out, a);
        return;
    }
    buf_printf(out, strchr(a->host, ':') ? "[%s]" : "%s", a->host);
}

static void put_request_line(struct http_client *c, const struct http_call *call, struct buf *out)
{
    bool absolute = c->o.proxy && !c->tls;

    buf_printf(out, "%s ", call->method);
    if (absolute) {
        buf_puts(out, "http://");
        put_host(out, c);
    }
    buf_printf(out, "%s HTTP/1.1\r\nHost: ", call->target);
    put_host(out, c);
    buf_puts(out, "\r\n");
    if (absolute && c->o.proxy_auth)
        buf_printf(out, "Proxy-Authorization: %s\r\n", c->o.proxy_auth);
}

static void put_request(struct http_client *c, const struct http_call *call, bool upgrade,
                        struct buf *out)
{
    bool body = call->body || call->body_fn || call->push_fn;
    bool post = str_eq(call->method, "POST") || str_eq(call->method, "PUT");

    put_request_line(c, call, out);
    put_headers(out, &c->headers);
    put_headers(out, &call->headers);
    if (body && call->content_type)
        buf_printf(out, "Content-Type: %s\r\n", call->content_type);
    if (upgrade)
        buf_puts(out, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
    if (!call->body && call->body_fn && call->sized)
        buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)call->body_size);
    else if (!call->body && body)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (body || post)
        buf_printf(out, "Content-Length: %zu\r\n", call->body ? call->body_len : 0);
    buf_puts(out, "\r\n");
}

struct http_pusher {
    struct stream *s;
    bool begun; /* the last chunk's end is still to be written */
};

int http_push(struct http_pusher *to, const void *p, size_t n, struct err *err)
{
    char head[24];

    if (n == 0)
        return 0;
    int len = snprintf(head, sizeof(head), "%s%zx\r\n", to->begun ? "\r\n" : "", n);
    int r = stream_write(to->s, head, (size_t)len);
    if (r == 0)
        r = stream_write(to->s, p, n);
    to->begun = true;
    return r < 0 ? err_no(err, r, "send request body") : 0;
}

static int send_pushed(struct stream *s, const struct http_call *call, struct err *err)
{
    struct http_pusher to = {.s = s};
    const char *end = "\r\n0\r\n\r\n";
    int r = call->push_fn(call->body_arg, &to, err);

    if (r < 0)
        return r;
    end += to.begun ? 0 : 2;
    r = stream_write(s, end, strlen(end));
    return r < 0 ? err_no(err, r, "send request body") : 0;
}

static int send_chunks(struct stream *s, const struct http_call *call, struct err *err)
{
    enum { ROOM = 12, SIZE = 262144 };
    auto_free char *data = xmalloc(ROOM + SIZE + 2);
    ssize_t n;

    while ((n = call->body_fn(call->body_arg, data + ROOM, SIZE)) > 0) {
        char head[ROOM + 1];
        int len = snprintf(head, sizeof(head), "%zx\r\n", (size_t)n);
        char *start = data + ROOM - len;
        memcpy(start, head, (size_t)len);
        memcpy(data + ROOM + n, "\r\n", 2);
        int r = stream_write(s, start, (size_t)(len + n + 2));
        if (r < 0)
            return err_no(err, r, "send request body");
    }
    if (n < 0)
        return err_no(err, (int)n, "read request body");
    int r = stream_write(s, "0\r\n\r\n", 5);
    return r < 0 ? err_no(err, r, "send request body") : 0;
}

/* A body of known length; never more than was announced, and less is an error. */
static int send_sized(struct stream *s, const struct http_call *call, struct err *err)
{
    enum { SIZE = 65536 };
    auto_free char *data = xmalloc(SIZE);
    uint64_t left = call->body_size;

    while (left > 0) {
        ssize_t n = call->body_fn(call->body_arg, data, left < SIZE ? (size_t)left : SIZE);
        if (n <= 0)
            return err_no(err, n < 0 ? (int)n : -ENODATA, "read request body");
        int r = stream_write(s, data, (size_t)n);
        if (r < 0)
            return err_no(err, r, "send request body");
        left -= (uint64_t)n;
    }
    return 0;
}

#define JOIN_MAX 65536

static int send_request(struct http_client *c, struct stream *s, const struct http_call *call,
                        bool upgrade, struct err *err)
{
    auto_buf struct buf out = BUF_INIT;
    bool join = call->body && call->body_len <= JOIN_MAX;

    put_request(c, call, upgrade, &out);
    if (join)
        buf_put(&out, call->body, call->body_len);
    int r = stream_write(s, out.data, out.len);
    if (r == 0 && call->body && !join)
        r = stream_write(s, call->body, call->body_len);
    if (r < 0)
        return err_no(err, r, "send request");
    if (!call->body && call->push_fn)
        return send_pushed(s, call, err);
    if (call->body || !call->body_fn)
        return 0;
    return call->sized ? send_sized(s, call, err) : send_chunks(s, call, err);
}

/* ---- reply ---- */

static int read_reply(struct http_reply *r, struct err *err)
{
    size_t n = 0;
    int e;

    do { /* "100 Continue" and its like come before the answer */
        e = h1_read_head(&r->in, &n, err);
        if (e < 0)
            return e;
        e = h1_parse_response(h1_in_data(&r->in), n, r->method, &r->arena, &r->head, err);
        if (e < 0)
            return e;
        h1_in_use(&r->in, n);
    } while (r->head.status >= 100 && r->head.status < 200 && r->head.status != 101);
    h1_body_init(&r->body, r->head.length);
    return 0;
}

static struct http_reply *reply_new(struct http_client *c, struct stream *s, const char *method)
{
    struct http_reply *r = xnew(struct http_reply);

    r->client = c;
    r->in.s = s;
    (void)snprintf(r->method, sizeof(r->method), "%s", method);
    return r;
}

static void reply_drop(struct http_reply *r)
{
    if (!r)
        return;
    stream_free(r->in.s);
    r->in.s = NULL;
    http_reply_free(r);
}

DEFINE_AUTO(reply, struct http_reply *, reply_drop)

/* A server that refuses an upload early answers and closes: its answer is worth more than the
 * broken pipe, so it is read even if sending failed. */
static int exchange(struct http_client *c, struct stream *s, const struct http_call *call,
                    bool upgrade, struct http_reply **ret, struct err *err)
{
    AUTO(auto_reply_) struct http_reply *reply = reply_new(c, s, call->method);
    struct err sent = {0};

    if (dial_is_guarded(&c->o)) {
        stream_guard_set(s, c->o.idle_ms, dial_gone_fd(&c->o));
        stream_guard_until(s, c->o.call_ms ? mono_ns() + c->o.call_ms * NS_PER_MS : 0);
    }
    int r = send_request(c, s, call, upgrade, &sent);

    if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
        if (err)
            *err = sent;
        return r;
    }
    int e = read_reply(reply, err);
    if (e < 0)
        return e;
    *ret = take_ptr(&reply);
    return 0;
}

static bool stale(int r)
{
    return r == -ENODATA || r == -EPIPE || r == -ECONNRESET;
}

static int call_server(struct http_client *c, const struct http_call *call, bool upgrade,
                       struct http_reply **ret, struct err *err)
{
    struct stream *s = NULL;

    if (!call->body_fn && !call->push_fn && (s = take_kept(c))) {
        int r = exchange(c, s, call, upgrade, ret, NULL);
        if (!stale(r) || call->once)
            return r < 0 ? err_no(err, r, "talk to the server") : r;
    }
    int r = http_dial(&c->o, c->tls, &s, err);
    if (r < 0)
        return r;
    r = exchange(c, s, call, upgrade, ret, err);
    return r == -ENODATA
               ? err_as(err, ERR_UNAVAILABLE, ECONNRESET, "the server closed the connection")
               : r;
}

int http_send(struct http_client *c, const struct http_call *call, struct http_reply **ret,
              struct err *err)
{
    return call_server(c, call, false, ret, err);
}

int http_reply_status(const struct http_reply *r)
{
    return r->head.status;
}

const char *http_reply_header(const struct http_reply *r, const char *name)
{
    return h1_header(&r->head, name);
}

struct strv http_reply_headers(const struct http_reply *r, const char *name, struct arena *a)
{
    struct strv v = {0};

    for (size_t i = 0; i < r->head.headers.n; i++)
        if (strcasecmp(r->head.headers.v[i].name, name) == 0)
            strv_push(a, &v, r->head.headers.v[i].val);
    return v;
}

int64_t http_reply_length(const struct http_reply *r)
{
    return r->body.chunked || r->head.length < 0 ? -1 : r->head.length;
}

ssize_t http_reply_read(struct http_reply *r, void *p, size_t n, struct err *err)
{
    return h1_body_read(&r->body, &r->in, p, n, err);
}

int http_reply_all(struct http_reply *r, size_t limit, struct buf *out, struct err *err)
{
    for (;;) {
        ssize_t n = http_reply_read(r, buf_room(out, 16384), 16384, err);
        buf_commit(out, n > 0 ? (size_t)n : 0);
        if (n <= 0)
            return (int)n;
        if (out->len > limit)
            return err_as(err, ERR_SYSTEM, E2BIG, "the server's answer is too large");
    }
}

int http_reply_fd(const struct http_reply *r)
{
    return r->in.s->fd;
}

bool http_reply_pending(const struct http_reply *r)
{
    /* The line's end behind a chunk says nothing of the next one. */
    size_t framing = r->body.chunked && r->body.started && r->body.left == 0 ? 2 : 0;

    return h1_in_len(&r->in) > framing || r->in.s->ops->pending(r->in.s);
}

/* The chunk that ends a body may still be unread when its data has all been taken. */
static bool at_end(struct http_reply *r)
{
    char c;

    if (r->body.chunked && !r->body.ended && r->body.left == 0 && h1_in_len(&r->in) > 0)
        return h1_body_read(&r->body, &r->in, &c, 1, NULL) == 0;
    return r->body.ended;
}

void http_reply_free(struct http_reply *r)
{
    if (!r)
        return;
    struct stream *s = r->in.s;
    if (s && at_end(r) && r->head.keep_alive && h1_in_len(&r->in) == 0)
        keep(r->client, s);
    else
        stream_free(s);
    h1_in_done(&r->in);
    arena_done(&r->arena);
    free(r);
}

/* ---- upgrade ---- */

int http_upgrade(struct http_client *c, const struct http_call *call, struct http_raw *ret,
                 struct http_reply **ret_reply, struct err *err)
{
    struct http_reply *reply = NULL;
    int r = call_server(c, call, true, &reply, err);

    if (r < 0)
        return r;
    int status = reply->head.status;
    if (status != 101 && !(status == 200 && reply->head.length == H1_LENGTH_TO_END)) {
        *ret_reply = reply;
        return 0;
    }
    *ret = (struct http_raw){.s = reply->in.s, .status = status};
    const char *type = h1_header(&reply->head, "Content-Type");
    (void)snprintf(ret->content_type, sizeof(ret->content_type), "%s", type ? type : "");
    buf_put(&ret->early, h1_in_data(&reply->in), h1_in_len(&reply->in));
    reply->in.s = NULL;
    http_reply_free(reply);
    return 1;
}

ssize_t http_raw_read(struct http_raw *raw, void *p, size_t n)
{
    size_t have = raw->early.len - raw->early_off;

    if (have == 0)
        return stream_read(raw->s, p, n);
    if (n > have)
        n = have;
    memcpy(p, raw->early.data + raw->early_off, n);
    raw->early_off += n;
    return (ssize_t)n;
}

int http_raw_read_full(struct http_raw *raw, void *p, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = http_raw_read(raw, (char *)p + got, n - got);
        if (r <= 0)
            return r < 0 ? (int)r : -ENODATA;
        got += (size_t)r;
    }
    return 0;
}

void http_raw_done(struct http_raw *raw)
{
    stream_free(raw->s);
    raw->s = NULL;
    buf_done(&raw->early);
}
