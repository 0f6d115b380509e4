#include "api/api-priv.h"

#include <errno.h>
#include <string.h>

#include "image/import.h"
#include "image/save.h"

static const char *name_of(const struct http_req *req)
{
    return http_param(req, "name");
}

static int read_platform(struct http_req *req, const char *text, struct platform *ret,
                         struct err *err)
{
    struct oci_platform p = {0};
    int r =
        json_decode(&oci_platform_type, text, strlen(text), http_arena(req), &p, JSON_NOCASE, err);

    if (r < 0)
        return err_wrap(err, r, "failed to parse platform");
    if (str_empty(p.os) || str_empty(p.architecture))
        return err_invalid(err, "missing OS or Architecture");
    platform_of(ret, &p);
    return 0;
}

int api_platform(struct http_req *req, unsigned since, struct platform *store,
                 const struct platform **ret, struct err *err)
{
    const char *text = http_query(req, "platform");

    *ret = NULL;
    if (str_empty(text) || http_api_version(req) < since)
        return 0;
    int r = read_platform(req, text, store, err);
    if (r >= 0)
        *ret = store;
    return r;
}

static unsigned list_flags(const struct http_req *req)
{
    bool manifests =
        http_api_version(req) >= API(1, 47) && http_query_bool(req, "manifests", false);

    return (http_query_bool(req, "all", false) ? IMG_ALL : 0) | (manifests ? IMG_MANIFESTS : 0);
}

static int get_list(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct filters f = {0};
    struct img_summaries list = {0};
    int r = api_filters(req, &f, err);

    if (!str_empty(http_query(req, "filter"))) /* before API 1.41 */
        filters_add(&f, http_arena(req), "reference", http_query(req, "filter"));
    if (r >= 0)
        r = img_list(api->engine, list_flags(req), &f, http_arena(req), &list, err);
    for (size_t i = 0; r >= 0 && i < list.n; i++) {
        list.v[i]->virtual_size_b = http_api_version(req) < API(1, 44) ? list.v[i]->size_b : 0;
        if (http_api_version(req) < API(1, 48))
            list.v[i]->descriptor = NULL;
    }
    return r < 0 ? r : api_reply_list(req, resp, &image_summary_type, (void **)list.v, list.n);
}

static int get_inspect(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct image_inspect ret = {0};
    struct platform platform;
    const struct platform *want = NULL;
    bool manifests =
        http_api_version(req) >= API(1, 48) && http_query_bool(req, "manifests", false);
    int r = api_platform(req, API(1, 49), &platform, &want, err);

    if (r >= 0 && manifests && want)
        r = err_invalid(err, "conflicting options: manifests and platform options cannot both be "
                             "set");
    if (r >= 0)
        r = img_inspect(api->engine, name_of(req), want, manifests, http_arena(req), &ret, err);
    if (r < 0)
        return r;
    if (http_api_version(req) < API(1, 48))
        ret.descriptor = NULL;
    if (http_api_version(req) < API(1, 44))
        ret.virtual_size_b = ret.size_b;
    return http_reply_json(resp, 200,
                           http_api_version(req) < API(1, 50) ? &image_inspect_legacy_type
                                                              : &image_inspect_type,
                           &ret);
}

static int get_history(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct img_history list = {0};
    struct platform platform;
    const struct platform *want = NULL;
    int r = api_platform(req, API(1, 48), &platform, &want, err);

    if (r >= 0)
        r = img_history(api->engine, name_of(req), want, http_arena(req), &list, err);
    return r < 0 ? r : api_reply_list(req, resp, &image_history_item_type, (void **)list.v, list.n);
}

static int post_tag(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    int r =
        img_tag(api->engine, name_of(req), http_query(req, "repo"), http_query(req, "tag"), err);

    return r < 0 ? r : http_reply(resp, 201);
}

static int delete_one(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct img_deleted list = {0};
    struct strv platforms = {0};
    bool force = http_query_bool(req, "force", false);
    int r = 0;

    if (http_api_version(req) >= API(1, 50))
        platforms = http_query_all(req, "platforms");
    for (size_t i = 0; r >= 0 && i < platforms.n; i++) {
        struct platform want;
        r = read_platform(req, platforms.v[i], &want, err);
        if (r >= 0)
            r = img_remove_platform(api->engine, name_of(req), &want, force, http_arena(req), &list,
                                    err);
    }
    if (platforms.n == 0)
        r = img_remove(api->engine, name_of(req), force, http_query_bool(req, "noprune", false),
                       http_arena(req), &list, err);
    return r < 0 ? r : api_reply_list(req, resp, &image_delete_item_type, (void **)list.v, list.n);
}

static int post_prune(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct image_prune_response ret = {0};
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = img_prune(api->engine, &f, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &image_prune_response_type, &ret);
}

/* ---- streams ---- */

ssize_t api_read_body(void *req, void *p, size_t n, struct err *err)
{
    return http_body_read(req, p, n, err);
}

int api_write(void *resp, const void *p, size_t n, struct err *err)
{
    return http_resp_write(resp, p, n, err);
}

int api_progress(struct http_resp *resp, const struct progress_message *m, struct err *err)
{
    auto_buf struct buf out = BUF_INIT;

    json_encode(&progress_message_type, m, &out);
    buf_puts(&out, "\r\n");
    if (!http_resp_started(resp)) {
        int r = http_resp_start(resp, 200, "application/json", err);
        if (r < 0)
            return r;
    }
    return http_resp_write(resp, out.data, out.len, err);
}

static int say_stream(void *arg, const char *text, struct err *err)
{
    struct progress_message m = {.stream = (char *)(uintptr_t)text};

    return api_progress(arg, &m, err);
}

/* An error behind the head travels in the stream, as a last message. */
int api_progress_end(struct http_resp *resp, int r, struct err *err)
{
    if (r < 0 && !http_resp_started(resp))
        return r;
    if (r < 0) {
        struct error_detail d = {.message = err->msg};
        struct progress_message m = {.error_detail = &d, .error = err->msg};
        struct err lost = {0};
        if (api_progress(resp, &m, &lost) < 0)
            return r;
    }
    if (!http_resp_started(resp)) {
        int s = http_resp_start(resp, 200, "application/json", err);
        if (s < 0)
            return s;
    }
    return http_resp_end(resp, err);
}

static int post_load(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct platform platform;
    const struct platform *want = NULL;
    int r = api_platform(req, API(1, 48), &platform, &want, err);

    if (r >= 0)
        r = img_load(api->engine, want, api_read_body, req, say_stream, resp, err);
    return api_progress_end(resp, r, err);
}

static int say_status(void *arg, const char *text, struct err *err)
{
    struct progress_message m = {.status = (char *)(uintptr_t)text};

    return api_progress(arg, &m, err);
}

/* POST /images/create: fromSrc=- imports the body, fromSrc=URL what is there; fromImage pulls. */
static int post_create(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    const char *src = http_query(req, "fromSrc"), *message = http_query(req, "message");
    const char *repo = http_query(req, "repo"), *tag = http_query(req, "tag");
    struct strv changes = http_query_all(req, "changes");
    struct import_options o = {.message = str_empty(message) ? NULL : message,
                               .platform = http_query(req, "platform")};
    char *id = NULL;

    if (!str_empty(http_query(req, "fromImage")))
        return api_pull(api, req, resp, err);
    if (str_empty(src))
        return err_invalid(err, "neither fromImage nor fromSrc was given");
    int r = strcmp(src, "-") == 0
                ? img_import(api->engine, api_read_body, req, repo, tag, &changes, &o,
                             http_arena(req), &id, err)
                : img_import_url(api->engine, src, http_client_gone_fd(req), say_status, resp, repo,
                                 tag, &changes, &o, http_arena(req), &id, err);
    if (r >= 0)
        r = say_status(resp, id, err);
    return api_progress_end(resp, r, err);
}

static int save(struct api *api, struct http_req *req, struct http_resp *resp,
                const struct strv *names, struct err *err)
{
    struct platform platform;
    struct save_options o = {.original = http_query_bool(req, "original", false)};
    int r = api_platform(req, API(1, 48), &platform, &o.want, err);

    if (r >= 0)
        r = names->n == 0 ? err_invalid(err, "no image given")
                          : img_save_check(api->engine, names, &o, err);
    if (r >= 0)
        r = http_resp_start(resp, 200, "application/x-tar", err);
    if (r >= 0)
        r = img_save(api->engine, names, &o, api_write, resp, err);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int get_one(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct strv names = {0};

    strv_push(http_arena(req), &names, name_of(req));
    return save(api, req, resp, &names, err);
}

/* names=a&names=b, or names=a,b */
static int get_several(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct strv given = http_query_all(req, "names"), names = {0};

    for (size_t i = 0; i < given.n; i++) {
        struct strv parts = str_split(http_arena(req), given.v[i], ',');
        for (size_t k = 0; k < parts.n; k++)
            strv_push(http_arena(req), &names, parts.v[k]);
    }
    return save(api, req, resp, &names, err);
}

static const struct http_route table[] = {
    {"GET", "/images/json", get_list, 0, 0},
    {"GET", "/images/search", api_search, 0, 0},
    {"GET", "/images/get", get_several, 0, 0},
    {"POST", "/images/load", post_load, 0, 0},
    {"POST", "/images/create", post_create, 0, 0},
    {"POST", "/images/prune", post_prune, API(1, 25), 0},
    {"GET", "/images/{name:.*}/json", get_inspect, 0, 0},
    {"GET", "/images/{name:.*}/history", get_history, 0, 0},
    {"GET", "/images/{name:.*}/get", get_one, 0, 0},
    {"POST", "/images/{name:.*}/tag", post_tag, 0, 0},
    {"POST", "/images/{name:.*}/push", api_push, 0, 0},
    {"DELETE", "/images/{name:.*}", delete_one, 0, 0},
};
ROUTES(image_routes, table);
