/* Pax extended headers (POSIX.1-2001): the records that matter here, parsed from a header's
 * content. */
#pragma once

#include "archive/tar.h"
#include "base/arena.h"
#include "base/err.h"

enum pax_has { PAX_SIZE = 1, PAX_UID = 2, PAX_GID = 4, PAX_MTIME = 8 };

struct pax {
    unsigned has;
    char *path, *link; /* NULL when not given */
    uint64_t size, uid, gid;
    int64_t mtime_ns;
    struct {
        struct tar_xattr *v;
        size_t n;
    } xattrs;
    /* GNU.sparse.*: 0.0 and 0.1 bring the map in records, 1.0 at the start of the content. */
    bool sparse_1_0;
    uint64_t real_size;
    struct {
        struct tar_extent *v;
        size_t n;
    } map;
};

/** pax_parse() - @p: @n bytes; records of several headers add up in @ret. Return: 0; -EBADMSG. */
int pax_parse(const char *p, size_t n, struct arena *a, struct pax *ret, struct err *err) MUST;
/** pax_clamp_time() - ns since the epoch, cut to what 64 bits hold. */
int64_t pax_clamp_time(int64_t s, int64_t ns);
