/* Volumes. */
#include "api/api-priv.h"

#include <errno.h>

static int get_list(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct volume_list_response ret = {0};
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = vol_list(api->engine, &f, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &volume_list_response_type, &ret);
}

static int post_create(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct volume_create_request body = {0};
    struct volume_info ret = {0};
    int r = http_body_json(req, &volume_create_request_type, &body, err);

    if (r == 0)
        r = err_invalid(err, "invalid JSON: got EOF while reading request body");
    if (r >= 0)
        r = vol_create(api->engine, &body, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 201, &volume_info_type, &ret);
}

static int get_one(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct volume_info ret = {0};
    int r = vol_inspect(api->engine, http_param(req, "name"), http_arena(req), &ret, err);

    return r < 0 ? r : http_reply_json(resp, 200, &volume_info_type, &ret);
}

static int delete_one(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    int r =
        vol_remove(api->engine, http_param(req, "name"), http_query_bool(req, "force", false), err);

    return r < 0 ? r : http_reply(resp, 204);
}

/* Before API 1.42 all unused volumes were pruned, since then the anonymous ones. */
static int post_prune(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct volume_prune_response ret = {0};
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0 && http_api_version(req) < API(1, 42))
        filters_add(&f, http_arena(req), "all", "true");
    if (r >= 0)
        r = vol_prune(api->engine, &f, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &volume_prune_response_type, &ret);
}

static int put_one(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    (void)api, (void)req, (void)resp;
    return err_as(err, ERR_UNAVAILABLE, ENOSYS,
                  "This node is not a swarm manager: only cluster volumes can be updated");
}

/* ---- whole volumes: ours alone ---- */

static int post_clone(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct volume_create_request body = {0};
    struct volume_info ret = {0};
    int r = http_body_json(req, &volume_create_request_type, &body, err);

    if (r >= 0 && str_empty(body.name))
        r = err_invalid(err, "a clone needs a Name");
    if (r >= 0)
        r = vol_clone(api->engine, http_param(req, "name"), &body,
                      http_query_bool(req, "pause", true), http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 201, &volume_info_type, &ret);
}

static int get_export(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct vol_reader *rd = NULL;
    int r = vol_export_open(api->engine, http_param(req, "name"),
                            http_query_bool(req, "pause", false), http_arena(req), &rd, err);

    if (r >= 0)
        r = http_resp_start(resp, 200, "application/x-tar", err);
    if (r >= 0)
        r = vol_export(rd, api_write, resp, err);
    vol_export_close(rd);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int post_import(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct volume_create_request rq = {.name =
                                           arena_strdup(http_arena(req), http_param(req, "name"))};
    struct volume_info ret = {0};
    int r = api_query_map(req, "labels", &rq.labels, err);

    if (r >= 0)
        r = api_query_map(req, "driveropts", &rq.driver_opts, err);
    if (r >= 0)
        r = vol_import(api->engine, &rq, api_read_body, req, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 201, &volume_info_type, &ret);
}

static const struct http_route table[] = {
    {"POST", "/volumes/{name}/clone", post_clone, 0, 0},
    {"GET", "/volumes/{name}/export", get_export, 0, 0},
    {"POST", "/volumes/{name}/import", post_import, 0, 0},
    {"GET", "/volumes", get_list, 0, 0},
    {"POST", "/volumes/create", post_create, 0, 0},
    {"POST", "/volumes/prune", post_prune, API(1, 25), 0},
    {"GET", "/volumes/{name:.*}", get_one, 0, 0},
    {"PUT", "/volumes/{name:.*}", put_one, API(1, 42), 0},
    {"DELETE", "/volumes/{name:.*}", delete_one, 0, 0},
};
ROUTES(volume_routes, table);
