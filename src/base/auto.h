/*
 * Ownership by scope. A variable marked auto_* is released when it goes out of scope; it is
 * given away only by take_ptr() or take_fd(). close() keeps errno, so that an early return after
 * a failed system call still reports that call.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(fn) __attribute__((__cleanup__(fn), __unused__))

#define take_ptr(p)                                                                                \
    ({                                                                                             \
        typeof(*(p)) v_ = *(p);                                                                    \
        *(p) = NULL;                                                                               \
        v_;                                                                                        \
    })

static inline int take_fd(int *fd)
{
    int v = *fd;

    *fd = -1;
    return v;
}

/* DEFINE_AUTO(db, struct db *, db_free): auto_db_ calls db_free(); use it as AUTO(auto_db_). */
#define DEFINE_AUTO(name, type, fn)                                                                \
    static inline void auto_##name##_(type *p)                                                     \
    {                                                                                              \
        fn(*p);                                                                                    \
    }

static inline void auto_close_(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

static inline void auto_free_(void *p)
{
    free(*(void **)p);
}

static inline void auto_file_(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

static inline void auto_dir_(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

#define auto_close AUTO(auto_close_)
#define auto_free AUTO(auto_free_)
#define auto_file AUTO(auto_file_)
#define auto_dir AUTO(auto_dir_)

/** close_fd() - close and forget; safe on -1. Replaces "close(fd); fd = -1;". */
static inline void close_fd(int *fd)
{
    auto_close_(fd);
    *fd = -1;
}
