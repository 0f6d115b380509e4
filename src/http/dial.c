/*
 * A client's connection on its way to the server: the address, the proxy and its tunnel, TLS. All
 * of it is given up after a while, or when nobody waits for the answer any more.
 */
#include "http/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/auto.h"
#include "http/guard.h"
#include "http/h1.h"

#define TUNNEL_HEAD_MAX 65536

void addr_put_authority(struct buf *out, const struct addr *a)
{
    buf_printf(out, strchr(a->host, ':') ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

/* A byte at a time: nothing behind the head may be taken from the TLS that follows. */
static int read_tunnel_head(struct stream *s, struct buf *head, struct err *err)
{
    size_t scan = 0;

    while (!h1_head_end(head->data, head->len, &scan)) {
        ssize_t n = stream_read(s, buf_room(head, 1), 1);
        if (n < 0)
            return err_no(err, (int)n, "read the proxy's answer");
        if (n == 0 || head->len > TUNNEL_HEAD_MAX)
            return err_as(err, ERR_UNAVAILABLE, EPROTO, "the proxy gave no answer");
        buf_commit(head, 1);
    }
    return 0;
}

/* CONNECT through the proxy; @s is a stream to it. */
static int tunnel(const struct http_client_opts *o, struct stream *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT, head = BUF_INIT;
    struct h1_head h = {0};

    buf_puts(&out, "CONNECT ");
    addr_put_authority(&out, &o->addr);
    buf_puts(&out, " HTTP/1.1\r\nHost: ");
    addr_put_authority(&out, &o->addr);
    if (o->proxy_auth)
        buf_printf(&out, "\r\nProxy-Authorization: %s", o->proxy_auth);
    buf_puts(&out, "\r\n\r\n");
    int r = stream_write(s, out.data, out.len);
    if (r < 0)
        return err_no(err, r, "ask the proxy");
    r = read_tunnel_head(s, &head, err);
    if (r >= 0)
        r = h1_parse_response(head.data, head.len, "CONNECT", &a, &h, err);
    if (r >= 0 && h.status != 200)
        r = err_as(err, ERR_UNAVAILABLE, ECONNREFUSED, "the proxy answered %d %s", h.status,
                   str_or(h.reason, ""));
    return r < 0 ? r : 0;
}

/* The socket of @s below TLS, or below the tunnel. */
static int tunnel_fd(const struct http_client_opts *o, int fd, struct err *err)
{
    struct stream *s = stream_guard(stream_from_fd(fd));

    stream_guard_set(s, o->idle_ms, dial_gone_fd(o));
    int r = tunnel(o, s, err);
    s->fd = -1; /* the caller's */
    stream_free(s);
    return r;
}

static int start_tls(const struct http_client_opts *o, struct tls_ctx *tls, int fd,
                     struct stream **ret, struct err *err)
{
    struct timeval tv = {.tv_sec = o->idle_ms / 1000, .tv_usec = o->idle_ms % 1000 * 1000};

    if (o->idle_ms && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
                       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0))
        return err_sys(err, "set a time-out");
    return tls_connect(tls, fd, o->addr.host, ret, err);
}

int http_dial(const struct http_client_opts *o, struct tls_ctx *tls, struct stream **ret,
              struct err *err)
{
    const struct addr *to = o->proxy ? o->proxy : &o->addr;
    struct stream *s = NULL;
    auto_close int fd = addr_connect_within(to, o->connect_ms, dial_gone_fd(o), err);
    int r = 0;

    if (fd < 0)
        return o->proxy ? err_wrap(err, fd, "proxyconnect") : fd;
    if (tls && o->proxy)
        r = tunnel_fd(o, fd, err);
    if (r >= 0 && tls)
        r = start_tls(o, tls, fd, &s, err);
    if (r < 0)
        return r;
    if (!tls)
        s = stream_from_fd(fd);
    (void)take_fd(&fd);
    if (dial_is_guarded(o))
        s = stream_guard(s);
    *ret = s;
    return 0;
}
