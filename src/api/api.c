#include "api/api.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "api/api-priv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define HEAD_WAIT_NS (500 * NS_PER_MS)

struct api *api_new(struct engine *e)
{
    struct api *api = xnew(struct api);

    api->engine = e;
    return api;
}

void api_free(struct api *api)
{
    free(api);
}

static void set_headers(const struct api *api, struct http_resp *resp)
{
    http_resp_header(resp, "Api-Version", API_MAX_TEXT);
    http_resp_header(resp, "Docker-Experimental",
                     engine_experimental(api->engine) ? "true" : "false");
    http_resp_header(resp, "Ostype", "linux");
    http_resp_header(resp, "Server", "Cleat/" ENGINE_VERSION " (linux)");
}

static int check_version(struct http_req *req, struct err *err)
{
    unsigned v = http_api_version(req);
    char text[24];

    if (v == 0) {
        http_set_api_version(req, API_MAX);
        return 0;
    }
    (void)snprintf(text, sizeof(text), "%u.%u", v / 1000, v % 1000);
    int r = api_version_check(text, strlen(text), err);
    return r < 0 ? r : 0;
}

int api_dispatch(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    const struct http_routes tables[] = {container_routes, exec_routes,         image_routes,
                                         build_routes,     network_routes,      volume_routes,
                                         system_routes,    distribution_routes, file_routes};

    set_headers(api, resp);
    int r = check_version(req, err);
    if (r < 0)
        return r;
    const struct http_route *route =
        http_route_find(tables, sizeof(tables) / sizeof(tables[0]), req);
    if (!route || http_api_version(req) < route->min_api)
        return err_not_found(err, "page not found");
    r = route->fn(api, req, resp, err);
    if (r < 0)
        log_debug("%s %s: %s", http_method(req), http_path(req), err->msg);
    return r;
}

int api_not_built(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    (void)api;
    (void)resp;
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "%s %s is not built yet", http_method(req),
                  http_path(req));
}

int api_filters(struct http_req *req, struct filters *ret, struct err *err)
{
    const char *text = http_query(req, "filters");

    return filters_parse(text, text ? strlen(text) : 0, http_arena(req), ret, err);
}

int api_reply_list(struct http_req *req, struct http_resp *resp, const struct json_type *type,
                   void *const *v, size_t n)
{
    auto_buf struct buf out = BUF_INIT;
    struct json_w w = {.out = &out};

    (void)req;
    json_w_arr(&w);
    for (size_t i = 0; i < n; i++)
        json_w_type(&w, type, v[i]);
    json_w_end_arr(&w);
    return http_reply_text(resp, 200, &out);
}

int api_seconds(struct http_req *req, const char *key, int64_t *store, int64_t **ret,
                struct err *err)
{
    *ret = NULL;
    if (str_empty(http_query(req, key)))
        return 0;
    int r = http_query_i64(req, key, store, err);
    if (r >= 0)
        *ret = store;
    return r;
}

const char *api_stream_type(const struct http_req *req, bool tty)
{
    return tty || http_api_version(req) < API(1, 42) ? "application/vnd.docker.raw-stream"
                                                     : "application/vnd.docker.multiplexed-stream";
}

void api_let_head_be_read(int fd)
{
    static const struct timespec a_little = {.tv_nsec = 50000};
    int64_t deadline = mono_ns() + HEAD_WAIT_NS;
    int unread = 0;

    while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0 && mono_ns() < deadline)
        (void)ppoll(NULL, 0, &a_little, NULL);
}
