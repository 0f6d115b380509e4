#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/specs.h"
#include "wire/exec.h"
#include "wire/system.h"

/* cleat exec. */

struct exec_opts {
    bool detach, interactive, privileged, tty;
    char *detach_keys, *user, *workdir;
    struct strv env, env_file;
};

static int create(struct cli *cli, const struct exec_opts *o, const struct strv *args,
                  char **ret_id, struct err *err)
{
    struct exec_create_request rq = {
        .user = o->user,
        .privileged = o->privileged,
        .tty = o->tty,
        .detach_keys = o->detach_keys,
        .working_dir = o->workdir,
        .attach_stdin = o->interactive && !o->detach,
        .attach_stdout = !o->detach,
        .attach_stderr = !o->detach,
        .cmd = {args->v + 1, args->n - 1},
    };
    struct id_response out = {0};
    int r = spec_env(&o->env_file, &o->env, &cli->arena, &rq.env, err);

    if (r < 0)
        return r;
    r = call_post(cli, cli_target(cli, "/containers/%s/exec", args->v[0], NULL),
                  &exec_create_request_type, &rq, &id_response_type, &out, err);
    if (r < 0)
        return r;
    if (str_empty(out.id))
        return err_invalid(err, "exec ID empty");
    *ret_id = out.id;
    return 0;
}

static int exit_code(struct cli *cli, const char *id, struct err *err)
{
    struct exec_inspect out = {0};
    int r =
        call_get(cli, cli_target(cli, "/exec/%s/json", id, NULL), &exec_inspect_type, &out, err);

    if (r < 0)
        return r;
    return out.exit_code ? (int)(*out.exit_code & 0xff) : 0;
}

static int run_attached(struct cli *cli, const struct exec_opts *o, const char *id, struct err *err)
{
    struct session s = {.tty = o->tty, .input = o->interactive, .detach_keys = o->detach_keys};
    struct exec_start_request rq = {.tty = o->tty};
    int64_t size[2];
    unsigned rows = 0, cols = 0;

    if (o->tty) {
        s.resize = cli_target(cli, "/exec/%s/resize", id, NULL);
        if (tty_size(&rows, &cols) == 0) {
            size[0] = rows;
            size[1] = cols;
            rq.console_size.v = size;
            rq.console_size.n = 2;
        }
    }
    session_prepare(&s);
    int r = client_upgrade(cli->client, cli_target(cli, "/exec/%s/start", id, NULL),
                           &exec_start_request_type, &rq, &s.raw, err);
    if (r == 0)
        r = session_run(cli, &s, err);
    session_done(&s);
    if (r < 0)
        return r;
    if (s.detached) {
        fprintf(stderr, "read escape sequence\n");
        return 1;
    }
    return exit_code(cli, id, err);
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct exec_opts *o = opts;
    char *id = NULL;
    int r = need_client(cli, err);

    if (r < 0 || (!o->detach && (r = tty_check(o->interactive, o->tty, err)) < 0) ||
        (r = create(cli, o, args, &id, err)) < 0)
        return r;
    if (!o->detach)
        return run_attached(cli, o, id, err);
    struct exec_start_request rq = {.detach = true, .tty = o->tty};
    r = call_post(cli, cli_target(cli, "/exec/%s/start", id, NULL), &exec_start_request_type, &rq,
                  NULL, NULL, err);
    return r < 0 ? r : 0;
}

static const struct opt opts[] = {
    OPT(struct exec_opts, "detach", 'd', O_BOOL, detach, "Run the command in the background"),
    OPT(struct exec_opts, "detach-keys", 0, O_STR, detach_keys,
        "Keys that detach from the container"),
    OPT(struct exec_opts, "env", 'e', O_CUSTOM, env, "Set an environment variable", .type = "list",
        .check = check_env),
    OPT(struct exec_opts, "env-file", 0, O_LIST, env_file,
        "Read environment variables from a file"),
    OPT(struct exec_opts, "interactive", 'i', O_BOOL, interactive,
        "Keep STDIN open even when not attached"),
    OPT(struct exec_opts, "privileged", 0, O_BOOL, privileged, "Give the command every privilege"),
    OPT(struct exec_opts, "tty", 't', O_BOOL, tty, "Give it a pseudo terminal"),
    OPT(struct exec_opts, "user", 'u', O_STR, user, "User name or id (<name|uid>[:<group|gid>])"),
    OPT(struct exec_opts, "workdir", 'w', O_STR, workdir, "Working directory in the container"),
};

const struct command cmd_exec = {
    .paths = (const char *const[]){"container exec", "exec", NULL},
    .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .help = "Run a command in a running container",
    OPTS(opts),
    .opts_size = sizeof(struct exec_opts),
    .args = {2, -1},
    .flags = CMD_FIRST,
    .run = run,
};
