/* The packet filter's table against a real kernel, in a network namespace of its own, and what
 * others may have done to it. */
#include "network/firewall.h"

#include <errno.h>

#include "network/test_netns.h"

#define TABLE "cleat-test"

static struct firewall *start(void)
{
    struct firewall *f;
    struct err e = {0};

    own_root_netns();
    if (access("/usr/sbin/nft", X_OK) < 0)
        SKIP("needs nft");
    CHECK_OK(fw_open(TABLE, true, false, &f, &e));
    int r = fw_sync(f, &e);
    if (r < 0 && strstr(e.msg, "Operation not supported"))
        SKIP("no nf_tables in this kernel");
    CHECK_OK(r);
    CHECK_INT(r, 2);
    return f;
}

static struct fw_net net_of(const char *bridge, const char *subnet)
{
    return (struct fw_net){
        .bridge = bridge, .subnets = {ip(subnet)}, .masquerade = true, .icc = true};
}

static struct fw_port port(const char *host, uint16_t number, const char *to, const char *proto)
{
    return (struct fw_port){
        .host = ip(host), .host_port = number, .port = 80, .to = ip(to), .proto = proto};
}

static int sync_of(struct firewall *f)
{
    struct err e = {0};
    int r = fw_sync(f, &e);

    CHECK_OK(r);
    return r;
}

static void add(struct firewall *f, const struct fw_net *n)
{
    struct err e = {0};

    CHECK_OK(fw_net_add(f, n, &e));
}

static void publish(struct firewall *f, struct fw_port p)
{
    struct err e = {0};

    CHECK_OK(fw_publish(f, &p, 1, &e));
}

/* Rules and elements as nft shows them, with handles: what is made anew has another one. */
static char *listing(void)
{
    return output_of("nft -a list table inet " TABLE);
}

static bool has(const char *what)
{
    auto_free char *text = output_of("nft list table inet " TABLE " | tr -s '\\n\\t ' ' '");

    return strstr(text, what) != NULL;
}

static void fill(struct firewall *f)
{
    struct fw_net a = net_of("br0", "10.1.0.0/16"), b = net_of("br1", "10.2.3.4/24");

    b.subnets[1] = ip("fd00:1::/64");
    b.icc = false;
    b.sources[0] = ip("192.0.2.1");
    struct fw_net c = net_of("br-c", "10.3.0.0/24");
    c.internal = true;
    add(f, &a);
    add(f, &b);
    add(f, &c);
    publish(f, port("0.0.0.0", 8080, "10.1.0.2", "tcp"));
    publish(f, port("192.0.2.7", 53, "10.1.0.3", "udp"));
    publish(f, port("::", 8080, "fd00:1::2", "tcp"));
    publish(f, port("2001:db8::7", 9, "fd00:1::2", "sctp"));
}

TEST(networks_and_ports_are_elements)
{
    struct firewall *f = start();

    fill(f);
    CHECK(has("elements = { \"br-c\", \"br0\", \"br1\" }") || has("\"br0\""));
    CHECK(has("\"br0\" . \"br0\" : accept"));
    CHECK(has("\"br1\" . \"br1\" : drop"));
    CHECK(has("set internal { type ifname elements = { \"br-c\" } }"));
    CHECK(has("set masq4 { type ipv4_addr flags interval elements = { 10.1.0.0/16 } }"));
    CHECK(has("10.2.3.0/24 : 192.0.2.1"));
    CHECK(has("set masq6 { type ipv6_addr flags interval elements = { fd00:1::/64 } }"));
    CHECK(has("tcp . 8080 : 10.1.0.2 . 80"));
    CHECK(has("192.0.2.7 . udp . 53 : 10.1.0.3 . 80"));
    CHECK(has("tcp . 8080 : fd00:1::2 . 80"));
    CHECK(has("2001:db8::7 . sctp . 9 : fd00:1::2 . 80"));
    fw_free(f);
}

TEST(doors_are_elements)
{
    struct firewall *f = start();
    auto_free char *before = listing();
    struct fw_net a = net_of("br0", "10.1.0.0/16"), b = net_of("br1", "10.2.0.0/16");
    struct fw_port own[] = {port("0.0.0.0", 0, "10.1.0.2", "tcp"),
                            port("::", 0, "fd00:1::2", "udp"),
                            port("127.0.0.1", 7, "10.1.0.2", "tcp")}; /* the first again */
    struct err e = {0};

    a.subnets[1] = ip("fd00:1::/64");
    a.doors[0] = FW_ROUTED;
    a.doors[1] = FW_WIDE;
    b.doors[0] = FW_WIDE;
    add(f, &a);
    add(f, &b);
    CHECK_OK(fw_open_ports(f, own, 3, &e));
    CHECK_INT(sync_of(f), 0);
    CHECK(has("set routed4 { type ifname elements = { \"br0\" } }"));
    CHECK(has("set wide4 { type ifname elements = { \"br1\" } }"));
    CHECK(has("set wide6 { type ifname elements = { \"br0\" } }"));
    CHECK(has("set masq4 { type ipv4_addr flags interval elements = { 10.2.0.0/16 } }"));
    CHECK(has("set masq6 { type ipv6_addr flags interval elements = { fd00:1::/64 } }"));
    CHECK(has("elements = { 10.1.0.2 . tcp . 80 }"));
    CHECK(has("elements = { fd00:1::2 . udp . 80 }"));
    CHECK_OK(fw_shut_ports(f, own, 3, &e));
    CHECK_OK(fw_shut_ports(f, own, 3, &e)); /* an end that never had any is let go likewise */
    CHECK_OK(fw_net_del(f, &a, &e));
    CHECK_OK(fw_net_del(f, &b, &e));
    auto_free char *after = listing();
    CHECK_STR(after, before);
    fw_free(f);
}

/* The table outlives its daemon; the next one finds it right and touches nothing. */
TEST(the_same_again_changes_nothing)
{
    struct firewall *f = start(), *next;
    struct err e = {0};

    fill(f);
    auto_free char *before = listing();
    CHECK_INT(sync_of(f), 0);
    fw_free(f);
    CHECK_OK(fw_open(TABLE, true, false, &next, &e));
    fill(next);
    CHECK_INT(sync_of(next), 0);
    CHECK_INT(sync_of(next), 0);
    auto_free char *after = listing();
    CHECK_STR(after, before);
    fw_free(next);
}

TEST(the_next_daemon_takes_away_what_it_does_not_want)
{
    struct firewall *f = start(), *next;
    struct fw_net a = net_of("br0", "10.1.0.0/16");
    struct err e = {0};

    fill(f);
    fw_free(f);
    CHECK_OK(fw_open(TABLE, true, false, &next, &e));
    add(next, &a);
    publish(next, port("0.0.0.0", 8080, "10.1.0.9", "tcp")); /* the same port to somebody else */
    CHECK_INT(sync_of(next), 1);
    CHECK(has("set nets { type ifname elements = { \"br0\" } }"));
    CHECK(has("tcp . 8080 : 10.1.0.9 . 80") && !has("10.1.0.2") && !has("fd00:1::2"));
    CHECK(!has("192.0.2.1") && !has("\"br1\"") && !has("sctp ."));
    CHECK_INT(sync_of(next), 0);
    fw_free(next);
}

TEST(what_is_added_and_taken_away_leaves_nothing)
{
    struct firewall *f = start();
    auto_free char *before = listing();
    struct fw_net a = net_of("br0", "10.1.0.0/16");
    struct fw_port two[] = {port("0.0.0.0", 80, "10.1.0.2", "tcp"),
                            port("0.0.0.0", 80, "10.1.0.2", "udp")};
    struct err e = {0};

    add(f, &a);
    CHECK_OK(fw_publish(f, two, 2, &e));
    CHECK(has("tcp . 80") && has("udp . 80"));
    CHECK_OK(fw_unpublish(f, two, 2, &e));
    CHECK_OK(fw_net_del(f, &a, &e));
    auto_free char *after = listing();
    CHECK_STR(after, before);
    CHECK_INT(sync_of(f), 0);
    fw_free(f);
}

/* All of a call or nothing: a name that is too long for a link cannot be an element. */
TEST(what_is_refused_is_not_wanted)
{
    struct firewall *f = start();
    struct fw_net bad = net_of("a-name-that-no-link-can-have", "10.9.0.0/16");
    auto_free char *before = listing();
    struct err e = {0};

    CHECK(fw_net_add(f, &bad, &e) < 0);
    CHECK(strstr(e.msg, "nftables: add network: "));
    CHECK_INT(sync_of(f), 0);
    auto_free char *after = listing();
    CHECK_STR(after, before);
    fw_free(f);
}

/* What somebody wants already stays wanted when the rest of a call is refused. */
TEST(a_refused_call_takes_nothing_from_others)
{
    struct firewall *f = start();
    struct fw_port one = port("0.0.0.0", 80, "10.1.0.2", "tcp");
    struct fw_port two[] = {one, port("0.0.0.0", 81, "10.1.0.2", "nonsense")};
    struct err e = {0};

    publish(f, one);
    CHECK(fw_publish(f, two, 2, &e) < 0);
    CHECK_INT(sync_of(f), 0);
    CHECK(has("tcp . 80 : 10.1.0.2 . 80") && !has(". 81"));
    fw_free(f);
}

static void check_mended(struct firewall *f, const char *harm, int want)
{
    auto_free char *before = output_of("nft list table inet " TABLE);

    run("%s", harm);
    CHECK_INT(sync_of(f), want);
    auto_free char *after = output_of("nft list table inet " TABLE);
    CHECK_STR(after, before);
    CHECK_INT(sync_of(f), 0);
}

TEST(harm_is_mended)
{
    struct firewall *f = start();

    fill(f);
    check_mended(f, "nft flush ruleset", 2);
    check_mended(f, "nft delete table inet " TABLE, 2);
    check_mended(f, "nft flush chain inet " TABLE " forward", 2);
    check_mended(f, "nft flush table inet " TABLE, 2);
    check_mended(f, "nft flush chain inet " TABLE " pre; nft delete chain inet " TABLE " pre", 2);
    check_mended(f, "nft add rule inet " TABLE " forward drop", 2);
    check_mended(f, "nft insert rule inet " TABLE " forward accept", 2);
    /* As many rules as before, but another one: replaced, and put in another place. */
    check_mended(f,
                 "h=$(nft -a list chain inet " TABLE " inward | sed -n 's/drop # handle //p');"
                 "nft replace rule inet " TABLE " inward handle $h accept",
                 2);
    check_mended(f,
                 "h=$(nft -a list chain inet " TABLE " inward | sed -n 's/drop # handle //p');"
                 "nft delete rule inet " TABLE " inward handle $h;"
                 "nft add rule inet " TABLE " inward accept",
                 2);
    check_mended(f, "nft add chain inet " TABLE " forward '{ policy drop; }'", 2);
    check_mended(f, "nft add chain inet " TABLE " more", 2);
    check_mended(f, "nft add set inet " TABLE " more '{ type mark; }'", 2);
    check_mended(f, "nft add counter inet " TABLE " more", 2);
    check_mended(f, "nft add table inet " TABLE " '{ flags dormant; }'", 2);
    check_mended(f, "nft add element inet " TABLE " wide4 '{ \"eth9\" comment \"mine\" }'", 1);
    check_mended(f, "nft add element inet " TABLE " masq4 '{ 10.7.0.1-10.7.0.6 }'", 1);
    check_mended(f, "nft add element inet " TABLE " snat4 '{ 10.7.0.0/24 : 10.9.0.1 }'", 1);
    check_mended(f, "nft flush map inet " TABLE " any4", 1);
    check_mended(f, "nft flush set inet " TABLE " nets", 1);
    check_mended(f, "nft delete element inet " TABLE " masq4 '{ 10.1.0.0/16 }'", 1);
    check_mended(f, "nft add element inet " TABLE " nets '{ \"eth9\" }'", 1);
    check_mended(f, "nft add element inet " TABLE " any4 '{ udp . 9 : 10.1.0.9 . 9 }'", 1);
    check_mended(f,
                 "nft delete element inet " TABLE " any4 '{ tcp . 8080 }';"
                 "nft add element inet " TABLE " any4 '{ tcp . 8080 : 10.9.9.9 . 1 }'",
                 1);
    fw_free(f);
}

/* The rest of the ruleset is somebody else's. */
TEST(other_tables_are_left_alone)
{
    struct firewall *f = start();

    run("nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c drop");
    auto_free char *before = output_of("nft -a list table inet theirs");
    fill(f);
    run("nft flush chain inet " TABLE " forward");
    CHECK_INT(sync_of(f), 2);
    struct err e = {0};
    CHECK_OK(fw_remove(f, &e));
    auto_free char *after = output_of("nft -a list table inet theirs");
    CHECK_STR(after, before);
    fw_free(f);
}

/* Nobody has told us yet that the table was flushed: containers start, stop and networks go. */
TEST(changes_succeed_when_somebody_has_just_flushed_all)
{
    struct firewall *f = start();
    struct fw_net a = net_of("br0", "10.1.0.0/16"), d = net_of("br-d", "10.4.0.0/16");
    struct fw_port p = port("0.0.0.0", 8080, "10.1.0.2", "tcp");
    struct err e = {0};

    fill(f);
    run("nft flush ruleset");
    CHECK_OK(fw_net_del(f, &a, &e));
    CHECK(!has("\"br0\"") && has("\"br1\""));
    run("nft flush ruleset");
    CHECK_OK(fw_unpublish(f, &p, 1, &e));
    CHECK(!has("10.1.0.2") && has("192.0.2.7 . udp . 53"));
    run("nft flush ruleset");
    CHECK_OK(fw_net_add(f, &d, &e));
    CHECK(has("\"br-d\" . \"br-d\" : accept") && has("\"br1\""));
    CHECK_OK(fw_net_del(f, &a, &e)); /* once more, as after a removal that failed halfway */
    CHECK_INT(e.no, 0);
    CHECK_INT(sync_of(f), 0);
    fw_free(f);
}

TEST(removal_and_what_comes_after_it)
{
    struct firewall *f = start();
    struct fw_port p = port("0.0.0.0", 8080, "10.1.0.2", "tcp");
    struct err e = {0};

    fill(f);
    CHECK_OK(fw_remove(f, &e));
    CHECK_OK(fw_remove(f, &e)); /* a missing one is success */
    CHECK_OK(fw_unpublish(f, &p, 1, &e));
    CHECK_OUTPUT("", "nft list tables");
    CHECK_INT(sync_of(f), 2);
    CHECK(has("\"br0\"") && !has("10.1.0.2"));
    fw_free(f);
}

TEST(before_the_first_sync_nothing_is_asked_of_the_kernel)
{
    struct firewall *f;
    struct err e = {0};

    own_root_netns();
    CHECK_OK(fw_open(TABLE, true, false, &f, &e));
    fill(f);
    CHECK_OUTPUT("", "nft list tables");
    CHECK_INT(sync_of(f), 2);
    CHECK(has("tcp . 8080 : 10.1.0.2 . 80"));
    fw_free(f);
}

TEST(switched_off_it_does_nothing)
{
    struct firewall *f;
    struct fw_net a = net_of("br0", "10.1.0.0/16");
    struct err e = {0};

    own_root_netns();
    CHECK_OK(fw_open(TABLE, false, false, &f, &e));
    CHECK_INT(fw_port_id(f), 0);
    fill(f);
    CHECK_INT(sync_of(f), 0);
    CHECK_OK(fw_net_del(f, &a, &e));
    CHECK_OK(fw_remove(f, &e));
    CHECK_OUTPUT("", "nft list ruleset");
    fw_free(f);
}

/* Our own notifications are told by it. */
TEST(it_knows_its_netlink_port)
{
    struct firewall *f = start();

    CHECK(fw_port_id(f) != 0);
    CHECK_STR(fw_table(f), TABLE);
    fw_free(f);
}

TEST(a_full_table_is_compared_in_one_go)
{
    enum { N = 3000 };
    static struct fw_port v[N];
    struct firewall *f = start(), *next;
    struct err e = {0};

    for (unsigned i = 0; i < N; i++)
        v[i] = port("0.0.0.0", (uint16_t)(10000 + i), "10.1.0.2", i % 2 ? "tcp" : "udp");
    CHECK_OK(fw_publish(f, v, N, &e));
    fw_free(f);
    CHECK_OK(fw_open(TABLE, true, false, &next, &e));
    CHECK_OK(fw_publish(next, v, N, &e));
    CHECK_INT(sync_of(next), 0);
    CHECK_OK(fw_unpublish(next, v, N, &e));
    CHECK_INT(sync_of(next), 0);
    CHECK(!has("10.1.0.2"));
    fw_free(next);
}
