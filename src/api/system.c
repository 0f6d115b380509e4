#include "api/api-priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/time.h"

static int ping(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    (void)api;
    (void)req;
    (void)err;
    http_resp_header(resp, "Builder-Version", "1");
    http_resp_header(resp, "Swarm", "inactive");
    http_resp_header(resp, "Cache-Control", "no-cache, no-store, must-revalidate");
    http_resp_header(resp, "Pragma", "no-cache");
    return http_reply_data(resp, 200, "text/plain; charset=utf-8", "OK", 2);
}

static int get_info(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct system_info info;

    (void)err;
    engine_info(api->engine, http_arena(req), &info);
    return http_reply_json(resp, 200, &system_info_type, &info);
}

static int get_version(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct system_version v;

    (void)err;
    engine_version(api->engine, http_arena(req), &v);
    return http_reply_json(resp, 200, &system_version_type, &v);
}

static int get_df(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct disk_usage du = {0};
    int r = engine_disk_usage(api->engine, http_arena(req), &du, err);

    return r < 0 ? r : http_reply_json(resp, 200, &disk_usage_type, &du);
}

/* ---- events ---- */

struct follow {
    struct filters filters;
    int64_t since_ns, until_ns;
    struct events_sub *sub;
};

static int parse_events(struct http_req *req, struct follow *f, struct err *err)
{
    static const char *const accepted[] = {"config", "container", "daemon", "event",  "image",
                                           "label",  "network",   "node",   "plugin", "scope",
                                           "secret", "service",   "type",   "volume", NULL};
    const char *since = http_query(req, "since"), *until = http_query(req, "until");
    int r = api_filters(req, &f->filters, err);

    if (r >= 0)
        r = filters_check(&f->filters, accepted, err);
    if (r >= 0 && !str_empty(since))
        r = time_parse_user(since, now_ns(), &f->since_ns, err);
    if (r >= 0 && !str_empty(until))
        r = time_parse_user(until, now_ns(), &f->until_ns, err);
    if (r >= 0 && f->since_ns && f->until_ns && f->since_ns > f->until_ns)
        r = err_invalid(err, "`since` time (%s) cannot be after `until` time (%s)", since, until);
    return r;
}

/* Milliseconds until "until" is over; -1 without one. */
static int time_left(const struct follow *f)
{
    if (!f->until_ns)
        return -1;
    int64_t left = (f->until_ns - now_ns() + NS_PER_MS - 1) / NS_PER_MS;
    return left <= 0 ? 0 : left > 86400000 ? 86400000 : (int)left;
}

static int stream_events(struct http_req *req, struct http_resp *resp, struct follow *f,
                         struct err *err)
{
    auto_buf struct buf out = BUF_INIT;
    int r = 0, left = 0;

    while (r >= 0) {
        events_read(f->sub, &f->filters, f->until_ns, &out);
        if (out.len)
            r = http_resp_write(resp, out.data, out.len, err);
        buf_clear(&out);
        left = time_left(f);
        if (r < 0 || left == 0)
            break;
        struct pollfd p[2] = {{.fd = events_fd(f->sub), .events = POLLIN},
                              {.fd = http_client_gone_fd(req), .events = HTTP_GONE_EVENTS}};
        if (poll(p, 2, left) < 0 && errno != EINTR)
            return err_sys(err, "wait for events");
        if (p[1].revents)
            break;
    }
    return r;
}

static int get_events(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct follow f = {0};
    int r = parse_events(req, &f, err);

    if (r < 0)
        return r;
    int64_t since = f.since_ns ? f.since_ns : f.until_ns && f.until_ns <= now_ns() ? 1 : 0;
    f.sub = events_subscribe(engine_events(api->engine), since, err);
    if (!f.sub)
        return err_code(err);
    r = http_resp_start(resp, 200, "application/json", err);
    if (r >= 0)
        r = stream_events(req, resp, &f, err);
    events_unsubscribe(f.sub);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int not_a_manager(struct api *api, struct http_req *req, struct http_resp *resp,
                         struct err *err)
{
    (void)api;
    (void)req;
    (void)resp;
    return err_as(err, ERR_UNAVAILABLE, ENOTSUP,
                  "This node is not a swarm manager. Cleat has no swarm mode.");
}

/* None can be installed, so the list is empty; "system prune" and the like ask for it. */
static int get_plugins(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    (void)api;
    return r < 0 ? r : api_reply_list(req, resp, &id_response_type, NULL, 0);
}

static const struct http_route table[] = {
    {"GET", "/_ping", ping, 0, 0},
    {"HEAD", "/_ping", ping, 0, 0},
    {"GET", "/info", get_info, 0, 0},
    {"GET", "/version", get_version, 0, 0},
    {"GET", "/events", get_events, 0, 0},
    {"GET", "/system/df", get_df, API(1, 25), 0},
    {"POST", "/session", api_not_built, 0, 0},
    {"POST", "/grpc", api_not_built, 0, 0},
    {"GET", "/plugins", get_plugins, API(1, 25), 0},
    {"GET", "/swarm", not_a_manager, 0, 0},
    {"POST", "/swarm/init", not_a_manager, 0, 0},
    {"POST", "/swarm/join", not_a_manager, 0, 0},
    {"POST", "/swarm/leave", not_a_manager, 0, 0},
    {"POST", "/swarm/update", not_a_manager, 0, 0},
    {"GET", "/swarm/unlockkey", not_a_manager, 0, 0},
    {"POST", "/swarm/unlock", not_a_manager, 0, 0},
    {"GET", "/nodes", not_a_manager, 0, 0},
    {"GET", "/services", not_a_manager, 0, 0},
    {"GET", "/tasks", not_a_manager, 0, 0},
    {"GET", "/secrets", not_a_manager, 0, 0},
    {"GET", "/configs", not_a_manager, 0, 0},
};
ROUTES(system_routes, table);
