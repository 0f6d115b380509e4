#include "wire/build_export.h"

#define T struct build_annotation
static const struct field annotation_fields[] = {
    FIELD(T, "Level", F_STR, level, .flags = F_REQUIRED),
    FIELD(T, "Platform", F_STR, platform, .flags = F_OMIT),
    FIELD(T, "Key", F_STR, key, .flags = F_REQUIRED),
    FIELD(T, "Value", F_STR, val),
};
static const struct json_type annotation_type = JSON_TYPE("Annotation", T, annotation_fields);
#undef T

#define T struct build_export
static const struct field export_fields[] = {
    FIELD(T, "Annotations", F_OBJV, annotations, .type = &annotation_type, .flags = F_OMIT),
    FIELD(T, "Compression", F_STR, compression, .flags = F_OMIT),
    FIELD(T, "CompressionLevel", F_I64, compression_level, .flags = F_OMIT),
    FIELD(T, "ForceCompression", F_BOOL, force_compression, .flags = F_OMIT),
    FIELD(T, "DockerTypes", F_BOOL, docker_types, .flags = F_OMIT),
    FIELD(T, "Provenance", F_STR, provenance, .flags = F_OMIT),
    FIELD(T, "SBOM", F_BOOL, sbom, .flags = F_OMIT),
};
const struct json_type build_export_type = JSON_TYPE("export", T, export_fields);
#undef T
