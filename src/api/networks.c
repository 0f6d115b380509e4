/* Networks: made, looked at, connected to containers, removed. */
#include "api/api-priv.h"

static int body(struct http_req *req, const struct json_type *type, void *out, struct err *err)
{
    int r = http_body_json(req, type, out, err);

    return r == 0 ? err_invalid(err, "invalid JSON: got EOF while reading request body") : r;
}

static int get_list(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct filters f = {0};
    struct net_infos list = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = net_list(api->engine, &f, http_arena(req), &list, err);
    return r < 0 ? r : api_reply_list(req, resp, &network_inspect_type, (void **)list.v, list.n);
}

static int get_inspect(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct network_inspect *n = NULL;
    int r = net_inspect(api->engine, http_param(req, "id"), http_arena(req), &n, err);

    return r < 0 ? r : http_reply_json(resp, 200, &network_inspect_type, n);
}

static int delete_one(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    int r = net_remove(api->engine, http_param(req, "id"), err);

    return r < 0 ? r : http_reply(resp, 204);
}

static int post_prune(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct network_prune_response ret = {0};
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = net_prune(api->engine, &f, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &network_prune_response_type, &ret);
}

/* POST /networks/create -> 201 {"Id": ..., "Warning": ""} */
static int post_create(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct network_create_request rq = {0};
    struct network_create_response ret = {0};
    int r = body(req, &network_create_request_type, &rq, err);

    if (r >= 0)
        r = net_create(api->engine, &rq, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 201, &network_create_response_type, &ret);
}

static int post_connect(struct api *api, struct http_req *req, struct http_resp *resp,
                        struct err *err)
{
    struct network_connect_request rq = {0};
    int r = body(req, &network_connect_request_type, &rq, err);

    if (r >= 0)
        r = net_connect(api->engine, http_param(req, "id"), str_or(rq.container, ""), rq.endpoint,
                        err);
    return r < 0 ? r : http_reply(resp, 200);
}

static int post_disconnect(struct api *api, struct http_req *req, struct http_resp *resp,
                           struct err *err)
{
    struct network_disconnect_request rq = {0};
    int r = body(req, &network_disconnect_request_type, &rq, err);

    if (r >= 0)
        r = net_disconnect(api->engine, http_param(req, "id"), str_or(rq.container, ""), rq.force,
                           err);
    return r < 0 ? r : http_reply(resp, 200);
}

static const struct http_route table[] = {
    {"GET", "/networks", get_list, 0, 0},
    {"POST", "/networks/create", post_create, 0, 0},
    {"POST", "/networks/prune", post_prune, API(1, 25), 0},
    {"GET", "/networks/{id}", get_inspect, 0, 0},
    {"DELETE", "/networks/{id}", delete_one, 0, 0},
    {"POST", "/networks/{id}/connect", post_connect, 0, 0},
    {"POST", "/networks/{id}/disconnect", post_disconnect, 0, 0},
};
ROUTES(network_routes, table);
