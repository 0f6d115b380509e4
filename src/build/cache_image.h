/*
 * A cache that travels inside an image: its config lists the steps that made its layers
 * ("inline" cache of BuildKit, BUILDKIT_INLINE_CACHE=1). --cache-from takes it up again.
 */
#pragma once

#include "build/solve-priv.h"

/** cache_image_note() - a step has ended; its layer is the stage's last, if it made one. */
void cache_image_note(struct stage *st, const char *key, bool empty);
/** cache_image_take() - remember the steps of the images that the request names. One that cannot be
 * had is told as a warning, and is no error, as with Docker. */
int cache_image_take(struct build *b, struct err *err) MUST;
/** cache_image_local() - the same for an image that is here. Return: 1: it has steps; 0: not. */
int cache_image_local(struct build *b, const char *name, struct err *err) MUST;
/** cache_tell_lost() - warn that a cache is of no use. */
int cache_tell_lost(struct build *b, const char *name, const struct err *why, struct err *err) MUST;
