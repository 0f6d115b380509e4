/*
 * A layer's tar into a directory, as overlay wants it: whiteouts become 0/0 character devices,
 * opaque marks an xattr. Every name is resolved below the directory with openat2(RESOLVE_IN_ROOT),
 * so no archive can write outside it, whatever links it plants.
 */
#pragma once

#include "archive/stream.h"
#include "archive/tar.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum unpack_flags {
    UNPACK_OVERLAY = 1,   /* translate whiteouts; else .wh. files are taken as they are */
    UNPACK_KEEP_DIRS = 2, /* a directory is not replaced by something else, nor the reverse */
    UNPACK_NO_OWNER = 4,  /* what is made belongs to the caller */
    UNPACK_ROOT = 8,      /* the entry of the archive's own directory is the root's */
};

/* Who is told what an unpacking does, so that the tar can be made again (recipe.h). */
struct unpack_watch {
    tar_raw_fn raw; /* bytes that are no content */
    /* Content of a file follows in the tar. @path: below the root, no links in it; @ino: its inode
     * number, by which keep() knows it again. */
    int (*file)(void *ctx, const char *path, uint64_t ino, struct err *err);
    /* @len bytes of that file, from @offset on */
    int (*extent)(void *ctx, uint64_t offset, uint64_t len, struct err *err);
    /* The file @name in @dir_fd is about to be removed. Return: 1 it was moved away, 0 remove it.
     */
    int (*keep)(void *ctx, int dir_fd, const char *name, uint64_t ino, struct err *err);
};

/*
 * Where files really are that are made in an overlay which nobody else uses meanwhile: its upper
 * directory. Directories that an unpacking makes have nothing below them in other layers, and are
 * filled there, past the overlay, at half the price.
 */
struct unpack_upper {
    int fd;           /* O_PATH */
    const char *path; /* of the directory that is unpacked into, from there; no links in it */
};

struct unpack_options {
    unsigned flags;
    const char *top; /* what the archive's first name component is to be called, or NULL */
    const int64_t (*owner)[2]; /* uid and gid of everything, or NULL: as the archive has it */
    const struct unpack_watch *watch; /* or NULL */
    const struct unpack_upper *upper; /* or NULL */
    void *watcher;
};

/**
 * unpack_tar() - @s: plain tar, read to its end; @root_fd: a directory
 * @opts: may be NULL
 * @ret_size: sum of the entries' sizes (what Docker calls the layer's size); may be NULL
 * Return: 0; -EBADMSG, -E2BIG (invalid): hostile or damaged; -EXDEV (invalid): a name or link leads
 *   out of the root; -errno of the file system.
 * Source: moby pkg/archive, Unpack() with the overlay whiteout converter.
 */
int unpack_tar(struct source *s, int root_fd, const struct unpack_options *opts, uint64_t *ret_size,
               struct err *err) MUST;

/** unpack_set_opaque() - nothing of the layers below shows in this directory. */
int unpack_set_opaque(int fd, struct err *err) MUST;
