#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "http/server-priv.h"

/*
 * Giving a connection away. Afterwards the caller has a real socket, which it may pass to another
 * process; with TLS, which cannot be passed, it is one end of a socket pair whose other end a
 * thread of the pool relays.
 */

struct relay {
    struct stream *s;
    int fd;
};

static void run_relay(void *arg)
{
    struct relay *r = arg;

    stream_relay(r->s, r->fd);
    stream_free(r->s);
    close_fd(&r->fd);
    free(r);
}

static int start_relay(struct http_conn *c, int *ret_fd, struct err *err)
{
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return err_sys(err, "make socket pair");
    struct relay *r = xnew(struct relay);
    r->s = c->s;
    r->fd = sv[0];
    int e = pool_run(c->server->opts.pool, run_relay, r, err);
    if (e < 0) {
        close_fd(&sv[0]);
        close_fd(&sv[1]);
        free(r);
        return e;
    }
    *ret_fd = sv[1];
    return 0;
}

static const char *upgrade_of(const struct http_req *req)
{
    const char *up = h1_header(&req->head, "Upgrade");

    if (!up || !req->head.upgrade)
        return NULL;
    return h1_token_in(up, "tcp") ? "tcp" : h1_token_in(up, "h2c") ? "h2c" : NULL;
}

static int send_head(struct http_resp *resp, const char *content_type, struct err *err)
{
    const char *up = upgrade_of(resp->req);
    auto_buf struct buf out = BUF_INIT;

    resp->status = up ? 101 : 200;
    buf_printf(&out, "HTTP/1.1 %d %s\r\n", resp->status, http_reason(resp->status));
    for (size_t i = 0; i < resp->headers.n; i++)
        buf_printf(&out, "%s: %s\r\n", resp->headers.v[i].key, resp->headers.v[i].val);
    if (content_type)
        buf_printf(&out, "Content-Type: %s\r\n", content_type);
    if (up)
        buf_printf(&out, "Connection: Upgrade\r\nUpgrade: %s\r\n", up);
    buf_puts(&out, "\r\n");
    resp->started = true;
    int r = stream_write(resp->req->conn->s, out.data, out.len);
    if (r < 0) {
        resp->failed = true;
        return err_no(err, r, "write reply");
    }
    return 0;
}

/* The body must be out of the way: what follows it is already the raw stream. */
static int skip_body(struct http_req *req, struct err *err)
{
    char junk[1024];
    ssize_t n;

    while ((n = http_body_read(req, junk, sizeof(junk), err)) > 0)
        ;
    return (int)n;
}

/* Out of the server's hands; the descriptor of a plain stream survives the stream. */
static int detach(struct http_conn *c, struct err *err)
{
    int fd = -1;

    if (!stream_is_plain(c->s)) {
        int r = start_relay(c, &fd, err);
        if (r < 0)
            return r;
    }
    loop_source_free(c->source);
    c->source = NULL;
    pthread_mutex_lock(&c->server->lock);
    if (fd < 0)
        fd = stream_take_fd(c->s);
    c->s = NULL;
    c->fd = -1;
    pthread_mutex_unlock(&c->server->lock);
    return fd;
}

int http_hijack(struct http_resp *resp, const char *content_type, struct http_hijacked *ret,
                struct err *err)
{
    struct http_conn *c = resp->req->conn;

    if (resp->started)
        return err_as(err, ERR_SYSTEM, EALREADY, "the request was answered already");
    int r = skip_body(resp->req, err);
    if (r < 0 || (r = send_head(resp, content_type, err)) < 0)
        return r;
    r = detach(c, err);
    if (r < 0) {
        resp->failed = true;
        return r;
    }
    resp->hijacked = true;
    *ret = (struct http_hijacked){.fd = r};
    buf_put(&ret->early, h1_in_data(&c->in), h1_in_len(&c->in));
    return 0;
}

void http_hijacked_done(struct http_hijacked *h)
{
    close_fd(&h->fd);
    buf_done(&h->early);
}
