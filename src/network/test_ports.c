/* Ports of the host: who gets which, and what the next one is told. */
#include "network/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "network/test_netns.h"

#define FIRST 32768 /* of the ports that nobody names */
#define LAST 60999

static struct publish port(const char *host, uint16_t number, const char *proto)
{
    return (struct publish){
        .host = ip(host), .host_port = number, .port = 80, .proto = proto, .reserved = -1};
}

static int bind_to(int type, const char *host, uint16_t number)
{
    struct ip at = ip(host);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(number)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = type == SOCK_STREAM;

    memcpy(&a.sin_addr, at.addr, 4);
    CHECK(fd >= 0);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    if (type == SOCK_STREAM)
        CHECK_INT(listen(fd, 8), 0);
    return fd;
}

static uint16_t number_of(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t n = sizeof(a);

    CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin6_port); /* at the same place in IPv4 */
}

static struct port_table *start(void)
{
    own_netns();
    return ports_new();
}

static void good(struct port_table *t, struct publish *v, size_t n, const char *owner)
{
    struct err e = {0};

    CHECK_OK(ports_reserve(t, v, n, owner, &e));
}

/* Nothing of it stays open. */
static void refused(struct port_table *t, struct publish *v, size_t n, const char *words)
{
    struct err e = {0};

    CHECK_INT(ports_reserve(t, v, n, "second", &e), -EADDRINUSE);
    CHECK_STR(e.msg, words);
    CHECK_INT(e.kind, ERR_SYSTEM);
    for (size_t i = 0; i < n; i++)
        CHECK_INT(v[i].reserved, -1);
}

TEST(a_port_is_held_until_it_is_released)
{
    struct port_table *t = start();
    struct publish p = port("0.0.0.0", 8080, "tcp"), again = p, other = p;

    good(t, &p, 1, "web");
    CHECK_INT(number_of(p.reserved), 8080);
    refused(t, &again, 1,
            "Bind for 0.0.0.0:8080 failed: port is already allocated (by container web)");
    ports_release(t, &p, 1);
    CHECK_INT(p.reserved, -1);
    good(t, &other, 1, "web2");
    ports_release(t, &other, 1);
    ports_free(t);
}

TEST(one_address_and_all_of_them_are_in_conflict)
{
    struct port_table *t = start();
    struct publish local = port("127.0.0.1", 80, "tcp"), all = port("0.0.0.0", 80, "tcp");
    struct publish other = port("127.0.0.2", 80, "tcp"), udp = port("0.0.0.0", 80, "udp");
    struct publish six = port("::", 80, "tcp");

    good(t, &local, 1, "one");
    refused(t, &all, 1, "Bind for 0.0.0.0:80 failed: port is already allocated (by container one)");
    good(t, &other, 1, "two");
    good(t, &udp, 1, "three");
    good(t, &six, 1, "four");
    ports_release(t, &local, 1);
    refused(t, &all, 1, "Bind for 0.0.0.0:80 failed: port is already allocated (by container two)");
    ports_release(t, &other, 1);
    good(t, &all, 1, "five");
    refused(t, &local, 1,
            "Bind for 127.0.0.1:80 failed: port is already allocated (by container five)");
    ports_release(t, &all, 1);
    ports_release(t, &udp, 1);
    ports_release(t, &six, 1);
    ports_free(t);
}

TEST(all_or_none)
{
    struct port_table *t = start();
    struct publish held = port("0.0.0.0", 81, "tcp"), free80 = port("0.0.0.0", 80, "tcp");
    struct publish v[] = {free80, port("0.0.0.0", 82, "udp"), held, port("0.0.0.0", 83, "tcp")};

    good(t, &held, 1, "web");
    refused(t, v, 4, "Bind for 0.0.0.0:81 failed: port is already allocated (by container web)");
    good(t, &free80, 1, "third"); /* what came before the conflict is free again */
    ports_release(t, &free80, 1);
    ports_release(t, &held, 1);
    ports_free(t);
}

TEST(one_container_twice_is_told_so)
{
    struct port_table *t = start();
    struct publish v[] = {port("0.0.0.0", 80, "tcp"), port("127.0.0.1", 80, "tcp")};

    refused(t, v, 2,
            "Bind for 127.0.0.1:80 failed: port is already allocated (by container second)");
    good(t, v, 1, "third");
    ports_release(t, v, 1);
    ports_free(t);
}

TEST(twins_get_one_number)
{
    struct port_table *t = start();
    struct publish v[4] = {port("0.0.0.0", 0, "tcp"), port("::", 0, "tcp"),
                           port("0.0.0.0", 0, "udp"), port("::", 0, "udp")};

    v[1].twin = v[3].twin = true;
    good(t, v, 4, "web");
    CHECK(v[0].host_port >= FIRST && v[0].host_port <= LAST);
    CHECK_INT(v[1].host_port, v[0].host_port);
    CHECK_INT(v[3].host_port, v[2].host_port);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(number_of(v[i].reserved), v[i].host_port);
    ports_release(t, v, 4);
    ports_free(t);
}

TEST(a_number_that_is_taken_in_one_family_is_passed_over_in_both)
{
    struct port_table *t = start();
    struct publish six = port("::", FIRST, "tcp");
    struct publish v[2] = {port("0.0.0.0", 0, "tcp"), port("::", 0, "tcp")};

    v[1].twin = true;
    good(t, &six, 1, "six");
    good(t, v, 2, "web");
    CHECK_INT(v[0].host_port, FIRST + 1);
    CHECK_INT(v[1].host_port, FIRST + 1);
    struct publish low = port("0.0.0.0", FIRST, "tcp"); /* it was let go of */
    good(t, &low, 1, "low");
    ports_release(t, v, 2);
    ports_release(t, &six, 1);
    ports_release(t, &low, 1);
    ports_free(t);
}

TEST(ranges_give_the_first_free_one)
{
    struct port_table *t = start();
    struct publish v[4];

    for (unsigned i = 0; i < 4; i++) {
        v[i] = port("0.0.0.0", 9000, "tcp");
        v[i].host_port_last = 9002;
    }
    for (unsigned i = 0; i < 3; i++) {
        good(t, &v[i], 1, "web");
        CHECK_INT(v[i].host_port, 9000 + i);
    }
    refused(t, &v[3], 1, "Bind for 0.0.0.0:9000-9002 failed: all ports are allocated");
    CHECK_INT(v[3].host_port, 9000); /* and can be asked for again */
    ports_release(t, &v[1], 1);
    good(t, &v[3], 1, "web");
    CHECK_INT(v[3].host_port, 9001);
    for (unsigned i = 0; i < 4; i++)
        if (i != 1)
            ports_release(t, &v[i], 1);
    ports_free(t);
}

TEST(the_last_port_of_all_ends_a_range)
{
    struct port_table *t = start();
    struct publish v[3];

    for (unsigned i = 0; i < 3; i++) {
        v[i] = port("0.0.0.0", 65534, "tcp");
        v[i].host_port_last = 65535;
    }
    good(t, &v[0], 1, "a");
    good(t, &v[1], 1, "b");
    CHECK_INT(v[1].host_port, 65535);
    refused(t, &v[2], 1, "Bind for 0.0.0.0:65534-65535 failed: all ports are allocated");
    ports_release(t, v, 2);
    ports_free(t);
}

TEST(chosen_numbers_wrap_around_and_are_not_used_again_at_once)
{
    struct port_table *t = start();
    uint16_t before = 0;

    for (unsigned i = 0; i <= LAST - FIRST + 1U; i++) {
        struct publish p = port("127.0.0.1", 0, "udp");
        good(t, &p, 1, "web");
        CHECK(p.host_port >= FIRST && p.host_port <= LAST);
        CHECK_INT(p.host_port, i == LAST - FIRST + 1U ? FIRST : i == 0 ? FIRST : before + 1);
        before = p.host_port;
        ports_release(t, &p, 1);
    }
    ports_free(t);
}

TEST(a_foreign_holder_is_named)
{
    struct port_table *t = start();
    auto_close int tcp = bind_to(SOCK_STREAM, "0.0.0.0", 8081);
    auto_close int udp = bind_to(SOCK_DGRAM, "127.0.0.1", 8081);
    struct publish a = port("0.0.0.0", 8081, "tcp"), b = port("0.0.0.0", 8081, "udp");
    char words[256];

    (void)tcp;
    (void)udp;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(words, sizeof(words),
                       "failed to bind host port for 0.0.0.0:8081/%s: address already in use "
                       "(by test_network_po, pid %d)",
                       i ? "udp" : "tcp", (int)getpid());
        refused(t, i ? &b : &a, 1, words);
    }
    ports_free(t);
}

TEST(a_foreign_holder_in_another_family_is_found)
{
    struct port_table *t = start();
    auto_close int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(8082)};
    struct publish p = port("0.0.0.0", 8082, "tcp");
    struct err e = {0};

    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
        SKIP("no IPv6");
    CHECK_INT(listen(fd, 1), 0);
    CHECK_INT(ports_reserve(t, &p, 1, "web", &e), -EADDRINUSE);
    CHECK(strstr(e.msg, "(by test_network_po, pid "));
    ports_free(t);
}

/* A process of that name that holds a port until the pipe @until is closed. */
static void hold(const char *name, const char *host, int type, uint16_t number, int until)
{
    struct ip at = ip(host);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(number)};
    char byte;

    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return;
    CHECK_INT(prctl(PR_SET_NAME, name), 0);
    CHECK_INT(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
    if (at.family == AF_INET) {
        (void)bind_to(type, host, number);
    } else {
        int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), only = strchr(host, '.') == NULL;
        memcpy(&a.sin6_addr, at.addr, 16);
        CHECK_INT(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
        CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        if (type == SOCK_STREAM)
            CHECK_INT(listen(fd, 8), 0);
    }
    CHECK_INT(write(until, "", 1), 1);
    (void)!read(until, &byte, 1);
    _exit(0);
}

/* One port number, and somebody at every address and protocol of it. */
TEST(of_several_holders_the_one_in_the_way_is_named)
{
    static const struct {
        const char *name, *host, *proto, *asked;
    } all[] = {
        {"tcp-one", "127.0.0.1", "tcp", "127.0.0.1"},
        {"tcp-two", "127.0.0.2", "tcp", "127.0.0.2"},
        {"udp-one", "127.0.0.1", "udp", "127.0.0.1"},
        {"udp-two", "127.0.0.2", "udp", "127.0.0.2"},
        {"tcp-six", "::1", "tcp", "::"},
        {"udp-six", "::1", "udp", "::1"},
        {"mapped", "::ffff:127.0.0.3", "tcp", "127.0.0.3"},
    };
    enum { N = sizeof(all) / sizeof(all[0]) };
    struct port_table *t = start();
    char want[64], byte;
    int pair[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < N; i++) {
        hold(all[i].name, all[i].host, strcmp(all[i].proto, "tcp") ? SOCK_DGRAM : SOCK_STREAM, 8085,
             pair[1]);
        CHECK_INT(read(pair[0], &byte, 1), 1);
    }
    for (size_t i = 0; i < N; i++) {
        struct publish p = port(all[i].asked, 8085, all[i].proto);
        struct err e = {0};
        CHECK_INT(ports_reserve(t, &p, 1, "web", &e), -EADDRINUSE);
        (void)snprintf(want, sizeof(want), "(by %s, pid ", all[i].name);
        if (!strstr(e.msg, want))
            TEST_FAIL("%s %s: %s", all[i].asked, all[i].proto, e.msg);
    }
    struct publish udp = port("127.0.0.3", 8085, "udp");
    good(t, &udp, 1, "web"); /* none of them is there */
    ports_release(t, &udp, 1);
    ports_free(t);
}

/* Who closes a connection first has it in TIME_WAIT at that port, for a minute. */
TEST(connections_that_linger_are_not_in_the_way)
{
    struct port_table *t = start();
    int listener = bind_to(SOCK_STREAM, "127.0.0.1", 8083);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8083)};
    struct publish p = port("0.0.0.0", 8083, "tcp");
    char byte;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_INT(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(server >= 0);
    close_fd(&server);
    CHECK_INT(read(client, &byte, 1), 0);
    close_fd(&client);
    close_fd(&listener);
    good(t, &p, 1, "web");
    ports_release(t, &p, 1);
    ports_free(t);
}

/* Most kernels have no SCTP sockets; the book is kept all the same. */
TEST(sctp_is_kept_in_the_book)
{
    struct port_table *t = start();
    struct publish p = port("0.0.0.0", 132, "sctp"), again = port("127.0.0.1", 132, "sctp");

    good(t, &p, 1, "one");
    refused(t, &again, 1,
            "Bind for 127.0.0.1:132 failed: port is already allocated (by container one)");
    ports_release(t, &p, 1);
    good(t, &again, 1, "two");
    ports_release(t, &again, 1);
    ports_free(t);
}

TEST(an_address_that_is_not_ours)
{
    struct port_table *t = start();
    struct publish p = port("192.0.2.1", 80, "tcp");
    struct err e = {0};

    CHECK_INT(ports_reserve(t, &p, 1, "web", &e), -EADDRNOTAVAIL);
    CHECK_STR(e.msg,
              "failed to bind host port for 192.0.2.1:80/tcp: Cannot assign requested address");
    CHECK_INT(p.reserved, -1);
    ports_free(t);
}

TEST(releasing_what_is_not_held_is_nothing)
{
    struct port_table *t = start();
    struct publish p = port("0.0.0.0", 80, "tcp"), other = port("0.0.0.0", 81, "tcp"), again = p;

    good(t, &p, 1, "web");
    ports_release(t, &other, 1);
    refused(t, &again, 1,
            "Bind for 0.0.0.0:80 failed: port is already allocated (by container web)");
    ports_release(t, &p, 1);
    ports_release(t, &p, 1);
    ports_free(t);
}
