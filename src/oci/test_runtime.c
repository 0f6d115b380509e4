/* The runtime against a root that holds nothing but a static busybox. */
#include "oci/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/time.h"
#include "kern/overlay.h"
#include "kern/pidfd.h"

#define BUSYBOX "/bin/busybox"

/* A private mount namespace with a tmpfs at /tmp/x that holds the root; gone with the process. */
static char *make_root(void)
{
    static const char *const links[] = {"sh",    "true", "false", "cat",   "id",      "hostname",
                                        "sleep", "ls",   "grep",  "mount", "stat",    "touch",
                                        "env",   "pwd",  "echo",  "nproc", "readlink"};
    char dir[] = "/tmp/oci-test-XXXXXX", path[256];

    NEED_ROOT();
    if (access(BUSYBOX, X_OK) < 0)
        SKIP("no static busybox");
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0);
    CHECK(mkdtemp(dir) != NULL);
    CHECK(chmod(dir, 0755) == 0);
    static const char *const dirs[] = {"/bin", "/proc", "/sys", "/dev", "/etc", "/tmp", "/root"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", dir, dirs[i]);
        CHECK(mkdir(path, 0755) == 0);
    }
    (void)snprintf(path, sizeof(path), "cp " BUSYBOX " %s/bin/busybox", dir);
    CHECK(system(path) == 0);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/bin/%s", dir, links[i]);
        CHECK(symlink("busybox", path) == 0);
    }
    return xstrdup(dir);
}

#define MOUNTS                                                                                     \
    "\"mounts\":["                                                                                 \
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\","    \
    "\"noexec\",\"nodev\"]},"                                                                      \
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\","   \
    "\"strictatime\",\"mode=755\",\"size=65536k\"]},"                                              \
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":["        \
    "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"           \
    "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\","   \
    "\"noexec\",\"nodev\",\"ro\"]},"                                                               \
    "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":["  \
    "\"ro\",\"nosuid\",\"noexec\",\"nodev\"]},"                                                    \
    "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":["     \
    "\"nosuid\",\"noexec\",\"nodev\"]},"                                                           \
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\"," \
    "\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]}]"

#define CAPS                                                                                       \
    "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_KILL\",\"CAP_SETGID\","              \
    "\"CAP_SETUID\",\"CAP_NET_RAW\",\"CAP_SYS_CHROOT\",\"CAP_MKNOD\"]"

#define LINUX                                                                                      \
    "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"},{\"type\":\"uts\"},"   \
    "{\"type\":\"pid\"},{\"type\":\"ipc\"}],\"resources\":{\"devices\":[{\"allow\":false,"         \
    "\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,\"access\":\"rwm\"},"          \
    "{\"allow\":true,\"type\":\"c\",\"major\":5,\"access\":\"rwm\"},"                              \
    "{\"allow\":true,\"type\":\"c\",\"major\":136,\"access\":\"rwm\"}],"                           \
    "\"memory\":{\"limit\":67108864},\"pids\":{\"limit\":100}},"                                   \
    "\"maskedPaths\":[\"/proc/asound\",\"/proc/acpi\",\"/proc/interrupts\",\"/proc/kcore\","       \
    "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\","           \
    "\"/proc/sched_debug\",\"/proc/scsi\",\"/sys/firmware\"],\"readonlyPaths\":[\"/proc/bus\","    \
    "\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}"

struct box {
    struct arena a;
    struct oci_spec *spec;
    struct oci_create c;
    struct cgroup_host *host;
    struct cgroup *cg;
    int out[2];
    char *root;
};

static void box_init(struct box *b, const char *args, const char *more)
{
    struct err e = {0};
    char cg[64];

    *b = (struct box){0};
    char *root = make_root();
    char *text = xasprintf(
        "{\"ociVersion\":\"1.0.2\",\"hostname\":\"boxed\",\"process\":{\"args\":%s,\"cwd\":\"/\","
        "\"env\":[\"PATH=/usr/bin:/bin\",\"A=b\"],\"capabilities\":{\"bounding\":" CAPS
        ",\"effective\":" CAPS ",\"permitted\":" CAPS "}%s},\"root\":{\"path\":\"%s\"}," MOUNTS
        "," LINUX "}",
        args, more, root);
    CHECK_OK(oci_spec_decode(text, strlen(text), &b->a, &b->spec, &e));
    free(text);
    b->root = root;
    CHECK_OK(cgroup_host_open(&b->host, &e));
    (void)snprintf(cg, sizeof(cg), "/cleat-oci-test-%d", getpid());
    CHECK_OK(cgroup_new(b->host, cg, &b->cg, &e));
    CHECK(pipe2(b->out, O_CLOEXEC) == 0);
    b->c = (struct oci_create){.id = "box",
                               .spec = b->spec,
                               .bundle = root,
                               .bundle_fd = -1,
                               .rootfs_fd = -1,
                               .stdio = {-1, b->out[1], b->out[1]},
                               .new_session = true,
                               .cgroup = b->cg};
}

static void box_done(struct box *b)
{
    cgroup_free(b->cg);
    cgroup_host_free(b->host);
    close_fd(&b->out[0]);
    close_fd(&b->out[1]);
    arena_done(&b->a);
    free(b->root);
}

static int box_end(struct box *b, struct oci_init *init, char *out, size_t size)
{
    struct err e = {0};
    auto_buf struct buf text = BUF_INIT;
    int status = 0;

    close_fd(&b->out[1]);
    CHECK_OK(read_fd(b->out[0], 1 << 20, &text, &e));
    CHECK_OK(pidfd_reap(init->pidfd, &status, &e));
    oci_init_done(init);
    CHECK_OK(cgroup_delete(b->cg, 5000, &e));
    (void)snprintf(out, size, "%s", buf_str(&text));
    return status;
}

TEST(runs_a_process_in_all_namespaces)
{
    struct err e = {0};
    struct box b;
    struct oci_init init = OCI_INIT_NONE;
    char out[4096];

    box_init(&b, "[\"sh\",\"-c\",\"echo $$ $(hostname) $HOME $A; ls /; exit 7\"]", "");
    CHECK_OK(oci_create(&b.c, &init, &e));
    CHECK_OK(oci_start(&b.c, &init, &e));
    CHECK_INT(WEXITSTATUS(box_end(&b, &init, out, sizeof(out))), 7);
    CHECK_STR(out, "1 boxed / b\nbin\ndev\netc\nproc\nroot\nsys\ntmp\n");
    box_done(&b);
}

TEST(merged_start)
{
    struct err e = {0};
    struct box b;
    struct oci_init init = OCI_INIT_NONE;
    char out[4096];

    box_init(&b, "[\"id\"]", ",\"user\":{\"uid\":12,\"gid\":13,\"additionalGids\":[14]}");
    b.c.flags = OCI_START;
    CHECK_OK(oci_create(&b.c, &init, &e));
    CHECK_INT(box_end(&b, &init, out, sizeof(out)), 0);
    CHECK_STR(out, "uid=12 gid=13 groups=14\n");
    box_done(&b);
}

TEST(unknown_command_is_127)
{
    struct err e = {0};
    struct box b;
    struct oci_init init = OCI_INIT_NONE;

    box_init(&b, "[\"nosuch\"]", "");
    CHECK_INT(oci_create(&b.c, &init, &e), -ENOENT);
    CHECK_STR(e.msg, "exec: \"nosuch\": executable file not found in $PATH");
    CHECK_INT(oci_exit_code(e.no), 127);
    CHECK_INT(cgroup_exists(b.cg, &e), 0);
    box_done(&b);
}

TEST(directory_is_126)
{
    struct err e = {0};
    struct box b;
    struct oci_init init = OCI_INIT_NONE;

    box_init(&b, "[\"/etc\"]", "");
    CHECK(oci_create(&b.c, &init, &e) < 0);
    CHECK_STR(e.msg, "exec: \"/etc\": is a directory");
    CHECK_INT(oci_exit_code(e.no), 126);
    box_done(&b);
}

TEST(exec_joins_the_container)
{
    struct err e = {0};
    struct box b;
    struct oci_init init = OCI_INIT_NONE, second = OCI_INIT_NONE;
    char out[4096];

    box_init(&b, "[\"sleep\",\"100\"]", "");
    CHECK_OK(oci_create(&b.c, &init, &e));
    CHECK_OK(oci_start(&b.c, &init, &e));
    struct oci_process p = *b.spec->process;
    char sh[] = "sh", opt[] = "-c";
    char script[] = "hostname; cat /proc/1/comm; grep -e pids -e ^0:: /proc/self/cgroup";
    char *args[] = {sh, opt, script};
    p.args = (struct strv){args, 3};
    struct oci_exec x = {.pidfd = init.pidfd,
                         .pid = init.pid,
                         .process = &p,
                         .spec = b.spec,
                         .cgroup = b.cg,
                         .stdio = {-1, b.out[1], b.out[1]},
                         .new_session = true};
    CHECK_OK(oci_exec(&x, &second, &e));
    int status = -1;
    CHECK_OK(pidfd_reap(second.pidfd, &status, &e));
    CHECK_INT(status, 0);
    CHECK_OK(oci_kill(init.pidfd, b.cg, SIGKILL, true, &e));
    CHECK_INT(WTERMSIG(box_end(&b, &init, out, sizeof(out))), SIGKILL);
    CHECK(strstr(out, "boxed\nsleep\n") != NULL);
    CHECK(cgroup_host_mode(b.host) == CGROUP_V2 || strstr(out, cgroup_path(b.cg)) != NULL);
    CHECK_INT(oci_exec(&x, &second, &e), -ESRCH);
    CHECK_STR(e.msg, "container is not running");
    box_done(&b);
}

/* Not a test of speed: prints what it costs, for whoever looks. */
TEST(cost_of_a_container)
{
    struct err e = {0};
    struct box b;
    int64_t best = INT64_MAX, sum = 0;
    enum { N = 50 };

    box_init(&b, "[\"true\"]", "");
    for (int i = 0; i < N; i++) {
        struct oci_init init = OCI_INIT_NONE;
        int64_t t0 = mono_ns();
        b.c.flags = OCI_START;
        CHECK_OK(oci_create(&b.c, &init, &e));
        CHECK_OK(pidfd_reap(init.pidfd, NULL, &e));
        int64_t t = mono_ns() - t0;
        CHECK_OK(cgroup_delete(b.cg, 5000, &e));
        oci_init_done(&init);
        sum += t;
        best = t < best ? t : best;
    }
    printf("# create+start+wait: mean %.2f ms, best %.2f ms\n", (double)sum / N / 1e6,
           (double)best / 1e6);
    box_done(&b);
}
