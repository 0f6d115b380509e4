/*
 * docker push: an image of the store into a registry. What the registry has already, in this
 * repository or another one, is not sent. A layer whose compressed bytes were kept is sent as it
 * came; of others they are made anew. If the registry has, or got, all the blobs by which the image
 * once came, the very manifest of then is pushed, and the image keeps its digest.
 */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "distribution/reference.h"
#include "image/transfers.h"

struct image_store;
struct platform;
struct dist_session;

struct push_options {
    struct dist_session *session; /* that may write to the registry of the name */
    struct transfers *transfers;
    const struct reference *ref; /* with a tag */
    const struct platform *want; /* of the platforms that the name stands for; or NULL */
    bool by_digest;              /* without a tag: somebody else will name it */
    int gone_fd;
    transfer_tell tell;
    void *ctx;
};

/**
 * image_push() - push one tag; blocks, and tells of its progress
 * @ret_digest: of the manifest; may be NULL
 * Return: 0; -ENOENT (not found) with Docker's words: no such tag here; errors of the registry as
 *   in distribution/error.h; -EBADMSG: a layer on disk is not what it was; -ECANCELED; -errno.
 */
int image_push(struct image_store *s, const struct push_options *o, char ret_digest[DIGEST_LEN + 1],
               struct err *err) MUST;
