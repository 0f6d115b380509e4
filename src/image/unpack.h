/*
 * A layer's tar into a directory, as overlay wants it: whiteouts become 0/0 character devices,
 * opaque marks an xattr. Every name is resolved below the directory with openat2(RESOLVE_IN_ROOT),
 * so no archive can write outside it, whatever links it plants.
 */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "image/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct recipe_writer;
struct image_store;
struct lease;

enum unpack_flags {
    UNPACK_OVERLAY = 1, /* translate whiteouts; else .wh. files are taken as they are */
};

/**
 * unpack_tar() - @s: plain tar, read to its end; @root_fd: an empty directory
 * @recipe: told of everything that is not content; may be NULL
 * @ret_size: sum of the entries' sizes (what Docker calls the layer's size); may be NULL
 * Return: 0; -EBADMSG, -E2BIG (invalid): hostile or damaged; -EXDEV (invalid): a name or link leads
 *   out of the root; -errno of the file system.
 * Source: moby pkg/archive, Unpack() with the overlay whiteout converter.
 */
int unpack_tar(struct source *s, int root_fd, struct recipe_writer *recipe, unsigned flags,
               uint64_t *ret_size, struct err *err) MUST;

struct unpacked_layer {
    char diff_id[DIGEST_LEN + 1];
    char blob[DIGEST_LEN + 1]; /* digest of the bytes as they came; == diff_id if not compressed */
    uint64_t size, tar_size, blob_size;
};

/**
 * layer_unpack() - make a layer of the store from a tar, compressed or not
 * @s: read to its end, by another thread
 * @expect: diff ID it must have, or NULL
 * @want_blob: compute @ret->blob too when it is compressed
 * @lease: takes the layer in
 * Return: 0; 1: the store had it already; -EBADMSG (invalid).
 */
int layer_unpack(struct image_store *st, struct source *s, const char *expect, bool want_blob,
                 struct lease *lease, struct unpacked_layer *ret, struct err *err) MUST;

/** layer_tar() - the exact tar of a stored layer. The caller frees the source; the diff ID is
 * checked at its end (-EBADMSG instead of 0). */
int layer_tar(struct image_store *st, const char *diff_id, struct source **ret,
              struct err *err) MUST;
