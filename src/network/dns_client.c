#include "network/dns-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"

/*
 * A container's two sockets, and what becomes of a query: refused, answered from the zones or the
 * cache, or passed on to the servers behind.
 */

#define DATAGRAMS_PER_EVENT 64 /* then the others have their turn */
#define KEY_MAX (NS_MAXDNAME + 64 + DNS_UPSTREAM_MAX * (INET6_ADDRSTRLEN + 2))

static size_t limit_of(const struct dns_peer *peer, const struct dns_question *q)
{
    return peer->stream ? DNS_MSG_MAX : dns_answer_limit(q);
}

/* Sends dns->out. A datagram that does not go is lost, as datagrams are; the client asks again. */
static void send_out(struct dns_client *c, const struct dns_peer *peer)
{
    const struct buf *out = &c->d->out;

    if (peer->stream)
        dns_stream_send(peer->stream, out);
    else
        (void)sendto(c->udp, out->data, out->len, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *)&peer->addr, peer->addr_len);
}

void dns_client_fail(struct dns_client *c, const struct dns_peer *peer,
                     const struct dns_question *q, unsigned rcode)
{
    buf_clear(&c->d->out);
    dns_answer_begin(&c->d->out, q, rcode);
    dns_answer_end(&c->d->out, q, rcode);
    send_out(c, peer);
}

void dns_client_relay(struct dns_client *c, const struct dns_peer *peer,
                      const struct dns_question *q, const struct dns_cached *answer)
{
    buf_clear(&c->d->out);
    dns_reply_relay(&c->d->out, answer->p, answer->n, q, answer->age_s, limit_of(peer, q));
    send_out(c, peer);
}

/* The same question to the same servers has the same key, and nobody else's has. What is at an
 * address, and what it answers, depends on where one asks from: no container is given what another
 * one was told. */
static void make_key(const struct dns_client *c, const struct dns_question *q,
                     const struct dns_server *to, size_t nto, char *key)
{
    char text[INET6_ADDRSTRLEN];
    int n = snprintf(key, KEY_MAX, "%s %u %d%d%d", q->name, q->type, q->dnssec, q->cd, q->ad);
    bool inside = false;

    for (size_t i = 0; i < nto; i++) {
        inside |= !to[i].host;
        n += snprintf(key + n, KEY_MAX - (size_t)n, " %s%s", to[i].host ? "" : "@",
                      ip_format(&to[i].ip, text));
    }
    if (inside)
        (void)snprintf(key + n, KEY_MAX - (size_t)n, " #%" PRIu64, c->number);
}

static void ask_upstream(struct dns_client *c, const struct dns_peer *peer,
                         const struct dns_question *q, const struct dns_server *to, size_t nto)
{
    char key[KEY_MAX];
    struct dns_cached hit;

    make_key(c, q, to, nto, key);
    if (dns_cache_get(c->d->cache, key, &hit))
        dns_client_relay(c, peer, q, &hit);
    else if (dns_upstream_ask(c, peer, q, to, nto, key) < 0)
        dns_client_fail(c, peer, q, ns_r_servfail);
}

void dns_client_query(struct dns_client *c, const struct dns_peer *peer, const uint8_t *p, size_t n)
{
    struct dns_question q;
    struct dns_server to[DNS_UPSTREAM_MAX];
    int r = dns_question_parse(p, n, &q);

    if (r < 0)
        return;
    if (r > 0) {
        dns_client_fail(c, peer, &q, (unsigned)r);
        return;
    }
    buf_clear(&c->d->out);
    pthread_mutex_lock(&c->d->lock);
    bool known = dns_sight_answer(&c->sight, &q, limit_of(peer, &q), &c->d->out);
    size_t nto = c->sight.nupstream;
    memcpy(to, c->sight.upstream, nto * sizeof(*to));
    pthread_mutex_unlock(&c->d->lock);
    if (known)
        send_out(c, peer);
    else if (nto == 0)
        dns_client_fail(c, peer, &q, ns_r_nxdomain);
    else
        ask_upstream(c, peer, &q, to, nto);
}

static void on_datagram(struct loop_source *source, uint32_t events, void *arg)
{
    struct dns_client *c = arg;
    struct dns_peer peer = {0};

    (void)source;
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_EVENT; i++) {
        peer.addr_len = sizeof(peer.addr);
        ssize_t n = recvfrom(c->udp, c->d->in, DNS_MSG_MAX, MSG_DONTWAIT,
                             (struct sockaddr *)&peer.addr, &peer.addr_len);
        if (n < 0)
            return;
        dns_client_query(c, &peer, c->d->in, (size_t)n);
    }
}

static void on_connection(struct loop_source *source, uint32_t events, void *arg)
{
    (void)source;
    (void)events;
    dns_stream_accept(arg);
}

static int unblock(int fd, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return err_sys(err, "prepare socket of name server");
    return 0;
}

int dns_client_open(struct dns_client *c, struct err *err)
{
    int r = unblock(c->udp, err);

    if (r == 0 && c->tcp >= 0)
        r = unblock(c->tcp, err);
    if (r == 0)
        r = loop_add_fd(c->d->loop, c->udp, EPOLLIN, on_datagram, c, &c->udp_source, err);
    if (r == 0 && c->tcp >= 0)
        r = loop_add_fd(c->d->loop, c->tcp, EPOLLIN, on_connection, c, &c->tcp_source, err);
    return r;
}

static void unlink_client(struct dns_client *c)
{
    pthread_mutex_lock(&c->d->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->d->clients = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&c->d->lock);
}

void dns_client_close(struct dns_client *c)
{
    unlink_client(c);
    loop_source_free(c->udp_source);
    loop_source_free(c->tcp_source);
    loop_source_free(c->tcp_again);
    while (c->streams)
        dns_stream_close(c->streams);
    dns_upstream_forget(c, NULL);
    close_fd(&c->udp);
    close_fd(&c->tcp);
    dns_sight_done(&c->sight);
    free(c);
}
