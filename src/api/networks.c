/* Networks: the three predefined ones can be looked at; making more comes with their issue. */
#include "api/api-priv.h"

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
        r = net_prune(api->engine, &f, &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &network_prune_response_type, &ret);
}

static const struct http_route table[] = {
    {"GET", "/networks", get_list, 0, 0},
    {"POST", "/networks/create", api_not_built, 0, 0},
    {"POST", "/networks/prune", post_prune, API(1, 25), 0},
    {"GET", "/networks/{id}", get_inspect, 0, 0},
    {"DELETE", "/networks/{id}", delete_one, 0, 0},
    {"POST", "/networks/{id}/connect", api_not_built, 0, 0},
    {"POST", "/networks/{id}/disconnect", api_not_built, 0, 0},
};
ROUTES(network_routes, table);
