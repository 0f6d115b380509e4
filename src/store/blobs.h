/*
 * Blobs by digest, in an OCI image layout. A blob is written under a temporary name, synced, and
 * renamed to its digest when that is proven. Blobs never change.
 */
#pragma once

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct image_store;
struct lease;
struct blob_writer;

/** blob_writer_new() - start a blob; nothing is visible until blob_writer_finish(). */
int blob_writer_new(struct image_store *s, struct blob_writer **ret, struct err *err) MUST;
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err) MUST;
/**
 * blob_writer_finish() - sync, check and publish; @w must still be freed
 * @expected: digest the content must have, or NULL
 * @lease: takes the new blob in; not NULL
 * @ret_digest: may be NULL
 * Return: 0 (also when it existed before); -EBADMSG (invalid): another digest.
 */
int blob_writer_finish(struct blob_writer *w, const char *expected, struct lease *lease,
                       char ret_digest[DIGEST_LEN + 1], struct err *err) MUST;
/** blob_writer_free() - an unfinished blob is removed. NULL is fine. */
void blob_writer_free(struct blob_writer *w);

/** blob_put() - a whole blob from memory; see blob_writer_finish(). */
int blob_put(struct image_store *s, const void *p, size_t n, struct lease *lease,
             char ret_digest[DIGEST_LEN + 1], struct err *err) MUST;
/** blob_open() - Return: read-only fd that the caller closes; -ENOENT; -EINVAL: no digest. */
int blob_open(struct image_store *s, const char *digest, uint64_t *ret_size, struct err *err) MUST;
/** blob_read() - a small blob (a config or manifest, at most BLOB_SMALL_MAX) appended to @out. */
#define BLOB_SMALL_MAX (8u << 20)
int blob_read(struct image_store *s, const char *digest, struct buf *out, struct err *err) MUST;
bool blob_exists(struct image_store *s, const char *digest);
/** blob_delete() - Return: 0; 1: there was none. Only for blobs that no row reaches. */
int blob_delete(struct image_store *s, const char *digest, struct err *err) MUST;

static inline void blob_writer_freep_(struct blob_writer **w)
{
    blob_writer_free(*w);
}
#define auto_blob_writer AUTO(blob_writer_freep_)
