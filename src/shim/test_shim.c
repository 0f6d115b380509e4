/* A shim brought to life as the daemon does it, around a root file system with only busybox. */
#include "shim/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
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
#include "kern/rtnl.h"

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

/* ---- networks of a running container ---- */

#define SLEEP_FOR_EVER                                                                             \
    {                                                                                              \
        "/bin/sh", "-c", "while :; do sleep 100; done", NULL                                       \
    }

/* A bridge in a network namespace of our own, which is the host's to the shim. */
static int host_bridge(void)
{
    struct err e = {0};

    NEED_ROOT();
    if (unshare(CLONE_NEWNET) < 0)
        SKIP("cannot make a network namespace: needs CAP_SYS_ADMIN");
    auto_close int nl = rtnl_open(&e);
    CHECK_OK(nl);
    CHECK_OK(rtnl_bridge_add(nl, "br0", 0, &e));
    int index = rtnl_link_index(nl, "br0", &e);
    CHECK_OK(index);
    return index;
}

/* A running container with a network namespace. Return: the control socket; *ret_netns inside. */
static int start_with_netns(struct box *b, int *ret_netns)
{
    static const char *const argv[] = SLEEP_FOR_EVER;
    struct shim_event ev = {0};
    char path[64];

    box_init(b, argv);
    CHECK(oci_spec_ns(b->plan.spec, "network"));
    int control = box_start(b, NULL);
    next_event(b, control, &ev);
    CHECK_STR(ev.event, "started");
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", ev.pid);
    *ret_netns = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(*ret_netns >= 0);
    return control;
}

static void end_it(struct box *b, int control, int netns)
{
    struct shim_req kill_req = {.op = "kill", .signal = SIGKILL};
    struct shim_reply rep = {0};
    struct err e = {0};

    (void)close(netns);
    CHECK_INT(shim_call(b->run_fd, &kill_req, -1, &b->mem, &rep, &e), 0);
    box_done(b, control);
}

/* What a command says inside the container's namespace. */
static const char *inside(int netns, const char *command)
{
    static char text[512];
    auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    CHECK_INT(setns(netns, CLONE_NEWNET), 0);
    fflush(stdout);
    FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c): fixed commands */
    CHECK(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)pclose(f);
    CHECK_INT(setns(home, CLONE_NEWNET), 0);
    text[n && text[n - 1] == '\n' ? n - 1 : n] = '\0';
    return text;
}

#define CHECK_INSIDE(netns, want, command) CHECK_STR(inside((netns), (command)), (want))

#define IPV4S "ip -4 -br addr | awk '{ print $1, $3 }' | xargs"
#define DEFAULTS "ip -4 route show default | awk '{ print $3, $5 }' | xargs"

static struct shim_net veth(struct box *b, unsigned i, int parent)
{
    struct shim_net n = {.kind = arena_strdup(&b->mem, "veth"),
                         .host_if = arena_printf(&b->mem, "h%u", i),
                         .peer_if = arena_printf(&b->mem, "eth%u", i),
                         .parent = parent};

    strv_push(&b->mem, &n.addresses, arena_printf(&b->mem, "10.%u.0.2/24", i));
    return n;
}

static int ask(struct box *b, struct shim_req req, const struct shim_net *via, unsigned i,
               struct shim_reply *rep, struct err *e)
{
    struct shim_gateway g = {.family = AF_INET,
                             .dev = via ? via->peer_if : NULL,
                             .via = arena_printf(&b->mem, "10.%u.0.1", i)};
    struct shim_gateway *list[] = {&g};

    if (via) {
        req.gateways.v = list;
        req.gateways.n = 1;
    }
    *rep = (struct shim_reply){0};
    return shim_call(b->run_fd, &req, -1, &b->mem, rep, e);
}

TEST(networks_come_and_go)
{
    int bridge = host_bridge(), netns;
    struct box b;
    int control = start_with_netns(&b, &netns);
    struct shim_reply rep;
    struct err e = {0};
    auto_close int nl = rtnl_open(&e);
    struct shim_net first = veth(&b, 0, bridge), second = veth(&b, 1, bridge);
    struct shim_req join0 = {.op = "net-join", .net = &first};
    struct shim_req join1 = {.op = "net-join", .net = &second};
    struct shim_req leave1 = {.op = "net-leave", .peer_if = second.peer_if};

    CHECK_INSIDE(netns, "lo 127.0.0.1/8", IPV4S);
    CHECK_OK(ask(&b, join0, &first, 0, &rep, &e));
    CHECK_OK(ask(&b, join1, &second, 1, &rep, &e));
    CHECK_INSIDE(netns, "1", "ip -4 -br addr | grep -c '^eth0.* 10.0.0.2/24'");
    CHECK_INSIDE(netns, "1", "ip -4 -br addr | grep -c '^eth1.* 10.1.0.2/24'");
    CHECK_INSIDE(netns, "10.1.0.1 eth1", DEFAULTS);
    CHECK(rtnl_link_index(nl, "h0", &e) > 0 && rtnl_link_index(nl, "h1", &e) > 0);
    CHECK_OK(ask(&b, leave1, &first, 0, &rep, &e));
    CHECK_INSIDE(netns, "10.0.0.1 eth0", DEFAULTS);
    CHECK_INSIDE(netns, "0", "ip -br link | grep -c eth1");
    CHECK_INT(rtnl_link_index(nl, "h1", &e), -ENODEV);
    CHECK_OK(ask(&b, leave1, &first, 0, &rep, &e)); /* it is gone: success */
    CHECK_OK(ask(&b, join1, &second, 1, &rep, &e));
    CHECK_INSIDE(netns, "10.1.0.1 eth1", DEFAULTS);
    end_it(&b, control, netns);
}

/* Whatever is wrong with it, the container and the host have what they had. */
TEST(a_join_that_fails_leaves_nothing)
{
    int bridge = host_bridge(), netns;
    struct box b;
    int control = start_with_netns(&b, &netns);
    struct shim_reply rep;
    struct err e = {0};
    auto_close int nl = rtnl_open(&e);
    struct shim_net good = veth(&b, 0, bridge), bad[5];
    struct shim_req join = {.op = "net-join", .net = &good};

    CHECK_OK(ask(&b, join, &good, 0, &rep, &e));
    for (size_t i = 0; i < 5; i++)
        bad[i] = veth(&b, 1, bridge);
    bad[0].addresses.v[0] = arena_strdup(&b.mem, "nonsense");
    bad[1].mac = arena_strdup(&b.mem, "nonsense");
    strmap_set(&b.mem, &bad[2].sysctls, "net/ipv4/conf/eth1/no_such", "1");
    bad[3].parent = 4711;
    for (size_t i = 0; i < 5; i++) { /* the last one: its gateway is not in reach */
        struct shim_req req = {.op = "net-join", .net = &bad[i]};
        CHECK(ask(&b, req, &bad[i], i == 4 ? 9 : 1, &rep, &e) < 0);
        CHECK(rep.no > 0 && *e.msg);
        CHECK_INSIDE(netns, "0", "ip -br link | grep -c eth1");
        CHECK_INSIDE(netns, "10.0.0.1 eth0", DEFAULTS);
        CHECK_INT(rtnl_link_index(nl, "h1", &e), -ENODEV);
    }
    struct shim_req without = {.op = "net-join"};
    CHECK_INT(ask(&b, without, NULL, 0, &rep, &e), -EINVAL);
    struct shim_req same = {.op = "net-join", .net = &good};
    CHECK_INT(ask(&b, same, &good, 0, &rep, &e), -EEXIST);
    CHECK_INSIDE(netns, "10.0.0.1 eth0", DEFAULTS);
    CHECK_INSIDE(netns, "1", "ip -br link | grep -c '^eth0.*UP'");
    end_it(&b, control, netns);
}

TEST(a_running_container_hands_out_its_name_servers_sockets)
{
    (void)host_bridge();
    int netns;
    struct box b;
    int control = start_with_netns(&b, &netns);
    struct shim_req req = {.op = "dns"};
    struct shim_reply rep = {0};
    struct sockaddr_in at[2] = {0};
    struct err e = {0};

    if (shim_call(b.run_fd, &req, -1, &b.mem, &rep, &e) < 0 && strstr(e.msg, "packet filter"))
        SKIP("no nf_tables in this kernel");
    for (int i = 0; i < 2; i++) { /* a later daemon gets the same ones */
        if (i)
            CHECK_OK(shim_call(b.run_fd, &req, -1, &b.mem, &rep, &e));
        CHECK_INT(rep.nfds, 2);
        for (int k = 0; k < 2; k++) {
            struct sockaddr_in got = {0};
            socklen_t n = sizeof(got);
            int type = 0;
            CHECK_INT(getsockname(rep.fds[k], (struct sockaddr *)&got, &n), 0);
            CHECK_INT(ntohl(got.sin_addr.s_addr), 0x7f00000b);
            CHECK(i == 0 || got.sin_port == at[k].sin_port);
            at[k] = got;
            n = sizeof(type);
            CHECK_INT(getsockopt(rep.fds[k], SOL_SOCKET, SO_TYPE, &type, &n), 0);
            CHECK_INT(type, k ? SOCK_STREAM : SOCK_DGRAM);
            close_fd(&rep.fds[k]);
        }
        rep = (struct shim_reply){0};
    }
    CHECK_INSIDE(netns, "4", "nft list ruleset | grep -c 127.0.0.11");
    end_it(&b, control, netns);
}
