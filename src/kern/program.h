/*
 * Programs of the host that a threaded process has to start: with nothing of its descriptors,
 * signals and environment, in a process group of their own, and not for ever.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct program {
    const char *path;  /* absolute: never found by PATH */
    char *const *argv; /* NULL-terminated, as @env */
    char *const *env;
    int dir_fd; /* where it starts; -1: where we are */
    int in_fd, out_fd, err_fd;
    unsigned timeout_ms;
    int gone_fd;         /* end it when this hangs up; -1: never */
    uint64_t file_max_b; /* it writes no longer file; 0: no limit */
};

/**
 * program_run() - start it and wait until it has ended; blocks
 * Whether it succeeded is to be told by what it left: a process that ignores SIGCHLD sees no exit
 * code. When it takes too long, its whole group is killed.
 * Return: 0 it ended; -ETIMEDOUT, -ECANCELED, -errno.
 */
int program_run(const struct program *p, struct err *err) MUST;
