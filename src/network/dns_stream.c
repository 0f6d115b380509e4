#include "network/dns-priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/mem.h"

/*
 * Connections of containers: messages behind a length of two bytes, as many as the client likes,
 * answered as answers come. A client that does not read its answers is not read from, and in the
 * end cut off.
 */

#define STREAMS_MAX 64 /* of one client */
#define QUERY_MAX 4096 /* a longer message is no query */
#define IN_MAX (4 * QUERY_MAX)
#define OUT_PAUSE (64 << 10) /* unread answers: no more queries are taken */
#define OUT_MAX (1 << 20)    /* nor are answers kept */
#define IDLE_NS (10 * NS_PER_S)
#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

struct dns_stream {
    struct dns_client *c;
    int fd;
    struct loop_source *source, *idle;
    struct buf in, out;
    size_t waits; /* answers that are to come from upstream */
    uint32_t events;
    bool eof, broken;
    struct dns_stream *prev, *next;
};

void dns_stream_close(struct dns_stream *s)
{
    struct dns_client *c = s->c;

    if (s->prev)
        s->prev->next = s->next;
    else
        c->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    c->nstreams--;
    c->d->streams--;
    dns_upstream_forget(c, s);
    loop_source_free(s->source);
    loop_source_free(s->idle);
    close_fd(&s->fd);
    buf_done(&s->in);
    buf_done(&s->out);
    free(s);
}

void dns_stream_waits(struct dns_stream *s, int change)
{
    s->waits += (size_t)change;
}

void dns_stream_send(struct dns_stream *s, const struct buf *answer)
{
    uint8_t len[2] = {(uint8_t)(answer->len >> 8), (uint8_t)answer->len};

    if (s->out.len > OUT_MAX) {
        s->broken = true;
        return;
    }
    buf_put(&s->out, len, sizeof(len));
    buf_put(&s->out, answer->data, answer->len);
}

static void read_some(struct dns_stream *s)
{
    ssize_t n = recv(s->fd, buf_room(&s->in, QUERY_MAX), QUERY_MAX, MSG_DONTWAIT);

    if (n > 0)
        buf_commit(&s->in, (size_t)n);
    else if (n == 0)
        s->eof = true;
    else if (errno != EAGAIN && errno != EINTR)
        s->broken = true;
}

static void flush(struct dns_stream *s)
{
    while (s->out.len > 0 && !s->broken) {
        ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR)
            s->broken = true;
        if (n > 0) {
            buf_drop(&s->out, (size_t)n);
            loop_timer_set(s->idle, IDLE_NS, 0);
        }
    }
}

/* Length of the first message in the buffer with its prefix; 0: it is not there yet. */
static size_t first_message(struct dns_stream *s, size_t at)
{
    if (s->in.len - at < 2)
        return 0;
    const uint8_t *p = (const uint8_t *)s->in.data + at;
    size_t n = (size_t)(p[0] << 8 | p[1]);
    if (n < NS_HFIXEDSZ || n > QUERY_MAX)
        s->broken = true;
    return !s->broken && s->in.len - at >= n + 2 ? n + 2 : 0;
}

/* Answers what came. Return: something was taken. */
static bool take_queries(struct dns_stream *s)
{
    struct dns_peer peer = {.stream = s};
    size_t at = 0, n;

    while (s->out.len < OUT_PAUSE && (n = first_message(s, at)) > 0) {
        dns_client_query(s->c, &peer, (const uint8_t *)s->in.data + at + 2, n - 2);
        at += n;
    }
    buf_drop(&s->in, at);
    return at > 0;
}

static bool is_over(struct dns_stream *s)
{
    return s->broken || (s->eof && s->waits == 0 && s->out.len == 0);
}

void dns_stream_settle(struct dns_stream *s)
{
    do
        flush(s);
    while (!s->broken && take_queries(s));
    if (is_over(s)) {
        dns_stream_close(s);
        return;
    }
    bool reads = !s->eof && s->out.len < OUT_PAUSE && s->in.len < IN_MAX;
    uint32_t events = (reads ? EPOLLIN : 0U) | (s->out.len > 0 ? EPOLLOUT : 0U);
    if (events == s->events)
        return;
    s->events = events;
    if (loop_source_arm(s->source, events, NULL) < 0)
        dns_stream_close(s);
}

static void on_stream(struct loop_source *source, uint32_t events, void *arg)
{
    struct dns_stream *s = arg;

    (void)source;
    if (events & (EPOLLERR | EPOLLHUP)) {
        dns_stream_close(s);
        return;
    }
    if (events & EPOLLIN) {
        read_some(s);
        loop_timer_set(s->idle, IDLE_NS, 0);
    }
    dns_stream_settle(s);
}

/* Upstream has a time limit of its own: waiting for it is not idling. */
static void on_idle(struct loop_source *timer, uint32_t events, void *arg)
{
    struct dns_stream *s = arg;

    (void)events;
    if (s->waits > 0)
        loop_timer_set(timer, IDLE_NS, 0);
    else
        dns_stream_close(s);
}

static void open_stream(struct dns_client *c, int fd)
{
    struct dns_stream *s = xnew(struct dns_stream);
    int on = 1;

    /* An answer must not wait for the acknowledgement of the one before. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    s->c = c;
    s->fd = fd;
    s->events = EPOLLIN;
    s->next = c->streams;
    if (s->next)
        s->next->prev = s;
    c->streams = s;
    c->nstreams++;
    c->d->streams++;
    if (loop_add_timer(c->d->loop, IDLE_NS, 0, on_idle, s, &s->idle, NULL) < 0 ||
        loop_add_fd(c->d->loop, fd, EPOLLIN, on_stream, s, &s->source, NULL) < 0)
        dns_stream_close(s);
}

static void on_again(struct loop_source *timer, uint32_t events, void *arg)
{
    struct dns_client *c = arg;

    (void)timer;
    (void)events;
    if (loop_source_arm(c->tcp_source, EPOLLIN, NULL) < 0 && c->tcp_again)
        loop_timer_set(c->tcp_again, ACCEPT_AGAIN_NS, 0);
}

/* Out of descriptors: the connection stays in the queue, and would wake us forever. */
static void pause_accept(struct dns_client *c)
{
    if (loop_source_arm(c->tcp_source, 0, NULL) < 0)
        return;
    if (c->tcp_again)
        loop_timer_set(c->tcp_again, ACCEPT_AGAIN_NS, 0);
    else if (loop_add_timer(c->d->loop, ACCEPT_AGAIN_NS, 0, on_again, c, &c->tcp_again, NULL) < 0)
        on_again(NULL, 0, c);
}

void dns_stream_accept(struct dns_client *c)
{
    int fd = accept4(c->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0 && c->nstreams < STREAMS_MAX && c->d->streams < c->d->max_sockets)
        open_stream(c, fd);
    else if (fd >= 0)
        close_fd(&fd);
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        pause_accept(c);
}
