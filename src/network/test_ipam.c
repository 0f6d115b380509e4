/* Which addresses and which subnets are given out. */
#include "network/ipam.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/mem.h"
#include "network/test_netns.h"

#define CHECK_IP(got, want)                                                                        \
    do {                                                                                           \
        struct ip i_ = (got);                                                                      \
        char text_[IP_TEXT];                                                                       \
        CHECK_STR(ip_format_cidr(&i_, text_), (want));                                             \
    } while (0)

static struct ip_pool *pool(const char *subnet, const char *range)
{
    struct ip net = ip(subnet), part = range ? ip(range) : (struct ip){0};
    struct ip_pool *p;
    struct err e = {0};

    CHECK_OK(ip_pool_new(&net, &part, &p, &e));
    return p;
}

static struct ip take(struct ip_pool *p)
{
    struct ip got;
    struct err e = {0};

    CHECK_OK(ip_pool_take(p, &got, &e));
    return got;
}

static int take_this(struct ip_pool *p, const char *text)
{
    struct ip want = ip(text);

    return ip_pool_take_this(p, &want, NULL);
}

static void give_back(struct ip_pool *p, const char *text)
{
    struct ip one = ip(text);

    ip_pool_give_back(p, &one);
}

static void check_full(struct ip_pool *p, const char *words)
{
    struct ip got = {.family = 77};
    struct err e = {0};

    CHECK_INT(ip_pool_take(p, &got, &e), -ENOSPC);
    CHECK_INT(e.kind, ERR_UNAVAILABLE);
    CHECK_STR(e.msg, words);
    CHECK_INT(got.family, 77);
}

TEST(a_small_subnet_is_given_out_to_its_end)
{
    struct ip_pool *p = pool("10.0.0.5/29", NULL);

    for (unsigned i = 1; i <= 6; i++) {
        char want[IP_TEXT];
        (void)snprintf(want, sizeof(want), "10.0.0.%u/29", i);
        CHECK_IP(take(p), want);
    }
    check_full(p, "no available IPv4 addresses on this network");
    give_back(p, "10.0.0.3");
    CHECK_IP(take(p), "10.0.0.3/29");
    check_full(p, "no available IPv4 addresses on this network");
    ip_pool_free(p);
}

TEST(a_freed_address_is_not_the_next_one)
{
    struct ip_pool *p = pool("10.0.0.0/28", NULL);

    for (unsigned i = 1; i <= 5; i++)
        (void)take(p);
    give_back(p, "10.0.0.2");
    for (unsigned i = 6; i <= 14; i++) {
        struct ip got = take(p);
        CHECK_INT(got.addr[3], i);
    }
    CHECK_IP(take(p), "10.0.0.2/28");
    ip_pool_free(p);
}

TEST(wanted_addresses)
{
    struct ip_pool *p = pool("10.0.0.0/24", NULL);
    struct ip outside = ip("10.0.1.0"), other = ip("fd00::1"), taken = ip("10.0.0.1");
    struct err e = {0};

    CHECK_INT(take_this(p, "10.0.0.1"), 0);
    CHECK_INT(ip_pool_take_this(p, &taken, &e), -EADDRINUSE);
    CHECK_STR(e.msg, "Address already in use");
    CHECK_INT(e.kind, ERR_DENIED);
    CHECK_INT(ip_pool_take_this(p, &outside, &e), -EINVAL);
    CHECK_STR(e.msg, "no configured subnet contains IP address 10.0.1.0");
    CHECK_INT(ip_pool_take_this(p, &other, &e), -EINVAL);
    CHECK_INT(take_this(p, "10.0.0.0"), -EADDRINUSE);
    CHECK_INT(take_this(p, "10.0.0.255"), -EADDRINUSE);
    CHECK_IP(take(p), "10.0.0.2/24");
    give_back(p, "10.0.0.1");
    CHECK_INT(take_this(p, "10.0.0.1"), 0);
    ip_pool_free(p);
}

TEST(the_ends_stay_reserved_whatever_is_given_back)
{
    struct ip_pool *p = pool("10.0.0.0/30", NULL);

    give_back(p, "10.0.0.0");
    give_back(p, "10.0.0.3");
    give_back(p, "10.0.0.4");
    give_back(p, "fd00::1");
    CHECK_IP(take(p), "10.0.0.1/30");
    CHECK_IP(take(p), "10.0.0.2/30");
    check_full(p, "no available IPv4 addresses on this network");
    ip_pool_free(p);
}

TEST(a_range_is_what_is_chosen_from_and_no_limit_for_wishes)
{
    struct ip_pool *p = pool("10.0.0.0/24", "10.0.0.64/30");

    for (unsigned i = 64; i < 68; i++) { /* in the middle, no end of it is special */
        struct ip got = take(p);
        CHECK_INT(got.addr[3], i);
        CHECK_INT(got.prefix, 24);
    }
    check_full(p, "no available IPv4 addresses on this network");
    CHECK_INT(take_this(p, "10.0.0.1"), 0);
    CHECK_INT(take_this(p, "10.0.0.200"), 0);
    CHECK_INT(take_this(p, "10.0.0.1"), -EADDRINUSE);
    give_back(p, "10.0.0.1");
    CHECK_INT(take_this(p, "10.0.0.200"), -EADDRINUSE);
    CHECK_INT(take_this(p, "10.0.0.1"), 0);
    check_full(p, "no available IPv4 addresses on this network");
    ip_pool_free(p);
}

TEST(the_ends_of_a_subnet_are_nobodys_outside_of_the_range_either)
{
    struct ip_pool *p = pool("10.0.0.0/24", "10.0.0.64/26"),
                   *v6 = pool("fd00::/64", "fd00::100/120");

    CHECK_INT(take_this(p, "10.0.0.0"), -EADDRINUSE);
    CHECK_INT(take_this(p, "10.0.0.255"), -EADDRINUSE);
    CHECK_INT(take_this(v6, "fd00::"), -EADDRINUSE);
    CHECK_INT(take_this(v6, "fd00::ffff:ffff:ffff:ffff"), 0); /* IPv6 has no broadcast */
    ip_pool_free(p);
    ip_pool_free(v6);
}

TEST(ranges_at_the_ends_leave_out_the_ends)
{
    struct ip_pool *low = pool("10.0.0.0/24", "10.0.0.0/30"),
                   *one = pool("10.0.0.0/24", "10.0.0.9/32");
    struct ip_pool *high = pool("10.0.0.0/24", "10.0.0.252/30");

    CHECK_IP(take(low), "10.0.0.1/24");
    CHECK_IP(take(high), "10.0.0.252/24");
    CHECK_IP(take(high), "10.0.0.253/24");
    CHECK_IP(take(high), "10.0.0.254/24");
    check_full(high, "no available IPv4 addresses on this network");
    CHECK_IP(take(one), "10.0.0.9/24");
    check_full(one, "no available IPv4 addresses on this network");
    ip_pool_free(low);
    ip_pool_free(high);
    ip_pool_free(one);
}

TEST(bad_subnets_and_ranges)
{
    static const struct {
        const char *subnet, *range, *words;
    } bad[] = {
        {"10.0.0.0/7", NULL, "a subnet needs a prefix of at least 8 bits"},
        {"10.0.0.0/31", NULL, "subnet 10.0.0.0/31 has no room for addresses"},
        {"10.0.0.7/32", NULL, "subnet 10.0.0.7/32 has no room for addresses"},
        {"fd00::/127", NULL, "subnet fd00::/127 has no room for addresses"},
        {"10.0.0.0/24", "10.0.1.0/25", "no matching subnet for range 10.0.1.0/25"},
        {"10.0.0.0/24", "10.0.0.0/16", "no matching subnet for range 10.0.0.0/16"},
        {"10.0.0.0/24", "fd00::/64", "no matching subnet for range fd00::/64"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ip net = ip(bad[i].subnet), range = bad[i].range ? ip(bad[i].range) : (struct ip){0};
        struct ip_pool *p = NULL;
        struct err e = {0};
        CHECK_INT(ip_pool_new(&net, &range, &p, &e), -EINVAL);
        CHECK_STR(e.msg, bad[i].words);
        CHECK(!p);
    }
}

TEST(ipv6_of_every_size)
{
    struct ip_pool *small = pool("fd00::/126", NULL), *middle = pool("fd00::/112", NULL);
    struct ip_pool *big = pool("fd00::/64", NULL);

    for (unsigned i = 1; i < 4; i++) { /* no broadcast address */
        struct ip got = take(small);
        CHECK_INT(got.addr[15], i);
        CHECK_INT(got.prefix, 126);
    }
    check_full(small, "no available IPv6 addresses on this network");
    CHECK_INT(take_this(middle, "fd00::ffff"), 0);
    CHECK_INT(take_this(middle, "fd00::1:0"), -EINVAL);
    CHECK_INT(take_this(big, "fd00::"), -EADDRINUSE);
    CHECK_INT(take_this(big, "fd00::ffff:0:0:1"), 0);
    CHECK_INT(take_this(big, "fd00::ffff:0:0:1"), -EADDRINUSE);
    give_back(big, "fd00::ffff:0:0:1");
    give_back(big, "fd00::ffff:0:0:2");
    CHECK_INT(take_this(big, "fd00::ffff:0:0:1"), 0);
    CHECK_IP(take(big), "fd00::1/64");
    ip_pool_free(small);
    ip_pool_free(middle);
    ip_pool_free(big);
}

static void take_all(const char *subnet, unsigned count)
{
    struct ip_pool *p = pool(subnet, NULL);
    auto_free char *seen = xcalloc(1, 65536);

    for (unsigned i = 0; i < count; i++) {
        struct ip got = take(p);
        size_t end = ip_len(&got);
        char *mark = &seen[got.addr[end - 2] << 8 | got.addr[end - 1]];
        CHECK(!*mark);
        *mark = 1;
    }
    CHECK_INT(ip_pool_take(p, &(struct ip){0}, NULL), -ENOSPC);
    ip_pool_free(p);
}

TEST(all_of_65536_and_not_one_twice)
{
    take_all("172.17.0.0/16", 65534);
    take_all("fd00::/112", 65535);
    take_all("fd00::/64", 65535);
}

TEST(a_long_run_of_taken_ones_is_passed_over)
{
    struct ip_pool *p = pool("10.0.0.0/8", NULL);
    struct ip got;

    for (unsigned i = 0; i < 70000; i++)
        got = take(p);
    CHECK_IP(got, "10.1.17.112/8"); /* 70,000 = 1 * 65,536 + 17 * 256 + 112 */
    for (unsigned i = 0; i < 3; i++) {
        give_back(p, "10.0.200.7");
        CHECK_INT(take_this(p, "10.0.200.7"), 0);
    }
    CHECK_IP(take(p), "10.1.17.113/8");
    ip_pool_free(p);
}

/* ---- subnets ---- */

static int find(const struct ip_block *blocks, size_t n, int family, const char *const *taken,
                size_t ntaken, struct ip *ret)
{
    struct ip v[32];
    struct err e = {0};

    for (size_t i = 0; i < ntaken; i++)
        v[i] = ip(taken[i]);
    int r = ipam_find_subnet(blocks, n, family, v, ntaken, ret, &e);
    if (r < 0) {
        CHECK_STR(e.msg, "all predefined address pools have been fully subnetted");
        CHECK_INT(e.kind, ERR_UNAVAILABLE);
    }
    return r;
}

static struct ip found(const struct ip_block *blocks, size_t n, int family,
                       const char *const *taken, size_t ntaken)
{
    struct ip got;

    CHECK_INT(find(blocks, n, family, taken, ntaken, &got), 0);
    return got;
}

TEST(the_usual_subnets_one_after_the_other)
{
    static const char *const some[] = {"172.17.0.0/16", "172.18.0.0/17", "172.19.3.0/24"};
    static const char *const all16[] = {"172.16.0.0/12", "192.168.0.0/20", "192.168.16.0/21"};
    static const char *const all[] = {"172.16.0.0/12", "192.168.0.0/16"};
    struct ip got;

    own_netns();
    CHECK_IP(found(NULL, 0, AF_INET, NULL, 0), "172.17.0.0/16");
    CHECK_IP(found(NULL, 0, AF_INET, some, 3), "172.20.0.0/16");
    CHECK_IP(found(NULL, 0, AF_INET, all16, 3), "192.168.32.0/20");
    CHECK_INT(find(NULL, 0, AF_INET, all, 2, &got), -ENOSPC);
    CHECK_INT(find(NULL, 0, AF_INET6, NULL, 0, &got), -ENOSPC);
}

TEST(blocks_of_ones_own)
{
    struct ip_block blocks[] = {{ip("10.200.0.0/24"), 26},
                                {ip("fd00:1::/48"), 64},
                                {ip("10.201.0.0/16"), 16},
                                {ip("255.255.254.0/23"), 24}};
    static const char *const full[] = {"10.200.0.0/26", "10.200.0.64/26", "10.200.0.128/26",
                                       "10.200.0.192/26"};
    static const char *const last[] = {"10.0.0.0/8", "255.255.254.0/24"};
    static const char *const six[] = {"fd00:1::/64", "fd00:1:0:2::/64"};
    struct ip got;

    own_netns();
    CHECK_IP(found(blocks, 4, AF_INET, full, 2), "10.200.0.128/26");
    CHECK_IP(found(blocks, 4, AF_INET, full, 4), "10.201.0.0/16");
    CHECK_IP(found(blocks, 4, AF_INET, last, 2), "255.255.255.0/24"); /* the end of the space */
    CHECK_IP(found(blocks, 4, AF_INET6, six, 2), "fd00:1:0:1::/64");
    CHECK_INT(find(blocks, 1, AF_INET, full, 4, &got), -ENOSPC);
    CHECK_INT(find(blocks, 0, AF_INET, NULL, 0, &got), -ENOSPC);
}

/* What stands behind the prefix of a block is not part of it. */
TEST(a_block_with_host_bits_gives_networks)
{
    struct ip_block block = {ip("10.200.3.4/16"), 24};

    own_netns();
    CHECK_IP(found(&block, 1, AF_INET, NULL, 0), "10.200.0.0/24");
}

TEST(addresses_and_routes_of_the_host_count)
{
    own_root_netns();
    run("ip link add d0 type bridge && ip addr add 172.17.5.1/24 dev d0 && ip link set d0 up &&"
        " ip route add 172.18.0.0/15 dev d0 && ip route add default via 172.17.5.2 dev d0");
    CHECK_IP(found(NULL, 0, AF_INET, NULL, 0), "172.20.0.0/16");
}
