#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "cli/build.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/tmpl.h"
#include "cli/units.h"
#include "wire/build_record.h"

/* cleat buildx history: what builds there were. */

#define SHORT_ID 12
#define NAME_WIDTH 40
#define TABLE "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}"

struct history_opts {
    bool no_trunc, quiet, local, all;
    struct strv filter;
    char *format, *progress, *builder;
};

/* ---- texts ---- */

static char *duration(struct arena *a, int64_t ns)
{
    double s = (double)ns / (double)NS_PER_S;

    if (s < 60)
        return arena_printf(a, "%.1fs", s);
    if (s < 3600)
        return arena_printf(a, "%dm %ds", (int)s / 60, (int)s % 60);
    return arena_printf(a, "%dh %dm", (int)s / 3600, (int)s % 3600 / 60);
}

static char *when(struct arena *a, const char *rfc3339)
{
    int64_t ns = 0;

    if (!rfc3339 || time_parse_rfc3339(rfc3339, strlen(rfc3339), &ns) < 0)
        return arena_strdup(a, "");
    return cell_ago(a, ns / NS_PER_S);
}

/* A build that went on with warnings of its checks says so, as docker's does. */
static const char *status(struct arena *a, const struct build_record *r)
{
    const char *text = str_eq(r->status, BUILD_RUNNING)     ? "Running"
                       : str_eq(r->status, BUILD_COMPLETED) ? "Completed"
                       : str_eq(r->status, BUILD_CANCELED)  ? "Canceled"
                                                            : "Error";

    return r->warnings ? arena_printf(a, "%s (%lldW)", text, (long long)r->warnings) : text;
}

/* ---- ls ---- */

static const struct heading headings[] = {{"Ref", "BUILD ID"},         {"Name", "NAME"},
                                          {"Status", "STATUS"},        {"CreatedAt", "CREATED AT"},
                                          {"Duration", "DURATION"},    {"Steps", "STEPS"},
                                          {NULL, "*history.lsContext"}};

static int put_row(struct list *l, const struct build_record *r, bool whole, struct err *err)
{
    list_row(l);
    list_cell(l, "Ref", whole ? r->id : arena_strndup(l->a, r->id, SHORT_ID));
    list_cell(l, "Name", whole ? r->name : cell_cut(l->a, r->name, NAME_WIDTH));
    list_cell(l, "Status", status(l->a, r));
    list_cell(l, "CreatedAt", when(l->a, r->created));
    list_cell(l, "Duration", duration(l->a, r->duration_ns));
    list_cellf(l, "Steps", "%lld/%lld (%lld cached)", (long long)r->done, (long long)r->total,
               (long long)r->cached);
    return list_row_end(l, NULL, err);
}

static int print_list(struct cli *cli, const struct history_opts *o, const struct objv *v,
                      struct err *err)
{
    auto_list struct list l = {0};
    int r = list_begin(&l, &cli->arena, str_eq(o->format, "table") ? NULL : o->format, TABLE,
                       headings, err);

    for (size_t i = 0; r >= 0 && i < v->n; i++)
        r = put_row(&l, v->v[i], o->no_trunc || !l.table, err);
    if (r >= 0)
        list_end(&l);
    return r;
}

static int run_ls(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct history_opts *o = opts;
    struct objv v = {0};
    int r = need_client(cli, err);

    (void)args;
    if (r < 0)
        return r;
    char *t =
        cli_query_filters(cli, cli_target(cli, "/build/history", NULL, NULL), &o->filter, err);
    if (!t)
        return -EINVAL;
    r = call_list(cli, t, &build_record_type, &v, err);
    if (r < 0 || !o->quiet)
        return r < 0 ? r : print_list(cli, o, &v, err);
    for (size_t i = 0; i < v.n; i++)
        printf("%s\n", ((const struct build_record *)v.v[i])->id);
    return 0;
}

/* ---- inspect ---- */

static char *target_of(struct cli *cli, const char *fmt, const struct strv *args)
{
    return cli_target(cli, fmt, args->n ? args->v[0] : "^0", NULL);
}

static void line(const char *what, const char *val)
{
    if (!str_empty(val))
        printf("%-16s%s\n", what, val);
}

static void print_map(const char *title, const struct strmap *m)
{
    if (m->n)
        printf("\n%s\n", title);
    for (size_t i = 0; i < m->n; i++)
        printf("%-24s%s\n", m->v[i].key, m->v[i].val);
}

static void print_pretty(struct arena *a, const struct build_record *r)
{
    line("Name:", r->name);
    line("Context:", r->context);
    line("Dockerfile:", r->dockerfile);
    line("Target:", r->target);
    line("Platform:", r->platform);
    line("Names:", strv_join(a, &r->names, ", "));
    printf("\n");
    line("Started:", r->created);
    line("Duration:", duration(a, r->duration_ns));
    line("Status:", status(a, r));
    line("Build Steps:",
         arena_printf(a, "%lld/%lld (%lld%% cached)", (long long)r->done, (long long)r->total,
                      r->total ? (long long)(r->cached * 100 / r->total) : 0LL));
    line("Image:", r->image);
    print_map("BUILD ARG               VALUE", &r->args);
    print_map("LABEL                   VALUE", &r->labels);
    if (r->error)
        printf("\nError: %s\n", r->error);
    if (r->excerpt)
        printf("%s", r->excerpt);
}

static int print_json(const char *format, const struct buf *text, struct arena *a, struct err *err)
{
    auto_buf struct buf out = BUF_INIT;
    struct tmpl *t = NULL;
    struct json *j = NULL;
    int r = json_parse(buf_str(text), text->len, a, &j, err);

    if (r >= 0 && str_eq(format, "json")) {
        json_pretty(text->data, text->len, "", "  ", &out);
    } else if (r >= 0) {
        const struct tmpl_data data = {.root = j};
        r = tmpl_parse(format, a, &t, err);
        if (r >= 0)
            r = tmpl_exec(t, &data, a, &out, err);
    }
    if (r >= 0)
        printf("%s\n", buf_str(&out));
    return r;
}

static int run_inspect(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct history_opts *o = opts;
    auto_buf struct buf text = BUF_INIT;
    struct build_record rec = {0};
    int r = need_client(cli, err);

    if (r >= 0)
        r = call_text(cli, target_of(cli, "/build/history/%s", args), &text, err);
    if (r < 0)
        return r;
    if (!str_eq(o->format, "pretty"))
        return print_json(o->format, &text, &cli->arena, err);
    r = json_decode(&build_record_type, buf_str(&text), text.len, &cli->arena, &rec, 0, err);
    if (r >= 0)
        print_pretty(&cli->arena, &rec);
    return r;
}

/* ---- logs ---- */

static int run_logs(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    static const char *const modes[] = {"plain", "rawjson", "tty", "quiet"};
    const struct history_opts *o = opts;
    const struct build_context none = {0};
    struct build_outcome out = {0};
    struct http_reply *reply = NULL;
    bool known = false;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        known |= str_eq(o->progress, modes[i]);
    if (!known)
        return err_invalid(err, "invalid progress mode %s", o->progress);
    int r = need_client(cli, err);
    if (r < 0)
        return r;
    const struct http_call call = {.method = "GET",
                                   .target = target_of(cli, "/build/history/%s/logs", args)};
    r = client_open(cli->client, &call, &reply, err);
    return r < 0 ? r : build_follow(cli, reply, o->progress, &none, false, &out, err);
}

/* ---- rm ---- */

static int remove_at(struct cli *cli, const char *target, struct err *err)
{
    int r = call_do(cli, "DELETE", target, err);

    return r < 0 ? r : 0;
}

static int run_rm(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct history_opts *o = opts;
    int failed = 0, r = need_client(cli, err);

    if (r >= 0 && o->all == (args->n > 0))
        r = err_invalid(err, o->all ? "rm requires either --all or a list of builds, not both"
                                    : "rm requires either --all or a list of builds");
    if (r < 0)
        return r;
    if (o->all)
        return remove_at(cli, cli_target(cli, "/build/history", NULL, NULL), err);
    for (size_t i = 0; i < args->n; i++) {
        struct err e = {0};
        if (remove_at(cli, cli_target(cli, "/build/history/%s", args->v[i], NULL), &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            failed = 1;
        }
    }
    return failed;
}

/* ---- the tables ---- */

#define O(...) OPT(struct history_opts, __VA_ARGS__)
#define BUILDER                                                                                    \
    O("builder", 0, O_STR, builder, "Builder to use: there is one, \"default\"",                   \
      .flags = OPT_HIDDEN)
#define NAMES(verb) PATHS("buildx history " verb, "builder history " verb, "build history " verb)

static const struct opt ls_opts[] = {
    BUILDER,
    O("filter", 0, O_LIST, filter,
      "Only those that match (\"status=error\", \"ref=ID\", \"name=X\")", .type = "stringArray"),
    O("format", 0, O_STR, format, "Format of the output: \"table\", \"json\" or a template",
      .def = "table"),
    O("local", 0, O_BOOL, local, "Accepted, without effect: all are of this daemon",
      .flags = OPT_HIDDEN),
    O("no-trunc", 0, O_BOOL, no_trunc, "Show ids and names in full"),
    O("quiet", 'q', O_BOOL, quiet, "Show ids only"),
};

const struct command cmd_history_ls = {.paths = NAMES("ls"),
                                       .usage = "[OPTIONS]",
                                       .help = "List builds that were done",
                                       OPTS(ls_opts),
                                       .opts_size = sizeof(struct history_opts),
                                       .args = {0, 0},
                                       .run = run_ls};

static const struct opt inspect_opts[] = {
    BUILDER,
    O("format", 0, O_STR, format, "Format of the output: \"pretty\", \"json\" or a template",
      .def = "pretty"),
};

const struct command cmd_history_inspect = {.paths = NAMES("inspect"),
                                            .usage = "[OPTIONS] [REF]",
                                            .help = "Show one build, the newest by itself",
                                            OPTS(inspect_opts),
                                            .opts_size = sizeof(struct history_opts),
                                            .args = {0, 1},
                                            .run = run_inspect};

static const struct opt logs_opts[] = {
    BUILDER,
    O("progress", 0, O_STR, progress, "How to show it (\"plain\", \"rawjson\", \"tty\")",
      .def = "plain"),
};

const struct command cmd_history_logs = {.paths = NAMES("logs"),
                                         .usage = "[OPTIONS] [REF]",
                                         .help = "Show what a build said",
                                         OPTS(logs_opts),
                                         .opts_size = sizeof(struct history_opts),
                                         .args = {0, 1},
                                         .run = run_logs};

static const struct opt rm_opts[] = {
    O("all", 0, O_BOOL, all, "Remove all records of builds that have ended"),
    BUILDER,
};

const struct command cmd_history_rm = {.paths = NAMES("rm"),
                                       .usage = "[OPTIONS] [REF...]",
                                       .help = "Remove records of builds",
                                       OPTS(rm_opts),
                                       .opts_size = sizeof(struct history_opts),
                                       .args = ANY_ARGS,
                                       .run = run_rm};
