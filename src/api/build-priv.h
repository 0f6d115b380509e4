/* POST /build: what its files share. */
#pragma once

#include "api/api-priv.h"
#include "engine/build.h"

/* Tells a client how a build goes on: in Docker's classic text, or as BuildKit's status. */
struct build_progress_out {
    struct http_resp *resp;
    bool status, quiet;
    bool several;                  /* platforms: steps say for which they are */
    unsigned steps;                /* planned so far */
    const struct build_step *last; /* whose output came last */
};

/** build_progress_tell() - tell() of a build; @ctx: a struct build_progress_out. */
int build_progress_tell(void *ctx, const struct build_event *e, struct err *err) MUST;
/** build_progress_result() - the end of a build that went well. */
int build_progress_result(struct build_progress_out *o, const struct build_opts *opts,
                          const struct build_result *res, struct err *err) MUST;
/** build_progress_end() - as api_progress_end(), with the exit code of the command that failed. */
int build_progress_end(struct build_progress_out *o, int r, const struct build_result *res,
                       struct err *err) MUST;

/** build_params() - everything of the request but the context. */
int build_params(struct http_req *req, struct build_opts *ret, struct err *err) MUST;
