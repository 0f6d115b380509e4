/* Consoles, pid files, and a container in the foreground: relaying its terminal and our signals. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/pidfd.h"
#include "kern/tty.h"
#include "oci/cli-priv.h"

#define CHUNK 16384

int io_console_send(const char *path, int master, struct err *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    static const char name[] = "/dev/ptmx";
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (str_empty(path))
        return err_invalid(err, "a terminal without the foreground needs --console-socket");
    if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
        return err_no(err, fd < 0 ? errno : ENAMETOOLONG, "console socket %s", path);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return err_sys(err, "connect to console socket %s", path);
    int r = fds_send(fd, name, sizeof(name) - 1, &master, 1);
    return r < 0 ? err_no(err, r, "send the console to %s", path) : 0;
}

int io_pid_file(const char *path, pid_t pid, struct err *err)
{
    char text[16];

    if (str_empty(path))
        return 0;
    int n = snprintf(text, sizeof(text), "%d", pid);
    return write_file_at(AT_FDCWD, path, 0644, text, (size_t)n, false, err);
}

/* ---- foreground ---- */

struct fg {
    struct oci_init *init;
    int sigfd;
    bool stdin_open, console_open;
    struct termios saved;
    bool raw;
};

void io_own_size(struct arena *a, struct oci_process *p)
{
    struct oci_box box;

    if (!p->terminal || p->console_size || tty_get_size(0, &box.height, &box.width, NULL) < 0)
        return;
    p->console_size = arena_memdup(a, &box, sizeof(box));
}

static void forwarded(sigset_t *ret)
{
    static const int keep[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTTIN, SIGTTOU};

    (void)sigfillset(ret);
    for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
        (void)sigdelset(ret, keep[i]);
}

int io_hold_signals(struct err *err)
{
    sigset_t set;

    forwarded(&set);
    return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? err_sys(err, "block signals") : 0;
}

static int watch_signals(struct fg *f, struct err *err)
{
    sigset_t set;

    forwarded(&set);
    f->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return f->sigfd < 0 ? err_sys(err, "watch signals") : 0;
}

static void copy_size(const struct fg *f)
{
    unsigned rows, cols;

    if (f->init->console >= 0 && tty_get_size(0, &rows, &cols, NULL) == 0)
        (void)!tty_set_size(f->init->console, rows, cols, NULL);
}

static void on_signal(struct fg *f)
{
    struct signalfd_siginfo si;

    while (read(f->sigfd, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo == SIGWINCH)
            copy_size(f);
        else if (si.ssi_signo != SIGCHLD && si.ssi_signo != SIGURG && si.ssi_signo != SIGPIPE)
            (void)!pidfd_signal(f->init->pidfd, (int)si.ssi_signo, NULL);
    }
}

/* Return: false at the end. A pty whose last user has gone reads EIO. */
static bool copy_chunk(int from, int to)
{
    char data[CHUNK];
    ssize_t n = read(from, data, sizeof(data));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    return n > 0 && write_full(to, data, (size_t)n) == 0;
}

static void drain_console(struct fg *f)
{
    struct pollfd p = {.fd = f->init->console, .events = POLLIN};

    while (f->console_open && poll(&p, 1, 0) > 0 && p.revents & POLLIN)
        f->console_open = copy_chunk(f->init->console, 1);
}

static void relay(struct fg *f)
{
    for (bool ended = false; !ended;) {
        struct pollfd p[] = {
            {.fd = f->init->pidfd, .events = POLLIN},
            {.fd = f->sigfd, .events = POLLIN},
            {.fd = f->console_open ? f->init->console : -1, .events = POLLIN},
            {.fd = f->console_open && f->stdin_open ? 0 : -1, .events = POLLIN},
        };
        if (poll(p, 4, -1) < 0)
            continue;
        if (p[1].revents)
            on_signal(f);
        if (p[2].revents)
            f->console_open = copy_chunk(f->init->console, 1);
        if (p[3].revents)
            f->stdin_open = copy_chunk(0, f->init->console);
        ended = p[0].revents != 0;
    }
    drain_console(f);
}

int io_foreground(struct oci_init *init, struct err *err)
{
    struct fg f = {.init = init, .stdin_open = true, .console_open = init->console >= 0};
    int status, r = watch_signals(&f, err);

    if (r < 0)
        return r;
    copy_size(&f);
    f.raw = f.console_open && isatty(0) && tty_raw(0, &f.saved, NULL) == 0;
    relay(&f);
    if (f.raw)
        tty_restore(0, &f.saved);
    close_fd(&f.sigfd);
    r = pidfd_reap(init->pidfd, &status, err);
    if (r < 0)
        return r;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
