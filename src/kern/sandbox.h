/*
 * Threads that shut themselves in before they touch what strangers made. Such a thread has
 * descriptors of its own (those that it needs), reaches no file but below one directory (Landlock,
 * where the kernel has it), and can do little more than file work and waiting (seccomp). It shares
 * the memory of the process: a wall against what parsers are talked into, not against code that
 * somebody manages to run in it.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define SANDBOX_FDS_MAX 8

struct sandbox {
    int dir_fd; /* files may be made, changed and removed below it; -1: none anywhere */
    int keep[SANDBOX_FDS_MAX]; /* besides @dir_fd and the first three */
    size_t nkeep;
};

/**
 * sandbox_enter() - shut the calling thread in, for good; it must end by returning, not in a pool
 * Needs no privilege. What the kernel lacks is left out: Landlock before 5.19, seccomp.
 * Return: 0; -errno. After an error the thread may be shut in by half.
 */
int sandbox_enter(const struct sandbox *s, struct err *err) MUST;

/** sandbox_run() - @fn in a thread of its own that has shut itself in; waits for it. Descriptors
 * that @fn leaves open are closed with the thread. Return: what @fn returned; -errno. */
typedef int (*sandbox_fn)(void *ctx, struct err *err);
int sandbox_run(const struct sandbox *s, sandbox_fn fn, void *ctx, struct err *err) MUST;
