#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/units.h"
#include "wire/system.h"

/* cleat system df. */

struct df_opts {
    bool verbose;
    char *format;
};

struct usage {
    const char *type;
    size_t total, active;
    int64_t size, reclaimable;
    bool percent;
};

static const struct heading headings[] = {
    {"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
    {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"}, {NULL, "*formatter.diskUsageImagesContext"},
};

static struct usage images(const struct disk_usage *d)
{
    struct usage u = {"Images", d->images.n, 0, d->layers_size_b, 0, true};
    int64_t used = 0;

    for (size_t i = 0; i < d->images.n; i++) {
        const struct image_summary *img = d->images.v[i];
        if (img->containers == 0)
            continue;
        u.active++;
        if (img->size_b >= 0 && img->shared_size_b >= 0)
            used += img->size_b - img->shared_size_b;
    }
    u.reclaimable = u.size - used;
    return u;
}

static bool is_active(const struct container_summary *c)
{
    return str_eq(c->state, "running") || str_eq(c->state, "paused") ||
           str_eq(c->state, "restarting");
}

static struct usage containers(const struct disk_usage *d)
{
    struct usage u = {"Containers", d->containers.n, 0, 0, 0, true};

    for (size_t i = 0; i < d->containers.n; i++) {
        const struct container_summary *c = d->containers.v[i];
        int64_t size = c->size_rw_b ? *c->size_rw_b : 0;
        u.size += size;
        if (is_active(c))
            u.active++;
        else
            u.reclaimable += size;
    }
    return u;
}

static struct usage volumes(const struct disk_usage *d)
{
    struct usage u = {"Local Volumes", d->volumes.n, 0, 0, 0, true};

    for (size_t i = 0; i < d->volumes.n; i++) {
        const struct volume_usage *v = d->volumes.v[i]->usage;
        if (!v || v->size_b < 0)
            continue;
        u.size += v->size_b;
        u.active += v->ref_count > 0;
        u.reclaimable += v->ref_count == 0 ? v->size_b : 0;
    }
    return u;
}

static struct usage build_cache(const struct disk_usage *d)
{
    struct usage u = {"Build Cache", d->build_cache.n, 0, 0, 0, false};

    for (size_t i = 0; i < d->build_cache.n; i++) {
        const struct build_cache_record *b = d->build_cache.v[i];
        u.size += b->shared ? 0 : b->size_b;
        u.active += b->in_use;
        u.reclaimable += b->in_use || b->shared ? 0 : b->size_b;
    }
    return u;
}

static int put_row(struct list *l, const struct usage *u, struct err *err)
{
    char size[UNITS_TEXT], free_b[UNITS_TEXT];

    list_row(l);
    list_cell(l, "Type", u->type);
    list_cellf(l, "TotalCount", "%zu", u->total);
    list_cellf(l, "Active", "%zu", u->active);
    list_cell(l, "Size", units_size((double)u->size, 4, size));
    units_size((double)u->reclaimable, 4, free_b);
    if (u->percent && u->size > 0)
        list_cellf(l, "Reclaimable", "%s (%lld%%)", free_b,
                   (long long)(u->reclaimable * 100 / u->size));
    else
        list_cell(l, "Reclaimable", free_b);
    return list_row_end(l, NULL, err);
}

/* Of a time as the API writes it. */
static char *ago(struct arena *a, const char *text)
{
    int64_t t = 0;

    if (str_empty(text) || time_parse_rfc3339(text, strlen(text), &t) < 0)
        return arena_strdup(a, "");
    return cell_ago(a, t / NS_PER_S);
}

static void print_containers(const struct disk_usage *d, struct list *l, struct err *err)
{
    static const struct heading h[] = {{"ID", "CONTAINER ID"}, {"Image", "IMAGE"}, {"Size", "SIZE"},
                                       {"Status", "STATUS"},   {"Names", "NAMES"}, {NULL, NULL}};
    struct arena *a = l->a;

    if (list_begin(l, a, "table {{.ID}}\t{{.Image}}\t{{.Size}}\t{{.Status}}\t{{.Names}}", "", h,
                   err) < 0)
        return;
    for (size_t i = 0; i < d->containers.n; i++) {
        const struct container_summary *c = d->containers.v[i];
        list_row(l);
        list_cell(l, "ID", cell_short_id(a, c->id, false));
        list_cell(l, "Image", c->image);
        list_cell(l, "Size", cell_size(a, c->size_rw_b ? (double)*c->size_rw_b : 0));
        list_cell(l, "Status", c->status);
        list_cell(l, "Names", c->names.n ? c->names.v[0] + (c->names.v[0][0] == '/') : "");
        (void)!list_row_end(l, NULL, err);
    }
    printf("\nContainers space usage:\n\n");
    list_end(l);
}

static void print_images(const struct disk_usage *d, struct list *l, struct err *err)
{
    static const struct heading h[] = {{"Repo", "REPOSITORY:TAG"},
                                       {"ID", "IMAGE ID"},
                                       {"Created", "CREATED"},
                                       {"Size", "SIZE"},
                                       {"Shared", "SHARED SIZE"},
                                       {"Containers", "CONTAINERS"},
                                       {NULL, NULL}};
    struct arena *a = l->a;

    if (list_begin(
            l, a, "table {{.Repo}}\t{{.ID}}\t{{.Created}}\t{{.Size}}\t{{.Shared}}\t{{.Containers}}",
            "", h, err) < 0)
        return;
    for (size_t i = 0; i < d->images.n; i++) {
        const struct image_summary *m = d->images.v[i];
        list_row(l);
        list_cell(l, "Repo", m->repo_tags.n ? m->repo_tags.v[0] : "<none>");
        list_cell(l, "ID", cell_short_id(a, m->id, false));
        list_cell(l, "Created", cell_ago(a, m->created_s));
        list_cell(l, "Size", cell_size(a, (double)m->size_b));
        list_cell(l, "Shared", cell_size(a, m->shared_size_b > 0 ? (double)m->shared_size_b : 0));
        list_cellf(l, "Containers", "%lld", (long long)m->containers);
        (void)!list_row_end(l, NULL, err);
    }
    printf("Images space usage:\n\n");
    list_end(l);
}

static void print_volumes(const struct disk_usage *d, struct list *l, struct err *err)
{
    static const struct heading h[] = {
        {"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}, {NULL, NULL}};
    struct arena *a = l->a;

    if (list_begin(l, a, "table {{.Name}}\t{{.Links}}\t{{.Size}}", "", h, err) < 0)
        return;
    for (size_t i = 0; i < d->volumes.n; i++) {
        const struct volume_info *v = d->volumes.v[i];
        list_row(l);
        list_cell(l, "Name", v->name);
        list_cellf(l, "Links", "%lld", v->usage ? (long long)v->usage->ref_count : 0);
        list_cell(l, "Size",
                  cell_size(a, v->usage && v->usage->size_b > 0 ? (double)v->usage->size_b : 0));
        (void)!list_row_end(l, NULL, err);
    }
    printf("\nLocal Volumes space usage:\n\n");
    list_end(l);
}

static void print_builds(const struct disk_usage *d, struct list *l, struct err *err)
{
    static const struct heading h[] = {
        {"ID", "CACHE ID"},    {"Type", "CACHE TYPE"}, {"Size", "SIZE"},     {"Created", "CREATED"},
        {"Used", "LAST USED"}, {"Usage", "USAGE"},     {"Shared", "SHARED"}, {NULL, NULL}};
    struct arena *a = l->a;

    if (list_begin(l, a,
                   "table {{.ID}}\t{{.Type}}\t{{.Size}}\t{{.Created}}\t{{.Used}}\t{{.Usage}}\t"
                   "{{.Shared}}",
                   "", h, err) < 0)
        return;
    for (size_t i = 0; i < d->build_cache.n; i++) {
        const struct build_cache_record *b = d->build_cache.v[i];
        list_row(l);
        list_cell(l, "ID", cell_short_id(a, b->id, false));
        list_cell(l, "Type", b->type);
        list_cell(l, "Size", cell_size(a, (double)b->size_b));
        list_cell(l, "Created", ago(a, b->created_at));
        list_cell(l, "Used", ago(a, b->last_used_at));
        list_cellf(l, "Usage", "%lld", (long long)b->usage_count);
        list_cell(l, "Shared", b->shared ? "true" : "false");
        (void)!list_row_end(l, NULL, err);
    }
    printf("\nBuild cache usage: %s\n\n", cell_size(a, (double)build_cache(d).size));
    list_end(l);
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct df_opts *o = opts;
    struct disk_usage d = {0};
    struct list l = {.a = &cli->arena};
    int r = need_client(cli, err);

    (void)args;
    if (r < 0)
        return r;
    r = call_get(cli, cli_target(cli, "/system/df", NULL, NULL), &disk_usage_type, &d, err);
    if (r < 0)
        return r;
    if (o->verbose && str_empty(o->format)) {
        print_images(&d, &l, err);
        print_containers(&d, &l, err);
        print_volumes(&d, &l, err);
        print_builds(&d, &l, err);
        return 0;
    }
    const struct usage rows[] = {images(&d), containers(&d), volumes(&d), build_cache(&d)};
    r = list_begin(&l, &cli->arena, o->format,
                   "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
                   headings, err);
    for (size_t i = 0; i < 4 && r == 0; i++)
        r = put_row(&l, &rows[i], err);
    if (r == 0)
        list_end(&l);
    return r;
}

static const struct opt opts[] = {
    OPT(struct df_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct df_opts, "verbose", 'v', O_BOOL, verbose, "Show every single object"),
};

const struct command cmd_df = {
    .paths = (const char *const[]){"system df", NULL},
    .usage = "[OPTIONS]",
    .help = "Show how much room everything takes",
    OPTS(opts),
    .opts_size = sizeof(struct df_opts),
    .run = run,
};
