/* What the files about images have in common. */
#pragma once

#include "engine/engine-priv.h"
#include "image/index.h"

struct img_filter {
    const struct filters *f;
    int64_t before_ns, since_ns, until_ns;
    bool dangling_given, dangling;
    struct arena *a;
};

struct img_manifests {
    struct oci_descriptor *target; /* what the name means, or NULL */
    struct manifest_summary **v;
    size_t n;
};

/** img_manifests() - all manifests of what an image's name stands for. */
int img_manifests(struct engine *e, const struct image_row *row, struct arena *a,
                  struct img_manifests *ret, struct err *err) MUST;
/** img_familiar() - a reference as users write it: without the default registry and folder. */
char *img_familiar(const char *full, struct arena *a);
/** img_event() - publish; @labels may be NULL. */
void img_event(struct engine *e, const char *action, const char *id, const char *name,
               const struct strmap *labels);
/** img_filter_prepare() - look up what the filters name; f and a are set. */
int img_filter_prepare(struct engine *e, struct img_filter *x, struct err *err) MUST;
/** img_matches() - does an image with these labels and (familiar) tags pass? */
bool img_matches(const struct img_filter *x, const struct image_row *row,
                 const struct strmap *labels, const struct strv *tags);
/** img_summarize() - a row of the list of images, and the labels in it. */
int img_summarize(struct engine *e, const struct image_row *row, struct arena *a,
                  struct image_summary **ret, struct strmap *labels, struct err *err) MUST;
