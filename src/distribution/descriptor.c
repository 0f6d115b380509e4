#include "distribution/descriptor.h"

#define T struct oci_platform
static const struct field platform_fields[] = {
    FIELD(T, "architecture", F_STR, architecture),
    FIELD(T, "os", F_STR, os),
    FIELD(T, "os.version", F_STR, os_version, .flags = F_OMIT),
    FIELD(T, "os.features", F_STRV, os_features, .flags = F_OMIT),
    FIELD(T, "variant", F_STR, variant, .flags = F_OMIT),
};
const struct json_type oci_platform_type = JSON_TYPE("platform", T, platform_fields);
#undef T

#define T struct oci_descriptor
static const struct field descriptor_fields[] = {
    FIELD(T, "mediaType", F_STR, media_type),
    FIELD(T, "digest", F_STR, digest, .flags = F_REQUIRED),
    FIELD(T, "size", F_I64, size, .flags = F_REQUIRED),
    FIELD(T, "urls", F_STRV, urls, .flags = F_OMIT),
    FIELD(T, "annotations", F_STRMAP, annotations, .flags = F_OMIT),
    FIELD(T, "data", F_STR, data, .flags = F_OMIT),
    FIELD(T, "platform", F_PTR, platform, .type = &oci_platform_type, .flags = F_OMIT),
    FIELD(T, "artifactType", F_STR, artifact_type, .flags = F_OMIT),
};
const struct json_type oci_descriptor_type = JSON_TYPE("descriptor", T, descriptor_fields);
#undef T
