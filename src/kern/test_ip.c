/* Arithmetic over addresses, where a prefix or the space itself ends. */
#include "kern/ip.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/test.h"

static struct ip ip(const char *text)
{
    struct ip i;

    if (ip_parse(text, &i) < 0)
        TEST_FAIL("%s is no address", text);
    return i;
}

#define CHECK_CIDR(got, want)                                                                      \
    do {                                                                                           \
        struct ip i_ = (got);                                                                      \
        char text_[IP_TEXT];                                                                       \
        CHECK_STR(ip_format_cidr(&i_, text_), (want));                                             \
    } while (0)

TEST(what_is_parsed_is_formatted_again)
{
    static const char *const same[] = {"0.0.0.0/0",   "10.0.0.1/24",      "255.255.255.255/32",
                                       "::/0",        "fd00::1/64",       "::ffff:1.2.3.4/128",
                                       "127.0.0.1/8", "fe80::1:2:3:4/127"};
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        CHECK_CIDR(ip(same[i]), same[i]);
    CHECK_CIDR(ip("10.0.0.1"), "10.0.0.1/32");
    CHECK_CIDR(ip("FD00:0:0::1"), "fd00::1/128");
    struct ip none = {0}, v4 = ip("1.2.3.4/8");
    CHECK_STR(ip_format(&none, text), "");
    CHECK_STR(ip_format(&v4, text), "1.2.3.4");
}

TEST(what_is_no_address_is_refused_and_nothing_written)
{
    static const char *const bad[] = {
        "",
        "/",
        "/24",
        "1.2.3",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/x",
        "1.2.3.4/-1",
        "1.2.3.4/ 1",
        "::1/129",
        "1.2.3.4.5",
        "01.2.3.256",
        "::1::",
        "fe80::1%lo",
        "1.2.3.4/24/8",
        " 1.2.3.4",
        "1.2.3.4/+8",
        "localhost",
        "1.2.3.4/18446744073709551617",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ip at = {.family = 77};
        if (ip_parse(bad[i], &at) != -EINVAL)
            TEST_FAIL("\"%s\" was taken for an address", bad[i]);
        CHECK_INT(at.family, 77);
    }
}

TEST(networks_at_every_kind_of_prefix)
{
    struct ip a = ip("10.11.12.13/20"), b = ip("10.11.12.13/0"), c = ip("10.11.12.13/32");
    struct ip d = ip("fd00::ffff:1/112"), e = ip("ffff::1/0"), f = ip("ffff::1/128");

    CHECK_CIDR(ip_network(&a), "10.11.0.0/20");
    CHECK_CIDR(ip_network(&b), "0.0.0.0/0");
    CHECK_CIDR(ip_network(&c), "10.11.12.13/32");
    CHECK_CIDR(ip_network(&d), "fd00::ffff:0/112");
    CHECK_CIDR(ip_network(&e), "::/0");
    CHECK_CIDR(ip_network(&f), "ffff::1/128");
}

static bool contains(const char *net, const char *addr)
{
    struct ip n = net ? ip(net) : (struct ip){0}, a = addr ? ip(addr) : (struct ip){0};

    return ip_contains(&n, &a);
}

TEST(containment)
{
    CHECK(contains("10.0.0.0/8", "10.255.255.255"));
    CHECK(!contains("10.0.0.0/8", "11.0.0.0"));
    CHECK(contains("10.1.2.3/8", "10.9.9.9")); /* bits behind the prefix mean nothing */
    CHECK(contains("0.0.0.0/0", "255.255.255.255"));
    CHECK(contains("1.2.3.4/32", "1.2.3.4") && !contains("1.2.3.4/32", "1.2.3.5"));
    CHECK(contains("::/0", "ffff::1") && !contains("::1/128", "::2"));
    CHECK(contains("fd00::/64", "fd00::ffff:ffff:ffff:ffff") &&
          !contains("fd00::/64", "fd00:0:0:1::"));
    CHECK(!contains("0.0.0.0/0", "::1") && !contains("::/0", "1.2.3.4"));
    CHECK(!contains(NULL, "1.2.3.4") && !contains("0.0.0.0/0", NULL) && !contains(NULL, NULL));
}

static bool overlap(const char *a, const char *b)
{
    struct ip x = ip(a), y = ip(b);

    CHECK_INT(ip_overlap(&x, &y), ip_overlap(&y, &x));
    return ip_overlap(&x, &y);
}

TEST(overlap_is_the_same_from_both_sides)
{
    CHECK(overlap("10.0.0.0/8", "10.1.0.0/16"));
    CHECK(overlap("10.0.0.0/8", "10.0.0.0/8"));
    CHECK(!overlap("10.0.0.0/9", "10.128.0.0/9"));
    CHECK(overlap("0.0.0.0/0", "203.0.113.0/24"));
    CHECK(!overlap("10.0.0.0/8", "fd00::/8"));
    CHECK(overlap("fd00::/8", "fd12:3456::/32"));
    CHECK(!overlap("1.2.3.4/32", "1.2.3.5/32"));
}

TEST(equality_and_nothing)
{
    struct ip a = ip("10.0.0.1/8"), b = ip("10.0.0.1"), c = ip("::a00:1"), none = {0};
    struct ip any4 = ip("0.0.0.0"), any6 = ip("::"), low = ip("::1");

    CHECK(ip_same(&a, &b) && !ip_same(&a, &c) && !ip_same(&a, &none));
    CHECK(ip_is_any(&none) && ip_is_any(&any4) && ip_is_any(&any6));
    CHECK(!ip_is_any(&a) && !ip_is_any(&low));
    struct ip lo = ip("127.3.2.1");
    CHECK(ip_is_loopback(&lo) && ip_is_loopback(&low));
    CHECK(!ip_is_loopback(&none) && !ip_is_loopback(&any6) && !ip_is_loopback(&a));
    CHECK_INT(ip_len(&a), 4);
    CHECK_INT(ip_len(&c), 16);
}

TEST(steps_and_distances)
{
    struct ip a = ip("10.0.0.254/24"), b = ip("10.0.1.3"), c = ip("fd00::/64");
    struct ip d = ip("fd00::1:0:0:0:0"), zero = ip("0.0.0.0"), last = ip("255.255.255.255");

    CHECK_CIDR(ip_add(&a, 5), "10.0.1.3/24");
    CHECK_INT(ip_offset(&a, &b), 5);
    CHECK(ip_offset(&b, &a) == UINT64_MAX);
    CHECK_INT(ip_offset(&a, &a), 0);
    CHECK(ip_offset(&zero, &last) == UINT32_MAX);
    CHECK_CIDR(ip_add(&c, UINT64_MAX), "fd00::ffff:ffff:ffff:ffff/64");
    CHECK(ip_offset(&c, &d) == UINT64_MAX); /* 2^64: too far to say */
    struct ip high = ip("ffff::"), low = ip("::");
    CHECK(ip_offset(&low, &high) == UINT64_MAX);
}

/* Whoever counts through a block stops by its own count: behind the end it starts over. */
TEST(the_space_is_a_circle)
{
    struct ip last4 = ip("255.255.255.255"), all4 = ip("0.0.0.0/0"), top4 = ip("255.255.0.0/16");
    struct ip last6 = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), all6 = ip("::/0");
    struct ip half6 = ip("8000::/1"), inside = ip("172.17.3.4/16"), low6 = ip("fd00::/64");

    CHECK_CIDR(ip_add(&last4, 1), "0.0.0.0/32");
    CHECK_CIDR(ip_add(&last6, 2), "::1/128");
    CHECK_CIDR(ip_next_network(&last4), "0.0.0.0/32");
    CHECK_CIDR(ip_next_network(&top4), "0.0.0.0/16");
    CHECK_CIDR(ip_next_network(&all4), "0.0.0.0/0");
    CHECK_CIDR(ip_next_network(&all6), "::/0");
    CHECK_CIDR(ip_next_network(&last6), "::/128");
    CHECK_CIDR(ip_next_network(&half6), "::/1");
    CHECK_CIDR(ip_next_network(&inside), "172.18.0.0/16");
    CHECK_CIDR(ip_next_network(&low6), "fd00:0:0:1::/64");
}

TEST(mac_addresses)
{
    static const char *const bad[] = {"",
                                      "02:42:ac:11:00",
                                      "02:42:ac:11:00:0",
                                      "02:42:ac:11:00:0g",
                                      "02:42:ac:11:00:02:",
                                      "02-42-ac-11-00-02",
                                      "0242:ac:11:00:022",
                                      "+2:+2:+c:+1:+0:+2",
                                      " 2: 2: c: 1: 0: 2",
                                      "0x:42:ac:11:00:02",
                                      "\x10\x12:42:ac:11:00:02"};
    uint8_t mac[6];

    CHECK_INT(mac_parse("02:42:AC:11:00:fe", mac), 0);
    CHECK(memcmp(mac, "\x02\x42\xac\x11\x00\xfe", 6) == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mac_parse(bad[i], mac) != -EINVAL)
            TEST_FAIL("\"%s\" was taken for a MAC address", bad[i]);
}
