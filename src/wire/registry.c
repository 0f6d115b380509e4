#include "wire/registry.h"

static const struct field search_result_fields[] = {
    FIELD(struct search_result, "star_count", F_I64, star_count),
    FIELD(struct search_result, "is_official", F_BOOL, is_official),
    FIELD(struct search_result, "name", F_STR, name),
    FIELD(struct search_result, "is_automated", F_BOOL, is_automated),
    FIELD(struct search_result, "description", F_STR, description),
};
const struct json_type search_result_type =
    JSON_TYPE("SearchResult", struct search_result, search_result_fields);

static const struct field distribution_inspect_fields[] = {
    FIELD(struct distribution_inspect, "Descriptor", F_OBJ, descriptor,
          .type = &oci_descriptor_type),
    FIELD(struct distribution_inspect, "Platforms", F_OBJV, platforms, .flags = F_EMPTY,
          .type = &oci_platform_type),
};
const struct json_type distribution_inspect_type =
    JSON_TYPE("DistributionInspect", struct distribution_inspect, distribution_inspect_fields);
