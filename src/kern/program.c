#include "kern/program.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/auto.h"
#include "base/time.h"
#include "kern/pidfd.h"

static void set_files(const struct program *p, posix_spawn_file_actions_t *files)
{
    if (p->dir_fd >= 0)
        (void)posix_spawn_file_actions_addfchdir_np(files, p->dir_fd);
    (void)posix_spawn_file_actions_adddup2(files, p->in_fd, 0);
    (void)posix_spawn_file_actions_adddup2(files, p->out_fd, 1);
    (void)posix_spawn_file_actions_adddup2(files, p->err_fd, 2);
}

static void set_attributes(posix_spawnattr_t *attr)
{
    sigset_t all, none;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETPGROUP);
    (void)posix_spawnattr_setsigdefault(attr, &all);
    (void)posix_spawnattr_setsigmask(attr, &none);
    (void)posix_spawnattr_setpgroup(attr, 0);
}

static int spawn(const struct program *p, pid_t *ret_pid, struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;

    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attr);
    set_files(p, &files);
    set_attributes(&attr);
    int no = posix_spawn(ret_pid, p->path, &files, &attr, p->argv, p->env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return no ? err_no(err, no, "start %s", p->path) : 0;
}

/* posix_spawn() knows no limits; whatever fills a disk takes longer than this. */
static int limit(const struct program *p, pid_t pid, struct err *err)
{
    const struct rlimit max = {p->file_max_b, p->file_max_b};

    if (!p->file_max_b || prlimit(pid, RLIMIT_FSIZE, &max, NULL) == 0 || errno == ESRCH)
        return 0;
    return err_sys(err, "limit %s", p->path);
}

static int wait_end(const struct program *p, int pidfd, struct err *err)
{
    int64_t end = mono_ns() + (int64_t)p->timeout_ms * NS_PER_MS;
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
                            {.fd = p->gone_fd, .events = POLLRDHUP}};

    for (;;) {
        int64_t left = (end - mono_ns()) / NS_PER_MS;
        int n = left > 0 ? poll(fds, 2, (int)left) : 0;
        if (n == 0)
            return err_as(err, ERR_UNAVAILABLE, ETIMEDOUT, "%s took more than %u s", p->argv[0],
                          p->timeout_ms / 1000);
        if (n > 0 && fds[0].revents)
            return 0;
        if (n > 0)
            return err_no(err, ECANCELED, "wait for %s", p->argv[0]);
        if (errno != EINTR)
            return err_sys(err, "wait for %s", p->argv[0]);
    }
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int program_run(const struct program *p, struct err *err)
{
    pid_t pid;
    int r = spawn(p, &pid, err);

    if (r < 0)
        return r;
    auto_close int pidfd = pidfd_open_err(pid, NULL); /* none: it has ended, or it is waited for */
    r = limit(p, pid, err);
    if (r >= 0 && pidfd >= 0)
        r = wait_end(p, pidfd, err);
    if (r < 0)
        (void)kill(-pid, SIGKILL); /* it may have ended just now */
    reap(pid);
    return r;
}
