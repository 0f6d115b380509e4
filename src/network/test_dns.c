/*
 * The name server with real sockets, in a network namespace of our own, where the servers behind
 * are threads of this test at port 53 of loopback addresses.
 */
#include "network/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
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
#include "base/test.h"
#include "base/time.h"

#define PATIENCE_MS 20000

/* ---- sockets ---- */

static struct ip ip(const char *text)
{
    struct ip i;

    CHECK_INT(ip_parse(text, &i), 0);
    return i;
}

static socklen_t fill(struct sockaddr_storage *a, const char *text, uint16_t port)
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

static int bound(int type, const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, port);
    int one = 1, fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    CHECK(bind(fd, (struct sockaddr *)&a, n) == 0);
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 128) == 0);
    return fd;
}

static int connected(int type, const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, port);
    struct timeval t = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&a, n) == 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a;
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

static void own_netns(void)
{
    struct err e = {0};

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        SKIP("cannot make a network namespace");
    (void)signal(SIGPIPE, SIG_IGN); /* connections end in many ways here */
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
}

static struct dns *start(void)
{
    struct err e = {0};
    struct dns *d;

    own_netns();
    CHECK_OK(dns_new(&d, &e));
    return d;
}

static struct box box_new(struct dns *d, const struct dns_view *view)
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

static void box_free(struct box *b)
{
    dns_client_free(b->client);
    close_fd(&b->udp);
}

static struct dns_view seeing(struct dns_zone *const *zones, size_t n)
{
    return (struct dns_view){.zones = zones, .nzones = n};
}

static struct dns_view asking(const char *const *servers, size_t n)
{
    struct dns_view v = {.nupstream = n};

    for (size_t i = 0; i < n; i++)
        v.upstream[i] = ip(servers[i]);
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

static void put16(struct msg *m, unsigned v)
{
    m->b[m->n++] = (uint8_t)(v >> 8);
    m->b[m->n++] = (uint8_t)v;
}

static void put_name(struct msg *m, const char *name)
{
    int n = ns_name_pton(name, m->b + m->n, NS_MAXCDNAME);

    CHECK(n >= 0);
    while (m->b[m->n])
        m->n += m->b[m->n] + 1U;
    m->n++;
}

static void put_opt(struct msg *m, unsigned size, bool dnssec)
{
    m->b[m->n++] = 0;
    put16(m, ns_t_opt);
    put16(m, size);
    put16(m, 0);
    put16(m, dnssec ? 0x8000 : 0);
    put16(m, 0);
    m->b[11]++;
}

static void make(struct msg *m, struct query q)
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

static void send_query(int fd, struct query q)
{
    static struct msg m;

    make(&m, q);
    CHECK_INT(send(fd, m.b, m.n, 0), m.n);
}

static void send_query_tcp(int fd, struct query q)
{
    static struct msg m;

    make(&m, q);
    uint8_t len[2] = {(uint8_t)(m.n >> 8), (uint8_t)m.n};
    CHECK_INT(write_full(fd, len, 2), 0);
    CHECK_INT(write_full(fd, m.b, m.n), 0);
}

static void receive(int fd, struct msg *m)
{
    ssize_t n = recv(fd, m->b, sizeof(m->b), 0);

    CHECK(n >= 12);
    m->n = (size_t)n;
}

static void receive_tcp(int fd, struct msg *m)
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

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *record_text(const ns_msg *m, const ns_rr *rr)
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

static void parse(const struct msg *p, struct answer *a)
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

static struct answer get(int fd)
{
    static struct msg m;
    static struct answer a;

    receive(fd, &m);
    parse(&m, &a);
    return a;
}

static struct answer get_tcp(int fd)
{
    static struct msg m;
    static struct answer a;

    receive_tcp(fd, &m);
    parse(&m, &a);
    return a;
}

static struct answer ask_q(const struct box *b, struct query q)
{
    static uint16_t id;

    q.id = ++id;
    send_query(b->udp, q);
    struct answer a = get(b->udp);
    CHECK_INT(a.id, q.id);
    CHECK_STR(a.qname, q.name); /* letter by letter */
    return a;
}

static struct answer ask(const struct box *b, const char *name, int type)
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

/* ---- names known here ---- */

static struct dns_zone *zone(struct dns *d, const char *domain, const char *name, const char *addr)
{
    struct dns_zone *z = dns_zone_new(d, domain);
    struct ip i = ip(addr);

    dns_zone_add(z, name, &i, true);
    return z;
}

TEST(names_with_and_without_domain)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "front_Net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct ip v6 = ip("fd00::2"), other = ip("10.1.0.3");

    WANT(&b, "web", ns_t_a, "10.1.0.2");
    WANT(&b, "web.front_net", ns_t_a, "10.1.0.2");
    WANT(&b, "WeB.FRONT_net", ns_t_a, "10.1.0.2");
    WANT(&b, "web", ns_t_aaaa, "");
    WANT(&b, "web", ns_t_mx, "");
    WANT(&b, "web", ns_t_txt, "");
    CHECK_INT(ask(&b, "web", ns_t_a).first_ttl, 600);
    WANT_RCODE(&b, "nope", ns_t_a, ns_r_nxdomain);
    WANT_RCODE(&b, "web.other", ns_t_a, ns_r_nxdomain);
    WANT_RCODE(&b, "front_net", ns_t_a, ns_r_nxdomain);
    WANT_RCODE(&b, ".", ns_t_ns, ns_r_nxdomain);
    dns_zone_add(z, "web", &v6, true);
    dns_zone_add(z, "Deep.Name", &other, false);
    WANT(&b, "web", ns_t_aaaa, "fd00::2");
    WANT(&b, "deep.name", ns_t_a, "10.1.0.3");
    WANT(&b, "deep.name.front_net", ns_t_a, "10.1.0.3");
    WANT(&b, "web", ns_t_any, "");
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(adds_are_counted)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct ip i = ip("10.1.0.2"), j = ip("10.1.0.3");

    dns_zone_add(z, "WEB", &i, false);
    dns_zone_add(z, "web", &j, false);
    dns_zone_remove(z, "web", &i);
    WANT(&b, "web", ns_t_a, "10.1.0.2 10.1.0.3");
    dns_zone_remove(z, "Web", &i);
    WANT(&b, "web", ns_t_a, "10.1.0.3");
    dns_zone_remove(z, "web", &i);
    dns_zone_remove(z, "unknown", &i);
    dns_zone_remove(z, "web", &j);
    WANT_RCODE(&b, "web", ns_t_a, ns_r_nxdomain);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(names_that_dns_cannot_carry_are_ignored)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "ok", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct ip i = ip("10.1.0.2");
    char label[65], name[260];

    memset(label, 'a', 64);
    label[64] = '\0';
    for (size_t k = 0; k < sizeof(name) - 1; k++)
        name[k] = k % 2 ? '.' : 'a';
    name[sizeof(name) - 1] = '\0';
    dns_zone_add(z, "", &i, false);
    dns_zone_add(z, "a..b", &i, false);
    dns_zone_add(z, label, &i, false);
    dns_zone_add(z, name, &i, false);
    dns_zone_remove(z, label, &i);
    label[63] = '\0';
    dns_zone_add(z, label, &i, false);
    WANT(&b, label, ns_t_a, "10.1.0.2");
    WANT_RCODE(&b, ".", ns_t_a, ns_r_nxdomain);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(addresses_have_names)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "Net", "Web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct ip v6 = ip("fd00::a2"), i = ip("10.1.0.2");
    static const char six[] =
        "2.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";

    WANT(&b, "2.0.1.10.in-addr.arpa", ns_t_ptr, "Web.Net");
    WANT(&b, "2.0.1.10.IN-ADDR.arpa", ns_t_ptr, "Web.Net");
    WANT(&b, "2.0.1.10.in-addr.arpa", ns_t_a, "");
    WANT_RCODE(&b, "3.0.1.10.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    WANT_RCODE(&b, "02.0.1.10.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    WANT_RCODE(&b, "2.0.1.266.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    WANT_RCODE(&b, "0.1.10.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    WANT_RCODE(&b, six, ns_t_ptr, ns_r_nxdomain);
    dns_zone_add(z, "six", &v6, true);
    WANT(&b, six, ns_t_ptr, "six.Net");
    dns_zone_add(z, "later", &i, true);
    WANT(&b, "2.0.1.10.in-addr.arpa", ns_t_ptr, "later.Net");
    dns_zone_remove(z, "web", &i); /* not its name any more */
    WANT(&b, "2.0.1.10.in-addr.arpa", ns_t_ptr, "later.Net");
    dns_zone_remove(z, "later", &i);
    WANT_RCODE(&b, "2.0.1.10.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(aliases_are_one_clients_own)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "db", "10.1.0.2");
    struct dns_alias alias[] = {{"Store", "DB"}, {"taken", "db"}};
    struct dns_view with = seeing(&z, 1), without = seeing(&z, 1);
    struct ip i = ip("10.1.0.9");

    with.aliases = alias;
    with.naliases = 2;
    dns_zone_add(z, "taken", &i, false);
    struct box a = box_new(d, &with), b = box_new(d, &without);
    WANT(&a, "store", ns_t_a, "10.1.0.2");
    WANT(&a, "store.net", ns_t_a, "10.1.0.2");
    WANT(&a, "db", ns_t_a, "10.1.0.2");
    WANT(&a, "taken", ns_t_a, "10.1.0.2");
    WANT_RCODE(&b, "store", ns_t_a, ns_r_nxdomain);
    WANT(&b, "taken", ns_t_a, "10.1.0.9");
    box_free(&a);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(clients_see_their_zones_only)
{
    struct dns *d = start();
    struct dns_zone *one = zone(d, "net", "web", "10.1.0.2");
    struct dns_zone *two = zone(d, "net", "web", "10.2.0.2"), *both[] = {two, one};
    struct dns_view v1 = seeing(&one, 1), v2 = seeing(&two, 1), v3 = seeing(both, 2);
    struct box a = box_new(d, &v1), b = box_new(d, &v2), c = box_new(d, &v3);
    struct ip v6 = ip("fd00::1");

    WANT(&a, "web", ns_t_a, "10.1.0.2");
    WANT(&b, "web.net", ns_t_a, "10.2.0.2");
    WANT(&c, "web", ns_t_a, "10.2.0.2");
    WANT_RCODE(&a, "2.0.2.10.in-addr.arpa", ns_t_ptr, ns_r_nxdomain);
    dns_zone_add(one, "web", &v6, false);
    WANT(&c, "web", ns_t_aaaa, "fd00::1"); /* the first that has the family */
    dns_client_set(a.client, &v2);
    WANT(&a, "web", ns_t_a, "10.2.0.2");
    dns_zone_free(two); /* while two clients see it */
    WANT_RCODE(&a, "web", ns_t_a, ns_r_nxdomain);
    WANT(&c, "web", ns_t_a, "10.1.0.2");
    box_free(&a);
    box_free(&b);
    box_free(&c);
    dns_zone_free(one);
    dns_free(d);
}

static int first_of(const struct msg *m)
{
    ns_msg h;
    ns_rr rr;

    CHECK_INT(ns_initparse(m->b, (int)m->n, &h), 0);
    CHECK_INT(ns_parserr(&h, ns_s_an, 0, &rr), 0);
    return ns_rr_rdata(rr)[3];
}

static struct dns_zone *big_zone(struct dns *d, int n)
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

TEST(addresses_come_in_changing_order)
{
    static struct msg m;
    struct dns *d = start();
    struct dns_zone *z = big_zone(d, 4);
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    int first[5] = {0};

    for (int i = 0; i < 200; i++) {
        send_query(b.udp, (struct query){.name = "many", .type = ns_t_a});
        receive(b.udp, &m);
        first[first_of(&m)]++;
    }
    for (int i = 1; i <= 4; i++)
        CHECK(first[i] > 10); /* of 50 expected: less once in 10^14 */
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* ---- messages ---- */

TEST(long_answers_are_cut_at_what_the_client_takes)
{
    struct dns *d = start();
    struct dns_zone *z = big_zone(d, 300);
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);

    struct answer a = ask(&b, "many", ns_t_a);
    CHECK(a.cut && a.opt_size == 0);
    CHECK_INT(a.records, (512 - 12 - 10) / 16);
    a = ask_q(&b, (struct query){.name = "many", .type = ns_t_a, .edns = 1400});
    CHECK(a.cut && a.opt_size == 1232);
    CHECK_INT(a.records, (1400 - 12 - 10 - 11) / 16);
    a = ask_q(&b, (struct query){.name = "many", .type = ns_t_a, .edns = 100});
    CHECK_INT(a.records, (512 - 12 - 10 - 11) / 16); /* less than 512 means 512 */
    a = ask_q(&b, (struct query){.name = "many", .type = ns_t_a, .edns = 65535});
    CHECK_INT(a.records, (4096 - 12 - 10 - 11) / 16);
    send_query_tcp(tcp, (struct query){.name = "many", .type = ns_t_a, .edns = 512});
    a = get_tcp(tcp);
    CHECK(!a.cut && a.records == 300);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* Sends bytes as they are; want_rcode -1: nothing may come back before the next real answer. */
static void check_raw(const struct box *b, const void *p, size_t n, int want_rcode)
{
    CHECK_INT(send(b->udp, p, n, 0), n);
    if (want_rcode >= 0)
        CHECK_INT(get(b->udp).rcode, want_rcode);
    else
        WANT(b, "web", ns_t_a, "10.1.0.2"); /* checks the id */
}

TEST(odd_queries_are_refused)
{
    static struct msg m;
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct query q = {.name = "web", .type = ns_t_a, .id = 7, .edns = 1232};

    check_raw(&b, "short", 5, -1);
    make(&m, q);
    m.b[2] |= 0x80; /* an answer */
    check_raw(&b, m.b, m.n, -1);
    make(&m, q);
    m.b[2] |= 0x28; /* an update */
    check_raw(&b, m.b, m.n, ns_r_notimpl);
    make(&m, q);
    m.b[5] = 2; /* says two questions */
    check_raw(&b, m.b, m.n, ns_r_formerr);
    make(&m, q);
    m.b[5] = 0;
    check_raw(&b, m.b, m.n, ns_r_formerr);
    make(&m, q);
    check_raw(&b, m.b, m.n + 1, ns_r_formerr); /* more than it says */
    check_raw(&b, m.b, m.n - 1, ns_r_formerr);
    m.b[12] = 0xc0; /* a name that points to itself */
    m.b[13] = 12;
    check_raw(&b, m.b, m.n, ns_r_formerr);
    make(&m, q);
    put_opt(&m, 512, false);
    check_raw(&b, m.b, m.n, ns_r_formerr); /* two OPT records */
    make(&m, q);
    m.b[m.n - 5] = 1; /* EDNS version 1 */
    check_raw(&b, m.b, m.n, ns_r_badvers);
    make(&m, q);
    m.b[20] = ns_c_chaos;
    check_raw(&b, m.b, m.n, ns_r_refused);
    WANT_RCODE(&b, "web", ns_t_axfr, ns_r_notimpl);
    WANT_RCODE(&b, "web", ns_t_opt, ns_r_notimpl);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(garbage_does_no_harm)
{
    static struct msg m;
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    struct query q = {.name = "web.net", .type = ns_t_a, .edns = 1232};
    auto_close int fd = connected(SOCK_DGRAM, DNS_ADDRESS, b.udp_port);

    for (int i = 0; i < 5000; i++) {
        uint8_t r[4];
        make(&m, q);
        rand_bytes(r, sizeof(r));
        m.b[2 + r[0] % (m.n - 2)] ^= r[1];
        m.n -= r[2] % 8 == 0 ? r[3] % m.n : 0;
        CHECK(send(fd, m.b, m.n, 0) == (ssize_t)m.n);
        if (i % 100 == 0)
            WANT(&b, "web", ns_t_a, "10.1.0.2");
    }
    WANT(&b, "web", ns_t_a, "10.1.0.2");
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* ---- servers behind ---- */

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

static void put32(struct msg *m, uint32_t v)
{
    put16(m, v >> 16);
    put16(m, v & 0xffff);
}

static size_t question_end(const struct msg *q)
{
    size_t at = 12;

    while (q->b[at])
        at += q->b[at] + 1U;
    return at + 5;
}

static int type_of(const struct msg *q)
{
    size_t end = question_end(q);

    return q->b[end - 4] << 8 | q->b[end - 3];
}

static void begin_reply(struct msg *m, const struct msg *q, unsigned rcode)
{
    m->n = question_end(q);
    memcpy(m->b, q->b, m->n);
    m->b[2] = 0x81;
    m->b[3] = (uint8_t)(0x80 | rcode);
    memset(m->b + 6, 0, 6);
}

static void put_record(struct msg *m, int section, int type, uint32_t ttl, size_t len)
{
    put16(m, 0xc00c);
    put16(m, (unsigned)type);
    put16(m, ns_c_in);
    put32(m, ttl);
    put16(m, (unsigned)len);
    m->b[5 + 2 * section]++;
}

static void put_a(struct msg *m, const struct fake *f, int last)
{
    bool v6 = type_of(m) == ns_t_aaaa;

    put_record(m, 1, v6 ? ns_t_aaaa : ns_t_a, f->ttl, v6 ? 16 : 4);
    memcpy(m->b + m->n, v6 ? "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0" : "\xc0\x00\x02", v6 ? 15 : 3);
    m->n += v6 ? 15 : 3;
    m->b[m->n++] = (uint8_t)last;
}

static void put_soa(struct msg *m, const struct fake *f)
{
    put_record(m, 2, ns_t_soa, f->ttl, 22);
    memset(m->b + m->n, 0, 18);
    m->n += 18;
    put32(m, f->minimum);
}

static void reply_to(const struct fake *f, const struct msg *q, struct msg *m)
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

static void send_to(int fd, const struct msg *m, const struct sockaddr_storage *to, socklen_t n)
{
    CHECK_INT(sendto(fd, m->b, m->n, 0, (const struct sockaddr *)to, n), m->n);
}

/* What somebody tries who wants to be believed: the right port by luck, but not all the rest. */
static void spoof(const struct fake *f, const struct msg *q, const struct sockaddr_storage *to,
                  socklen_t n)
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

static void garble(const struct fake *f, const struct msg *q, const struct sockaddr_storage *to,
                   socklen_t n)
{
    static struct msg m;

    for (size_t i = 0; i < 10; i++) {
        m.n = 1 + i * 50;
        rand_bytes(m.b, m.n);
        memcpy(m.b, q->b, 2);
        send_to(f->udp, &m, to, n);
    }
}

static void note(struct fake *f, const struct msg *q, uint16_t port)
{
    size_t end = question_end(q);
    int flags = (q->b[11] && q->b[end + 7] & 0x80) | (q->b[3] & 0x10) >> 3;

    f->ports += port != f->last_port;
    f->last_port = port;
    __atomic_store_n(&f->flags, flags, __ATOMIC_RELEASE);
    (void)__atomic_add_fetch(&f->asked, 1, __ATOMIC_ACQ_REL);
}

static void by_datagram(struct fake *f)
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

static void by_tcp(struct fake *f)
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

static void *fake_main(void *arg)
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

static void fake_start(struct fake *f)
{
    f->udp = bound(SOCK_DGRAM, f->addr, 53);
    f->tcp = bound(SOCK_STREAM, f->addr, 53);
    CHECK(pipe2(f->control, O_CLOEXEC) == 0);
    CHECK_INT(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

static void fake_tell(struct fake *f, char c)
{
    CHECK_INT(write(f->control[1], &c, 1), 1);
}

static void fake_stop(struct fake *f)
{
    fake_tell(f, 'q');
    CHECK_INT(pthread_join(f->thread, NULL), 0);
    close_fd(&f->udp);
    close_fd(&f->tcp);
    close_fd(&f->control[0]);
    close_fd(&f->control[1]);
}

static int asked(const struct fake *f)
{
    return __atomic_load_n(&f->asked, __ATOMIC_ACQUIRE);
}

/* Until the server has seen @n queries; the answer's way is not ours to watch. */
static void wait_asked(const struct fake *f, int n)
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

TEST(unknown_names_are_asked_upstream)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300};
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = asking(servers, 1);

    view.zones = &z;
    view.nzones = 1;
    fake_start(&f);
    struct box b = box_new(d, &view);
    WANT(&b, "web", ns_t_a, "10.1.0.2");
    WANT(&b, "web", ns_t_aaaa, "");
    WANT(&b, "web", ns_t_txt, "");
    CHECK_INT(asked(&f), 0);
    WANT(&b, "Example.TEST", ns_t_a, "192.0.2.1");
    WANT(&b, "single", ns_t_a, "192.0.2.1");
    WANT(&b, "nope.net", ns_t_aaaa, "fd00::1");
    WANT(&b, "9.0.1.10.in-addr.arpa", ns_t_a, "192.0.2.1");
    CHECK_INT(asked(&f), 4);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
    fake_stop(&f);
    CHECK(f.ports >= 3); /* a port of its own for each; two may be the same by chance */
}

TEST(answers_are_kept_as_long_as_they_say)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 2};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box b = box_new(d, &view);
    WANT(&b, "example.test", ns_t_a, "192.0.2.1");
    struct answer a = ask(&b, "EXAMPLE.test", ns_t_a); /* another case, the same name */
    CHECK_INT(asked(&f), 1);
    CHECK(a.first_ttl <= 2);
    WANT(&b, "example.test", ns_t_aaaa, "fd00::1");
    CHECK_INT(asked(&f), 2);
    int64_t until = mono_ns() + PATIENCE_MS * NS_PER_MS;
    int seen = 3; /* TTLs that were lowered on the way to the end */
    while (asked(&f) < 3) {
        CHECK(mono_ns() < until);
        int ttl = ask(&b, "example.test", ns_t_a).first_ttl;
        CHECK(asked(&f) >= 3 || ttl <= seen);
        seen = asked(&f) >= 3 ? seen : ttl;
        (void)poll(NULL, 0, 10);
    }
    CHECK(seen < 2);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(ttl_zero_is_not_kept)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 0};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box b = box_new(d, &view);
    WANT(&b, "example.test", ns_t_a, "192.0.2.1");
    WANT(&b, "example.test", ns_t_a, "192.0.2.1");
    CHECK_INT(asked(&f), 2);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

static void check_negative(enum way way, uint32_t ttl, uint32_t minimum, int want_rcode,
                           int want_asked)
{
    struct fake f = {.addr = ONE, .way = way, .ttl = ttl, .minimum = minimum};
    struct err e = {0};
    struct dns *d;
    struct dns_view view = asking(servers, 1);

    CHECK_OK(dns_new(&d, &e));
    fake_start(&f);
    struct box b = box_new(d, &view);
    WANT_RCODE(&b, "nope.test", ns_t_a, want_rcode);
    WANT_RCODE(&b, "nope.test", ns_t_a, want_rcode);
    CHECK_INT(asked(&f), want_asked);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(what_is_not_there_is_remembered_too)
{
    own_netns();
    check_negative(NO_NAME, 300, 60, ns_r_nxdomain, 1);
    check_negative(NO_DATA, 300, 60, ns_r_noerror, 1);
    check_negative(NO_NAME, 300, 0, ns_r_nxdomain, 2); /* for no time */
    check_negative(EMPTY, 300, 60, ns_r_noerror, 2);   /* nobody says for how long */
}

TEST(the_dnssec_bit_is_another_question)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);
    struct query q = {.name = "example.test", .type = ns_t_a, .edns = 1232};

    fake_start(&f);
    struct box b = box_new(d, &view);
    (void)ask_q(&b, q);
    CHECK_INT(__atomic_load_n(&f.flags, __ATOMIC_ACQUIRE), 0);
    q.dnssec = true;
    struct answer a = ask_q(&b, q);
    CHECK_INT(a.opt_size, 1232); /* ours, not the server's */
    CHECK_INT(asked(&f), 2);
    CHECK_INT(__atomic_load_n(&f.flags, __ATOMIC_ACQUIRE), 1);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(clients_of_other_servers_do_not_share)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300},
                g = {.addr = TWO, .number = 2, .ttl = 300};
    const char *const swapped[] = {TWO, ONE};
    struct dns *d = start();
    struct dns_view v1 = asking(servers, 1), v2 = asking(servers + 1, 1);
    struct dns_view v3 = asking(servers, 2), v4 = asking(swapped, 2);

    fake_start(&f);
    fake_start(&g);
    struct box a = box_new(d, &v1), b = box_new(d, &v2), c = box_new(d, &v3), e = box_new(d, &v4);
    WANT(&a, "example.test", ns_t_a, "192.0.2.1");
    WANT(&b, "example.test", ns_t_a, "192.0.2.2");
    CHECK_INT(ask(&c, "other.test", ns_t_a).records, 1);
    wait_asked(&f, 2);
    wait_asked(&g, 2);
    CHECK_INT(ask(&e, "other.test", ns_t_a).records, 1); /* the same two: from the cache */
    CHECK_INT(asked(&f) + asked(&g), 4);
    box_free(&a);
    box_free(&b);
    box_free(&c);
    box_free(&e);
    dns_free(d);
    fake_stop(&f);
    fake_stop(&g);
}

static void check_two(enum way first, int want_rcode, const char *want)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300, .way = first};
    struct fake g = {.addr = TWO, .number = 2, .ttl = 300};
    struct dns_view view = asking(servers, 2);
    struct err e = {0};
    struct dns *d;

    CHECK_OK(dns_new(&d, &e));
    fake_start(&f);
    fake_start(&g);
    struct box b = box_new(d, &view);
    int64_t begin = mono_ns();
    struct answer a = ask(&b, "example.test", ns_t_a);
    CHECK_INT(a.rcode, want_rcode);
    CHECK_STR(a.text, want);
    CHECK(mono_ns() - begin < 2 * NS_PER_S);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
    fake_stop(&g);
}

TEST(the_first_usable_answer_counts)
{
    own_netns();
    check_two(SILENT, ns_r_noerror, "192.0.2.2");
    check_two(FAILS, ns_r_noerror, "192.0.2.2");
    check_two(REFUSES, ns_r_noerror, "192.0.2.2");
    check_two(FORGOTTEN_HALF, ns_r_noerror, "192.0.2.2");
}

static void check_one(enum way way, const char *want)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300, .way = way};
    struct dns_view view = asking(servers, 1);
    struct err e = {0};
    struct dns *d;

    CHECK_OK(dns_new(&d, &e));
    fake_start(&f);
    struct box b = box_new(d, &view);
    if (want)
        WANT(&b, "example.test", ns_t_a, want);
    else
        WANT_RCODE(&b, "example.test", ns_t_a, ns_r_servfail);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
    CHECK_INT(f.asked_tcp, way == CUT || way == FORGOTTEN_HALF);
}

TEST(servers_that_are_not_quite_right)
{
    own_netns();
    check_one(CUT, "192.0.2.1");
    check_one(PLAIN, "192.0.2.1");
    check_one(SPOOFED, "192.0.2.1");
    check_one(GARBAGE, "192.0.2.1");
    check_one(FAILS, NULL);
    check_one(REFUSES, NULL);
    check_one(FORGOTTEN_HALF, NULL);
}

TEST(nobody_there_fails_at_once)
{
    struct dns *d = start();
    const char *const nowhere[] = {ONE, "192.0.2.9", "2001:db8::9"};
    struct dns_view view = asking(nowhere, 3);
    struct box b = box_new(d, &view);
    int64_t begin = mono_ns();

    WANT_RCODE(&b, "example.test", ns_t_a, ns_r_servfail);
    CHECK(mono_ns() - begin < 2 * NS_PER_S);
    box_free(&b);
    dns_free(d);
}

TEST(a_silent_server_is_asked_twice)
{
    struct fake f = {.addr = ONE, .way = SILENT};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box b = box_new(d, &view);
    int64_t begin = mono_ns();
    WANT_RCODE(&b, "example.test", ns_t_a, ns_r_servfail);
    CHECK(mono_ns() - begin >= 4 * NS_PER_S - 50 * NS_PER_MS);
    CHECK_INT(asked(&f), 2);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(servers_by_ipv6)
{
    struct fake f = {.addr = "::1", .number = 6, .ttl = 300, .way = CUT};
    struct dns *d = start();
    struct dns_view view = asking(servers + 2, 1);

    fake_start(&f);
    struct box b = box_new(d, &view);
    WANT(&b, "example.test", ns_t_a, "192.0.2.6");
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(long_answers_from_upstream_are_cut)
{
    struct fake f = {.addr = ONE, .ttl = 300, .way = LONG};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box b = box_new(d, &view);
    struct answer a = ask(&b, "example.test", ns_t_a);
    CHECK(a.cut && a.records == (512 - 12 - 18) / 16);
    a = ask_q(&b, (struct query){.name = "example.test", .type = ns_t_a, .edns = 1000});
    CHECK(a.cut && a.records == (1000 - 12 - 18 - 11) / 16 && a.opt_size == 1232);
    a = ask_q(&b, (struct query){.name = "example.test", .type = ns_t_a, .edns = 4096});
    CHECK(!a.cut && a.records == 100);
    CHECK_INT(asked(&f), 1);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

static void check_answer(struct answer a, int id, const char *name)
{
    CHECK_INT(a.id, id);
    CHECK_STR(a.qname, name);
    CHECK_STR(a.text, "192.0.2.1");
}

/* Datagrams that this namespace sent, as the kernel counts them. */
static long packets_sent(void)
{
    auto_buf struct buf b = BUF_INIT;
    struct err e = {0};
    long v[4];

    CHECK_OK(read_file_at(AT_FDCWD, "/proc/thread-self/net/snmp", 65536, &b, &e));
    const char *udp = strstr(buf_str(&b), "\nUdp: ");
    udp = udp ? strstr(udp + 1, "\nUdp: ") : NULL;
    CHECK(udp && sscanf(udp, " Udp: %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3]) == 4);
    return v[3];
}

TEST(the_same_question_is_asked_once)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300, .way = HOLD};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box a = box_new(d, &view), b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
    send_query(a.udp, (struct query){.name = "example.test", .type = ns_t_a, .id = 1});
    wait_asked(&f, 1);
    send_query(b.udp, (struct query){.name = "eXample.test", .type = ns_t_a, .id = 2});
    send_query_tcp(tcp, (struct query){.name = "example.tesT", .type = ns_t_a, .id = 3});
    send_query(b.udp, (struct query){.name = "last", .type = ns_t_a, .id = 4});
    CHECK_INT(get(b.udp).id, 4); /* so what was sent before has been read */
    send_query_tcp(tcp, (struct query){.name = "last", .type = ns_t_a, .id = 5});
    CHECK_INT(get_tcp(tcp).id, 5);
    fake_tell(&f, 'r');
    check_answer(get(a.udp), 1, "example.test");
    check_answer(get(b.udp), 2, "eXample.test");
    check_answer(get_tcp(tcp), 3, "example.tesT");
    CHECK_INT(asked(&f), 2);
    box_free(&a);
    box_free(&b);
    dns_free(d);
    fake_stop(&f);
}

TEST(a_client_may_go_while_its_query_is_under_way)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 300, .way = HOLD};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box a = box_new(d, &view), b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, a.tcp_port);
    send_query(a.udp, (struct query){.name = "example.test", .type = ns_t_a, .id = 1});
    wait_asked(&f, 1);
    send_query_tcp(tcp, (struct query){.name = "example.test", .type = ns_t_a, .id = 2});
    send_query_tcp(tcp, (struct query){.name = "last", .type = ns_t_a, .id = 3});
    CHECK_INT(get_tcp(tcp).id, 3);
    box_free(&a);
    CHECK_INT(read(tcp, &(char){0}, 1), 0); /* closed */
    fake_tell(&f, 'r');
    WANT(&b, "example.test", ns_t_a, "192.0.2.1"); /* asked anew: the other was dropped */
    CHECK_INT(asked(&f), 3);
    send_query(b.udp, (struct query){.name = "again.test", .type = ns_t_a, .id = 1});
    box_free(&b);
    dns_free(d); /* with whatever is under way */
    fake_stop(&f);
}

TEST(without_servers_no_packet_leaves)
{
    struct dns *d = start();
    struct dns_view none = {0};
    struct box b = box_new(d, &none);

    WANT_RCODE(&b, "example.test", ns_t_a, ns_r_nxdomain);
    long before = packets_sent();
    for (int i = 0; i < 10; i++)
        WANT_RCODE(&b, "example.test", ns_t_a, ns_r_nxdomain);
    CHECK_INT(packets_sent() - before, 20); /* the queries and the answers */
    box_free(&b);
    dns_free(d);
}

TEST(too_many_queries_fail_at_once)
{
    static struct fake f = {.addr = ONE, .way = SILENT};
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box b = box_new(d, &view), other = box_new(d, &view);
    for (int i = 0; i < 256; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "n%d.test", i);
        send_query(b.udp, (struct query){.name = name, .type = ns_t_a, .id = (uint16_t)i});
        wait_asked(&f, i + 1);
    }
    int64_t begin = mono_ns();
    send_query(b.udp, (struct query){.name = "more.test", .type = ns_t_a, .id = 999});
    struct answer a = get(b.udp);
    CHECK(a.id == 999 && a.rcode == ns_r_servfail);
    CHECK(mono_ns() - begin < NS_PER_S);
    send_query(other.udp, (struct query){.name = "more.test", .type = ns_t_a});
    wait_asked(&f, 257); /* others are served */
    box_free(&b);
    box_free(&other);
    dns_free(d);
    fake_stop(&f);
}

/* ---- connections ---- */

TEST(many_queries_on_one_connection)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
    struct query q = {.name = "web", .type = ns_t_a};

    for (q.id = 1; q.id <= 500; q.id++)
        send_query_tcp(tcp, q);
    for (int i = 1; i <= 500; i++) {
        struct answer a = get_tcp(tcp);
        CHECK_INT(a.id, i);
        CHECK_STR(a.text, "10.1.0.2");
    }
    send_query_tcp(tcp, q);
    CHECK(shutdown(tcp, SHUT_WR) == 0); /* no more queries, but the answer is wanted */
    CHECK_STR(get_tcp(tcp).text, "10.1.0.2");
    CHECK_INT(read(tcp, &(char){0}, 1), 0);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(queries_in_pieces)
{
    static struct msg m;
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);

    make(&m, (struct query){.name = "web", .type = ns_t_a});
    CHECK_INT(write_full(tcp, (uint8_t[]){0, (uint8_t)m.n}, 2), 0);
    for (size_t i = 0; i < m.n; i++)
        CHECK_INT(write_full(tcp, m.b + i, 1), 0);
    CHECK_STR(get_tcp(tcp).text, "10.1.0.2");
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

static void want_closed(const struct box *b, const void *p, size_t n)
{
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b->tcp_port);
    char c;

    CHECK_INT(write_full(tcp, p, n), 0);
    CHECK(recv(tcp, &c, 1, 0) == 0 || errno == ECONNRESET);
}

TEST(bad_lengths_end_a_connection)
{
    struct dns *d = start();
    struct dns_view none = {0};
    struct box b = box_new(d, &none);

    want_closed(&b, "\0\0", 2);
    want_closed(&b, "\0\013", 2);
    want_closed(&b, "\020\001", 2);
    want_closed(&b, "GET / HTTP/1.1\r\n\r\n", 18);
    box_free(&b);
    dns_free(d);
}

TEST(connections_are_limited)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    int fd[64];
    struct query q = {.name = "web", .type = ns_t_a};

    for (int i = 0; i < 64; i++) {
        fd[i] = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
        send_query_tcp(fd[i], q);
        CHECK_STR(get_tcp(fd[i]).text, "10.1.0.2");
    }
    want_closed(&b, "", 0);
    WANT(&b, "web", ns_t_a, "10.1.0.2");
    for (int i = 0; i < 64; i++)
        close_fd(&fd[i]);
    /* The server sees that they are closed in its own time. */
    for (bool served = false; !served;) {
        auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
        char c;
        send_query_tcp(tcp, q);
        served = recv(tcp, &c, 1, 0) == 1;
    }
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

TEST(idle_connections_are_closed)
{
    struct dns *d = start();
    struct dns_view none = {0};
    struct box b = box_new(d, &none);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);

    CHECK_INT(write_full(tcp, "\0", 1), 0);
    int64_t begin = mono_ns();
    CHECK_INT(read(tcp, &(char){0}, 1), 0);
    CHECK(mono_ns() - begin >= 9 * NS_PER_S);
    box_free(&b);
    dns_free(d);
}

/* Asks without end and reads nothing: in the end it is the one that waits. */
TEST(a_client_that_does_not_read_is_not_read_from)
{
    static struct msg m;
    struct dns *d = start();
    struct dns_zone *z = big_zone(d, 300);
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
    uint8_t frame[64];
    int sent = 0;

    make(&m, (struct query){.name = "many", .type = ns_t_a});
    frame[0] = 0;
    frame[1] = (uint8_t)m.n;
    memcpy(frame + 2, m.b, m.n);
    CHECK(fcntl(tcp, F_SETFL, O_NONBLOCK) == 0);
    for (struct pollfd p = {.fd = tcp, .events = POLLOUT}; poll(&p, 1, 1000) == 1; sent++) {
        ssize_t n = write(tcp, frame, m.n + 2);
        if (n != (ssize_t)m.n + 2)
            break; /* full */
    }
    CHECK(sent < 1000000);
    WANT(&b, "many", ns_t_aaaa, "");
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* ---- many threads ---- */

struct change {
    struct dns *d;
    struct dns_client *client;
    bool stop;
};

static void *change_zones(void *arg)
{
    struct change *c = arg;
    struct ip i = ip("10.1.0.2");

    while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
        struct dns_zone *z = dns_zone_new(c->d, "net");
        struct dns_view view = seeing(&z, 1);
        struct err e = {0};
        struct dns_client *other;
        dns_client_set(c->client, &view);
        dns_zone_add(z, "web", &i, true);
        CHECK_OK(dns_client_new(c->d, bound(SOCK_DGRAM, DNS_ADDRESS, 0), -1, &view, &other, &e));
        dns_zone_remove(z, "web", &i);
        dns_client_free(other);
        dns_zone_free(z);
    }
    return NULL;
}

TEST(changes_while_queries_come)
{
    struct dns *d = start();
    struct dns_view none = {0};
    struct box b = box_new(d, &none);
    struct change c = {.d = d, .client = b.client};
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, change_zones, &c), 0);
    for (int i = 0; i < 3000; i++) {
        struct answer a = ask(&b, i % 2 ? "web.net" : "2.0.1.10.in-addr.arpa", ns_t_a);
        CHECK(a.rcode == ns_r_noerror || a.rcode == ns_r_nxdomain);
    }
    __atomic_store_n(&c.stop, true, __ATOMIC_RELEASE);
    CHECK_INT(pthread_join(thread, NULL), 0);
    box_free(&b);
    dns_free(d);
}

TEST(a_bad_socket_is_an_error)
{
    struct dns *d = start();
    struct dns_view none = {0};
    struct dns_client *c = NULL;
    struct err e = {0};
    int udp = bound(SOCK_DGRAM, DNS_ADDRESS, 0);

    int file = open("/dev/null", O_RDONLY | O_CLOEXEC); /* epoll takes no files of that kind */
    CHECK(dns_client_new(d, udp, file, &none, &c, &e) < 0);
    CHECK(e.msg[0] && !c);
    dns_free(d);
    CHECK(fcntl(udp, F_GETFD) < 0 && fcntl(file, F_GETFD) < 0); /* both were the server's */
}
