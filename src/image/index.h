/*
 * What a name means, beyond the one image that containers are made from: an index with images of
 * several platforms, of which some are here, and attestations about them. Each platform's image is
 * an image of its own in the store; the index, kept with the name it came by, ties them together.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "distribution/descriptor.h"
#include "distribution/platform.h"
#include "image/manifest.h"
#include "store/images.h"

struct image_store;
struct lease;

#define ANNOTATION_REFERENCE_TYPE "vnd.docker.reference.type"
#define ANNOTATION_REFERENCE_DIGEST "vnd.docker.reference.digest"

/* A manifest of the index. One of @d and @row may be NULL. */
struct index_entry {
    const struct oci_descriptor *d; /* NULL: an image that has no manifest, as it was made here */
    struct image_row *row;          /* the image, when it is here */
    struct oci_platform *platform;  /* as @d says, else as the image's config; may be NULL */
};

struct image_index {
    struct oci_descriptor *target; /* the index, or the only manifest; NULL: there is none */
    struct index_entry *v;         /* in the order of the index; never empty */
    size_t n;
};

/**
 * image_index_read() - everything that the name of an image stands for
 * @row: as image_resolve() found it
 * Return: 0 with everything in @a; -errno. An index that cannot be read is as good as none.
 */
int image_index_read(struct image_store *s, const struct image_row *row, struct arena *a,
                     struct image_index *ret, struct err *err) MUST;

/** image_target() - only what the name of an image means: an index, a manifest, or NULL. */
struct oci_descriptor *image_target(struct image_store *s, const struct image_row *row,
                                    struct arena *a);

/** index_entry_is_image() - of a platform; not an attestation, a nested index or something unknown.
 */
bool index_entry_is_image(const struct index_entry *e);

/**
 * index_artifact() - an attestation or another artifact of an index, if all that it names is here
 * @lease: takes it in, with its blobs; NULL for who only looks
 * @ret, @doc: its document; may both be NULL
 * Return: whether it is.
 */
bool index_artifact(struct image_store *s, const struct oci_descriptor *d, struct lease *lease,
                    struct arena *a, struct oci_manifest *ret, struct dist_manifest *doc);

/** index_entry_is_here() - the image, or the artifact, with everything. */
bool index_entry_is_here(struct image_store *s, const struct index_entry *e, struct lease *lease);

/** index_entry_content_b() - bytes of its documents and compressed layers that are files here. */
int64_t index_entry_content_b(struct image_store *s, const struct index_entry *e);

/**
 * image_for_platform() - of what a name stands for, the image of a platform
 * @name: as the user wrote it, for the error; @want: NULL: @row as it is
 * @row: becomes the image, no more of an index
 * Return: 0; -ENOENT with Docker's words.
 */
int image_for_platform(struct image_store *s, const char *name, const struct platform *want,
                       struct arena *a, struct image_row *row, struct err *err) MUST;
