/*
 * The name server's parts: messages (dns_msg.c, pure functions), zones and views (dns_zone.c),
 * answers from upstream (dns_cache.c), questions to the servers behind (dns_upstream.c), the
 * sockets in containers (dns_client.c, dns_stream.c), and what ties them together (dns.c).
 *
 * Threads: dns->lock guards zones, views and the list of clients, which any thread may change.
 * Everything else belongs to the loop's thread and needs no lock.
 */
#pragma once

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/time.h"
#include "network/dns.h"

#define DNS_PORT 53
#define DNS_MSG_MAX 65535
#define DNS_UDP_MIN 512   /* what every client can take by datagram */
#define DNS_UDP_OURS 1232 /* what we say that we can take: fits any path without fragments */
#define DNS_UDP_MAX 4096  /* most that we send in a datagram, whatever the client can take */
#define DNS_TTL_S 600     /* of names known here */

/* ---- messages ---- */

/* A query, taken apart. */
struct dns_question {
    uint16_t id, type, class;
    uint16_t udp_size; /* the longest answer the client takes by datagram */
    bool rd, ad, cd;   /* as in the query's header */
    bool edns, dnssec; /* it had an OPT record; with the DO bit */
    uint8_t opcode;
    uint16_t wire_len;              /* 0: there is no question that could be repeated */
    uint8_t wire[NS_MAXCDNAME + 4]; /* the question as it was asked: name, type, class */
    char name[NS_MAXDNAME];         /* lower case, escaped as in zone files, no dot at its end */
};

/**
 * dns_question_parse() - take a query apart
 * Return: 0; the rcode to refuse it with (dns_answer_begin() can be called); -EBADMSG: not a query
 *   at all, which gets no answer.
 */
int dns_question_parse(const uint8_t *p, size_t n, struct dns_question *q) MUST;

/** dns_name_key() - a name as dns_question has it; @out holds NS_MAXDNAME bytes. Return: 0,
 * -EINVAL: DNS cannot carry it. */
int dns_name_key(const char *name, char *out) MUST;
/** dns_name_ip() - the address that "1.0.0.127.in-addr.arpa" or "...ip6.arpa" asks about.
 * Return: false when @key is no such name. */
bool dns_name_ip(const char *key, struct ip *ret);

/** dns_answer_begin() - header and question of an answer; @out is empty. */
void dns_answer_begin(struct buf *out, const struct dns_question *q, unsigned rcode);
/** dns_answer_addr(), dns_answer_ptr() - one record about the name asked for. Where it does not fit
 * into @limit bytes (with the OPT record to come), the answer is marked as cut instead. */
void dns_answer_addr(struct buf *out, const struct dns_question *q, size_t limit,
                     const struct ip *ip);
void dns_answer_ptr(struct buf *out, const struct dns_question *q, size_t limit, const char *name);
/** dns_answer_end() - the OPT record, if the query had one. */
void dns_answer_end(struct buf *out, const struct dns_question *q, unsigned rcode);
/** dns_answer_limit() - longest answer by datagram. */
size_t dns_answer_limit(const struct dns_question *q);

/** dns_ask() - the query we send upstream for @q; @edns: with an OPT record. */
void dns_ask(struct buf *out, const struct dns_question *q, uint16_t id, bool edns);

/* An answer from upstream. */
struct dns_reply {
    unsigned rcode; /* with the high bits of the OPT record */
    bool cut;       /* ask again by TCP */
    uint16_t len;   /* bytes to keep: without the OPT record, which is between us and upstream */
    uint32_t ttl_s; /* how long it may be kept; 0: not at all */
};

/**
 * dns_reply_parse() - is this the answer to @q, with @id?
 * @p: its count of additional records is set to what is kept
 * Return: 0; -EBADMSG: it is not, or is not well-formed.
 */
int dns_reply_parse(uint8_t *p, size_t n, const struct dns_question *q, uint16_t id,
                    struct dns_reply *ret) MUST;
/**
 * dns_reply_relay() - an answer from upstream as an answer to @q
 * @p, @n: what dns_reply_parse() accepted, reply->len bytes of it, for the same name in any case
 * @age_s: time since then: lowers the TTLs
 * @limit: whole records that do not fit are left out, and the answer is marked as cut
 */
void dns_reply_relay(struct buf *out, const uint8_t *p, size_t n, const struct dns_question *q,
                     uint32_t age_s, size_t limit);

/* ---- zones and views ---- */

struct dns_addr {
    struct ip ip;
    unsigned count; /* several adds of one pair count */
};

struct dns_name {
    struct dns_addr *v;
    size_t n, cap;
};

struct dns_zone {
    struct dns *d;
    char *domain;        /* key; "" when DNS cannot carry it */
    char *domain_text;   /* as it was given */
    struct map *names;   /* key -> struct dns_name */
    struct map *reverse; /* address -> name as it was given */
};

struct dns_alias_key {
    char *alias, *name; /* keys */
};

/* A client's struct dns_view, copied. */
struct dns_sight {
    struct dns_zone **zones;
    size_t nzones;
    struct dns_alias_key *aliases;
    size_t naliases;
    struct dns_server upstream[DNS_UPSTREAM_MAX]; /* sorted, without doubles */
    size_t nupstream;
};

void dns_sight_init(struct dns_sight *s, const struct dns_view *view);
void dns_sight_done(struct dns_sight *s);
/** dns_sight_forget() - a zone goes away. */
void dns_sight_forget(struct dns_sight *s, const struct dns_zone *z);
/**
 * dns_sight_answer() - answer from what is known here; under the lock
 * @out: the answer; written when the name is known
 * Return: the name is known here.
 */
bool dns_sight_answer(const struct dns_sight *s, const struct dns_question *q, size_t limit,
                      struct buf *out);

/* ---- the cache ---- */

struct dns_cache;

struct dns_cached {
    const uint8_t *p;
    size_t n;
    uint32_t age_s;
};

struct dns_cache *dns_cache_new(void);
void dns_cache_free(struct dns_cache *c);
/** dns_cache_get() - @ret is valid until the cache is changed. Return: false: not there (any
 * more). */
bool dns_cache_get(struct dns_cache *c, const char *key, struct dns_cached *ret);
void dns_cache_put(struct dns_cache *c, const char *key, const uint8_t *p, size_t n,
                   uint32_t ttl_s);

/* ---- clients ---- */

struct dns_stream; /* a TCP connection of a container */

struct dns_client {
    struct dns *d;
    struct dns_sight sight; /* under the lock */
    uint64_t number;        /* no other one has it */
    int udp, tcp;
    struct loop_source *udp_source, *tcp_source, *tcp_again;
    struct dns_stream *streams; /* chained by next */
    struct dns_waiter *waiters;
    size_t nstreams, nwaiters;
    struct dns_client *prev, *next; /* under the lock */
};

/* Where an answer goes: the peer of a datagram, or a connection. */
struct dns_peer {
    struct dns_stream *stream; /* NULL: by datagram */
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

/** dns_client_open() - watch the sockets. */
int dns_client_open(struct dns_client *c, struct err *err) MUST;
/** dns_client_close() - the end of it; in the loop's thread, or when there is none any more. */
void dns_client_close(struct dns_client *c);
/** dns_client_query() - a query has come in; it is answered at once or later. A stream is not
 * settled here. */
void dns_client_query(struct dns_client *c, const struct dns_peer *peer, const uint8_t *p,
                      size_t n);
/** dns_client_fail() - an answer that is only an rcode. */
void dns_client_fail(struct dns_client *c, const struct dns_peer *peer,
                     const struct dns_question *q, unsigned rcode);
/** dns_client_relay() - an answer from upstream. */
void dns_client_relay(struct dns_client *c, const struct dns_peer *peer,
                      const struct dns_question *q, const struct dns_cached *answer);

/** dns_stream_accept() - take connections that wait. */
void dns_stream_accept(struct dns_client *c);
/** dns_stream_send() - queue an answer. */
void dns_stream_send(struct dns_stream *s, const struct buf *answer);
/** dns_stream_waits() - one answer more (+1) or less (-1) is to come. */
void dns_stream_waits(struct dns_stream *s, int change);
/** dns_stream_settle() - write, wait for what is next, or close: the last thing done to it. */
void dns_stream_settle(struct dns_stream *s);
void dns_stream_close(struct dns_stream *s);

/* ---- queries to upstream ---- */

struct dns_query;

/* Somebody who waits for the answer to a query; several can wait for one. */
struct dns_waiter {
    struct dns_client *client;
    struct dns_peer peer;
    struct dns_question q;
    struct dns_query *query;
    struct dns_waiter *prev, *next;             /* of the client */
    struct dns_waiter *query_prev, *query_next; /* of the query */
};

/**
 * dns_upstream_ask() - ask, or wait with others for the answer to the same question
 * @to: who is asked; @key: of the question to these servers; from a container's namespace, also of
 *   the client
 * Return: 0; -EAGAIN: too much is under way, -errno: no socket.
 */
int dns_upstream_ask(struct dns_client *c, const struct dns_peer *peer,
                     const struct dns_question *q, const struct dns_server *to, size_t nto,
                     const char *key) MUST;
/** dns_upstream_forget() - drop what a client waits for; @stream: only that for it, NULL: all. */
void dns_upstream_forget(struct dns_client *c, const struct dns_stream *stream);

struct dns {
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    int home;                   /* our network namespace */
    struct dns_client *clients; /* under the lock */
    uint64_t nclients;          /* ever; under the lock */
    size_t nzones;              /* under the lock */
    struct buf out;             /* the answer under construction */
    uint8_t *in;                /* DNS_MSG_MAX bytes: the datagram just read */
    struct dns_cache *cache;
    struct map *queries; /* key -> struct dns_query */
    size_t sockets;      /* to upstream */
    size_t streams;      /* connections of all clients */
    size_t max_sockets;  /* of either kind */
};
