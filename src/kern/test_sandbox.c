/* What a thread that has shut itself in can do and cannot, and that the others still can. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/test.h"
#include "kern/sandbox.h"

struct probe {
    char path[32];
    int dir_fd, other_fd; /* below it; a file elsewhere that is open for writing */
};

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 2;
}

static void probe_init(struct probe *p)
{
    *p = (struct probe){.path = "/tmp/cleat-test-XXXXXX"};
    CHECK(mkdtemp(p->path));
    p->dir_fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->other_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(p->dir_fd >= 0 && p->other_fd >= 0);
}

static void probe_done(struct probe *p)
{
    struct err e = {0};

    (void)close(p->dir_fd);
    (void)close(p->other_fd);
    CHECK_OK(remove_tree_at(AT_FDCWD, p->path, &e));
}

static struct sandbox below(const struct probe *p)
{
    return (struct sandbox){.dir_fd = p->dir_fd};
}

/* What an unpacking does. */
static int work(void *ctx, struct err *err)
{
    const struct probe *p = ctx;
    struct err e = {0};
    struct stat st;
    struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = 2}};

    CHECK_OK(write_file_at(p->dir_fd, "file", 0600, "abc", 3, true, &e));
    CHECK_INT(mkdirat(p->dir_fd, "d", 0700), 0);
    CHECK_INT(symlinkat("/etc/passwd", p->dir_fd, "l"), 0);
    CHECK_INT(linkat(p->dir_fd, "file", p->dir_fd, "d/hard", 0), 0);
    CHECK_INT(renameat(p->dir_fd, "file", p->dir_fd, "d/moved"), 0);
    CHECK_INT(mknodat(p->dir_fd, "p", S_IFIFO | 0600, 0), 0);
    CHECK_INT(fchmodat(p->dir_fd, "d/moved", 0640, 0), 0);
    CHECK_INT(utimensat(p->dir_fd, "d/moved", t, 0), 0);
    CHECK_INT(fstatat(p->dir_fd, "d/hard", &st, 0), 0);
    CHECK_INT(st.st_nlink, 2);
    CHECK_INT(st.st_mtim.tv_sec, 2);
    CHECK_OK(remove_tree_at(p->dir_fd, "d", &e));
    (void)err;
    free(malloc(64u << 20));
    return 7;
}

TEST(work_below_the_directory_goes_on)
{
    struct probe p;
    struct err e = {0};

    probe_init(&p);
    struct sandbox s = below(&p);
    CHECK_INT(sandbox_run(&s, work, &p, &e), 7);
    CHECK_STR(e.msg, "");
    probe_done(&p);
}

static int other_files(void *ctx, struct err *err)
{
    const struct probe *p = ctx;

    (void)err;
    CHECK_INT(write(p->other_fd, "x", 1), -1); /* not its descriptor */
    CHECK_INT(errno, EBADF);
    CHECK_INT(symlinkat("/etc/passwd", p->dir_fd, "passwd"), 0);
    if (!has_landlock())
        return 0;
    static const char *const outside[] = {"/etc/passwd", "/proc/self/mem", "/tmp", "passwd"};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        CHECK_INT(openat(p->dir_fd, outside[i], O_RDONLY | O_CLOEXEC), -1);
        CHECK_INT(errno, EACCES);
    }
    CHECK_INT(openat(p->dir_fd, "../cleat-test-new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
    CHECK_INT(errno, EACCES);
    CHECK_INT(mkdirat(AT_FDCWD, "/tmp/cleat-test-new", 0700), -1);
    CHECK_INT(unlinkat(AT_FDCWD, p->path, AT_REMOVEDIR), -1);
    return 0;
}

TEST(other_files_are_out_of_reach)
{
    struct probe p;
    struct err e = {0};

    probe_init(&p);
    struct sandbox s = below(&p);
    CHECK_OK(sandbox_run(&s, other_files, &p, &e));
    CHECK_INT(write(p.other_fd, "x", 1), 1); /* the process has it still */
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    (void)close(fd);
    probe_done(&p);
    if (!has_landlock())
        printf("# the kernel has no Landlock: descriptors only\n");
}

#define REFUSED(call)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK_INT((long)(call), -1);                                                               \
        CHECK_INT(errno, EPERM);                                                                   \
    } while (0)

static void *nothing(void *arg)
{
    return arg;
}

static int other_calls(void *ctx, struct err *err)
{
    static char *const argv[] = {NULL};
    pthread_t thread;

    (void)ctx;
    (void)err;
    REFUSED(socket(AF_INET, SOCK_STREAM, 0));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(execve("/bin/true", argv, argv));
    REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    REFUSED(syscall(SYS_clone3, NULL, 0));
    REFUSED(kill(getpid(), SIGTERM));
    REFUSED(syscall(SYS_ptrace, 0, 0, 0, 0));
    REFUSED(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
    REFUSED(syscall(SYS_setns, 0, 0));
    REFUSED(syscall(SYS_unshare, 0));
    REFUSED(syscall(SYS_bpf, 0, NULL, 0));
    REFUSED(syscall(SYS_prctl, 0, 0, 0, 0, 0));
    REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
          MAP_FAILED);
    void *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    REFUSED(mprotect(m, 4096, PROT_READ | PROT_EXEC));
    CHECK_INT(pthread_create(&thread, NULL, nothing, NULL), EPERM);
    return munmap(m, 4096);
}

TEST(other_calls_are_refused)
{
    struct probe p;
    struct err e = {0};

    probe_init(&p);
    struct sandbox s = below(&p);
    CHECK_OK(sandbox_run(&s, other_calls, NULL, &e));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0); /* the process can */
    (void)close(fd);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    probe_done(&p);
}

static int memory_only(void *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    REFUSED(openat(AT_FDCWD, "/", O_RDONLY | O_CLOEXEC));
    REFUSED(read(STDIN_FILENO, NULL, 0));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    free(malloc(64u << 20));
    return 0;
}

TEST(a_parser_needs_no_files_at_all)
{
    struct sandbox s = {.dir_fd = -1};
    struct err e = {0};

    CHECK_OK(sandbox_run(&s, memory_only, NULL, &e));
}

TEST(locks_survive_a_thread_that_closes_their_file)
{
    struct probe p;
    struct err e = {0};

    probe_init(&p);
    int fd = lock_file_at(p.dir_fd, "lock", 0600, &e);
    CHECK(fd >= 0);
    struct sandbox s = below(&p);
    CHECK_INT(sandbox_run(&s, work, &p, &e), 7);
    pid_t pid = fork();
    if (pid == 0)
        _exit(lock_file_at(p.dir_fd, "lock", 0600, NULL) == -EAGAIN ? 0 : 1);
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    (void)close(fd);
    probe_done(&p);
}
