/* What push.c and push_layers.c share. */
#pragma once

#include "base/arena.h"
#include "distribution/session.h"
#include "image/manifest.h"
#include "image/push.h"
#include "image/remote.h"
#include "store/images.h"
#include "store/store.h"

#include <pthread.h>

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

    pthread_mutex_t lock; /* for telling, and for the two below */
    int failed;           /* first error of any thread, or of telling */
    struct err err;
};

/** push_tell() - from any thread. */
int push_tell(struct push *p, const struct transfer_event *e, struct err *err) MUST;
/** push_layers() - make the registry have all layers, and fill @p->layers. */
int push_layers(struct push *p, struct err *err) MUST;
