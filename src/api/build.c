/*
 * POST /build: the parameters of the classic builder, and "progress=status" for clients that draw
 * the steps. The body is the context.
 */
#include "api/build-priv.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "wire/build_export.h"
#include "wire/system.h"

#define CONFIG_MAX (1u << 20)

/* ---- parameters that are JSON ---- */

static int parse(struct http_req *req, const char *key, struct json **ret, struct err *err)
{
    const char *text = http_query(req, key);

    *ret = NULL;
    if (str_empty(text))
        return 0;
    int r = json_parse(text, strlen(text), http_arena(req), ret, err);
    return r < 0 ? err_wrap(err, r, "error reading %s", key) : 0;
}

/* {"A": "b", "C": null}: null is a variable that the client does not have either. */
int api_query_map(struct http_req *req, const char *key, struct strmap *ret, struct err *err)
{
    struct json *j = NULL;
    int r = parse(req, key, &j, err);

    if (r < 0 || !j)
        return r;
    if (j->kind != JSON_OBJECT)
        return err_invalid(err, "error reading %s: it is no object", key);
    for (const struct json *m = j->child; m; m = m->next) {
        if (m->kind == JSON_NULL)
            continue;
        if (m->kind != JSON_STRING)
            return err_invalid(err, "error reading %s: the value of %s is no string", key, m->key);
        strmap_set(http_arena(req), ret, m->key, m->text);
    }
    return 0;
}

static int get_list(struct http_req *req, const char *key, struct strv *ret, struct err *err)
{
    struct json *j = NULL;
    int r = parse(req, key, &j, err);

    if (r < 0 || !j || j->kind == JSON_NULL)
        return r;
    if (j->kind != JSON_ARRAY)
        return err_invalid(err, "error reading %s: it is no list", key);
    for (const struct json *m = j->child; m; m = m->next) {
        if (m->kind != JSON_STRING)
            return err_invalid(err, "error reading %s: it has more than strings", key);
        strv_push(http_arena(req), ret, m->text);
    }
    return 0;
}

/* Lists of caches outside. */
static int get_caches(struct http_req *req, const char *key, struct build_cache_specs *ret,
                      struct err *err)
{
    struct json *j = NULL;
    int r = parse(req, key, &j, err);

    if (r < 0 || !j || j->kind == JSON_NULL)
        return r;
    if (j->kind != JSON_ARRAY)
        return err_invalid(err, "error reading %s: it is no list", key);
    for (const struct json *m = j->child; r >= 0 && m; m = m->next) {
        struct build_cache_spec *c = arena_new(http_arena(req), struct build_cache_spec);
        r = json_decode(&build_cache_spec_type, m->raw, m->raw_len, http_arena(req), c, 0, err);
        arena_push(http_arena(req), *ret) = c;
    }
    return r < 0 ? err_wrap(err, r, "error reading %s", key) : 0;
}

static int get_ulimits(struct http_req *req, struct host_config *h, struct err *err)
{
    struct json *j = NULL;
    int r = parse(req, "ulimits", &j, err);

    if (r < 0 || !j || j->kind == JSON_NULL)
        return r;
    if (j->kind != JSON_ARRAY)
        return err_invalid(err, "error reading ulimit settings: it is no list");
    for (const struct json *m = j->child; r >= 0 && m; m = m->next) {
        struct ulimit *u = arena_new(http_arena(req), struct ulimit);
        r = json_decode(&ulimit_type, m->raw, m->raw_len, http_arena(req), u, JSON_NOCASE, err);
        arena_push(http_arena(req), h->res.ulimits) = u;
    }
    return r < 0 ? err_wrap(err, r, "error reading ulimit settings") : 0;
}

/* X-Registry-Config: {"registry": {"username": ...}} in base64url. As with the header of a pull,
 * what makes no sense is as good as nothing. */
static void get_auths(struct http_req *req, struct build_auths *ret)
{
    const char *text = http_header(req, "X-Registry-Config");
    auto_buf struct buf json = BUF_INIT;
    struct arena *a = http_arena(req);
    struct json *j = NULL;

    if (str_empty(text) || strlen(text) > CONFIG_MAX ||
        base64_decode(text, strlen(text), &json) < 0)
        return;
    char *copy = arena_strndup(a, buf_str(&json), json.len);
    if (json_parse(copy, json.len, a, &j, NULL) < 0 || j->kind != JSON_OBJECT)
        return;
    for (const struct json *m = j->child; m; m = m->next) {
        struct auth_config *auth = arena_new(a, struct auth_config);
        if (json_decode(&auth_config_type, m->raw, m->raw_len, a, auth, JSON_NOCASE, NULL) < 0)
            continue;
        const char *name = str_starts(m->key, "https://");
        name = name ? name : m->key;
        auth->server_address =
            arena_strdup(a, strcmp(name, "index.docker.io/v1/") == 0 ? "docker.io" : name);
        arena_push(a, *ret) = auth;
    }
}

/* ---- limits ---- */

static int get_numbers(struct http_req *req, struct host_config *h, struct err *err)
{
    const struct {
        const char *key;
        int64_t *to;
    } all[] = {
        {"memory", &h->res.memory_b},       {"memswap", &h->res.memory_swap_b},
        {"cpushares", &h->res.cpu_shares},  {"cpuperiod", &h->res.cpu_period_us},
        {"cpuquota", &h->res.cpu_quota_us}, {"shmsize", &h->shm_size_b},
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(all) / sizeof(all[0]); i++)
        r = http_query_i64(req, all[i].key, all[i].to, err);
    return r;
}

static char *text_of(struct http_req *req, const char *key)
{
    const char *text = http_query(req, key);

    return text ? arena_strdup(http_arena(req), text) : NULL;
}

/* Repeated, or several in one, as clients like. */
static void get_words(struct http_req *req, const char *key, struct strv *ret)
{
    struct strv all = http_query_all(req, key);

    for (size_t i = 0; i < all.n; i++) {
        struct strv some = str_split(http_arena(req), all.v[i], ',');
        for (size_t k = 0; k < some.n; k++)
            if (*some.v[k])
                strv_push(http_arena(req), ret, some.v[k]);
    }
}

/* What is a list of paths for containers is an option here, as the command line has it. */
static void get_security(struct http_req *req, struct host_config *h)
{
    struct strv all = http_query_all(req, "securityopt");

    for (size_t i = 0; i < all.n; i++) {
        if (strcmp(all.v[i], "systempaths=unconfined") != 0) {
            strv_push(http_arena(req), &h->security_opt, all.v[i]);
            continue;
        }
        h->masked_paths.v = h->readonly_paths.v = arena_alloc(http_arena(req), sizeof(char *));
        h->masked_paths.n = h->readonly_paths.n = 0;
    }
}

static int get_host(struct http_req *req, struct host_config *h, struct err *err)
{
    int r = get_numbers(req, h, err);

    if (r >= 0)
        r = get_ulimits(req, h, err);
    h->res.cpuset_cpus = text_of(req, "cpusetcpus");
    h->res.cpuset_mems = text_of(req, "cpusetmems");
    h->res.cgroup_parent = text_of(req, "cgroupparent");
    get_security(req, h);
    get_words(req, "extrahosts", &h->extra_hosts);
    return r;
}

static int get_export(struct http_req *req, const struct build_export **ret, struct err *err)
{
    const char *text = http_query(req, "export");
    struct build_export *e = arena_new(http_arena(req), struct build_export);

    if (str_empty(text))
        return 0;
    int r =
        json_decode(&build_export_type, text, strlen(text), http_arena(req), e, JSON_STRICT, err);
    if (r < 0)
        return err_wrap(err, r, "error reading export");
    *ret = e;
    return 0;
}

static int check_version(struct http_req *req, struct err *err)
{
    const char *version = http_query(req, "version");

    if (str_empty(version) || strcmp(version, "1") == 0)
        return 0;
    if (strcmp(version, "2") != 0)
        return err_invalid(err, "invalid version %s", version);
    return err_as(
        err, ERR_NOT_IMPLEMENTED, ENOSYS,
        "BuildKit's protocol is not built yet: set DOCKER_BUILDKIT=0, or use cleat build");
}

int build_params(struct http_req *req, struct build_opts *ret, struct err *err)
{
    struct host_config *host = arena_new(http_arena(req), struct host_config);
    struct build_opts o = {
        .dockerfile = http_query(req, "dockerfile"),
        .remote = http_query(req, "remote"),
        .session = http_query(req, "session"),
        .tags = http_query_all(req, "t"),
        .rq =
            {
                .target = http_query(req, "target"),
                .network = http_query(req, "networkmode"),
                .no_cache = http_query_bool(req, "nocache", false),
                .pull = http_query_bool(req, "pull", false),
                .squash = http_query_bool(req, "squash", false),
                .check_only = http_query_bool(req, "check", false),
                .host = host,
                .gone_fd = http_client_gone_fd(req),
            },
    };
    int r = check_version(req, err);

    get_words(req, "platform", &o.rq.platforms);
    if (r >= 0)
        r = get_export(req, &o.rq.export, err);
    if (r >= 0)
        r = api_query_map(req, "buildargs", &o.rq.args, err);
    if (r >= 0)
        r = api_query_map(req, "labels", &o.rq.labels, err);
    if (r >= 0)
        r = api_query_map(req, "contexts", &o.contexts, err);
    if (r >= 0)
        r = get_list(req, "nocachefilter", &o.rq.no_cache_filter, err);
    if (r >= 0)
        r = get_list(req, "allow", &o.rq.allow, err);
    if (r >= 0)
        r = get_list(req, "cachefrom", &o.rq.cache_from, err);
    if (r >= 0)
        r = get_caches(req, "cacheimports", &o.rq.cache_imports, err);
    if (r >= 0)
        r = get_caches(req, "cacheexports", &o.rq.cache_exports, err);
    if (r >= 0)
        r = get_host(req, host, err);
    if (r < 0)
        return r;
    get_auths(req, &o.auths);
    *ret = o;
    return 0;
}

/* ---- the request ---- */

static int post_build(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct build_progress_out out = {.resp = resp,
                                     .status = str_eq(http_query(req, "progress"), "status"),
                                     .quiet = http_query_bool(req, "q", false)};
    struct build_result res = {0};
    struct build_opts o;
    int r = build_params(req, &o, err);

    if (r < 0)
        return r;
    out.several = o.rq.platforms.n > 1;
    o.rq.tell = build_progress_tell;
    o.rq.ctx = &out;
    r = img_build(api->engine, &o, api_read_body, req, http_arena(req), &res, err);
    if (r >= 0)
        r = build_progress_result(&out, &o, &res, err);
    return build_progress_end(&out, r, &res, err);
}

/* "keep-storage" is what older clients call "reserved-space". */
static int get_space(struct http_req *req, struct build_space *ret, struct err *err)
{
    const struct {
        const char *key;
        int64_t *to;
    } all[] = {{"keep-storage", &ret->reserved},
               {"reserved-space", &ret->reserved},
               {"max-used-space", &ret->max_used},
               {"min-free-space", &ret->min_free}};
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(all) / sizeof(all[0]); i++) {
        r = http_query_i64(req, all[i].key, all[i].to, err);
        if (r >= 0 && *all[i].to < 0)
            r = err_invalid(err, "%s must not be negative", all[i].key);
    }
    return r;
}

static int post_prune(struct api *api, struct http_req *req, struct http_resp *resp,
                      struct err *err)
{
    struct build_prune_opts o = {.all = http_query_bool(req, "all", false)};
    struct build_prune_response ret = {0};
    int r = api_filters(req, &o.filters, err);

    if (r >= 0)
        r = get_space(req, &o.space, err);
    if (r >= 0)
        r = engine_build_prune(api->engine, &o, http_arena(req), &ret, err);
    return r < 0 ? r : http_reply_json(resp, 200, &build_prune_response_type, &ret);
}

static const struct http_route table[] = {
    {"POST", "/build", post_build, 0, 0},
    {"POST", "/build/context", api_build_context, 0, 0},
    {"GET", "/build/history", api_build_history, 0, 0},
    {"DELETE", "/build/history", api_build_records_remove, 0, 0},
    {"GET", "/build/history/{id}", api_build_record, 0, 0},
    {"DELETE", "/build/history/{id}", api_build_record_remove, 0, 0},
    {"GET", "/build/history/{id}/logs", api_build_record_log, 0, 0},
    {"POST", "/build/prune", post_prune, API(1, 31), 0},
    {"POST", "/build/session", api_build_session, 0, 0},
    {"POST", "/build/session/{id}/context", api_build_context_files, 0, 0},
    {"POST", "/build/session/{id}/image", api_build_layout_image, 0, 0},
    {"POST", "/build/session/{id}/layout", api_build_layout, 0, 0},
    {"POST", "/build/session/{id}/ssh", api_build_ssh, 0, 0},
};
ROUTES(build_routes, table);
