/* What ADD can do and COPY cannot: sources on the net, and archives that are unpacked. */
#pragma once

#include "build/fetch.h"
#include "build/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct stage;

/* A source on the net. */
struct add_remote {
    const char *source;   /* variables replaced */
    const char *checksum; /* --checksum: "sha256:<hex>", or how a commit begins; NULL */
    bool keep_git_dir;
};
/** add_is_pinned() - does what is written name the content itself, so that there is no need to
 * fetch it to know what it is? */
bool add_is_pinned(const struct add_remote *r, struct arena *a);
/**
 * add_fetch() - get it
 * @ret: freed by fetched_done(), also after an error
 * @ret_item: what is to be copied of it
 */
int add_fetch(struct stage *st, const struct add_remote *r, struct fetched *ret,
              struct tree_item *ret_item, struct err *err) MUST;

/** add_is_archive() - is a file, read from its beginning, a tar, compressed or not? */
bool add_is_archive(int file);

struct add_archive {
    int from_fd, to_fd;      /* roots */
    const char *path, *dest; /* the archive, below from_fd; where it goes, below to_fd */
    int64_t uid, gid;        /* -1: as the archive says */
};
/** add_unpack() - Return: 1 done; 0: it is no archive, and nothing has happened; -EBADMSG ... */
int add_unpack(const struct add_archive *ar, struct err *err) MUST;
