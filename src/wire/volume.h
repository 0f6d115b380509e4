/* Volumes. */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct volume_usage {
    int64_t size_b, ref_count; /* -1: not computed */
};

struct volume_info {
    char *created_at; /* RFC 3339 */
    char *driver;
    struct strmap labels; /* null when none were given at create */
    char *mountpoint, *name;
    struct strmap options; /* null when none were given at create */
    char *scope;
    struct json_raw status;     /* what a plugin says of it, an object; none else */
    struct volume_usage *usage; /* disk usage only */
};

struct volume_create_request {
    char *name, *driver;
    struct strmap driver_opts, labels;
};

struct volume_list_response {
    VEC_OF(struct volume_info *) volumes;
    struct strv warnings;
};

struct volume_prune_response {
    struct strv deleted;
    uint64_t space_reclaimed_b;
};

extern const struct json_type volume_info_type;
extern const struct json_type volume_create_request_type;
extern const struct json_type volume_list_response_type;
extern const struct json_type volume_prune_response_type;
