/*
 * The floor: what the kernel charges for a container, with nothing around it. Clones a process
 * into all namespaces, mounts overlay, proc, sysfs, dev, makes a veth pair on a bridge with an
 * address inside, executes the program, waits. Prints the median of N runs in milliseconds.
 *
 * usage: floor LOWER_DIR WORK_DIR BRIDGE|- N PROGRAM [ARG...]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rtnl.h"

static double now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static void child(const char *lower, const char *work, int ready, const char *bridge, char **argv)
{
    char options[1024], go, root[512];
    struct ip ip, gw, any = {0};

    (void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/diff,workdir=%s/work", lower,
                   work, work);
    (void)snprintf(root, sizeof(root), "%s/root", work);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("overlay", root, "overlay", 0, options) < 0 || chdir(root) < 0)
        die("overlay");
    (void)mkdir("proc", 0755);
    (void)mkdir("sys", 0755);
    (void)mkdir("dev", 0755);
    if (mount("proc", "proc", "proc", 0, NULL) < 0 || mount("sysfs", "sys", "sysfs", 0, NULL) < 0 ||
        mount("tmpfs", "dev", "tmpfs", 0, "mode=755") < 0)
        die("mount");
    if (read(ready, &go, 1) != 1)
        die("barrier");
    int nl = rtnl_open(NULL);
    if (nl < 0 || rtnl_link_up(nl, 1, NULL) < 0)
        die("lo");
    if (bridge) {
        int index = rtnl_link_index(nl, "eth0", NULL);
        if (ip_parse("10.222.0.2/24", &ip) < 0 || ip_parse("10.222.0.1", &gw) < 0 ||
            rtnl_addr_add(nl, index, &ip, NULL) < 0 || rtnl_link_up(nl, index, NULL) < 0 ||
            rtnl_route_add(nl, index, &any, &gw, NULL) < 0)
            die("address");
    }
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        die("pivot_root");
    (void)execv(argv[0], argv);
    die("execv");
}

static void once(const char *lower, const char *work, const char *bridge, int run, char **argv)
{
    int pipes[2], status = 0;
    struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                       CLONE_NEWUTS | CLONE_NEWCGROUP,
                              .exit_signal = SIGCHLD};

    if (pipe2(pipes, O_CLOEXEC) < 0)
        die("pipe");
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0)
        die("clone3");
    if (pid == 0)
        child(lower, work, pipes[0], bridge, argv);
    if (bridge) {
        char path[40], name[IFNAMSIZ];
        (void)snprintf(name, sizeof(name), "floor%d", run); /* dies with the namespace, later */
        (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
        auto_close int ns = open(path, O_RDONLY | O_CLOEXEC), nl = rtnl_open(NULL);
        struct rtnl_veth v = {.host = name,
                              .peer = "eth0",
                              .peer_netns = ns,
                              .master = rtnl_link_index(nl, bridge, NULL)};
        struct err e = {0};
        if (rtnl_veth_add(nl, &v, &e) < 0)
            (void)fprintf(stderr, "%s\n", e.msg);
    }
    if (write(pipes[1], "g", 1) != 1 || waitpid(pid, &status, 0) < 0)
        die("wait");
    if (status != 0)
        (void)fprintf(stderr, "floor: the program failed: %d\n", status);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    double t[1000];
    int n = argc > 5 ? (int)strtol(argv[4], NULL, 10) : 0;

    if (n < 1 || n > 1000) {
        (void)fprintf(stderr, "usage: floor LOWER WORK BRIDGE|- N PROGRAM [ARG...]\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        double start = now_ms();
        once(argv[1], argv[2], strcmp(argv[3], "-") == 0 ? NULL : argv[3], i, argv + 5);
        t[i] = now_ms() - start;
    }
    qsort(t, (size_t)n, sizeof(t[0]), by_value);
    printf("%.2f\n", t[n / 2]);
    return 0;
}
