/*
 * Documents that are made here: manifests and indexes, as bytes with their digest. They are written
 * compact, with members in one order, so that the same image gives the same digest.
 */
#pragma once

#include "base/arena.h"
#include "distribution/manifest.h"
#include "image/manifest.h"

struct document {
    char *text; /* @d.size bytes, NUL-terminated besides */
    struct oci_descriptor d;
};

/** document_make() - the bytes of a manifest or index; @ret: texts in @a. */
void document_make(const struct oci_manifest *man, struct arena *a, struct document *ret);

/** document_blob() - any other small blob, of @media_type, from @n bytes. */
void document_blob(const char *media_type, const char *text, size_t n, struct arena *a,
                   struct document *ret);

/** document_dist() - as the client of registries takes it; shares @d's texts. */
struct dist_manifest document_dist(const struct document *d);

/** descriptor_is_zstd() - of a layer; Docker's media types know no such. */
bool descriptor_is_zstd(const struct oci_descriptor *d);

/**
 * image_manifest_make() - the manifest of an image
 * @oci: in OCI's words, else in Docker's, which have no annotations
 * @config: digest and size; its media type is set
 * @layers: @n of them, in order; their media types become those of @oci's words
 */
void image_manifest_make(bool oci, struct oci_descriptor *config, struct oci_descriptor *layers,
                         size_t n, const struct strmap *annotations, struct arena *a,
                         struct document *ret);

/** image_index_make() - an index of @n descriptors, in order. */
void image_index_make(bool oci, struct oci_descriptor *const *entries, size_t n,
                      const struct strmap *annotations, struct arena *a, struct document *ret);
