#include "http/guard.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

#define GONE (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)

struct guard {
    struct stream base;
    struct stream *below;
    unsigned idle_ms;
    int64_t until_ns; /* mono; 0: no end */
    int gone_fd;
};

int guard_wait(int fd, short events, unsigned idle_ms, int gone_fd)
{
    int64_t end = mono_ns() + (int64_t)idle_ms * NS_PER_MS;

    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = gone_fd, .events = POLLRDHUP}};
        int64_t left = (end - mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int n = poll(p, 2, idle_ms ? (left > 0 ? (int)left : 0) : -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        if (n > 0 && gone_fd >= 0 && (p[1].revents & GONE))
            return -ECANCELED;
        if (n > 0 && p[0].revents)
            return 0;
    }
}

bool fd_gone(int gone_fd)
{
    struct pollfd p = {.fd = gone_fd, .events = POLLRDHUP};

    return gone_fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & GONE);
}

static struct guard *guard_of(struct stream *s)
{
    return (struct guard *)s;
}

/* The socket's own time-out struck within a call. */
static ssize_t named(const struct guard *g, ssize_t r)
{
    return r == -EAGAIN && (g->idle_ms || g->until_ns) ? -ETIMEDOUT : r;
}

/* Return: 0; -ETIMEDOUT when there is no time left. */
static int time_left(const struct guard *g, unsigned *ret_ms)
{
    int64_t left = g->until_ns ? (g->until_ns - mono_ns() + NS_PER_MS - 1) / NS_PER_MS : INT32_MAX;

    *ret_ms = g->idle_ms;
    if (left <= 0)
        return -ETIMEDOUT;
    if (g->until_ns && (!g->idle_ms || left < g->idle_ms))
        *ret_ms = left < INT32_MAX ? (unsigned)left : INT32_MAX;
    return 0;
}

static int ready(struct guard *g, short events)
{
    unsigned ms;
    int r = time_left(g, &ms);

    if (r < 0 || (!ms && g->gone_fd < 0))
        return r;
    return guard_wait(g->base.fd, events, ms, g->gone_fd);
}

static ssize_t guard_read(struct stream *s, void *p, size_t n)
{
    struct guard *g = guard_of(s);
    int r = g->below->ops->pending(g->below) ? 0 : ready(g, POLLIN);

    return r < 0 ? r : named(g, g->below->ops->read(g->below, p, n));
}

static ssize_t guard_write(struct stream *s, const void *p, size_t n)
{
    struct guard *g = guard_of(s);
    int r = ready(g, POLLOUT);

    return r < 0 ? r : named(g, g->below->ops->write(g->below, p, n));
}

static int guard_shutdown(struct stream *s)
{
    return guard_of(s)->below->ops->shutdown(guard_of(s)->below);
}

static bool guard_pending(struct stream *s)
{
    return guard_of(s)->below->ops->pending(guard_of(s)->below);
}

static const char *guard_why(struct stream *s)
{
    const struct stream_ops *ops = guard_of(s)->below->ops;

    return ops->why ? ops->why(guard_of(s)->below) : NULL;
}

static void guard_free(struct stream *s)
{
    guard_of(s)->below->ops->free(guard_of(s)->below);
    free(s);
}

static const struct stream_ops guard_ops = {
    .read = guard_read,
    .write = guard_write,
    .shutdown = guard_shutdown,
    .pending = guard_pending,
    .why = guard_why,
    .free = guard_free,
};

struct stream *stream_guard(struct stream *below)
{
    struct guard *g = xnew(struct guard);

    g->base = (struct stream){.ops = &guard_ops, .fd = below->fd};
    g->below = below;
    g->gone_fd = -1;
    return &g->base;
}

void stream_guard_set(struct stream *s, unsigned idle_ms, int gone_fd)
{
    guard_of(s)->idle_ms = idle_ms;
    guard_of(s)->gone_fd = gone_fd;
    /* A TLS record of which only a part has come is read to its end without asking again. */
    (void)!stream_timeout(s, idle_ms);
}

void stream_guard_until(struct stream *s, int64_t until_ns)
{
    guard_of(s)->until_ns = until_ns;
}
