/* A shim brought to life as the daemon does it, around a root file system with only busybox. */
#include "shim/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/rand.h"
#include "base/test.h"
#include "kern/cgroup.h"

#define BUSYBOX "/bin/busybox"

struct box {
    struct arena mem;
    char dir[64], id[13];
    int dir_fd, run_fd, data_fd;
    struct shim_plan plan;
};

/* Everything below one temporary directory: the "image", the container's layer, run and data. */
static void box_init(struct box *b, const char *const *argv)
{
    static const char *const dirs[] = {"image/bin", "diff", "work", "run", "data"};
    struct err e = {0};

    NEED_ROOT();
    if (access(BUSYBOX, X_OK) < 0)
        SKIP("needs busybox-static");
    *b = (struct box){.dir = "/tmp/cleat-shim-XXXXXX"};
    CHECK(mkdtemp(b->dir));
    CHECK_INT(chmod(b->dir, 0755), 0);
    b->dir_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < 5; i++)
        CHECK_OK(mkdir_p_at(b->dir_fd, dirs[i], 0755, &e));
    auto_buf struct buf bin = BUF_INIT;
    CHECK_OK(read_file_at(AT_FDCWD, BUSYBOX, 64U << 20, &bin, &e));
    CHECK_OK(write_file_at(b->dir_fd, "image/bin/busybox", 0755, bin.data, bin.len, false, &e));
    CHECK_INT(symlinkat("busybox", b->dir_fd, "image/bin/sh"), 0);
    b->run_fd = openat(b->dir_fd, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b->data_fd = openat(b->dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rand_hex(b->id, 12);
    struct oci_spec *spec = oci_spec_example(&b->mem, false);
    spec->process->terminal = false;
    spec->process->args = (struct strv){0};
    for (; *argv; argv++)
        strv_push(&b->mem, &spec->process->args, *argv);
    b->plan = (struct shim_plan){
        .version = SHIM_PROTOCOL,
        .id = b->id,
        .spec = spec,
        .upper = arena_printf(&b->mem, "%s/diff", b->dir),
        .work = arena_printf(&b->mem, "%s/work", b->dir),
        .cgroup = arena_printf(&b->mem, "/cleat-test-%s", b->id),
        .log = {.driver = arena_strdup(&b->mem, "json-file"), .max_size = -1, .max_files = 1}};
    strv_push(&b->mem, &b->plan.lowers, arena_printf(&b->mem, "%s/image", b->dir));
}

static int box_start(struct box *b, const int *attach)
{
    struct err e = {0};
    struct shim_spawn sp = {.program = getenv("CLEAT_SHIM"),
                            .plan = &b->plan,
                            .run_fd = b->run_fd,
                            .data_fd = b->data_fd,
                            .seccomp_fd = -1,
                            .attach_fds = attach};
    CHECK(sp.program);
    int control = shim_spawn(&sp, &e);
    CHECK_OK(control);
    return control;
}

static void next_event(struct box *b, int control, struct shim_event *ev)
{
    struct err e = {0};

    CHECK_OK(shim_recv(control, &shim_event_type, &b->mem, ev, NULL, NULL, &e));
    CHECK(ev->event);
}

static void expect_started(struct box *b, int control)
{
    struct shim_event ev = {0};

    next_event(b, control, &ev);
    if (strcmp(ev.event, "started") != 0)
        TEST_FAIL("%s: %s", ev.event, ev.msg);
    CHECK(ev.pid > 0);
}

/* The shim closes its socket when everything is tidy. */
static void box_done(struct box *b, int control)
{
    struct err e = {0};
    struct shim_event ev = {0};
    auto_free char *cg = NULL;

    while (shim_recv(control, &shim_event_type, &b->mem, &ev, NULL, NULL, &e) > 0)
        continue;
    CHECK(faccessat(b->run_fd, SHIM_SOCKET, F_OK, 0) < 0);
    CHECK(asprintf(&cg, "/sys/fs/cgroup/memory/cleat-test-%s", b->id) > 0);
    CHECK(access(cg, F_OK) < 0);
    (void)close(control);
    CHECK_OK(remove_tree_at(AT_FDCWD, b->dir, &e));
    arena_done(&b->mem);
}

TEST(output_goes_to_the_log_and_the_code_comes_back)
{
    static const char *const argv[] = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7", NULL};
    struct box b;
    struct shim_event ev = {0};
    struct err e = {0};
    auto_buf struct buf log = BUF_INIT;

    box_init(&b, argv);
    int control = box_start(&b, NULL);
    expect_started(&b, control);
    next_event(&b, control, &ev);
    CHECK_STR(ev.event, "exit");
    CHECK_INT(ev.code, 7);
    CHECK_OK(read_file_at(b.data_fd, "json.log", 4096, &log, &e));
    CHECK(strstr(log.data, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\""));
    CHECK(strstr(log.data, "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\""));
    CHECK_OK(shim_exit_record(b.run_fd, &b.mem, &ev, &e));
    CHECK_INT(ev.code, 7);
    box_done(&b, control);
}

TEST(a_command_that_is_not_there_is_the_childs_own_error)
{
    static const char *const argv[] = {"/no/such", NULL};
    struct box b;
    struct shim_event ev = {0};

    box_init(&b, argv);
    int control = box_start(&b, NULL);
    next_event(&b, control, &ev);
    CHECK_STR(ev.event, "failed");
    CHECK_INT(ev.no, ENOENT);
    CHECK(strstr(ev.msg, "no such file or directory"));
    box_done(&b, control);
}

static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while (n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    return (ssize_t)n;
}

TEST(an_attached_client_talks_to_the_process)
{
    static const char *const argv[] = {"/bin/sh", "-c", "cat; echo end >&2", NULL};
    struct box b;
    struct shim_attach a = {.in = true, .out = true, .err = true, .mux = true, .detach_keys = NULL};
    struct shim_attach *list[] = {&a};
    int pair[2];
    char got[256];

    box_init(&b, argv);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    b.plan.open_stdin = b.plan.stdin_once = true;
    b.plan.attach.v = list;
    b.plan.attach.n = 1;
    int control = box_start(&b, &pair[1]);
    (void)close(pair[1]);
    expect_started(&b, control);
    CHECK_INT(write_full(pair[0], "hello", 5), 0);
    CHECK_INT(shutdown(pair[0], SHUT_WR), 0); /* half-closed: still wants the output */
    CHECK_INT(read_all(pair[0], got, sizeof(got)), 8 + 5 + 8 + 4);
    CHECK(memcmp(got, "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\4end\n", 25) == 0);
    box_done(&b, control);
}

TEST(exec_kill_and_watch_over_the_socket)
{
    static const char *const argv[] = {"/bin/sh", "-c", "while :; do sleep 100; done", NULL};
    static const char *const cmd[] = {"/bin/sh", "-c", "echo in; exit 3"};
    struct box b;
    struct err e = {0};
    struct shim_reply rep = {0};
    struct shim_event ev = {0};
    struct shim_attach a = {.out = true, .err = true};
    int pair[2];
    char got[64];

    box_init(&b, argv);
    int control = box_start(&b, NULL);
    expect_started(&b, control);
    struct oci_process p = *b.plan.spec->process;
    p.args = (struct strv){0};
    for (int i = 0; i < 3; i++)
        strv_push(&b.mem, &p.args, cmd[i]);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct shim_req req = {.op = "exec", .exec = "x1", .process = &p, .attach = &a};
    CHECK_INT(shim_call(b.run_fd, &req, pair[1], &b.mem, &rep, &e), 0);
    CHECK(rep.pid > 0);
    (void)close(pair[1]);
    CHECK_INT(read_all(pair[0], got, sizeof(got)), 3);
    CHECK_STR(got, "in\n");
    next_event(&b, control, &ev);
    CHECK_STR(ev.event, "exec-exit");
    CHECK_STR(ev.exec, "x1");
    CHECK_INT(ev.code, 3);
    struct shim_req watch = {.op = "watch"};
    CHECK_INT(shim_call(b.run_fd, &watch, -1, &b.mem, &rep, &e), 0);
    CHECK_INT(rep.version, SHIM_PROTOCOL);
    CHECK(rep.started_ns > 0 && !rep.exited);
    struct shim_req kill_req = {.op = "kill", .signal = SIGKILL};
    CHECK_INT(shim_call(b.run_fd, &kill_req, -1, &b.mem, &rep, &e), 0);
    next_event(&b, control, &ev);
    CHECK_STR(ev.event, "exit");
    CHECK_INT(ev.code, 137);
    box_done(&b, control);
}

TEST(a_shim_goes_on_without_its_daemon)
{
    static const char *const argv[] = {"/bin/sh", "-c", "read x; exit 5", NULL};
    struct box b;
    struct err e = {0};
    struct shim_event ev = {0};
    struct shim_reply rep = {0};

    box_init(&b, argv);
    b.plan.open_stdin = true;
    int control = box_start(&b, NULL);
    expect_started(&b, control);
    (void)close(control); /* the daemon dies */
    control = shim_connect(b.run_fd, SHIM_PATIENCE_MS, &e);
    CHECK_OK(control);
    struct shim_req watch = {.op = "watch"}, eof = {.op = "close"};
    CHECK_INT(shim_call_on(control, &watch, -1, &b.mem, &rep, &e), 0);
    CHECK_INT(shim_call(b.run_fd, &eof, -1, &b.mem, &rep, &e), 0);
    next_event(&b, control, &ev);
    CHECK_STR(ev.event, "exit");
    CHECK_INT(ev.code, 5);
    box_done(&b, control);
}

TEST(a_shim_that_does_not_answer_is_not_waited_for)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/cleat-deaf-XXXXXX";
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req watch = {.op = "watch"};
    struct shim_reply rep = {0};
    struct shim_event ev = {0};
    struct err e = {0};
    int pair[2];

    CHECK(mkdtemp(dir));
    auto_close int run = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int deaf = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" SHIM_SOCKET, dir);
    CHECK_INT(bind(deaf, (struct sockaddr *)&addr, sizeof(addr)), 0);
    CHECK_INT(shim_call(run, &watch, -1, &a, &rep, &e), 1); /* nobody listens: it is gone */
    CHECK_INT(listen(deaf, 0), 0);
    auto_close int sock = shim_connect(run, 50, &e);
    CHECK_OK(sock);
    CHECK_INT(shim_call_on(sock, &watch, -1, &a, &rep, &e), -ETIMEDOUT);
    CHECK_STR(e.msg, "the shim does not answer");
    CHECK_INT(shim_connect(run, 50, &e), -ETIMEDOUT); /* it does not even accept */
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_INT(shim_first_event(pair[0], 50, &a, &ev, &e), -ETIMEDOUT);
    (void)close(pair[1]);
    CHECK_INT(shim_first_event(pair[0], 50, &a, &ev, &e), 0);
    (void)close(pair[0]);
    CHECK_OK(remove_tree_at(AT_FDCWD, dir, &e));
}
