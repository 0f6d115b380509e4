/* The name server with real sockets: names known here, messages, connections. */
#include "network/dns.h"

#include <sys/resource.h>

#include "network/dns-priv.h"
#include "network/test_dns_fixture.h"

/* ---- names known here ---- */

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
    CHECK(sent > 100 && sent < 1000000);
    WANT(&b, "many", ns_t_aaaa, "");
    CHECK(fcntl(tcp, F_SETFL, 0) == 0);
    for (int i = 0; i < sent && i < 2000; i++) /* more than is on the way: it goes on */
        CHECK_INT(get_tcp(tcp).records, 300);
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* Out of descriptors, a connection waits and nobody spins; it is served when there are some again.
 */
TEST(no_descriptors_is_no_end)
{
    struct dns *d = start();
    struct dns_zone *z = zone(d, "net", "web", "10.1.0.2");
    struct dns_view view = seeing(&z, 1);
    struct box b = box_new(d, &view);
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, b.tcp_port);
    struct query q = {.name = "web", .type = ns_t_a};
    struct rlimit few = {0}, before;

    send_query_tcp(tcp, q);
    CHECK_STR(get_tcp(tcp).text, "10.1.0.2");
    auto_close int more = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage a;
    socklen_t n = fill(&a, DNS_ADDRESS, b.tcp_port);
    CHECK(more >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    few.rlim_max = before.rlim_max; /* no new descriptors at all */
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(connect(more, (struct sockaddr *)&a, n) == 0);
    send_query_tcp(more, q);
    for (int i = 0; i < 300; i++) { /* it has seen the connection long before the last of these */
        WANT(&b, "web", ns_t_a, "10.1.0.2");
        send_query_tcp(tcp, q);
        CHECK_STR(get_tcp(tcp).text, "10.1.0.2");
    }
    CHECK(recv(more, &(char){0}, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_STR(get_tcp(more).text, "10.1.0.2");
    box_free(&b);
    dns_zone_free(z);
    dns_free(d);
}

/* ---- the cache ---- */

TEST(the_cache_is_bounded)
{
    static uint8_t big[60000];
    struct dns_cache *c = dns_cache_new();
    struct dns_cached hit;
    char key[32];

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "n%d", i);
        dns_cache_put(c, key, big, 100, 60);
        CHECK(dns_cache_get(c, "n0", &hit)); /* asked for all the time */
    }
    CHECK(dns_cache_get(c, "n4999", &hit) && hit.n == 100);
    CHECK(!dns_cache_get(c, "n1", &hit));
    CHECK(dns_cache_get(c, "n905", &hit) && !dns_cache_get(c, "n904", &hit)); /* 4096 of them */
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "big%d", i);
        dns_cache_put(c, key, big, sizeof(big), 60);
    }
    CHECK(!dns_cache_get(c, "n4999", &hit) && !dns_cache_get(c, "big20", &hit)); /* 4 MB */
    CHECK(dns_cache_get(c, "big40", &hit) && dns_cache_get(c, "big99", &hit));
    dns_cache_put(c, "big99", big, 7, 60);
    CHECK(dns_cache_get(c, "big99", &hit) && hit.n == 7);
    dns_cache_free(c);
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
