/* Links, addresses and routes of a network namespace of our own. */
#include "kern/rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/test.h"

static struct ip ip(const char *text)
{
    struct ip i;

    CHECK_INT(ip_parse(text, &i), 0);
    return i;
}

static int start(void)
{
    struct err e = {0};

    NEED_ROOT();
    if (unshare(CLONE_NEWNET) < 0)
        SKIP("cannot make a network namespace: needs CAP_SYS_ADMIN");
    int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
    return nl;
}

static int bridge(int nl, const char *name)
{
    struct err e = {0};

    CHECK_OK(rtnl_bridge_add(nl, name, 0, &e));
    int index = rtnl_link_index(nl, name, &e);
    CHECK_OK(index);
    return index;
}

TEST(links_by_name_and_index)
{
    auto_close int nl = start();
    char name[IFNAMSIZ];
    struct err e = {0};
    int b = bridge(nl, "b0");

    CHECK_INT(rtnl_link_is(nl, "b0", "bridge", &e), 1);
    CHECK_INT(rtnl_link_is(nl, "b0", "brid", &e), 0);
    CHECK_INT(rtnl_link_is(nl, "b0", "bridge2", &e), 0);
    CHECK_INT(rtnl_link_is(nl, "lo", "bridge", &e), 0); /* of no kind */
    CHECK_INT(rtnl_link_is(nl, "none", "bridge", &e), -ENODEV);
    CHECK_INT(rtnl_bridge_add(nl, "b0", 0, &e), -EEXIST);
    CHECK(strstr(e.msg, "create link b0: "));
    CHECK_OK(rtnl_link_name(nl, b, name, &e));
    CHECK_STR(name, "b0");
    CHECK_OK(rtnl_link_down(nl, b, &e));
    CHECK_OK(rtnl_link_rename(nl, b, "fifteen-letters", &e));
    CHECK_OK(rtnl_link_up(nl, b, &e));
    CHECK_OK(rtnl_link_name(nl, b, name, &e));
    CHECK_STR(name, "fifteen-letters");
    CHECK_INT(rtnl_link_index(nl, "b0", &e), -ENODEV);
    CHECK_INT(rtnl_link_index(nl, "fifteen-letters", &e), b);
    CHECK_OK(rtnl_link_del(nl, "fifteen-letters", &e));
    CHECK_OK(rtnl_link_del(nl, "fifteen-letters", &e)); /* a missing one is success */
    CHECK_INT(rtnl_link_name(nl, b, name, &e), -ENODEV);
    CHECK_INT(rtnl_link_up(nl, b, &e), -ENODEV);
}

/* Every request is answered once: nothing is left over for the next one on the same socket. */
TEST(an_error_leaves_the_socket_usable)
{
    auto_close int nl = start();
    struct err e = {0};

    for (int i = 0; i < 200; i++) {
        CHECK_INT(rtnl_link_index(nl, "none", &e), -ENODEV);
        CHECK_INT(rtnl_link_set_master(nl, "none", 1, &e), -ENODEV);
        CHECK_INT(rtnl_link_index(nl, "lo", &e), 1);
    }
}

TEST(aliases)
{
    auto_close int nl = start();
    char text[256];
    struct err e = {0};
    int b = bridge(nl, "b0");

    CHECK_INT(rtnl_link_has_alias(nl, "b0", "mine", &e), 0);
    CHECK_OK(rtnl_link_set_alias(nl, b, "mine", &e));
    CHECK_INT(rtnl_link_has_alias(nl, "b0", "mine", &e), 1);
    CHECK_INT(rtnl_link_has_alias(nl, "b0", "min", &e), 0);
    CHECK_INT(rtnl_link_has_alias(nl, "b0", "mine too", &e), 0);
    CHECK_INT(rtnl_link_has_alias(nl, "none", "mine", &e), -ENODEV);
    memset(text, 'x', sizeof(text) - 1);
    text[254] = '\0';
    CHECK_OK(rtnl_link_set_alias(nl, b, text, &e));
    CHECK_INT(rtnl_link_has_alias(nl, "b0", text, &e), 1);
}

static bool alt_names(unsigned n)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "for i in $(seq %u); do echo link property add dev b0 altname "
                   "$(printf 'name-%%0120d' $i); done | ip -batch -",
                   n);
    fflush(stdout);
    return system(command) == 0; /* NOLINT(cert-env33-c): a fixed command */
}

/* Whoever may name links may give one so many names that its description fits into no buffer. */
TEST(a_long_description_is_an_error_or_right)
{
    auto_close int nl = start();
    char name[IFNAMSIZ];
    struct err e = {0};
    int b = bridge(nl, "b0");

    if (!alt_names(200)) /* 25 KiB */
        SKIP("needs ip with altname");
    int r = rtnl_link_name(nl, b, name, &e);
    if (r < 0)
        CHECK_INT(r, -EMSGSIZE);
    else
        CHECK_STR(name, "b0");
    CHECK_INT(rtnl_link_index(nl, "lo", &e), 1);
}

struct seen {
    const char *want;
    int index, n;
};

static int look(void *arg, int ifindex, const struct ip *ip)
{
    struct seen *s = arg;
    char text[IP_TEXT];

    s->n += ifindex == s->index && strcmp(ip_format_cidr(ip, text), s->want) == 0;
    return 0;
}

static int count(int (*each)(rtnl_ip_fn fn, void *arg, struct err *err), int index,
                 const char *want)
{
    struct seen s = {want, index, 0};
    struct err e = {0};

    CHECK_OK(each(look, &s, &e));
    return s.n;
}

TEST(addresses_come_and_go)
{
    static const char *const v[] = {"10.0.0.1/24", "10.1.0.1/31", "10.2.0.1/32", "fd00::1/64",
                                    "fd00:1::1/128"};
    auto_close int nl = start();
    struct err e = {0};
    int b = bridge(nl, "b0");

    for (size_t i = 0; i < 5; i++) {
        struct ip a = ip(v[i]);
        CHECK_OK(rtnl_addr_add(nl, b, &a, &e));
        CHECK_OK(rtnl_addr_add(nl, b, &a, &e)); /* existing is fine */
        CHECK_INT(e.no, 0);
        CHECK_INT(count(rtnl_addr_each, b, v[i]), 1);
    }
    for (size_t i = 0; i < 5; i++) {
        struct ip a = ip(v[i]);
        CHECK_OK(rtnl_addr_del(nl, b, &a, &e));
        CHECK_OK(rtnl_addr_del(nl, b, &a, &e)); /* a missing one is success */
        CHECK_INT(count(rtnl_addr_each, b, v[i]), 0);
    }
    struct ip a = ip("10.0.0.1/24");
    CHECK_INT(rtnl_addr_add(nl, 4711, &a, &e), -ENODEV);
}

static int stop_at_once(void *arg, int ifindex, const struct ip *ip)
{
    (void)ifindex;
    (void)ip;
    *(int *)arg += 1;
    return 7;
}

/* More than one packet of a dump holds. */
TEST(long_dumps_are_whole_and_can_be_stopped)
{
    auto_close int nl = start();
    struct err e = {0};
    int b = bridge(nl, "b0"), calls = 0;
    struct ip a = ip("10.9.0.0/32");

    for (unsigned i = 0; i < 2000; i++) {
        struct ip one = ip_add(&a, i);
        CHECK_OK(rtnl_addr_add(nl, b, &one, &e));
    }
    struct seen s = {"10.9.7.207/32", b, 0};
    CHECK_OK(rtnl_addr_each(look, &s, &e));
    CHECK_INT(s.n, 1);
    CHECK_INT(rtnl_addr_each(stop_at_once, &calls, &e), 7);
    CHECK_INT(calls, 1);
}

TEST(routes_and_the_default_one)
{
    auto_close int nl = start();
    struct err e = {0};
    int b = bridge(nl, "b0"), c = bridge(nl, "b1");
    struct ip own = ip("10.0.0.2/24"), own6 = ip("fd00::2/64"), own1 = ip("10.1.0.2/24");
    struct ip gw = ip("10.0.0.1"), gw6 = ip("fd00::1"), gw1 = ip("10.1.0.1"), far = ip("10.9.0.1");
    struct ip net = ip("10.5.0.0/16");

    CHECK_OK(rtnl_addr_add(nl, b, &own, &e));
    CHECK_OK(rtnl_addr_add(nl, b, &own6, &e));
    CHECK_OK(rtnl_addr_add(nl, c, &own1, &e));
    CHECK_OK(rtnl_route_add(nl, b, &net, &gw, &e));
    CHECK_INT(count(rtnl_route_each, b, "10.5.0.0/16"), 1);
    CHECK_OK(rtnl_default_set(nl, AF_INET, b, &gw, &e));
    for (int i = 0; i < 3; i++) /* it replaces itself, too */
        CHECK_OK(rtnl_default_set(nl, AF_INET6, b, &gw6, &e));
    CHECK_INT(count(rtnl_route_each, b, "0.0.0.0/0"), 1);
    CHECK_INT(count(rtnl_route_each, b, "::/0"), 1);
    CHECK_OK(rtnl_default_set(nl, AF_INET, c, &gw1, &e));
    CHECK_INT(count(rtnl_route_each, b, "0.0.0.0/0"), 0);
    CHECK_INT(count(rtnl_route_each, c, "0.0.0.0/0"), 1);
    CHECK_OK(rtnl_default_set(nl, AF_INET, b, NULL, &e)); /* by the link alone */
    CHECK_INT(count(rtnl_route_each, b, "0.0.0.0/0"), 1);
    CHECK_OK(rtnl_default_set(nl, AF_INET, c, &gw1, &e));
    CHECK_INT(rtnl_default_set(nl, AF_INET, b, &far, &e), -ENETUNREACH);
    CHECK_INT(count(rtnl_route_each, c, "0.0.0.0/0"), 1); /* what was there before stays */
    CHECK_INT(count(rtnl_route_each, b, "::/0"), 1);
    CHECK_INT(count(rtnl_route_each, b, "10.5.0.0/16"), 1);
}

TEST(veth_pairs_are_born_in_place)
{
    auto_close int nl = start();
    auto_close int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    struct rtnl_veth v = {
        .host = "h0", .peer = "eth0", .mtu = 1400, .peer_mac = {2, 0, 0, 0, 0, 7}};
    struct err e = {0};

    CHECK_INT(unshare(CLONE_NEWNET), 0);
    v.peer_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    auto_close int inner = rtnl_open(&e);
    CHECK_OK(inner);
    CHECK_INT(setns(here, CLONE_NEWNET), 0);
    v.master = bridge(nl, "b0");
    CHECK_OK(rtnl_veth_add(nl, &v, &e));
    CHECK(rtnl_link_index(nl, "h0", &e) > 0);
    CHECK_INT(rtnl_link_index(nl, "eth0", &e), -ENODEV);
    CHECK(rtnl_link_index(inner, "eth0", &e) > 0);
    CHECK_OK(rtnl_port_set(nl, "h0", true, true, &e));
    CHECK_INT(rtnl_port_set(nl, "none", true, true, &e), -ENODEV);
    CHECK_INT(rtnl_veth_add(nl, &v, &e), -EEXIST);
    CHECK(strstr(e.msg, "create veth h0: "));
    v.host = "h1";
    v.peer = "eth1";
    v.master = 4711;
    CHECK(rtnl_veth_add(nl, &v, &e) < 0); /* nothing half made */
    CHECK_INT(rtnl_link_index(nl, "h1", &e), -ENODEV);
    CHECK_INT(rtnl_link_index(inner, "eth1", &e), -ENODEV);
    close_fd(&v.peer_netns);
}

TEST(counters)
{
    auto_close int nl = start();
    struct rtnl_stats s;
    struct err e = {0};

    CHECK_OK(rtnl_link_stats(nl, "lo", &s, &e));
    CHECK_INT(s.rx_errors, 0);
    CHECK_INT(rtnl_link_stats(nl, "none", &s, &e), -ENODEV);
}

TEST(without_the_privilege_the_kernel_refuses)
{
    auto_close int nl = start();
    struct err e = {0};

    if (setresuid(65534, 65534, 65534) < 0)
        SKIP("cannot become another user");
    auto_close int poor = rtnl_open(&e);
    CHECK_OK(poor);
    CHECK_INT(rtnl_bridge_add(poor, "b0", 0, &e), -EPERM);
    CHECK_INT(e.no, EPERM);
    CHECK_INT(rtnl_link_index(nl, "lo", &e), 1);
}
