/*
 * Cleat's own part of POST /build: a client lists its directory and is told what to send; it hands
 * over secrets, and connections to its agents.
 */
#include "api/api-priv.h"

#include <string.h>

#include "base/auto.h"
#include "engine/build.h"
#include "wire/build.h"
#include "wire/system.h"

#define LIST_MAX (64u << 20)

int api_build_context(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    auto_arena struct arena mem = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct build_context_request rq = {0};
    struct build_context_response out = {0};
    int r = http_body_all(req, LIST_MAX, &text, err);

    if (r >= 0)
        r = json_decode(&build_context_request_type, buf_str(&text), text.len, &mem, &rq, 0, err);
    if (r >= 0)
        r = engine_build_context(api->engine, http_query(req, "session"), http_query(req, "name"),
                                 &rq, http_arena(req), &out, err);
    return r < 0 ? r : http_reply_json(resp, 201, &build_context_response_type, &out);
}

int api_build_context_files(struct api *api, struct http_req *req, struct http_resp *resp,
                            struct err *err)
{
    int r = engine_build_context_files(api->engine, http_param(req, "id"), http_query(req, "name"),
                                       api_read_body, req, err);

    return r < 0 ? r : http_reply(resp, 204);
}

int api_build_layout_image(struct api *api, struct http_req *req, struct http_resp *resp,
                           struct err *err)
{
    int r = engine_build_layout_image(api->engine, http_param(req, "id"), http_query(req, "name"),
                                      http_query(req, "platform"), api_read_body, req, err);

    return r < 0 ? r : http_reply(resp, 204);
}

/* Base64 of all secrets, and what is around it. */
#define SESSION_MAX (BUILD_SECRETS_MAX * (BUILD_SECRET_MAX / 3 * 4 + 1024) + 65536)

/* The text is wiped: it has the secrets. */
int api_build_session(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct build_session_request rq = {0};
    struct id_response out = {0};
    char id[BUILD_SESSION_ID + 1];
    int r = http_body_all(req, SESSION_MAX, &text, err);

    if (r >= 0)
        r = json_decode(&build_session_request_type, buf_str(&text), text.len, &a, &rq, 0, err);
    if (r >= 0)
        r = engine_build_session(api->engine, &rq, id, err);
    for (size_t i = 0; i < rq.secrets.n; i++)
        if (rq.secrets.v[i]->data)
            explicit_bzero(rq.secrets.v[i]->data, strlen(rq.secrets.v[i]->data));
    if (text.data)
        explicit_bzero(text.data, text.len);
    out.id = id;
    return r < 0 ? r : http_reply_json(resp, 201, &id_response_type, &out);
}

/* Hijacked: what the daemon asks goes out, the client's answers come in. */
static int take_connection(struct api *api, struct http_req *req, struct http_resp *resp,
                           int (*let_in)(struct engine *e, const char *session, const char *id,
                                         struct err *err),
                           int (*give)(struct engine *e, const char *session, const char *id,
                                       int fd, struct err *err),
                           struct err *err)
{
    const char *session = http_param(req, "id"), *id = str_or(http_query(req, "id"), "default");
    struct http_hijacked h = {.fd = -1};
    int r = let_in(api->engine, session, id, err);

    if (r < 0)
        return r;
    r = http_hijack(resp, "application/vnd.docker.raw-stream", &h, err);
    if (r >= 0 && h.early.len)
        r = err_invalid(err, "a client speaks when it is asked");
    int given = give(api->engine, session, id, r < 0 ? -1 : take_fd(&h.fd), r < 0 ? NULL : err);
    http_hijacked_done(&h);
    return r < 0 ? r : given < 0 ? given : 0;
}

int api_build_ssh(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    return take_connection(api, req, resp, engine_build_agent_let_in, engine_build_agent, err);
}

int api_build_layout(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    return take_connection(api, req, resp, engine_build_layout_let_in, engine_build_layout, err);
}
