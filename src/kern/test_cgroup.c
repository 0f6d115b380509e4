/* Groups on whatever this machine has: v1, hybrid or v2. */
#include "kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/test.h"
#include "kern/pidfd.h"
#include "kern/proc.h"

static struct cgroup *make(struct cgroup_host **host)
{
    struct err e = {0};
    struct cgroup *cg = NULL;
    char path[64];

    NEED_ROOT();
    if (cgroup_host_open(host, &e) < 0)
        SKIP("no cgroups");
    (void)snprintf(path, sizeof(path), "/cleat-unit-%d/x", getpid());
    CHECK_OK(cgroup_new(*host, path, &cg, &e));
    CHECK_INT(cgroup_create(cg, &e), 0);
    return cg;
}

static void unmake(struct cgroup_host *host, struct cgroup *cg)
{
    struct err e = {0};
    struct cgroup *parent;
    char path[64];

    CHECK_OK(cgroup_delete(cg, 5000, &e));
    CHECK_INT(cgroup_exists(cg, &e), 0);
    (void)snprintf(path, sizeof(path), "/cleat-unit-%d", getpid());
    CHECK_OK(cgroup_new(host, path, &parent, &e));
    CHECK_OK(cgroup_delete(parent, 5000, &e));
    cgroup_free(parent);
    cgroup_free(cg);
    cgroup_host_free(host);
}

/* A process inside that does @fn; returns when it has joined. */
static pid_t inside(struct cgroup *cg, void (*fn)(void))
{
    int p[2];
    char c;

    CHECK(pipe2(p, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        if (cgroup_join_self(cg, false, &e) < 0) {
            printf("# %s\n", e.msg);
            _exit(1);
        }
        (void)!write(p[1], "x", 1);
        fn();
        _exit(0);
    }
    CHECK(read(p[0], &c, 1) == 1);
    (void)close(p[0]);
    (void)close(p[1]);
    return pid;
}

static void wait_forever(void)
{
    for (;;)
        (void)pause();
}

static void spin(void)
{
    for (;;)
        ;
}

static void eat(void)
{
    size_t n = 64 << 20;
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(p, 1, n);
}

TEST(paths_are_checked)
{
    struct err e = {0};
    struct cgroup_host *host = NULL;
    struct cgroup *cg = NULL;
    static const char *const bad[] = {"", "/", "x", "/a/../b", "/..", "/a/.", "/a\nb"};

    if (cgroup_host_open(&host, &e) < 0)
        SKIP("no cgroups");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(cgroup_new(host, bad[i], &cg, &e), -EINVAL);
    cgroup_host_free(host);
}

TEST(join_list_kill_delete)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host);
    struct pid_list list = {0};
    pid_t a = inside(cg, wait_forever), b = inside(cg, wait_forever);

    CHECK_INT(cgroup_create(cg, &e), 1);
    CHECK_OK(cgroup_pids(cg, &list, &e));
    CHECK_INT(list.n, 2);
    CHECK(list.v[0] == (a < b ? a : b));
    free(list.v);
    CHECK_INT(cgroup_delete(cg, 0, &e), -EBUSY);
    CHECK_OK(cgroup_kill(cg, SIGKILL, &e));
    unmake(host, cg); /* before they are reaped: zombies do not count */
    int status;
    CHECK(waitpid(a, &status, 0) == a && WTERMSIG(status) == SIGKILL);
    CHECK(waitpid(b, &status, 0) == b && WTERMSIG(status) == SIGKILL);
}

TEST(freeze_and_thaw)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host);
    struct proc_stat st;
    pid_t pid = inside(cg, spin);

    CHECK_INT(cgroup_frozen(cg, &e), 0);
    CHECK_OK(cgroup_freeze(cg, 5000, &e));
    CHECK_INT(cgroup_frozen(cg, &e), 1);
    CHECK_INT(cgroup_freeze(cg, 5000, &e), 1);
    CHECK_OK(proc_stat_read(pid, &st, &e));
    CHECK(st.state != 'R');
    CHECK_OK(cgroup_thaw(cg, &e));
    CHECK_INT(cgroup_thaw(cg, &e), 1);
    CHECK_OK(cgroup_kill(cg, SIGKILL, &e));
    CHECK(waitpid(pid, NULL, 0) == pid);
    unmake(host, cg);
}

TEST(limits_and_stats)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct cgroup_host *host;
    struct cgroup *cg = make(&host);
    int64_t limit = 32 << 20, quota = 50000;
    struct cgroup_memory mem = {.limit = &limit};
    struct cgroup_cpu cpu = {.shares = 512, .quota = &quota, .period = 100000};
    struct cgroup_pids pids = {.limit = 17};
    struct cgroup_limits lim = {.memory = &mem, .cpu = &cpu, .pids = &pids};
    struct cgroup_stats s;

    if (!cgroup_host_has(host, "memory") || !cgroup_host_has(host, "pids"))
        SKIP("controllers are missing");
    CHECK_OK(cgroup_apply(cg, &lim, &e));
    pid_t pid = inside(cg, wait_forever);
    CHECK_OK(cgroup_stats(cg, &a, &s, &e));
    CHECK_INT(s.memory.limit, limit);
    CHECK_INT(s.pids.limit, 17);
    CHECK_INT(s.pids.current, 1);
    CHECK(s.memory.stat.n > 10);
    limit = 64 << 20;
    pids.limit = -1;
    CHECK_OK(cgroup_apply(cg, &lim, &e));
    CHECK_OK(cgroup_stats(cg, &a, &s, &e));
    CHECK_INT(s.memory.limit, limit);
    CHECK_INT(s.pids.limit, 0);
    CHECK_OK(cgroup_kill(cg, SIGKILL, &e));
    CHECK(waitpid(pid, NULL, 0) == pid);
    unmake(host, cg);
}

TEST(out_of_memory_is_counted_and_told)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host);
    int64_t limit = 8 << 20;
    struct cgroup_memory mem = {.limit = &limit, .swap = &limit};
    struct cgroup_limits lim = {.memory = &mem};
    uint64_t n = 0;
    int fd = -1, status = 0;

    if (!cgroup_host_has(host, "memory"))
        SKIP("no memory controller");
    CHECK_OK(cgroup_apply(cg, &lim, &e));
    CHECK_OK(cgroup_oom_open(cg, &fd, &e));
    pid_t pid = inside(cg, eat);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_INT(poll(&p, 1, 20000), 1);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    cgroup_oom_drain(fd);
    CHECK_OK(cgroup_oom_count(cg, &n, &e));
    CHECK(n >= 1);
    (void)close(fd);
    unmake(host, cg);
}

TEST(nested_groups_are_deleted)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host), *inner = NULL;
    auto_free char *path = xasprintf("%s/a/b/c", cgroup_path(cg));

    CHECK_OK(cgroup_new(host, path, &inner, &e));
    CHECK_OK(cgroup_create(inner, &e));
    cgroup_free(inner);
    unmake(host, cg);
}

TEST(values_the_kernel_refuses)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host);
    char bad[] = "nonsense";
    struct cgroup_cpu cpu = {.cpus = bad};
    struct cgroup_limits lim = {.cpu = &cpu};

    CHECK_INT(cgroup_apply(cg, &lim, &e), -EINVAL);
    CHECK(strstr(e.msg, "cpuset.cpus") != NULL);
    unmake(host, cg);
}

TEST(processes_of_a_group_that_hands_controllers_down)
{
    struct err e = {0};
    struct cgroup_host *host;
    struct cgroup *cg = make(&host), *leaf = NULL;
    auto_free char *path = xasprintf("%s/leaf", cgroup_path(cg));

    if (cgroup_host_mode(host) == CGROUP_V1)
        SKIP("no v2 tree");
    CHECK_OK(cgroup_new(host, path, &leaf, &e));
    CHECK_OK(cgroup_create(leaf, &e)); /* enables controllers in the group above */
    pid_t pid = inside(leaf, wait_forever), outside = getpid();
    auto_close int fd = cgroup_open_inner(cg, pid, &e);
    CHECK(fd >= 0);
    CHECK_INT(faccessat(fd, "cgroup.procs", F_OK, 0), 0);
    CHECK_INT(cgroup_open_inner(leaf, pid, &e), -ENOENT);
    CHECK_INT(cgroup_open_inner(cg, outside, &e), -ENOENT);
    CHECK_OK(cgroup_kill(cg, SIGKILL, &e));
    CHECK(waitpid(pid, NULL, 0) == pid);
    cgroup_free(leaf);
    unmake(host, cg);
}
