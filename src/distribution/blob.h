/*
 * Blobs of a registry, read as streams. A stream that breaks goes on where it was (Range), as often
 * as it makes headway in between; size and digest are proven before its end is told. What an
 * earlier attempt left in a file is read from there and proven with the rest.
 *
 * A large blob that comes slowly, although the reader waits for nothing else, can be fetched by
 * ranges over several connections (ahead.h). It stays one stream for who reads it.
 */
#pragma once

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct dist_session;
struct dist_blob;

/** dist_blob_stat() - @ret_size: as the registry says, -1 when it does not; may be NULL.
 * Return: 0; 1: it is not there; -errno. */
int dist_blob_stat(struct dist_session *s, const char *repo, const char *digest, int64_t *ret_size,
                   struct err *err) MUST;

/**
 * dist_blob_open() - start to read one
 * @size: bytes it must have, as its descriptor says
 * @s: must outlive it
 */
int dist_blob_open(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                   struct dist_blob **ret, struct err *err) MUST;
/**
 * dist_blob_resume() - dist_blob_open() when the beginning is here already
 * @fd: read from its start by pread(2), must outlive the blob; @have: at most @size bytes of it,
 *   of which nothing is believed
 * Nothing is asked of the registry before these have been read.
 */
int dist_blob_resume(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                     int fd, uint64_t have, struct dist_blob **ret, struct err *err) MUST;
/**
 * dist_blob_read() - the next bytes; one thread at a time
 * Return: bytes; 0: the end, and everything was as size and digest promised; -EBADMSG (invalid):
 *   it was not; -ECANCELED; -errno after all tries.
 */
ssize_t dist_blob_read(struct dist_blob *b, void *p, size_t n, struct err *err) MUST;
/**
 * dist_blob_allow_ahead() - when the network proves slow and the registry knows ranges, the rest
 * may be fetched by several connections
 * @fd: of an empty file, which becomes the blob's and is not read by anybody else
 */
void dist_blob_allow_ahead(struct dist_blob *b, int fd);
#define DIST_AHEAD_MIN (32u << 20) /* bytes that must be left to make that worth while */
/** dist_blob_was_ahead() - ranges came into it: if it is not what it should be, one stream may be.
 */
bool dist_blob_was_ahead(const struct dist_blob *b); /* NULL, never opened: false */
/** dist_blob_done() - its end was reached and proven. */
bool dist_blob_done(const struct dist_blob *b);
/** dist_blob_resumed() - how often it had to go on. */
unsigned dist_blob_resumed(const struct dist_blob *b);
void dist_blob_free(struct dist_blob *b); /* NULL is fine */

/** dist_blob_get() - a small one, whole, appended to @out. */
int dist_blob_get(struct dist_session *s, const char *repo, const char *digest, uint64_t size,
                  struct buf *out, struct err *err) MUST;

static inline void dist_blob_freep_(struct dist_blob **b)
{
    dist_blob_free(*b);
}
#define auto_dist_blob AUTO(dist_blob_freep_)
