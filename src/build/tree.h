/*
 * Trees of files that COPY and ADD take from: a context, or the layers of a stage or image. What is
 * in there is not trusted: every path is resolved below the tree's root, and no link leads out.
 */
#pragma once

#include "archive/ignore.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <stdint.h>

#define TREE_DEPTH_MAX 256 /* each level takes stack and a descriptor */

/** tree_is_nothing() - sockets mean nothing without their process; a 0/0 device is how an overlay
 * notes what was deleted. */
static inline bool tree_is_nothing(const struct stat *st)
{
    return S_ISSOCK(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev == 0);
}

/* Something that a source names. */
struct tree_item {
    char *path; /* from the root, without "/" in front and links; "" is the root itself */
    char *name; /* the same as it was named, or found by wildcards; from the pivot "/./" on */
    bool dir;
};
struct tree_items {
    struct tree_item *v;
    size_t n;
};

/**
 * tree_find() - what @pattern names: a path, or several by wildcards (ignore.h, glob_match)
 * @root_fd: of the tree
 * @ignored: patterns of files that are not there for COPY, or NULL
 * A link that is named is followed, inside the tree.
 * Return: 0, in the order of names; -ENOENT (invalid) "\"/x\": not found".
 */
int tree_find(int root_fd, const char *pattern, const struct ignore *ignored, struct arena *a,
              struct tree_items *ret, struct err *err) MUST;

/** tree_resolve() - where a path really leads to: links are followed, inside the root. Return: 0;
 * -ENOENT. */
int tree_resolve(int root_fd, const char *path, struct arena *a, struct tree_item *ret) MUST;

struct tree_filter {
    const struct ignore *ignored; /* by path from the root, or NULL */
    const struct ignore *exclude; /* by path below the item: --exclude, or NULL */
};

/**
 * tree_digest() - of an item and all below it: names, kinds, modes, owners, links, xattrs, content;
 * no times
 * @keep: note the digests of files on them (an xattr), to be found the next time: only for trees
 *   that nobody else changes
 */
int tree_digest(int root_fd, const struct tree_item *item, const struct tree_filter *f, bool keep,
                char out[DIGEST_LEN + 1], struct err *err) MUST;

struct tree_copy {
    int from_fd; /* root of the tree */
    int to_fd;   /* root of what is written to */
    const struct tree_filter *filter;
    int64_t uid, gid;  /* of everything; -1: as it is */
    const char *chmod; /* "0755", "u+x,go-w"; NULL: as it is */
    bool may_link; /* files of the source that would be the same may become those of the copy: it is
                      removed soon, and nobody writes to it any more */
};

/**
 * tree_copy_item() - to @dest, below the root @to_fd
 * @dest: for a directory, where its content goes; for a file, its new path. Missing directories are
 *   made; links on the way are followed inside the root.
 * Directories that are made belong to @c's owner; one that a directory becomes is like that.
 * Return: 0; -ENOTDIR, -EISDIR (invalid) with BuildKit's words.
 */
int tree_copy_item(const struct tree_copy *c, const struct tree_item *item, const char *dest,
                   struct err *err) MUST;

/** chmod_parse_check() - is this a mode for --chmod? */
int chmod_check(const char *text, struct err *err) MUST;
/** chmod_apply() - @mode changed by "0755" or "u+x,g=rX". @dir: X means x for those. */
mode_t chmod_apply(const char *text, mode_t mode, bool dir);
