/*
 * Blobs into a registry: from another repository of the same registry (mount), or their bytes, in
 * pieces that are sent again from where the registry has them when a connection breaks. The bytes
 * are hashed on their way; the registry compares.
 */
#pragma once

#include "base/auto.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct dist_session;
struct dist_upload;

/**
 * dist_mount() - let @repo have a blob that another repository of this registry has
 * Return: 1: it has it now; 0: the registry would not; -errno.
 */
int dist_mount(struct dist_session *s, const char *repo, const char *digest, const char *from,
               struct err *err) MUST;

/** dist_upload_new() - begin one. @s must outlive it. */
int dist_upload_new(struct dist_session *s, const char *repo, struct dist_upload **ret,
                    struct err *err) MUST;
/** dist_upload_add() - the next bytes; sent when a piece is full. Return: 0; -ESTALE: the registry
 * cannot go on where it was, a new upload may do (also of dist_upload_finish()); -errno. */
int dist_upload_add(struct dist_upload *u, const void *p, size_t n, struct err *err) MUST;
/** dist_upload_finish() - send the rest and name the blob. @ret_size may be NULL. */
int dist_upload_finish(struct dist_upload *u, char ret_digest[DIGEST_LEN + 1], uint64_t *ret_size,
                       struct err *err) MUST;
/** dist_upload_free() - one that is not finished is cancelled. NULL is fine. */
void dist_upload_free(struct dist_upload *u);
/** dist_upload_resumed() - how often a piece had to be sent again. */
unsigned dist_upload_resumed(const struct dist_upload *u);

/** dist_upload_blob() - a whole one from memory, unless the registry has it. */
int dist_upload_blob(struct dist_session *s, const char *repo, const void *p, size_t n,
                     struct err *err) MUST;

static inline void dist_upload_freep_(struct dist_upload **u)
{
    dist_upload_free(*u);
}
#define auto_dist_upload AUTO(dist_upload_freep_)
