#include "network/dns-priv.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/*
 * Messages. What comes in is read by glibc's parser, which checks every length and pointer; what
 * goes out is put together by hand, since it is little: a header, the question as it came, records
 * whose name is a pointer to it.
 */

#define HEADER NS_HFIXEDSZ
#define OPT_B 11
#define OPT_DO 0x8000
#define NAME_POINTER (0xc000 | HEADER) /* to the question's name */
#define TTL_MAX_S 86400
#define NEGATIVE_TTL_MAX_S 900

#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100
#define FLAG_RA 0x0080
#define FLAG_AD 0x0020
#define FLAG_CD 0x0010

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void set16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put16(struct buf *b, unsigned v)
{
    uint8_t p[2];

    set16(p, v);
    buf_put(b, p, sizeof(p));
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

static uint8_t *at(struct buf *b, size_t offset)
{
    return (uint8_t *)b->data + offset;
}

/* ---- names ---- */

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)tolower((unsigned char)*s);
}

static int wire_key(const uint8_t *wire, char *out)
{
    if (ns_name_ntop(wire, out, NS_MAXDNAME) < 0)
        return -EINVAL;
    if (strcmp(out, ".") == 0)
        out[0] = '\0';
    lower(out);
    return 0;
}

int dns_name_key(const char *name, char *out)
{
    uint8_t wire[NS_MAXCDNAME];

    if (!*name || ns_name_pton(name, wire, sizeof(wire)) < 0)
        return -EINVAL;
    return wire_key(wire, out);
}

/* "4.3.2.1" -> 1.2.3.4: decimal numbers without leading zeros, as reverse names are made. */
static bool reverse4(const char *s, const char *end, uint8_t addr[4])
{
    for (int i = 3; i >= 0; i--) {
        unsigned v = 0;
        const char *first = s;
        while (s < end && isdigit((unsigned char)*s) && s - first < 3)
            v = v * 10 + (unsigned)(*s++ - '0');
        if (s == first || v > 255 || (*first == '0' && s - first > 1))
            return false;
        addr[i] = (uint8_t)v;
        if (i > 0 && *s++ != '.')
            return false;
    }
    return s == end;
}

static bool reverse6(const char *s, const char *end, uint8_t addr[16])
{
    static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

    if (end - s != 63)
        return false;
    memset(addr, 0, 16);
    for (int i = 0; i < 32; i++, s += 2) {
        const char *digit = memchr(digits, *s, sizeof(digits));
        if (!digit || (i < 31 && s[1] != '.'))
            return false;
        addr[15 - i / 2] |= (uint8_t)((digit - digits) << (i % 2 * 4));
    }
    return true;
}

static const char *ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);

    return n > k && strcmp(s + n - k, suffix) == 0 ? s + n - k : NULL;
}

bool dns_name_ip(const char *key, struct ip *ret)
{
    struct ip ip = {0};
    const char *end;

    if ((end = ends(key, ".in-addr.arpa")) && reverse4(key, end, ip.addr))
        ip = (struct ip){.family = AF_INET,
                         .prefix = 32,
                         .addr = {ip.addr[0], ip.addr[1], ip.addr[2], ip.addr[3]}};
    else if ((end = ends(key, ".ip6.arpa")) && reverse6(key, end, ip.addr))
        ip.family = AF_INET6, ip.prefix = 128;
    else
        return false;
    *ret = ip;
    return true;
}

/* ---- queries ---- */

static bool is_meta(unsigned type)
{
    return type == 0 || type == ns_t_opt || (type >= ns_t_tkey && type <= ns_t_maila);
}

/* The question's name must be spelled out: a pointer has nothing yet that it could point to. */
static int parse_name(const uint8_t *p, size_t n, struct dns_question *q)
{
    uint8_t wire[NS_MAXCDNAME];
    int used = ns_name_unpack(p, p + n, p + HEADER, wire, sizeof(wire));
    size_t len = 0;

    if (used <= 0)
        return -EBADMSG;
    while (wire[len])
        len += wire[len] + 1U;
    if (++len != (size_t)used || HEADER + len + 4 > n || wire_key(wire, q->name) < 0)
        return -EBADMSG;
    q->wire_len = (uint16_t)(len + 4);
    memcpy(q->wire, p + HEADER, q->wire_len);
    q->type = get16(p + HEADER + len);
    q->class = get16(p + HEADER + len + 2);
    return 0;
}

/* The OPT record, which is all that may follow a question. Return: 0 or an rcode. */
static int parse_opt(ns_msg *m, struct dns_question *q)
{
    ns_rr rr;

    if (ns_msg_count(*m, ns_s_ar) == 0)
        return 0;
    if (ns_msg_count(*m, ns_s_ar) > 1 || ns_parserr(m, ns_s_ar, 0, &rr) < 0 ||
        ns_rr_type(rr) != ns_t_opt || rr.name[0])
        return ns_r_formerr;
    q->edns = true;
    q->dnssec = ns_rr_ttl(rr) & OPT_DO;
    q->udp_size = ns_rr_class(rr) < DNS_UDP_MIN ? DNS_UDP_MIN : (uint16_t)ns_rr_class(rr);
    return (ns_rr_ttl(rr) >> 16 & 0xff) == 0 ? 0 : ns_r_badvers;
}

static void parse_flags(const uint8_t *p, struct dns_question *q)
{
    unsigned flags = get16(p + 2);

    memset(q, 0, offsetof(struct dns_question, wire));
    q->name[0] = '\0';
    q->id = get16(p);
    q->opcode = (uint8_t)(flags >> 11 & 15);
    q->rd = flags & FLAG_RD;
    q->ad = flags & FLAG_AD;
    q->cd = flags & FLAG_CD;
    q->udp_size = DNS_UDP_MIN;
}

int dns_question_parse(const uint8_t *p, size_t n, struct dns_question *q)
{
    ns_msg m;

    if (n < HEADER || n > DNS_MSG_MAX || get16(p + 2) & FLAG_QR)
        return -EBADMSG; /* answering an answer would let two servers talk forever */
    parse_flags(p, q);
    if (q->opcode != ns_o_query)
        return ns_r_notimpl;
    if (ns_initparse(p, (int)n, &m) < 0 || ns_msg_count(m, ns_s_qd) != 1 ||
        ns_msg_count(m, ns_s_an) != 0 || ns_msg_count(m, ns_s_ns) != 0 || parse_name(p, n, q) < 0)
        return ns_r_formerr;
    int r = parse_opt(&m, q);
    if (r != 0)
        return r;
    if (q->class != ns_c_in)
        return ns_r_refused;
    return is_meta(q->type) ? ns_r_notimpl : 0;
}

/* ---- answers ---- */

static size_t opt_size(const struct dns_question *q)
{
    return q->edns ? OPT_B : 0;
}

size_t dns_answer_limit(const struct dns_question *q)
{
    return q->udp_size < DNS_UDP_MAX ? q->udp_size : DNS_UDP_MAX;
}

static unsigned answer_flags(const struct dns_question *q, unsigned rcode)
{
    return (unsigned)(FLAG_QR | q->opcode << 11 | (q->rd ? FLAG_RD : 0) | FLAG_RA |
                      (q->cd ? FLAG_CD : 0)) |
           (rcode & 15);
}

void dns_answer_begin(struct buf *out, const struct dns_question *q, unsigned rcode)
{
    put16(out, q->id);
    put16(out, answer_flags(q, rcode));
    put16(out, q->wire_len > 0);
    put16(out, 0);
    put32(out, 0);
    buf_put(out, q->wire, q->wire_len);
}

/* Name, type, class, TTL and length of a record. Return: false: no room, marked as cut. */
static bool begin_record(struct buf *out, const struct dns_question *q, size_t limit, unsigned type,
                         size_t len)
{
    if (out->len + 12 + len + opt_size(q) > limit) {
        set16(at(out, 2), get16(at(out, 2)) | FLAG_TC);
        return false;
    }
    put16(out, NAME_POINTER);
    put16(out, type);
    put16(out, ns_c_in);
    put32(out, DNS_TTL_S);
    put16(out, (unsigned)len);
    set16(at(out, 6), get16(at(out, 6)) + 1U);
    return true;
}

void dns_answer_addr(struct buf *out, const struct dns_question *q, size_t limit,
                     const struct ip *ip)
{
    bool v4 = ip->family == AF_INET;
    size_t len = v4 ? 4 : 16;

    if (begin_record(out, q, limit, v4 ? ns_t_a : ns_t_aaaa, len))
        buf_put(out, ip->addr, len);
}

void dns_answer_ptr(struct buf *out, const struct dns_question *q, size_t limit, const char *name)
{
    uint8_t wire[NS_MAXCDNAME];
    size_t len = 0;

    if (ns_name_pton(name, wire, sizeof(wire)) < 0)
        return;
    while (wire[len])
        len += wire[len] + 1U;
    if (begin_record(out, q, limit, ns_t_ptr, ++len))
        buf_put(out, wire, len);
}

static void put_opt(struct buf *out, bool dnssec, unsigned rcode)
{
    buf_putc(out, 0); /* the root */
    put16(out, ns_t_opt);
    put16(out, DNS_UDP_OURS);
    put16(out, rcode >> 4 << 8); /* high bits of the rcode, version 0 */
    put16(out, dnssec ? OPT_DO : 0);
    put16(out, 0);
    set16(at(out, 10), get16(at(out, 10)) + 1U);
}

void dns_answer_end(struct buf *out, const struct dns_question *q, unsigned rcode)
{
    if (q->edns)
        put_opt(out, q->dnssec, rcode);
}

/* ---- upstream ---- */

void dns_ask(struct buf *out, const struct dns_question *q, uint16_t id, bool edns)
{
    put16(out, id);
    put16(out, (unsigned)(FLAG_RD | (q->ad ? FLAG_AD : 0) | (q->cd ? FLAG_CD : 0)));
    put16(out, 1);
    put16(out, 0);
    put32(out, 0);
    buf_put(out, q->wire, q->wire_len);
    if (edns)
        put_opt(out, q->dnssec, 0);
}

static bool same_question(const uint8_t *p, size_t n, const struct dns_question *q)
{
    size_t name = q->wire_len - 4U;

    if (n < HEADER + (size_t)q->wire_len || memcmp(p + HEADER + name, q->wire + name, 4) != 0)
        return false;
    for (size_t i = 0; i < name; i++) /* lengths of labels are no letters */
        if (tolower(p[HEADER + i]) != tolower(q->wire[i]))
            return false;
    return true;
}

struct walk {
    struct dns_reply *r;
    const struct dns_question *q;
    uint32_t ttl;  /* the least */
    unsigned kept; /* additional records */
    bool answered; /* there is a record of the type that was asked for */
    bool soa;
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The last number of a SOA record: how long it may be remembered that something is not there. */
static void see_soa(struct walk *w, const ns_rr *rr)
{
    if (ns_rr_rdlen(*rr) < 20)
        return;
    w->soa = true;
    w->ttl = least(w->ttl, (uint32_t)ns_get32(ns_rr_rdata(*rr) + ns_rr_rdlen(*rr) - 4));
}

static uint32_t sane_ttl(uint32_t ttl)
{
    return ttl > INT32_MAX ? 0 : least(ttl, TTL_MAX_S); /* RFC 2181, 8 */
}

static void see_record(struct walk *w, ns_sect section, const ns_rr *rr)
{
    w->ttl = least(w->ttl, sane_ttl(ns_rr_ttl(*rr)));
    if (section == ns_s_an)
        w->answered |= ns_rr_type(*rr) == w->q->type || w->q->type == ns_t_any;
    if (section == ns_s_ns && ns_rr_type(*rr) == ns_t_soa)
        see_soa(w, rr);
}

/* The OPT record ends what is kept: records behind it could point to each other over it. */
static int see_additional(struct walk *w, ns_msg *m)
{
    const uint8_t *base = ns_msg_base(*m), *begin = NULL;
    int n = ns_msg_count(*m, ns_s_ar);

    for (int i = 0; i < n; i++) {
        ns_rr rr;
        if (ns_parserr(m, ns_s_ar, i, &rr) < 0)
            return -EBADMSG;
        if (ns_rr_type(rr) != ns_t_opt) {
            if (!begin) {
                w->ttl = least(w->ttl, sane_ttl(ns_rr_ttl(rr)));
                w->kept++;
            }
            continue;
        }
        if (begin || rr.name[0])
            return -EBADMSG;
        begin = ns_rr_rdata(rr) - OPT_B;
        w->r->rcode |= ns_rr_ttl(rr) >> 24 << 4;
        w->r->len = (uint16_t)(begin - base);
    }
    return 0;
}

static int see_sections(struct walk *w, ns_msg *m)
{
    for (int section = ns_s_an; section <= ns_s_ns; section++) {
        for (int i = 0; i < ns_msg_count(*m, section); i++) {
            ns_rr rr;
            if (ns_parserr(m, (ns_sect)section, i, &rr) < 0)
                return -EBADMSG;
            see_record(w, (ns_sect)section, &rr);
        }
    }
    return see_additional(w, m);
}

static uint32_t keep_for(const struct walk *w)
{
    bool negative = w->r->rcode == ns_r_nxdomain || !w->answered;

    if (w->r->rcode != ns_r_noerror && w->r->rcode != ns_r_nxdomain)
        return 0;
    if (negative)
        return w->soa ? least(w->ttl, NEGATIVE_TTL_MAX_S) : 0;
    return w->ttl;
}

/* Names may point ahead: without its end, a message has to be looked at once more. */
static bool is_whole(const uint8_t *p, size_t n)
{
    ns_msg m;
    ns_rr rr;

    if (ns_initparse(p, (int)n, &m) < 0)
        return false;
    for (int section = ns_s_an; section < ns_s_max; section++)
        for (int i = 0; i < ns_msg_count(m, section); i++)
            if (ns_parserr(&m, (ns_sect)section, i, &rr) < 0)
                return false;
    return true;
}

int dns_reply_parse(uint8_t *p, size_t n, const struct dns_question *q, uint16_t id,
                    struct dns_reply *ret)
{
    struct dns_reply r = {0};
    struct walk w = {.r = &r, .q = q, .ttl = TTL_MAX_S};
    ns_msg m;

    if (n < HEADER || n > DNS_MSG_MAX || get16(p) != id || !(get16(p + 2) & FLAG_QR))
        return -EBADMSG;
    r.rcode = p[3] & 15U;
    r.len = (uint16_t)n;
    /* A server that does not know EDNS may give back the header alone. */
    if (n == HEADER && r.rcode == ns_r_formerr) {
        *ret = r;
        return 0;
    }
    if ((get16(p + 2) >> 11 & 15) != ns_o_query || get16(p + 4) != 1 || !same_question(p, n, q))
        return -EBADMSG;
    r.cut = get16(p + 2) & FLAG_TC;
    if (!r.cut && (ns_initparse(p, (int)n, &m) < 0 || see_sections(&w, &m) < 0))
        return -EBADMSG;
    if (!r.cut) {
        set16(p + 10, w.kept);
        if (r.len < n && !is_whole(p, r.len))
            return -EBADMSG;
    }
    r.ttl_s = r.cut ? 0 : keep_for(&w);
    *ret = r;
    return 0;
}

/* Where a message is cut, and what is left in its sections. */
struct cut {
    size_t end;
    unsigned count[ns_s_max];
};

/* Lowers a record's TTL in place; it stands in front of the data and their length. */
static void age_record(uint8_t *base, const ns_msg *m, const ns_rr *rr, uint32_t age_s)
{
    uint8_t *ttl = base + (ns_rr_rdata(*rr) - ns_msg_base(*m)) - 6;
    uint32_t now = sane_ttl(ns_rr_ttl(*rr));

    now = now > age_s ? now - age_s : 0;
    set16(ttl, now >> 16);
    set16(ttl + 2, now & 0xffff);
}

/* Ages the records and finds those that fit. Return: all but additional ones do. */
static bool fit_records(uint8_t *base, ns_msg *m, uint32_t age_s, size_t limit, struct cut *c)
{
    for (int section = ns_s_an; section < ns_s_max; section++) {
        int left = ns_msg_count(*m, section);
        for (int i = 0; i < left; i++) {
            ns_rr rr;
            if (ns_parserr(m, (ns_sect)section, i, &rr) < 0)
                return section == ns_s_ar;
            size_t end = (size_t)(ns_rr_rdata(rr) + ns_rr_rdlen(rr) - ns_msg_base(*m));
            if (end > limit)
                return section == ns_s_ar;
            age_record(base, m, &rr, age_s);
            c->end = end;
            c->count[section]++;
        }
    }
    return true;
}

void dns_reply_relay(struct buf *out, const uint8_t *p, size_t n, const struct dns_question *q,
                     uint32_t age_s, size_t limit)
{
    struct cut c = {.end = HEADER + (size_t)q->wire_len};
    ns_msg m;
    unsigned flags = answer_flags(q, p[3]) | (get16(p + 2) & (FLAG_AA | FLAG_AD));

    buf_put(out, p, n);
    bool whole = ns_initparse(p, (int)n, &m) == 0 &&
                 fit_records(at(out, 0), &m, age_s, limit - opt_size(q), &c);
    out->len = c.end;
    set16(at(out, 0), q->id);
    set16(at(out, 2), flags | (whole ? 0 : FLAG_TC));
    set16(at(out, 4), 1);
    for (int i = ns_s_an; i < ns_s_max; i++)
        set16(at(out, 4 + 2 * (size_t)i), c.count[i]);
    memcpy(at(out, HEADER), q->wire, q->wire_len); /* the case of letters as it was asked */
    dns_answer_end(out, q, 0);
}
