/*
 * Registries: pull, push, login, search, inspection. Progress goes to the client as a stream of
 * JSON objects; an error before the first of them is a status, one behind it the last of them.
 */
#include "api/api-priv.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "image/transfers.h"

#define AUTH_MAX 65536
#define BAR 50

/* ---- credentials ---- */

/* base64url of JSON. What makes no sense is as good as nothing, as with Docker: the registry
 * decides whether that is enough. */
static const struct auth_config *auth_of(struct http_req *req)
{
    const char *text = http_header(req, "X-Registry-Auth");
    struct auth_config *auth = arena_new(http_arena(req), struct auth_config);
    auto_buf struct buf json = BUF_INIT;

    if (str_empty(text) || strlen(text) > AUTH_MAX ||
        base64_decode(text, strlen(text), &json) < 0 ||
        json_decode(&auth_config_type, buf_str(&json), json.len, http_arena(req), auth, JSON_NOCASE,
                    NULL) < 0)
        *auth = (struct auth_config){0};
    return auth;
}

/* ---- progress ---- */

static void put_size(struct buf *out, uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)n;
    size_t i = 0;

    for (; v >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        v /= 1000;
    buf_printf(out, "%.4g%s", v, units[i]);
}

/* The bar as docker draws it, for clients that cannot. */
static void put_bar(struct buf *out, uint64_t current, uint64_t total)
{
    auto_buf struct buf now = BUF_INIT;
    size_t done = total ? (size_t)((double)current / (double)total * BAR) : 0;

    done = done > BAR ? BAR : done;
    if (total > 0 && current <= total) {
        buf_putc(out, '[');
        for (size_t i = 0; i < BAR + 1; i++)
            if (i != BAR || done == BAR)
                buf_putc(out, i < done ? '=' : i == done ? '>' : ' ');
        buf_puts(out, "]  ");
    }
    put_size(&now, current);
    buf_printf(out, "%8s", buf_str(&now));
    if (total > 0 && current <= total) {
        buf_putc(out, '/');
        put_size(out, total);
    }
}

static void put_aux(struct buf *out, const struct transfer_event *e)
{
    struct json_w w = {.out = out};

    json_w_obj(&w);
    json_w_key(&w, "Tag");
    json_w_str(&w, e->aux_tag);
    json_w_key(&w, "Digest");
    json_w_str(&w, e->digest);
    json_w_key(&w, "Size");
    json_w_u64(&w, e->total_b);
    json_w_end_obj(&w);
}

/* Docker's words for a push of less than the name means. */
static void put_instead(struct buf *out, const struct transfer_event *e)
{
    struct json_w w = {.out = out};

    json_w_obj(&w);
    json_w_key(&w, "manifestPushedInsteadOfIndex");
    json_w_bool(&w, true);
    json_w_key(&w, "originalIndex");
    json_w_type(&w, &oci_descriptor_type, e->whole);
    json_w_key(&w, "selectedManifest");
    json_w_type(&w, &oci_descriptor_type, e->instead);
    json_w_end_obj(&w);
}

int api_tell_transfer(void *arg, const struct transfer_event *e, struct err *err)
{
    auto_buf struct buf bar = BUF_INIT, aux = BUF_INIT;
    struct progress_detail d = {0};
    struct progress_message m = {.id = (char *)(uintptr_t)e->id,
                                 .status = (char *)(uintptr_t)e->status};

    if (e->detail || e->aux_tag)
        m.progress_detail = &d;
    if (e->aux_tag || e->instead) {
        if (e->instead)
            put_instead(&aux, e);
        else
            put_aux(&aux, e);
        m.aux = (struct json_raw){aux.data, aux.len};
    } else if (e->current_b > 0) {
        d = (struct progress_detail){.current = (int64_t)e->current_b,
                                     .total = (int64_t)e->total_b};
        put_bar(&bar, e->current_b, e->total_b);
        m.progress = bar.data;
    }
    return api_progress(arg, &m, err);
}

int api_pull(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    int r = img_pull(api->engine, http_query(req, "fromImage"), http_query(req, "tag"),
                     http_query(req, "platform"), auth_of(req), http_client_gone_fd(req),
                     api_tell_transfer, resp, err);

    return api_progress_end(resp, r, err);
}

int api_push(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct platform platform;
    const struct platform *want = NULL;
    int r = api_platform(req, API(1, 46), &platform, &want, err);

    if (r >= 0)
        r = img_push(api->engine, http_param(req, "name"), http_query(req, "tag"), want,
                     http_query_bool(req, "bydigest", false), auth_of(req),
                     http_client_gone_fd(req), api_tell_transfer, resp, err);

    return api_progress_end(resp, r, err);
}

/* ---- login, search, inspection ---- */

static int post_auth(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct auth_config auth = {0};
    struct auth_response out = {0};
    int r = http_body_json(req, &auth_config_type, &auth, err);

    if (r >= 0)
        r = registry_login(api->engine, &auth, http_client_gone_fd(req), http_arena(req), &out,
                           err);
    return r < 0 ? r : http_reply_json(resp, 200, &auth_response_type, &out);
}

int api_search(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct filters f = {0};
    struct search_results list = {0};
    int64_t limit = 0;
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = http_query_i64(req, "limit", &limit, err);
    if (r >= 0)
        r = registry_search(api->engine, str_or(http_query(req, "term"), ""), limit, &f,
                            auth_of(req), http_client_gone_fd(req), http_arena(req), &list, err);
    return r < 0 ? r : api_reply_list(req, resp, &search_result_type, (void **)list.v, list.n);
}

static int get_distribution(struct api *api, struct http_req *req, struct http_resp *resp,
                            struct err *err)
{
    struct distribution_inspect out = {0};
    int r = registry_inspect(api->engine, http_param(req, "name"), auth_of(req),
                             http_client_gone_fd(req), http_arena(req), &out, err);

    return r < 0 ? r : http_reply_json(resp, 200, &distribution_inspect_type, &out);
}

static const struct http_route table[] = {
    {"POST", "/auth", post_auth, 0, 0},
    {"GET", "/distribution/{name:.*}/json", get_distribution, API(1, 30), 0},
};
ROUTES(distribution_routes, table);
