/* What push.c and push_layers.c share. */
#pragma once

#include "base/arena.h"
#include "distribution/session.h"
#include "image/manifest.h"
#include "image/push.h"
#include "image/remote.h"
#include "image/transfers.h"
#include "store/images.h"
#include "store/store.h"

struct push {
    struct image_store *s;
    const struct push_options *o;
    struct arena *a;      /* of the thread that pushes, not of those that send layers */
    const char *repo;     /* path in the registry */
    const char *registry; /* "docker.io/", with its slash: what names in it begin with */
    struct lease *lease;  /* the image may be removed meanwhile */
    struct image_row row;
    struct remote_manifest came;   /* by which it came; doc.text NULL: not known */
    struct oci_descriptor *layers; /* as the registry has them in the end; row.layers.n of them */

    struct transfer_report report;
};

/** push_layers() - make the registry have all layers, and fill @p->layers. */
int push_layers(struct push *p, struct err *err) MUST;
