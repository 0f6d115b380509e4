/*
 * Manifests of a registry, read and checked: what kind of document, which of an index's images, and
 * whether what they promise makes sense. Used by pull, push and inspection.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "distribution/manifest.h"
#include "image/manifest.h"
#include "distribution/platform.h"

struct dist_session;

#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define REMOTE_LAYERS_MAX 512
#define REMOTE_CONFIG_MAX (8u << 20)

struct remote_manifest {
    struct dist_manifest doc; /* its bytes; media_type is what counts */
    struct oci_manifest man;
    bool index;
};

/**
 * remote_manifest_check() - decode a document and refuse what is ambiguous or no image
 * @doc: as it came
 * Return: 0 with everything in @a; -EINVAL: malformed, manifest and index at once, of another media
 *   type than announced, over a limit; -ENOTSUP (invalid): schema 1, or no image at all.
 */
int remote_manifest_check(const struct dist_manifest *doc, struct arena *a,
                          struct remote_manifest *ret, struct err *err) MUST;

/**
 * remote_cache_check() - the same for a cache of builds: an artifact of layers, or an image
 * @config_type: media type of the artifact's config
 * Return: as above.
 */
int remote_cache_check(const struct dist_manifest *doc, const char *config_type, struct arena *a,
                       struct remote_manifest *ret, struct err *err) MUST;
#define REMOTE_CACHE_LAYERS_MAX 4096

/** remote_is_manifest() - the media type of one image, Docker's or OCI's. */
bool remote_is_manifest(const char *media_type);
/** remote_choose() - the descriptor of the image in an index that serves @want best, or NULL. */
const struct oci_descriptor *remote_choose(const struct remote_manifest *index,
                                           const struct platform *want);

/**
 * remote_config_check() - decode an image config and compare it with its manifest
 * Return: 0; -EINVAL: other number of layers, no rootfs, another operating system.
 */
int remote_config_check(const struct oci_manifest *man, const char *text, size_t len,
                        struct arena *a, struct oci_image **ret, struct err *err) MUST;

/** remote_layer_type() - the media type of a layer's blob as OCI or Docker call it, in @a. */
char *remote_layer_type(const struct oci_descriptor *d, bool oci, struct arena *a);
