/* Records of builds: GET /build/history. */
#pragma once

#include "base/json.h"
#include "base/str.h"

#define BUILD_RUNNING "running"
#define BUILD_COMPLETED "completed"
#define BUILD_ERROR "error"
#define BUILD_CANCELED "canceled"

struct build_record_step {
    char *name;                       /* "[build 2/5] RUN make" */
    int64_t started_ns, completed_ns; /* since the epoch; 0: never */
    bool cached;
    char *error;
};

struct build_record {
    char *id, *name, *status;
    char *created, *completed; /* RFC 3339; completed NULL: it runs */
    int64_t duration_ns;
    int64_t total, done, cached, warnings; /* of steps; and of checks */
    char *error, *excerpt;
    char *dockerfile, *context, *target, *platform;
    struct strv names;
    char *image;
    struct strmap args, labels;
    VEC_OF(struct build_record_step *) steps; /* not in lists */
    int64_t log_size;                         /* bytes of output that were kept */
    bool log_cut;                             /* there was more */
};

extern const struct json_type build_record_type;
