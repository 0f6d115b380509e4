/*
 * The program inside the test containers: tiny verbs that look at one thing or do one thing, and
 * print it. Several in a row are separated by "+". Static, so that no image is needed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int say(const char *what)
{
    printf("%s: %s\n", what, errno ? strerrorname_np(errno) : "ok");
    return 0;
}

static int v_echo(char **a)
{
    for (; *a; a++)
        printf("%s%s", *a, a[1] ? " " : "");
    putchar('\n');
    return 0;
}

static int v_exit(char **a)
{
    fflush(stdout);
    _exit(atoi(a[0]));
}

static int v_pause(char **a)
{
    (void)a;
    fflush(stdout);
    for (;;)
        pause();
}

static int v_cat(char **a)
{
    char buf[65536];
    int fd = open(a[0], O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return say(a[0]);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    close(fd);
    return 0;
}

static int v_write(char **a)
{
    int fd = open(a[0], O_WRONLY | O_CREAT, 0644);

    errno = fd < 0 ? errno : 0;
    if (fd >= 0 && write(fd, a[1], strlen(a[1])) >= 0)
        errno = 0;
    return say(a[0]);
}

static int v_mkdir(char **a)
{
    errno = 0;
    (void)mkdir(a[0], 0755);
    return say(a[0]);
}

static int v_id(char **a)
{
    gid_t g[64];
    int n = getgroups(64, g);

    (void)a;
    printf("%u %u", getuid(), getgid());
    for (int i = 0; i < n; i++)
        printf(" %u", g[i]);
    putchar('\n');
    return 0;
}

static int v_status(char **a)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    size_t n = strlen(a[0]);

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, a[0], n) == 0)
            fputs(line, stdout);
    return 0;
}

static int v_link(char **a)
{
    char target[PATH_MAX];
    ssize_t n = readlink(a[0], target, sizeof(target) - 1);

    if (n < 0)
        return say(a[0]);
    printf("%.*s\n", (int)n, target);
    return 0;
}

static int v_ls(char **a)
{
    struct dirent **list;
    int n = scandir(a[0], &list, NULL, alphasort);

    if (n < 0)
        return say(a[0]);
    for (int i = 0; i < n; i++)
        if (list[i]->d_name[0] != '.')
            printf("%s ", list[i]->d_name);
    putchar('\n');
    return 0;
}

static int v_stat(char **a)
{
    struct stat st;

    if (lstat(a[0], &st) < 0)
        return say(a[0]);
    printf("%s %o %u:%u %u,%u %lld\n",
           S_ISDIR(st.st_mode)    ? "dir"
           : S_ISCHR(st.st_mode)  ? "chr"
           : S_ISBLK(st.st_mode)  ? "blk"
           : S_ISLNK(st.st_mode)  ? "lnk"
           : S_ISFIFO(st.st_mode) ? "fifo"
                                  : "reg",
           st.st_mode & 07777, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev),
           (long long)st.st_size);
    return 0;
}

static int v_rlimit(char **a)
{
    struct rlimit l;

    getrlimit((__rlimit_resource_t)atoi(a[0]), &l);
    printf("%lld %lld\n", (long long)l.rlim_cur, (long long)l.rlim_max);
    return 0;
}

static int v_uts(char **a)
{
    struct utsname u;

    (void)a;
    uname(&u);
    printf("%s %s %s\n", u.nodename, u.domainname, u.machine);
    return 0;
}

static int v_env(char **a)
{
    (void)a;
    for (char **e = environ; *e; e++)
        puts(*e);
    return 0;
}

static int v_cwd(char **a)
{
    char path[PATH_MAX];

    (void)a;
    puts(getcwd(path, sizeof(path)) ? path : strerrorname_np(errno));
    return 0;
}

static int v_umask(char **a)
{
    (void)a;
    printf("%03o\n", umask(0));
    return 0;
}

static int v_fds(char **a)
{
    (void)a;
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    putchar('\n');
    return 0;
}

static int v_tty(char **a)
{
    struct winsize w = {0};
    char name[64] = "none";

    (void)a;
    (void)ioctl(0, TIOCGWINSZ, &w);
    (void)ttyname_r(0, name, sizeof(name));
    printf("%d%d%d %s %d %d sid=%d\n", isatty(0), isatty(1), isatty(2), name, w.ws_row, w.ws_col,
           getsid(0) == getpid());
    return 0;
}

static int v_mknod(char **a)
{
    errno = 0;
    (void)mknod(a[0], S_IFCHR | 0600, makedev((unsigned)atoi(a[1]), (unsigned)atoi(a[2])));
    return say(a[0]);
}

static int v_open(char **a)
{
    int fd = open(a[0], atoi(a[1]));

    errno = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return say(a[0]);
}

static int v_mount(char **a)
{
    errno = 0;
    (void)mount("tmpfs", a[0], "tmpfs", 0, NULL);
    return say(a[0]);
}

static int v_call(char **a)
{
    errno = 0;
    (void)syscall(atoi(a[0]), a[1] ? strtol(a[1], NULL, 0) : 0, 0, 0, 0, 0, 0);
    return say(a[0]);
}

static int v_mem(char **a)
{
    size_t n = (size_t)atoi(a[0]) << 20;
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return say("mem");
    memset(p, 1, n);
    puts("mem: ok");
    return 0;
}

static int v_forks(char **a)
{
    int want = atoi(a[0]), n = 0;

    for (; n < want; n++) {
        pid_t pid = fork();
        if (pid == 0)
            v_pause(a);
        if (pid < 0)
            break;
    }
    printf("forks: %d\n", n);
    return 0;
}

/* A child that outlives us when nothing kills it. */
static int v_child(char **a)
{
    if (fork() == 0)
        v_pause(a);
    return 0;
}

static int v_clock(char **a)
{
    struct timespec t;

    (void)a;
    clock_gettime(CLOCK_BOOTTIME, &t);
    printf("%lld\n", (long long)t.tv_sec);
    return 0;
}

static int v_sched(char **a)
{
    (void)a;
    printf("%d %d %ld\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0),
           syscall(SYS_ioprio_get, 1, 0) >> 13);
    return 0;
}

static int v_mounts(char **a)
{
    char line[4096];
    FILE *f = fopen("/proc/self/mountinfo", "r");

    while (f && fgets(line, sizeof(line), f)) {
        char *p = line;
        for (int i = 0; i < 4; i++)
            p = strchr(p, ' ') + 1;
        if (strncmp(p, a[0], strlen(a[0])) == 0 && p[strlen(a[0])] == ' ')
            fputs(p, stdout);
    }
    return 0;
}

/* Prints signals as they come. */
static int v_signals(char **a)
{
    sigset_t all;
    int sig;

    (void)a;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    puts("waiting");
    fflush(stdout);
    while (sigwait(&all, &sig) == 0) {
        printf("signal %d\n", sig);
        fflush(stdout);
        if (sig == SIGTERM)
            return 0;
    }
    return 0;
}

static int v_pid(char **a)
{
    (void)a;
    printf("%d\n", getpid());
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(char **a);
} verbs[] = {
    {"echo", v_echo},       {"exit", v_exit},   {"pause", v_pause}, {"cat", v_cat},
    {"write", v_write},     {"mkdir", v_mkdir}, {"id", v_id},       {"status", v_status},
    {"link", v_link},       {"ls", v_ls},       {"stat", v_stat},   {"rlimit", v_rlimit},
    {"uts", v_uts},         {"env", v_env},     {"cwd", v_cwd},     {"umask", v_umask},
    {"fds", v_fds},         {"tty", v_tty},     {"mknod", v_mknod}, {"open", v_open},
    {"mount", v_mount},     {"call", v_call},   {"mem", v_mem},     {"forks", v_forks},
    {"child", v_child},     {"clock", v_clock}, {"sched", v_sched}, {"mounts", v_mounts},
    {"signals", v_signals}, {"pid", v_pid},
};

static int run(char **a)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, a[0]) == 0)
            return verbs[i].fn(a + 1);
    fprintf(stderr, "no verb %s\n", a[0]);
    return 1;
}

int main(int argc, char **argv)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0;) {
        char **start = &argv[i];
        while (i < argc && strcmp(argv[i], "+") != 0)
            i++;
        if (i < argc)
            argv[i++] = NULL;
        r = run(start);
        fflush(stdout);
    }
    return r;
}
