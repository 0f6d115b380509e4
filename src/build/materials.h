/*
 * What a build was made of, beside its context: base images, and sources on the net. Noted while it
 * goes on, whether steps are carried out or taken from the cache.
 */
#pragma once

#include "build/solve-priv.h"

struct add_remote;

/** material_image() - an image was taken from. @row: what it came to. */
void material_image(struct stage *st, const char *name, const char *platform,
                    const struct image_row *row);
/** material_remote() - so was a source on the net. @id: digest or commit; NULL: as the source says,
 * which is pinned. */
void material_remote(struct stage *st, const struct add_remote *r, const char *id);
/** materials_put() - as a JSON list, sorted. */
void materials_put(struct build *b, struct json_w *w);
/** material_address() - without user and password, in @a. */
char *material_address(const char *url, struct arena *a);
