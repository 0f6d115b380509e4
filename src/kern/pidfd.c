#include "kern/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int pidfd_open_err(pid_t pid, struct err *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? err_sys(err, "open process %d", pid) : fd;
}

int pidfd_signal(int pidfd, int sig, struct err *err)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) == 0)
        return 0;
    return errno == ESRCH ? 1 : err_sys(err, "send signal %d", sig);
}

int pidfd_wait_exit(int pidfd, int timeout_ms, struct err *err)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t end = mono_ns() + timeout_ms * NS_PER_MS;

    for (;;) {
        int64_t left = timeout_ms < 0 ? -1 : (end - mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int r = poll(&p, 1, timeout_ms < 0 ? -1 : (int)(left > 0 ? left : 0));
        if (r >= 0)
            return r > 0;
        if (errno != EINTR)
            return err_sys(err, "wait for a process");
    }
}

static int status_of(const siginfo_t *si)
{
    if (si->si_code == CLD_EXITED)
        return W_EXITCODE(si->si_status, 0);
    return W_EXITCODE(0, si->si_status) | (si->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

int pidfd_reap(int pidfd, int *ret_status, struct err *err)
{
    siginfo_t si = {0};
    int r;

    do
        r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_sys(err, "reap a process");
    if (ret_status)
        *ret_status = status_of(&si);
    return 0;
}
