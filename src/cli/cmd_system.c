#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/auto.h"
#include "base/time.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/tmpl.h"
#include "cli/units.h"
#include "wire/system.h"
#include "wire/version.h"

/* cleat version, info, events. */

/* What Go calls the roots of the templates' data. */
#define VERSION_TYPE "system.versionInfo"
#define INFO_TYPE "system.dockerInfo"

struct format_opts {
    char *format;
};

static const char *machine(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
    return "unknown";
#endif
}

/* A JSON text by the user's template; as far as it got, when there is an error. */
static int print_json(struct cli *cli, const char *text, const char *type, const char *format,
                      struct err *err)
{
    auto_buf struct buf out = BUF_INIT;
    struct json *j = NULL;
    struct tmpl *t = NULL;
    const char *name = str_eq(type, VERSION_TYPE) ? "version" : "";
    int r =
        tmpl_parse_as(name, str_eq(format, "json") ? "{{json .}}" : format, &cli->arena, &t, err);

    if (r < 0 || (r = json_parse(text, strlen(text), &cli->arena, &j, err)) < 0)
        return r;
    struct tmpl_data d = {.root = j, .type = type};
    r = tmpl_exec(t, &d, &cli->arena, &out, err);
    printf("%s\n", buf_str(&out));
    return r;
}

/* ---- version ---- */

static char *go_time(struct cli *cli, const char *text)
{
    int64_t t;
    char out[64];
    time_t s;
    struct tm tm;

    if (str_empty(text) || time_parse_rfc3339(text, strlen(text), &t) < 0)
        return arena_strdup(&cli->arena, text ? text : "");
    s = (time_t)(t / NS_PER_S);
    (void)gmtime_r(&s, &tm);
    (void)strftime(out, sizeof(out), "%a %b %e %H:%M:%S %Y", &tm);
    return arena_strdup(&cli->arena, out);
}

static void print_client(struct cli *cli)
{
    printf("Client:\n Version:           %s\n API version:       %s\n OS/Arch:           linux/%s\n"
           " Context:           %s\n",
           ENGINE_VERSION, str_or(getenv("DOCKER_API_VERSION"), API_MAX_TEXT), machine(),
           config_context(cli));
}

static void print_server(struct cli *cli, const struct system_version *v)
{
    printf("\nServer: %s\n Engine:\n", str_or(v->platform.name, ""));
    printf("  Version:          %s\n", str_or(v->version, ""));
    printf("  API version:      %s (minimum version %s)\n", str_or(v->api_version, ""),
           str_or(v->min_api_version, ""));
    if (!str_empty(v->git_commit))
        printf("  Git commit:       %s\n", v->git_commit);
    if (!str_empty(v->build_time))
        printf("  Built:            %s\n", go_time(cli, v->build_time));
    printf("  OS/Arch:          %s/%s\n  Experimental:     %s\n", str_or(v->os, ""),
           str_or(v->arch, ""), v->experimental ? "true" : "false");
    for (size_t i = 0; i < v->components.n; i++) {
        const struct version_component *c = v->components.v[i];
        if (str_eq(c->name, "Engine"))
            continue;
        printf(" %s:\n  Version:          %s\n", c->name, str_or(c->version, ""));
        const char *commit = strmap_get(&c->details, "GitCommit");
        if (commit)
            printf("  GitCommit:        %s\n", commit);
    }
}

/* {"Client":{...},"Server":{...}} for templates. */
static int version_json(struct cli *cli, const struct buf *server, struct buf *out)
{
    struct json_w w = {.out = out};

    json_w_obj(&w);
    json_w_key(&w, "Client");
    json_w_obj(&w);
    const struct strpair members[] = {
        {arena_strdup(&cli->arena, "Version"), arena_strdup(&cli->arena, ENGINE_VERSION)},
        {arena_strdup(&cli->arena, "ApiVersion"), arena_strdup(&cli->arena, API_MAX_TEXT)},
        {arena_strdup(&cli->arena, "DefaultAPIVersion"), arena_strdup(&cli->arena, API_MAX_TEXT)},
        {arena_strdup(&cli->arena, "GitCommit"), arena_strdup(&cli->arena, "")},
        {arena_strdup(&cli->arena, "GoVersion"), arena_strdup(&cli->arena, "")},
        {arena_strdup(&cli->arena, "Os"), arena_strdup(&cli->arena, "linux")},
        {arena_strdup(&cli->arena, "Arch"), arena_strdup(&cli->arena, machine())},
        {arena_strdup(&cli->arena, "BuildTime"), arena_strdup(&cli->arena, "")},
        {arena_strdup(&cli->arena, "Context"), arena_strdup(&cli->arena, config_context(cli))},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_w_key(&w, members[i].key);
        json_w_str(&w, members[i].val);
    }
    json_w_end_obj(&w);
    json_w_key(&w, "Server");
    if (server->len)
        json_w_raw(&w, server->data, server->len);
    else
        json_w_null(&w);
    json_w_end_obj(&w);
    return 0;
}

static int run_version(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct format_opts *o = opts;
    auto_buf struct buf text = BUF_INIT, both = BUF_INIT;
    struct system_version v = {0};
    int status = format_check(cli, "template parsing error", "version", o->format);

    (void)args;
    if (status)
        return status;
    int r = need_client(cli, err);
    if (r == 0)
        r = call_text(cli, cli_target(cli, "/version", NULL, NULL), &text, err);
    if (r >= 0)
        r = json_decode(&system_version_type, text.data, text.len, &cli->arena, &v, 0, err);
    if (!str_empty(o->format)) {
        struct err e = {0};
        version_json(cli, &text, &both);
        int x = print_json(cli, buf_str(&both), VERSION_TYPE, o->format, &e);
        if (x < 0 && r >= 0) {
            *err = e;
            return x;
        }
        return r < 0 ? r : 0;
    }
    print_client(cli);
    if (r >= 0)
        print_server(cli, &v);
    (void)fflush(stdout);
    return r < 0 ? r : 0;
}

/* ---- info ---- */

static void line(const char *name, const char *val)
{
    if (!str_empty(val))
        printf(" %s: %s\n", name, val);
}

static void line_list(const char *name, const struct strv *v)
{
    if (v->n == 0)
        return;
    printf(" %s:", name);
    for (size_t i = 0; i < v->n; i++)
        printf(" %s", v->v[i]);
    printf("\n");
}

static void print_plugins(const struct system_info *i)
{
    const struct {
        const char *name;
        const struct strv *v;
    } plugins[] = {{" Volume", &i->plugins.volume},
                   {" Network", &i->plugins.network},
                   {" Log", &i->plugins.log}};

    printf(" Plugins:\n");
    for (size_t k = 0; k < 3; k++)
        line_list(plugins[k].name, plugins[k].v);
}

/* "name=seccomp,profile=builtin" on two lines. */
static void print_security(struct cli *cli, const struct system_info *i)
{
    if (i->security_options.n)
        printf(" Security Options:\n");
    for (size_t k = 0; k < i->security_options.n; k++) {
        struct strv parts = str_split(&cli->arena, i->security_options.v[k], ',');
        for (size_t p = 0; p < parts.n; p++) {
            const char *name = str_starts(parts.v[p], "name=");
            const char *profile = str_starts(parts.v[p], "profile=");
            if (name)
                printf("  %s\n", name);
            else
                printf("   %s: %s\n", profile ? "Profile" : "", profile ? profile : parts.v[p]);
        }
    }
}

static void print_counts(const struct system_info *i)
{
    printf(" Containers: %" PRId64 "\n  Running: %" PRId64 "\n  Paused: %" PRId64
           "\n  Stopped: %" PRId64 "\n Images: %" PRId64 "\n",
           i->containers, i->containers_running, i->containers_paused, i->containers_stopped,
           i->images);
}

static void print_engine(struct cli *cli, const struct system_info *i)
{
    char mem[UNITS_TEXT];

    line("Server Version", i->server_version);
    line("Storage Driver", i->driver);
    for (size_t k = 0; k < i->driver_status.n; k++)
        if (i->driver_status.v[k].n == 2)
            printf("  %s: %s\n", i->driver_status.v[k].v[0], i->driver_status.v[k].v[1]);
    line("Logging Driver", i->logging_driver);
    line("Cgroup Driver", i->cgroup_driver);
    line("Cgroup Version", i->cgroup_version);
    print_plugins(i);
    line("Swarm", i->swarm.local_node_state);
    if (i->runtimes.n) {
        printf(" Runtimes:");
        for (size_t k = 0; k < i->runtimes.n; k++)
            printf(" %s", i->runtimes.v[k].key);
        printf("\n");
    }
    line("Default Runtime", i->default_runtime);
    line("Init Binary", i->init_binary);
    print_security(cli, i);
    line("Kernel Version", i->kernel_version);
    line("Operating System", i->operating_system);
    line("OSType", i->os_type);
    line("Architecture", i->architecture);
    printf(" CPUs: %" PRId64 "\n", i->ncpu);
    printf(" Total Memory: %s\n", units_bytes((double)i->mem_total_b, mem));
    line("Name", i->name);
    line("ID", i->id);
    line("Docker Root Dir", i->docker_root_dir);
    printf(" Debug Mode: %s\n", i->debug ? "true" : "false");
    line("HTTP Proxy", i->http_proxy);
    line("HTTPS Proxy", i->https_proxy);
    line("No Proxy", i->no_proxy);
    for (size_t k = 0; k < i->labels.n; k++)
        printf("%s  %s\n", k ? "" : " Labels:\n", i->labels.v[k]);
    printf(" Experimental: %s\n", i->experimental_build ? "true" : "false");
    if (i->registry_config && i->registry_config->insecure_cidrs.n) {
        printf(" Insecure Registries:\n");
        for (size_t k = 0; k < i->registry_config->insecure_cidrs.n; k++)
            printf("  %s\n", i->registry_config->insecure_cidrs.v[k]);
    }
    printf(" Live Restore Enabled: %s\n\n", i->live_restore_enabled ? "true" : "false");
    (void)fflush(stdout);
    for (size_t k = 0; k < i->warnings.n; k++)
        fprintf(stderr, "%s\n", i->warnings.v[k]);
}

static int run_info(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct format_opts *o = opts;
    auto_buf struct buf text = BUF_INIT;
    struct system_info i = {0};
    int status = inspect_check(cli, o->format);

    (void)args;
    if (status)
        return status;
    int r = need_client(cli, err);
    if (r == 0)
        r = call_text(cli, cli_target(cli, "/info", NULL, NULL), &text, err);
    if (!str_empty(o->format))
        return r < 0 ? r : print_json(cli, buf_str(&text), INFO_TYPE, o->format, err);
    printf("Client:\n Version:    %s\n Context:    %s\n Debug Mode: %s\n\nServer:\n",
           ENGINE_VERSION, config_context(cli), cli->global.debug ? "true" : "false");
    (void)fflush(stdout);
    if (r < 0)
        return r;
    r = json_decode(&system_info_type, text.data, text.len, &cli->arena, &i, 0, err);
    if (r < 0)
        return err_wrap(err, r, "answer of the daemon");
    print_counts(&i);
    print_engine(cli, &i);
    return 0;
}

/* ---- events ---- */

struct events_opts {
    struct strv filter;
    char *format, *since, *until;
};

static void print_event(const struct event_message *m)
{
    char when[64] = "", zone[16] = "";
    time_t s = (time_t)m->time_s;
    struct tm tm;

    if (localtime_r(&s, &tm)) {
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)strftime(zone, sizeof(zone), "%z", &tm);
    }
    printf("%s.%09" PRId64 "%.3s:%s %s %s %s", when, m->time_ns % NS_PER_S, zone, zone + 3,
           str_or(m->type, ""), str_or(m->action, ""), str_or(m->actor.id, ""));
    const struct strmap *a = &m->actor.attributes;
    if (a->n)
        printf(" (");
    for (size_t i = 0; i < a->n; i++)
        printf("%s%s=%s", i ? ", " : "", a->v[i].key, a->v[i].val);
    printf(a->n ? ")\n" : "\n");
    (void)fflush(stdout);
}

static int show_event(struct cli *cli, const struct tmpl *t, const char *text, size_t len,
                      struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    struct json *j = NULL;

    (void)cli;
    if (!t) {
        struct event_message m = {0};
        int r = json_decode(&event_message_type, text, len, &a, &m, 0, err);
        if (r == 0)
            print_event(&m);
        return r;
    }
    int r = json_parse(text, len, &a, &j, err);
    if (r < 0)
        return r;
    struct tmpl_data d = {.root = j};
    r = tmpl_exec(t, &d, &a, &out, err);
    if (r < 0)
        return r;
    printf("%s\n", buf_str(&out));
    (void)fflush(stdout);
    return 0;
}

static int run_events(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct events_opts *o = opts;
    struct json_stream in = {0};
    struct http_call call = {.method = "GET"};
    struct tmpl *t = NULL;
    const char *text;
    size_t len;
    int status = format_check(cli, "Error parsing format", "", o->format), r = 0;

    (void)args;
    if (status)
        return status;
    if (!str_empty(o->format))
        r = tmpl_parse(str_eq(o->format, "json") ? "{{json .}}" : o->format, &cli->arena, &t, err);
    if (r < 0 || (r = user_time(cli, NULL, o->since, &o->since, err)) < 0 ||
        (r = user_time(cli, NULL, o->until, &o->until, err)) < 0 || (r = need_client(cli, err)) < 0)
        return r;
    char *target = cli_target(cli, "/events", NULL, NULL);
    target = cli_query(cli, target, "since", o->since);
    target = cli_query(cli, target, "until", o->until);
    call.target = cli_query_filters(cli, target, &o->filter, err);
    r = client_open(cli->client, &call, &in.reply, err);
    if (r < 0)
        return r;
    while ((r = json_stream_next(&in, &text, &len, err)) > 0)
        if ((r = show_event(cli, t, text, len, err)) < 0)
            break;
    json_stream_done(&in);
    return r;
}

/* ---- tables ---- */

static const struct opt format_opts[] = {
    OPT(struct format_opts, "format", 'f', O_STR, format, FORMAT_HELP_INSPECT),
};
static const struct opt events_opts[] = {
    OPT(struct events_opts, "filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter",
        .check = check_filter),
    OPT(struct events_opts, "format", 0, O_STR, format, FORMAT_HELP_INSPECT),
    OPT(struct events_opts, "since", 0, O_STR, since, "Show everything since a time"),
    OPT(struct events_opts, "until", 0, O_STR, until, "Show everything until a time"),
};

const struct command cmd_version = {
    .paths = (const char *const[]){"version", NULL},
    .usage = "[OPTIONS]",
    .help = "Show the versions of client and daemon",
    OPTS(format_opts),
    .opts_size = sizeof(struct format_opts),
    .run = run_version,
};
const struct command cmd_info = {
    .paths = (const char *const[]){"system info", "info", NULL},
    .usage = "[OPTIONS]",
    .help = "Show facts about the engine",
    OPTS(format_opts),
    .opts_size = sizeof(struct format_opts),
    .run = run_info,
};
const struct command cmd_events = {
    .paths = (const char *const[]){"system events", "events", NULL},
    .usage = "[OPTIONS]",
    .help = "Show what happens, as it happens",
    OPTS(events_opts),
    .opts_size = sizeof(struct events_opts),
    .run = run_events,
};
