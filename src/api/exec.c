#include "api/api-priv.h"

#include <errno.h>
#include <string.h>

static int post_create(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct exec_create_request body = {0};
    struct id_response ret = {0};
    int r = http_body_json(req, &exec_create_request_type, &body, err);

    if (r >= 0)
        r = exec_create(api->engine, http_param(req, "id"), &body, http_arena(req), &ret.id, err);
    return r < 0 ? r : http_reply_json(resp, 201, &id_response_type, &ret);
}

static int start_attached(struct api *api, struct http_req *req, struct http_resp *resp, bool tty,
                          const int64_t *size, struct err *err)
{
    struct http_hijacked h = {.fd = -1};
    int r = http_hijack(resp, api_stream_type(req, tty), &h, err);

    if (r < 0)
        return r;
    api_let_head_be_read(h.fd);
    r = exec_start(api->engine, http_param(req, "id"), h.fd, &h.early, size, err);
    h.fd = -1; /* the engine has it; what went wrong was told to the client there */
    http_hijacked_done(&h);
    return r < 0 ? r : 0;
}

static int post_start(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct exec_start_request body = {0};
    int64_t size[2] = {0, 0};
    bool tty;
    int r = http_body_json(req, &exec_start_request_type, &body, err);

    if (r >= 0)
        r = exec_check(api->engine, http_param(req, "id"), &tty, err);
    if (r < 0)
        return r;
    if (body.console_size.n == 2) {
        size[0] = body.console_size.v[0];
        size[1] = body.console_size.v[1];
    }
    if (!body.detach)
        return start_attached(api, req, resp, tty, size, err);
    r = exec_start(api->engine, http_param(req, "id"), -1, NULL, size, err);
    return r < 0 ? r : http_reply(resp, 200);
}

static int post_resize(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    int64_t h = 0, w = 0;
    int r = http_query_i64(req, "h", &h, err);

    if (r >= 0)
        r = http_query_i64(req, "w", &w, err);
    if (r >= 0 && (h < 0 || h > 65535 || w < 0 || w > 65535))
        r = err_invalid(err, "invalid terminal size");
    if (r >= 0)
        r = exec_resize(api->engine, http_param(req, "id"), (uint32_t)h, (uint32_t)w, err);
    return r < 0 ? r : http_reply(resp, 200);
}

static int get_inspect(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct exec_inspect ret = {0};
    int r = exec_inspect(api->engine, http_param(req, "id"), http_arena(req), &ret, err);

    return r < 0 ? r : http_reply_json(resp, 200, &exec_inspect_type, &ret);
}

static const struct http_route table[] = {
    {"POST", "/containers/{id}/exec", post_create, 0, 0},
    {"POST", "/exec/{id}/start", post_start, 0, 0},
    {"POST", "/exec/{id}/resize", post_resize, 0, 0},
    {"GET", "/exec/{id}/json", get_inspect, 0, 0},
};
ROUTES(exec_routes, table);
