/* A container's files: changes, archive (copying in and out), export, commit. */
#include "api/api-priv.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"

static const char *id_of(const struct http_req *req)
{
    return http_param(req, "id");
}

static int get_changes(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct ctr_changes list = {0};
    int r = ctr_changes(api->engine, id_of(req), http_arena(req), &list, err);

    if (r < 0)
        return r;
    return api_reply_list(req, resp, &filesystem_change_type, (void **)list.v, list.n);
}

static int get_export(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    int r = ctr_export_check(api->engine, id_of(req), err);

    if (r >= 0)
        r = http_resp_start(resp, 200, "application/octet-stream", err);
    if (r >= 0)
        r = ctr_export(api->engine, id_of(req), api_write, resp, err);
    return r < 0 ? r : http_resp_end(resp, err);
}

/* ---- archive ---- */

static int open_copy(struct api *api, struct http_req *req, struct http_resp *resp,
                     struct ctr_copy **ret, struct err *err)
{
    auto_buf struct buf json = BUF_INIT, text = BUF_INIT;
    struct path_stat st;
    int r = ctr_copy_out_open(api->engine, id_of(req), str_or(http_query(req, "path"), ""),
                              http_arena(req), ret, &st, err);

    if (r < 0)
        return r;
    json_encode(&path_stat_type, &st, &json);
    base64_encode(json.data, json.len, false, &text);
    http_resp_header(resp, "X-Docker-Container-Path-Stat", buf_str(&text));
    return 0;
}

static int head_archive(struct api *api, struct http_req *req, struct http_resp *resp,
                        struct err *err)
{
    struct ctr_copy *copy = NULL;
    int r = open_copy(api, req, resp, &copy, err);

    ctr_copy_free(copy);
    return r < 0 ? r : http_reply(resp, 200);
}

static int get_archive(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct ctr_copy *copy = NULL;
    int r = open_copy(api, req, resp, &copy, err);

    if (r >= 0)
        r = http_resp_start(resp, 200, "application/x-tar", err);
    if (r >= 0)
        r = ctr_copy_out(copy, api_write, resp, err);
    ctr_copy_free(copy);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int put_archive(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct copy_in_opts o = {.keep_dirs = http_query_bool(req, "noOverwriteDirNonDir", false),
                             .to_user = http_query_bool(req, "copyUIDGID", false)};
    int r = ctr_copy_in(api->engine, id_of(req), str_or(http_query(req, "path"), ""), &o,
                        api_read_body, req, err);
    return r < 0 ? r : http_reply(resp, 200);
}

/* ---- commit ---- */

static int post_commit(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct container_config body = {0};
    struct id_response ret = {0};
    int given = http_body_json(req, &container_config_type, &body, err);

    if (given < 0)
        return given;
    if (str_empty(http_query(req, "container")))
        return err_invalid(err, "No container was given");
    struct commit_opts o = {.repo = http_query(req, "repo"),
                            .tag = http_query(req, "tag"),
                            .comment = http_query(req, "comment"),
                            .author = http_query(req, "author"),
                            .pause = http_query_bool(req, "pause", true),
                            .changes = http_query_all(req, "changes"),
                            .config = given > 0 ? &body : NULL};
    int r =
        ctr_commit(api->engine, http_query(req, "container"), &o, http_arena(req), &ret.id, err);
    return r < 0 ? r : http_reply_json(resp, 201, &id_response_type, &ret);
}

static const struct http_route table[] = {
    {"GET", "/containers/{id}/changes", get_changes, 0, 0},
    {"GET", "/containers/{id}/export", get_export, 0, 0},
    {"GET", "/containers/{id}/archive", get_archive, 0, 0},
    {"HEAD", "/containers/{id}/archive", head_archive, 0, 0},
    {"PUT", "/containers/{id}/archive", put_archive, 0, 0},
    {"POST", "/commit", post_commit, 0, 0},
};
ROUTES(file_routes, table);
