/*
 * The image store: the directories of blobs and layers below the data root, and the leases that
 * keep garbage collection away from work in progress. Everything is relative to directory
 * descriptors.
 *
 *   <data root>/image/            an OCI image layout: oci-layout, index.json, blobs/sha256/<hex>
 *   <data root>/image/blobs/ingest/   blobs being written: tmp-<x>, and part-<hex> of those that
 *                                     come from a registry, which outlive an interrupted pull
 *   <data root>/layers/<hex>/     one unpacked layer, by diff ID: diff/ and its recipe
 *   <data root>/layers/tmp-<x>/   a layer being unpacked
 *
 * What is reachable is decided by the catalog alone; a file that no row reaches is garbage. So a
 * file is made durable before its row, and a row deleted before its file.
 */
#pragma once

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct db;
struct image_store;
struct lease;

/**
 * image_store_open() - open or create the directories; removes what a killed process left half-made
 * @data_fd: the data root; not kept, the caller goes on owning it
 * @db: the catalog; must outlive the store
 */
int image_store_open(int data_fd, struct db *db, struct image_store **ret, struct err *err) MUST;
void image_store_close(struct image_store *s); /* NULL is fine */
struct db *image_store_db(struct image_store *s);

/**
 * image_store_keep_blobs() - whether compressed blobs of layers are kept as they came (the default
 * is no); to be called once, before the store is used by threads
 * @keep: false deletes those that were kept before
 */
int image_store_keep_blobs(struct image_store *s, bool keep, struct err *err) MUST;
bool image_store_keeps_blobs(const struct image_store *s);

/*
 * A lease names blobs and layers that may not be collected although no row reaches them yet. Take
 * one at the start of a load or pull, add what is made or relied upon, free it when the rows are
 * committed. Leases live in memory: after a crash there is no work in progress.
 */
struct lease *lease_new(struct image_store *s);
void lease_free(struct lease *l);
/** lease_add() - @digest: "sha256:<hex>", a blob's or a layer's diff ID. Waits for a running
 * collection, so what exists afterwards stays. */
void lease_add(struct lease *l, const char *digest);

static inline void lease_freep_(struct lease **l)
{
    lease_free(*l);
}
static inline void image_store_closep_(struct image_store **s)
{
    image_store_close(*s);
}
#define auto_lease AUTO(lease_freep_)
#define auto_image_store AUTO(image_store_closep_)

struct gc_result {
    struct strv layers; /* diff IDs of deleted layers */
    struct strv blobs;  /* digests of deleted blobs */
    uint64_t freed_b;
};

/**
 * store_gc() - delete blobs and layers that neither an image, nor a container's image, nor a lease
 * reaches. Not to be called inside a transaction.
 * @ret: lists live in @a; may be NULL
 */
int store_gc(struct image_store *s, struct arena *a, struct gc_result *ret, struct err *err) MUST;
