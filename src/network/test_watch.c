/* What the eye on links and rules sees, and what it does not. */
#include "network/watch.h"

#include <errno.h>

#include "base/loop.h"
#include "base/time.h"
#include "network/network.h"
#include "network/test_netns.h"

#define TABLE "cleat-test"
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    struct loop *loop;
    struct net_host *host;
    struct net_watch *watch;
    struct network *net;
    struct net_subnet subnet;
    struct endpoint ep;
    int calls;
    bool over; /* the end of patience */
};

static void changed(void *arg)
{
    struct fixture *f = arg;

    f->calls++;
    loop_stop(f->loop);
}

static void on_time(struct loop_source *s, uint32_t events, void *arg)
{
    struct fixture *f = arg;

    (void)s;
    (void)events;
    f->over = true;
    loop_stop(f->loop);
}

/* Until it calls, or @ms are over. Return: calls. */
static int wait_call(struct fixture *f, int ms)
{
    struct loop_source *timer;
    struct err e = {0};

    f->calls = 0;
    f->over = false;
    CHECK_OK(loop_add_timer(f->loop, ms * NS_PER_MS, 0, on_time, f, &timer, &e));
    CHECK_OK(loop_run(f->loop, &e));
    loop_source_free(timer);
    return f->calls;
}

/* Four times the time that it lets a burst settle. */
static void expect_silence(struct fixture *f, const char *after)
{
    if (wait_call(f, 400) != 0)
        TEST_FAIL("called back after %s", after);
}

static void expect_one(struct fixture *f, const char *harm)
{
    run("%s", harm);
    if (wait_call(f, 20000) != 1)
        TEST_FAIL("not called back after %s", harm);
    expect_silence(f, "the burst was over");
}

static struct network *open_net(struct fixture *f)
{
    struct network_conf c = {.id = ID, .driver = "bridge", .subnets = &f->subnet, .nsubnets = 1};
    struct strmap none = {0};
    struct network *n;
    struct err e = {0};

    CHECK_OK(net_options_parse("bridge", &none, &c.opts, &e));
    (void)snprintf(c.opts.bridge, sizeof(c.opts.bridge), "br%d", (int)getpid());
    CHECK_OK(network_open(f->host, &c, &n, &e));
    return n;
}

static struct fixture start(void)
{
    static struct fixture f;
    struct net_host_conf conf = {.table = TABLE, .filter = true, .forward = true};
    struct err e = {0};

    own_root_netns();
    f.subnet = (struct net_subnet){.subnet = ip("10.7.0.0/24"), .gateway = ip("10.7.0.1/24")};
    CHECK_OK(loop_new(&f.loop, &e));
    CHECK_OK(net_host_open(&conf, &f.host, &e));
    int r = net_host_sync(f.host, &e);
    if (r < 0 && strstr(e.msg, "Operation not supported"))
        SKIP("no nf_tables in this kernel");
    CHECK_OK(r);
    f.net = open_net(&f);
    return f;
}

static void watch(struct fixture *f)
{
    struct err e = {0};

    CHECK_OK(net_watch_new(f->loop, f->host, changed, f, &f->watch, &e));
}

static void done(struct fixture *f)
{
    net_watch_free(f->watch);
    network_close(f->net);
    net_host_free(f->host);
    loop_free(f->loop);
}

TEST(what_we_do_ourselves_is_no_news)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    struct publish p = {
        .host = ip("0.0.0.0"), .host_port = 8080, .port = 80, .proto = "tcp", .reserved = -1};
    CHECK_OK(network_join(f.net, NULL, &f.ep, &e));
    CHECK_OK(network_publish(f.net, &f.ep, &p, 1, "web", &e));
    network_unpublish(f.net, &f.ep, &p, 1);
    network_leave(f.net, &f.ep);
    expect_silence(&f, "publishing");
    CHECK_OK(network_heal(f.net, &e));
    CHECK_INT(net_host_sync(f.host, &e), 0);
    expect_silence(&f, "healing what is whole");
    CHECK_OK(network_remove(f.net, &e));
    network_close(f.net);
    expect_silence(&f, "removing a network");
    f.net = open_net(&f);
    expect_silence(&f, "making a network");
    CHECK_OK(network_remove(f.net, &e));
    expect_silence(&f, "removing a network that is still open");
    done(&f);
}

TEST(mending_is_no_news_either)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    run("nft flush ruleset; ip link del br%d", (int)getpid());
    CHECK_INT(wait_call(&f, 20000), 1);
    CHECK_INT(network_heal(f.net, &e), 1);
    CHECK_INT(net_host_sync(f.host, &e), 2);
    expect_silence(&f, "mending");
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}

/* A name of the form brPID, as open_net() made it. */
static void expect_link_harm(struct fixture *f, const char *fmt)
{
    char command[256];
    struct err e = {0};

    (void)snprintf(command, sizeof(command), "b=br%d; %s", (int)getpid(), fmt);
    expect_one(f, command);
    CHECK_OK(network_heal(f->net, &e));
    /* Names come back while a link is down: that may be seen, and there is nothing left to do. */
    (void)wait_call(f, 400);
    CHECK_INT(network_heal(f->net, &e), 0);
    expect_silence(f, "healing");
}

TEST(harm_to_a_link_is_seen)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    expect_link_harm(&f, "ip link set $b down");
    expect_link_harm(&f, "ip addr flush dev $b");
    expect_link_harm(&f, "ip link set $b down; ip link set $b name other");
    expect_link_harm(&f, "ip link del $b");
    expect_link_harm(&f, "ip link del $b"); /* the new one is watched as well */
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}

TEST(harm_to_the_filter_is_seen)
{
    static const char *const harm[] = {
        "nft flush ruleset",
        "nft delete table inet " TABLE,
        "nft flush chain inet " TABLE " forward",
        "nft flush map inet " TABLE " same",
        "nft insert rule inet " TABLE " forward accept",
        "nft add chain inet " TABLE " more",
        "nft add set inet " TABLE " more '{ type mark; }'",
        "nft add element inet " TABLE " wide4 '{ \"eth9\" }'",
        "nft add table inet " TABLE " '{ flags dormant; }'",
        "nft add counter inet " TABLE " more",
        "nft delete element inet " TABLE " nets \"{ $(ip -br link | awk '/^br/ { print $1 }') }\"",
    };
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        expect_one(&f, harm[i]);
        CHECK(net_host_sync(f.host, &e) > 0);
        expect_silence(&f, "a sync");
    }
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}

TEST(a_burst_is_one_call)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    expect_one(&f, "for i in 1 2 3 4 5 6 7 8; do nft flush chain inet " TABLE " pre;"
                   " nft flush map inet " TABLE " same; done; nft flush ruleset");
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}

TEST(others_may_do_what_they_like_with_their_own)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    run("ip link add theirs type bridge; ip addr add 10.9.0.1/24 dev theirs; ip link set theirs up;"
        "ip link add v0 type veth peer name v1; ip link set v0 master br%d; ip link set v0 up;"
        "ip link set v0 nomaster; ip link del v0; ip link set theirs down; ip link del theirs;"
        "nft add table inet theirs; nft add set inet theirs s '{ type ipv4_addr; }';"
        "nft add element inet theirs s '{ 10.0.0.1 }'; nft flush set inet theirs s;"
        "nft delete table inet theirs; nft add table ip cleat-tes; nft delete table ip cleat-tes",
        (int)getpid());
    expect_silence(&f, "others' changes");
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}

/* More notifications than the socket holds: some are lost, and it looks. */
TEST(lost_notifications_count_as_a_change)
{
    struct fixture f = start();
    struct err e = {0};

    watch(&f);
    run("for i in $(seq 1500); do echo link add d$i type bridge; done >/tmp/cleat-batch-%d;"
        "ip -batch /tmp/cleat-batch-%d; rm /tmp/cleat-batch-%d",
        (int)getpid(), (int)getpid(), (int)getpid());
    CHECK_INT(wait_call(&f, 20000), 1);
    CHECK_OK(network_remove(f.net, &e));
    done(&f);
}
