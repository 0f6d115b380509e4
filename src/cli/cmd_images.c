#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/images_tree.h"
#include "cli/list.h"
#include "cli/pull.h"
#include "cli/units.h"
#include "wire/image.h"

/* cleat images, rmi, tag, history, image prune. */

struct images_opts {
    bool all, digests, no_trunc, quiet, tree;
    struct strv filter;
    char *format;
};

static const struct heading image_headings[] = {
    {"ID", "IMAGE ID"},
    {"Repository", "REPOSITORY"},
    {"Tag", "TAG"},
    {"Digest", "DIGEST"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"Size", "SIZE"},
    {"Containers", "CONTAINERS"},
    {"VirtualSize", "SIZE"},
    {"SharedSize", "SHARED SIZE"},
    {"UniqueSize", "UNIQUE SIZE"},
    {NULL, "*formatter.imageContext"},
};

#define IMAGES "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
#define IMAGES_DIGESTS                                                                             \
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

struct image_row {
    const struct image_summary *img;
    const char *repo, *tag, *digest;
    bool whole;
};

static int put_row(struct list *l, const struct image_row *r, struct err *err)
{
    const struct image_summary *i = r->img;
    struct arena *a = l->a;
    char virtual_size[UNITS_TEXT];

    list_row(l);
    list_cell(l, "ID", cell_short_id(a, i->id, r->whole));
    list_cell(l, "Repository", r->repo);
    list_cell(l, "Tag", r->tag);
    list_cell(l, "Digest", r->digest);
    list_cell(l, "CreatedSince", cell_ago(a, i->created_s));
    list_cell(l, "CreatedAt", cell_time(a, i->created_s));
    list_cell(l, "Size", cell_size(a, (double)i->size_b));
    if (i->containers < 0)
        list_cell(l, "Containers", "N/A");
    else
        list_cellf(l, "Containers", "%lld", (long long)i->containers);
    list_cell(l, "VirtualSize", units_size((double)i->size_b, 4, virtual_size));
    list_cell(l, "SharedSize",
              i->shared_size_b < 0 ? "N/A" : cell_size(a, (double)i->shared_size_b));
    list_cell(l, "UniqueSize",
              i->shared_size_b < 0 ? "N/A" : cell_size(a, (double)(i->size_b - i->shared_size_b)));
    return list_row_end(l, &i->labels, err);
}

/* "repo@sha256:..." of the same repository, or "<none>". */
static const char *digest_of(const struct image_summary *i, const char *repo)
{
    for (size_t k = 0; k < i->repo_digests.n; k++) {
        const char *rest = str_starts(i->repo_digests.v[k], repo);
        if (rest && *rest == '@')
            return rest + 1;
    }
    return "<none>";
}

static int put_untagged(struct list *l, struct image_row *row, struct err *err)
{
    const struct image_summary *i = row->img;

    row->repo = row->tag = row->digest = "<none>";
    if (i->repo_digests.n == 0)
        return put_row(l, row, err);
    for (size_t k = 0; k < i->repo_digests.n; k++) {
        char *name = NULL, *digest = NULL;
        ref_split(l->a, i->repo_digests.v[k], &name, &digest);
        row->repo = name;
        row->digest = digest;
        int r = put_row(l, row, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int put_image(struct list *l, const struct image_summary *i, const struct images_opts *o,
                     struct err *err)
{
    struct image_row row = {.img = i, .whole = o->no_trunc};
    size_t shown = 0;

    for (size_t k = 0; k < i->repo_tags.n; k++) {
        char *name = NULL, *tag = NULL;
        ref_split(l->a, i->repo_tags.v[k], &name, &tag);
        if (str_eq(name, "<none>"))
            continue;
        row.repo = name;
        row.tag = tag ? tag : "<none>";
        row.digest = digest_of(i, name);
        int r = put_row(l, &row, err);
        if (r < 0)
            return r;
        shown++;
    }
    return shown ? 0 : put_untagged(l, &row, err);
}

static int check_tree(const struct images_opts *o, struct err *err)
{
    const char *other = o->quiet                ? "--quiet"
                        : o->no_trunc           ? "--no-trunc"
                        : o->digests            ? "--show-digest"
                        : !str_empty(o->format) ? "--format"
                                                : NULL;

    return o->tree && other ? err_invalid(err, "%s is not yet supported with --tree", other) : 0;
}

/* With -q an image with two tags is still one id per tag, as docker prints it. */
static int run_images(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct images_opts *o = opts;
    struct objv v = {0};
    auto_list struct list l = {0};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    if ((r = check_tree(o, err)) < 0)
        return r;
    if (args->n > 0)
        strv_push(&cli->arena, &o->filter, arena_printf(&cli->arena, "reference=%s", args->v[0]));
    const char *format =
        str_empty(o->format) && !o->quiet ? config_str(cli, "imagesFormat") : o->format;
    if (o->quiet && str_empty(o->format))
        format = "{{.ID}}";
    char *t = cli_target(cli, "/images/json", NULL, NULL);
    t = cli_query(cli, t, "all", o->all ? "1" : NULL);
    t = cli_query(cli, t, "digests", o->digests ? "1" : NULL);
    t = cli_query(cli, t, "manifests", o->tree ? "1" : NULL);
    t = cli_query_filters(cli, t, &o->filter, err);
    if (o->tree) {
        r = call_list(cli, t, &image_summary_type, &v, err);
        if (r >= 0)
            images_tree(cli, &v, o->all);
        return r;
    }
    r = list_begin(&l, &cli->arena, format, o->digests ? IMAGES_DIGESTS : IMAGES, image_headings,
                   err);
    if (r < 0 || (r = call_list(cli, t, &image_summary_type, &v, err)) < 0)
        return r;
    for (size_t i = 0; i < v.n && r == 0; i++)
        r = put_image(&l, v.v[i], o, err);
    if (r == 0)
        list_end(&l);
    return r;
}

/* ---- history ---- */

struct history_opts {
    bool human, no_trunc, quiet;
    char *format, *platform;
};

static const struct heading history_headings[] = {
    {"ID", "IMAGE"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedBy", "CREATED BY"},
    {"Size", "SIZE"},
    {"Comment", "COMMENT"},
    {NULL, "*image.historyContext"},
};

#define HISTORY(TIME) "table {{.ID}}\t{{." TIME "}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"

static int put_history(struct list *l, const struct image_history_item *h,
                       const struct history_opts *o, struct err *err)
{
    char *by = arena_strdup(l->a, h->created_by ? h->created_by : "");

    for (char *p = by; *p; p++)
        *p = *p == '\t' ? ' ' : *p;
    list_row(l);
    list_cell(l, "ID", cell_short_id(l->a, h->id, o->no_trunc));
    list_cell(l, "CreatedAt", cell_rfc3339(l->a, h->created_s));
    list_cell(l, "CreatedSince",
              o->human ? cell_ago(l->a, h->created_s) : cell_rfc3339(l->a, h->created_s));
    list_cell(l, "CreatedBy", o->no_trunc ? by : cell_cut(l->a, by, 45));
    if (o->human)
        list_cell(l, "Size", cell_size(l->a, (double)h->size_b));
    else
        list_cellf(l, "Size", "%lld", (long long)h->size_b);
    list_cell(l, "Comment", h->comment);
    return list_row_end(l, NULL, err);
}

static int run_history(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct history_opts *o = opts;
    struct objv v = {0};
    char *t = NULL;
    auto_list struct list l = {0};
    const char *format = o->quiet && str_empty(o->format) ? "{{.ID}}" : o->format;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    r = list_begin(&l, &cli->arena, format,
                   o->human ? HISTORY("CreatedSince") : HISTORY("CreatedAt"), history_headings,
                   err);
    if (r >= 0)
        r = cli_query_platform(cli, cli_target(cli, "/images/%r/history", args->v[0], NULL),
                               "platform", o->platform, &t, err);
    if (r < 0 || (r = call_list(cli, t, &image_history_item_type, &v, err)) < 0)
        return r;
    for (size_t i = 0; i < v.n && r == 0; i++)
        r = put_history(&l, v.v[i], o, err);
    if (r == 0)
        list_end(&l);
    return r;
}

/* ---- rmi, tag ---- */

struct rmi_opts {
    bool force, no_prune;
    struct strv platform;
};

static int rmi_one(struct cli *cli, const char *name, const struct rmi_opts *o, struct err *err)
{
    struct objv v = {0};
    const struct field list[] = {{.name = "list", .kind = F_OBJV, .type = &image_delete_item_type}};
    const struct json_type type = {.name = "list", .size = sizeof(v), .fields = list, .nfields = 1};
    struct buf text = BUF_INIT;
    char *t = cli_target(cli, "/images/%r", name, NULL);

    t = cli_query(cli, t, "force", o->force ? "1" : NULL);
    t = cli_query(cli, t, "noprune", o->no_prune ? "1" : NULL);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < o->platform.n; i++)
        r = cli_query_platform(cli, t, "platforms", o->platform.v[i], &t, err);
    buf_puts(&text, "{\"list\":");
    if (r >= 0)
        r = client_text(cli->client, "DELETE", t, NULL, NULL, &text, err);
    buf_putc(&text, '}');
    if (r >= 0)
        r = json_decode(&type, text.data, text.len, &cli->arena, &v, 0, err);
    buf_done(&text);
    for (size_t i = 0; r >= 0 && i < v.n; i++) {
        const struct image_delete_item *d = v.v[i];
        if (!str_empty(d->deleted))
            printf("Deleted: %s\n", d->deleted);
        else
            printf("Untagged: %s\n", d->untagged);
    }
    return r;
}

static int run_rmi(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct rmi_opts *o = opts;
    int r = need_client(cli, err), status = 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < args->n; i++) {
        struct err e = {0};
        if (rmi_one(cli, args->v[i], o, &e) >= 0)
            continue;
        (void)fflush(stdout);
        fprintf(stderr, "%s\n", e.msg);
        if (!(o->force && e.kind == ERR_NOT_FOUND))
            status = 1;
    }
    return status;
}

static int run_tag(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    char *name = NULL, *tag = NULL;
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    if ((r = ref_check(args->v[1], err)) < 0)
        return err_wrap(err, r, "Error parsing reference: \"%s\" is not a valid repository/tag",
                        args->v[1]);
    ref_split(&cli->arena, args->v[1], &name, &tag);
    char *t = cli_target(cli, "/images/%r/tag", args->v[0], NULL);
    t = cli_query(cli, t, "repo", name);
    t = cli_query(cli, t, "tag", tag ? tag : "latest");
    r = call_do(cli, "POST", t, err);
    return r < 0 ? r : 0;
}

/* ---- tables ---- */

static const struct opt images_opts[] = {
    OPT(struct images_opts, "all", 'a', O_BOOL, all, "Show intermediate images too"),
    OPT(struct images_opts, "digests", 0, O_BOOL, digests, "Show digests"),
    OPT(struct images_opts, "filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter",
        .check = check_filter),
    OPT(struct images_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct images_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
    OPT(struct images_opts, "quiet", 'q', O_BOOL, quiet, "Only show the ids"),
    OPT(struct images_opts, "tree", 0, O_BOOL, tree,
        "List by name, with their platforms and how much room they take"),
};
static const struct opt history_opts[] = {
    OPT(struct history_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct history_opts, "human", 'H', O_BOOL, human, "Sizes and times for people",
        .def = "true"),
    OPT(struct history_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
    OPT(struct history_opts, "platform", 0, O_STR, platform, "Platform of the image to show"),
    OPT(struct history_opts, "quiet", 'q', O_BOOL, quiet, "Only show the ids"),
};
static const struct opt rmi_opts[] = {
    OPT(struct rmi_opts, "force", 'f', O_BOOL, force, "Remove it even if containers use it"),
    OPT(struct rmi_opts, "no-prune", 0, O_BOOL, no_prune, "Keep untagged parents"),
    OPT(struct rmi_opts, "platform", 0, O_CSV, platform, "Only remove these platforms"),
};

const struct command cmd_images = {
    .paths = (const char *const[]){"image ls", "image list", "images", NULL},
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .help = "List images",
    OPTS(images_opts),
    .opts_size = sizeof(struct images_opts),
    .args = {0, 1},
    .run = run_images,
};
const struct command cmd_history = {
    .paths = (const char *const[]){"image history", "history", NULL},
    .usage = "[OPTIONS] IMAGE",
    .help = "Show how an image was made",
    OPTS(history_opts),
    .opts_size = sizeof(struct history_opts),
    .args = {1, 1},
    .run = run_history,
};
const struct command cmd_rmi = {
    .paths = (const char *const[]){"image rm", "image remove", "rmi", NULL},
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .help = "Remove images",
    OPTS(rmi_opts),
    .opts_size = sizeof(struct rmi_opts),
    .args = {1, -1},
    .run = run_rmi,
};
const struct command cmd_tag = {
    .paths = (const char *const[]){"image tag", "tag", NULL},
    .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .help = "Give an image a further name",
    .args = {2, 2},
    .run = run_tag,
};
