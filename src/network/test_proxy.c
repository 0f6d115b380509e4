/* Ports that are spliced by this process: a client, the host's socket, a server "in the
 * container". The proxy works on its own thread; what the test does, it does on this one. */
#include "network/proxy-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "network/test_netns.h"

#define PATIENCE_MS 30000
#define CAP 32 /* connections and senders of one port, where a case wants to reach it */

/* ---- sockets ---- */

static socklen_t fill(struct sockaddr_storage *a, const char *text, uint16_t port)
{
    struct ip i = ip(text);
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

    memset(a, 0, sizeof(*a));
    a->ss_family = i.family;
    v4->sin_port = htons(port); /* at the same place in IPv6 */
    if (i.family == AF_INET)
        memcpy(&v4->sin_addr, i.addr, 4);
    else
        memcpy(&v6->sin6_addr, i.addr, 16);
    return i.family == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

static int bound(int type, const char *text)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, 0);
    int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    if (fd < 0 && errno == EAFNOSUPPORT)
        SKIP("no IPv6");
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, n), 0);
    if (type == SOCK_STREAM)
        CHECK_INT(listen(fd, 4096), 0);
    return fd;
}

static uint16_t number_of(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t n = sizeof(a);

    CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin6_port); /* at the same place in IPv4 */
}

static void set_patience(int fd)
{
    struct timeval t = {.tv_sec = PATIENCE_MS / 1000};

    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
}

static int connected(int type, const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = fill(&a, text, port);
    int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    set_patience(fd);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, n), 0);
    return fd;
}

static int accepted(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    set_patience(fd);
    return fd;
}

static void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect(int fd, const char *text)
{
    char got[64] = "";
    size_t n = 0;

    while (n < strlen(text)) {
        ssize_t r = recv(fd, got + n, strlen(text) - n, 0);
        if (r <= 0)
            TEST_FAIL("\"%s\" is missing after \"%s\"", text, got);
        n += (size_t)r;
    }
    CHECK_STR(got, text);
}

/* The end, by a last segment or a reset. */
static void expect_end(int fd)
{
    char byte;
    ssize_t r = recv(fd, &byte, 1, 0);

    if (r > 0 || (r < 0 && errno != ECONNRESET))
        TEST_FAIL("no end of the connection: %zd, %s", r, strerror(errno));
}

/* ---- the fixture ---- */

struct fixture {
    struct proxy *proxy;
    struct proxy_port *port;
    int host, server; /* the published socket, the container's */
    uint16_t number;
};

static void serve(struct fixture *f, int type, const char *host, const char *to)
{
    struct ip addr = ip(to);
    struct err e = {0};

    f->host = bound(type, host);
    f->server = bound(type, to);
    set_patience(f->server);
    f->number = number_of(f->host);
    CHECK_OK(proxy_port_new(f->proxy, f->host, type == SOCK_STREAM, &addr, number_of(f->server),
                            &f->port, &e));
}

static struct fixture start_capped(int type, const char *host, const char *to)
{
    struct fixture f = {0};

    own_netns();
    f.proxy = proxy_new();
    proxy_set_max(f.proxy, CAP);
    serve(&f, type, host, to);
    return f;
}

static struct fixture start(int type, const char *host, const char *to)
{
    struct fixture f = {0};

    own_netns();
    f.proxy = proxy_new();
    serve(&f, type, host, to);
    return f;
}

static void done(struct fixture *f)
{
    proxy_port_free(f->port);
    proxy_free(f->proxy);
    close_fd(&f->host);
    close_fd(&f->server);
}

struct pair {
    int client, server;
};

static struct pair joined(struct fixture *f)
{
    struct pair p = {.client = connected(SOCK_STREAM, "127.0.0.1", f->number)};

    p.server = accepted(f->server);
    return p;
}

static void part(struct pair *p)
{
    close_fd(&p->client);
    close_fd(&p->server);
}

/* CPU time of this whole process while nothing shall happen. */
static void expect_idle(const char *when)
{
    struct timespec a, b;

    CHECK_INT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a), 0);
    (void)poll(NULL, 0, 300);
    CHECK_INT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b), 0);
    int64_t ns = (b.tv_sec - a.tv_sec) * NS_PER_S + b.tv_nsec - a.tv_nsec;
    if (ns > 60 * NS_PER_MS)
        TEST_FAIL("%s: %lld ms of 300 were computed", when, (long long)(ns / NS_PER_MS));
}

/* ---- connections ---- */

TEST(bytes_go_both_ways)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    struct pair p = joined(&f);

    say(p.client, "question");
    expect(p.server, "question");
    say(p.server, "answer");
    expect(p.client, "answer");
    expect_idle("a silent connection");
    part(&p);
    done(&f);
}

TEST(ipv6_leads_to_ipv4)
{
    struct fixture f = start(SOCK_STREAM, "::1", "127.0.0.5");
    auto_close int client = connected(SOCK_STREAM, "::1", f.number);
    auto_close int server = accepted(f.server);

    say(client, "six");
    expect(server, "six");
    done(&f);
}

TEST(either_side_may_end_first_and_still_listen)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");

    for (int i = 0; i < 2; i++) {
        struct pair p = joined(&f);
        int first = i ? p.server : p.client, second = i ? p.client : p.server;
        say(first, "last words");
        CHECK_INT(shutdown(first, SHUT_WR), 0);
        expect(second, "last words");
        expect_end(second);
        expect_idle("a connection that is through in one direction");
        say(second, "and an answer");
        expect(first, "and an answer");
        CHECK_INT(shutdown(second, SHUT_WR), 0);
        expect_end(first);
        part(&p);
    }
    done(&f);
}

TEST(a_reset_is_passed_on)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    struct linger now = {.l_onoff = 1};

    for (int i = 0; i < 2; i++) {
        struct pair p = joined(&f);
        int *first = i ? &p.server : &p.client, second = i ? p.client : p.server;
        CHECK_INT(setsockopt(*first, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
        close_fd(first);
        expect_end(second);
        part(&p);
    }
    done(&f);
}

TEST(a_target_that_refuses_closes_the_client)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");

    close_fd(&f.server);
    auto_close int client = connected(SOCK_STREAM, "127.0.0.1", f.number);
    expect_end(client);
    expect_idle("after that");
    done(&f);
}

TEST(what_was_said_before_the_target_answers_is_kept)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    auto_close int client = connected(SOCK_STREAM, "127.0.0.1", f.number);

    say(client, "early");
    CHECK_INT(shutdown(client, SHUT_WR), 0);
    auto_close int server = accepted(f.server);
    expect(server, "early");
    expect_end(server);
    done(&f);
}

TEST(freeing_a_port_cuts_its_connections_only)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5"), other = {.proxy = f.proxy};
    struct pair a = joined(&f), b = joined(&f);

    serve(&other, SOCK_STREAM, "0.0.0.0", "127.0.0.6");
    struct pair c = joined(&other);
    say(a.client, "x"); /* on its way or not */
    proxy_port_free(take_ptr(&f.port));
    expect_end(a.client);
    expect_end(b.client);
    expect_end(b.server);
    say(c.client, "still here");
    expect(c.server, "still here");
    CHECK_INT(number_of(f.host), f.number); /* the socket is still the caller's */
    part(&a);
    part(&b);
    part(&c);
    proxy_port_free(other.port);
    close_fd(&other.host);
    close_fd(&other.server);
    done(&f);
}

/* ---- much of it ---- */

#define MUCH (100U << 20)
#define STEP 65536

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 >> 3);
}

struct end {
    size_t sent, got;
};

static void send_some(int fd, struct end *e)
{
    unsigned char buf[STEP];
    size_t n = MUCH - e->sent < STEP ? MUCH - e->sent : STEP;

    for (size_t i = 0; i < n; i++)
        buf[i] = pattern(e->sent + i);
    ssize_t r = send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    CHECK(r > 0 || errno == EAGAIN);
    e->sent += r > 0 ? (size_t)r : 0;
    if (e->sent == MUCH && r > 0)
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
}

/* Return: false at the end. */
static bool get_some(int fd, struct end *e)
{
    unsigned char buf[STEP];
    ssize_t r = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

    CHECK(r >= 0 || errno == EAGAIN);
    for (ssize_t i = 0; i < r; i++)
        CHECK_INT(buf[i], pattern(e->got + (size_t)i));
    e->got += r > 0 ? (size_t)r : 0;
    return r != 0;
}

static void both_send(const struct pair *p, struct end *c, struct end *s, int ms)
{
    struct pollfd fds[] = {{.fd = p->client, .events = c->sent < MUCH ? POLLOUT : 0},
                           {.fd = p->server, .events = s->sent < MUCH ? POLLOUT : 0}};

    if (poll(fds, 2, ms) <= 0)
        return;
    if (fds[0].revents & POLLOUT)
        send_some(p->client, c);
    if (fds[1].revents & POLLOUT)
        send_some(p->server, s);
}

static long rss_kb(void)
{
    auto_free char *text = output_of("awk '/^VmRSS/ { print $2 }' /proc/%d/status", (int)getpid());

    return strtol(text, NULL, 10);
}

/* Nobody reads at first: everything fills up and comes to a stop, and all of it arrives later. */
TEST(a_hundred_megabytes_each_way_at_once)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    struct pair p = joined(&f);
    struct end c = {0}, s = {0};
    long before = rss_kb();

    for (size_t last = SIZE_MAX; last != c.sent + s.sent;) {
        last = c.sent + s.sent;
        both_send(&p, &c, &s, 200);
    }
    CHECK(c.sent > STEP && s.sent > STEP && c.sent < MUCH && s.sent < MUCH);
    expect_idle("nobody reads");
    bool client = true, server = true;
    while (client || server) {
        if (c.sent < MUCH || s.sent < MUCH)
            both_send(&p, &c, &s, 0);
        client = client && get_some(p.client, &c);
        server = server && get_some(p.server, &s);
    }
    CHECK_INT(c.got, MUCH);
    CHECK_INT(s.got, MUCH);
    if (rss_kb() - before > 16 * 1024)
        TEST_FAIL("%ld KiB more than before", rss_kb() - before);
    part(&p);
    done(&f);
}

/* A pipe has room for so many segments, not only for so many bytes. */
TEST(short_segments_to_somebody_who_does_not_read)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    int one = 1, small = 4096;
    size_t sent = 0, got = 0;
    char buf[STEP];

    CHECK_INT(setsockopt(f.server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    struct pair p = joined(&f);
    CHECK_INT(setsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    struct pollfd w = {.fd = p.client, .events = POLLOUT};
    while (poll(&w, 1, 200) == 1) {
        ssize_t r = send(p.client, "0123456789", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += r > 0 ? (size_t)r : 0;
    }
    expect_idle("nobody reads short segments");
    CHECK_INT(shutdown(p.client, SHUT_WR), 0);
    for (ssize_t r; (r = recv(p.server, buf, sizeof(buf), 0)) > 0;)
        got += (size_t)r;
    CHECK_INT(got, sent);
    part(&p);
    done(&f);
}

struct flood {
    int fd;
    atomic_bool stop;
};

static void *flood_in(void *arg)
{
    static const char zeros[STEP];
    struct flood *f = arg;

    while (!atomic_load(&f->stop) && send(f->fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
        continue;
    (void)shutdown(f->fd, SHUT_WR);
    return NULL;
}

static void *flood_out(void *arg)
{
    struct flood *f = arg;
    static char buf[STEP * 4];

    while (recv(f->fd, buf, sizeof(buf), 0) > 0)
        continue;
    return NULL;
}

TEST(a_fast_connection_leaves_others_their_turn)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    struct pair fast = joined(&f), slow = joined(&f);
    struct flood in = {.fd = fast.client}, out = {.fd = fast.server};
    pthread_t a, b;

    CHECK_INT(pthread_create(&a, NULL, flood_in, &in), 0);
    CHECK_INT(pthread_create(&b, NULL, flood_out, &out), 0);
    for (int i = 0; i < 200; i++) {
        say(slow.client, "ping");
        expect(slow.server, "ping");
        say(slow.server, "pong");
        expect(slow.client, "pong");
    }
    atomic_store(&in.stop, true);
    CHECK_INT(pthread_join(a, NULL), 0);
    CHECK_INT(pthread_join(b, NULL), 0);
    part(&fast);
    part(&slow);
    done(&f);
}

TEST(more_connections_than_the_cap_wait)
{
    struct fixture f = start_capped(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    static struct pair p[CAP];

    for (size_t i = 0; i < CAP; i++)
        p[i] = joined(&f);
    auto_close int client = connected(SOCK_STREAM, "127.0.0.1", f.number);
    struct pollfd w = {.fd = f.server, .events = POLLIN};
    say(client, "waits");
    expect_idle("one waits");
    CHECK_INT(poll(&w, 1, 0), 0);
    part(&p[CAP / 2]);
    auto_close int server = accepted(f.server);
    expect(server, "waits");
    for (size_t i = 0; i < CAP; i++)
        part(&p[i]);
    struct pair last = joined(&f); /* and all are forgotten */
    say(last.client, "x");
    expect(last.server, "x");
    part(&last);
    done(&f);
}

/* A connection that cannot be taken stays in the queue; meanwhile the thread does not spin. */
TEST(a_shortage_of_descriptors_passes)
{
    struct fixture f = start(SOCK_STREAM, "0.0.0.0", "127.0.0.5");
    struct rlimit before, none = {0};
    auto_close int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage a;
    socklen_t n = fill(&a, "127.0.0.1", f.number);

    set_patience(client);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_INT(connect(client, (struct sockaddr *)&a, n), 0);
    say(client, "patient");
    expect_idle("no descriptors");
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    auto_close int server = accepted(f.server);
    expect(server, "patient");
    done(&f);
}

/* ---- datagrams ---- */

static struct sockaddr_storage heard(int server, const char *text)
{
    struct sockaddr_storage from = {0};
    socklen_t n = sizeof(from);
    char got[64] = "";

    CHECK_INT(recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from, &n),
              (ssize_t)strlen(text));
    CHECK_STR(got, text);
    return from;
}

static void answer(int server, const struct sockaddr_storage *to, const char *text)
{
    CHECK_INT(
        sendto(server, text, strlen(text), 0, (const struct sockaddr *)to,
               to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
        (ssize_t)strlen(text));
}

/* A connected socket takes only what comes from where it sent to. */
TEST(answers_come_from_the_address_that_was_asked)
{
    static const char *const asked[] = {"127.0.0.1", "127.0.0.2", "127.9.9.9"};
    struct fixture f = start(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");

    for (size_t i = 0; i < 3; i++) {
        auto_close int client = connected(SOCK_DGRAM, asked[i], f.number);
        say(client, asked[i]);
        struct sockaddr_storage from = heard(f.server, asked[i]);
        answer(f.server, &from, "yes");
        expect(client, "yes");
    }
    done(&f);
}

TEST(ipv6_datagrams_too)
{
    struct fixture f = start(SOCK_DGRAM, "::", "127.0.0.5");
    auto_close int client = connected(SOCK_DGRAM, "::1", f.number);

    say(client, "six");
    struct sockaddr_storage from = heard(f.server, "six");
    answer(f.server, &from, "yes");
    expect(client, "yes");
    done(&f);
}

TEST(senders_are_kept_apart)
{
    struct fixture f = start(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");
    int client[8];
    struct sockaddr_storage from[8];
    char text[16];

    for (int i = 0; i < 8; i++) {
        client[i] = connected(SOCK_DGRAM, "127.0.0.1", f.number);
        (void)snprintf(text, sizeof(text), "from %d", i);
        say(client[i], text);
        from[i] = heard(f.server, text);
        for (int k = 0; k < i; k++)
            CHECK(memcmp(&from[i], &from[k], sizeof(from[i])) != 0);
    }
    say(client[3], "again");
    struct sockaddr_storage again = heard(f.server, "again");
    CHECK(memcmp(&again, &from[3], sizeof(again)) == 0); /* one socket per sender */
    for (int i = 7; i >= 0; i--) {
        (void)snprintf(text, sizeof(text), "to %d", i);
        answer(f.server, &from[i], text);
        expect(client[i], text);
        close_fd(&client[i]);
    }
    done(&f);
}

TEST(empty_and_large_datagrams)
{
    struct fixture f = start(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");
    auto_close int client = connected(SOCK_DGRAM, "127.0.0.1", f.number);
    auto_free char *big = xcalloc(1, 65507), *got = xcalloc(1, 65536);

    say(client, "");
    (void)heard(f.server, "");
    memset(big, 'b', 65507);
    CHECK_INT(send(client, big, 65507, 0), 65507);
    CHECK_INT(recv(f.server, got, 65536, 0), 65507);
    CHECK(memcmp(big, got, 65507) == 0);
    done(&f);
}

/* A server that starts late: what was refused before does not hang about. */
TEST(a_refused_datagram_is_lost_and_no_more)
{
    struct fixture f = start(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");
    auto_close int client = connected(SOCK_DGRAM, "127.0.0.1", f.number);
    struct sockaddr_storage a;
    socklen_t n = fill(&a, "127.0.0.5", number_of(f.server));

    close_fd(&f.server);
    say(client, "nobody");
    expect_idle("after a refusal");
    f.server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(f.server, (struct sockaddr *)&a, n), 0);
    set_patience(f.server);
    say(client, "somebody");
    (void)heard(f.server, "somebody");
    done(&f);
}

/* Anybody can send from many ports: whoever comes later is served all the same. */
TEST(more_senders_than_the_cap)
{
    struct fixture f = start_capped(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");
    static int client[CAP + 50];

    for (size_t i = 0; i < CAP + 50; i++) {
        client[i] = connected(SOCK_DGRAM, "127.0.0.1", f.number);
        say(client[i], "hello");
        struct sockaddr_storage from = heard(f.server, "hello");
        answer(f.server, &from, "yes");
        expect(client[i], "yes");
    }
    say(client[0], "forgotten, and welcome");
    struct sockaddr_storage from = heard(f.server, "forgotten, and welcome");
    answer(f.server, &from, "yes");
    expect(client[0], "yes");
    for (size_t i = 0; i < CAP + 50; i++)
        close_fd(&client[i]);
    done(&f);
}

TEST(ports_come_and_go_while_datagrams_arrive)
{
    struct fixture f = start(SOCK_DGRAM, "0.0.0.0", "127.0.0.5");
    auto_close int client = connected(SOCK_DGRAM, "127.0.0.1", f.number);
    struct ip to = ip("127.0.0.5");
    struct err e = {0};

    for (int i = 0; i < 300; i++) {
        say(client, "x");
        proxy_port_free(f.port);
        CHECK_OK(proxy_port_new(f.proxy, f.host, false, &to, number_of(f.server), &f.port, &e));
    }
    done(&f);
}
