/*
 * Containers with sockets to the name server, queries and their answers; in a network namespace of
 * our own. For tests only.
 */
#pragma once

#include "base/test.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "network/dns.h"

#define PATIENCE_MS 20000

/* ---- sockets ---- */

static inline struct ip ip(const char *text)
{
    struct ip i;

    CHECK_INT(ip_parse(text, &i), 0);
    return i;
}

static inline socklen_t fill(struct sockaddr_storage *a, const char *text, uint16_t port)
{
    struct ip i = ip(text);
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

    memset(a, 0, sizeof(*a));
    a->ss_family = i.family;
    if (i.family == AF_INET) {
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, i.addr, 4);
        return sizeof(*v4);
    }
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, i.addr, 16);
    return sizeof(*v6);
}

static inline int bound(int type, const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, port);
    int one = 1, fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    /* Two datagram sockets with this option may be given one port, and share what comes there. */
    CHECK(type != SOCK_STREAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    CHECK(bind(fd, (struct sockaddr *)&a, n) == 0);
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 128) == 0);
    return fd;
}

static inline int connected(int type, const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, port);
    struct timeval t = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&a, n) == 0);
    int on = 1; /* a query is two writes here */
    CHECK(type != SOCK_STREAM || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    return fd;
}

static inline uint16_t port_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t n = sizeof(a);

    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    return ntohs(a.sin_port);
}

/* ---- the fixture ---- */

struct box {
    struct dns_client *client;
    int udp; /* a program in it, connected to its server */
    uint16_t udp_port, tcp_port;
};

static inline void own_netns(void)
{
    struct err e = {0};

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        SKIP("cannot make a network namespace");
    (void)signal(SIGPIPE, SIG_IGN); /* connections end in many ways here */
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
}

static inline struct dns *start(void)
{
    struct err e = {0};
    struct dns *d;

    own_netns();
    CHECK_OK(dns_new(&d, &e));
    return d;
}

static inline struct box box_new(struct dns *d, const struct dns_view *view)
{
    struct err e = {0};
    struct box b = {0};
    int udp = bound(SOCK_DGRAM, DNS_ADDRESS, 0), tcp = bound(SOCK_STREAM, DNS_ADDRESS, 0);

    b.udp_port = port_of(udp);
    b.tcp_port = port_of(tcp);
    CHECK_OK(dns_client_new(d, udp, tcp, view, &b.client, &e));
    b.udp = connected(SOCK_DGRAM, DNS_ADDRESS, b.udp_port);
    return b;
}

static inline void box_free(struct box *b)
{
    dns_client_free(b->client);
    close_fd(&b->udp);
}

static inline struct dns_view seeing(struct dns_zone *const *zones, size_t n)
{
    return (struct dns_view){.zones = zones, .nzones = n};
}

static inline struct dns_view asking(const char *const *servers, size_t n)
{
    struct dns_view v = {.nupstream = n};

    for (size_t i = 0; i < n; i++)
        v.upstream[i] = (struct dns_server){.ip = ip(servers[i]), .host = true};
    return v;
}

/* ---- queries and answers ---- */

struct msg {
    uint8_t b[65535];
    size_t n;
};

struct query {
    const char *name;
    int type;
    uint16_t id;
    int edns; /* size; 0: no OPT record */
    bool dnssec;
};

static inline void put16(struct msg *m, unsigned v)
{
    m->b[m->n++] = (uint8_t)(v >> 8);
    m->b[m->n++] = (uint8_t)v;
}

static inline void put_name(struct msg *m, const char *name)
{
    int n = ns_name_pton(name, m->b + m->n, NS_MAXCDNAME);

    CHECK(n >= 0);
    while (m->b[m->n])
        m->n += m->b[m->n] + 1U;
    m->n++;
}

static inline void put_opt(struct msg *m, unsigned size, bool dnssec)
{
    m->b[m->n++] = 0;
    put16(m, ns_t_opt);
    put16(m, size);
    put16(m, 0);
    put16(m, dnssec ? 0x8000 : 0);
    put16(m, 0);
    m->b[11]++;
}

static inline void make(struct msg *m, struct query q)
{
    m->n = 0;
    put16(m, q.id);
    put16(m, 0x0100);
    put16(m, 1);
    put16(m, 0);
    put16(m, 0);
    put16(m, 0);
    put_name(m, q.name);
    put16(m, (unsigned)q.type);
    put16(m, ns_c_in);
    if (q.edns)
        put_opt(m, (unsigned)q.edns, q.dnssec);
}

static inline void send_query(int fd, struct query q)
{
    static struct msg m;

    make(&m, q);
    CHECK_INT(send(fd, m.b, m.n, 0), m.n);
}

static inline void send_query_tcp(int fd, struct query q)
{
    static struct msg m;

    make(&m, q);
    uint8_t len[2] = {(uint8_t)(m.n >> 8), (uint8_t)m.n};
    CHECK_INT(write_full(fd, len, 2), 0);
    CHECK_INT(write_full(fd, m.b, m.n), 0);
}

static inline void receive(int fd, struct msg *m)
{
    ssize_t n = recv(fd, m->b, sizeof(m->b), 0);

    CHECK(n >= 12);
    m->n = (size_t)n;
}

static inline void receive_tcp(int fd, struct msg *m)
{
    uint8_t len[2];

    CHECK_INT(read_full(fd, len, 2), 0);
    m->n = (size_t)(len[0] << 8 | len[1]);
    CHECK_INT(read_full(fd, m->b, m->n), 0);
}

/* Header in words and records in presentation format, sorted: what a test compares. */
struct answer {
    int id, rcode, records, additional, first_ttl, opt_size;
    bool cut, aa;
    char qname[NS_MAXDNAME];
    char text[8192];
};

static inline int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline char *record_text(const ns_msg *m, const ns_rr *rr)
{
    char addr[INET6_ADDRSTRLEN], name[NS_MAXDNAME];

    switch (ns_rr_type(*rr)) {
    case ns_t_a:
        return xstrdup(inet_ntop(AF_INET, ns_rr_rdata(*rr), addr, sizeof(addr)));
    case ns_t_aaaa:
        return xstrdup(inet_ntop(AF_INET6, ns_rr_rdata(*rr), addr, sizeof(addr)));
    case ns_t_ptr:
    case ns_t_cname:
        CHECK(ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), ns_rr_rdata(*rr), name,
                                 sizeof(name)) >= 0);
        return xstrdup(name);
    default:
        return xasprintf("type%d", ns_rr_type(*rr));
    }
}

static inline void parse(const struct msg *p, struct answer *a)
{
    ns_msg m;
    ns_rr rr;
    char *v[512] = {0};

    memset(a, 0, sizeof(*a));
    CHECK_INT(ns_initparse(p->b, (int)p->n, &m), 0);
    CHECK(ns_msg_getflag(m, ns_f_qr) == 1 && ns_msg_getflag(m, ns_f_ra) == 1);
    a->id = ns_msg_id(m);
    a->rcode = ns_msg_getflag(m, ns_f_rcode);
    a->cut = ns_msg_getflag(m, ns_f_tc);
    a->records = ns_msg_count(m, ns_s_an);
    if (ns_msg_count(m, ns_s_qd) == 1) {
        CHECK_INT(ns_parserr(&m, ns_s_qd, 0, &rr), 0);
        (void)snprintf(a->qname, sizeof(a->qname), "%s", ns_rr_name(rr));
    }
    for (int i = 0; i < a->records; i++) {
        CHECK_INT(ns_parserr(&m, ns_s_an, i, &rr), 0);
        a->first_ttl = i == 0 ? (int)ns_rr_ttl(rr) : a->first_ttl;
        v[i] = record_text(&m, &rr);
    }
    qsort(v, (size_t)a->records, sizeof(*v), by_text);
    auto_buf struct buf text = BUF_INIT;
    for (int i = 0; i < a->records; i++) {
        buf_printf(&text, "%s%s", i ? " " : "", v[i]);
        free(v[i]);
    }
    (void)snprintf(a->text, sizeof(a->text), "%s", buf_str(&text));
    for (int i = 0; i < ns_msg_count(m, ns_s_ar); i++) {
        CHECK_INT(ns_parserr(&m, ns_s_ar, i, &rr), 0);
        if (ns_rr_type(rr) == ns_t_opt) {
            a->opt_size = ns_rr_class(rr);
            a->rcode |= (int)(ns_rr_ttl(rr) >> 24 << 4);
        } else {
            a->additional++;
        }
    }
}

static inline struct answer get(int fd)
{
    static struct msg m;
    static struct answer a;

    receive(fd, &m);
    parse(&m, &a);
    return a;
}

static inline struct answer get_tcp(int fd)
{
    static struct msg m;
    static struct answer a;

    receive_tcp(fd, &m);
    parse(&m, &a);
    return a;
}

static inline struct answer ask_q(const struct box *b, struct query q)
{
    static uint16_t id;

    q.id = ++id;
    send_query(b->udp, q);
    struct answer a = get(b->udp);
    CHECK_INT(a.id, q.id);
    CHECK_STR(a.qname, q.name); /* letter by letter */
    return a;
}

static inline struct answer ask(const struct box *b, const char *name, int type)
{
    return ask_q(b, (struct query){.name = name, .type = type});
}

#define WANT(b, name, type, want_text)                                                             \
    do {                                                                                           \
        struct answer a_ = ask((b), (name), (type));                                               \
        CHECK_INT(a_.rcode, ns_r_noerror);                                                         \
        CHECK_STR(a_.text, (want_text));                                                           \
    } while (0)
#define WANT_RCODE(b, name, type, want_rcode)                                                      \
    do {                                                                                           \
        struct answer a_ = ask((b), (name), (type));                                               \
        CHECK_INT(a_.rcode, (want_rcode));                                                         \
        CHECK_INT(a_.records, 0);                                                                  \
    } while (0)

/* ---- zones ---- */

static inline struct dns_zone *zone(struct dns *d, const char *domain, const char *name,
                                    const char *addr)
{
    struct dns_zone *z = dns_zone_new(d, domain);
    struct ip i = ip(addr);

    dns_zone_add(z, name, &i, true);
    return z;
}

static inline struct dns_zone *big_zone(struct dns *d, int n)
{
    struct dns_zone *z = dns_zone_new(d, "net");
    struct ip i = ip("10.1.0.0");

    for (int k = 1; k <= n; k++) {
        i.addr[2] = (uint8_t)(k >> 8);
        i.addr[3] = (uint8_t)k;
        dns_zone_add(z, "many", &i, false);
    }
    return z;
}
