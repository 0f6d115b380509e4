#include "api/api-priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/frame.h"
#include "base/time.h"
#include "distribution/platform.h"

#define STATS_EVERY_MS 1000

static const char *id_of(const struct http_req *req)
{
    return http_param(req, "id");
}

static int done(struct http_resp *resp, int r, int changed, int unchanged)
{
    return r < 0 ? r : http_reply(resp, r > 0 ? unchanged : changed);
}

static int get_list(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct ctr_list_opts o = {.all = http_query_bool(req, "all", false),
                              .size = http_query_bool(req, "size", false)};
    struct ctr_summaries list = {0};
    int r = http_query_i64(req, "limit", &o.limit, err);

    if (r >= 0)
        r = api_filters(req, &o.filters, err);
    /* Before there were filters, "before" and "since" were parameters of their own. */
    static const char *const old[] = {"before", "since"};
    for (int i = 0; i < 2; i++)
        if (!str_empty(http_query(req, old[i])))
            filters_add(&o.filters, http_arena(req), old[i], http_query(req, old[i]));
    if (r >= 0)
        r = ctr_list(api->engine, &o, http_arena(req), &list, err);
    return r < 0 ? r : api_reply_list(req, resp, &container_summary_type, (void **)list.v, list.n);
}

static int post_create(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct container_create_request body = {0};
    struct container_create_response ret = {0};
    const char *platform = http_query(req, "platform");
    struct platform want;
    int r = http_body_json(req, &container_create_request_type, &body, err);

    if (r == 0)
        r = err_invalid(err, "invalid JSON: got EOF while reading request body");
    if (http_api_version(req) < API(1, 41) || str_empty(platform))
        platform = NULL;
    if (r >= 0 && platform)
        r = platform_parse(platform, &want, err);
    if (r >= 0)
        r = ctr_create(api->engine, http_query(req, "name"), platform ? &want : NULL, &body,
                       http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 201, &container_create_response_type, &ret);
}

static int get_inspect(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct container_inspect ret = {0};
    int r = ctr_inspect(api->engine, id_of(req), http_query_bool(req, "size", false),
                        http_arena(req), &ret, err);

    return r < 0 ? r : http_reply_json(resp, 200, &container_inspect_type, &ret);
}

/* POST /containers/{id}/start -> 204, or 304 when it already runs. */
static int post_start(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    return done(resp, ctr_start(api->engine, id_of(req), err), 204, 304);
}

static int post_stop(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    int64_t t, *timeout;
    int r = api_seconds(req, "t", &t, &timeout, err);

    if (r >= 0)
        r = ctr_stop(api->engine, id_of(req), http_query(req, "signal"), timeout, err);
    return done(resp, r, 204, 304);
}

static int post_restart(struct api *api, struct http_req *req, struct http_resp *resp,
                        struct err *err)
{
    int64_t t, *timeout;
    int r = api_seconds(req, "t", &t, &timeout, err);

    if (r >= 0)
        r = ctr_restart(api->engine, id_of(req), http_query(req, "signal"), timeout, err);
    return done(resp, r, 204, 204);
}

static int post_kill(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    return done(resp, ctr_kill(api->engine, id_of(req), http_query(req, "signal"), err), 204, 204);
}

static int post_pause(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    return done(resp, ctr_pause(api->engine, id_of(req), err), 204, 204);
}

static int post_unpause(struct api *api, struct http_req *req, struct http_resp *resp,
                        struct err *err)
{
    return done(resp, ctr_unpause(api->engine, id_of(req), err), 204, 204);
}

static int post_rename(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    return done(resp, ctr_rename(api->engine, id_of(req), http_query(req, "name"), err), 204, 204);
}

static int delete_one(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    if (http_query_bool(req, "link", false))
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "links are not built yet");
    return done(resp,
                ctr_remove(api->engine, id_of(req), http_query_bool(req, "force", false),
                           http_query_bool(req, "v", false), err),
                204, 204);
}

static int read_size(struct http_req *req, uint32_t *rows, uint32_t *cols, struct err *err)
{
    int64_t h = 0, w = 0;
    int r = http_query_i64(req, "h", &h, err);

    if (r >= 0)
        r = http_query_i64(req, "w", &w, err);
    if (r >= 0 && (h < 0 || h > 65535 || w < 0 || w > 65535))
        r = err_invalid(err, "invalid terminal size %lldx%lld", (long long)w, (long long)h);
    *rows = (uint32_t)h;
    *cols = (uint32_t)w;
    return r;
}

static int post_resize(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    uint32_t rows, cols;
    int r = read_size(req, &rows, &cols, err);

    if (r >= 0)
        r = ctr_resize(api->engine, id_of(req), rows, cols, err);
    return done(resp, r, 200, 200);
}

static int post_update(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct container_update_request body = {0};
    struct container_update_response ret = {0};
    int r = http_body_json(req, &container_update_request_type, &body, err);

    if (r >= 0)
        r = ctr_update(api->engine, id_of(req), &body, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &container_update_response_type, &ret);
}

static int get_top(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct container_top_response ret = {0};
    int r =
        ctr_top(api->engine, id_of(req), http_query(req, "ps_args"), http_arena(req), &ret, err);

    return r < 0 ? r : http_reply_json(resp, 200, &container_top_response_type, &ret);
}

/* ---- streams ---- */

static int parse_condition(const struct http_req *req, enum ctr_wait_for *ret, struct err *err)
{
    static const char *const names[] = {"not-running", "next-exit", "removed"};
    const char *want = str_or(http_query(req, "condition"), names[0]);

    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], want) == 0) {
            *ret = http_api_version(req) < API(1, 30) ? WAIT_NOT_RUNNING : (enum ctr_wait_for)i;
            return 0;
        }
    return err_invalid(err, "invalid condition: \"%s\"", want);
}

/* The head goes out when the wait has begun: a client that has it misses no exit. */
static int post_wait(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct container_wait_response ret = {0};
    auto_buf struct buf out = BUF_INIT;
    enum ctr_wait_for what = WAIT_NOT_RUNNING;
    struct ctr_wait *w = NULL;

    int r = parse_condition(req, &what, err);
    if (r >= 0)
        r = ctr_wait_begin(api->engine, id_of(req), what, &w, err);
    if (r < 0)
        return r;
    r = http_resp_start(resp, 200, "application/json", err);
    int e = ctr_wait_end(w, r < 0 ? -1 : http_client_gone_fd(req), http_arena(req), &ret, err);
    if (r < 0 || e < 0)
        return r < 0 ? r : e;
    json_encode(&container_wait_response_type, &ret, &out);
    buf_putc(&out, '\n');
    r = http_resp_write(resp, out.data, out.len, err);
    return r < 0 ? r : http_resp_end(resp, err);
}

struct log_out {
    struct http_resp *resp;
    bool mux;
};

static int write_log(void *arg, int stream, const char *p, size_t n, struct err *err)
{
    const struct log_out *o = arg;
    auto_buf struct buf out = BUF_INIT;
    uint8_t head[FRAME_HEADER];

    if (o->mux) {
        frame_put(head, (enum frame_stream)stream, (uint32_t)n);
        buf_put(&out, head, sizeof(head));
    }
    buf_put(&out, p, n);
    return http_resp_write(o->resp, out.data, out.len, err);
}

static int log_time(struct http_req *req, const char *key, int64_t *ret, struct err *err)
{
    const char *text = http_query(req, key);

    return str_empty(text) || strcmp(text, "0") == 0 ? 0
                                                     : time_parse_user(text, now_ns(), ret, err);
}

static int log_options(struct http_req *req, struct logs_opts *o, struct err *err)
{
    const char *tail = str_or(http_query(req, "tail"), "all");

    *o = (struct logs_opts){.follow = http_query_bool(req, "follow", false),
                            .out = http_query_bool(req, "stdout", false),
                            .err = http_query_bool(req, "stderr", false),
                            .timestamps = http_query_bool(req, "timestamps", false),
                            .details = http_query_bool(req, "details", false),
                            .tail = -1};
    if (!o->out && !o->err)
        return err_invalid(err, "Bad parameters: you must choose at least one stream");
    /* Anything that is no number means "all", as Docker has it. */
    if (str_to_i64(tail, &o->tail) < 0)
        o->tail = -1;
    int r = log_time(req, "since", &o->since_ns, err);
    return r < 0 ? r : log_time(req, "until", &o->until_ns, err);
}

static int get_logs(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    struct logs_opts o;
    int r = log_options(req, &o, err);
    int tty = r < 0 ? r : ctr_logs_check(api->engine, id_of(req), err);

    if (tty < 0)
        return tty;
    struct log_out out = {resp, !tty};
    r = http_resp_start(resp, 200, api_stream_type(req, tty), err);
    if (r >= 0)
        r = ctr_logs(api->engine, id_of(req), &o, http_client_gone_fd(req), write_log, &out, err);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int post_attach(struct api *api, struct http_req *req, struct http_resp *resp,
                       struct err *err)
{
    struct attach_opts o = {.in = http_query_bool(req, "stdin", false),
                            .out = http_query_bool(req, "stdout", false),
                            .err = http_query_bool(req, "stderr", false),
                            .stream = http_query_bool(req, "stream", false),
                            .logs = http_query_bool(req, "logs", false),
                            .mux_ok = true,
                            .keys = http_query(req, "detachKeys")};
    struct http_hijacked h = {.fd = -1};
    bool tty;

    if (!o.stream && !o.logs)
        o.stream = true;
    int r = ctr_attach_check(api->engine, id_of(req), &o, &tty, err);
    if (r < 0)
        return r;
    r = http_hijack(resp, api_stream_type(req, tty), &h, err);
    if (r >= 0) {
        api_let_head_be_read(h.fd);
        r = ctr_attach(api->engine, id_of(req), &o, h.fd, &h.early, err);
        h.fd = -1; /* the engine has it */
        http_hijacked_done(&h);
    }
    ctr_attach_over(api->engine, id_of(req));
    return r < 0 ? r : 0;
}

/* The reading before goes into "precpu", so that a client can take the difference. */
static int send_stats(struct http_resp *resp, const struct container_stats *now, struct err *err)
{
    auto_buf struct buf out = BUF_INIT;

    json_encode(&container_stats_type, now, &out);
    buf_putc(&out, '\n');
    return http_resp_write(resp, out.data, out.len, err);
}

static int wait_a_second(const struct http_req *req)
{
    struct pollfd p = {.fd = http_client_gone_fd(req), .events = HTTP_GONE_EVENTS};

    return poll(&p, 1, STATS_EVERY_MS) > 0 ? -ECANCELED : 0;
}

static int get_stats(struct api *api, struct http_req *req, struct http_resp *resp, struct err *err)
{
    bool stream = http_query_bool(req, "stream", true);
    bool one_shot = http_query_bool(req, "one-shot", false);
    struct arena mem[2] = {ARENA_INIT, ARENA_INIT};
    struct container_stats st[2] = {0};

    if (stream && one_shot)
        return err_invalid(err, "cannot have stream=true and one-shot=true");
    int r = ctr_stats(api->engine, id_of(req), &mem[0], &st[0], err);
    if (r >= 0)
        r = http_resp_start(resp, 200, "application/json", err);
    if (r >= 0 && (one_shot || stream))
        r = send_stats(resp, &st[0], err);
    for (int i = 1; r >= 0 && !one_shot; i ^= 1) {
        if (wait_a_second(req) < 0)
            break;
        arena_done(&mem[i]);
        r = ctr_stats(api->engine, id_of(req), &mem[i], &st[i], err);
        if (r < 0)
            break;
        st[i].preread = st[i ^ 1].read;
        st[i].precpu = st[i ^ 1].cpu;
        r = send_stats(resp, &st[i], err);
        if (!stream)
            break;
    }
    arena_done(&mem[0]);
    arena_done(&mem[1]);
    return r < 0 ? r : http_resp_end(resp, err);
}

static int post_prune(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct container_prune_response ret = {0};
    struct filters f = {0};
    int r = api_filters(req, &f, err);

    if (r >= 0)
        r = ctr_prune(api->engine, &f, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &container_prune_response_type, &ret);
}

static const struct http_route table[] = {
    {"GET", "/containers/json", get_list, 0, 0},
    {"POST", "/containers/create", post_create, 0, 0},
    {"POST", "/containers/prune", post_prune, API(1, 25), 0},
    {"GET", "/containers/{id}/json", get_inspect, 0, 0},
    {"GET", "/containers/{id}/top", get_top, 0, 0},
    {"GET", "/containers/{id}/logs", get_logs, 0, 0},
    {"GET", "/containers/{id}/stats", get_stats, 0, 0},
    {"GET", "/containers/{id}/attach/ws", api_not_built, 0, 0},
    {"POST", "/containers/{id}/start", post_start, 0, 0},
    {"POST", "/containers/{id}/stop", post_stop, 0, 0},
    {"POST", "/containers/{id}/restart", post_restart, 0, 0},
    {"POST", "/containers/{id}/kill", post_kill, 0, 0},
    {"POST", "/containers/{id}/pause", post_pause, 0, 0},
    {"POST", "/containers/{id}/unpause", post_unpause, 0, 0},
    {"POST", "/containers/{id}/rename", post_rename, 0, 0},
    {"POST", "/containers/{id}/resize", post_resize, 0, 0},
    {"POST", "/containers/{id}/update", post_update, 0, 0},
    {"POST", "/containers/{id}/wait", post_wait, 0, 0},
    {"POST", "/containers/{id}/attach", post_attach, 0, 0},
    {"DELETE", "/containers/{id}", delete_one, 0, 0},
};
ROUTES(container_routes, table);
