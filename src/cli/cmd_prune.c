#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/units.h"
#include "wire/container.h"
#include "wire/image.h"
#include "wire/network.h"
#include "wire/system.h"
#include "wire/volume.h"

/* The prune commands. Each kind of object is a row: what is asked, called and printed. */

struct prune_opts {
    bool force, all, volumes, verbose;
    struct strv filter;
    int64_t keep_storage, reserved_space, max_used_space, min_free_space;
};

struct totals {
    uint64_t bytes;
};

static void print_names(const char *title, const struct strv *v)
{
    if (v->n == 0)
        return;
    printf("%s:\n", title);
    for (size_t i = 0; i < v->n; i++)
        printf("%s\n", v->v[i]);
    printf("\n");
}

static int prune_containers(struct cli *cli, const char *target, struct totals *t, struct err *err)
{
    struct container_prune_response out = {0};
    int r = call_post(cli, target, NULL, NULL, &container_prune_response_type, &out, err);

    if (r < 0)
        return r;
    print_names("Deleted Containers", &out.deleted);
    t->bytes += out.space_reclaimed_b;
    return 0;
}

static int prune_images(struct cli *cli, const char *target, struct totals *t, struct err *err)
{
    struct image_prune_response out = {0};
    int r = call_post(cli, target, NULL, NULL, &image_prune_response_type, &out, err);

    if (r < 0)
        return r;
    if (out.deleted.n)
        printf("Deleted Images:\n");
    for (size_t i = 0; i < out.deleted.n; i++) {
        const struct image_delete_item *d = out.deleted.v[i];
        if (!str_empty(d->untagged))
            printf("untagged: %s\n", d->untagged);
        else
            printf("deleted: %s\n", d->deleted);
    }
    if (out.deleted.n)
        printf("\n");
    t->bytes += out.space_reclaimed_b;
    return 0;
}

static int prune_networks(struct cli *cli, const char *target, struct totals *t, struct err *err)
{
    struct network_prune_response out = {0};
    int r = call_post(cli, target, NULL, NULL, &network_prune_response_type, &out, err);

    (void)t;
    if (r < 0)
        return r;
    print_names("Deleted Networks", &out.deleted);
    return 0;
}

static int prune_volumes(struct cli *cli, const char *target, struct totals *t, struct err *err)
{
    struct volume_prune_response out = {0};
    int r = call_post(cli, target, NULL, NULL, &volume_prune_response_type, &out, err);

    if (r < 0)
        return r;
    print_names("Deleted Volumes", &out.deleted);
    t->bytes += out.space_reclaimed_b;
    return 0;
}

static int prune_builds(struct cli *cli, const char *target, struct totals *t, struct err *err)
{
    struct build_prune_response out = {0};
    int r = call_post(cli, target, NULL, NULL, &build_prune_response_type, &out, err);

    if (r < 0)
        return r;
    print_names("Deleted build cache objects", &out.deleted);
    t->bytes += out.space_reclaimed_b;
    return 0;
}

struct kind {
    const char *name, *path, *warning, *warning_all;
    const char *all_filter; /* what --all means to the daemon */
    int (*prune)(struct cli *cli, const char *target, struct totals *t, struct err *err);
    bool space;
};

static const struct kind kinds[] = {
    {"container", "/containers/prune", "This will remove all stopped containers.", NULL, NULL,
     prune_containers, true},
    {"network", "/networks/prune",
     "This will remove all custom networks not used by at least one container.", NULL, NULL,
     prune_networks, false},
    {"volume", "/volumes/prune",
     "This will remove anonymous local volumes not used by at least one container.",
     "This will remove all local volumes not used by at least one container.", "all=true",
     prune_volumes, true},
    {"image", "/images/prune", "This will remove all dangling images.",
     "This will remove all images without at least one container associated to them.",
     "dangling=false", prune_images, true},
    {"build", "/build/prune", "This will remove all dangling build cache.",
     "This will remove all build cache.", NULL, prune_builds, true},
};

/* What may stay of the build cache; the daemon knows them by these names. */
static char *build_query(struct cli *cli, char *t, const struct prune_opts *o, bool all)
{
    const struct {
        const char *key;
        int64_t val;
    } sizes[] = {{"keep-storage", o->keep_storage},
                 {"reserved-space", o->reserved_space},
                 {"max-used-space", o->max_used_space},
                 {"min-free-space", o->min_free_space}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].val)
            t = cli_query(cli, t, sizes[i].key,
                          arena_printf(&cli->arena, "%lld", (long long)sizes[i].val));
    return all ? cli_query(cli, t, "all", "1") : t;
}

static int prune_kind(struct cli *cli, const struct kind *k, const struct prune_opts *o, bool all,
                      struct totals *t, struct err *err)
{
    struct strv filters = strv_clone(&cli->arena, &o->filter);

    if (all && k->all_filter)
        strv_push(&cli->arena, &filters, k->all_filter);
    else if (str_eq(k->name, "image"))
        strv_push(&cli->arena, &filters, "dangling=true");
    char *target = cli_query_filters(cli, cli_target(cli, k->path, NULL, NULL), &filters, err);
    if (str_eq(k->name, "build"))
        target = build_query(cli, target, o, all);
    return k->prune(cli, target, t, err);
}

static void print_total(const struct totals *t)
{
    char text[UNITS_TEXT];

    printf("Total reclaimed space: %s\n", units_size((double)t->bytes, 4, text));
}

static bool agreed(struct cli *cli, const struct prune_opts *o, const char *warning)
{
    if (o->force)
        return true;
    return confirm(
        arena_printf(&cli->arena, "WARNING! %s\nAre you sure you want to continue?", warning));
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct prune_opts *o = opts;
    const struct kind *k = kinds;
    struct totals t = {0};

    (void)args;
    while (!str_starts(cli->path, k->name)) /* one of them it is */
        k++;
    if (!agreed(cli, o, o->all && k->warning_all ? k->warning_all : k->warning))
        return err_as(err, ERR_INVALID, ECANCELED, "%s has been cancelled", cli->path);
    int r = need_client(cli, err);
    if (r < 0 || (r = prune_kind(cli, k, o, o->all, &t, err)) < 0)
        return r;
    if (k->space)
        print_total(&t);
    return 0;
}

/* ---- system prune ---- */

/* The build cache knows no labels: who asks for some does not mean it. */
static bool may_prune_builds(const struct prune_opts *o)
{
    for (size_t i = 0; i < o->filter.n; i++)
        if (!str_starts(o->filter.v[i], "until="))
            return false;
    return true;
}

static int run_system(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct prune_opts *o = opts;
    struct totals t = {0};
    char *warning = arena_printf(
        &cli->arena,
        "This will remove:\n  - all stopped containers\n  - all networks not used by at least one "
        "container\n%s  - all %s\n  - %s build cache\n",
        o->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
        o->all ? "images without at least one container associated to them" : "dangling images",
        o->all ? "all" : "unused");

    (void)args;
    if (!agreed(cli, o, warning))
        return err_as(err, ERR_INVALID, ECANCELED, "system prune has been cancelled");
    int r = need_client(cli, err);
    for (size_t i = 0; r >= 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool volume = str_eq(kinds[i].name, "volume");
        bool build = str_eq(kinds[i].name, "build");
        if ((!volume || o->volumes) && (!build || may_prune_builds(o)))
            r = prune_kind(cli, &kinds[i], o, o->all && !volume, &t, err);
    }
    if (r < 0)
        return r;
    print_total(&t);
    return 0;
}

#define O(...) OPT(struct prune_opts, __VA_ARGS__)
#define FILTER                                                                                     \
    O("filter", 0, O_CUSTOM, filter, "Only remove what meets the conditions", .type = "filter",    \
      .check = check_filter)
#define FORCE O("force", 'f', O_BOOL, force, "Do not ask before")

static const struct opt prune_opts[] = {FILTER, FORCE};
static const struct opt image_opts[] = {
    O("all", 'a', O_BOOL, all, "Remove all unused images, not only dangling ones"), FILTER, FORCE};
static const struct opt volume_opts[] = {
    O("all", 'a', O_BOOL, all, "Remove all unused volumes, not only anonymous ones"), FILTER,
    FORCE};
static const struct opt builder_opts[] = {
    O("all", 'a', O_BOOL, all, "Remove all of it: also what images share, and kept contexts"),
    FILTER,
    FORCE,
    O("keep-storage", 0, O_BYTES, keep_storage, "The same as --reserved-space", .def = "0"),
    O("max-used-space", 0, O_BYTES, max_used_space, "How much of it may stay at most", .def = "0"),
    O("min-free-space", 0, O_BYTES, min_free_space,
      "How much shall be free on the disk, as far as the reserved space allows", .def = "0"),
    O("reserved-space", 0, O_BYTES, reserved_space, "How much of it may stay in any case",
      .def = "0"),
    O("verbose", 0, O_BOOL, verbose, "Accepted, without effect", .flags = OPT_HIDDEN),
};
static const struct opt system_opts[] = {
    O("all", 'a', O_BOOL, all, "Remove all unused images, not only dangling ones"), FILTER, FORCE,
    O("volumes", 0, O_BOOL, volumes, "Remove anonymous volumes as well")};

const struct command cmd_container_prune = {
    .paths = (const char *const[]){"container prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove all stopped containers",
    OPTS(prune_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run,
};
const struct command cmd_image_prune = {
    .paths = (const char *const[]){"image prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove unused images",
    OPTS(image_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run,
};
const struct command cmd_network_prune = {
    .paths = (const char *const[]){"network prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove all unused networks",
    OPTS(prune_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run,
};
const struct command cmd_volume_prune = {
    .paths = (const char *const[]){"volume prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove unused volumes",
    OPTS(volume_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run,
};
const struct command cmd_builder_prune = {
    .paths = (const char *const[]){"builder prune", "buildx prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove the build cache",
    OPTS(builder_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run,
};
const struct command cmd_system_prune = {
    .paths = (const char *const[]){"system prune", NULL},
    .usage = "[OPTIONS]",
    .help = "Remove what nothing uses",
    OPTS(system_opts),
    .opts_size = sizeof(struct prune_opts),
    .run = run_system,
};
