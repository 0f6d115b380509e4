/*
 * A directory tree as a tar stream: export, copying out of a container, commit. The opposite of
 * unpack.h. Names are walked by descriptors and no link is followed, so a tree that changes
 * meanwhile (a container runs in it) cannot lead out of itself; a file that shrinks is filled up
 * with zeros, one that grows is cut at the size it had.
 */
#pragma once

#include "archive/stream.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/stat.h>

enum pack_flags {
    PACK_OVERLAY = 1, /* an overlay's upper: whiteouts and opaque marks become .wh. files */
    PACK_NODEV = 2,   /* no device can be opened in this mount: files are, without a look before */
};

struct pack_options {
    unsigned flags;
    /* Leave this out, with everything below it? @path: from the root, without "/" in front. */
    bool (*skip)(void *ctx, const char *path, const struct stat *st);
    void *ctx;
};

/** pack_wants_xattr() - does it travel with a file: capabilities, and what users set? Access lists
 * and labels belong to the machine, the overlay's own to the layer. */
bool pack_wants_xattr(const char *name);

/** pack_is_opaque() - an overlay's directory that hides what lies below it. */
bool pack_is_opaque(int fd);

/*
 * A tar that is packed in a thread, for those who pull: read @fd to its end, then pack_pipe_end().
 */
typedef int64_t (*pack_fn)(void *ctx, struct sink *out, struct err *err);
struct pack_pipe {
    int fd; /* read end; the pipe's */
    struct pack_job *job;
};
/** pack_pipe_start() - @fn runs in a thread; its sink is the pipe. */
int pack_pipe_start(pack_fn fn, void *ctx, struct pack_pipe *ret, struct err *err) MUST;
/**
 * pack_pipe_end() - close the read end and wait for the thread
 * Return: what @fn returned, with its error in @err; 0 when it failed because nobody read on.
 */
int64_t pack_pipe_end(struct pack_pipe *p, struct err *err) MUST;

/**
 * pack_tree() - everything below a directory, in the order of names, and the end of the archive
 * @dir_fd: readable or O_PATH; the directory itself gets no entry
 * @opts: may be NULL
 * Return: how many entries were written; -ELOOP for a tree of more than 256 levels; -errno.
 */
int64_t pack_tree(int dir_fd, struct sink *out, const struct pack_options *opts,
                  struct err *err) MUST;

/**
 * pack_one() - one file, or directory with everything below it
 * @dir_fd: the directory it lies in; @name: its name there, "." for @dir_fd itself
 * @as: what it is called in the archive ("x": "x", "x/file"); "." gives "./", "./file"
 */
int64_t pack_one(int dir_fd, const char *name, const char *as, struct sink *out,
                 const struct pack_options *opts, struct err *err) MUST;
