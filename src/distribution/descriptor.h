/*
 * What a manifest, an index and the API say of a document or blob: its kind, digest and size, and
 * for whom it is. One type for all of them, since it is one in the specification.
 * Source: OCI image spec, "Content Descriptors", "Image Index".
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

#include <stdint.h>

/* Any may be NULL. An image's config has the same members, under the same names. */
struct oci_platform {
    char *architecture, *os, *os_version;
    struct strv os_features;
    char *variant;
};

struct oci_descriptor {
    char *media_type, *digest;
    int64_t size; /* bytes */
    struct strv urls;
    struct strmap annotations;
    char *data;                    /* base64 of the whole, or NULL */
    struct oci_platform *platform; /* or NULL */
    char *artifact_type;
};

extern const struct json_type oci_platform_type, oci_descriptor_type;
