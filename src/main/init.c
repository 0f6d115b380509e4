/*
 * cleat-init. As process 1 a program gets no default signal actions and inherits every orphan;
 * most programs are ready for neither. This one stands in front of them.
 */
#include "init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The command is a process group of its own in the foreground of the terminal, if there is one. */
static pid_t start(char **argv, const sigset_t *old)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    (void)signal(SIGTTOU, SIG_IGN);
    if (isatty(STDIN_FILENO))
        (void)tcsetpgrp(STDIN_FILENO, getpgrp());
    (void)signal(SIGTTOU, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, old, NULL);
    (void)execvp(argv[0], argv);
    int no = errno;
    (void)fprintf(stderr, "cleat-init: %s: %s\n", argv[0], strerrordesc_np(no));
    _exit(no == ENOENT ? 127 : 126);
}

/* Return: exit status once the command ended, -1 before. */
static int reap(pid_t command)
{
    int status, code = -1;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == command)
            code = code_of(status);
    return code;
}

int init_main(int argc, char **argv)
{
    sigset_t all, old;
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1, code = -1, sig;

    if (first >= argc) {
        (void)fputs("usage: cleat-init [--] COMMAND [ARG...]\n", stderr);
        return 1;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &old);
    pid_t command = start(argv + first, &old);
    if (command < 0) {
        (void)fprintf(stderr, "cleat-init: fork: %s\n", strerrordesc_np(errno));
        return 1;
    }
    while (code < 0) {
        if (sigwait(&all, &sig) != 0)
            continue;
        if (sig == SIGCHLD)
            code = reap(command);
        else
            (void)kill(command, sig);
    }
    return code;
}
