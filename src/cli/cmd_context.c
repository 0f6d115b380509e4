#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"

/* cleat context: docker's contexts, to look at. They are made and changed by docker itself. */

struct context_opts {
    char *format;
    bool quiet;
};

static const struct heading headings[] = {
    {"Name", "NAME"},
    {"Description", "DESCRIPTION"},
    {"DockerEndpoint", "DOCKER ENDPOINT"},
    {"Error", "ERROR"},
    {"Current", ""},
    {NULL, "*formatter.clientContextContext"},
};

static int put_row(struct cli *cli, struct list *l, const struct context_info *c, struct err *err)
{
    bool current = str_eq(config_context(cli), c->name);

    list_row(l);
    list_cellf(l, "Name", "%s%s", c->name, current && l->table ? " *" : "");
    list_cell(l, "Description", c->description);
    list_cell(l, "DockerEndpoint", c->host);
    list_cell(l, "Error", "");
    list_bool(l, "Current", current);
    return list_row_end(l, NULL, err);
}

static int run_ls(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct context_opts *o = opts;
    struct contexts all = config_contexts(cli);
    auto_list struct list l = {0};
    const char *format = o->quiet && str_empty(o->format) ? "{{.Name}}" : o->format;
    int r = list_begin(&l, &cli->arena, format,
                       "table {{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
                       headings, err);

    (void)args;
    for (size_t i = 0; i < all.n && r == 0; i++)
        r = put_row(cli, &l, &all.v[i], err);
    if (r == 0)
        list_end(&l);
    return r;
}

static int run_show(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    (void)opts, (void)args, (void)err;
    printf("%s\n", config_context(cli));
    return 0;
}

static char *context_json(struct cli *cli, const struct context_info *c)
{
    struct buf b = BUF_INIT;
    struct json_w w = {.out = &b};

    json_w_obj(&w);
    json_w_key(&w, "Name");
    json_w_str(&w, c->name);
    json_w_key(&w, "Metadata");
    json_w_obj(&w);
    if (!str_empty(c->description)) {
        json_w_key(&w, "Description");
        json_w_str(&w, c->description);
    }
    json_w_end_obj(&w);
    json_w_key(&w, "Endpoints");
    json_w_obj(&w);
    json_w_key(&w, "docker");
    json_w_obj(&w);
    json_w_key(&w, "Host");
    json_w_str(&w, c->host);
    json_w_key(&w, "SkipTLSVerify");
    json_w_bool(&w, false);
    json_w_end_obj(&w);
    json_w_end_obj(&w);
    json_w_end_obj(&w);
    char *s = arena_strdup(&cli->arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static int run_inspect(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct context_opts *o = opts;
    struct contexts all = config_contexts(cli);
    struct strv texts = {0}, errors = {0}, names = *args;
    char *current[] = {arena_strdup(&cli->arena, config_context(cli))};
    int status = inspect_check(cli, o->format);

    if (status)
        return status;
    if (names.n == 0)
        names = (struct strv){current, 1};
    for (size_t i = 0; i < names.n; i++) {
        size_t k = 0;
        while (k < all.n && !str_eq(all.v[k].name, names.v[i]))
            k++;
        if (k == all.n) {
            fprintf(stderr, "context \"%s\": context not found\n", names.v[i]);
            status = 1;
            continue;
        }
        strv_push(&cli->arena, &texts, context_json(cli, &all.v[k]));
    }
    int r = inspect_print(cli, &texts, o->format, &errors, err);
    for (size_t i = 0; i < errors.n; i++)
        fprintf(stderr, "%s\n", errors.v[i]);
    return r < 0 ? r : errors.n ? 1 : status;
}

static const struct opt ls_opts[] = {
    OPT(struct context_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct context_opts, "quiet", 'q', O_BOOL, quiet, "Only show the names"),
};
static const struct opt inspect_opts[] = {
    OPT(struct context_opts, "format", 'f', O_STR, format, FORMAT_HELP_INSPECT),
};

const struct command cmd_context_ls = {
    .paths = (const char *const[]){"context ls", "context list", NULL},
    .usage = "[OPTIONS]",
    .help = "List contexts",
    OPTS(ls_opts),
    .opts_size = sizeof(struct context_opts),
    .run = run_ls,
};
const struct command cmd_context_show = {
    .paths = (const char *const[]){"context show", NULL},
    .usage = "",
    .help = "Print the name of the current context",
    .run = run_show,
};
const struct command cmd_context_inspect = {
    .paths = (const char *const[]){"context inspect", NULL},
    .usage = "[OPTIONS] [CONTEXT] [CONTEXT...]",
    .help = "Show everything about contexts",
    OPTS(inspect_opts),
    .opts_size = sizeof(struct context_opts),
    .args = {0, -1},
    .run = run_inspect,
};
