/* What push.c, push_index.c and push_layers.c share. */
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

    const struct oci_descriptor *whole; /* the index of which one image is pushed; or NULL */

    struct transfer_report report;
};

/** push_ref() - by what the whole is put: a tag, or NULL for its digest. */
const char *push_ref(const struct push *p);
/** push_say() - a line for the user; @id may be NULL. */
int push_say(struct push *p, const char *id, const char *status, struct err *err) MUST;
/** push_image() - @p->row: layers, config, manifest. @ref: a tag, or NULL: its digest. @m: of it.
 */
int push_image(struct push *p, const char *ref, struct dist_manifest *m, struct err *err) MUST;

/* push_index.c */
/**
 * push_index() - everything of the index that the name means, if everything is here
 * @m: the manifest of @p->row, the image that the name means here; @index: as it was pushed
 * Return: 1: it was pushed; 0: the name means no index, or not all of it is here; -errno.
 */
int push_index(struct push *p, struct dist_manifest *m, struct dist_manifest *index,
               struct err *err) MUST;
/** push_choose() - which image of the name goes alone; becomes @p->row. */
int push_choose(struct push *p, struct err *err) MUST;

/* push_layers.c */

/** push_layers() - make the registry have all layers, and fill @p->layers. */
int push_layers(struct push *p, struct err *err) MUST;
