/* What ADD can do and COPY cannot: archives of the context are unpacked. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/** add_is_remote() - an URL, or a Git repository. */
bool add_is_remote(const char *source);
int add_remote_not_built(const char *source, struct err *err) MUST;

struct add_archive {
    int from_fd, to_fd;      /* roots */
    const char *path, *dest; /* the archive, below from_fd; where it goes, below to_fd */
    int64_t uid, gid;        /* -1: as the archive says */
};
/** add_unpack() - Return: 1 done; 0: it is no archive, and nothing has happened; -EBADMSG ... */
int add_unpack(const struct add_archive *ar, struct err *err) MUST;
