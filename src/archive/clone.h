/*
 * A directory tree once more on the same machine, with everything about its files: owners, modes,
 * times, attributes, holes, files with several names. Content is shared with the original where
 * the file system can (reflink) and copied where it cannot. Names are walked by descriptors and no
 * link is followed, as in packing; sockets are left out.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct clone_result {
    uint64_t files, shared; /* regular files; how many of them share their content */
};

/**
 * clone_tree() - what lies in @from, into the empty directory @to, which gets its attributes
 * Two file systems are fine. Blocking.
 * @ret: may be NULL
 * Return: 0; -ELOOP for a tree of more than 256 levels; -ENOSPC, -EDQUOT; -errno.
 */
int clone_tree(int from, int to, struct clone_result *ret, struct err *err) MUST;
