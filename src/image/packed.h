/*
 * The compressed form of a layer: the blob as which a manifest names it. One that came from a
 * registry is taken as it is; of others the digest is computed, and their bytes are made again by
 * whoever sends them, unless they are of a kind that a push would not make by itself.
 */
#pragma once

#include "archive/compress.h"
#include "base/arena.h"
#include "base/err.h"
#include "distribution/descriptor.h"

struct image_store;
struct lease;

struct packing {
    enum compression kind; /* COMP_GZIP, COMP_ZSTD, or COMP_NONE for plain tars */
    int level;             /* 0: the usual one */
    bool force;            /* also layers that came in another form */
};

/**
 * layer_packed() - the blob of a layer; reads all of it if it has none yet
 * @lease: takes the layer and the blob in
 * Return: 0 with texts in @a; -ENOENT: no such layer; -errno.
 */
int layer_packed(struct image_store *s, const char *diff_id, const struct packing *how,
                 struct lease *lease, struct arena *a, struct oci_descriptor *ret,
                 struct err *err) MUST;

/**
 * layer_packed_write() - the bytes of such a blob, kept or made again
 * @d: digest and media type of the blob
 * Return: 0; -EBADMSG: what came of it is another blob, and all of it has been written; -errno.
 */
int layer_packed_write(struct image_store *s, const char *diff_id, const struct oci_descriptor *d,
                       struct sink *out, struct err *err) MUST;
