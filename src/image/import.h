/* docker import: a tarball of a root file system becomes an image of one layer. */
#pragma once

#include "archive/stream.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "image/manifest.h"

struct image_store;

struct import_options {
    const char *ref;                       /* "repo[:tag]", or NULL */
    const char *message;                   /* or NULL: "Imported from -" */
    const char *platform;                  /* "os[/arch[/variant]]", or NULL for the host's */
    const struct oci_image_config *config; /* of the image; NULL for an empty one */
};

/**
 * image_import() - @body: tar, compressed or not, read to its end by another thread
 * Return: 0; -EINVAL, -EBADMSG (invalid).
 */
int image_import(struct image_store *s, struct source *body, const struct import_options *opts,
                 char ret_id[DIGEST_LEN + 1], struct err *err) MUST;
