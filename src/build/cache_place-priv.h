/* Where a cache lies: what importing and exporting need of a registry, and of a client's layout. */
#pragma once

#include "build/solve-priv.h"
#include "distribution/manifest.h"
#include "distribution/descriptor.h"

struct cache_place;

struct cache_place_ops {
    /* read() - the document of its name: a manifest, or an index. -ENOENT: there is none. */
    int (*read)(struct cache_place *p, struct arena *a, struct dist_manifest *ret, struct err *err);
    /* chosen() - one of the documents that an index names. */
    int (*chosen)(struct cache_place *p, const struct oci_descriptor *d, struct arena *a,
                  struct dist_manifest *ret, struct err *err);
    /* config() - a small blob. */
    int (*config)(struct cache_place *p, const struct oci_descriptor *d, struct buf *out,
                  struct err *err);
    /* fetch() - layers into the store, proven; may be called by several threads. */
    int (*fetch)(struct cache_place *p, const struct oci_descriptor *const *blobs,
                 const struct strv *diff_ids, const struct build_step *step, struct err *err);
    /* have() - is this blob there? Return: 1; 0. */
    int (*have)(struct cache_place *p, const struct oci_descriptor *d, struct err *err);
    /* send() - have all these layers there; @ret: one descriptor each. */
    int (*send)(struct cache_place *p, const struct strv *diff_ids, const struct build_step *step,
                struct arena *a, struct oci_descriptor *ret, struct err *err);
    /* publish() - the config, the manifest, and the name that means it. */
    int (*publish)(struct cache_place *p, const struct buf *config, const struct buf *manifest,
                   struct err *err);
    void (*free)(struct cache_place *p);
};

struct cache_place {
    const struct cache_place_ops *ops;
    struct build *b;
    const struct build_cache_spec *spec;
    const char *shown; /* for messages */
};

/** cache_place_open() - @push: it will be written to. Lives in @a; ops->free() ends it. */
int cache_place_open(struct build *b, const struct build_cache_spec *spec, bool push,
                     struct arena *a, struct cache_place **ret, struct err *err) MUST;

/* cache_registry.c, cache_layout.c */
int cache_registry_open(struct cache_place *base, bool push, struct arena *a,
                        struct cache_place **ret, struct err *err) MUST;
int cache_layout_open(struct cache_place *base, struct arena *a, struct cache_place **ret,
                      struct err *err) MUST;
