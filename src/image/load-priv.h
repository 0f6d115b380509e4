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

struct load_plan {
    struct planned_image *v;
    size_t n;
};

/** load_plan() - which images the archive holds, all checks done. Return: 0; -EINVAL, -EBADMSG. */
int load_plan(struct loader *l, struct load_plan *ret, struct err *err) MUST;
