/*
 * Layers of a registry without an image around them, as caches of builds have them. The same as in
 * pull and push: everything is proven, and what is there already is neither fetched nor sent.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "distribution/descriptor.h"
#include "image/pull.h"
#include "image/push.h"

struct image_store;
struct lease;

/**
 * remote_layers_pull() - some layers
 * @o: ref says where; platform does not count
 * @blobs: one for each of @diff_ids, what they must unpack to
 * @lease: takes them in
 * Return: 0; as image_pull().
 */
int remote_layers_pull(struct image_store *s, const struct pull_options *o,
                       const struct oci_descriptor *const *blobs, const struct strv *diff_ids,
                       struct lease *lease, struct err *err) MUST;
/**
 * remote_layers_push() - let the registry have layers
 * @ret: an array of @diff_ids->n, filled with OCI's media types; texts in @a
 * Return: 0; as image_push().
 */
int remote_layers_push(struct image_store *s, const struct push_options *o,
                       const struct strv *diff_ids, struct arena *a, struct oci_descriptor *ret,
                       struct err *err) MUST;
