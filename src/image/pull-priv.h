/* What pull.c and pull_layers.c share. */
#pragma once

#include "distribution/session.h"
#include "image/pull.h"
#include "image/remote.h"
#include "image/transfers.h"
#include "store/store.h"

struct pull {
    struct image_store *s;
    const struct pull_options *o;
    struct arena *a; /* of the thread that pulls, not of those that fetch layers */
    struct lease *lease;
    const char *repo;           /* path in the registry: "library/busybox" */
    struct remote_manifest man; /* of the image */
    struct dist_manifest index; /* what the name means, if it is an index; else text is NULL */
    const char *config;
    size_t config_len;
    struct oci_image *img;
    char digest[DIGEST_LEN + 1]; /* of what the name means */
    struct strv blobs;           /* digests of the layers' blobs */

    struct transfer_report report;
};

/** pull_layers() - fetch what the store lacks; all layers are then held by the lease. */
int pull_layers(struct pull *p, struct err *err) MUST;
/** pull_release() - layers need not be kept for another attempt (any more). */
void pull_release(struct pull *p);
