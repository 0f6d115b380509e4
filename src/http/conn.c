#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/loop.h"
#include "base/time.h"
#include "http/server-priv.h"
#include "http/tls.h"

/*
 * An active connection on a thread of the pool: read a head, run the handler, finish the reply,
 * and again while complete heads are buffered; then back to the loop.
 */

#define TLS_TIMEOUT_MS 30000
#define DRAIN_MAX (256 * 1024)
#define LINGER_MS 2000

enum outcome { KEEP, CLOSE, HIJACKED };

/* The whole body must be read before the next request; a long rest is not worth the connection. */
static bool drain(struct http_req *req)
{
    char junk[4096];
    size_t total = 0;

    if (req->expect) /* it may or may not send it now: nobody knows where the next head starts */
        return req->body.ended;
    while (!req->body.ended && total < DRAIN_MAX) {
        ssize_t n = h1_body_read(&req->body, &req->conn->in, junk, sizeof(junk), NULL);
        if (n < 0)
            return false;
        total += (size_t)n;
    }
    return req->body.ended;
}

/* Closing with unread bytes makes the kernel reset the connection, and the client may lose the
 * reply (or the reason why TLS failed) that it has not read yet. So: end our direction, and take
 * what still comes for a while. */
static void linger(struct http_conn *c)
{
    int64_t until = mono_ns() + LINGER_MS * NS_PER_MS;
    char junk[4096];

    if ((c->s ? stream_shutdown(c->s) : shutdown(c->fd, SHUT_WR)) < 0)
        return;
    for (int64_t left; (left = until - mono_ns()) > 0;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, (int)(left / NS_PER_MS) + 1) <= 0 ||
            recv(c->fd, junk, sizeof(junk), 0) <= 0) /* whatever it is, also under TLS */
            return;
    }
}

static void finish(struct http_resp *resp, int r, struct err *e)
{
    if (resp->hijacked || resp->failed)
        return;
    if (!resp->started) {
        if (r >= 0) /* a handler that replied nothing */
            (void)err_as(e, ERR_SYSTEM, EPROTO, "the request was not answered");
        if (http_reply_error(resp, e) < 0)
            resp->failed = true;
    } else if (!resp->ended) {
        /* A body cut short must not look complete: the connection goes down instead. */
        if (r < 0 || http_resp_end(resp, NULL) < 0)
            resp->failed = true;
    }
}

static enum outcome answer(struct http_req *req, struct http_resp *resp, struct err *e)
{
    struct http_server *s = req->conn->server;
    int r = s->opts.dispatch(s->opts.api, req, resp, e);

    finish(resp, r, e);
    atomic_store(&req->conn->watched, false);
    if (s->log_fd >= 0)
        reqlog_write(s->log_fd, req, resp);
    if (resp->hijacked)
        return HIJACKED;
    if (resp->failed)
        return CLOSE;
    if (resp->close || !drain(req)) {
        if (!req->body.ended)
            linger(req->conn);
        return CLOSE;
    }
    return KEEP;
}

/* A head that cannot be understood: say so and give up the connection. */
static enum outcome refuse(struct http_req *req, struct http_resp *resp, struct err *e)
{
    int status = e->no == E2BIG ? 431 : http_status(e->kind);
    struct buf body = BUF_INIT;

    resp->close = true;
    buf_puts(&body, "{\"message\":");
    json_quote(&body, e->msg, strlen(e->msg));
    buf_puts(&body, "}\n");
    if (http_reply_text(resp, status, &body) == 0)
        linger(req->conn);
    buf_done(&body);
    return CLOSE;
}

static enum outcome serve_one(struct http_conn *c, size_t head)
{
    struct http_req req = {0};
    struct http_resp resp = {.req = &req};
    struct err e = {0};
    int r = req_init(&req, c, h1_in_data(&c->in), head, &e);

    h1_in_use(&c->in, head);
    resp.close = r < 0 || !req.head.keep_alive;
    enum outcome out = r < 0 ? refuse(&req, &resp, &e) : answer(&req, &resp, &e);
    resp_done(&resp);
    req_done(&req);
    return out;
}

/* A head too large, or none that ends: the same refusal without a request. */
static enum outcome refuse_large(struct http_conn *c)
{
    struct http_req req = {.conn = c};
    struct http_resp resp = {.req = &req};
    struct err e = {0};

    (void)err_as(&e, ERR_INVALID, E2BIG, "request header fields too large");
    enum outcome out = refuse(&req, &resp, &e);
    resp_done(&resp);
    return out;
}

static int shake_hands(struct http_conn *c, struct err *err)
{
    struct timeval tv = {.tv_sec = TLS_TIMEOUT_MS / 1000};
    struct stream *s = NULL;

    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    int r = tls_accept(c->tls, c->fd, &s, err);
    if (r < 0)
        return r;
    (void)stream_timeout(s, 0);
    c->in.s = c->s = s;
    return 0;
}

/* With TLS the loop cannot look for the end of the head: read it here, with a bound on the time. */
static int read_head_tls(struct http_conn *c, size_t *ret, struct err *err)
{
    (void)stream_timeout(c->s, TLS_TIMEOUT_MS);
    int r = h1_read_head(&c->in, ret, err);
    (void)stream_timeout(c->s, 0);
    return r;
}

/* The next complete head that needs no waiting: its size, 0 for none, or negative: give up. */
static ssize_t next_head(struct http_conn *c, bool first)
{
    size_t n = h1_head_end(h1_in_data(&c->in), h1_in_len(&c->in), &c->scan);

    if (n > 0)
        return (ssize_t)n;
    if (c->tls && (first || h1_in_len(&c->in) > 0 || c->s->ops->pending(c->s)))
        return read_head_tls(c, &n, NULL) < 0 ? -1 : (ssize_t)n;
    return 0;
}

void conn_serve(void *conn)
{
    struct http_conn *c = conn;
    enum outcome out = KEEP;
    bool first = true;

    if (c->tls && !c->s && shake_hands(c, NULL) < 0) {
        linger(c);
        conn_close(c);
        return;
    }
    while (out == KEEP) {
        ssize_t n = next_head(c, first);
        if (n < 0) {
            out = CLOSE;
        } else if (n > 0) {
            c->scan = 0;
            out = serve_one(c, (size_t)n);
        } else if (h1_in_len(&c->in) > H1_HEAD_MAX) {
            out = refuse_large(c);
        } else {
            break;
        }
        first = false;
    }
    if (out == KEEP)
        conn_park(c);
    else
        conn_close(c);
}
