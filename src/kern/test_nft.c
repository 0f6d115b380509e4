/* Redirected ports, in a network namespace of our own, where another program has port 53. */
#include "kern/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/test.h"
#include "base/time.h"

#define SERVER "127.0.0.11"
#define PORT 53

static struct sockaddr_in at(const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    CHECK(inet_pton(AF_INET, ip, &a.sin_addr) == 1);
    return a;
}

static int bound(int type, const char *ip, uint16_t port)
{
    struct sockaddr_in a = at(ip, port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    if (type == SOCK_STREAM)
        CHECK(listen(fd, 8) == 0);
    return fd;
}

static int to(int type, const char *ip, uint16_t port)
{
    struct sockaddr_in a = at(ip, port);
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        int no = errno;
        (void)close(fd);
        errno = no;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t n = sizeof(a);

    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    return ntohs(a.sin_port);
}

struct fixture {
    int udp, tcp, other_udp, other_tcp;
    struct ip addr;
};

static void new_netns(void)
{
    struct err e = {0};

    NEED_ROOT();
    if (unshare(CLONE_NEWNET) < 0)
        SKIP("no network namespaces");
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
}

static void redirect(const struct fixture *f)
{
    struct err e = {0};
    int r = nft_redirect_local(&f->addr, PORT, port_of(f->udp), port_of(f->tcp), &e);

    if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT)
        SKIP("no nf_tables");
    CHECK_OK(r);
}

static struct fixture setup(void)
{
    struct fixture f = {0};

    new_netns();
    CHECK_INT(ip_parse(SERVER, &f.addr), 0);
    f.udp = bound(SOCK_DGRAM, SERVER, 0);
    f.tcp = bound(SOCK_STREAM, SERVER, 0);
    f.other_udp = bound(SOCK_DGRAM, "0.0.0.0", PORT);
    f.other_tcp = bound(SOCK_STREAM, "0.0.0.0", PORT);
    redirect(&f);
    return f;
}

static void teardown(struct fixture *f)
{
    close_fd(&f->udp);
    close_fd(&f->tcp);
    close_fd(&f->other_udp);
    close_fd(&f->other_tcp);
}

/* The server behind @fd answers whoever asks. */
static void serve_datagram(int fd, const char *answer)
{
    char buf[16];
    struct sockaddr_in from;
    socklen_t n = sizeof(from);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CHECK_INT(poll(&p, 1, 20000), 1);
    CHECK_INT(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n), 1);
    CHECK_INT(sendto(fd, answer, 1, 0, (struct sockaddr *)&from, n), 1);
}

static void check_datagram(int server, const char *ip, const char *answer)
{
    auto_close int fd = to(SOCK_DGRAM, ip, PORT);
    char got;

    CHECK(fd >= 0);
    CHECK_INT(send(fd, "?", 1, 0), 1);
    serve_datagram(server, answer);
    CHECK_INT(recv(fd, &got, 1, 0), 1); /* connected: from that very address and port */
    CHECK_INT(got, *answer);
}

static void check_stream(int server, const char *ip, const char *answer)
{
    auto_close int fd = to(SOCK_STREAM, ip, PORT);
    CHECK(fd >= 0);
    auto_close int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    char got;

    CHECK(peer >= 0);
    CHECK_INT(send(fd, "?", 1, 0), 1);
    CHECK_INT(recv(peer, &got, 1, 0), 1);
    CHECK_INT(send(peer, answer, 1, 0), 1);
    CHECK_INT(recv(fd, &got, 1, 0), 1);
    CHECK_INT(got, *answer);
}

TEST(both_protocols_are_led_and_the_other_server_keeps_its_port)
{
    struct fixture f = setup();

    for (int i = 0; i < 3; i++) {
        check_datagram(f.udp, SERVER, "a");
        check_datagram(f.other_udp, "127.0.0.1", "b");
        check_stream(f.tcp, SERVER, "c");
        check_stream(f.other_tcp, "127.0.0.1", "d");
    }
    teardown(&f);
}

TEST(answers_come_from_the_port_that_was_asked)
{
    struct fixture f = setup();
    struct sockaddr_in server = at(SERVER, PORT), from;
    socklen_t n = sizeof(from);
    auto_close int fd = bound(SOCK_DGRAM, "0.0.0.0", 0);
    char got;

    CHECK_INT(sendto(fd, "?", 1, 0, (struct sockaddr *)&server, sizeof(server)), 1);
    serve_datagram(f.udp, "a");
    CHECK_INT(recvfrom(fd, &got, 1, 0, (struct sockaddr *)&from, &n), 1);
    CHECK_INT(ntohs(from.sin_port), PORT);
    CHECK_INT(from.sin_addr.s_addr, server.sin_addr.s_addr);
    teardown(&f);
}

/* A reset is not CHECKSUM_PARTIAL: without a corrected checksum connect() would time out. */
TEST(a_closed_port_refuses)
{
    struct fixture f = setup();

    close_fd(&f.tcp);
    CHECK_INT(to(SOCK_STREAM, SERVER, PORT), -1);
    CHECK_INT(errno, ECONNREFUSED);
    teardown(&f);
}

TEST(a_second_call_replaces_the_first)
{
    struct fixture f = setup();

    close_fd(&f.udp);
    close_fd(&f.tcp);
    f.udp = bound(SOCK_DGRAM, SERVER, 0);
    f.tcp = bound(SOCK_STREAM, SERVER, 0);
    redirect(&f);
    check_datagram(f.udp, SERVER, "a");
    check_stream(f.tcp, SERVER, "c");
    teardown(&f);
}

TEST(a_protocol_can_be_left_alone)
{
    struct fixture f = setup();
    struct err e = {0};

    CHECK_OK(nft_redirect_local(&f.addr, PORT, port_of(f.udp), 0, &e));
    check_datagram(f.udp, SERVER, "a");
    check_stream(f.other_tcp, SERVER, "d");
    teardown(&f);
}

TEST(bad_calls_say_so)
{
    struct err e = {0};
    struct ip v6;

    CHECK_INT(ip_parse("::1", &v6), 0);
    CHECK_INT(nft_redirect_local(&v6, PORT, 1, 1, &e), -EINVAL);
    CHECK_INT(e.kind, ERR_INVALID);
}

/* Without the privilege, the kernel's word comes back. */
TEST(the_kernels_refusal_is_an_error)
{
    struct err e = {0};
    struct ip addr;

    new_netns();
    CHECK_INT(ip_parse(SERVER, &addr), 0);
    if (setresuid(65534, 65534, 65534) < 0)
        SKIP("cannot become another user");
    CHECK_INT(nft_redirect_local(&addr, PORT, 1, 1, &e), -EPERM);
    CHECK(strstr(e.msg, "change packet filter") != NULL);
}
