/* Networks of every driver against a real kernel: their links, and what heals them. */
#include "network/network.h"

#include <errno.h>
#include <linux/if_link.h>
#include <sys/stat.h>

#include "base/rand.h"
#include "network/test_netns.h"

#define ID "a1b2c3d4e5f60123456789abcdef0123456789abcdef0123456789abcdef0123"
#define MAC "02:42:a1:b2:c3:d4"

static struct net_host *start(void)
{
    struct net_host_conf c = {.table = "cleat-test", .filter = true, .forward = true};
    struct net_host *h;
    struct err e = {0};

    own_root_netns();
    CHECK_OK(net_host_open(&c, &h, &e));
    int r = net_host_sync(h, &e);
    if (r < 0 && strstr(e.msg, "Operation not supported"))
        SKIP("no nf_tables in this kernel");
    CHECK_OK(r);
    return h;
}

/* Both families, and a link name of this case's own: claims are files of the whole machine. */
static struct network_conf conf(const char *driver)
{
    static struct net_subnet subnets[2];
    struct network_conf c = {.id = ID, .driver = driver, .subnets = subnets, .nsubnets = 2};
    struct strmap none = {0};
    struct err e = {0};

    subnets[0] = (struct net_subnet){.subnet = ip("10.7.0.0/24"), .gateway = ip("10.7.0.1/24")};
    subnets[1] = (struct net_subnet){.subnet = ip("fd00:7::/64"), .gateway = ip("fd00:7::1/64")};
    CHECK_OK(net_options_parse(driver, &none, &c.opts, &e));
    if (strcmp(driver, "bridge") == 0)
        (void)snprintf(c.opts.bridge, sizeof(c.opts.bridge), "br%d", (int)getpid());
    return c;
}

static struct network *open_net(struct net_host *h, const struct network_conf *c)
{
    struct network *n = NULL;
    struct err e = {0};

    CHECK_OK(network_open(h, c, &n, &e));
    return n;
}

static void done(struct net_host *h, struct network *n)
{
    struct err e = {0};

    if (n)
        CHECK_OK(network_remove(n, &e));
    network_close(n);
    net_host_free(h);
}

static bool there(const char *link)
{
    struct err e = {0};
    int r = bridge_exists(link, &e);

    CHECK_OK(r);
    return r > 0;
}

static char *addresses(const char *link)
{
    return output_of("ip -br addr show dev %s | awk '{ $1 = $2 = \"\"; print }' | xargs -n1 |"
                     " grep -v ^fe80 | xargs",
                     link);
}

static void check_whole(const struct network *n)
{
    const char *link = network_bridge(n);
    auto_free char *have = addresses(link);

    CHECK_STR(have, "10.7.0.1/24 fd00:7::1/64");
    CHECK_OUTPUT(MAC, "cat /sys/class/net/%s/address", link);
    CHECK_OUTPUT("1", "cat /proc/sys/net/ipv4/conf/%s/route_localnet", link);
    CHECK_OUTPUT("0", "cat /proc/sys/net/ipv6/conf/%s/disable_ipv6", link);
    CHECK_OUTPUT("0", "cat /proc/sys/net/ipv6/conf/%s/accept_ra", link);
    CHECK_OUTPUT("1", "ip link show dev %s | grep -c '[<,]UP[,>]'", link);
}

TEST(a_bridge_is_made_and_removed)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");

    c.opts.mtu = 1400;
    struct network *n = open_net(h, &c);
    CHECK_STR(network_bridge(n), c.opts.bridge);
    check_whole(n);
    CHECK_OUTPUT("1400", "cat /sys/class/net/%s/mtu", c.opts.bridge);
    CHECK_OUTPUT("1", "cat /proc/sys/net/ipv4/ip_forward");
    CHECK_OUTPUT("1", "cat /proc/sys/net/ipv6/conf/all/forwarding");
    CHECK_OUTPUT("1", "nft list set inet cleat-test nets | grep -c %s", c.opts.bridge);
    done(h, n);
    CHECK(!there(c.opts.bridge));
    CHECK_OUTPUT("0", "nft list ruleset | grep -c -e 'br[0-9]' -e 10.7.0 -e fd00:7");
}

TEST(its_name_comes_from_the_id)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    char id[65];

    rand_hex(id, 64); /* nobody else's */
    c.id = id;
    c.opts.bridge[0] = '\0';
    struct network *n = open_net(h, &c);
    CHECK(strncmp(network_bridge(n), "br-", 3) == 0 && strncmp(network_bridge(n) + 3, id, 12) == 0);
    done(h, n);
}

TEST(without_forwarding_it_is_left_alone)
{
    struct net_host_conf hc = {.table = "cleat-test"};
    struct net_host *h;
    struct network_conf c = conf("bridge");
    struct err e = {0};

    own_root_netns();
    run("echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
    CHECK_OK(net_host_open(&hc, &h, &e));
    struct network *n = open_net(h, &c);
    CHECK_OUTPUT("0", "cat /proc/sys/net/ipv4/ip_forward");
    CHECK_OUTPUT("0", "cat /proc/sys/net/ipv6/conf/all/forwarding");
    CHECK_OUTPUT("", "nft list tables");
    done(h, n);
}

/* A daemon comes back to its networks: same link, same ports on it. */
TEST(closed_and_opened_again_it_is_the_same)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);

    auto_free char *index = output_of("cat /sys/class/net/%s/ifindex", c.opts.bridge);
    network_close(n);
    CHECK(there(c.opts.bridge));
    n = open_net(h, &c);
    CHECK_OUTPUT(index, "cat /sys/class/net/%s/ifindex", c.opts.bridge);
    check_whole(n);
    done(h, n);
}

/* Its own address, not the lowest of its ports. */
TEST(the_mac_is_stable)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);

    run("ip link add v0 address 02:00:00:00:00:01 type veth peer name v1; ip link set v0 master %s",
        c.opts.bridge);
    CHECK_OUTPUT(MAC, "cat /sys/class/net/%s/address", c.opts.bridge);
    run("ip link del v0");
    CHECK_OUTPUT(MAC, "cat /sys/class/net/%s/address", c.opts.bridge);
    done(h, n);
}

TEST(a_fresh_one_does_not_take_what_is_there)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = NULL;
    struct err e = {0};

    run("ip link add %s type bridge", c.opts.bridge);
    c.fresh = true;
    CHECK_INT(network_open(h, &c, &n, &e), -EEXIST);
    CHECK_INT(e.kind, ERR_CONFLICT);
    CHECK(strstr(e.msg, "there is such a link already"));
    CHECK(there(c.opts.bridge)); /* untouched */
    auto_free char *have = addresses(c.opts.bridge);
    CHECK_STR(have, "");
    run("ip link del %s", c.opts.bridge);
    n = open_net(h, &c);
    done(h, n);
}

static int claimed_by_another_process(const char *bridge)
{
    fflush(stdout);
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct net_host_conf hc = {.table = "cleat-other"};
        struct network_conf c = conf("bridge");
        struct net_host *h;
        struct network *n;
        struct err e = {0};
        (void)snprintf(c.opts.bridge, sizeof(c.opts.bridge), "%s", bridge);
        if (net_host_open(&hc, &h, &e) < 0)
            _exit(2);
        int r = network_open(h, &c, &n, &e);
        _exit(r == -EEXIST && e.kind == ERR_CONFLICT ? 1 : r < 0 ? 2 : 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(a_bridge_has_one_owner)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c), *second = NULL;
    struct err e = {0};

    CHECK_INT(claimed_by_another_process(c.opts.bridge), 1);
    CHECK_INT(network_open(h, &c, &second, &e), -EEXIST);
    CHECK_INT(e.kind, ERR_CONFLICT);
    CHECK(strstr(e.msg, "in use by another network"));
    check_whole(n); /* the failure has taken nothing with it */
    CHECK_INT(claimed_by_another_process(c.opts.bridge), 1);
    network_close(n);
    CHECK_INT(claimed_by_another_process(c.opts.bridge), 0);
    n = open_net(h, &c);
    done(h, n);
}

TEST(claims_go_with_their_networks)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct stat ns, file;
    char path[128];

    CHECK_INT(stat("/proc/self/ns/net", &ns), 0);
    (void)snprintf(path, sizeof(path), "/run/cleat/bridges/%ju-%s", (uintmax_t)ns.st_ino,
                   c.opts.bridge);
    for (int i = 0; i < 3; i++) {
        struct network *n = open_net(h, &c);
        struct err e = {0};
        CHECK_INT(stat(path, &file), 0);
        CHECK_OK(network_remove(n, &e));
        network_close(n);
        CHECK(stat(path, &file) < 0 && errno == ENOENT);
    }
    done(h, NULL);
}

TEST(a_given_bridge_stays)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = NULL;
    struct err e = {0};

    c.given = true;
    CHECK_INT(network_open(h, &c, &n, &e), -ENODEV);
    CHECK(!there(c.opts.bridge));
    run("ip link add %s address 02:00:00:00:00:99 type bridge", c.opts.bridge);
    n = open_net(h, &c);
    CHECK_OUTPUT("02:00:00:00:00:99", "cat /sys/class/net/%s/address", c.opts.bridge);
    CHECK_INT(network_heal(n, &e), 0);
    done(h, n);
    CHECK(there(c.opts.bridge));
    CHECK_OUTPUT("0", "nft list ruleset | grep -c 'br[0-9]'");
}

/* The host's own interface would be cut off by our rules. */
TEST(what_is_no_bridge_is_not_taken_for_one)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = NULL;
    struct err e = {0};

    run("ip link add %s type veth peer name v1; ip link set %s up", c.opts.bridge, c.opts.bridge);
    for (int given = 0; given < 2; given++) {
        c.given = given;
        CHECK_INT(network_open(h, &c, &n, &e), -EEXIST);
        CHECK_INT(e.kind, ERR_CONFLICT);
        CHECK(strstr(e.msg, "there is such a link, and it is no bridge"));
    }
    auto_free char *have = addresses(c.opts.bridge);
    CHECK_STR(have, "");
    CHECK_OUTPUT("0", "nft list ruleset | grep -c 'br[0-9]'");
    run("ip link del v1");
    c.given = false;
    n = open_net(h, &c);
    run("ip link del %s; ip link add %s type veth peer name v1", c.opts.bridge, c.opts.bridge);
    CHECK_INT(network_heal(n, &e), -EEXIST);
    run("ip link del v1");
    CHECK_INT(network_heal(n, &e), 1);
    check_whole(n);
    done(h, n);
}

TEST(a_given_bridge_is_waited_for)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct err e = {0};

    run("ip link add %s type bridge", c.opts.bridge);
    c.given = true;
    struct network *n = open_net(h, &c);
    run("ip link del %s", c.opts.bridge);
    CHECK_INT(network_heal(n, &e), -ENODEV);
    CHECK(!there(c.opts.bridge)); /* it is not ours to make */
    run("ip link add %s type bridge", c.opts.bridge);
    CHECK_INT(network_heal(n, &e), 1); /* another one: ends come back to it */
    CHECK_INT(network_heal(n, &e), 0);
    done(h, n);
}

TEST(isolated_gateway_modes)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct err e = {0};

    c.opts.mode4 = GATEWAY_ISOLATED;
    CHECK_INT(network_check(&c, &e), -EINVAL);
    c.internal = true;
    CHECK_OK(network_check(&c, &e));
    struct network *n = open_net(h, &c);
    auto_free char *have = addresses(c.opts.bridge);
    CHECK_STR(have, "fd00:7::1/64");
    CHECK_OUTPUT("1", "nft list set inet cleat-test internal | grep -c 'br[0-9]'");
    done(h, n);
}

TEST(inhibited_ipv4)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");

    c.opts.inhibit_ipv4 = true;
    struct network *n = open_net(h, &c);
    auto_free char *have = addresses(c.opts.bridge);
    CHECK_STR(have, "fd00:7::1/64");
    done(h, n);
}

static void check_healed(struct network *n, int want, const char *harm)
{
    struct err e = {0};
    char command[256];

    (void)snprintf(command, sizeof(command), "b=%s; %s", network_bridge(n), harm);
    run("%s", command);
    int r = network_heal(n, &e);
    if (r != want)
        TEST_FAIL("healing after \"%s\" is %d, want %d: %s", harm, r, want, e.msg);
    check_whole(n);
    CHECK_INT(network_heal(n, &e), 0);
}

TEST(harm_is_healed)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);

    check_healed(n, 0, "true");
    check_healed(n, 0, "ip link set $b down");
    check_healed(n, 0, "ip addr flush dev $b");
    check_healed(n, 0, "ip addr del 10.7.0.1/24 dev $b");
    check_healed(n, 0, "echo 1 >/proc/sys/net/ipv6/conf/$b/disable_ipv6");
    check_healed(n, 0, "echo 0 >/proc/sys/net/ipv4/conf/$b/route_localnet");
    check_healed(n, 1, "ip link del $b");
    check_healed(n, 1, "ip link set $b down; ip link set $b name other; ip addr flush dev other");
    check_healed(n, 1, "ip link set $b down; ip link set $b name other; ip link set other up");
    check_healed(n, 1, "ip link del $b; ip link add $b address " MAC " type bridge");
    done(h, n);
}

/* The engine gives up a removal when the row cannot be deleted. */
TEST(what_was_removed_can_be_had_back)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);
    struct err e = {0};

    auto_free char *before = output_of("nft list table inet cleat-test");
    CHECK_OK(network_remove(n, &e));
    CHECK_INT(network_heal(n, &e), 1);
    check_whole(n);
    CHECK_OUTPUT(before, "nft list table inet cleat-test");
    CHECK_INT(claimed_by_another_process(c.opts.bridge), 1);
    CHECK_INT(network_heal(n, &e), 0);
    done(h, n);
}

/* Somebody has put another link at the old name: nothing is broken further. */
TEST(a_name_that_is_taken_cannot_be_restored)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);
    struct err e = {0};

    run("ip link set %s down; ip link set %s name other; ip link add %s type bridge", c.opts.bridge,
        c.opts.bridge, c.opts.bridge);
    CHECK_INT(network_heal(n, &e), -EEXIST);
    CHECK(strstr(e.msg, "was renamed to other and cannot be given its name back"));
    CHECK(there("other"));
    run("ip link del %s", c.opts.bridge);
    CHECK_INT(network_heal(n, &e), 1);
    check_whole(n);
    done(h, n);
}

TEST(ends_come_back_to_a_new_bridge)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);
    struct endpoint ep;
    struct err e = {0};

    c.opts.icc = false;
    CHECK_OK(network_join(n, NULL, &ep, &e));
    run("ip link add %s type veth peer name inner; ip link set %s up master %s", ep.host_if,
        ep.host_if, c.opts.bridge);
    run("ip link del %s", c.opts.bridge);
    CHECK_INT(network_heal(n, &e), 1);
    CHECK_OK(network_attach(n, &ep, true, &e));
    CHECK_OUTPUT("1", "ls /sys/class/net/%s/brif | grep -c %s", c.opts.bridge, ep.host_if);
    CHECK_OUTPUT("1", "cat /sys/class/net/%s/brport/hairpin_mode", ep.host_if);
    network_leave(n, &ep);
    done(h, n);
}

TEST(endpoints)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct network *n = open_net(h, &c);
    struct endpoint a, b, want = {.ip = ip("10.7.0.77"), .mac = "02:00:00:00:00:01"};
    struct err e = {0};
    char text[IP_TEXT];

    CHECK_OK(network_join(n, NULL, &a, &e));
    CHECK_STR(ip_format_cidr(&a.ip, text), "10.7.0.2/24"); /* the gateway is taken */
    CHECK_STR(ip_format_cidr(&a.ip6, text), "fd00:7::2/64");
    CHECK_STR(a.mac, "02:42:0a:07:00:02");
    CHECK(strncmp(a.host_if, "veth", 4) == 0);
    CHECK_OK(network_join(n, &want, &b, &e));
    CHECK_STR(ip_format_cidr(&b.ip, text), "10.7.0.77/24");
    CHECK_STR(ip_format_cidr(&b.ip6, text), "fd00:7::3/64");
    CHECK_STR(b.mac, "02:00:00:00:00:01");
    CHECK_INT(network_join(n, &want, &b, &e), -EADDRINUSE);
    struct endpoint half = {.ip = ip("10.7.0.99"), .ip6 = ip("fd00:8::1")};
    CHECK_INT(network_join(n, &half, &b, &e), -EINVAL);
    CHECK_STR(e.msg, "no configured subnet contains the wanted IP address");
    half.ip6 = ip("fd00:7::9");
    CHECK_OK(network_join(n, &half, &b, &e)); /* its IPv4 address was given back */
    network_leave(n, &a);
    CHECK_OK(network_rejoin(n, &a, &e));
    CHECK_INT(network_rejoin(n, &a, &e), -EADDRINUSE);
    struct endpoint twice = {.ip = ip("10.7.0.123"), .ip6 = a.ip6};
    CHECK_INT(network_rejoin(n, &twice, &e), -EADDRINUSE);
    twice.ip6 = (struct ip){0};
    CHECK_OK(network_rejoin(n, &twice, &e)); /* as above */
    done(h, n);
}

TEST(reserved_addresses_are_nobodys)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct ip reserved[] = {ip("10.7.0.2"), ip("10.7.0.3")};
    struct net_subnet subnet = {.subnet = ip("10.7.0.0/29"),
                                .range = ip("10.7.0.0/30"),
                                .gateway = ip("10.7.0.6/29"),
                                .reserved = reserved,
                                .nreserved = 2};
    struct endpoint ep;
    struct err e = {0};

    c.subnets = &subnet;
    c.nsubnets = 1;
    struct network *n = open_net(h, &c);
    CHECK_OK(network_join(n, NULL, &ep, &e));
    CHECK_INT(ep.ip.addr[3], 1);
    CHECK(!ep.ip6.family);
    CHECK_INT(network_join(n, NULL, &ep, &e), -ENOSPC);
    done(h, n);
}

/* What is refused leaves no link, no rule, no claim. */
TEST(a_network_that_cannot_be_is_not)
{
    struct net_host *h = start();
    struct network_conf c = conf("bridge");
    struct net_subnet subnet = {.subnet = ip("10.7.0.0/24"), .gateway = ip("10.8.0.1/24")};
    struct network *n = NULL;
    struct err e = {0};

    c.subnets = &subnet;
    c.nsubnets = 1;
    CHECK_INT(network_open(h, &c, &n, &e), -EINVAL);
    CHECK(!there(c.opts.bridge));
    c = conf("bridge");
    c.opts.mtu = 20; /* the kernel's word */
    CHECK(network_open(h, &c, &n, &e) < 0);
    CHECK(!n && !there(c.opts.bridge));
    c.driver = "nonsense";
    CHECK_INT(network_open(h, &c, &n, &e), -EINVAL);
    CHECK_STR(e.msg, "plugin \"nonsense\" not found");
    c = conf("bridge");
    n = open_net(h, &c);
    done(h, n);
}

/* ---- links that are shared ---- */

static void need_vlan(void)
{
    if (system("ip link add p0 type bridge && ip link add link p0 name p0.9 type vlan id 9 &&"
               " ip link del p0.9") != 0)
        SKIP("no VLANs in this kernel");
    run("ip link set p0 up");
}

static struct network_conf shared(const char *driver, const char *parent)
{
    struct network_conf c = conf(driver);

    (void)snprintf(c.opts.parent, sizeof(c.opts.parent), "%s", parent);
    return c;
}

TEST(a_vlan_is_made_and_removed)
{
    struct net_host *h = start();
    struct network_conf c = shared("macvlan", "p0.10");
    struct net_link link;
    struct err e = {0};

    need_vlan();
    struct network *n = open_net(h, &c);
    CHECK_OUTPUT("1", "ip -d link show dev p0.10 | grep -c 'vlan protocol 802.1Q id 10'");
    CHECK_OUTPUT("1", "ip link show dev p0.10 | grep -c '[<,]UP[,>]'");
    network_link(n, &link);
    CHECK_STR(link.kind, "macvlan");
    CHECK_INT(link.mode, MACVLAN_MODE_BRIDGE);
    CHECK_STR(network_bridge(n), "");
    CHECK_INT(network_heal(n, &e), 0);
    run("ip link del p0.10");
    CHECK_INT(network_heal(n, &e), 1);
    network_close(n); /* the daemon comes back: it is still the one that made it */
    n = open_net(h, &c);
    done(h, n);
    CHECK(!there("p0.10") && there("p0"));
}

TEST(a_vlan_that_was_there_stays)
{
    struct net_host *h = start();
    struct network_conf c = shared("ipvlan", "p0.11");

    need_vlan();
    run("ip link add link p0 name p0.11 type vlan id 11");
    struct network *n = open_net(h, &c);
    done(h, n);
    CHECK(there("p0.11"));
}

TEST(a_vlan_goes_with_the_last_network_on_it)
{
    struct net_host *h = start();
    struct network_conf c = shared("macvlan", "p0.13");

    need_vlan();
    struct network *first = open_net(h, &c), *second = open_net(h, &c);
    struct err e = {0};
    CHECK_OK(network_remove(first, &e));
    network_close(first);
    CHECK(there("p0.13"));
    done(h, second);
    CHECK(!there("p0.13"));
}

TEST(without_a_parent_it_lives_on_a_link_of_its_own)
{
    struct net_host *h = start();
    struct network_conf c = conf("macvlan");
    struct network *n;
    struct err e = {0};

    int r = network_open(h, &c, &n, &e);
    if (r == -EOPNOTSUPP) {
        CHECK_STR(e.msg, "this kernel has no dummy links: name a parent with -o parent=");
        SKIP("no dummy links in this kernel");
    }
    CHECK_OK(r);
    CHECK(there("dm-a1b2c3d4e5f6"));
    done(h, n);
    CHECK(!there("dm-a1b2c3d4e5f6"));
}

TEST(a_plain_parent_stays_and_must_be_there)
{
    struct net_host *h = start();
    struct network_conf c = shared("macvlan", "p0");
    struct network *n = NULL;
    struct err e = {0};

    CHECK_INT(network_open(h, &c, &n, &e), -EINVAL);
    CHECK_STR(e.msg, "parent link p0 is not there");
    c = shared("macvlan", "p0.12");
    CHECK_INT(network_open(h, &c, &n, &e), -ENODEV);
    run("ip link add p0 type bridge");
    c = shared("macvlan", "p0");
    n = open_net(h, &c);
    done(h, n);
    CHECK(there("p0"));
}

TEST(bad_parents)
{
    static const char *const bad[] = {"lo", "p0.0", "p0.4095", "p0.x", "p0."};
    struct err e = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct network_conf c = shared("macvlan", bad[i]);
        CHECK_INT(network_check(&c, &e), -EINVAL);
    }
    struct network_conf good = shared("ipvlan", "p0.4094");
    CHECK_OK(network_check(&good, &e));
    good.internal = true;
    CHECK_INT(network_check(&good, &e), -EINVAL);
}

TEST(ends_on_shared_links_have_no_host_side)
{
    struct net_host *h = start();
    struct network_conf c = shared("ipvlan", "p0");
    struct endpoint ep;
    struct net_link link;
    struct err e = {0};

    run("ip link add p0 type bridge");
    c.opts.mode = IPVLAN_MODE_L3;
    struct network *n = open_net(h, &c);
    CHECK_OK(network_join(n, NULL, &ep, &e));
    CHECK_STR(ep.host_if, "");
    network_link(n, &link);
    CHECK(link.route_by_link);
    CHECK_OK(network_attach(n, &ep, false, &e));
    network_leave(n, &ep);
    done(h, n);
}
