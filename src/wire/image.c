/* Field tables of images and of progress messages. */
#include "wire/image.h"

static const struct field graph_driver_fields[] = {
    FIELD(struct graph_driver, "Data", F_STRMAP, data),
    FIELD(struct graph_driver, "Name", F_STR, name),
};
const struct json_type graph_driver_type =
    JSON_TYPE("GraphDriver", struct graph_driver, graph_driver_fields);

static const struct field manifest_size_fields[] = {
    FIELD(struct image_manifest_size, "Total", F_I64, total_b),
    FIELD(struct image_manifest_size, "Content", F_I64, content_b),
};
static const struct json_type manifest_size_type =
    JSON_TYPE("Size", struct image_manifest_size, manifest_size_fields);

static const struct field unpacked_size_fields[] = {
    FIELD(struct image_unpacked_size, "Unpacked", F_I64, unpacked_b),
};
static const struct json_type unpacked_size_type =
    JSON_TYPE("Size", struct image_unpacked_size, unpacked_size_fields);

static const struct field manifest_image_fields[] = {
    FIELD(struct image_manifest_image, "Platform", F_PTR, platform, .type = &oci_platform_type),
    FIELD(struct image_manifest_image, "Containers", F_STRV, containers, .flags = F_EMPTY),
    FIELD(struct image_manifest_image, "Size", F_OBJ, size, .type = &unpacked_size_type),
};
static const struct json_type manifest_image_type =
    JSON_TYPE("ImageData", struct image_manifest_image, manifest_image_fields);

static const struct field attestation_fields[] = {
    FIELD(struct image_attestation, "For", F_STR, subject),
};
static const struct json_type attestation_type =
    JSON_TYPE("AttestationData", struct image_attestation, attestation_fields);

static const struct field manifest_summary_fields[] = {
    FIELD(struct manifest_summary, "ID", F_STR, id),
    FIELD(struct manifest_summary, "Descriptor", F_PTR, descriptor, .type = &oci_descriptor_type),
    FIELD(struct manifest_summary, "Available", F_BOOL, available),
    FIELD(struct manifest_summary, "Size", F_OBJ, size, .type = &manifest_size_type),
    FIELD(struct manifest_summary, "Kind", F_STR, kind),
    FIELD(struct manifest_summary, "ImageData", F_PTR, image, .flags = F_OMIT,
          .type = &manifest_image_type),
    FIELD(struct manifest_summary, "AttestationData", F_PTR, attestation, .flags = F_OMIT,
          .type = &attestation_type),
};
const struct json_type manifest_summary_type =
    JSON_TYPE("Manifest", struct manifest_summary, manifest_summary_fields);

static const struct field image_summary_fields[] = {
    FIELD(struct image_summary, "Containers", F_I64, containers),
    FIELD(struct image_summary, "Created", F_I64, created_s),
    FIELD(struct image_summary, "Id", F_STR, id),
    FIELD(struct image_summary, "Labels", F_STRMAP, labels),
    FIELD(struct image_summary, "ParentId", F_STR, parent_id),
    FIELD(struct image_summary, "Descriptor", F_PTR, descriptor, .flags = F_OMIT,
          .type = &oci_descriptor_type),
    FIELD(struct image_summary, "Manifests", F_OBJV, manifests, .flags = F_OMIT,
          .type = &manifest_summary_type),
    FIELD(struct image_summary, "RepoDigests", F_STRV, repo_digests, .flags = F_EMPTY),
    FIELD(struct image_summary, "RepoTags", F_STRV, repo_tags, .flags = F_EMPTY),
    FIELD(struct image_summary, "SharedSize", F_I64, shared_size_b),
    FIELD(struct image_summary, "Size", F_I64, size_b),
    FIELD(struct image_summary, "VirtualSize", F_I64, virtual_size_b, .flags = F_OMIT),
};
const struct json_type image_summary_type =
    JSON_TYPE("Image", struct image_summary, image_summary_fields);

static const struct field image_config_fields[] = {
    FIELD(struct container_config, "User", F_STR, user),
    FIELD(struct container_config, "ExposedPorts", F_SETMAP, exposed_ports, .flags = F_OMIT),
    FIELD(struct container_config, "Env", F_STRV, env),
    FIELD(struct container_config, "Cmd", F_STRV, cmd, .flags = F_FLEX),
    FIELD(struct container_config, "Healthcheck", F_PTR, healthcheck, .flags = F_OMIT,
          .type = &healthcheck_type),
    FIELD(struct container_config, "ArgsEscaped", F_BOOL, args_escaped, .flags = F_OMIT),
    FIELD(struct container_config, "Volumes", F_SETMAP, volumes),
    FIELD(struct container_config, "WorkingDir", F_STR, working_dir),
    FIELD(struct container_config, "Entrypoint", F_STRV, entrypoint, .flags = F_FLEX),
    FIELD(struct container_config, "OnBuild", F_STRV, on_build),
    FIELD(struct container_config, "Labels", F_STRMAP, labels),
    FIELD(struct container_config, "StopSignal", F_STR, stop_signal, .flags = F_OMIT),
    FIELD(struct container_config, "Shell", F_STRV, shell, .flags = F_OMIT),
};
const struct json_type image_config_type =
    JSON_TYPE("Config", struct container_config, image_config_fields);

static const struct field image_rootfs_fields[] = {
    FIELD(struct image_rootfs, "Type", F_STR, type),
    FIELD(struct image_rootfs, "Layers", F_STRV, layers, .flags = F_OMIT),
};
static const struct json_type image_rootfs_type =
    JSON_TYPE("RootFS", struct image_rootfs, image_rootfs_fields);

static const struct field image_metadata_fields[] = {
    FIELD(struct image_metadata, "LastTagTime", F_STR, last_tag_time),
};
static const struct json_type image_metadata_type =
    JSON_TYPE("Metadata", struct image_metadata, image_metadata_fields);

/* Everything but Config, whose shape depends on the API version. */
#define IMAGE_INSPECT_FIELDS(CONFIG)                                                               \
    FIELD(struct image_inspect, "Id", F_STR, id),                                                  \
        FIELD(struct image_inspect, "RepoTags", F_STRV, repo_tags, .flags = F_EMPTY),              \
        FIELD(struct image_inspect, "RepoDigests", F_STRV, repo_digests, .flags = F_EMPTY),        \
        FIELD(struct image_inspect, "Parent", F_STR, parent),                                      \
        FIELD(struct image_inspect, "Comment", F_STR, comment),                                    \
        FIELD(struct image_inspect, "Created", F_STR, created, .flags = F_OMIT),                   \
        FIELD(struct image_inspect, "DockerVersion", F_STR, docker_version),                       \
        FIELD(struct image_inspect, "Author", F_STR, author), CONFIG,                              \
        FIELD(struct image_inspect, "Architecture", F_STR, architecture),                          \
        FIELD(struct image_inspect, "Variant", F_STR, variant, .flags = F_OMIT),                   \
        FIELD(struct image_inspect, "Os", F_STR, os),                                              \
        FIELD(struct image_inspect, "OsVersion", F_STR, os_version, .flags = F_OMIT),              \
        FIELD(struct image_inspect, "Size", F_I64, size_b),                                        \
        FIELD(struct image_inspect, "VirtualSize", F_I64, virtual_size_b, .flags = F_OMIT),        \
        FIELD(struct image_inspect, "GraphDriver", F_OBJ, graph_driver,                            \
              .type = &graph_driver_type),                                                         \
        FIELD(struct image_inspect, "RootFS", F_OBJ, rootfs, .type = &image_rootfs_type),          \
        FIELD(struct image_inspect, "Metadata", F_OBJ, metadata, .type = &image_metadata_type),    \
        FIELD(struct image_inspect, "Descriptor", F_PTR, descriptor, .flags = F_OMIT,              \
              .type = &oci_descriptor_type),                                                       \
        FIELD(struct image_inspect, "Manifests", F_OBJV, manifests, .flags = F_OMIT,               \
              .type = &manifest_summary_type)

static const struct field image_inspect_fields[] = {
    IMAGE_INSPECT_FIELDS(
        FIELD(struct image_inspect, "Config", F_PTR, config, .type = &image_config_type)),
};
const struct json_type image_inspect_type =
    JSON_TYPE("ImageInspect", struct image_inspect, image_inspect_fields);

static const struct field image_inspect_legacy_fields[] = {
    IMAGE_INSPECT_FIELDS(FIELD(struct image_inspect, "Config", F_PTR, legacy_config,
                               .type = &container_config_type)),
};
const struct json_type image_inspect_legacy_type =
    JSON_TYPE("ImageInspect", struct image_inspect, image_inspect_legacy_fields);

static const struct field image_history_item_fields[] = {
    FIELD(struct image_history_item, "Comment", F_STR, comment),
    FIELD(struct image_history_item, "Created", F_I64, created_s),
    FIELD(struct image_history_item, "CreatedBy", F_STR, created_by),
    FIELD(struct image_history_item, "Id", F_STR, id),
    FIELD(struct image_history_item, "Size", F_I64, size_b),
    FIELD(struct image_history_item, "Tags", F_STRV, tags),
};
const struct json_type image_history_item_type =
    JSON_TYPE("HistoryItem", struct image_history_item, image_history_item_fields);

static const struct field image_delete_item_fields[] = {
    FIELD(struct image_delete_item, "Deleted", F_STR, deleted, .flags = F_OMIT),
    FIELD(struct image_delete_item, "Untagged", F_STR, untagged, .flags = F_OMIT),
};
const struct json_type image_delete_item_type =
    JSON_TYPE("ImageDelete", struct image_delete_item, image_delete_item_fields);

static const struct field image_prune_response_fields[] = {
    FIELD(struct image_prune_response, "ImagesDeleted", F_OBJV, deleted,
          .type = &image_delete_item_type),
    FIELD(struct image_prune_response, "SpaceReclaimed", F_U64, space_reclaimed_b),
};
const struct json_type image_prune_response_type =
    JSON_TYPE("ImagesPruned", struct image_prune_response, image_prune_response_fields);

static const struct field progress_detail_fields[] = {
    FIELD(struct progress_detail, "current", F_I64, current, .flags = F_OMIT),
    FIELD(struct progress_detail, "total", F_I64, total, .flags = F_OMIT),
    FIELD(struct progress_detail, "hidecounts", F_BOOL, hide_counts, .flags = F_OMIT),
    FIELD(struct progress_detail, "units", F_STR, units, .flags = F_OMIT),
};
static const struct json_type progress_detail_type =
    JSON_TYPE("progressDetail", struct progress_detail, progress_detail_fields);

static const struct field error_detail_fields[] = {
    FIELD(struct error_detail, "code", F_I64, code, .flags = F_OMIT),
    FIELD(struct error_detail, "message", F_STR, message),
};
static const struct json_type error_detail_type =
    JSON_TYPE("errorDetail", struct error_detail, error_detail_fields);

static const struct field progress_message_fields[] = {
    FIELD(struct progress_message, "stream", F_STR, stream, .flags = F_OMIT),
    FIELD(struct progress_message, "status", F_STR, status, .flags = F_OMIT),
    FIELD(struct progress_message, "progressDetail", F_PTR, progress_detail, .flags = F_OMIT,
          .type = &progress_detail_type),
    FIELD(struct progress_message, "progress", F_STR, progress, .flags = F_OMIT),
    FIELD(struct progress_message, "id", F_STR, id, .flags = F_OMIT),
    FIELD(struct progress_message, "errorDetail", F_PTR, error_detail, .flags = F_OMIT,
          .type = &error_detail_type),
    FIELD(struct progress_message, "error", F_STR, error, .flags = F_OMIT),
    FIELD(struct progress_message, "aux", F_RAW, aux, .flags = F_OMIT),
};
const struct json_type progress_message_type =
    JSON_TYPE("Progress", struct progress_message, progress_message_fields);
