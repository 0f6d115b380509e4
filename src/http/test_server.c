#include "base/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/loop.h"
#include "base/pool.h"
#include "http/client.h"
#include "http/server.h"
#include "http/stream.h"

/* A small API on a unix socket in a directory of its own; each case is a process. */

struct api {
    int last_status;
};

static int get_hello(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    (void)api, (void)err;
    const char *who = http_query(req, "who");
    struct buf b = BUF_INIT;

    buf_printf(&b, "hello %s, v%u", who ? who : "you", http_api_version(req));
    int r = http_reply_data(resp, 200, "text/plain", b.data, b.len);
    buf_done(&b);
    return r;
}

static int get_image(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    (void)api, (void)err;
    const char *name = http_param(req, "name");

    return http_reply_data(resp, 200, "text/plain", name, strlen(name));
}

static int post_echo(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    char tmp[1000];
    ssize_t n;

    (void)api;
    int r = http_resp_start(resp, 201, "text/plain", err);
    if (r < 0)
        return r;
    while ((n = http_body_read(req, tmp, sizeof(tmp), err)) > 0)
        if ((r = http_resp_write(resp, tmp, (size_t)n, err)) < 0)
            return r;
    return n < 0 ? (int)n : http_resp_end(resp, err);
}

static int get_broken(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    (void)api, (void)req;
    if (http_query_bool(req, "late", false)) {
        int r = http_resp_start(resp, 200, "text/plain", err);
        if (r < 0 || (r = http_resp_write(resp, "half", 4, err)) < 0)
            return r;
    }
    return err_conflict(err, "Conflict. \"x\" is in use");
}

static int post_attach(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct http_hijacked h = {0};
    char tmp[100];
    ssize_t n;

    (void)api, (void)req;
    int r = http_hijack(resp, "application/vnd.docker.raw-stream", &h, err);
    if (r < 0)
        return r;
    (void)!write_full(h.fd, "<", 1);
    (void)!write_full(h.fd, h.early.data, h.early.len);
    while ((n = read(h.fd, tmp, sizeof(tmp))) > 0)
        (void)!write_full(h.fd, tmp, (size_t)n);
    (void)!write_full(h.fd, ">", 1);
    http_hijacked_done(&h);
    return 0;
}

static int get_watch(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    int r = http_resp_start(resp, 200, "text/plain", err);

    if (r < 0)
        return r;
    struct pollfd p = {.fd = http_client_gone_fd(req), .events = HTTP_GONE_EVENTS};
    api->last_status = poll(&p, 1, 20000);
    return 0;
}

static int get_peer(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct ucred cred = {0};

    (void)api;
    if (http_peer_cred(req, &cred) < 0 || cred.pid != getpid())
        return err_as(err, ERR_DENIED, EPERM, "who are you");
    return http_reply(resp, 204);
}

static const struct http_route routes[] = {
    {"GET", "/hello", get_hello, 0, 0},
    {"GET", "/images/{name:.*}/json", get_image, 0, 0},
    {"POST", "/echo", post_echo, 0, 0},
    {"GET", "/broken", get_broken, 0, 0},
    {"POST", "/x/{id}/attach", post_attach, 0, 0},
    {"GET", "/watch", get_watch, 0, 0},
    {"GET", "/peer", get_peer, 0, 0},
};

static int dispatch(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    const struct http_routes tables[] = {{routes, sizeof(routes) / sizeof(routes[0])}};
    const struct http_route *r = http_route_find(tables, 1, req);

    http_resp_header(resp, "Server", "Test");
    if (!r)
        return err_not_found(err, "page not found");
    return r->fn(api, req, resp, err);
}

struct fixture {
    struct api api;
    struct loop *loop;
    struct pool *pool;
    struct http_server *server;
    struct http_client *client;
    pthread_t thread;
    char dir[32], sock[64];
};

static void *run_loop(void *arg)
{
    struct err e = {0};

    CHECK_OK(loop_run(arg, &e));
    return NULL;
}

static void setup(struct fixture *f)
{
    struct err e = {0};
    struct addr a;
    char url[80], log[80];

    *f = (struct fixture){.dir = "/tmp/cleat-http-XXXXXX"};
    CHECK(mkdtemp(f->dir));
    (void)snprintf(f->sock, sizeof(f->sock), "%s/s", f->dir);
    (void)snprintf(url, sizeof(url), "unix://%s", f->sock);
    (void)snprintf(log, sizeof(log), "%s/log", f->dir);
    CHECK_OK(loop_new(&f->loop, &e));
    CHECK_OK(pool_new("http", 16, &f->pool, &e));
    struct http_server_opts o = {
        .loop = f->loop, .pool = f->pool, .api = &f->api, .dispatch = dispatch, .log_path = log};
    CHECK_OK(http_server_new(&o, &f->server, &e));
    CHECK_OK(http_server_listen(f->server, url, 0660, -1, NULL, &e));
    CHECK_INT(pthread_create(&f->thread, NULL, run_loop, f->loop), 0);
    CHECK_OK(addr_parse(url, 0, &a, &e));
    CHECK_OK(http_client_new(&a, NULL, &f->client, &e));
}

static void teardown(struct fixture *f)
{
    char log[80];

    http_client_free(f->client);
    CHECK_INT(http_server_stop(f->server, 5000), 0);
    loop_stop(f->loop);
    pthread_join(f->thread, NULL);
    pool_free(f->pool);
    http_server_free(f->server);
    loop_free(f->loop);
    (void)snprintf(log, sizeof(log), "%s/log", f->dir);
    CHECK_INT(unlink(log), 0);
    CHECK_INT(rmdir(f->dir), 0);
}

/* Send and expect; a NULL @want takes any body. */
static void expect(struct fixture *f, const struct http_call *call, int status, const char *want)
{
    struct err e = {0};
    struct http_reply *r = NULL;
    struct buf b = BUF_INIT;

    CHECK_OK(http_send(f->client, call, &r, &e));
    CHECK_INT(http_reply_status(r), status);
    CHECK_OK(http_reply_all(r, 1 << 20, &b, &e));
    if (want)
        CHECK_STR(buf_str(&b), want);
    http_reply_free(r);
    buf_done(&b);
}

static void get(struct fixture *f, const char *target, int status, const char *want)
{
    expect(f, &(struct http_call){.method = "GET", .target = target}, status, want);
}

TEST(routes_and_errors)
{
    struct fixture f;

    setup(&f);
    get(&f, "/hello", 200, "hello you, v0");
    get(&f, "/v1.41/hello?who=a%20b+c", 200, "hello a b c, v1041");
    get(&f, "/images/registry:5000/a/b:c/json", 200, "registry:5000/a/b:c");
    get(&f, "/images/x/json/json", 200, "x/json");
    get(&f, "/peer", 204, "");
    get(&f, "/images//json", 404, NULL);
    get(&f, "/nope", 404, "{\"message\":\"page not found\"}\n");
    get(&f, "/broken", 409, "{\"message\":\"Conflict. \\\"x\\\" is in use\"}\n");
    expect(&f, &(struct http_call){.method = "DELETE", .target = "/hello"}, 404, NULL);
    teardown(&f);
}

TEST(a_stream_that_fails_is_cut)
{
    struct fixture f;
    struct err e = {0};
    struct http_reply *r = NULL;
    struct buf b = BUF_INIT;

    setup(&f);
    CHECK_OK(http_send(f.client, &(struct http_call){.method = "GET", .target = "/broken?late=1"},
                       &r, &e));
    CHECK_INT(http_reply_status(r), 200);
    CHECK_INT(http_reply_all(r, 100, &b, &e), -ENODATA);
    CHECK_STR(b.data, "half");
    http_reply_free(r);
    buf_done(&b);
    teardown(&f);
}

struct source {
    size_t left;
};

static ssize_t supply(void *arg, void *p, size_t n)
{
    struct source *s = arg;

    if (n > s->left)
        n = s->left;
    if (n > 777)
        n = 777;
    memset(p, 'x', n);
    s->left -= n;
    return (ssize_t)n;
}

TEST(bodies_with_length_and_chunked)
{
    struct fixture f;
    struct err e = {0};
    struct http_reply *r = NULL;
    struct buf b = BUF_INIT;
    struct source s = {100000};

    setup(&f);
    expect(&f,
           &(struct http_call){.method = "POST", .target = "/echo", .body = "abc", .body_len = 3},
           201, "abc");
    CHECK_OK(http_send(
        f.client,
        &(struct http_call){.method = "POST", .target = "/echo", .body_fn = supply, .body_arg = &s},
        &r, &e));
    CHECK_OK(http_reply_all(r, 1 << 20, &b, &e));
    CHECK_INT(b.len, 100000);
    http_reply_free(r);
    buf_done(&b);
    get(&f, "/hello", 200, NULL);
    teardown(&f);
}

TEST(hijack_carries_early_bytes_and_half_close)
{
    struct fixture f;
    struct err e = {0};
    struct http_raw raw = {0};
    struct http_reply *r = NULL;
    char got[100] = "";
    size_t len = 0;
    ssize_t n;

    setup(&f);
    CHECK_INT(http_upgrade(f.client, &(struct http_call){.method = "POST", .target = "/x/1/attach"},
                           &raw, &r, &e),
              1);
    CHECK_INT(raw.status, 101);
    CHECK_STR(raw.content_type, "application/vnd.docker.raw-stream");
    CHECK_INT(stream_write(raw.s, "hello", 5), 0);
    CHECK_INT(stream_shutdown(raw.s), 0);
    while ((n = http_raw_read(&raw, got + len, sizeof(got) - len - 1)) > 0)
        len += (size_t)n;
    CHECK_STR(got, "<hello>");
    http_raw_done(&raw);
    CHECK_INT(http_upgrade(f.client, &(struct http_call){.method = "POST", .target = "/nope"}, &raw,
                           &r, &e),
              0);
    CHECK_INT(http_reply_status(r), 404);
    http_reply_free(r);
    teardown(&f);
}

static int dial(struct fixture *f)
{
    struct addr a = {.kind = ADDR_UNIX};
    struct err e = {0};

    memcpy(a.path, f->sock, sizeof(f->sock));
    int fd = addr_connect(&a, &e);
    CHECK(fd >= 0);
    return fd;
}

/* Send bytes, end our direction, and return all that comes back. */
static char *talk(struct fixture *f, const char *text, size_t n)
{
    struct buf b = BUF_INIT;
    struct err e = {0};
    int fd = dial(f);

    CHECK_INT(write_full(fd, text, n), 0);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    int r = read_fd(fd, 1 << 20, &b, &e);
    CHECK(r == 0 || r == -ECONNRESET);
    close(fd);
    return buf_take(&b);
}

TEST(raw_hijack_without_upgrade)
{
    static const char req[] = "POST /x/1/attach HTTP/1.1\r\nHost: x\r\n\r\nearly";
    struct fixture f;

    setup(&f);
    char *got = talk(&f, req, strlen(req));
    CHECK(strncmp(got, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(strstr(got, "\r\n\r\n<early>"));
    free(got);
    teardown(&f);
}

TEST(pipelined_requests)
{
    static const char req[] = "GET /hello?who=1 HTTP/1.1\r\nHost: x\r\n\r\n"
                              "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
                              "GET /hello?who=3 HTTP/1.0\r\n\r\n";
    struct fixture f;

    setup(&f);
    char *got = talk(&f, req, strlen(req));
    CHECK(strstr(got, "hello 1"));
    CHECK(strstr(got, "2\r\nab\r\n0\r\n"));
    CHECK(strstr(got, "hello 3"));
    free(got);
    teardown(&f);
}

TEST(expect_continue)
{
    static const char req[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                              "Expect: 100-continue\r\n\r\n";
    struct fixture f;
    char tmp[26] = "";

    setup(&f);
    int fd = dial(&f);
    char skip[4096];
    CHECK_INT(write_full(fd, req, strlen(req)), 0);
    size_t len = 0; /* the reply's head is out before the handler asks for the body */
    while (!memmem(skip, len, "100 Continue\r\n\r\n", 16)) {
        ssize_t n = read(fd, skip + len, sizeof(skip) - len);
        CHECK(n > 0);
        len += (size_t)n;
    }
    CHECK_INT(write_full(fd, "ok", 2), 0);
    CHECK_INT(read_full(fd, tmp, 7), 0);
    CHECK_STR(tmp, "2\r\nok\r\n");
    close(fd);
    teardown(&f);
}

TEST(hostile_heads)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/3.7\r\nHost: x\r\n\r\n", "HTTP/1.1 501 "},
        {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
         "\r\n",
         "HTTP/1.1 400 "},
        {"GET /hello HTTP/1.1\r\nHost", ""}, /* cut short */
    };
    struct fixture f;

    setup(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *got = talk(&f, cases[i].text, strlen(cases[i].text));
        if (strncmp(got, cases[i].want, strlen(cases[i].want)) != 0)
            TEST_FAIL("case %zu: %s", i, got);
        free(got);
    }
    size_t n = 300000;
    char *big = malloc(n);
    memset(big, 'a', n);
    static const char start[] = {'G', 'E', 'T', ' ', '/'};
    memcpy(big, start, sizeof(start));
    char *got = talk(&f, big, n);
    CHECK(strncmp(got, "HTTP/1.1 431 ", 13) == 0 || *got == '\0'); /* or reset while sending */
    free(got);
    free(big);
    teardown(&f);
}

TEST(an_unread_upload_does_not_eat_the_answer)
{
    struct fixture f;
    struct source s = {50 << 20};
    struct http_reply *r = NULL;
    struct err e = {0};

    setup(&f);
    signal(SIGPIPE, SIG_IGN);
    CHECK_OK(http_send(
        f.client,
        &(struct http_call){.method = "POST", .target = "/nope", .body_fn = supply, .body_arg = &s},
        &r, &e));
    CHECK_INT(http_reply_status(r), 404);
    http_reply_free(r);
    teardown(&f);
}

TEST(a_hang_up_is_noticed)
{
    struct fixture f;
    struct http_reply *r = NULL;
    struct err e = {0};

    setup(&f);
    CHECK_OK(http_send(f.client, &(struct http_call){.method = "GET", .target = "/watch"}, &r, &e));
    http_reply_free(r); /* unread: the connection is closed */
    teardown(&f);       /* waits for the handler */
    CHECK_INT(f.api.last_status, 1);
}

TEST(stopping_ends_watchers)
{
    struct fixture f;
    struct http_reply *r = NULL;
    struct err e = {0};

    setup(&f);
    CHECK_OK(http_send(f.client, &(struct http_call){.method = "GET", .target = "/watch"}, &r, &e));
    CHECK_INT(http_server_stop(f.server, 10000), 0);
    CHECK_INT(f.api.last_status, 1);
    http_reply_free(r);
    CHECK(access(f.sock, F_OK) < 0);
    teardown(&f);
}

TEST(socket_has_its_mode)
{
    struct fixture f;
    struct stat st;

    setup(&f);
    CHECK_INT(stat(f.sock, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0660);
    struct err e = {0};
    struct addr a = {.kind = ADDR_UNIX};
    memcpy(a.path, f.sock, sizeof(f.sock));
    CHECK_INT(addr_listen(&a, 0600, -1, &e), -EADDRINUSE);
    teardown(&f);
}

static void *many(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < 50; i++) {
        char *got = talk(f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 33);
        CHECK(strstr(got, "hello you"));
        free(got);
    }
    return NULL;
}

TEST(clients_at_once)
{
    struct fixture f;
    pthread_t t[8];

    setup(&f);
    for (int i = 0; i < 8; i++)
        CHECK_INT(pthread_create(&t[i], NULL, many, &f), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    teardown(&f);
}
