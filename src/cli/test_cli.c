#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "base/io.h"
#include "base/loop.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "http/server.h"
#include "base/frame.h"

/*
 * Whole command lines against a server of canned answers: what is asked, what is printed, and the
 * exit status.
 */

struct api {
    char asked[2048]; /* "METHOD path?query body" per line */
    pthread_mutex_t lock;
};

static const char image_json[] =
    "[{\"Id\":\"sha256:0123456789abcdef\",\"RepoTags\":[\"busybox:latest\",\"bb:1\"],"
    "\"RepoDigests\":[],\"Created\":1700000000,\"Size\":4321000,\"SharedSize\":-1,\"Containers\":-"
    "1,\"Labels\":null}]";

static const struct {
    const char *method, *path;
    int status;
    const char *body;
} canned[] = {
    {"GET", "/images/json", 200, image_json},
    {"GET", "/containers/json", 200,
     "[{\"Id\":\"aaaabbbbccccdddd\",\"Names\":[\"/web\"],\"Image\":\"busybox\",\"Command\":\"sh -c "
     "'sleep 1000; echo'\",\"Created\":1700000000,\"Ports\":[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80"
     ",\"PublicPort\":8080,\"Type\":\"tcp\"}],\"State\":\"running\",\"Status\":\"Up 2 "
     "hours\",\"Labels\":{\"a\":\"b\"}}]"},
    {"GET", "/containers/web/json", 200,
     "{\"Id\":\"aaaabbbbccccdddd\",\"Name\":\"/web\",\"State\":{\"Running\":true},\"Args\":[]}"},
    {"POST", "/containers/web/stop", 204, ""},
    {"POST", "/containers/create", 201, "{\"Id\":\"newid\",\"Warnings\":[\"careful\"]}"},
    {"POST", "/containers/newid/start", 204, ""},
    {"POST", "/containers/newid/wait", 200, "{\"StatusCode\":7}"},
    {"POST", "/containers/bad/start", 404, "{\"message\":\"No such container: bad\"}"},
};

static void note(struct api *api, struct http_req *req)
{
    struct buf body = BUF_INIT;
    struct err e = {0};
    size_t n;

    CHECK_OK(http_body_all(req, 65536, &body, &e));
    pthread_mutex_lock(&api->lock);
    n = strlen(api->asked);
    (void)snprintf(api->asked + n, sizeof(api->asked) - n, "%s %s?%s\n", http_method(req),
                   http_path(req), http_query_str(req));
    pthread_mutex_unlock(&api->lock);
    buf_done(&body);
}

static int attach(struct http_resp *resp, struct err *err)
{
    struct http_hijacked h = {0};
    uint8_t head[FRAME_HEADER];
    int r = http_hijack(resp, "application/vnd.docker.multiplexed-stream", &h, err);

    if (r < 0)
        return r;
    frame_put(head, FRAME_STDOUT, 6);
    (void)!write_full(h.fd, head, sizeof(head));
    (void)!write_full(h.fd, "hello\n", 6);
    http_hijacked_done(&h);
    return 0;
}

static int dispatch(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    note(api, req);
    if (strcmp(http_path(req), "/containers/newid/attach") == 0)
        return attach(resp, err);
    for (size_t i = 0; i < sizeof(canned) / sizeof(canned[0]); i++)
        if (strcmp(canned[i].method, http_method(req)) == 0 &&
            strcmp(canned[i].path, http_path(req)) == 0)
            return http_reply_data(resp, canned[i].status, "application/json", canned[i].body,
                                   strlen(canned[i].body));
    return err_not_found(err, "page not found");
}

struct fixture {
    struct api api;
    struct loop *loop;
    struct pool *pool;
    struct http_server *server;
    pthread_t thread;
    char dir[32], url[80];
};

static void *run_loop(void *arg)
{
    (void)!loop_run(arg, NULL);
    return NULL;
}

static void setup(struct fixture *f)
{
    struct err e = {0};

    *f = (struct fixture){.dir = "/tmp/cleat-cli-XXXXXX", .api.lock = PTHREAD_MUTEX_INITIALIZER};
    CHECK(mkdtemp(f->dir));
    (void)snprintf(f->url, sizeof(f->url), "unix://%s/s", f->dir);
    CHECK_OK(loop_new(&f->loop, &e));
    CHECK_OK(pool_new("test", 8, &f->pool, &e));
    struct http_server_opts o = {
        .loop = f->loop, .pool = f->pool, .api = &f->api, .dispatch = dispatch};
    CHECK_OK(http_server_new(&o, &f->server, &e));
    CHECK_OK(http_server_listen(f->server, f->url, 0600, -1, NULL, &e));
    CHECK_INT(pthread_create(&f->thread, NULL, run_loop, f->loop), 0);
    setenv("CLEAT_HOST", f->url, 1);
    setenv("DOCKER_CONFIG", f->dir, 1);
    setenv("TZ", "UTC", 1);
}

static void teardown(struct fixture *f)
{
    CHECK_INT(http_server_stop(f->server, 5000), 0);
    loop_stop(f->loop);
    pthread_join(f->thread, NULL);
    pool_free(f->pool);
    http_server_free(f->server);
    loop_free(f->loop);
    CHECK_INT(rmdir(f->dir), 0);
}

/* Run a command line with stdout and stderr in files; Return: exit status. */
static int cleat(struct fixture *f, char *out, char *errs, size_t n, const char *const *words)
{
    char paths[2][64];
    int saved[2], argc = 0, status;
    char *texts[] = {out, errs}, *argv[32] = {NULL};

    for (; words[argc]; argc++)
        argv[argc] = strdup(words[argc]);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/out%d", f->dir, i);
        int fd = open(paths[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
        CHECK(fd >= 0 && saved[i] >= 0 && dup2(fd, i + 1) >= 0);
        close(fd);
    }
    status = cli_main(argc, argv);
    while (argc > 0)
        free(argv[--argc]);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        struct buf b = BUF_INIT;
        struct err e = {0};
        CHECK(dup2(saved[i], i + 1) >= 0);
        close(saved[i]);
        CHECK_OK(read_file_at(AT_FDCWD, paths[i], n - 1, &b, &e));
        (void)snprintf(texts[i], n, "%s", buf_str(&b));
        buf_done(&b);
        unlink(paths[i]);
    }
    return status;
}

#define CLEAT(...)                                                                                 \
    cleat(&f, out, errs, sizeof(out), (const char *const[]){"cleat", __VA_ARGS__, NULL})

TEST(lists)
{
    struct fixture f;
    char out[4096], errs[4096];

    setup(&f);
    CHECK_INT(CLEAT("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"), 0);
    CHECK_STR(out, "busybox:latest 0123456789ab 4.32MB\nbb:1 0123456789ab 4.32MB\n");
    CHECK_INT(CLEAT("ps", "-a", "--format", "table {{.ID}}\\t{{.Names}}\\t{{.Ports}}"), 0);
    CHECK_STR(out, "CONTAINER ID   NAMES     PORTS\n"
                   "aaaabbbbcccc   web       0.0.0.0:8080->80/tcp\n");
    CHECK_INT(CLEAT("ps", "-q"), 0);
    CHECK_STR(out, "aaaabbbbcccc\n");
    CHECK_INT(CLEAT("ps", "--filter", "status=exited", "-n", "3", "-s"), 0);
    CHECK(strstr(f.api.asked, "GET /containers/json?all=1\n"));
    CHECK(strstr(f.api.asked, "limit=3&size=1&filters=%7B%22status%22%3A%7B%22exited"));
    teardown(&f);
}

TEST(one_thing_to_each)
{
    struct fixture f;
    char out[4096], errs[4096];

    setup(&f);
    CHECK_INT(CLEAT("stop", "-t", "3", "web", "nope"), 1);
    CHECK_STR(out, "web\n");
    CHECK_STR(errs, "Error response from daemon: page not found\n");
    CHECK(strstr(f.api.asked, "POST /containers/web/stop?t=3\n"));
    CHECK_INT(CLEAT("start", "bad"), 1);
    CHECK_STR(errs, "Error response from daemon: No such container: bad\n"
                    "Error: failed to start containers: bad\n");
    teardown(&f);
}

TEST(inspect_any)
{
    struct fixture f;
    char out[4096], errs[4096];

    setup(&f);
    CHECK_INT(CLEAT("inspect", "-f", "{{.Id}} {{.State.Running}}", "web"), 0);
    CHECK_STR(out, "aaaabbbbccccdddd true\n");
    CHECK_INT(CLEAT("inspect", "nope"), 1);
    CHECK_STR(out, "[]\n");
    CHECK_STR(errs, "Error: No such object: nope\n");
    CHECK_INT(CLEAT("inspect", "-f", "{{", "web"), 64);
    CHECK_INT(CLEAT("inspect", "--type=bogus", "web"), 1);
    teardown(&f);
}

TEST(run_passes_output_and_status)
{
    struct fixture f;
    char out[4096], errs[4096];

    setup(&f);
    CHECK_INT(CLEAT("run", "--rm", "--name", "x", "busybox", "echo", "hello"), 7);
    CHECK_STR(out, "hello\n");
    CHECK_STR(errs, "WARNING: careful\n");
    CHECK_STR(f.api.asked, "POST /containers/create?name=x\n"
                           "POST /containers/newid/attach?stream=1&stdout=1&stderr=1\n"
                           "POST /containers/newid/wait?condition=removed\n"
                           "POST /containers/newid/start?\n");
    CHECK_INT(CLEAT("run", "-d", "busybox"), 0);
    CHECK_STR(out, "newid\n");
    teardown(&f);
}

TEST(statuses_of_bad_command_lines)
{
    struct fixture f;
    char out[4096], errs[4096];

    setup(&f);
    CHECK_INT(CLEAT("run", "--nope", "x"), 125);
    CHECK_STR(errs, "unknown flag: --nope\n\nUsage:  cleat run [OPTIONS] IMAGE [COMMAND] "
                    "[ARG...]\n\nRun 'cleat run --help' for more information\n");
    CHECK_INT(CLEAT("run"), 1);
    CHECK_INT(CLEAT("runn"), 1);
    CHECK_INT(CLEAT("container", "nope"), 1);
    CHECK_INT(CLEAT("container"), 0);
    CHECK_INT(CLEAT("run", "-p", "x", "busybox"), 125);
    CHECK_STR(errs, "cleat: invalid containerPort: x\n\nRun 'cleat run --help' for more "
                    "information\n");
    CHECK_INT(CLEAT("create", "-p", "x", "busybox"), 125);
    CHECK_INT(CLEAT("ps", "extra"), 1);
    CHECK_INT(CLEAT("--version"), 0);
    CHECK_INT(CLEAT("ps", "--help"), 0);
    setenv("CLEAT_HOST", "ssh://host", 1);
    CHECK_INT(CLEAT("ps"), 1);
    CHECK(strstr(errs, "not supported"));
    setenv("CLEAT_HOST", "unix:///nonexistent/s", 1);
    CHECK_INT(CLEAT("run", "busybox"), 125);
    CHECK(strstr(errs, "cleat: Cannot connect to the Cleat daemon at unix:///nonexistent/s."));
    teardown(&f);
}
