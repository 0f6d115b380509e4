/* The client against a scripted server in a thread: time-outs, resuming, cancelling, connections
 * kept, tokens shared. What needs real registries is in tests/registry. */
#include "base/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/mem.h"
#include "distribution/blob.h"
#include "distribution/manifest.h"
#include "distribution/session.h"
#include "distribution/tags.h"

#define SIZE (3u << 20) /* of the blob */

struct server {
    int fd;
    uint16_t port;
    atomic_int connections, requests, tokens;
    char *blob, digest[DIGEST_LEN + 1];
    pthread_t thread;
};

struct connection {
    struct server *s;
    int fd;
};

static void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void wait_for_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    (void)poll(&p, 1, 20000);
}

/* The blob from @from on; stalls behind @upto. Return: false when the connection is of no use. */
static bool send_blob(struct connection *c, size_t from, size_t upto)
{
    char head[200];

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %s\r\nContent-Range: bytes %zu-%u/%u\r\nContent-Length: %zu\r\n\r\n",
                   from ? "206 Partial" : "200 OK", from, SIZE - 1, SIZE, SIZE - from);
    say(c->fd, head);
    while (from < upto) {
        ssize_t n = send(c->fd, c->s->blob + from, upto - from, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        from += (size_t)n;
    }
    if (upto == SIZE)
        return true;
    wait_for_end(c->fd);
    return false;
}

static bool answer(struct connection *c, const char *head)
{
    struct server *s = c->s;
    const char *range = strstr(head, "Range: bytes=");
    char text[400];

    atomic_fetch_add(&s->requests, 1);
    if (strstr(head, "GET /token")) {
        int n = atomic_fetch_add(&s->tokens, 1);
        (void)snprintf(text, sizeof(text), "{\"token\":\"t%d\",\"expires_in\":300}", n);
        char reply[600];
        (void)snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(text), text);
        say(c->fd, reply);
        return true;
    }
    if (strstr(head, "/blobs/"))
        return send_blob(c, range ? strtoul(range + 13, NULL, 10) : 0, range ? SIZE : SIZE / 2);
    if (strstr(head, "/manifests/stall")) {
        wait_for_end(c->fd);
        return false;
    }
    if (strstr(head, "/guarded/") && !strstr(head, "Authorization: Bearer t")) {
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer "
                       "realm=\"http://127.0.0.1:%u/token\",service=\"s\"\r\n"
                       "Content-Length: 0\r\n\r\n",
                       s->port);
        say(c->fd, text);
        return true;
    }
    if (strstr(head, "last=b")) {
        say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"tags\":[\"c\"]}");
        return true;
    }
    if (strstr(head, "/tags/list")) {
        say(c->fd, "HTTP/1.1 200 OK\r\nLink: <http://evil.example/v2/x/tags/list?last=b&n=2>; "
                   "rel=\"next\"\r\nContent-Length: 18\r\n\r\n{\"tags\":[\"a\",\"b\"]}");
        return true;
    }
    say(c->fd, "HTTP/1.1 200 OK\r\nContent-Type: a/b; c=d\r\nContent-Length: 2\r\n\r\n{}");
    return true;
}

static void *serve_connection(void *arg)
{
    struct connection *c = arg;
    char head[4096];
    size_t n = 0;
    bool more = true;

    while (more) {
        ssize_t got = recv(c->fd, head + n, sizeof(head) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        head[n] = '\0';
        if (head[0] < 'A' || head[0] > 'Z') /* TLS: not here */
            break;
        if (!strstr(head, "\r\n\r\n"))
            continue;
        more = answer(c, head);
        n = 0;
    }
    close(c->fd);
    free(c);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;

    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        struct connection *c = xnew(struct connection);
        pthread_t t;
        *c = (struct connection){s, fd};
        atomic_fetch_add(&s->connections, 1);
        CHECK_INT(pthread_create(&t, NULL, serve_connection, c), 0);
        CHECK_INT(pthread_detach(t), 0);
    }
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);

    *s = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0), .blob = xmalloc(SIZE)};
    for (size_t i = 0; i < SIZE; i++)
        s->blob[i] = (char)(i * 2654435761u >> 13);
    sha256_of(s->blob, SIZE, s->digest);
    CHECK_INT(bind(s->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    CHECK_INT(listen(s->fd, 64), 0);
    CHECK_INT(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
    s->port = ntohs(in.sin_port);
    CHECK_INT(pthread_create(&s->thread, NULL, serve, s), 0);
}

static struct dist_session *session(struct server *s, struct dist_config *config, int gone_fd,
                                    struct arena *a)
{
    struct dist_session *out = NULL;
    struct err e = {0};

    dist_config_defaults(config, a);
    config->idle_ms = 200;
    config->tries = 3;
    struct dist_session_opts o = {
        .config = config, .registry = arena_printf(a, "127.0.0.1:%u", s->port), .gone_fd = gone_fd};
    CHECK_OK(dist_session_new(&o, &out, &e));
    return out;
}

TEST(a_stalled_blob_goes_on)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct err e = {0};
    auto_buf struct buf got = BUF_INIT;

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    auto_dist_blob struct dist_blob *b = NULL;
    CHECK_OK(dist_blob_open(x, "x", s.digest, SIZE, &b, &e));
    for (ssize_t n = 1; n > 0;) {
        n = dist_blob_read(b, buf_room(&got, 65536), 65536, &e);
        CHECK_OK(n);
        buf_commit(&got, (size_t)n);
    }
    CHECK(dist_blob_done(b));
    CHECK_INT(dist_blob_resumed(b), 1);
    CHECK_INT(got.len, SIZE);
    CHECK(memcmp(got.data, s.blob, SIZE) == 0);
}

TEST(another_digest_or_size_is_never_taken_for_the_blob)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct err e = {0};
    auto_buf struct buf got = BUF_INIT;

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    CHECK_INT(dist_blob_get(x, "x", s.digest, SIZE - 1, &got, &e), -EBADMSG);
    CHECK(strstr(e.msg, "expected 3145727 bytes"));
    buf_clear(&got);
    s.digest[10] = s.digest[10] == 'a' ? 'b' : 'a';
    CHECK_INT(dist_blob_get(x, "x", s.digest, SIZE, &got, &e), -EBADMSG);
    CHECK(strstr(e.msg, "verification failed"));
}

TEST(silence_is_a_time_out)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct dist_manifest m;
    struct err e = {0};

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    CHECK_OK(dist_manifest_get(x, "x", "latest", &a, &m, &e));
    CHECK_STR(m.media_type, "a/b");
    int before = atomic_load(&s.requests);
    CHECK_INT(dist_manifest_get(x, "x", "stall", &a, &m, &e), -ETIMEDOUT);
    CHECK_INT(atomic_load(&s.requests) - before, 3);
}

static void *hang_up(void *arg)
{
    struct server *s = ((void **)arg)[0];
    int fd = *(int *)((void **)arg)[1];

    while (atomic_load(&s->requests) < 1)
        (void)poll(NULL, 0, 1);
    close(fd);
    return NULL;
}

TEST(a_client_that_leaves_ends_the_call)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct dist_manifest m;
    struct err e = {0};
    int sv[2];
    pthread_t t;

    server_start(&s);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    auto_dist_session struct dist_session *x = session(&s, &c, sv[0], &a);
    c.idle_ms = 60000;
    void *args[] = {&s, &sv[1]};
    CHECK_INT(pthread_create(&t, NULL, hang_up, args), 0);
    CHECK_INT(dist_manifest_get(x, "x", "stall", &a, &m, &e), -ECANCELED);
    CHECK_INT(pthread_join(t, NULL), 0);
}

TEST(connections_are_kept)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct dist_manifest m;
    struct err e = {0};

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    for (int i = 0; i < 10; i++)
        CHECK_OK(dist_manifest_get(x, "x", "latest", &a, &m, &e));
    CHECK_INT(atomic_load(&s.requests), 10);
    CHECK_INT(atomic_load(&s.connections), 2); /* one of them was TLS, in vain */
}

struct asker {
    struct dist_session *x;
    pthread_t t;
    int r;
};

static void *ask(void *arg)
{
    struct asker *k = arg;
    auto_arena struct arena a = ARENA_INIT;
    struct dist_manifest m;

    k->r = dist_manifest_get(k->x, "guarded/x", "latest", &a, &m, NULL);
    return NULL;
}

TEST(threads_share_one_token)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct asker k[8];

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    k[0].x = x;
    (void)ask(&k[0]);
    CHECK_INT(k[0].r, 0);
    for (int i = 0; i < 8; i++) {
        k[i].x = x;
        CHECK_INT(pthread_create(&k[i].t, NULL, ask, &k[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK_INT(pthread_join(k[i].t, NULL), 0);
        CHECK_INT(k[i].r, 0);
    }
    CHECK_INT(atomic_load(&s.tokens), 1);
}

TEST(pages_of_tags_never_lead_to_another_host)
{
    auto_arena struct arena a = ARENA_INIT;
    static struct server s; /* its threads live on */
    struct dist_config c;
    struct strv tags;
    struct err e = {0};

    server_start(&s);
    auto_dist_session struct dist_session *x = session(&s, &c, -1, &a);
    CHECK_OK(dist_tags(x, "x", &a, &tags, &e));
    CHECK_STR(strv_join(&a, &tags, " "), "a b c");
}
