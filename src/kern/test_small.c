/* Names, numbers and options: signals, limits, capabilities, namespaces, mount options, processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/test.h"
#include "kern/caps.h"
#include "kern/idmap.h"
#include "kern/mount.h"
#include "kern/ns.h"
#include "kern/pidfd.h"
#include "kern/proc.h"
#include "kern/program.h"
#include "kern/rlimit.h"
#include "kern/sig.h"
#include "kern/tty.h"

TEST(signal_names)
{
    static const struct {
        const char *text;
        int sig;
    } t[] = {{"TERM", SIGTERM},    {"SIGTERM", SIGTERM},  {"sigkill", SIGKILL}, {"15", 15},
             {"RTMIN", 34},        {"RTMIN+3", 37},       {"SIGRTMAX-1", 63},   {"64", 64},
             {"0", -EINVAL},       {"65", -EINVAL},       {"", -EINVAL},        {"NOSUCH", -EINVAL},
             {"RTMIN-1", -EINVAL}, {"RTMIN+99", -EINVAL}, {"-9", -EINVAL},      {"POLL", SIGIO}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        CHECK_INT(sig_parse(t[i].text), t[i].sig);
    CHECK_STR(sig_name(SIGHUP), "SIGHUP");
    CHECK(sig_name(40) == NULL && sig_name(-1) == NULL && sig_name(1000) == NULL);
}

TEST(limits)
{
    struct err e = {0};
    struct rlimit l;

    CHECK_INT(rlimit_parse("RLIMIT_NOFILE"), RLIMIT_NOFILE);
    CHECK_INT(rlimit_parse("NOFILE"), -EINVAL);
    CHECK_OK(rlimit_set(RLIMIT_CORE, 0, 0, &e));
    CHECK(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max == 0);
    CHECK_INT(rlimit_set(RLIMIT_CORE, 2, 1, &e), -EINVAL);
}

TEST(capability_names)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct strv v = {0};
    uint64_t mask;

    CHECK_INT(caps_parse("CAP_CHOWN"), 0);
    CHECK_INT(caps_parse("net_raw"), 13);
    CHECK_INT(caps_parse("CAP_NOSUCH"), -EINVAL);
    CHECK(caps_last() >= 37);
    CHECK(caps_name(caps_last()) != NULL);
    strv_push(&a, &v, "CAP_CHOWN");
    CHECK_INT(caps_mask(&v, &mask, &e), 0);
    strv_push(&a, &v, "CAP_NOSUCH");
    CHECK_INT(caps_mask(&v, &mask, &e), 1);
    CHECK_INT(mask, 1);
}

TEST(namespaces)
{
    CHECK_INT(ns_by_name("network")->flag, CLONE_NEWNET);
    CHECK_STR(ns_by_flag(CLONE_NEWNS)->file, "mnt");
    CHECK(ns_by_name("net") == NULL);
}

static struct mount_opts parse(struct arena *a, const char *text)
{
    struct err e = {0};
    struct strv v = str_split(a, text, ',');
    struct mount_opts o;

    CHECK_OK(mount_opts_parse(&v, a, &o, &e));
    return o;
}

TEST(mount_options)
{
    auto_arena struct arena a = ARENA_INIT;
    struct mount_opts o = parse(&a, "ro,nosuid,rbind,rslave,size=1m,uid=5,noatime,rro");

    CHECK_INT(o.attr_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME);
    CHECK_INT(o.attr_clr, MOUNT_ATTR__ATIME);
    CHECK(o.bind && o.rec && o.propagation == MS_SLAVE && o.propagation_rec);
    CHECK_INT(o.rec_set, MOUNT_ATTR_RDONLY);
    CHECK_INT(o.data.n, 2);
    CHECK_STR(o.data.v[0], "size=1m");
    o = parse(&a, "ro,rw,nosuid,suid,strictatime,relatime");
    CHECK_INT(o.attr_set, MOUNT_ATTR_RELATIME);
    CHECK_INT(o.attr_clr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR__ATIME);
}

TEST(ids)
{
    struct idmap_range r = {.container_id = 10, .host_id = 1000, .size = 5};
    struct idmap_range *v[] = {&r};
    struct idmap_list map = {v, 1};
    uint32_t id;

    CHECK_INT(idmap_to_host(&map, 12, &id), 0);
    CHECK_INT(id, 1002);
    CHECK_INT(idmap_to_host(&map, 15, &id), -EINVAL);
    CHECK_INT(idmap_to_host(&map, 9, &id), -EINVAL);
}

TEST(processes)
{
    struct err e = {0};
    struct proc_stat st;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    auto_close int fd = pidfd_open_err(pid, &e);
    CHECK_OK(fd);
    CHECK_OK(proc_stat_read(pid, &st, &e));
    CHECK_INT(st.ppid, getpid());
    CHECK(proc_alive(pid, st.start_time));
    CHECK(!proc_alive(pid, st.start_time + 1));
    CHECK_INT(pidfd_wait_exit(fd, 10, &e), 0);
    CHECK_OK(pidfd_signal(fd, SIGTERM, &e));
    CHECK_INT(pidfd_wait_exit(fd, -1, &e), 1);
    CHECK(!proc_alive(pid, st.start_time)); /* a zombie */
    CHECK_OK(pidfd_reap(fd, &status, &e));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK_INT(pidfd_signal(fd, SIGTERM, &e), 1);
    CHECK_INT(proc_stat_read(pid, &st, &e), -ESRCH);
}

TEST(terminals)
{
    struct err e = {0};
    int master = -1, slave = -1;
    unsigned rows, cols;

    if (tty_open(-1, &master, &slave, &e) < 0)
        SKIP("no pseudo terminals");
    CHECK_OK(tty_set_size(master, 12, 34, &e));
    CHECK_OK(tty_get_size(slave, &rows, &cols, &e));
    CHECK(rows == 12 && cols == 34);
    CHECK_INT(tty_set_size(master, 70000, 1, &e), -EINVAL);
    CHECK(isatty(slave));
}

static int run_sh(const char *text, unsigned timeout_ms, int gone_fd, int out, uint64_t max)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)text, NULL};
    char *const env[] = {NULL};
    const struct program p = {.path = "/bin/sh",
                              .argv = argv,
                              .env = env,
                              .dir_fd = -1,
                              .in_fd = out,
                              .out_fd = out,
                              .err_fd = out,
                              .timeout_ms = timeout_ms,
                              .gone_fd = gone_fd,
                              .file_max_b = max};
    struct err e = {0};

    return program_run(&p, &e);
}

TEST(programs)
{
    int hung[2], live[2];
    char got[8] = "";
    auto_close int out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    CHECK(out >= 0 && pipe2(hung, O_CLOEXEC) == 0 && pipe2(live, O_CLOEXEC) == 0);
    (void)close(hung[1]);
    CHECK_INT(run_sh("printf %s \"${HOME-none}\"", 10000, live[0], out, 0), 0);
    CHECK(pread(out, got, 4, 0) == 4 && strcmp(got, "none") == 0);
    CHECK_INT(run_sh("sleep 100 & sleep 100", 50, -1, out, 0), -ETIMEDOUT);
    CHECK_INT(run_sh("sleep 100", 10000, hung[0], out, 0), -ECANCELED);
    CHECK_INT(run_sh("while echo xxxxxxxxxxxxxxxx; do :; done", 10000, -1, out, 1000), 0);
    CHECK(lseek(out, 0, SEEK_END) >= 1000); /* and it has ended */
    (void)signal(SIGCHLD, SIG_IGN);
    CHECK_INT(run_sh("exit 1", 10000, -1, out, 0), 0);
}
