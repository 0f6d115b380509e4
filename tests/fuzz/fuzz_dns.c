/*
 * Messages of DNS: what a container asks, and what servers answer. What is taken must come out as
 * a message that glibc's parser takes too, within its limit of length.
 */
#include <arpa/nameser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "network/dns-priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_parse(const struct buf *b, size_t limit, uint16_t id)
{
    ns_msg m;

    if (b->len > limit || ns_initparse((const uint8_t *)b->data, (int)b->len, &m) < 0 ||
        ns_msg_id(m) != id || !ns_msg_getflag(m, ns_f_qr))
        abort();
}

static void check_name(const struct dns_question *q)
{
    char key[NS_MAXDNAME];
    struct ip ip;

    if (q->name[0] && (dns_name_key(q->name, key) < 0 || strcmp(key, q->name) != 0))
        abort(); /* a key is the key of itself */
    if (dns_name_ip(q->name, &ip) && ip.family != AF_INET && ip.family != AF_INET6)
        abort();
}

static void check_answer(const struct dns_question *q, unsigned rcode)
{
    auto_buf struct buf out = BUF_INIT;
    size_t limit = dns_answer_limit(q);
    struct ip ip = {.family = q->type == ns_t_aaaa ? AF_INET6 : AF_INET};

    if (limit < DNS_UDP_MIN || limit > DNS_UDP_MAX)
        abort();
    dns_answer_begin(&out, q, rcode);
    for (int i = 0; rcode == 0 && i < 40; i++)
        dns_answer_addr(&out, q, limit, &ip);
    if (rcode == 0)
        dns_answer_ptr(&out, q, limit, "name.of.a.container");
    dns_answer_end(&out, q, rcode);
    must_parse(&out, limit, q->id);
}

static void fuzz_query(const uint8_t *p, size_t n)
{
    struct dns_question q;
    int r = dns_question_parse(p, n, &q);

    if (r < 0)
        return;
    check_answer(&q, (unsigned)r);
    if (r > 0)
        return;
    check_name(&q);
    auto_buf struct buf ask = BUF_INIT;
    struct dns_question again;
    dns_ask(&ask, &q, 77, true);
    if (dns_question_parse((const uint8_t *)ask.data, ask.len, &again) != 0 ||
        strcmp(again.name, q.name) != 0 || again.type != q.type || again.dnssec != q.dnssec)
        abort();
}

/* The query that an answer would belong to: its own question under a header of ours. */
static bool question_of(const uint8_t *p, size_t n, struct dns_question *q)
{
    static const uint8_t header[NS_HFIXEDSZ] = {0, 1, 1, 0, 0, 1};
    auto_buf struct buf query = BUF_INIT;
    size_t at = NS_HFIXEDSZ;

    while (at < n && p[at])
        at += p[at] + 1U;
    if (at + 5 > n)
        return false;
    buf_put(&query, header, sizeof(header));
    buf_put(&query, p + NS_HFIXEDSZ, at + 5 - NS_HFIXEDSZ);
    return dns_question_parse((const uint8_t *)query.data, query.len, q) == 0;
}

/* Not parsed again: a server may point names into TTLs and the header, which change on the way, and
 * so make a message that is none. That is its clients' bad luck, whoever passes it on. */
static void relay(const uint8_t *p, size_t n, const struct dns_question *q, uint32_t age,
                  size_t limit)
{
    auto_buf struct buf out = BUF_INIT;
    const uint8_t *o;

    dns_reply_relay(&out, p, n, q, age, limit);
    o = (const uint8_t *)out.data;
    if (out.len > limit || out.len < NS_HFIXEDSZ + (size_t)q->wire_len || !(o[2] & 0x80) ||
        memcmp(o + NS_HFIXEDSZ, q->wire, q->wire_len) != 0)
        abort();
    if (limit == DNS_MSG_MAX && (out.len != n + (q->edns ? 11 : 0) || o[2] & 2))
        abort(); /* nothing is lost where there is room */
}

static void fuzz_answer(const uint8_t *data, size_t n)
{
    struct dns_question q;
    struct dns_reply r;

    if (n < NS_HFIXEDSZ || !question_of(data, n, &q))
        return;
    uint8_t *p = xmemdup(data, n);
    if (dns_reply_parse(p, n, &q, (uint16_t)(p[0] << 8 | p[1]), &r) == 0 && !r.cut &&
        n > NS_HFIXEDSZ) {
        if (r.len > n)
            abort();
        relay(p, r.len, &q, 0, DNS_MSG_MAX);
        relay(p, r.len, &q, 100, DNS_UDP_MIN);
        q.edns = true;
        relay(p, r.len, &q, UINT32_MAX, DNS_UDP_MIN);
        relay(p, r.len, &q, 1, DNS_MSG_MAX);
    }
    free(p);
}

/* The first byte says which of the two it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] % 2 == 0)
        fuzz_query(data + 1, size - 1);
    else if (size > 0)
        fuzz_answer(data + 1, size - 1);
    return 0;
}
