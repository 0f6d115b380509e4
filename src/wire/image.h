/*
 * Images: lists, inspect, history, removal, and the progress messages of every call that streams
 * (load, pull, push, import, build).
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "distribution/descriptor.h"
#include "wire/config.h"

/* Name and facts of the layered file system below an image or container. */
struct graph_driver {
    struct strmap data; /* null when there is nothing to tell */
    char *name;
};

/* One manifest of what an image's name means (API 1.47). */
struct manifest_summary {
    char *id; /* digest of the manifest */
    struct oci_descriptor *descriptor;
    bool available; /* all of it is here */
    struct image_manifest_size {
        int64_t content_b, total_b; /* documents and compressed layers here; those and the files */
    } size;
    char *kind;                            /* "image", "attestation", "unknown" */
    struct image_manifest_image *image;    /* of kind "image", else NULL */
    struct image_attestation *attestation; /* of kind "attestation", else NULL */
};

struct image_manifest_image {
    struct oci_platform *platform;
    struct strv containers; /* ids */
    struct image_unpacked_size {
        int64_t unpacked_b;
    } size;
};

struct image_attestation {
    char *subject; /* digest of the manifest that it is about */
};

struct image_summary {
    int64_t containers; /* -1: not computed */
    int64_t created_s;  /* seconds since the epoch */
    char *id;
    struct strmap labels; /* null when the image has none */
    char *parent_id;
    struct oci_descriptor *descriptor;           /* API 1.48; only with the manifests */
    VEC_OF(struct manifest_summary *) manifests; /* API 1.47, when asked for */
    struct strv repo_digests, repo_tags;
    int64_t shared_size_b; /* -1: not computed */
    int64_t size_b;
    int64_t virtual_size_b; /* only before API 1.44, there equal to size_b; 0: not sent */
};

/* Config of an image since API 1.50; older versions show a whole container_config. */
struct image_rootfs {
    char *type; /* "layers" */
    struct strv layers;
};

struct image_metadata {
    char *last_tag_time; /* RFC 3339 */
};

struct image_inspect {
    char *id;
    struct strv repo_tags, repo_digests;
    char *parent, *comment;
    char *created; /* RFC 3339; left out when unknown (before API 1.44: the zero time) */
    char *docker_version, *author;
    struct container_config *config;        /* what an image has of it */
    struct container_config *legacy_config; /* instead of config, before API 1.50 */
    char *architecture, *variant, *os, *os_version;
    int64_t size_b;
    int64_t virtual_size_b; /* only before API 1.44; 0: not sent */
    struct graph_driver graph_driver;
    struct image_rootfs rootfs;
    struct image_metadata metadata;
    struct oci_descriptor *descriptor;           /* API 1.48 */
    VEC_OF(struct manifest_summary *) manifests; /* API 1.48, when asked for */
};

struct image_history_item {
    char *comment;
    int64_t created_s;
    char *created_by;
    char *id; /* "<missing>" for all but the image itself */
    int64_t size_b;
    struct strv tags;
};

/* One of the two is set. */
struct image_delete_item {
    char *deleted, *untagged;
};

struct image_prune_response {
    VEC_OF(struct image_delete_item *) deleted;
    uint64_t space_reclaimed_b;
};

struct progress_detail {
    int64_t current, total;
    char *units; /* "" is bytes */
    bool hide_counts;
};

struct error_detail {
    int64_t code;
    char *message;
};

/* One line of a progress stream; what is not set is not sent. */
struct progress_message {
    char *stream; /* text as the terminal shall show it */
    char *status;
    struct progress_detail *progress_detail; /* {} is sent when all its members are 0 */
    char *progress;                          /* the bar, drawn; old clients */
    char *id;
    struct error_detail *error_detail;
    char *error;
    struct json_raw aux;
};

extern const struct json_type graph_driver_type;
extern const struct json_type manifest_summary_type;
extern const struct json_type image_summary_type;
extern const struct json_type image_config_type;
extern const struct json_type image_inspect_type;        /* API 1.50: "Config" is config */
extern const struct json_type image_inspect_legacy_type; /* "Config" is legacy_config */
extern const struct json_type image_history_item_type;
extern const struct json_type image_delete_item_type;
extern const struct json_type image_prune_response_type;
extern const struct json_type progress_message_type;
