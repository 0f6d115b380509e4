/* The name server and the servers behind it, which are threads of this test. */
#include "network/dns.h"

#include "network/test_dns_fake.h"

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

/* Sends queries and goes, at once or after some answers. */
static void come_and_go(uint16_t port, int i)
{
    auto_close int tcp = connected(SOCK_STREAM, DNS_ADDRESS, port);
    char name[32];

    for (int k = 0; k < 6; k++) {
        (void)snprintf(name, sizeof(name), "n%d.test", (i + k) % 7); /* many ask the same */
        send_query_tcp(tcp, (struct query){.name = name, .type = ns_t_a, .id = (uint16_t)k});
    }
    for (int k = 0; k < i % 4; k++)
        CHECK_STR(get_tcp(tcp).text, "192.0.2.1");
    if (i % 5 == 0) { /* a reset: what is unread is thrown away */
        struct linger now = {.l_onoff = 1};
        CHECK(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
    }
}

TEST(connections_come_and_go_while_queries_are_under_way)
{
    struct fake f = {.addr = ONE, .number = 1, .ttl = 0, .way = CUT}; /* two steps, never kept */
    struct dns *d = start();
    struct dns_view view = asking(servers, 1);

    fake_start(&f);
    struct box stays = box_new(d, &view);
    for (int round = 0; round < 20; round++) {
        struct box b = box_new(d, &view);
        for (int i = 0; i < 20; i++) {
            come_and_go(b.tcp_port, i);
            come_and_go(stays.tcp_port, i);
        }
        box_free(&b);
    }
    WANT(&stays, "example.test", ns_t_a, "192.0.2.1");
    box_free(&stays);
    dns_free(d);
    fake_stop(&f);
}
