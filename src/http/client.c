#include "http/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/auto.h"
#include "base/mem.h"
#include "http/h1.h"

/*
 * One call at a time per connection. The connection travels: the client keeps it between calls, a
 * reply owns it while its body is read, an upgrade keeps it for good.
 */

struct http_client {
    struct addr addr;
    struct tls_ctx *tls;
    struct arena arena;
    struct strmap headers;
    struct stream *kept; /* idle connection, or NULL */
};

struct http_reply {
    struct http_client *client;
    struct arena arena;
    struct h1_in in;
    struct h1_head head;
    struct h1_body body;
    char method[16];
};

int http_client_new(const struct addr *addr, const struct tls_opts *tls, struct http_client **ret,
                    struct err *err)
{
    struct tls_ctx *ctx = NULL;

    if (tls) {
        int r = tls_ctx_new(false, tls, &ctx, err);
        if (r < 0)
            return r;
    }
    struct http_client *c = xnew(struct http_client);
    c->addr = *addr;
    c->tls = ctx;
    *ret = c;
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    stream_free(c->kept);
    tls_ctx_free(c->tls);
    arena_done(&c->arena);
    free(c);
}

void http_client_header(struct http_client *c, const char *name, const char *val)
{
    strmap_set(&c->arena, &c->headers, name, val);
}

static int dial(struct http_client *c, struct stream **ret, struct err *err)
{
    auto_close int fd = addr_connect(&c->addr, err);

    if (fd < 0)
        return fd;
    if (c->tls) {
        int r = tls_connect(c->tls, fd, c->addr.host, ret, err);
        if (r < 0)
            return r;
        (void)take_fd(&fd);
        return 0;
    }
    *ret = stream_from_fd(take_fd(&fd));
    return 0;
}

/* ---- request ---- */

static void put_headers(struct buf *out, const struct strmap *m)
{
    for (size_t i = 0; i < m->n; i++)
        buf_printf(out, "%s: %s\r\n", m->v[i].key, m->v[i].val);
}

static void put_host(struct buf *out, const struct addr *a)
{
    if (a->kind != ADDR_TCP)
        buf_puts(out, "Host: localhost\r\n");
    else
        buf_printf(out, strchr(a->host, ':') ? "Host: [%s]:%u\r\n" : "Host: %s:%u\r\n", a->host,
                   a->port);
}

static void put_request(struct http_client *c, const struct http_call *call, bool upgrade,
                        struct buf *out)
{
    bool body = call->body || call->body_fn;
    bool post = str_eq(call->method, "POST") || str_eq(call->method, "PUT");

    buf_printf(out, "%s %s HTTP/1.1\r\n", call->method, call->target);
    put_host(out, &c->addr);
    put_headers(out, &c->headers);
    put_headers(out, &call->headers);
    if (body && call->content_type)
        buf_printf(out, "Content-Type: %s\r\n", call->content_type);
    if (upgrade)
        buf_puts(out, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
    if (!call->body && call->body_fn)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (body || post)
        buf_printf(out, "Content-Length: %zu\r\n", call->body ? call->body_len : 0);
    buf_puts(out, "\r\n");
}

static int send_chunks(struct stream *s, const struct http_call *call, struct err *err)
{
    enum { ROOM = 12, SIZE = 65536 };
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
    return !call->body && call->body_fn ? send_chunks(s, call, err) : 0;
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

    if (c->kept && !call->body_fn) {
        int r = exchange(c, take_ptr(&c->kept), call, upgrade, ret, NULL);
        if (!stale(r))
            return r < 0 ? err_no(err, r, "talk to the server") : r;
    }
    int r = dial(c, &s, err);
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
    return h1_in_len(&r->in) > 0 || r->in.s->ops->pending(r->in.s);
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
    if (s && at_end(r) && r->head.keep_alive && h1_in_len(&r->in) == 0 && !r->client->kept)
        r->client->kept = s;
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

void http_raw_done(struct http_raw *raw)
{
    stream_free(raw->s);
    raw->s = NULL;
    buf_done(&raw->early);
}
