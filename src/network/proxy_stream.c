/* Connections: bytes go through a pipe per direction, and never into this process. */
#include "network/proxy-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"

#define PIPE_B 65536
#define BURST 16                          /* pipes full in a row before others get their turn */
#define ACCEPT_AGAIN_NS (100 * NS_PER_MS) /* after a shortage of descriptors */

/* One direction. */
struct flow {
    int from, to;
    int pipe[2];
    size_t held; /* bytes in the pipe */
    bool eof;    /* nothing more comes */
    bool shut;   /* and that was passed on */
};

struct conn {
    struct peer peer; /* first: a peer is one of these */
    int host, inner;  /* the client's socket, ours to the container */
    bool connected;
    struct flow up, down; /* to the container, to the client */
    struct loop_source *host_src, *inner_src;
};

static void conn_free(struct peer *p)
{
    struct conn *c = (struct conn *)p;

    loop_source_free(c->host_src);
    loop_source_free(c->inner_src);
    close_fd(&c->host);
    close_fd(&c->inner);
    for (int i = 0; i < 2; i++) {
        close_fd(&c->up.pipe[i]);
        close_fd(&c->down.pipe[i]);
    }
    free(c);
}

/* Return: bytes moved, 0 nothing possible now, -errno the connection is broken. */
static ssize_t fill(struct flow *f)
{
    if (f->eof || f->held >= PIPE_B)
        return 0;
    ssize_t n = splice(f->from, NULL, f->pipe[1], NULL, PIPE_B - f->held,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n == 0) {
        f->eof = true;
        return 0;
    }
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    f->held += (size_t)n;
    return n;
}

static ssize_t empty(struct flow *f)
{
    if (f->held == 0)
        return 0;
    ssize_t n = splice(f->pipe[0], NULL, f->to, NULL, f->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    f->held -= (size_t)n;
    return n;
}

static int pump(struct flow *f)
{
    ssize_t in = 1, out = 1;

    for (int i = 0; i < BURST && (in > 0 || out > 0); i++) {
        in = fill(f);
        out = in < 0 ? in : empty(f);
        if (out < 0)
            return (int)out;
    }
    if (f->eof && f->held == 0 && !f->shut) {
        (void)shutdown(f->to, SHUT_WR);
        f->shut = true;
    }
    return 0;
}

/* A socket that is through in both directions would tell so for ever: it is not watched any more,
 * while the other one still takes what is held. */
static int watch(struct loop_source **src, uint32_t events, bool through)
{
    if (*src && through)
        loop_source_free(take_ptr(src));
    return *src ? loop_source_arm(*src, events, NULL) : 0;
}

/* What is waited for: output where something is held, input where nothing is. A pipe that holds
 * something may be full, since every segment has a page of its own there, however short it is; to
 * wait for input then would be to spin. */
static int arm(struct conn *c)
{
    uint32_t host = 0, inner = 0;

    if (c->connected && !c->up.eof && !c->up.held)
        host |= EPOLLIN;
    if (c->down.held)
        host |= EPOLLOUT;
    if (c->connected && !c->down.eof && !c->down.held)
        inner |= EPOLLIN;
    if (c->up.held || !c->connected)
        inner |= EPOLLOUT;
    int r = watch(&c->host_src, host, c->up.eof && c->down.shut);
    return r < 0 ? r : watch(&c->inner_src, inner, c->down.eof && c->up.shut);
}

static void conn_ready(struct loop_source *s, uint32_t events, void *arg)
{
    struct conn *c = arg;
    int r = 0;

    c->connected |= s == c->inner_src && (events & EPOLLOUT) && !(events & EPOLLERR);
    if (events & EPOLLERR) /* refused, reset */
        r = -ECONNRESET;
    if (r == 0 && c->connected)
        r = pump(&c->up);
    if (r == 0 && c->connected)
        r = pump(&c->down);
    if (r < 0 || (c->up.shut && c->down.shut) || arm(c) < 0)
        peer_drop(&c->peer);
}

static int open_inner(struct conn *c, const struct proxy_port *port)
{
    c->inner = socket(port->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->inner < 0 || pipe2(c->up.pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
        pipe2(c->down.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    if (connect(c->inner, (const struct sockaddr *)&port->to, port->to_len) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    c->up.from = c->down.to = c->host;
    c->up.to = c->down.from = c->inner;
    return 0;
}

static void conn_start(struct proxy_port *port, int host)
{
    struct conn *c = xnew(struct conn);
    struct loop *l = proxy_loop(port->proxy);

    *c = (struct conn){.peer = {.free = conn_free},
                       .host = host,
                       .inner = -1,
                       .up.pipe = {-1, -1},
                       .down.pipe = {-1, -1}};
    peer_link(port, &c->peer);
    int r = open_inner(c, port);
    if (r >= 0)
        r = loop_add_fd(l, c->host, 0, conn_ready, c, &c->host_src, NULL);
    if (r >= 0)
        r = loop_add_fd(l, c->inner, EPOLLOUT, conn_ready, c, &c->inner_src, NULL);
    if (r < 0)
        peer_drop(&c->peer);
}

void stream_again(struct loop_source *timer, uint32_t events, void *arg)
{
    struct proxy_port *port = arg;

    (void)timer;
    (void)events;
    if (port->npeers < port->max)
        (void)!loop_source_arm(port->src, EPOLLIN, NULL);
}

void stream_ready(struct loop_source *s, uint32_t events, void *arg)
{
    struct proxy_port *port = arg;

    (void)events;
    while (port->npeers < port->max) {
        int fd = accept4(port->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            conn_start(port, fd);
            continue;
        }
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
            return;
        loop_timer_set(port->timer, ACCEPT_AGAIN_NS, 0); /* the queue waits, and would wake us */
        break;
    }
    (void)!loop_source_arm(s, 0, NULL);
}
