/*
 * Hooks: programs of the engine's owner, run at given moments with the container's state on stdin.
 * A hook that fails, or takes longer than its timeout, fails the operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/pidfd.h"
#include "kern/sig.h"
#include "oci/oci-priv.h"

#define HOOK_OUTPUT 512

/* The state as a file: no pipe that blocks when the hook does not read. */
static int state_file(const char *state, struct err *err)
{
    auto_close int fd = memfd_create("state", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "make a file for the state");
    int r = write_full(fd, state, strlen(state));
    if (r < 0)
        return err_no(err, r, "write the state");
    return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "rewind the state") : take_fd(&fd);
}

static void hook_child(const struct oci_hook *h, int in, int out, struct arena *a)
{
    char **argv = strv_z(a, &h->args), **env = strv_z(a, &h->env);
    char *alone[] = {h->path, NULL};

    sig_reset_all();
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        _exit(126);
    execve(h->path, h->args.n ? argv : alone, env);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Waits for the end, or kills it. What it printed last is in @out for the error text. */
static int wait_hook(const struct oci_hook *h, int pidfd, struct err *err)
{
    int timeout =
        h->timeout && *h->timeout > 0 && *h->timeout < 1000000 ? (int)*h->timeout * 1000 : -1;
    int status = 0, done = pidfd_wait_exit(pidfd, timeout, err);

    if (done <= 0)
        (void)!pidfd_signal(pidfd, SIGKILL, NULL);
    int r = pidfd_reap(pidfd, &status, err);
    if (done < 0 || r < 0)
        return done < 0 ? done : r;
    if (done == 0)
        return err_as(err, ERR_SYSTEM, ETIMEDOUT, "timed out after %d s", timeout / 1000);
    if (WIFSIGNALED(status))
        return err_as(err, ERR_SYSTEM, ECANCELED, "killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_as(err, ERR_SYSTEM, ECANCELED, "exit status %d", WEXITSTATUS(status));
    return 0;
}

static void add_output(int out, struct err *err, int r)
{
    char text[HOOK_OUTPUT];
    ssize_t n = pread(out, text, sizeof(text) - 1, 0);

    if (n <= 0 || !err)
        return;
    text[n] = '\0';
    struct err old = *err;
    (void)err_as(err, old.kind, -r, "%.300s, output: %s", old.msg, text);
}

static int run_hook(const struct oci_hook *h, const char *state, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_close int in = state_file(state, err);
    auto_close int out = memfd_create("output", MFD_CLOEXEC);

    if (in < 0)
        return in;
    if (out < 0)
        return err_sys(err, "make a file for the output");
    pid_t pid = fork();
    if (pid == 0)
        hook_child(h, in, out, &a);
    if (pid < 0)
        return err_sys(err, "fork");
    auto_close int pidfd = pidfd_open_err(pid, err);
    int r = pidfd < 0 ? pidfd : wait_hook(h, pidfd, err);
    if (r < 0)
        add_output(out, err, r);
    return r;
}

int oci_hooks_run(const struct oci_hook_list *hooks, const char *what, const char *state,
                  struct err *err)
{
    for (size_t i = 0; i < hooks->n; i++) {
        int r = run_hook(hooks->v[i], state, err);
        if (r < 0)
            return err_wrap(err, r, "error running %s hook #%zu: %s", what, i, hooks->v[i]->path);
    }
    return 0;
}
