/*
 * Mounts by the new mount API: everything is made detached, configured completely, and attached
 * once, to a descriptor. Option names are a table (mount_opts.c) that knows what mount(8) and the
 * OCI specification know.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum mount_ext {
    MOUNT_TMPCOPYUP = 1, /* fill a tmpfs with what it hides */
    MOUNT_IDMAP = 2,
    MOUNT_RIDMAP = 4, /* idmap, recursively */
};

/* A list of options, taken apart. */
struct mount_opts {
    uint64_t attr_set, attr_clr; /* MOUNT_ATTR_* of the mount itself */
    uint64_t rec_set, rec_clr;   /* the same for the whole tree ("rro", "rnosuid") */
    uint64_t propagation;        /* MS_SHARED, MS_SLAVE ... or 0 */
    bool propagation_rec;        /* "rslave" */
    bool bind, rec;              /* "bind", "rbind" */
    bool sb_sync, sb_dirsync, sb_lazytime, sb_mand;
    unsigned ext;     /* enum mount_ext */
    struct strv data; /* the rest, for the file system: "size=64m", "mode=755" */
};

/** mount_opts_parse() - @ret lives in @a. Return: 0; -EINVAL for contradictions. */
int mount_opts_parse(const struct strv *options, struct arena *a, struct mount_opts *ret,
                     struct err *err) MUST;
/** mount_opts_names() - append all option names known, for "features". */
void mount_opts_names(struct arena *a, struct strv *ret);

/**
 * mount_new() - detached mount of a file system
 * @type: "proc", "tmpfs" ...; @source: shown as device, may be NULL
 * Return: mount fd (CLOEXEC); the kernel's own message is part of the error.
 */
int mount_new(const char *type, const char *source, const struct mount_opts *o,
              struct err *err) MUST;
/**
 * mount_bind() - detached clone of what @path below @dir_fd shows
 * @path: "" clones @dir_fd itself
 * Options of @o are applied; MS propagation as given, else private.
 */
int mount_bind(int dir_fd, const char *path, const struct mount_opts *o, struct err *err) MUST;
/** mount_attach() - put a detached mount on top of @target_fd. */
int mount_attach(int mnt_fd, int target_fd, struct err *err) MUST;
/** mount_attach_at() - the same to a name in a directory that nobody else can change. */
int mount_attach_at(int mnt_fd, int dir_fd, const char *name, struct err *err) MUST;
/** mount_attrs() - mount_setattr() on the mount @fd is the root of. */
int mount_attrs(int fd, uint64_t set, uint64_t clr, uint64_t propagation, bool rec,
                struct err *err) MUST;
/** mount_idmap() - shift the owners of a detached mount by the user namespace @userns_fd. */
int mount_idmap(int mnt_fd, int userns_fd, bool rec, struct err *err) MUST;
