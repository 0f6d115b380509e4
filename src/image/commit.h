/* docker commit: what a container changed becomes a layer, upon the layers of its image. */
#pragma once

#include "image/diff.h"
#include "image/manifest.h"

struct image_store;

struct commit_options {
    const char *parent;                                    /* id of the image below, or NULL */
    const struct oci_image_config *config;                 /* of the new image */
    const char *author, *comment, *created_by, *container; /* may be NULL */
    const char *name;                                      /* of image_new_name(); "" for none */
};

/**
 * image_commit() - the changes are read while the layer is written; nothing is kept in between
 * A container that changed nothing gives an image with the layers of its parent.
 */
int image_commit(struct image_store *s, const struct diff *d, const struct commit_options *o,
                 char ret_id[DIGEST_LEN + 1], struct err *err) MUST;
