#include "kern/sig.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

#define SIG_COUNT 65

/* What the kernel calls them; the numbers 32 and 33 are taken by the C library. */
static const char *const names[] = {
    [SIGHUP] = "SIGHUP",       [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT",
    [SIGILL] = "SIGILL",       [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
    [SIGBUS] = "SIGBUS",       [SIGFPE] = "SIGFPE",       [SIGKILL] = "SIGKILL",
    [SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
    [SIGPIPE] = "SIGPIPE",     [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
    [SIGSTKFLT] = "SIGSTKFLT", [SIGCHLD] = "SIGCHLD",     [SIGCONT] = "SIGCONT",
    [SIGSTOP] = "SIGSTOP",     [SIGTSTP] = "SIGTSTP",     [SIGTTIN] = "SIGTTIN",
    [SIGTTOU] = "SIGTTOU",     [SIGURG] = "SIGURG",       [SIGXCPU] = "SIGXCPU",
    [SIGXFSZ] = "SIGXFSZ",     [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF",
    [SIGWINCH] = "SIGWINCH",   [SIGIO] = "SIGIO",         [SIGPWR] = "SIGPWR",
    [SIGSYS] = "SIGSYS",
};

static const struct {
    const char *name;
    int sig;
} aliases[] = {{"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"POLL", SIGIO}};

#define KERNEL_RTMIN 34
#define KERNEL_RTMAX 64

/* "RTMIN", "RTMIN+n", "RTMAX", "RTMAX-n" */
static int parse_rt(const char *s)
{
    bool min = strncasecmp(s, "RTMIN", 5) == 0;
    uint64_t off = 0;

    if (!min && strncasecmp(s, "RTMAX", 5) != 0)
        return -EINVAL;
    s += 5;
    if (*s) {
        if (*s != (min ? '+' : '-') || str_to_u64(s + 1, &off) < 0 ||
            off > KERNEL_RTMAX - KERNEL_RTMIN)
            return -EINVAL;
    }
    return min ? KERNEL_RTMIN + (int)off : KERNEL_RTMAX - (int)off;
}

int sig_parse(const char *s)
{
    uint64_t n;

    if (str_to_u64(s, &n) == 0)
        return n > 0 && n < SIG_COUNT ? (int)n : -EINVAL;
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    for (int i = 1; i < (int)(sizeof(names) / sizeof(names[0])); i++)
        if (names[i] && strcasecmp(names[i] + 3, s) == 0)
            return i;
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strcasecmp(aliases[i].name, s) == 0)
            return aliases[i].sig;
    return parse_rt(s);
}

const char *sig_name(int sig)
{
    return sig > 0 && sig < (int)(sizeof(names) / sizeof(names[0])) ? names[sig] : NULL;
}

/* The kernel's own struct (rt_sigaction(2)): glibc's call refuses the two signals that it uses
 * itself, 32 and 33, which a parent may have left ignored all the same. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

void sig_reset_all(void)
{
    struct kernel_sigaction sa;
    sigset_t none;

    /* Two calls per signal, but a write only where something is set. */
    for (int i = 1; i < SIG_COUNT; i++) {
        if (syscall(SYS_rt_sigaction, i, NULL, &sa, sizeof(sa.mask)) < 0 || sa.handler == SIG_DFL)
            continue;
        memset(&sa, 0, sizeof(sa));
        /* SIGKILL and SIGSTOP refuse, and need not change */
        (void)syscall(SYS_rt_sigaction, i, &sa, NULL, sizeof(sa.mask));
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}
