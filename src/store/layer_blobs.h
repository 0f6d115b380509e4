/*
 * Which compressed blobs of registries unpack to which layers, and where they were seen. Written
 * only after a blob was proven to be the layer; so a layer that is here need not be fetched again,
 * and one that a registry has need not be sent.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct image_store;

struct layer_blob {
    char *blob;    /* "sha256:<hex>" of the bytes as the registry has them */
    char *diff_id; /* the layer; its row goes, this one goes */
    char *media_type;
    int64_t size;
    bool kept; /* its bytes are in the blob store, too */
    bool made; /* a push made it of the layer, and would make it again */
};

struct layer_blobs {
    struct layer_blob *v;
    size_t n;
};

/**
 * layer_blob_set() - record one
 * @b: kept and made are only ever added; garbage collection takes kept away, with the file
 * @repo: where it is: "docker.io/library/busybox"; NULL: not known
 * @keep_until_ns: until then the layer is not collected although no image has it yet, so that an
 *   interrupted pull finds what it had finished; 0: no such wish
 */
int layer_blob_set(struct image_store *s, const struct layer_blob *b, const char *repo,
                   int64_t keep_until_ns, struct err *err) MUST;
/** layer_blob_get() - Return: 0; -ENOENT. Results live in @a (here and below). */
int layer_blob_get(struct image_store *s, const char *blob, struct arena *a, struct layer_blob *ret,
                   struct err *err) MUST;
/** layer_blobs_of() - all known of a layer; last those of zstd, which not every program reads. */
int layer_blobs_of(struct image_store *s, const char *diff_id, struct arena *a,
                   struct layer_blobs *ret, struct err *err) MUST;
/** layer_blob_repos() - where it was seen: full names, sorted. */
int layer_blob_repos(struct image_store *s, const char *blob, struct arena *a, struct strv *ret,
                     struct err *err) MUST;
/** layer_blob_moved() - it is not (or no longer) at @repo. */
int layer_blob_moved(struct image_store *s, const char *blob, const char *repo,
                     struct err *err) MUST;
/** layer_blobs_kept() - how many are files here, and their bytes together. */
int layer_blobs_kept(struct image_store *s, int64_t *ret_n, int64_t *ret_size_b,
                     struct err *err) MUST;
/** manifest_blobs_set() - which blobs a manifest names: they are kept as long as an image or a name
 * has that manifest. */
int manifest_blobs_set(struct image_store *s, const char *manifest, const struct strv *blobs,
                       struct err *err) MUST;
/** layer_blobs_release() - drop the wish to keep a layer and its blobs: an image has them, or
 * nobody will. */
int layer_blobs_release(struct image_store *s, const char *diff_id, struct err *err) MUST;
