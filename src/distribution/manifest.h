/*
 * Manifests and indexes by tag or digest, as bytes: what they say is not read here. A body that was
 * asked for by digest has that digest, or is an error.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>

struct dist_session;

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

#define DIST_MANIFEST_MAX (4u << 20) /* bytes of one */

struct dist_manifest {
    const char *text; /* @len bytes, NUL-terminated besides; NULL after dist_manifest_head() */
    size_t len;
    const char *media_type; /* what the registry says, without parameters; "" when it does not */
    char digest[DIGEST_LEN + 1]; /* of the text; of head: what the registry says, or "" */
};

/**
 * dist_manifest_get() - fetch one
 * @repo: "library/busybox"; @ref: tag or digest
 * Return: 0 with texts in @a; -EBADMSG (invalid): not what the digest says; -E2BIG; see error.h.
 */
int dist_manifest_get(struct dist_session *s, const char *repo, const char *ref, struct arena *a,
                      struct dist_manifest *ret, struct err *err) MUST;
/** dist_manifest_head() - is it there? Return: 0; 1: no; -errno. */
int dist_manifest_head(struct dist_session *s, const char *repo, const char *ref, struct arena *a,
                       struct dist_manifest *ret, struct err *err) MUST;
/** dist_manifest_put() - all blobs it names must be there. @ref: tag or its own digest. */
int dist_manifest_put(struct dist_session *s, const char *repo, const char *ref,
                      const struct dist_manifest *m, struct err *err) MUST;
/** dist_manifest_delete() - @ref: tag or digest. */
int dist_manifest_delete(struct dist_session *s, const char *repo, const char *ref,
                         struct err *err) MUST;
