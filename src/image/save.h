/*
 * docker save: images as one archive that is both a docker-archive (manifest.json, repositories)
 * and an OCI layout (index.json, blobs/). The same images give the same bytes. Layers are written
 * as plain tars, rebuilt from their directories and proven on the way out. Of a name that stands
 * for several platforms, all that are here go into the OCI layout, tied together by an index;
 * manifest.json, which knows no platforms, has the one that the name means here.
 */
#pragma once

#include "archive/stream.h"
#include "base/err.h"
#include "base/str.h"

struct image_store;
struct image_export;
struct platform;

struct save_options {
    const struct platform *want; /* only the images of this platform, or NULL */
    bool original; /* compressed layers and documents by which names came, where there are any:
                      attestations, annotations and digests stay */
};

/**
 * image_export_new() - find everything that is to be saved; errors that the client must see come
 * here, before the first byte
 * @names: references or ids; "name" alone means all its tags
 * @o: NULL: all platforms, as plain tars; must outlive the export
 * Return: 0; -ENOENT "No such image: x" / "reference does not exist" / not for this platform;
 *   -EINVAL; -ENODATA (conflict): a compressed layer is not kept as it came.
 */
int image_export_new(struct image_store *s, const struct strv *names, const struct save_options *o,
                     struct image_export **ret, struct err *err) MUST;
void image_export_free(struct image_export *x);
/** image_export_write() - the archive into @out; an error in the middle leaves it cut short. */
int image_export_write(struct image_export *x, struct sink *out, struct err *err) MUST;

static inline void image_export_freep_(struct image_export **x)
{
    image_export_free(*x);
}
#define auto_image_export AUTO(image_export_freep_)
