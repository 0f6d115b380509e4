/* The state of an unpacking, and what its files have in common. */
#pragma once

#include "archive/unpack.h"
#include "base/arena.h"

/* A directory that is held open: its name in the archive, and its path without links. */
struct parent {
    char *name; /* NULL: none */
    char *path;
    int fd;
    struct timespec mtime; /* as it was found: given back when it is left */
    bool past;             /* it was opened in the upper directory, past the overlay */
};

struct unpacker {
    int root_fd;
    struct tar_reader *tar;
    const struct unpack_options *opts;
    bool root;             /* may change owners */
    int64_t root_mtime_ns; /* with UNPACK_ROOT: what the archive says, or 0 */
    struct parent parent, link_parent;
    char *fresh;   /* a directory that was made here, if there is an upper; its real path, heap */
    bool not_past; /* the overlay has looked at what lies in it: it keeps to that from now on */
    struct arena scratch; /* of one entry */
    uint64_t size;
};

static inline const struct unpack_watch *unpack_watch_of(const struct unpacker *u)
{
    return u->opts->watch;
}

/* unpack_parent.c */
/** unpack_clean() - like Go's path.Clean(), in the arena: no "." and "..", no double slashes, no
 * slash at either end; the root is "". NULL when ".." leads out. */
char *unpack_clean(struct arena *a, const char *name);
/** unpack_join() - @dir "" is the root. */
char *unpack_join(struct arena *a, const char *dir, const char *name);
/** unpack_open_parent() - @p becomes the directory @name; @make: something is to be made
 * in it, and so are it and those above it if they are missing. */
int unpack_open_parent(struct unpacker *u, struct parent *p, const char *name, bool make,
                       struct err *err) MUST;
/** unpack_note_fresh() - @base was made in the parent: it may be filled past the overlay. */
void unpack_note_fresh(struct unpacker *u, const char *base);
/** unpack_forget_fresh() - everything goes through the overlay again; closes the parents. */
int unpack_forget_fresh(struct unpacker *u, struct err *err) MUST;
/** unpack_is_past() - is the parent in the upper directory itself? */
bool unpack_is_past(const struct unpacker *u);
/** unpack_leave_parent() - close it, with the time it had. */
int unpack_leave_parent(struct parent *p, struct err *err) MUST;
/** unpack_drop_parent() - the same when nothing matters any more. */
void unpack_drop_parent(struct parent *p);
/** unpack_clear_way() - remove @base in the parent, with all that is below it. */
int unpack_clear_way(struct unpacker *u, const char *base, struct err *err) MUST;

/* unpack_attr.c */
/** unpack_set_attributes() - owner, xattrs, mode and time of a descriptor that was opened for
 * reading or writing. */
int unpack_set_attributes(struct unpacker *u, int fd, const struct tar_entry *e,
                          struct err *err) MUST;
/** unpack_first_mode() - what a new file is made with: its own mode, unless that would let somebody
 * in before it has its owner. unpack_finish_file(): the rest, of one that was made so. */
mode_t unpack_first_mode(const struct unpacker *u, const struct tar_entry *e);
int unpack_finish_file(struct unpacker *u, int fd, const struct tar_entry *e, struct err *err) MUST;
/** unpack_set_attributes_at() - of what cannot be opened: links, devices, pipes. */
int unpack_set_attributes_at(struct unpacker *u, const char *base, const struct tar_entry *e,
                             struct err *err) MUST;

/* unpack_whiteout.c */
/** unpack_whiteout() - Return: 1 it was one; 0 it is an ordinary name; -errno. */
int unpack_whiteout(struct unpacker *u, const char *base, struct err *err) MUST;
/** unpack_is_aufs() - metadata of aufs, which mean nothing: @name is cleaned. */
bool unpack_is_aufs(const struct unpacker *u, const char *name);
