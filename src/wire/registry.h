/* Registries as the API shows them: search results, and what a name means there. */
#pragma once

#include "base/json.h"
#include "wire/image.h"

struct search_result {
    char *name, *description;
    int64_t star_count;
    bool is_official, is_automated;
};

struct distribution_inspect {
    struct oci_descriptor descriptor;
    VEC_OF(struct oci_platform *) platforms;
};

extern const struct json_type search_result_type;
extern const struct json_type distribution_inspect_type;
