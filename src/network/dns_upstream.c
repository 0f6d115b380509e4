#include "network/dns-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/rand.h"
#include "kern/ns.h"

/*
 * Questions to the servers behind, each from the container's network namespace, or from ours where
 * it is a server of the host's own. All servers are asked at once, each from a socket of its own
 * that is connected to it: the kernel chooses a random port and drops what others send; an answer
 * must also repeat a random id and the question. The first server that knows something wins; one
 * that answers SERVFAIL or REFUSED, or cannot be reached, is out. Whoever asks the same while this
 * is under way waits for the same answer.
 */

#define QUERIES_MAX 1024
#define WAITERS_MAX 256 /* of one client */
#define TRIES 2
#define TRY_NS (2 * NS_PER_S)
#define DATAGRAMS_PER_EVENT 16

struct server {
    struct dns_query *query;
    struct ip ip;
    bool host; /* asked from here, not from the client's namespace */
    int fd;    /* -1: out */
    struct loop_source *source;
    uint16_t id;
    bool edns;          /* asked with an OPT record */
    bool stream;        /* asked by TCP */
    struct buf message; /* what is sent; by TCP then what comes */
    bool sent;          /* TCP: all of it */
};

struct dns_query {
    struct dns *d;
    struct dns_client *client; /* in whose namespace servers are asked; unused where none is */
    char *key;
    struct dns_question q;
    struct server server[DNS_UPSTREAM_MAX];
    size_t nservers;
    int tries;
    bool done;
    struct loop_source *timer;
    struct dns_waiter *waiters;
};

static int start_stream(struct server *s);

/* ---- waiters ---- */

static void add_waiter(struct dns_query *query, struct dns_client *c, const struct dns_peer *peer,
                       const struct dns_question *q)
{
    struct dns_waiter *w = xnew(struct dns_waiter);

    w->client = c;
    w->peer = *peer;
    w->q = *q;
    w->query = query;
    w->next = c->waiters;
    if (w->next)
        w->next->prev = w;
    c->waiters = w;
    w->query_next = query->waiters;
    if (w->query_next)
        w->query_next->query_prev = w;
    query->waiters = w;
    c->nwaiters++;
    if (peer->stream)
        dns_stream_waits(peer->stream, 1);
}

static void leave_client(struct dns_waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->client->waiters = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->client->nwaiters--;
    if (w->peer.stream)
        dns_stream_waits(w->peer.stream, -1);
}

static void leave_query(struct dns_waiter *w)
{
    if (w->query_prev)
        w->query_prev->query_next = w->query_next;
    else
        w->query->waiters = w->query_next;
    if (w->query_next)
        w->query_next->query_prev = w->query_prev;
}

/* The first one who waits, who does so no more; the caller frees it. */
static struct dns_waiter *take_waiter(struct dns_query *q)
{
    struct dns_waiter *w = q->waiters;

    if (!w)
        return NULL;
    q->waiters = w->query_next;
    if (q->waiters)
        q->waiters->query_prev = NULL;
    leave_client(w);
    return w;
}

/* ---- the end of a query ---- */

static void close_server(struct server *s)
{
    if (s->fd < 0)
        return;
    loop_source_free(s->source);
    s->source = NULL;
    close_fd(&s->fd);
    s->query->d->sockets--;
}

static void free_query(struct dns_query *q)
{
    if (map_get(q->d->queries, q->key) == q)
        (void)map_del(q->d->queries, q->key);
    for (size_t i = 0; i < q->nservers; i++) {
        close_server(&q->server[i]);
        buf_done(&q->server[i].message);
    }
    loop_source_free(q->timer);
    free(q->key);
    free(q);
}

static void answer(struct dns_waiter *w, const struct dns_cached *a)
{
    if (a)
        dns_client_relay(w->client, &w->peer, &w->q, a);
    else
        dns_client_fail(w->client, &w->peer, &w->q, ns_r_servfail);
}

/* Answers all who wait. Settling one's stream can close it, and with it end the waiting of others:
 * so it is always the first of those that are left. */
static void finish(struct dns_query *q, const struct dns_cached *a)
{
    struct dns_waiter *w;

    q->done = true;
    (void)map_del(q->d->queries, q->key); /* who asks from now on asks anew */
    while ((w = take_waiter(q))) {
        struct dns_stream *stream = w->peer.stream;
        answer(w, a);
        free(w);
        if (stream)
            dns_stream_settle(stream);
    }
    free_query(q);
}

void dns_upstream_forget(struct dns_client *c, const struct dns_stream *stream)
{
    for (struct dns_waiter *w = c->waiters, *next; w; w = next) {
        next = w->next;
        if (stream && w->peer.stream != stream)
            continue;
        struct dns_query *q = w->query;
        leave_client(w);
        leave_query(w);
        free(w);
        if (!q->waiters && !q->done)
            free_query(q);
    }
}

/* A server is out; with the last one the query fails. */
static void fail_server(struct server *s)
{
    struct dns_query *q = s->query;

    close_server(s);
    for (size_t i = 0; i < q->nservers; i++)
        if (q->server[i].fd >= 0)
            return;
    finish(q, NULL);
}

/* ---- asking ---- */

static int connect_to(struct server *s, int type)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT)};
    bool is_v4 = s->ip.family == AF_INET;
    struct dns *d = s->query->d;

    if (d->sockets >= d->max_sockets)
        return -EAGAIN;
    type |= SOCK_NONBLOCK;
    auto_close int fd = s->host
                            ? socket(s->ip.family, type | SOCK_CLOEXEC, 0)
                            : ns_socket(s->query->client->udp, d->home, s->ip.family, type, NULL);
    if (fd < 0)
        return s->host ? -errno : fd;
    memcpy(&v4.sin_addr, s->ip.addr, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, s->ip.addr, sizeof(v6.sin6_addr));
    if (connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                is_v4 ? sizeof(v4) : sizeof(v6)) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    s->fd = take_fd(&fd);
    d->sockets++;
    return 0;
}

static void make_message(struct server *s)
{
    rand_bytes(&s->id, sizeof(s->id));
    buf_clear(&s->message);
    dns_ask(&s->message, &s->query->q, s->id, s->edns);
}

/* A full socket is as good as a lost datagram. */
static int send_datagram(struct server *s)
{
    ssize_t n = send(s->fd, s->message.data, s->message.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR ? -errno : 0;
}

/* A server that does not understand EDNS is asked without. */
static void ask_plainly(struct server *s)
{
    s->edns = false;
    if (s->stream) {
        if (start_stream(s) < 0)
            fail_server(s);
        return;
    }
    make_message(s);
    if (send_datagram(s) < 0)
        fail_server(s);
}

/* What a server said. The query may be gone afterwards. */
static void take_reply(struct server *s, const uint8_t *p, const struct dns_reply *r)
{
    struct dns_query *q = s->query;
    bool strange = r->rcode == ns_r_formerr || r->rcode == ns_r_notimpl || r->rcode == ns_r_badvers;

    if (s->edns && strange) {
        ask_plainly(s);
    } else if (r->cut) {
        if (s->stream || start_stream(s) < 0)
            fail_server(s);
    } else if (r->rcode == ns_r_servfail || r->rcode == ns_r_refused || r->rcode > 15) {
        fail_server(s);
    } else {
        struct dns_cached a = {.p = p, .n = r->len};
        if (r->ttl_s > 0)
            dns_cache_put(q->d->cache, q->key, p, r->len, r->ttl_s);
        finish(q, &a);
    }
}

static void on_datagram(struct loop_source *source, uint32_t events, void *arg)
{
    struct server *s = arg;
    struct dns_query *q = s->query;
    struct dns_reply r;

    (void)source;
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_EVENT; i++) {
        ssize_t n = recv(s->fd, q->d->in, DNS_MSG_MAX, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            fail_server(s); /* nobody is there */
            return;
        }
        if (dns_reply_parse(q->d->in, (size_t)n, &q->q, s->id, &r) == 0) {
            take_reply(s, q->d->in, &r);
            return;
        }
    }
}

/* A router that knows no way says so; without this, only closed ports are told to us. */
static int want_errors(const struct server *s)
{
    bool v4 = s->ip.family == AF_INET;
    int on = 1, r = setsockopt(s->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                               v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));

    return r < 0 ? -errno : 0;
}

static int start_datagram(struct server *s)
{
    s->edns = true;
    make_message(s);
    int r = connect_to(s, SOCK_DGRAM);
    if (r == 0)
        r = want_errors(s);
    if (r == 0)
        r = send_datagram(s);
    if (r == 0)
        r = loop_add_fd(s->query->d->loop, s->fd, EPOLLIN, on_datagram, s, &s->source, NULL);
    if (r < 0)
        close_server(s);
    return r;
}

/* ---- by TCP ---- */

static int send_stream(struct server *s)
{
    ssize_t n = send(s->fd, s->message.data, s->message.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    buf_drop(&s->message, (size_t)n);
    if (s->message.len > 0)
        return 0;
    s->sent = true;
    return loop_source_arm(s->source, EPOLLIN, NULL);
}

/* Return: 1: the answer is there, 0: more is to come. */
static int receive_stream(struct server *s)
{
    ssize_t n = recv(s->fd, buf_room(&s->message, DNS_UDP_MAX), DNS_UDP_MAX, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ENODATA;
    buf_commit(&s->message, (size_t)n);
    const uint8_t *p = (const uint8_t *)s->message.data;
    return s->message.len >= 2 && s->message.len >= 2 + (size_t)(p[0] << 8 | p[1]);
}

static void on_stream(struct loop_source *source, uint32_t events, void *arg)
{
    struct server *s = arg;
    struct dns_query *q = s->query;
    struct dns_reply reply;

    (void)source;
    (void)events;
    int r = s->sent ? receive_stream(s) : send_stream(s);
    if (r == 0)
        return;
    size_t n = 0;
    if (r > 0) {
        const uint8_t *p = (const uint8_t *)s->message.data;
        n = (size_t)(p[0] << 8 | p[1]);
        memcpy(q->d->in, p + 2, n); /* asking anew would overwrite it */
        r = dns_reply_parse(q->d->in, n, &q->q, s->id, &reply);
    }
    if (r < 0)
        fail_server(s);
    else
        take_reply(s, q->d->in, &reply);
}

/* The limit of time is the query's: a connection that hangs ends with it. */
static int start_stream(struct server *s)
{
    uint8_t len[2];
    struct dns_query *q = s->query;

    close_server(s);
    make_message(s);
    auto_buf struct buf message = s->message;
    s->message = (struct buf)BUF_INIT;
    len[0] = (uint8_t)(message.len >> 8);
    len[1] = (uint8_t)message.len;
    buf_put(&s->message, len, sizeof(len));
    buf_put(&s->message, message.data, message.len);
    s->stream = true;
    s->sent = false;
    int r = connect_to(s, SOCK_STREAM);
    return r < 0 ? r : loop_add_fd(q->d->loop, s->fd, EPOLLOUT, on_stream, s, &s->source, NULL);
}

/* ---- the query ---- */

static void on_time(struct loop_source *timer, uint32_t events, void *arg)
{
    struct dns_query *q = arg;

    (void)timer;
    (void)events;
    if (q->tries++ == TRIES) {
        finish(q, NULL);
        return;
    }
    for (size_t i = 0; i < q->nservers; i++)
        if (q->server[i].fd >= 0 && !q->server[i].stream)
            (void)send_datagram(&q->server[i]); /* what is wrong shows when we read */
}

static struct dns_query *new_query(struct dns_client *c, const struct dns_question *q,
                                   const struct dns_server *to, size_t nto, const char *key)
{
    struct dns_query *query = xnew(struct dns_query);

    query->d = c->d;
    query->client = c;
    query->key = xstrdup(key);
    query->q = *q;
    query->nservers = nto;
    query->tries = 1;
    for (size_t i = 0; i < nto; i++)
        query->server[i] =
            (struct server){.query = query, .ip = to[i].ip, .host = to[i].host, .fd = -1};
    (void)map_set(c->d->queries, key, query);
    return query;
}

/* Return: 0 when at least one server could be asked. */
static int start_query(struct dns_query *q)
{
    int r = -EAGAIN;
    bool any = false;

    for (size_t i = 0; i < q->nservers; i++) {
        r = start_datagram(&q->server[i]);
        any |= r == 0;
    }
    if (!any)
        return r;
    return loop_add_timer(q->d->loop, TRY_NS, TRY_NS, on_time, q, &q->timer, NULL);
}

int dns_upstream_ask(struct dns_client *c, const struct dns_peer *peer,
                     const struct dns_question *q, const struct dns_server *to, size_t nto,
                     const char *key)
{
    struct dns *d = c->d;
    struct dns_query *query = map_get(d->queries, key);

    if (c->nwaiters >= WAITERS_MAX || (!query && map_count(d->queries) >= QUERIES_MAX))
        return -EAGAIN;
    if (!query) {
        query = new_query(c, q, to, nto, key);
        int r = start_query(query);
        if (r < 0) {
            free_query(query);
            return r;
        }
    }
    add_waiter(query, c, peer, q);
    return 0;
}
