/*
 * What programs in a container do: resolvers that people use ask 127.0.0.11 port 53, which leads to
 * the name server's sockets. In network and mount namespaces of our own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/test.h"
#include "kern/nft.h"
#include "network/dns.h"

struct fixture {
    struct dns *d;
    struct dns_zone *z;
    struct dns_client *c;
};

static int bound(int type, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && inet_pton(AF_INET, DNS_ADDRESS, &a.sin_addr) == 1);
    CHECK(bind(fd, (struct sockaddr *)&a, n) == 0);
    CHECK(type != SOCK_STREAM || listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void own_namespaces(void)
{
    struct err e = {0};

    NEED_ROOT();
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
        SKIP("cannot make namespaces");
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_link_up(nl, rtnl_link_index(nl, "lo", &e), &e));
}

static void add(const struct fixture *f, const char *name, const char *addr)
{
    struct ip i;

    CHECK_INT(ip_parse(addr, &i), 0);
    dns_zone_add(f->z, name, &i, true);
}

/* The C library asks for addresses of the families that it has itself, loopback aside. */
static void have_addresses(void)
{
    struct err e = {0};
    struct ip v4, v6;
    auto_close int nl = rtnl_open(&e);

    CHECK_OK(nl);
    CHECK_OK(rtnl_bridge_add(nl, "test0", 1500, &e));
    CHECK(ip_parse("10.1.0.9/24", &v4) == 0 && ip_parse("fd00::9/64", &v6) == 0);
    CHECK_OK(rtnl_addr_add(nl, rtnl_link_index(nl, "test0", &e), &v4, &e));
    CHECK_OK(rtnl_addr_add(nl, rtnl_link_index(nl, "test0", &e), &v6, &e));
}

static struct fixture setup(void)
{
    struct fixture f;
    struct err e = {0};
    struct ip server;
    uint16_t udp_port, tcp_port;

    own_namespaces();
    int udp = bound(SOCK_DGRAM, &udp_port), tcp = bound(SOCK_STREAM, &tcp_port);
    CHECK_INT(ip_parse(DNS_ADDRESS, &server), 0);
    int r = nft_redirect_local(&server, 53, udp_port, tcp_port, &e);
    if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT)
        SKIP("no nf_tables");
    CHECK_OK(r);
    CHECK_OK(dns_new(&f.d, &e));
    f.z = dns_zone_new(f.d, "net");
    struct dns_view view = {.zones = &f.z, .nzones = 1};
    CHECK_OK(dns_client_new(f.d, udp, tcp, &view, &f.c, &e));
    add(&f, "web", "10.1.0.2");
    add(&f, "web", "fd00::2");
    return f;
}

static void teardown(struct fixture *f)
{
    dns_client_free(f->c);
    dns_zone_free(f->z);
    dns_free(f->d);
}

/* What a command prints; it must end well when @code is 0. */
static const char *output(const char *command, int code)
{
    static char text[65536];
    FILE *p = popen(command, "r");

    CHECK(p);
    size_t n = fread(text, 1, sizeof(text) - 1, p);
    text[n] = '\0';
    int status = pclose(p);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        TEST_FAIL("%s: ended with %d: %s", command, status, text);
    return text;
}

static void need(const char *program)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
    if (system(command) != 0)
        SKIP("a program is not installed");
}

static void want_line(const char *text, const char *line)
{
    if (!strstr(text, line))
        TEST_FAIL("no \"%s\" in: %s", line, text);
}

/* dig and kdig: the same options, other code. */
static void check_digger(const char *program)
{
    struct fixture f = setup();
    char c[256], many[64];
    static const struct {
        const char *args, *want;
    } t[] = {
        {"web A", "10.1.0.2\n"},
        {"web.net AAAA", "fd00::2\n"},
        {"+tcp web A", "10.1.0.2\n"},
        {"+noedns web A", "10.1.0.2\n"},
        {"+bufsize=4096 +dnssec web A", "10.1.0.2\n"},
        {"-x 10.1.0.2", "web.net.\n"},
        {"-x fd00::2", "web.net.\n"},
        {"+tcp -x fd00::2", "web.net.\n"},
        {"web MX", ""},
        {"nope A", ""},
    };

    need(program);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        (void)snprintf(c, sizeof(c), "%s +short @%s %s", program, DNS_ADDRESS, t[i].args);
        CHECK_STR(output(c, 0), t[i].want);
    }
    for (int i = 1; i <= 200; i++) {
        (void)snprintf(many, sizeof(many), "10.2.0.%d", i);
        add(&f, "many", many);
    }
    /* Cut by datagram, so asked again by TCP. */
    (void)snprintf(c, sizeof(c), "%s 2>&1 +short @%s many A | grep -c ^10.2.0", program,
                   DNS_ADDRESS);
    CHECK_STR(output(c, 0), "200\n");
    (void)snprintf(c, sizeof(c), "%s @%s nope A", program, DNS_ADDRESS);
    want_line(output(c, 0), "NXDOMAIN");
    (void)snprintf(c, sizeof(c), "%s @%s wEb A", program, DNS_ADDRESS);
    const char *text = output(c, 0);
    want_line(text, "NOERROR");
    want_line(text, strcmp(program, "dig") == 0 ? "wEb." : "web."); /* kdig prefers lower case */
    CHECK(!strstr(text, "WARNING") && !strstr(text, "alformed"));
    teardown(&f);
}

TEST(dig_understands)
{
    check_digger("dig");
}

TEST(kdig_understands)
{
    check_digger("kdig");
}

static void replace_file(const char *path, const char *text)
{
    char mine[] = "/tmp/test-dns-XXXXXX";
    auto_close int fd = mkostemp(mine, O_CLOEXEC);

    CHECK(fd >= 0 && fchmod(fd, 0644) == 0);
    CHECK_INT(write_full(fd, text, strlen(text)), 0);
    CHECK(mount(mine, path, NULL, MS_BIND, NULL) == 0);
    CHECK(unlink(mine) == 0);
}

TEST(the_c_library_understands)
{
    struct fixture f = setup();

    need("getent");
    have_addresses();
    replace_file("/etc/resolv.conf", "nameserver " DNS_ADDRESS "\noptions ndots:0\n");
    replace_file("/etc/nsswitch.conf", "hosts: dns\n");
    want_line(output("getent ahostsv4 web", 0), "10.1.0.2");
    want_line(output("getent ahostsv6 web.net", 0), "fd00::2");
    const char *both = output("getent ahosts web", 0);
    want_line(both, "10.1.0.2");
    want_line(both, "fd00::2");
    want_line(output("getent hosts 10.1.0.2", 0), "web.net");
    want_line(output("getent hosts fd00::2", 0), "web.net");
    CHECK_STR(output("getent ahosts nope", 2), "");
    add(&f, "only4", "10.1.0.4"); /* no AAAA record must not mean no such name */
    want_line(output("getent ahosts only4", 0), "10.1.0.4");
    teardown(&f);
}
