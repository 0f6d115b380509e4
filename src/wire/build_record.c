#include "wire/build_record.h"

static const struct field step_fields[] = {
    FIELD(struct build_record_step, "Name", F_STR, name),
    FIELD(struct build_record_step, "Started", F_I64, started_ns, .flags = F_OMIT),
    FIELD(struct build_record_step, "Completed", F_I64, completed_ns, .flags = F_OMIT),
    FIELD(struct build_record_step, "Cached", F_BOOL, cached),
    FIELD(struct build_record_step, "Error", F_STR, error, .flags = F_OMIT),
};
static const struct json_type step_type =
    JSON_TYPE("BuildRecordStep", struct build_record_step, step_fields);

static const struct field record_fields[] = {
    FIELD(struct build_record, "Id", F_STR, id),
    FIELD(struct build_record, "Name", F_STR, name),
    FIELD(struct build_record, "Status", F_STR, status),
    FIELD(struct build_record, "CreatedAt", F_STR, created),
    FIELD(struct build_record, "CompletedAt", F_STR, completed, .flags = F_OMIT),
    FIELD(struct build_record, "Duration", F_I64, duration_ns),
    FIELD(struct build_record, "TotalSteps", F_I64, total),
    FIELD(struct build_record, "CompletedSteps", F_I64, done),
    FIELD(struct build_record, "CachedSteps", F_I64, cached),
    FIELD(struct build_record, "Warnings", F_I64, warnings, .flags = F_OMIT),
    FIELD(struct build_record, "Error", F_STR, error, .flags = F_OMIT),
    FIELD(struct build_record, "Excerpt", F_STR, excerpt, .flags = F_OMIT),
    FIELD(struct build_record, "Dockerfile", F_STR, dockerfile, .flags = F_OMIT),
    FIELD(struct build_record, "Context", F_STR, context, .flags = F_OMIT),
    FIELD(struct build_record, "Target", F_STR, target, .flags = F_OMIT),
    FIELD(struct build_record, "Platform", F_STR, platform, .flags = F_OMIT),
    FIELD(struct build_record, "Names", F_STRV, names, .flags = F_OMIT),
    FIELD(struct build_record, "Image", F_STR, image, .flags = F_OMIT),
    FIELD(struct build_record, "BuildArgs", F_STRMAP, args, .flags = F_OMIT),
    FIELD(struct build_record, "Labels", F_STRMAP, labels, .flags = F_OMIT),
    FIELD(struct build_record, "Steps", F_OBJV, steps, .flags = F_OMIT, .type = &step_type),
    FIELD(struct build_record, "LogSize", F_I64, log_size),
    FIELD(struct build_record, "LogCut", F_BOOL, log_cut, .flags = F_OMIT),
};
const struct json_type build_record_type =
    JSON_TYPE("BuildRecord", struct build_record, record_fields);
