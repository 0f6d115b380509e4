#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/specs.h"
#include "wire/volume.h"

/* cleat volume. */

struct volume_opts {
    bool quiet, force, cluster;
    struct strv filter, label, opt;
    char *format, *driver, *name;
};

static const struct heading headings[] = {
    {"ID", "ID"},
    {"Name", "VOLUME NAME"},
    {"Group", "GROUP"},
    {"Driver", "DRIVER"},
    {"Scope", "SCOPE"},
    {"Availability", "AVAILABILITY"},
    {"Mountpoint", "MOUNTPOINT"},
    {"Labels", "LABELS"},
    {"Links", "LINKS"},
    {"Size", "SIZE"},
    {"Status", "STATUS"},
    {NULL, "*formatter.volumeContext"},
};

static int by_name(const void *a, const void *b)
{
    return strverscmp((*(struct volume_info *const *)a)->name,
                      (*(struct volume_info *const *)b)->name);
}

static int put_row(struct list *l, const struct volume_info *v, struct err *err)
{
    list_row(l);
    list_cell(l, "Name", v->name);
    list_cell(l, "Driver", v->driver);
    list_cell(l, "Scope", v->scope);
    list_cell(l, "Mountpoint", v->mountpoint);
    list_cell(l, "Labels", cell_labels(l->a, &v->labels));
    list_cell(l, "Group", "N/A");
    list_cell(l, "Availability", "N/A");
    list_cell(l, "Status", "N/A");
    if (v->usage && v->usage->ref_count >= 0)
        list_cellf(l, "Links", "%lld", (long long)v->usage->ref_count);
    else
        list_cell(l, "Links", "N/A");
    list_cell(l, "Size",
              v->usage && v->usage->size_b >= 0 ? cell_size(l->a, (double)v->usage->size_b)
                                                : "N/A");
    return list_row_end(l, &v->labels, err);
}

static int run_ls(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct volume_opts *o = opts;
    struct volume_list_response out = {0};
    auto_list struct list l = {0};
    int r = need_client(cli, err);

    (void)args;
    if (r < 0)
        return r;
    const char *format = !str_empty(o->format) ? o->format
                         : o->quiet            ? "{{.Name}}"
                                               : config_str(cli, "volumesFormat");
    char *t = cli_query_filters(cli, cli_target(cli, "/volumes", NULL, NULL), &o->filter, err);
    r = list_begin(&l, &cli->arena, format, "table {{.Driver}}\t{{.Name}}", headings, err);
    if (r < 0 || (r = call_get(cli, t, &volume_list_response_type, &out, err)) < 0)
        return r;
    if (out.volumes.n)
        qsort(out.volumes.v, out.volumes.n, sizeof(*out.volumes.v), by_name);
    r = 0;
    for (size_t i = 0; i < out.volumes.n && r == 0; i++)
        r = put_row(&l, out.volumes.v[i], err);
    if (r == 0)
        list_end(&l);
    return r;
}

static int run_create(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct volume_opts *o = opts;
    struct volume_create_request rq = {.name = args->n ? args->v[0] : o->name, .driver = o->driver};
    struct volume_info out = {0};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    if (args->n && !str_empty(o->name))
        return err_invalid(err, "conflicting options: cannot specify a volume-name through both "
                                "--name and as a positional arg");
    spec_map(&o->opt, &cli->arena, &rq.driver_opts);
    spec_map(&o->label, &cli->arena, &rq.labels);
    r = call_post(cli, cli_target(cli, "/volumes/create", NULL, NULL), &volume_create_request_type,
                  &rq, &volume_info_type, &out, err);
    if (r < 0)
        return r;
    printf("%s\n", out.name);
    return 0;
}

static int rm_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    const struct volume_opts *o = arg;
    char *t = cli_target(cli, "/volumes/%s", name, NULL);

    return call_do(cli, "DELETE", cli_query(cli, t, "force", o->force ? "1" : NULL), err);
}

static int run_rm(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err);

    return r < 0 ? r : each(cli, args, rm_one, opts);
}

#define O(...) OPT(struct volume_opts, __VA_ARGS__)

static const struct opt ls_opts[] = {
    O("filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter", .check = check_filter),
    O("format", 0, O_STR, format, FORMAT_HELP),
    O("cluster", 0, O_BOOL, cluster, "Only show volumes of a cluster", .flags = OPT_HIDDEN),
    O("quiet", 'q', O_BOOL, quiet, "Only show the names"),
};
static const struct opt create_opts[] = {
    O("driver", 'd', O_STR, driver, "Driver of the volume", .def = "local"),
    O("label", 0, O_LIST, label, "Set a label"),
    O("name", 0, O_STR, name, "Name of the volume", .flags = OPT_HIDDEN),
    O("opt", 'o', O_MAP, opt, "Option of the driver", .def = "map[]"),
};
static const struct opt rm_opts[] = {
    O("force", 'f', O_BOOL, force, "A volume that is missing is no error"),
};

const struct command cmd_volume_ls = {
    .paths = (const char *const[]){"volume ls", "volume list", NULL},
    .usage = "[OPTIONS]",
    .help = "List volumes",
    OPTS(ls_opts),
    .opts_size = sizeof(struct volume_opts),
    .run = run_ls,
};
const struct command cmd_volume_create = {
    .paths = (const char *const[]){"volume create", NULL},
    .usage = "[OPTIONS] [VOLUME]",
    .help = "Create a volume",
    OPTS(create_opts),
    .opts_size = sizeof(struct volume_opts),
    .args = {0, 1},
    .run = run_create,
};
const struct command cmd_volume_rm = {
    .paths = (const char *const[]){"volume rm", "volume remove", NULL},
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .help = "Remove volumes",
    OPTS(rm_opts),
    .opts_size = sizeof(struct volume_opts),
    .args = {1, -1},
    .run = run_rm,
};
