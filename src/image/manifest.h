/*
 * The JSON documents of images: Docker's and OCI's config (one type for both), manifest, index, and
 * the manifest.json of docker-archive. Structs and field tables only; unknown members of a config
 * do not matter, since its bytes are what is stored.
 */
#pragma once

#include "base/hash.h"
#include "base/json.h"
#include "base/str.h"
#include "distribution/descriptor.h"
#include "distribution/manifest.h"

#include <stdint.h>

#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"

/* Times in ns; 0: default. */
struct oci_image_health {
    struct strv test;
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    int64_t retries;
};

/* What a container made from the image gets ("config" in the image's JSON). */
struct oci_image_config {
    char *user;
    struct strv exposed_ports; /* "80/tcp" */
    struct strv env, entrypoint, cmd;
    struct strv volumes; /* paths */
    char *working_dir;
    struct strmap labels;
    char *stop_signal;
    struct strv shell;
    struct oci_image_health *health;
    struct strv on_build;
    bool args_escaped;
    /* Docker's leftovers of the container it was committed from; kept for old API versions. */
    char *hostname, *domainname, *image;
    bool attach_stdin, attach_stdout, attach_stderr, tty, open_stdin, stdin_once;
};

struct oci_image_history {
    char *created, *created_by, *author, *comment;
    bool empty_layer;
};

/* A step of the build that made an image: the same step elsewhere gives the same layer. */
struct oci_image_step {
    char *key;     /* its identity, "sha256:<hex>" */
    int64_t layer; /* index in rootfs.diff_ids; -1: it changed no file */
};

struct oci_image {
    char *created, *author, *architecture, *os, *variant, *os_version;
    struct strv os_features;
    char *comment, *docker_version, *container; /* Docker's */
    struct oci_image_config *config;            /* may be NULL */
    struct oci_image_rootfs {
        char *type; /* "layers" */
        struct strv diff_ids;
    } rootfs;
    VEC_OF(struct oci_image_history *) history;
    VEC_OF(struct oci_image_step *) steps; /* ours: a cache that travels with the image */
};

struct oci_manifest {
    int64_t schema_version;
    char *media_type, *artifact_type;
    struct oci_descriptor *config;
    VEC_OF(struct oci_descriptor *) layers;
    VEC_OF(struct oci_descriptor *) manifests; /* of an index; one type reads both */
    struct strmap annotations;
};

/* One element of a docker-archive's manifest.json. */
struct archive_image {
    char *config;
    struct strv repo_tags, layers;
};

struct archive_images {
    struct archive_image **v;
    size_t n;
};

/** archive_manifest_decode() - a docker-archive's manifest.json. Return: 0; -EINVAL "invalid
 * manifest ..." */
int archive_manifest_decode(const char *text, size_t len, struct arena *a,
                            struct archive_images *ret, struct err *err) MUST;

/** oci_image_platform() - for whom an image is, by its config, whose strings it shares. */
struct oci_platform oci_image_platform(const struct oci_image *img);

extern const struct json_type archive_image_type;
extern const struct json_type oci_image_type, oci_image_config_type, oci_image_health_type;
extern const struct json_type oci_manifest_type;
/* To write that of an image: it says that there are no layers, too. */
extern const struct json_type oci_image_manifest_type;

/** chain_id() - the chain ID of the first @n diff IDs (OCI image spec, "Layer ChainID"). */
void chain_id(const struct strv *diff_ids, size_t n, char out[DIGEST_LEN + 1]);
