#include "base/test.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "http/addr.h"
#include "http/h1.h"
#include "http/query.h"

static int parse(const char *text, struct arena *a, struct h1_head *h)
{
    struct err e = {0};

    return h1_parse_request(text, strlen(text), a, h, &e);
}

TEST(head_end_is_found_however_it_arrives)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
    size_t want = strlen(text) - 4, scan = 0;

    for (size_t n = 0; n < want; n++)
        CHECK_INT(h1_head_end(text, n, &scan), 0);
    CHECK_INT(h1_head_end(text, strlen(text), &scan), want);
    scan = 0;
    CHECK_INT(h1_head_end("a\n\nb", 4, &scan), 3);
    scan = 0;
    CHECK_INT(h1_head_end("\r\n", 2, &scan), 2);
}

TEST(request_of_docker_cli)
{
    struct arena a = ARENA_INIT;
    struct h1_head h = {0};

    CHECK_INT(parse("POST /v1.41/containers/x/attach?stream=1 HTTP/1.1\r\nHost: docker\r\n"
                    "User-Agent: Docker-Client/28.2.2 (linux)\r\nContent-Length: 0\r\n"
                    "Connection: Upgrade\r\nContent-Type: text/plain\r\nUpgrade: tcp\r\n\r\n",
                    &a, &h),
              0);
    CHECK_STR(h.method, "POST");
    CHECK_STR(h.target, "/v1.41/containers/x/attach?stream=1");
    CHECK_STR(h1_header(&h, "uPGRADE"), "tcp");
    CHECK(h.upgrade);
    CHECK(h.keep_alive);
    CHECK_INT(h.length, 0);
    arena_done(&a);
}

TEST(bodies_and_connections)
{
    struct arena a = ARENA_INIT;
    struct h1_head h = {0};

    CHECK_INT(parse("PUT / HTTP/1.1\nHost:x\nTransfer-Encoding: Chunked\n\n", &a, &h), 0);
    CHECK_INT(h.length, H1_LENGTH_CHUNKED);
    CHECK_INT(parse("PUT / HTTP/1.1\r\nHost:x\r\nContent-Length: 12\r\nConnection: a, Close\r\n"
                    "Expect: 100-continue\r\n\r\n",
                    &a, &h),
              0);
    CHECK_INT(h.length, 12);
    CHECK(!h.keep_alive);
    CHECK(h.expect);
    CHECK_INT(parse("GET http://host/x HTTP/1.0\r\n\r\n", &a, &h), 0);
    CHECK_STR(h.target, "/x");
    CHECK(!h.keep_alive);
    arena_done(&a);
}

TEST(hostile_requests_are_refused)
{
    static const struct {
        const char *text;
        int want;
    } cases[] = {
        {"\r\n", -EINVAL},
        {"GET\r\n\r\n", -EINVAL},
        {"GET /\r\n\r\n", -EINVAL},
        {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", -EINVAL},
        {"GET / a HTTP/1.1\r\nHost: x\r\n\r\n", -EINVAL},
        {"G\tT / HTTP/1.1\r\nHost: x\r\n\r\n", -EINVAL},
        {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", -EINVAL},
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", -EPROTONOSUPPORT},
        {"GET / http/1.1\r\nHost: x\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\n\r\n", -EINVAL},                          /* no Host */
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", -EINVAL},    /* two */
        {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", -EINVAL},              /* blank before colon */
        {"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", -EINVAL}, /* folded */
        {"GET / HTTP/1.1\r\nHost: x\r\n\tfolded\r\n\r\n", -EINVAL},   /* folded */
        {"GET / HTTP/1.1\r\nHost: x\ry: z\r\n\r\n", -EINVAL},         /* bare CR */
        {"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", -EINVAL},        /* no name */
        {"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", -EINVAL},   /* no colon */
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1,1\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         -EINVAL},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", -EPROTONOSUPPORT},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0b"
         "chunked\r\n\r\n",
         -EINVAL},
        {"GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", -EINVAL},
    };
    struct arena a = ARENA_INIT;
    struct h1_head h = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = parse(cases[i].text, &a, &h);
        if (r != cases[i].want)
            TEST_FAIL("case %zu: got %d, want %d", i, r, cases[i].want);
    }
    struct err e = {0};
    CHECK_INT(h1_parse_request("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24, &a, &h, &e), -EINVAL);
    arena_done(&a);
}

TEST(too_many_headers)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    struct h1_head h = {0};

    buf_puts(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < H1_HEADERS_MAX; i++)
        buf_printf(&b, "X-%d: y\r\n", i);
    buf_puts(&b, "\r\n");
    CHECK_INT(parse(b.data, &a, &h), -E2BIG);
    buf_done(&b);
    arena_done(&a);
}

TEST(responses)
{
    struct arena a = ARENA_INIT;
    struct h1_head h = {0};
    struct err e = {0};
    static const char ok[] = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n";

    CHECK_OK(h1_parse_response(ok, strlen(ok), "GET", &a, &h, &e));
    CHECK_INT(h.status, 200);
    CHECK_STR(h.reason, "OK");
    CHECK_INT(h.length, H1_LENGTH_TO_END);
    CHECK(!h.keep_alive);
    CHECK_OK(h1_parse_response(ok, strlen(ok), "HEAD", &a, &h, &e));
    CHECK_INT(h.length, 0);
    CHECK_INT(h1_parse_response("HTTP/1.1 20 OK\r\n\r\n", 18, "GET", &a, &h, &e), -EINVAL);
    CHECK_INT(h1_parse_response("HTTP/1.1 abc OK\r\n\r\n", 19, "GET", &a, &h, &e), -EINVAL);
    arena_done(&a);
}

/* The whole body of @text as told by @length, or a negative error. */
static ssize_t body(const char *text, int64_t length, char *out, size_t piece)
{
    struct err e = {0};
    struct h1_body b;
    int sv[2];
    size_t total = 0;
    ssize_t n;

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    CHECK_INT(write(sv[1], text, strlen(text)), strlen(text));
    close(sv[1]);
    struct h1_in in = {.s = stream_from_fd(sv[0])};
    h1_body_init(&b, length);
    while ((n = h1_body_read(&b, &in, out + total, piece, &e)) > 0)
        total += (size_t)n;
    out[total] = '\0';
    stream_free(in.s);
    h1_in_done(&in);
    return n < 0 ? n : (ssize_t)total;
}

TEST(chunked_bodies)
{
    char out[256];

    for (size_t piece = 1; piece < 8; piece++) {
        CHECK_INT(body("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nmore",
                       H1_LENGTH_CHUNKED, out, piece),
                  13);
        CHECK_STR(out, "abc0123456789");
    }
    CHECK_INT(body("hello", 5, out, 2), 5);
    CHECK_INT(body("hello", H1_LENGTH_TO_END, out, 2), 5);
    CHECK_INT(body("hell", 5, out, 10), -ENODATA);
    CHECK_INT(body("3\r\nab", H1_LENGTH_CHUNKED, out, 10), -ENODATA);
    CHECK_INT(body("3\r\nabc\r\n", H1_LENGTH_CHUNKED, out, 10), -ENODATA);
    CHECK_INT(body("3\nabc\r\n0\r\n\r\n", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
    CHECK_INT(body("3\r\nabcd\r\n0\r\n\r\n", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
    CHECK_INT(body("\r\n", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
    CHECK_INT(body("-1\r\n", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
    CHECK_INT(body("0x1\r\na", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
    CHECK_INT(body("1000000000000000\r\n", H1_LENGTH_CHUNKED, out, 10), -EINVAL);
}

TEST(chunk_extensions_cannot_go_on_for_ever)
{
    struct buf b = BUF_INIT;
    char out[512];

    for (int i = 0; i < 100; i++)
        buf_printf(&b, "1;%0500d\r\nx\r\n", 0);
    buf_puts(&b, "0\r\n\r\n");
    CHECK_INT(body(b.data, H1_LENGTH_CHUNKED, out, 64), -EINVAL);
    buf_done(&b);
}

TEST(queries)
{
    struct arena a = ARENA_INIT;
    struct strmap m = {0};
    struct err e = {0};

    CHECK_OK(query_parse("a=1&b=x+y%20z&a=2&&c&d=%7B%7d", &a, &m, &e));
    CHECK_INT(m.n, 5);
    CHECK_STR(strmap_get(&m, "a"), "1");
    CHECK_STR(strmap_get(&m, "b"), "x y z");
    CHECK_STR(strmap_get(&m, "c"), "");
    CHECK_STR(strmap_get(&m, "d"), "{}");
    CHECK_INT(query_parse("a=%2", &a, &m, &e), -EINVAL);
    CHECK_INT(query_parse("a=%zz", &a, &m, &e), -EINVAL);
    CHECK_INT(query_parse("a=%00", &a, &m, &e), -EINVAL);
    struct buf b = BUF_INIT;
    buf_puts(&b, "/x");
    query_add(&b, "filters", "{\"a b\":[\"ü\"]}");
    query_add(&b, "q", "1");
    CHECK_STR(b.data, "/x?filters=%7B%22a%20b%22%3A%5B%22%C3%BC%22%5D%7D&q=1");
    buf_done(&b);
    arena_done(&a);
}

TEST(addresses)
{
    struct addr a;
    struct err e = {0};

    CHECK_OK(addr_parse("unix:///run/x.sock", 1, &a, &e));
    CHECK_STR(a.path, "/run/x.sock");
    CHECK_OK(addr_parse("tcp://[::1]:99", 1, &a, &e));
    CHECK_STR(a.host, "::1");
    CHECK_INT(a.port, 99);
    CHECK_OK(addr_parse("tcp://example.org", 2375, &a, &e));
    CHECK_INT(a.port, 2375);
    CHECK_OK(addr_parse("https://h:1/", 2375, &a, &e));
    CHECK(a.https);
    CHECK_OK(addr_parse("fd://", 0, &a, &e));
    CHECK_INT(a.kind, ADDR_FD);
    CHECK_INT(addr_parse("ssh://me@host", 0, &a, &e), -EPROTONOSUPPORT);
    CHECK_INT(addr_parse("gopher://x", 0, &a, &e), -EINVAL);
    CHECK_INT(addr_parse("tcp://x:99999", 0, &a, &e), -EINVAL);
    CHECK_INT(addr_parse("tcp://[::1", 0, &a, &e), -EINVAL);
    CHECK_INT(addr_parse("tcp://x/path", 0, &a, &e), -EINVAL);
    CHECK_INT(addr_parse("unix://", 0, &a, &e), -EINVAL);
}

/* A killed server leaves its file, and its child may hold the socket open a moment longer. */
TEST(a_dead_listener_is_replaced_and_a_living_one_is_not)
{
    char dir[] = "/tmp/cleat-addr-XXXXXX", text[64];
    struct addr a = {0};
    struct err e = {0};
    int pair[2], held = -1;
    size_t n = 1;

    CHECK(mkdtemp(dir) != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    (void)snprintf(text, sizeof(text), "unix://%s/s", dir);
    CHECK_OK(addr_parse(text, 0, &a, &e));
    pid_t pid = fork();
    if (pid == 0) {
        int fd = addr_listen(&a, 0600, -1, NULL);
        _exit(fd < 0 || fds_send(pair[1], "x", 1, &fd, 1) < 0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && fds_recv(pair[0], text, 1, &held, &n) == 1 && n == 1);
    int first = addr_listen(&a, 0600, -1, &e);
    CHECK_OK(first);
    CHECK_INT(addr_listen(&a, 0600, -1, &e), -EADDRINUSE);
    CHECK(unlink(a.path) == 0 && rmdir(dir) == 0);
    CHECK(close(first) == 0 && close(held) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
}
