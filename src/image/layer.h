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

struct layer_wish {
    const char *diff_id; /* it must have, or NULL */
    bool blob;           /* compute the digest of the bytes as they come, too, if compressed */
    struct sink *tee;    /* gets these bytes, all of them, if compressed; or NULL */
};

/**
 * layer_unpack() - make a layer of the store from a tar, compressed or not
 * @s: read to its end, by another thread
 * @wish: may be NULL
 * @lease: takes the layer in
 * Return: 0; 1: the store had it already; -EBADMSG (invalid); errors of the wish's sink.
 */
int layer_unpack(struct image_store *st, struct source *s, const struct layer_wish *wish,
                 struct lease *lease, struct unpacked_layer *ret, struct err *err) MUST;
/** layer_prove() - the same without making anything: is this the layer that @wish names? */
int layer_prove(struct source *s, const struct layer_wish *wish, struct unpacked_layer *ret,
                struct err *err) MUST;

/** layer_tar() - the exact tar of a stored layer. The caller frees the source; the diff ID is
 * checked at its end (-EBADMSG instead of 0). */
int layer_tar(struct image_store *st, const char *diff_id, struct source **ret,
              struct err *err) MUST;
/** layer_blob_source() - the bytes of a kept blob, checked in the same way. -ENOENT: it is not
 * kept. */
int layer_blob_source(struct image_store *st, const char *digest, struct source **ret,
                      struct err *err) MUST;
