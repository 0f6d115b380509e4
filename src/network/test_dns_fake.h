/* A server behind the name server, right or not: a thread at port 53 of a loopback address. For
 * tests only. */
#pragma once

#include "network/test_dns_fixture.h"

enum way {
    ANSWER,
    SILENT,
    HOLD, /* the first answer waits for fake_tell('r') */
    FAILS,
    REFUSES,
    NO_NAME,        /* with a SOA record */
    NO_DATA,        /* likewise */
    EMPTY,          /* without */
    CUT,            /* the answer comes by TCP only */
    PLAIN,          /* does not know EDNS */
    SPOOFED,        /* others answer too, faster */
    GARBAGE,        /* bytes, then the answer */
    FORGOTTEN_HALF, /* by TCP: closes in the middle */
    LONG,           /* a hundred records */
};

struct fake {
    const char *addr;
    enum way way;
    int number; /* last byte of the addresses it says */
    uint32_t ttl, minimum;
    int udp, tcp, control[2];
    int asked, asked_tcp; /* atomic */
    int flags;            /* of the last query, atomic: DO bit | CD << 1 */
    uint16_t last_port;
    int ports; /* that differed from the one before */
    pthread_t thread;
    struct msg held;
    struct sockaddr_storage held_peer;
    socklen_t held_len;
};

static inline void put32(struct msg *m, uint32_t v)
{
    put16(m, v >> 16);
    put16(m, v & 0xffff);
}

static inline size_t question_end(const struct msg *q)
{
    size_t at = 12;

    while (q->b[at])
        at += q->b[at] + 1U;
    return at + 5;
}

static inline int type_of(const struct msg *q)
{
    size_t end = question_end(q);

    return q->b[end - 4] << 8 | q->b[end - 3];
}

static inline void begin_reply(struct msg *m, const struct msg *q, unsigned rcode)
{
    m->n = question_end(q);
    memcpy(m->b, q->b, m->n);
    m->b[2] = 0x81;
    m->b[3] = (uint8_t)(0x80 | rcode);
    memset(m->b + 6, 0, 6);
}

static inline void put_record(struct msg *m, int section, int type, uint32_t ttl, size_t len)
{
    put16(m, 0xc00c);
    put16(m, (unsigned)type);
    put16(m, ns_c_in);
    put32(m, ttl);
    put16(m, (unsigned)len);
    m->b[5 + 2 * section]++;
}

static inline void put_a(struct msg *m, const struct fake *f, int last)
{
    bool v6 = type_of(m) == ns_t_aaaa;

    put_record(m, 1, v6 ? ns_t_aaaa : ns_t_a, f->ttl, v6 ? 16 : 4);
    memcpy(m->b + m->n, v6 ? "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0" : "\xc0\x00\x02", v6 ? 15 : 3);
    m->n += v6 ? 15 : 3;
    m->b[m->n++] = (uint8_t)last;
}

static inline void put_soa(struct msg *m, const struct fake *f)
{
    put_record(m, 2, ns_t_soa, f->ttl, 22);
    memset(m->b + m->n, 0, 18);
    m->n += 18;
    put32(m, f->minimum);
}

static inline void reply_to(const struct fake *f, const struct msg *q, struct msg *m)
{
    bool edns = q->b[11] > 0;

    begin_reply(m, q,
                f->way == FAILS     ? ns_r_servfail
                : f->way == REFUSES ? ns_r_refused
                : f->way == NO_NAME ? ns_r_nxdomain
                                    : ns_r_noerror);
    if (f->way == NO_NAME || f->way == NO_DATA)
        put_soa(m, f);
    else if (f->way == LONG)
        for (int i = 0; i < 100; i++)
            put_a(m, f, i);
    else if (f->way != FAILS && f->way != REFUSES && f->way != EMPTY)
        put_a(m, f, f->number);
    if (edns)
        put_opt(m, 4096, false);
}

static inline void send_to(int fd, const struct msg *m, const struct sockaddr_storage *to,
                           socklen_t n)
{
    CHECK_INT(sendto(fd, m->b, m->n, 0, (const struct sockaddr *)to, n), m->n);
}

/* What somebody tries who wants to be believed: the right port by luck, but not all the rest. */
static inline void spoof(const struct fake *f, const struct msg *q,
                         const struct sockaddr_storage *to, socklen_t n)
{
    static struct msg m;
    struct fake liar = *f;
    auto_close int other = bound(SOCK_DGRAM, "127.0.0.99", 53);

    liar.number = 66;
    reply_to(&liar, q, &m);
    send_to(other, &m, to, n); /* another address */
    m.b[0] ^= 1;
    send_to(f->udp, &m, to, n); /* another id */
    m.b[0] ^= 1;
    m.b[13] ^= 1;
    send_to(f->udp, &m, to, n); /* another name */
    m.b[13] ^= 1;
    m.b[question_end(&m) - 3] ^= 1;
    send_to(f->udp, &m, to, n); /* another type */
    m.b[question_end(&m) - 3] ^= 1;
    m.b[2] &= 0x7f;
    send_to(f->udp, &m, to, n); /* a query */
    m.b[2] |= 0x80;
    m.n -= 3;
    send_to(f->udp, &m, to, n); /* not all of it */
}

static inline void garble(const struct fake *f, const struct msg *q,
                          const struct sockaddr_storage *to, socklen_t n)
{
    static struct msg m;

    for (size_t i = 0; i < 10; i++) {
        m.n = 1 + i * 50;
        rand_bytes(m.b, m.n);
        memcpy(m.b, q->b, 2);
        send_to(f->udp, &m, to, n);
    }
}

static inline void note(struct fake *f, const struct msg *q, uint16_t port)
{
    size_t end = question_end(q);
    int flags = (q->b[11] && q->b[end + 7] & 0x80) | (q->b[3] & 0x10) >> 3;

    f->ports += port != f->last_port;
    f->last_port = port;
    __atomic_store_n(&f->flags, flags, __ATOMIC_RELEASE);
    (void)__atomic_add_fetch(&f->asked, 1, __ATOMIC_ACQ_REL);
}

static inline void by_datagram(struct fake *f)
{
    struct msg q, m;
    struct sockaddr_storage from;
    socklen_t n = sizeof(from);
    ssize_t got = recvfrom(f->udp, q.b, sizeof(q.b), 0, (struct sockaddr *)&from, &n);

    CHECK(got >= 12);
    q.n = (size_t)got;
    note(f, &q, ((struct sockaddr_in *)&from)->sin_port);
    reply_to(f, &q, &m);
    if (f->way == PLAIN && q.b[11])
        begin_reply(&m, &q, ns_r_formerr);
    if (f->way == CUT || f->way == FORGOTTEN_HALF) {
        begin_reply(&m, &q, 0);
        m.b[2] |= 2;
    }
    if (f->way == SPOOFED)
        spoof(f, &q, &from, n);
    if (f->way == GARBAGE)
        garble(f, &q, &from, n);
    if (f->way == HOLD && f->held.n == 0) {
        f->held = m;
        f->held_peer = from;
        f->held_len = n;
    } else if (f->way != SILENT) {
        send_to(f->udp, &m, &from, n);
    }
}

static inline void by_tcp(struct fake *f)
{
    struct msg q, m;
    auto_close int fd = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC);

    CHECK(fd >= 0);
    uint8_t len[2];
    if (read_full(fd, len, 2) < 0)
        return; /* another server was faster */
    q.n = (size_t)(len[0] << 8 | len[1]);
    if (read_full(fd, q.b, q.n) < 0)
        return;
    (void)__atomic_add_fetch(&f->asked_tcp, 1, __ATOMIC_ACQ_REL);
    reply_to(f, &q, &m);
    memcpy(len, (uint8_t[]){(uint8_t)(m.n >> 8), (uint8_t)m.n}, 2);
    (void)!write(fd, len, 2);
    (void)!write(fd, m.b, f->way == FORGOTTEN_HALF ? 20 : m.n);
}

static inline void *fake_main(void *arg)
{
    struct fake *f = arg;
    struct pollfd p[3] = {{f->udp, POLLIN, 0}, {f->tcp, POLLIN, 0}, {f->control[0], POLLIN, 0}};
    char c = 0;

    while (c != 'q') {
        CHECK(poll(p, 3, -1) > 0);
        if (p[0].revents)
            by_datagram(f);
        if (p[1].revents)
            by_tcp(f);
        if (p[2].revents)
            CHECK_INT(read(f->control[0], &c, 1), 1);
        if (c == 'r')
            send_to(f->udp, &f->held, &f->held_peer, f->held_len);
        c = c == 'r' ? 0 : c;
    }
    return NULL;
}

static inline void fake_start(struct fake *f)
{
    f->udp = bound(SOCK_DGRAM, f->addr, 53);
    f->tcp = bound(SOCK_STREAM, f->addr, 53);
    CHECK(pipe2(f->control, O_CLOEXEC) == 0);
    CHECK_INT(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

static inline void fake_tell(struct fake *f, char c)
{
    CHECK_INT(write(f->control[1], &c, 1), 1);
}

static inline void fake_stop(struct fake *f)
{
    fake_tell(f, 'q');
    CHECK_INT(pthread_join(f->thread, NULL), 0);
    close_fd(&f->udp);
    close_fd(&f->tcp);
    close_fd(&f->control[0]);
    close_fd(&f->control[1]);
}

static inline int asked(const struct fake *f)
{
    return __atomic_load_n(&f->asked, __ATOMIC_ACQUIRE);
}

/* Until the server has seen @n queries; the answer's way is not ours to watch. */
static inline void wait_asked(const struct fake *f, int n)
{
    int64_t until = mono_ns() + PATIENCE_MS * NS_PER_MS;

    while (asked(f) < n) {
        CHECK(mono_ns() < until);
        (void)poll(NULL, 0, 1);
    }
}

#define ONE "127.0.0.53"
#define TWO "127.0.0.54"

static const char *const servers[] = {ONE, TWO, "::1"};
