/* Layers of the store made from a tar, and turned back into one. */
#pragma once

#include "archive/stream.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct image_store;
struct lease;

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
