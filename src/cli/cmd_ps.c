#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/units.h"
#include "wire/container.h"

/* cleat ps. */

struct ps_opts {
    bool all, latest, no_trunc, quiet, size;
    struct strv filter;
    char *format;
    int64_t last;
};

static const struct opt opts[] = {
    OPT(struct ps_opts, "all", 'a', O_BOOL, all, "Show all containers, not only running ones"),
    OPT(struct ps_opts, "filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter",
        .check = check_filter),
    OPT(struct ps_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct ps_opts, "last", 'n', O_INT, last,
        "Show the n containers created last, in whatever state", .def = "-1"),
    OPT(struct ps_opts, "latest", 'l', O_BOOL, latest,
        "Show the container created last, in whatever state"),
    OPT(struct ps_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
    OPT(struct ps_opts, "quiet", 'q', O_BOOL, quiet, "Only show the ids"),
    OPT(struct ps_opts, "size", 's', O_BOOL, size, "Show file sizes"),
};

static const struct heading headings[] = {
    {"ID", "CONTAINER ID"},
    {"Names", "NAMES"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"CreatedAt", "CREATED AT"},
    {"RunningFor", "CREATED"},
    {"Ports", "PORTS"},
    {"State", "STATE"},
    {"Status", "STATUS"},
    {"Size", "SIZE"},
    {"Labels", "LABELS"},
    {"Mounts", "MOUNTS"},
    {"LocalVolumes", "LOCAL VOLUMES"},
    {"Networks", "NETWORKS"},
    {"Platform", "PLATFORM"},
    {NULL, "*formatter.ContainerContext"},
};

#define TABLE                                                                                      \
    "table "                                                                                       \
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

/* Names without their slash; a name with two is another container's link to this one. */
static char *names(struct arena *a, const struct container_summary *c, bool all)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < c->names.n; i++) {
        const char *name = c->names.v[i] + (c->names.v[i][0] == '/');
        if (all || !strchr(name, '/'))
            buf_printf(&b, "%s%s", b.len ? "," : "", name);
    }
    char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static char *image(struct arena *a, const struct container_summary *c, bool whole)
{
    if (str_empty(c->image))
        return arena_strdup(a, "<no image>");
    if (whole)
        return arena_strdup(a, c->image);
    const char *at = strchr(c->image, '@');
    char *id = cell_short_id(a, c->image_id, false);
    if (*id && str_eq(id, cell_short_id(a, c->image, false)))
        return id;
    return at ? arena_strndup(a, c->image, (size_t)(at - c->image)) : arena_strdup(a, c->image);
}

static char *quoted(struct arena *a, const char *s)
{
    struct buf b = BUF_INIT;

    buf_putc(&b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_printf(&b, "\\%c", *s);
        else if (*s == '\n')
            buf_puts(&b, "\\n");
        else if (*s == '\t')
            buf_puts(&b, "\\t");
        else if ((unsigned char)*s < 0x20)
            buf_printf(&b, "\\x%02x", (unsigned char)*s);
        else
            buf_putc(&b, *s);
    }
    buf_putc(&b, '"');
    char *text = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return text;
}

static char *size(struct arena *a, const struct container_summary *c)
{
    char rw[UNITS_TEXT], all[UNITS_TEXT];

    units_size(c->size_rw_b ? (double)*c->size_rw_b : 0, 3, rw);
    if (!c->size_rootfs_b || *c->size_rootfs_b <= 0)
        return arena_strdup(a, rw);
    return arena_printf(a, "%s (virtual %s)", rw, units_size((double)*c->size_rootfs_b, 3, all));
}

static char *mounts(struct arena *a, const struct container_summary *c, bool whole, int *local)
{
    struct buf b = BUF_INIT;

    *local = 0;
    for (size_t i = 0; i < c->mounts.n; i++) {
        const struct mount_point *m = c->mounts.v[i];
        const char *name = str_empty(m->name) ? m->source : m->name;
        *local += str_eq(m->driver, "local");
        name = name ? name : "";
        buf_printf(&b, "%s%s", i ? "," : "", whole ? name : cell_cut(a, name, 15));
    }
    char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static char *networks(struct arena *a, const struct container_summary *c)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < c->network_settings.networks.n; i++)
        buf_printf(&b, "%s%s", i ? "," : "", c->network_settings.networks.v[i].key);
    char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static int put_row(struct list *l, const struct container_summary *c, bool whole, struct err *err)
{
    struct arena *a = l->a;
    const char *command = c->command ? c->command : "";
    int local = 0;

    list_row(l);
    list_cell(l, "ID", cell_short_id(a, c->id, whole));
    list_cell(l, "Names", names(a, c, whole));
    list_cell(l, "Image", image(a, c, whole));
    list_cell(l, "Command", quoted(a, whole ? command : cell_cut(a, command, 20)));
    list_cell(l, "CreatedAt", cell_time(a, c->created_s));
    list_cell(l, "RunningFor", cell_ago(a, c->created_s));
    list_cell(l, "Ports", ports_text(a, (struct port_summary *const *)c->ports.v, c->ports.n));
    list_cell(l, "State", c->state);
    list_cell(l, "Status", c->status);
    list_cell(l, "Size", size(a, c));
    list_cell(l, "Labels", cell_labels(a, &c->labels));
    list_cell(l, "Mounts", mounts(a, c, whole, &local));
    list_cellf(l, "LocalVolumes", "%d", local);
    list_cell(l, "Networks", networks(a, c));
    list_null(l, "Platform");
    return list_row_end(l, &c->labels, err);
}

static const char *target(struct cli *cli, const struct ps_opts *o, const char *format,
                          struct err *err)
{
    char *t = cli_target(cli, "/containers/json", NULL, NULL);
    int64_t limit = o->latest ? 1 : o->last;

    if (o->all)
        t = cli_query(cli, t, "all", "1");
    if (limit > 0)
        t = cli_query(cli, t, "limit", arena_printf(&cli->arena, "%lld", (long long)limit));
    if (o->size || list_wants(format, ".Size"))
        t = cli_query(cli, t, "size", "1");
    return cli_query_filters(cli, t, &o->filter, err);
}

static int run(struct cli *cli, void *opts_, const struct strv *args, struct err *err)
{
    const struct ps_opts *o = opts_;
    struct objv v = {0};
    auto_list struct list l = {0};

    (void)args;
    const char *format =
        str_empty(o->format) && !o->quiet ? config_str(cli, "psFormat") : o->format;
    if (o->quiet && str_empty(o->format))
        format = "{{.ID}}";
    int r = need_client(cli, err);
    if (r < 0)
        return r;
    r = list_begin(&l, &cli->arena, format, o->size ? TABLE "\t{{.Size}}" : TABLE, headings, err);
    if (r < 0 ||
        (r = call_list(cli, target(cli, o, format, err), &container_summary_type, &v, err)) < 0)
        return r;
    for (size_t i = 0; i < v.n && r >= 0; i++)
        r = put_row(&l, v.v[i], o->no_trunc, err);
    if (r >= 0)
        list_end(&l);
    return r;
}

const struct command cmd_ps = {
    .paths = (const char *const[]){"container ls", "container list", "container ps", "ps", NULL},
    .usage = "[OPTIONS]",
    .help = "List containers",
    OPTS(opts),
    .opts_size = sizeof(struct ps_opts),
    .run = run,
};
