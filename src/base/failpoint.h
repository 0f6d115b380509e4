/*
 * Named fail points: places where a test makes the program crash or an operation fail. They exist
 * only in builds with -DCLEAT_FAILPOINTS (meson option "failpoints"); elsewhere they cost nothing.
 *
 * CLEAT_FAIL holds a list "name=action[,name=action...]"; actions are "crash" (SIGKILL to itself),
 * "error" (the operation fails with EIO), "stop" (SIGSTOP to itself: the test does something in the
 * middle of the operation and lets it go on), and any of them with "@N" (at the Nth hit only).
 * SIGKILL leaves what the file system and the kernel really hold at that point.
 *
 * A mutating operation has one before its first change, between any two changes, and behind the
 * last: FAIL_POINT("container.create.row", err) in a function that returns -errno.
 */
#pragma once

#include "base/err.h"

#ifdef CLEAT_FAILPOINTS
/** fail_point() - Return: 0, or -EIO with @err set when a test asked for it. */
int fail_point(const char *name, struct err *err);
#define FAIL_POINT(name, err)                                                                      \
    do {                                                                                           \
        int fp_ = fail_point((name), (err));                                                       \
        if (fp_ < 0)                                                                               \
            return fp_;                                                                            \
    } while (0)
#else
#define FAIL_POINT(name, err) ((void)0)
#endif
