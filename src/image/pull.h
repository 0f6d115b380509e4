/*
 * docker pull: from a name to an image of the store. The manifest decides, everything below it is
 * proven by digest: config, layers (as they come and as they unpack). Layers are fetched in
 * parallel, unpacked while they come in, and bound to the image's names in one transaction when all
 * are there. A layer that the store has is not fetched.
 *
 * A pull that was interrupted leaves no image; layers that it had finished are kept for a day, so
 * that the next one goes on from there.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "distribution/reference.h"
#include "image/transfers.h"

struct image_store;
struct dist_session;

struct pull_options {
    struct dist_session *session; /* with the registry of the name */
    struct transfers *transfers;
    const struct reference *ref; /* with a tag, a digest, or both (the digest decides) */
    const char *platform;        /* "os/arch/variant", or NULL for the host's */
    bool aside;                  /* leave the name to an image of the same index that fits better */
    int gone_fd;                 /* give up when it hangs up; -1: never */
    transfer_tell tell;
    void *ctx;
};

struct pull_result {
    char id[DIGEST_LEN + 1];     /* of the image */
    char digest[DIGEST_LEN + 1]; /* what the name means in the registry: of a manifest or index */
    bool newer;                  /* the name did not mean this image before */
};

/**
 * image_pull() - pull one image; blocks, and tells of its progress
 * Return: 0; -ENOENT (not found) with Docker's words: no such manifest, repository or platform;
 *   -EBADMSG, -EINVAL (invalid): what came is not what was promised, or no image; -ECANCELED;
 *   errors of the registry as in distribution/error.h; -errno.
 */
int image_pull(struct image_store *s, const struct pull_options *o, struct pull_result *ret,
               struct err *err) MUST;
