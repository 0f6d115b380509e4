/* Field tables of volumes. */
#include "wire/volume.h"

static const struct field volume_usage_fields[] = {
    FIELD(struct volume_usage, "RefCount", F_I64, ref_count),
    FIELD(struct volume_usage, "Size", F_I64, size_b),
};
static const struct json_type volume_usage_type =
    JSON_TYPE("UsageData", struct volume_usage, volume_usage_fields);

static const struct field volume_info_fields[] = {
    FIELD(struct volume_info, "CreatedAt", F_STR, created_at, .flags = F_OMIT),
    FIELD(struct volume_info, "Driver", F_STR, driver),
    FIELD(struct volume_info, "Labels", F_STRMAP, labels),
    FIELD(struct volume_info, "Mountpoint", F_STR, mountpoint),
    FIELD(struct volume_info, "Name", F_STR, name),
    FIELD(struct volume_info, "Options", F_STRMAP, options),
    FIELD(struct volume_info, "Scope", F_STR, scope),
    FIELD(struct volume_info, "Status", F_RAW, status, .flags = F_OMIT),
    FIELD(struct volume_info, "UsageData", F_PTR, usage, .flags = F_OMIT,
          .type = &volume_usage_type),
};
const struct json_type volume_info_type =
    JSON_TYPE("Volume", struct volume_info, volume_info_fields);

static const struct field volume_create_request_fields[] = {
    FIELD(struct volume_create_request, "Name", F_STR, name, .flags = F_OMIT),
    FIELD(struct volume_create_request, "Driver", F_STR, driver, .flags = F_OMIT),
    FIELD(struct volume_create_request, "DriverOpts", F_STRMAP, driver_opts, .flags = F_OMIT),
    FIELD(struct volume_create_request, "Labels", F_STRMAP, labels, .flags = F_OMIT),
};
const struct json_type volume_create_request_type =
    JSON_TYPE("VolumeCreate", struct volume_create_request, volume_create_request_fields);

static const struct field volume_list_response_fields[] = {
    FIELD(struct volume_list_response, "Volumes", F_OBJV, volumes, .flags = F_EMPTY,
          .type = &volume_info_type),
    FIELD(struct volume_list_response, "Warnings", F_STRV, warnings),
};
const struct json_type volume_list_response_type =
    JSON_TYPE("Volumes", struct volume_list_response, volume_list_response_fields);

static const struct field volume_prune_response_fields[] = {
    FIELD(struct volume_prune_response, "VolumesDeleted", F_STRV, deleted, .flags = F_EMPTY),
    FIELD(struct volume_prune_response, "SpaceReclaimed", F_U64, space_reclaimed_b),
};
const struct json_type volume_prune_response_type =
    JSON_TYPE("VolumesPruned", struct volume_prune_response, volume_prune_response_fields);
