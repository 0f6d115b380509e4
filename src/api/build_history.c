/* Cleat's own: what builds there were. */
#include "api/api-priv.h"

#include "archive/stream.h"
#include "engine/build.h"
#include "wire/build_record.h"

int api_build_history(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct filters f = {0};
    struct build_records all = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = engine_build_history(api->engine, &f, http_arena(req), &all, err);
    return r < 0 ? r : api_reply_list(req, resp, &build_record_type, (void *const *)all.v, all.n);
}

int api_build_record(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct build_record rec = {0};
    int r = engine_build_record(api->engine, http_param(req, "id"), http_arena(req), &rec, err);

    return r < 0 ? r : http_reply_json(resp, 200, &build_record_type, &rec);
}

struct log_out {
    struct http_resp *resp;
};

static int write_log(void *ctx, const void *p, size_t n, struct err *err)
{
    struct log_out *o = ctx;
    int r = http_resp_started(o->resp) ? 0 : http_resp_start(o->resp, 200, "application/json", err);

    return r < 0 ? r : http_resp_write(o->resp, p, n, err);
}

int api_build_record_log(struct api *api, struct http_req *req, struct http_resp *resp,
                         struct err *err)
{
    struct log_out o = {resp};
    auto_sink struct sink *to = sink_cb(write_log, &o);
    int r = engine_build_record_log(api->engine, http_param(req, "id"), to, err);

    return api_progress_end(resp, r, err);
}

int api_build_records_remove(struct api *api, struct http_req *req, struct http_resp *resp,
                             struct err *err)
{
    int r = engine_build_record_remove(api->engine, NULL, err);

    (void)req;
    return r < 0 ? r : http_reply(resp, 204);
}

int api_build_record_remove(struct api *api, struct http_req *req, struct http_resp *resp,
                            struct err *err)
{
    int r = engine_build_record_remove(api->engine, http_param(req, "id"), err);

    return r < 0 ? r : http_reply(resp, 204);
}
