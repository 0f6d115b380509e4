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
static int take_line(struct api *api, struct http_req *req, struct http_resp *resp,
                     enum build_line kind, struct err *err)
{
    const char *session = http_param(req, "id"), *id = str_or(http_query(req, "id"), "default");
    struct http_hijacked h = {.fd = -1};
    struct build_session *s = NULL;
    struct err lost = {0};
    int r = engine_build_line_begin(api->engine, session, kind, id, &s, err);

    if (r < 0)
        return r;
    r = http_hijack(resp, "application/vnd.docker.raw-stream", &h, err);
    if (r >= 0 && h.early.len)
        r = err_invalid(err, "a client speaks when it is asked");
    int done = engine_build_line_end(s, kind, id, r < 0 ? -1 : take_fd(&h.fd), &lost);
    if (r >= 0 && done < 0) {
        *err = lost;
        r = done;
    }
    http_hijacked_done(&h);
    return r < 0 ? r : 0;
}

int api_build_ssh(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    return take_line(api, req, resp, BUILD_LINE_AGENT, err);
}

int api_build_layout(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    return take_line(api, req, resp, BUILD_LINE_LAYOUT, err);
}
