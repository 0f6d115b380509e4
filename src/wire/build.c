#include "wire/build.h"

static const struct field vertex_fields[] = {
    FIELD(struct build_vertex, "digest", F_STR, digest, .flags = F_REQUIRED),
    FIELD(struct build_vertex, "name", F_STR, name, .flags = F_OMIT),
    FIELD(struct build_vertex, "started", F_STR, started, .flags = F_OMIT),
    FIELD(struct build_vertex, "completed", F_STR, completed, .flags = F_OMIT),
    FIELD(struct build_vertex, "cached", F_BOOL, cached, .flags = F_OMIT),
    FIELD(struct build_vertex, "error", F_STR, error, .flags = F_OMIT),
};
static const struct json_type vertex_type = JSON_TYPE("Vertex", struct build_vertex, vertex_fields);

static const struct field bar_fields[] = {
    FIELD(struct build_vertex_status, "id", F_STR, id),
    FIELD(struct build_vertex_status, "vertex", F_STR, vertex, .flags = F_OMIT),
    FIELD(struct build_vertex_status, "name", F_STR, name, .flags = F_OMIT),
    FIELD(struct build_vertex_status, "total", F_I64, total, .flags = F_OMIT),
    FIELD(struct build_vertex_status, "current", F_I64, current),
    FIELD(struct build_vertex_status, "timestamp", F_STR, timestamp, .flags = F_OMIT),
    FIELD(struct build_vertex_status, "started", F_STR, started, .flags = F_OMIT),
    FIELD(struct build_vertex_status, "completed", F_STR, completed, .flags = F_OMIT),
};
static const struct json_type bar_type =
    JSON_TYPE("VertexStatus", struct build_vertex_status, bar_fields);

static const struct field log_fields[] = {
    FIELD(struct build_vertex_log, "vertex", F_STR, vertex, .flags = F_OMIT),
    FIELD(struct build_vertex_log, "stream", F_I64, stream, .flags = F_OMIT),
    FIELD(struct build_vertex_log, "data", F_STR, data),
    FIELD(struct build_vertex_log, "timestamp", F_STR, timestamp),
};
static const struct json_type log_type =
    JSON_TYPE("VertexLog", struct build_vertex_log, log_fields);

static const struct field warning_fields[] = {
    FIELD(struct build_vertex_warning, "vertex", F_STR, vertex, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "level", F_I64, level, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "rule", F_STR, rule, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "short", F_STR, short_text, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "description", F_STR, description, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "url", F_STR, url, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "line", F_I64, line, .flags = F_OMIT),
    FIELD(struct build_vertex_warning, "end_line", F_I64, end_line, .flags = F_OMIT),
};
static const struct json_type warning_type =
    JSON_TYPE("VertexWarning", struct build_vertex_warning, warning_fields);

static const struct field status_fields[] = {
    FIELD(struct build_status, "vertexes", F_OBJV, vertexes, .flags = F_OMIT, .type = &vertex_type),
    FIELD(struct build_status, "statuses", F_OBJV, statuses, .flags = F_OMIT, .type = &bar_type),
    FIELD(struct build_status, "logs", F_OBJV, logs, .flags = F_OMIT, .type = &log_type),
    FIELD(struct build_status, "warnings", F_OBJV, warnings, .flags = F_OMIT,
          .type = &warning_type),
    FIELD(struct build_status, "excerpt", F_STR, excerpt, .flags = F_OMIT),
};
const struct json_type build_status_type =
    JSON_TYPE("BuildStatus", struct build_status, status_fields);

#define T struct build_result_platform
static const struct field platform_fields[] = {
    FIELD(T, "Platform", F_STR, platform, .flags = F_REQUIRED),
    FIELD(T, "ID", F_STR, image, .flags = F_REQUIRED),
    FIELD(T, "Digest", F_STR, digest, .flags = F_OMIT),
};
static const struct json_type platform_type = JSON_TYPE("Platform", T, platform_fields);
#undef T

static const struct field result_fields[] = {
    FIELD(struct build_result_message, "ID", F_STR, image, .flags = F_REQUIRED),
    FIELD(struct build_result_message, "Names", F_STRV, names, .flags = F_OMIT),
    FIELD(struct build_result_message, "Descriptor", F_PTR, descriptor, .flags = F_OMIT,
          .type = &oci_descriptor_type),
    FIELD(struct build_result_message, "Platforms", F_OBJV, platforms, .flags = F_OMIT,
          .type = &platform_type),
};
const struct json_type build_result_message_type =
    JSON_TYPE("BuildResult", struct build_result_message, result_fields);

static const struct field secret_fields[] = {
    FIELD(struct build_session_secret, "ID", F_STR, id, .flags = F_REQUIRED),
    FIELD(struct build_session_secret, "Data", F_STR, data),
};
static const struct json_type secret_type =
    JSON_TYPE("BuildSecret", struct build_session_secret, secret_fields);

static const struct field session_fields[] = {
    FIELD(struct build_session_request, "Secrets", F_OBJV, secrets, .flags = F_OMIT,
          .type = &secret_type),
};
const struct json_type build_session_request_type =
    JSON_TYPE("BuildSession", struct build_session_request, session_fields);

static const struct field file_fields[] = {
    FIELD(struct build_context_file, "P", F_STR, path, .flags = F_REQUIRED),
    FIELD(struct build_context_file, "K", F_STR, kind, .flags = F_REQUIRED),
    FIELD(struct build_context_file, "M", F_I64, mode, .flags = F_OMIT),
    FIELD(struct build_context_file, "S", F_I64, size, .flags = F_OMIT),
    FIELD(struct build_context_file, "T", F_I64, mtime_ns, .flags = F_OMIT),
    FIELD(struct build_context_file, "L", F_STR, link, .flags = F_OMIT),
};
static const struct json_type file_type =
    JSON_TYPE("BuildContextFile", struct build_context_file, file_fields);

static const struct field context_fields[] = {
    FIELD(struct build_context_request, "Key", F_STR, key, .flags = F_REQUIRED),
    FIELD(struct build_context_request, "Files", F_OBJV, files, .type = &file_type),
};
const struct json_type build_context_request_type =
    JSON_TYPE("BuildContext", struct build_context_request, context_fields);

static const struct field missing_fields[] = {
    FIELD(struct build_context_response, "Session", F_STR, session),
    FIELD(struct build_context_response, "Missing", F_I64V, missing, .flags = F_EMPTY),
};
const struct json_type build_context_response_type =
    JSON_TYPE("BuildContextMissing", struct build_context_response, missing_fields);

static const struct field cache_fields[] = {
    FIELD(struct build_cache_spec, "Type", F_STR, type, .flags = F_REQUIRED),
    FIELD(struct build_cache_spec, "Ref", F_STR, ref, .flags = F_OMIT),
    FIELD(struct build_cache_spec, "Layout", F_STR, layout, .flags = F_OMIT),
    FIELD(struct build_cache_spec, "Tag", F_STR, tag, .flags = F_OMIT),
    FIELD(struct build_cache_spec, "Digest", F_STR, digest, .flags = F_OMIT),
    FIELD(struct build_cache_spec, "Mode", F_STR, mode, .flags = F_OMIT),
    FIELD(struct build_cache_spec, "IgnoreError", F_BOOL, ignore_error, .flags = F_OMIT),
};
const struct json_type build_cache_spec_type =
    JSON_TYPE("BuildCache", struct build_cache_spec, cache_fields);
