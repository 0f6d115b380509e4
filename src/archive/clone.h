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

/*
 * The same name by name, for who puts a tree together from several: files that had one content by
 * several names have it again, as long as they come through one cloner.
 */
struct cloner;
/** clone_begin() - @to: root of what will be made; stays the caller's. */
struct cloner *clone_begin(int to);
void clone_end(struct cloner *c); /* NULL is fine */
/** clone_one() - @name of the directory @from, anything but a directory, into the directory @to
 * under the same name; @path: from the root. */
int clone_one(struct cloner *c, int from, int to, const char *name, const char *path,
              struct err *err) MUST;
/** clone_dir_attributes() - of a directory to another; last, since its content changes its time. */
int clone_dir_attributes(int from, int to, const char *path, struct err *err) MUST;
