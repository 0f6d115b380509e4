/*
 * What a build is to say of its result beside the files: the parameter "export" of POST /build.
 * With any of it manifests are made at once, and an index where there is more than one thing to
 * name.
 */
#pragma once

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

struct build_annotation {
    char *level;    /* "manifest", "index", "manifest-descriptor", "index-descriptor" */
    char *platform; /* only of this one; NULL: of all */
    char *key, *val;
};

struct build_export {
    VEC_OF(struct build_annotation *) annotations;
    char *compression; /* "gzip", "zstd", "uncompressed"; NULL: gzip, of layers that have no blob */
    int64_t compression_level; /* 0: the usual one */
    bool force_compression;    /* also of layers that came in another form */
    bool docker_types;         /* manifests in Docker's words instead of OCI's */
    char *provenance;          /* "min", "max"; NULL: none */
    bool sbom;
};

extern const struct json_type build_export_type;
