#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/download.h"
#include "cli/progress.h"
#include "cli/pull.h"
#include "cli/session.h"
#include "cli/transfer.h"
#include "wire/config.h"
#include "wire/system.h"

/* Images and file systems in and out: load, save, import, export, commit, pull, push. */

struct transfer_opts {
    char *input, *output, *platform, *message, *author;
    bool quiet, all, pause, disable_content_trust;
    struct strv change;
};

ssize_t transfer_read(void *arg, void *p, size_t n)
{
    ssize_t r;

    do
        r = read(*(int *)arg, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int transfer_input(struct cli *cli, const char *path, int *ret, struct err *err)
{
    bool standard = str_empty(path) || str_eq(path, "-");
    int fd = standard ? fcntl(0, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_as(err, ERR_SYSTEM, errno, "open %s: %s", path, errno_text(&cli->arena, errno));
    *ret = fd;
    return 0;
}

/* Send a file as the body and show the progress that comes back. */
static int upload(struct cli *cli, const char *target, int fd, const char *type, bool quiet,
                  struct err *err)
{
    struct http_call call = {.method = "POST",
                             .target = target,
                             .body_fn = transfer_read,
                             .body_arg = &fd,
                             .content_type = type};
    struct http_reply *reply = NULL;
    int r = client_open(cli->client, &call, &reply, err);

    return r < 0 ? r : progress_run(cli, reply, quiet, false, err);
}

/* ---- load, save ---- */

static int run_load(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    auto_close int fd = -1;

    (void)args;
    if (str_empty(o->input) && isatty(0))
        return err_invalid(err, "requested load from stdin, but stdin is empty");
    int r = transfer_input(cli, o->input, &fd, err);
    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    char *t = cli_target(cli, "/images/load", NULL, NULL);
    t = cli_query(cli, t, "quiet", o->quiet || !isatty(1) ? "1" : "0");
    if ((r = cli_query_platform(cli, t, "platform", o->platform, &t, err)) < 0)
        return r;
    return upload(cli, t, fd, "application/x-tar", false, err);
}

static int run_save(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    char *t = args->n == 1 ? cli_target(cli, "/images/%r/get", args->v[0], NULL)
                           : cli_target(cli, "/images/get", NULL, NULL);
    for (size_t i = 0; args->n > 1 && i < args->n; i++)
        t = cli_query(cli, t, "names", args->v[i]);
    if ((r = cli_query_platform(cli, t, "platform", o->platform, &t, err)) < 0)
        return r;
    return download_to(cli, t, o->output, "save image", err);
}

/* ---- import, export, commit ---- */

static int run_import(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    const char *src = args->v[0];
    auto_close int fd = -1;
    bool url = str_starts(src, "http://") || str_starts(src, "https://");
    int r = url ? 0 : transfer_input(cli, src, &fd, err);

    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    char *t =
        cli_query(cli, cli_target(cli, "/images/create", NULL, NULL), "fromSrc", url ? src : "-");
    if (args->n > 1) {
        char *name = NULL, *tag = NULL;
        if ((r = ref_check(args->v[1], err)) < 0)
            return r;
        ref_split(&cli->arena, args->v[1], &name, &tag);
        t = cli_query(cli, t, "repo", name);
        t = cli_query(cli, t, "tag", tag);
    }
    t = cli_query(cli, t, "message", str_empty(o->message) ? NULL : o->message);
    t = cli_query(cli, t, "platform", str_empty(o->platform) ? NULL : o->platform);
    for (size_t i = 0; i < o->change.n; i++)
        t = cli_query(cli, t, "changes", o->change.v[i]);
    if (!url)
        return upload(cli, t, fd, "application/x-tar", false, err);
    struct http_call call = {.method = "POST", .target = t};
    struct http_reply *reply = NULL;
    r = client_open(cli->client, &call, &reply, err);
    return r < 0 ? r : progress_run(cli, reply, false, false, err);
}

static int run_export(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    return download_to(cli, cli_target(cli, "/containers/%s/export", args->v[0], NULL), o->output,
                       "export container", err);
}

static int run_commit(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    struct id_response out = {0};
    struct container_config none = {0};
    char *name = NULL, *tag = NULL;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    char *t = cli_query(cli, cli_target(cli, "/commit", NULL, NULL), "container", args->v[0]);
    if (args->n > 1) {
        if ((r = ref_check(args->v[1], err)) < 0)
            return r;
        ref_split(&cli->arena, args->v[1], &name, &tag);
        t = cli_query(cli, t, "repo", name);
        t = cli_query(cli, t, "tag", tag ? tag : "latest");
    }
    t = cli_query(cli, t, "comment", str_empty(o->message) ? NULL : o->message);
    t = cli_query(cli, t, "author", str_empty(o->author) ? NULL : o->author);
    t = cli_query(cli, t, "pause", o->pause ? NULL : "0");
    for (size_t i = 0; i < o->change.n; i++)
        t = cli_query(cli, t, "changes", o->change.v[i]);
    r = call_post(cli, t, &container_config_type, &none, &id_response_type, &out, err);
    if (r < 0)
        return r;
    printf("%s\n", out.id);
    return 0;
}

/* ---- pull, push ---- */

static int run_pull(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    const char *ref = args->v[0];
    char *name = NULL, *tag = NULL;
    int r = ref_check(ref, err);

    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    ref_split(&cli->arena, ref, &name, &tag);
    if (o->all && tag)
        return err_invalid(err, "tag can't be used with --all-tags/-a");
    if (!o->all && !tag && !o->quiet)
        printf("Using default tag: latest\n");
    const char *platform = str_or(o->platform, getenv("DOCKER_DEFAULT_PLATFORM"));
    r = pull_image(cli, ref, platform, o->all, o->quiet, false, err);
    if (r == 0)
        printf("%s\n", ref_full(&cli->arena, ref));
    return r;
}

static int run_push(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct transfer_opts *o = opts;
    char *name = NULL, *tag = NULL;
    int r = ref_check(args->v[0], err);

    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    ref_split(&cli->arena, args->v[0], &name, &tag);
    if (o->all && tag)
        return err_invalid(err, "tag can't be used with --all-tags/-a");
    if (!o->all && !tag && !o->quiet)
        printf("Using default tag: latest\n");
    r = push_image(cli, args->v[0], o->platform, o->all, o->quiet, false, err);
    if (r >= 0 && o->quiet)
        printf("%s\n", ref_full(&cli->arena, args->v[0]));
    return r;
}

/* ---- tables ---- */

#define O(...) OPT(struct transfer_opts, __VA_ARGS__)
#define TRUST                                                                                      \
    O("disable-content-trust", 0, O_BOOL, disable_content_trust, "Accepted, without effect",       \
      .def = "true")

static const struct opt load_opts[] = {
    O("input", 'i', O_STR, input, "Read from this file, not from STDIN"),
    O("platform", 0, O_STR, platform, "Only load this platform"),
    O("quiet", 'q', O_BOOL, quiet, "Do not show the progress"),
};
static const struct opt save_opts[] = {
    O("output", 'o', O_STR, output, "Write to this file, not to STDOUT"),
    O("platform", 0, O_STR, platform, "Only save this platform"),
};
static const struct opt import_opts[] = {
    O("change", 'c', O_LIST, change, "Apply a Dockerfile instruction to the image"),
    O("message", 'm', O_STR, message, "Comment of the image"),
    O("platform", 0, O_STR, platform, "Platform of the image"),
};
static const struct opt export_opts[] = {
    O("output", 'o', O_STR, output, "Write to this file, not to STDOUT"),
};
static const struct opt commit_opts[] = {
    O("author", 'a', O_STR, author, "Author (\"John Hannibal Smith <hannibal@a-team.com>\")"),
    O("change", 'c', O_LIST, change, "Apply a Dockerfile instruction to the image"),
    O("message", 'm', O_STR, message, "Comment of the image"),
    O("pause", 'p', O_BOOL, pause, "Pause the container meanwhile", .def = "true"),
};
static const struct opt pull_opts[] = {
    O("all-tags", 'a', O_BOOL, all, "Download every tag of the repository"),
    TRUST,
    O("platform", 0, O_STR, platform, "Platform to download"),
    O("quiet", 'q', O_BOOL, quiet, "Do not show the progress"),
};
static const struct opt push_opts[] = {
    O("all-tags", 'a', O_BOOL, all, "Upload every tag of the repository"),
    TRUST,
    O("platform", 0, O_STR, platform, "Platform to upload"),
    O("quiet", 'q', O_BOOL, quiet, "Do not show the progress"),
};

const struct command cmd_load = {
    .paths = (const char *const[]){"image load", "load", NULL},
    .usage = "[OPTIONS]",
    .help = "Load images from a tar archive or STDIN",
    OPTS(load_opts),
    .opts_size = sizeof(struct transfer_opts),
    .run = run_load,
};
const struct command cmd_save = {
    .paths = (const char *const[]){"image save", "save", NULL},
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .help = "Save images as a tar archive (to STDOUT by default)",
    OPTS(save_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, -1},
    .run = run_save,
};
const struct command cmd_import = {
    .paths = (const char *const[]){"image import", "import", NULL},
    .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    .help = "Make an image of a tar archive of files",
    OPTS(import_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, 2},
    .run = run_import,
};
const struct command cmd_export = {
    .paths = (const char *const[]){"container export", "export", NULL},
    .usage = "[OPTIONS] CONTAINER",
    .help = "Write a container's files as a tar archive",
    OPTS(export_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, 1},
    .run = run_export,
};
const struct command cmd_commit = {
    .paths = (const char *const[]){"container commit", "commit", NULL},
    .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    .help = "Make an image of a container's changes",
    OPTS(commit_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, 2},
    .run = run_commit,
};
const struct command cmd_pull = {
    .paths = (const char *const[]){"image pull", "pull", NULL},
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .help = "Download an image from a registry",
    OPTS(pull_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, 1},
    .run = run_pull,
};
const struct command cmd_push = {
    .paths = (const char *const[]){"image push", "push", NULL},
    .usage = "[OPTIONS] NAME[:TAG]",
    .help = "Upload an image to a registry",
    OPTS(push_opts),
    .opts_size = sizeof(struct transfer_opts),
    .args = {1, 1},
    .run = run_push,
};
