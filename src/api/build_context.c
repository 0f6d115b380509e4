/* POST /build/context: Cleat's own. A client lists its directory and is told what to send. */
#include "api/api-priv.h"
#include "engine/build.h"
#include "wire/build.h"

#define LIST_MAX (64u << 20)

int api_build_context(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    auto_arena struct arena mem = ARENA_INIT; /* the session's, when there is one */
    auto_buf struct buf text = BUF_INIT;
    struct build_context_request *rq = arena_new(&mem, struct build_context_request);
    struct build_context_response out = {0};
    int r = http_body_all(req, LIST_MAX, &text, err);

    if (r >= 0)
        r = json_decode(&build_context_request_type, buf_str(&text), text.len, &mem, rq, 0, err);
    if (r >= 0)
        r = engine_build_context(api->engine, http_query(req, "session"), rq, &mem, http_arena(req),
                                 &out, err);
    return r < 0 ? r : http_reply_json(resp, 201, &build_context_response_type, &out);
}
