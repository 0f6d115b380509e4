/* The client against servers that a case writes out byte by byte. */
#include "base/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/time.h"
#include "http/client.h"

struct server {
    char dir[32];
    struct addr addr;
    int fd;
    pthread_t thread;
    const char *want; /* how the request's body is to look */
};

static void listen_at(struct server *s, int queue)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    *s = (struct server){.dir = "/tmp/cleat-client-XXXXXX", .addr = {.kind = ADDR_UNIX}};
    CHECK(mkdtemp(s->dir));
    (void)snprintf(s->addr.path, sizeof(s->addr.path), "%s/s", s->dir);
    memcpy(sun.sun_path, s->addr.path, sizeof(sun.sun_path));
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s->fd >= 0);
    CHECK_INT(bind(s->fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    CHECK_INT(listen(s->fd, queue), 0);
}

static void serve(struct server *s, void *(*fn)(void *))
{
    listen_at(s, 8);
    CHECK_INT(pthread_create(&s->thread, NULL, fn, s), 0);
}

static void done(struct server *s)
{
    if (s->thread)
        CHECK_INT(pthread_join(s->thread, NULL), 0);
    (void)close(s->fd);
    CHECK_INT(unlink(s->addr.path), 0);
    CHECK_INT(rmdir(s->dir), 0);
}

static int call(const struct server *s, const struct http_client_opts *limits,
                const struct http_call *c, struct err *err)
{
    struct http_client_opts o = *limits;
    struct err e = {0};
    struct http_client *http = NULL;
    struct http_reply *reply = NULL;
    struct buf b = BUF_INIT;

    o.addr = s->addr;
    CHECK_OK(http_client_open(&o, &http, &e));
    int r = http_send(http, c, &reply, err);
    if (r >= 0)
        r = http_reply_all(reply, 1 << 20, &b, err);
    http_reply_free(reply);
    http_client_free(http);
    buf_done(&b);
    return r;
}

/* ---- bodies that are written ---- */

static void *take_body(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct server *s = arg;
    struct buf in = BUF_INIT;
    int fd = accept(s->fd, NULL, NULL);
    size_t want = strlen(s->want);

    CHECK(fd >= 0);
    for (const char *end = NULL; !end || in.len < (size_t)(end + 4 - in.data) + want;) {
        ssize_t n = read(fd, buf_room(&in, 65536), 65536);
        CHECK(n > 0);
        buf_commit(&in, (size_t)n);
        end = strstr(buf_str(&in), "\r\n\r\n");
    }
    CHECK(strstr(in.data, "Transfer-Encoding: chunked"));
    CHECK_STR(strstr(in.data, "\r\n\r\n") + 4, s->want);
    CHECK_INT(write_full(fd, answer, strlen(answer)), 0);
    (void)close(fd);
    buf_done(&in);
    return NULL;
}

static int push_words(void *arg, struct http_pusher *to, struct err *err)
{
    int r = 0;

    for (const char *const *w = arg; r >= 0 && *w; w++)
        r = http_push(to, *w, strlen(*w), err);
    return r;
}

static void push(const char *const *words, const char *want)
{
    static const struct http_client_opts none = {0};
    const struct http_call c = {
        .method = "PUT", .target = "/", .push_fn = push_words, .body_arg = (void *)words};
    struct server s;
    struct err e = {0};

    listen_at(&s, 8);
    s.want = want;
    CHECK_INT(pthread_create(&s.thread, NULL, take_body, &s), 0);
    CHECK_OK(call(&s, &none, &c, &e));
    done(&s);
}

TEST(pushed_bodies_are_chunks)
{
    push((const char *const[]){"abc", "", "0123456789abcdef", NULL},
         "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    push((const char *const[]){NULL}, "0\r\n\r\n");
}

static int push_error(void *arg, struct http_pusher *to, struct err *err)
{
    int r = http_push(to, "x", 1, err);

    (void)arg;
    return r < 0 ? r : err_no(err, ENOENT, "read something");
}

static void *hang_up_after_head(void *arg)
{
    char c[256];
    int fd = accept(((struct server *)arg)->fd, NULL, NULL);

    while (read(fd, c, sizeof(c)) > 0)
        ;
    (void)close(fd);
    return NULL;
}

TEST(a_body_that_cannot_be_read_ends_the_call)
{
    static const struct http_client_opts none = {0};
    const struct http_call c = {.method = "PUT", .target = "/", .push_fn = push_error};
    struct server s;
    struct err e = {0};

    serve(&s, hang_up_after_head);
    CHECK_INT(call(&s, &none, &c, &e), -ENOENT);
    CHECK_STR(e.msg, "read something: No such file or directory");
    done(&s);
}

/* ---- time ---- */

/* A byte now and then, until nobody reads it any more. */
static void *drip(void *arg)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    int fd = accept(((struct server *)arg)->fd, NULL, NULL);
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    CHECK_INT(write_full(fd, head, strlen(head)), 0);
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        (void)poll(&p, 1, 20);
    (void)close(fd);
    return NULL;
}

TEST(a_dripping_answer_ends_in_time)
{
    static const struct http_client_opts limits = {.idle_ms = 5000, .call_ms = 200};
    const struct http_call c = {.method = "GET", .target = "/"};
    struct server s;
    struct err e = {0};
    int64_t since = mono_ns();

    serve(&s, drip);
    CHECK_INT(call(&s, &limits, &c, &e), -ETIMEDOUT);
    CHECK(mono_ns() - since >= 200 * NS_PER_MS);
    done(&s);
}

TEST(a_full_queue_ends_in_time)
{
    static const struct http_client_opts limits = {.connect_ms = 100};
    const struct http_call c = {.method = "GET", .target = "/"};
    struct server s;
    struct err e = {0};

    listen_at(&s, 0);
    int waiting = addr_connect(&s.addr, &e); /* nobody accepts it: the queue is full */
    CHECK(waiting >= 0);
    CHECK_INT(call(&s, &limits, &c, &e), -ETIMEDOUT);
    (void)close(waiting);
    done(&s);
}
