#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/specs.h"
#include "cli/download.h"
#include "cli/transfer.h"
#include "wire/volume.h"

/* Whole volumes: clone, snapshot, export, import. Calls that Docker's engine does not have. */

#define SNAPSHOT_OF "cleat.snapshot.of"

struct copy_opts {
    struct strv label, opt;
    char *output;
    bool pause;
};

static int clone(struct cli *cli, const char *from, const struct copy_opts *o,
                 const struct volume_create_request *rq, struct err *err)
{
    struct volume_info out = {0};
    char *t = cli_target(cli, "/volumes/%s/clone", from, NULL);
    int r = call_post(cli, cli_query(cli, t, "pause", o->pause ? "1" : "0"),
                      &volume_create_request_type, rq, &volume_info_type, &out, err);

    if (r < 0)
        return r;
    printf("%s\n", out.name);
    return 0;
}

static int run_clone(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct copy_opts *o = opts;
    struct volume_create_request rq = {.name = args->v[1]};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    spec_map(&o->label, &cli->arena, &rq.labels);
    spec_map(&o->opt, &cli->arena, &rq.driver_opts);
    return clone(cli, args->v[0], o, &rq, err);
}

/* A clone that says what it is one of, and when it was made. */
static int run_snapshot(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct copy_opts *o = opts;
    struct volume_create_request rq = {0};
    time_t now = time(NULL);
    char when[32];
    struct tm tm;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    rq.name = args->n > 1 ? args->v[1] : arena_printf(&cli->arena, "%s-%s", args->v[0], when);
    spec_map(&o->label, &cli->arena, &rq.labels);
    strmap_set(&cli->arena, &rq.labels, SNAPSHOT_OF, args->v[0]);
    return clone(cli, args->v[0], o, &rq, err);
}

static int run_export(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct copy_opts *o = opts;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    char *t = cli_target(cli, "/volumes/%s/export", args->v[0], NULL);
    return download_to(cli, cli_query(cli, t, "pause", o->pause ? "1" : "0"), o->output,
                       "export volume", err);
}

/* As a parameter: a JSON object. */
static char *map_query(struct cli *cli, char *target, const char *key, const struct strv *given)
{
    struct strmap map = {0};
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};

    spec_map(given, &cli->arena, &map);
    if (map.n == 0)
        return target;
    json_w_obj(&w);
    for (size_t i = 0; i < map.n; i++) {
        json_w_key(&w, map.v[i].key);
        json_w_str(&w, map.v[i].val);
    }
    json_w_end_obj(&w);
    return cli_query(cli, target, key, buf_str(&text));
}

static int run_import(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct copy_opts *o = opts;
    const char *file = args->n > 1 ? args->v[1] : "-";
    auto_close int fd = -1;

    if (str_eq(file, "-") && isatty(0))
        return err_invalid(err, "an archive is expected on standard input, which is a terminal");
    int r = transfer_input(cli, file, &fd, err);
    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    char *t = cli_target(cli, "/volumes/%s/import", args->v[0], NULL);
    t = map_query(cli, t, "labels", &o->label);
    t = map_query(cli, t, "driveropts", &o->opt);
    struct http_call call = {.method = "POST",
                             .target = t,
                             .body_fn = transfer_read,
                             .body_arg = &fd,
                             .content_type = "application/x-tar"};
    struct http_reply *reply = NULL;
    r = client_open(cli->client, &call, &reply, err);
    if (r < 0)
        return r;
    http_reply_free(reply);
    printf("%s\n", args->v[0]);
    return 0;
}

#define O(...) OPT(struct copy_opts, __VA_ARGS__)
#define PAUSE_HELP "Pause containers that have it meanwhile"

static const struct opt clone_opts[] = {
    O("label", 0, O_LIST, label, "Set a label"),
    O("opt", 'o', O_MAP, opt, "Option of the driver, instead of the original's", .def = "map[]"),
    O("pause", 'p', O_BOOL, pause, PAUSE_HELP, .def = "true"),
};
static const struct opt snapshot_opts[] = {
    O("label", 0, O_LIST, label, "Set a label"),
    O("pause", 'p', O_BOOL, pause, PAUSE_HELP, .def = "true"),
};
static const struct opt export_opts[] = {
    O("output", 'o', O_STR, output, "Write to a file instead of standard output"),
    O("pause", 'p', O_BOOL, pause, PAUSE_HELP),
};
static const struct opt import_opts[] = {
    O("label", 0, O_LIST, label, "Set a label"),
    O("opt", 'o', O_MAP, opt, "Option of the driver", .def = "map[]"),
};

const struct command cmd_volume_clone = {
    .paths = (const char *const[]){"volume clone", NULL},
    .usage = "[OPTIONS] VOLUME NEW_VOLUME",
    .help = "Make a volume with what another has",
    OPTS(clone_opts),
    .opts_size = sizeof(struct copy_opts),
    .args = {2, 2},
    .run = run_clone,
};
const struct command cmd_volume_snapshot = {
    .paths = (const char *const[]){"volume snapshot", NULL},
    .usage = "[OPTIONS] VOLUME [NEW_VOLUME]",
    .help = "Keep what a volume has now, as a volume named after it and the time",
    OPTS(snapshot_opts),
    .opts_size = sizeof(struct copy_opts),
    .args = {1, 2},
    .run = run_snapshot,
};
const struct command cmd_volume_export = {
    .paths = (const char *const[]){"volume export", NULL},
    .usage = "[OPTIONS] VOLUME",
    .help = "Write a volume's files as a tar archive",
    OPTS(export_opts),
    .opts_size = sizeof(struct copy_opts),
    .args = {1, 1},
    .run = run_export,
};
const struct command cmd_volume_import = {
    .paths = (const char *const[]){"volume import", NULL},
    .usage = "[OPTIONS] NEW_VOLUME [FILE|-]",
    .help = "Make a volume of a tar archive",
    OPTS(import_opts),
    .opts_size = sizeof(struct copy_opts),
    .args = {1, 2},
    .run = run_import,
};
