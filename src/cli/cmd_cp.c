#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/session.h"

/* cleat cp, as far as it goes: tar archives from STDIN and to STDOUT. */

struct cp_opts {
    bool archive, follow, quiet;
};

/* "name:path" (a path of this machine has a slash or dot in front of its first colon). */
static bool is_container(struct cli *cli, const char *s, char **ret_name, const char **ret_path)
{
    const char *colon = strchr(s, ':');

    if (!colon || *s == '/' || *s == '.')
        return false;
    *ret_name = arena_strndup(&cli->arena, s, (size_t)(colon - s));
    *ret_path = colon + 1;
    return true;
}

static ssize_t read_stdin(void *arg, void *p, size_t n)
{
    ssize_t r;

    (void)arg;
    do
        r = read(0, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static int copy_in(struct cli *cli, const char *name, const char *path, struct err *err)
{
    struct http_reply *reply = NULL;
    char *t = cli_query(cli, cli_target(cli, "/containers/%s/archive", name, NULL), "path", path);
    struct http_call call = {.method = "PUT",
                             .target = cli_query(cli, t, "noOverwriteDirNonDir", "true"),
                             .body_fn = read_stdin,
                             .content_type = "application/x-tar"};
    int r = client_open(cli->client, &call, &reply, err);

    http_reply_free(reply);
    return r < 0 ? r : 0;
}

static int copy_out(struct cli *cli, const char *name, const char *path, struct err *err)
{
    struct http_reply *reply = NULL;
    struct http_call call = {
        .method = "GET",
        .target =
            cli_query(cli, cli_target(cli, "/containers/%s/archive", name, NULL), "path", path)};
    char tmp[32768];
    int r = client_open(cli->client, &call, &reply, err);
    ssize_t n;

    if (r < 0)
        return r;
    r = 0;
    while (r == 0 && (n = http_reply_read(reply, tmp, sizeof(tmp), err)) != 0)
        r = n < 0 ? (int)n : out_write(1, tmp, (size_t)n, err);
    http_reply_free(reply);
    return r;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    char *name = NULL;
    const char *path = NULL;
    bool from = is_container(cli, args->v[0], &name, &path);
    bool to = is_container(cli, args->v[1], &name, &path);
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    if (from && to)
        return err_invalid(err, "copying between containers is not supported");
    if (!from && !to)
        return err_invalid(err, "must specify at least one container source");
    if (to && str_eq(args->v[0], "-"))
        return copy_in(cli, name, path, err);
    if (from && str_eq(args->v[1], "-")) {
        (void)is_container(cli, args->v[0], &name, &path);
        return copy_out(cli, name, path, err);
    }
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                  "copying files is not implemented yet; tar archives can be copied with \"-\"");
}

static const struct opt opts[] = {
    OPT(struct cp_opts, "archive", 'a', O_BOOL, archive, "Keep owners and groups"),
    OPT(struct cp_opts, "follow-link", 'L', O_BOOL, follow, "Follow symbolic links in SRC_PATH"),
    OPT(struct cp_opts, "quiet", 'q', O_BOOL, quiet, "Do not show the progress"),
};

const struct command cmd_cp = {
    .paths = (const char *const[]){"container cp", "cp", NULL},
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- "
             "CONTAINER:DEST_PATH",
    .help = "Copy files between a container and this machine",
    OPTS(opts),
    .opts_size = sizeof(struct cp_opts),
    .args = {2, 2},
    .run = run,
};
