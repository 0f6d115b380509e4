/* What load.c reads and load_plan.c interprets. */
#pragma once

#include "base/map.h"
#include "distribution/platform.h"
#include "image/layer.h"
#include "image/load.h"
#include "image/manifest.h"

enum member_kind {
    MEMBER_NONE,
    MEMBER_TEXT,     /* a document, in memory */
    MEMBER_LAYER,    /* unpacked */
    MEMBER_SYMLINK,  /* text: target, relative to its directory */
    MEMBER_HARDLINK, /* text: target, relative to the archive's root */
    MEMBER_BROKEN,   /* text: why it is of no use */
};

struct member {
    enum member_kind kind;
    char *text;
    size_t len;
    struct unpacked_layer layer;
    const char *why;
};

struct loader {
    struct image_store *s;
    struct arena *a;
    const struct load_options *opts;
    struct lease *lease;
    struct map *members; /* by cleaned name */
    uint64_t small;      /* bytes of all documents and names */
    unsigned manifests;  /* looked at so far; one may be named many times */
};

/* An image of the archive, checked: its config names the layers that its manifest names. */
struct planned_image {
    const char *config;
    size_t config_len;
    struct strv refs; /* as the archive writes them */
    struct platform platform;
    const struct member *index; /* whose name they are, of an OCI layout; or NULL */
    /* of an OCI layout with compressed layers, so that a push can send what came, or with an index
     * that names it; else NULL */
    const struct member *manifest;
    struct oci_manifest man;
    struct strv diff_ids; /* of man.layers */
};

/* An attestation of an index, all in the archive. */
struct planned_artifact {
    const struct member *index;
    VEC_OF(const struct member *) blobs; /* it, and what it names */
};

struct load_plan {
    struct planned_image *v;
    size_t n;
    VEC_OF(struct planned_artifact) artifacts;
};

/** load_plan() - which images the archive holds, all checks done. Return: 0; -EINVAL, -EBADMSG. */
int load_plan(struct loader *l, struct load_plan *ret, struct err *err) MUST;

/* ---- what both kinds of archive need (load_plan.c) ---- */

/** load_find() - a member by the name a manifest uses; links lead to other members, never to the
 * host. Return: 0; -EBADMSG. load_find_text(), load_find_layer(): one of that kind. */
int load_find(struct loader *l, const char *name, const struct member **ret, struct err *err) MUST;
int load_find_text(struct loader *l, const char *name, const struct member **ret,
                   struct err *err) MUST;
int load_find_layer(struct loader *l, const char *name, const struct member **ret,
                    struct err *err) MUST;
/** load_count_image() - one more was named. Return: 0; -E2BIG. */
int load_count_image(struct loader *l, struct err *err) MUST;
/** load_config() - decode the config @m, in @a. Return: 0; -EINVAL, -EBADMSG. */
int load_config(const struct member *m, struct arena *a, struct oci_image *ret,
                struct err *err) MUST;
struct platform load_platform(const struct oci_image *img);
/** load_wanted() - did the caller ask for this platform, or for none? */
bool load_wanted(const struct loader *l, const struct platform *have);
/** load_check_count(), load_check_layer() - does the config name these layers? -EBADMSG. */
int load_check_count(const struct oci_image *img, size_t want, struct err *err) MUST;
int load_check_layer(const struct oci_image *img, size_t i, const struct member *m,
                     struct err *err) MUST;

/** load_plan_layout() - the images of an OCI layout (load_layout.c); @index: its index.json */
int load_plan_layout(struct loader *l, const struct member *index, struct load_plan *plan,
                     struct err *err) MUST;
