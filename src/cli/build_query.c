/* What options say to the daemon: the query of POST /build. And what cannot be said to it yet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/build.h"
#include "cli/build_export.h"
#include "cli/cli.h"
#include "cli/pull.h"
#include "cli/specs.h"

/* ---- what cannot be done ---- */

static int not_built(const char *what, struct err *err)
{
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "%s is not built yet", what);
}

static int check_missing(const struct build_flags *f, struct err *err)
{
    const struct {
        const char *what;
        bool wanted;
    } all[] = {
        {"--builder (there is one, \"default\")",
         !str_empty(f->builder) && !str_eq(f->builder, "default")},
        {"--isolation other than \"default\"",
         !str_empty(f->isolation) && !str_eq(f->isolation, "default")},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].wanted)
            return not_built(all[i].what, err);
    return 0;
}

static int check_call(struct build_flags *f, struct err *err)
{
    if (str_eq(f->call, "check") || str_eq(f->call, "lint"))
        f->check = true;
    else if (!str_empty(f->call) && !str_eq(f->call, "build"))
        return not_built("--call other than \"build\" and \"check\"", err);
    return 0;
}

static int check_progress(struct build_flags *f, struct err *err)
{
    static const char *const known[] = {"auto", "plain", "tty", "rawjson", "quiet", "none"};
    const char *env = getenv("BUILDKIT_PROGRESS");

    if (str_empty(f->progress))
        f->progress = (char *)(uintptr_t)str_or(env, "auto");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq(f->progress, known[i]))
            return 0;
    return err_invalid(err, "invalid progress mode %s", f->progress);
}

static int check_names(const struct build_flags *f, struct err *err)
{
    for (size_t i = 0; i < f->tag.n; i++) {
        int r = ref_check(f->tag.v[i], err);
        if (r < 0)
            return err_wrap(err, r, "invalid tag \"%s\"", f->tag.v[i]);
    }
    return 0;
}

int build_flags_check(struct build_flags *f, struct err *err)
{
    int r = check_missing(f, err);

    if (r >= 0)
        r = check_call(f, err);
    if (r >= 0)
        r = check_progress(f, err);
    return r < 0 ? r : check_names(f, err);
}

/* ---- the query ---- */

struct query {
    struct cli *cli;
    char *t;
};

static void put(struct query *q, const char *key, const char *val)
{
    if (!str_empty(val))
        q->t = cli_query(q->cli, q->t, key, val);
}

static void put_flag(struct query *q, const char *key, bool on)
{
    put(q, key, on ? "1" : NULL);
}

static void put_number(struct query *q, const char *key, int64_t n)
{
    if (n)
        put(q, key, arena_printf(&q->cli->arena, "%lld", (long long)n));
}

static void put_all(struct query *q, const char *key, const struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        put(q, key, v->v[i]);
}

static void put_list(struct query *q, const char *key, const struct strv *v)
{
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};

    if (!v->n)
        return;
    json_w_arr(&w);
    for (size_t i = 0; i < v->n; i++)
        json_w_str(&w, v->v[i]);
    json_w_end_arr(&w);
    put(q, key, buf_str(&text));
}

/* @env: a name alone takes the environment's value, or null when it has none. */
static void put_map(struct query *q, const char *key, const struct strv *pairs, bool env)
{
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};
    struct strmap map = {0};

    if (!pairs->n)
        return;
    spec_map(pairs, &q->cli->arena, &map);
    json_w_obj(&w);
    for (size_t i = 0; i < map.n; i++) {
        const char *val = map.v[i].val;
        if (env && strv_has(pairs, map.v[i].key))
            val = getenv(map.v[i].key);
        json_w_key(&w, map.v[i].key);
        json_w_str(&w, val); /* NULL is null */
    }
    json_w_end_obj(&w);
    put(q, key, buf_str(&text));
}

static int put_ulimits(struct query *q, const struct strv *v, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};

    if (!v->n)
        return 0;
    json_w_arr(&w);
    for (size_t i = 0; i < v->n; i++) {
        struct ulimit *u = NULL;
        int r = spec_ulimit(v->v[i], &q->cli->arena, &u, err);
        if (r < 0)
            return r;
        json_w_type(&w, &ulimit_type, u);
    }
    json_w_end_arr(&w);
    put(q, "ulimits", buf_str(&text));
    return 0;
}

static int put_hosts(struct query *q, const struct strv *v, struct err *err)
{
    for (size_t i = 0; i < v->n; i++) {
        char *host = NULL;
        int r = spec_host(v->v[i], &q->cli->arena, &host, err);
        if (r < 0)
            return r;
        put(q, "extrahosts", host);
    }
    return 0;
}

/* Profiles are files of the client; the daemon gets their text. */
static int put_security(struct query *q, const struct strv *v, struct err *err)
{
    struct host_config hc = {0};
    int r = spec_security(v, &q->cli->arena, &hc, err);

    if (r < 0)
        return r;
    put_all(q, "securityopt", &hc.security_opt);
    put(q, "securityopt", hc.masked_paths.v ? "systempaths=unconfined" : NULL);
    return 0;
}

static void put_limits(struct query *q, const struct build_flags *f)
{
    put_number(q, "shmsize", f->shm_size);
    put_number(q, "memory", f->memory);
    put_number(q, "memswap", f->memory_swap);
    put_number(q, "cpushares", f->cpu_shares);
    put_number(q, "cpuperiod", f->cpu_period);
    put_number(q, "cpuquota", f->cpu_quota);
    put(q, "cpusetcpus", f->cpuset_cpus);
    put(q, "cpusetmems", f->cpuset_mems);
    put(q, "cgroupparent", f->cgroup_parent);
}

static const char *platforms_of(struct cli *cli, const struct build_flags *f)
{
    return f->platform.n ? strv_join(&cli->arena, &f->platform, ",")
                         : getenv("DOCKER_DEFAULT_PLATFORM");
}

int build_target(struct cli *cli, const struct build_flags *f, char **ret, struct err *err)
{
    struct query q = {cli, cli_target(cli, "/build", NULL, NULL)};

    put(&q, "progress", "status");
    put_all(&q, "t", &f->tag);
    put(&q, "target", f->target);
    put(&q, "platform", platforms_of(cli, f));
    put(&q, "export", build_export_text(&f->export, &cli->arena));
    put(&q, "networkmode", str_eq(f->network, "default") ? NULL : f->network);
    put_flag(&q, "nocache", f->no_cache);
    put_flag(&q, "pull", f->pull);
    put_flag(&q, "squash", f->squash);
    put_flag(&q, "check", f->check);
    put_flag(&q, "rm", true);
    put_map(&q, "buildargs", &f->build_arg, true);
    put_map(&q, "labels", &f->label, false);
    put_list(&q, "nocachefilter", &f->no_cache_filter);
    put_list(&q, "allow", &f->allow);
    put_list(&q, "cachefrom", &f->cache_from);
    put_map(&q, "contexts", &f->build_context, false);
    put_limits(&q, f);
    int r = put_ulimits(&q, &f->ulimit, err);
    if (r >= 0)
        r = put_hosts(&q, &f->add_host, err);
    if (r >= 0)
        r = put_security(&q, &f->security_opt, err);
    if (r < 0)
        return r;
    *ret = build_cache_query(cli, f, q.t);
    return 0;
}
