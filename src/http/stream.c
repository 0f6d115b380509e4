#include "http/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"

static ssize_t plain_read(struct stream *s, void *p, size_t n)
{
    ssize_t r = recv(s->fd, p, n, 0);

    return r < 0 ? -errno : r;
}

static ssize_t plain_write(struct stream *s, const void *p, size_t n)
{
    ssize_t r = send(s->fd, p, n, MSG_NOSIGNAL);

    return r < 0 ? -errno : r;
}

static int plain_shutdown(struct stream *s)
{
    return shutdown(s->fd, SHUT_WR) < 0 ? -errno : 0;
}

static bool plain_pending(struct stream *s)
{
    (void)s;
    return false;
}

static void plain_free(struct stream *s)
{
    free(s);
}

static const struct stream_ops plain_ops = {
    .read = plain_read,
    .write = plain_write,
    .shutdown = plain_shutdown,
    .pending = plain_pending,
    .free = plain_free,
};

struct stream *stream_from_fd(int fd)
{
    struct stream *s = xnew(struct stream);

    s->ops = &plain_ops;
    s->fd = fd;
    return s;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    int fd = s->fd;
    s->ops->free(s);
    close_fd(&fd);
}

ssize_t stream_read(struct stream *s, void *p, size_t n)
{
    ssize_t r;

    do
        r = s->ops->read(s, p, n);
    while (r == -EINTR);
    return r;
}

void stream_read_err(struct stream *s, int r, struct err *err)
{
    const char *why = s->ops->why ? s->ops->why(s) : NULL;

    if (why)
        (void)err_as(err, ERR_UNAVAILABLE, -r, "tls: %s", why);
    else
        (void)err_no(err, r, "read from peer");
}

int stream_write(struct stream *s, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t r = s->ops->write(s, at, n);
        if (r == -EINTR)
            continue;
        if (r < 0)
            return (int)r;
        at += r;
        n -= (size_t)r;
    }
    return 0;
}

int stream_shutdown(struct stream *s)
{
    return s->ops->shutdown(s);
}

bool stream_is_plain(const struct stream *s)
{
    return s->ops == &plain_ops;
}

int stream_take_fd(struct stream *s)
{
    int fd = s->fd;

    s->ops->free(s);
    return fd;
}

int stream_timeout(struct stream *s, unsigned ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
        setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
        return -errno;
    return 0;
}

/* One direction of a relay: bytes read and not yet written. */
struct lane {
    struct stream *from, *to;
    size_t len, off;
    bool ended; /* nothing more comes, and the other end was told */
    char data[16384];
};

static bool blocked(ssize_t r)
{
    return r == -EAGAIN || r == -EINTR;
}

static void lane_end(struct lane *l)
{
    l->ended = true;
    l->len = l->off = 0;
    (void)l->to->ops->shutdown(l->to);
}

/* Move what can be moved without blocking. */
static void lane_move(struct lane *l)
{
    if (l->ended)
        return;
    if (l->len == 0) {
        ssize_t n = l->from->ops->read(l->from, l->data, sizeof(l->data));
        if (blocked(n))
            return;
        if (n <= 0) {
            lane_end(l);
            return;
        }
        l->len = (size_t)n;
        l->off = 0;
    }
    ssize_t n = l->to->ops->write(l->to, l->data + l->off, l->len);
    if (n < 0 && !blocked(n)) {
        lane_end(l);
    } else if (n > 0) {
        l->off += (size_t)n;
        l->len -= (size_t)n;
    }
}

static short lane_want(const struct lane *l, const struct stream *s)
{
    if (l->ended)
        return 0;
    if (l->len > 0)
        return s == l->to ? POLLOUT : 0;
    return s == l->from ? POLLIN : 0;
}

/* What poll(2) shall wait for; a side that needs nothing is left out, or a hang-up would spin. */
static void relay_want(const struct lane *out, const struct lane *in, struct pollfd p[2])
{
    for (int i = 0; i < 2; i++) {
        const struct stream *s = i == 0 ? out->from : out->to;
        p[i].events = (short)(lane_want(out, s) | lane_want(in, s));
        p[i].fd = p[i].events ? s->fd : -1;
    }
    if (in->ended) /* its other end may still hang up altogether */
        p[1].fd = out->to->fd;
}

/* Neither lane may block the other: a program that answers while it is still being fed would
 * otherwise stop for ever. */
static void relay_run(struct lane *out, struct lane *in)
{
    while (!out->ended || !in->ended) {
        struct pollfd p[2];
        bool pending = !out->ended && out->len == 0 && out->from->ops->pending(out->from);
        relay_want(out, in, p);
        if (poll(p, 2, pending ? 0 : -1) < 0 && errno != EINTR)
            return;
        if (in->ended && p[1].fd >= 0 && (p[1].revents & POLLHUP))
            return;
        lane_move(out);
        lane_move(in);
    }
}

static void nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void stream_relay(struct stream *s, int fd)
{
    struct stream other = {&plain_ops, fd};
    struct lane *lanes = xcalloc(2, sizeof(*lanes));

    lanes[0].from = lanes[1].to = s;
    lanes[0].to = lanes[1].from = &other;
    nonblocking(s->fd);
    nonblocking(fd);
    relay_run(&lanes[0], &lanes[1]);
    free(lanes);
}
