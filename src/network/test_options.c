/* Options of networks: every key, and what its value may be. */
#include "network/options.h"

#include <errno.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/test.h"

#define MTU "com.docker.network.driver.mtu"
#define BRIDGE "com.docker.network.bridge."

static int parse(const char *driver, const char *key, const char *val, struct net_options *ret,
                 struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap o = {0};

    if (key)
        strmap_set(&a, &o, key, val);
    return net_options_parse(driver, &o, ret, err);
}

static struct net_options good(const char *driver, const char *key, const char *val)
{
    struct net_options o;
    struct err e = {0};

    CHECK_OK(parse(driver, key, val, &o, &e));
    return o;
}

static void bad(const char *driver, const char *key, const char *val)
{
    struct net_options o = {.mtu = 77};
    struct err e = {0};

    if (parse(driver, key, val, &o, &e) != -EINVAL)
        TEST_FAIL("%s=%s was taken", key, val);
    CHECK_INT(e.kind, ERR_INVALID);
    CHECK_INT(o.mtu, 77); /* nothing is written */
    if (!strstr(e.msg, key) && !strstr(e.msg, "address is wanted") && !strstr(e.msg, "too long"))
        TEST_FAIL("which option was it: %s", e.msg);
}

TEST(nothing_asked_for)
{
    struct net_options o = good("bridge", NULL, NULL);

    CHECK_STR(o.bridge, "");
    CHECK_STR(o.if_prefix, "eth");
    CHECK_STR(o.parent, "");
    CHECK(o.masquerade && o.icc && !o.inhibit_ipv4);
    CHECK_INT(o.mtu, 0);
    CHECK_INT(o.mode4, GATEWAY_NAT);
    CHECK_INT(o.mode6, GATEWAY_NAT);
    CHECK(!o.binding.family && !o.snat4.family);
    CHECK_INT(good("macvlan", NULL, NULL).mode, MACVLAN_MODE_BRIDGE);
    CHECK_INT(good("ipvlan", NULL, NULL).mode, IPVLAN_MODE_L2);
    CHECK_INT(good("ipvlan", NULL, NULL).flag, 0);
}

TEST(mtu_has_limits)
{
    static const char *const wrong[] = {"67",    "65536", "-1",    "",
                                        "1500x", "1e3",   " 1500", "18446744073709551616"};

    CHECK_INT(good("bridge", MTU, "68").mtu, 68);
    CHECK_INT(good("macvlan", MTU, "65535").mtu, 65535);
    CHECK_INT(good("ipvlan", "com.docker.network.mtu", "1400").mtu, 1400);
    CHECK_INT(good("bridge", MTU, "0").mtu, 0); /* the kernel's */
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        bad("bridge", MTU, wrong[i]);
}

TEST(bools_are_gos)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    static const char *const wrong[] = {"", "yes", "2", "on", "truee", "01"};

    for (size_t i = 0; i < 6; i++) {
        CHECK(good("bridge", BRIDGE "inhibit_ipv4", yes[i]).inhibit_ipv4);
        CHECK(!good("bridge", BRIDGE "enable_icc", no[i]).icc);
        CHECK(!good("bridge", BRIDGE "enable_ip_masquerade", no[i]).masquerade);
        CHECK(good("bridge", BRIDGE "enable_ip_masquerade", yes[i]).masquerade);
        bad("bridge", BRIDGE "enable_icc", wrong[i]);
        bad("bridge", BRIDGE "enable_ip_masquerade", wrong[i]);
    }
}

TEST(link_names_are_the_kernels)
{
    static const char *const wrong[] = {
        "", ".", "..", "1234567890123456", "a/b", "a:b", "a b", "a\t", "a\n", "a\"b", "a\\"};

    CHECK_STR(good("bridge", BRIDGE "name", "123456789012345").bridge, "123456789012345");
    CHECK_STR(good("macvlan", "parent", "eth0.10").parent, "eth0.10");
    CHECK_STR(good("ipvlan", "parent", "bond-1").parent, "bond-1");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bad("bridge", BRIDGE "name", wrong[i]);
        bad("macvlan", "parent", wrong[i]);
        bad("bridge", "com.docker.network.container_iface_prefix", wrong[i]);
    }
}

TEST(interface_prefixes_leave_room_for_a_number)
{
    const char *key = "com.docker.network.container_iface_prefix";

    CHECK_STR(good("bridge", key, "net").if_prefix, "net");
    CHECK_STR(good("macvlan", key, "123456789012").if_prefix, "123456789012");
    bad("bridge", key, "1234567890123");
}

TEST(addresses)
{
    struct net_options o = good("bridge", BRIDGE "host_binding_ipv4", "127.0.0.1");
    struct ip local = {AF_INET, 32, {127, 0, 0, 1}};

    CHECK(ip_same(&o.binding, &local));
    CHECK_INT(o.snat4.family, 0);
    CHECK_INT(good("bridge", "com.docker.network.host_ipv4", "192.0.2.1").snat4.addr[0], 192);
    bad("bridge", BRIDGE "host_binding_ipv4", "127.0.0.1/8");
    bad("bridge", BRIDGE "host_binding_ipv4", "");
    bad("bridge", BRIDGE "host_binding_ipv4", "localhost");
    bad("bridge", BRIDGE "host_binding_ipv4", "::1");
    bad("bridge", "com.docker.network.host_ipv4", "fd00::1");
    CHECK_INT(good("bridge", "com.docker.network.host_ipv6", "fd00::1").snat6.addr[15], 1);
    bad("bridge", "com.docker.network.host_ipv6", "192.0.2.1");
}

TEST(trusted_links)
{
    const char *key = BRIDGE "trusted_host_interfaces";
    struct net_options o = good("bridge", key, "eth0:fifteen-letters");

    CHECK_INT(o.trusted.n, 2);
    CHECK_STR(o.trusted.v[0], "eth0");
    CHECK_STR(o.trusted.v[1], "fifteen-letters");
    CHECK_INT(good("bridge", key, "").trusted.n, 0);
    bad("bridge", key, ":");
    bad("bridge", key, "eth0:");
    bad("bridge", key, "sixteen-letters-");
    bad("bridge", key, "a/b");
}

TEST(gateway_modes)
{
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv4", "isolated").mode4, GATEWAY_ISOLATED);
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv6", "isolated").mode6, GATEWAY_ISOLATED);
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv6", "nat").mode6, GATEWAY_NAT);
    bad("bridge", BRIDGE "gateway_mode_ipv4", "NAT");
    bad("bridge", BRIDGE "gateway_mode_ipv4", "");
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv4", "routed").mode4, GATEWAY_ROUTED);
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv6", "routed").mode4, GATEWAY_NAT);
    CHECK_INT(good("bridge", BRIDGE "gateway_mode_ipv6", "nat-unprotected").mode6,
              GATEWAY_NAT_UNPROTECTED);
}

TEST(modes_of_shared_links)
{
    static const struct {
        const char *driver, *key, *word;
        unsigned mode, flag;
    } v[] = {
        {"macvlan", "macvlan_mode", "bridge", MACVLAN_MODE_BRIDGE, 0},
        {"macvlan", "macvlan_mode", "private", MACVLAN_MODE_PRIVATE, 0},
        {"macvlan", "macvlan_mode", "vepa", MACVLAN_MODE_VEPA, 0},
        {"macvlan", "macvlan_mode", "passthru", MACVLAN_MODE_PASSTHRU, 0},
        {"ipvlan", "ipvlan_mode", "l2", IPVLAN_MODE_L2, 0},
        {"ipvlan", "ipvlan_mode", "l3", IPVLAN_MODE_L3, 0},
        {"ipvlan", "ipvlan_mode", "l3s", IPVLAN_MODE_L3S, 0},
        {"ipvlan", "ipvlan_flag", "bridge", IPVLAN_MODE_L2, 0},
        {"ipvlan", "ipvlan_flag", "private", IPVLAN_MODE_L2, IPVLAN_F_PRIVATE},
        {"ipvlan", "ipvlan_flag", "vepa", IPVLAN_MODE_L2, IPVLAN_F_VEPA},
    };

    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        struct net_options o = good(v[i].driver, v[i].key, v[i].word);
        CHECK_INT(o.mode, v[i].mode);
        CHECK_INT(o.flag, v[i].flag);
        bad(v[i].driver, v[i].key, "");
        bad(v[i].driver, v[i].key, "L2");
    }
}

/* Other tools leave their notes there, and one driver's words mean nothing to the others. */
TEST(unknown_keys_mean_nothing)
{
    (void)good("bridge", "com.example.note", "anything");
    (void)good("bridge", "macvlan_mode", "nonsense");
    CHECK_STR(good("bridge", "parent", "eth0").parent, "");
    CHECK_STR(good("macvlan", BRIDGE "name", "a/b").bridge, "");
    CHECK_INT(good("bridge", "com.docker.network.driver.mtux", "1").mtu, 0);
}
