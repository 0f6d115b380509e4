/*
 * How fast the name server answers: one program in a "container" asks for names known there, one
 * query at a time (how long does an answer take?), then with many under way (how many a second?).
 * Client and server share the machine. In a network namespace of its own: needs root.
 *
 *   bench-dns [seconds]
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "kern/nft.h"
#include "network/dns.h"

#define NAMES 1000
#define UNDER_WAY 64
#define SAMPLES_MAX 1000000

static _Noreturn void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "bench-dns: %s: %s\n", what, err ? err->msg : "failed");
    exit(1);
}

static int bound(int type, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, DNS_ADDRESS, &a.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&a, n) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
        (type == SOCK_STREAM && listen(fd, 16) < 0))
        die("bind", NULL);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void serve(void)
{
    struct err e = {0};
    struct dns *d;
    struct dns_client *c;
    struct ip ip;
    uint16_t udp_port, tcp_port;
    char name[16];

    int nl = unshare(CLONE_NEWNET) < 0 ? -1 : rtnl_open(&e);
    if (nl < 0 || rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e) < 0)
        die("network namespace", NULL);
    int udp = bound(SOCK_DGRAM, &udp_port), tcp = bound(SOCK_STREAM, &tcp_port);
    if (ip_parse(DNS_ADDRESS, &ip) < 0 || nft_redirect_local(&ip, 53, udp_port, tcp_port, &e) < 0 ||
        dns_new(&d, &e) < 0)
        die("server", &e);
    struct dns_zone *z = dns_zone_new(d, "net");
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof(name), "name%d", i);
        ip.addr[2] = (uint8_t)(i >> 8);
        ip.addr[3] = (uint8_t)i;
        dns_zone_add(z, name, &ip, true);
    }
    struct dns_view view = {.zones = &z, .nzones = 1};
    if (dns_client_new(d, udp, tcp, &view, &c, &e) < 0)
        die("client", &e);
}

static size_t query(uint8_t *p, unsigned id)
{
    static const uint8_t head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    static const uint8_t tail[] = {0, 0, 1, 0, 1};
    char name[16];

    memcpy(p, head, sizeof(head));
    p[0] = (uint8_t)(id >> 8);
    p[1] = (uint8_t)id;
    int n = snprintf(name, sizeof(name), "name%u", id % NAMES);
    p[12] = (uint8_t)n;
    memcpy(p + 13, name, (size_t)n);
    memcpy(p + 13 + n, tail, sizeof(tail));
    return 18 + (size_t)n;
}

static void ask(int fd, unsigned id)
{
    uint8_t p[64];
    size_t n = query(p, id);

    if (send(fd, p, n, 0) != (ssize_t)n)
        die("send", NULL);
}

static void want(int fd)
{
    uint8_t p[512];

    if (recv(fd, p, sizeof(p), 0) < 12 || p[7] != 1)
        die("no answer", NULL);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void one_at_a_time(int fd, int64_t until)
{
    static int64_t took[SAMPLES_MAX];
    size_t n = 0;

    while (n < SAMPLES_MAX && mono_ns() < until) {
        int64_t begin = mono_ns();
        ask(fd, (unsigned)n);
        want(fd);
        took[n++] = mono_ns() - begin;
    }
    qsort(took, n, sizeof(*took), by_value);
    size_t middle = n / 2, worst = n * 99 / 100;
    (void)printf("one at a time: median %.3f ms, 99%% below %.3f ms, longest %.3f ms\n",
                 (double)took[middle] / 1e6, (double)took[worst] / 1e6, (double)took[n - 1] / 1e6);
}

static void many_under_way(int fd, int64_t until)
{
    int64_t begin = mono_ns();
    unsigned n = 0;

    for (; n < UNDER_WAY; n++)
        ask(fd, n);
    for (; mono_ns() < until; n++) {
        want(fd);
        ask(fd, n);
    }
    (void)printf("%d under way: %.0f answers a second\n", UNDER_WAY,
                 (double)(n - UNDER_WAY) * 1e9 / (double)(mono_ns() - begin));
}

int main(int argc, char **argv)
{
    uint64_t seconds = 5;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct timeval patience = {.tv_sec = 5};

    if (argc > 1 && str_to_u64(argv[1], &seconds) < 0)
        die("usage: bench-dns [seconds]", NULL);
    serve();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, DNS_ADDRESS, &server.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
        die("connect", NULL);
    one_at_a_time(fd, mono_ns() + (int64_t)seconds * NS_PER_S);
    many_under_way(fd, mono_ns() + (int64_t)seconds * NS_PER_S);
    return 0;
}
