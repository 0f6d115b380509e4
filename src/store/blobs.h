/*
 * Blobs by digest, in an OCI image layout. A blob is written under a temporary name, synced, and
 * renamed to its digest when that is proven. Blobs never change.
 *
 * A blob that comes from a registry is written as a part, whose name says what it will be: what
 * came before the connection, the daemon or the machine broke down is not fetched again.
 */
#pragma once

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct image_store;
struct lease;
struct blob_writer;
struct blob_part;

/** blob_writer_new() - start a blob; nothing is visible until blob_writer_finish(). */
int blob_writer_new(struct image_store *s, struct blob_writer **ret, struct err *err) MUST;
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err) MUST;
uint64_t blob_writer_size(const struct blob_writer *w); /* bytes so far */
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
/** blob_scratch() - an empty file without a name beside the blobs. Return: fd that the caller
 * closes. */
int blob_scratch(struct image_store *s, struct err *err) MUST;
/** blob_delete() - Return: 0; 1: there was none. Only for blobs that no row reaches. */
int blob_delete(struct image_store *s, const char *digest, struct err *err) MUST;

#define BLOB_PART_NS (24 * 3600 * NS_PER_S) /* a part waits so long for the rest */

/**
 * blob_part_open() - go on with a blob, or begin it; one at a time for each digest
 * @lease: takes the blob in; not NULL
 */
int blob_part_open(struct image_store *s, const char *digest, struct lease *lease,
                   struct blob_part **ret, struct err *err) MUST;
/** blob_part_had() - bytes that were there when it was opened: as they are, not proven. Read them
 * from blob_part_fd(), which stays owned by the part, by pread(2). */
uint64_t blob_part_had(const struct blob_part *p);
int blob_part_fd(const struct blob_part *p);
/** blob_part_add() - the blob's bytes from its beginning on; those it has are passed over. */
int blob_part_add(struct blob_part *p, const void *data, size_t n, struct err *err) MUST;
/** blob_part_clear() - forget what it has: it was not the blob. */
int blob_part_clear(struct blob_part *p, struct err *err) MUST;
/** blob_part_publish() - sync it and give it its name; the caller has proven its digest. */
int blob_part_publish(struct blob_part *p, struct err *err) MUST;
/** blob_part_free() - what is not published stays for a day, unless it is @useless. NULL is fine.
 */
void blob_part_free(struct blob_part *p, bool useless);

static inline void blob_writer_freep_(struct blob_writer **w)
{
    blob_writer_free(*w);
}
#define auto_blob_writer AUTO(blob_writer_freep_)
