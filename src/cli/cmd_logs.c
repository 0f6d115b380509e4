#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "wire/container.h"

/* cleat logs. */

struct logs_opts {
    bool details, follow, timestamps;
    char *since, *until, *tail;
};

static char *target(struct cli *cli, const struct logs_opts *o, const char *name)
{
    const struct {
        const char *key, *val;
    } params[] = {
        {"stdout", "1"},
        {"stderr", "1"},
        {"follow", o->follow ? "1" : NULL},
        {"timestamps", o->timestamps ? "1" : NULL},
        {"details", o->details ? "1" : NULL},
        {"since", o->since},
        {"until", o->until},
        {"tail", o->tail},
    };
    char *t = cli_target(cli, "/containers/%s/logs", name, NULL);

    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
        t = cli_query(cli, t, params[i].key, params[i].val);
    return t;
}

static int copy(struct http_reply *reply, bool raw, struct err *err)
{
    struct demux d = {0};
    char tmp[65536];
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = http_reply_read(reply, tmp, sizeof(tmp), err)) != 0) {
        if (n < 0)
            return (int)n;
        r = raw ? out_write(1, tmp, (size_t)n, err) : demux_write(&d, tmp, (size_t)n, err);
    }
    return r;
}

/* The answer says how it is framed; a daemon of before API 1.42 does not. */
static int is_raw(struct cli *cli, struct http_reply *reply, const char *name, bool *ret,
                  struct err *err)
{
    const char *type = http_reply_header(reply, "Content-Type");
    struct container_inspect c = {0};

    if (type && strcmp(type, "application/vnd.docker.multiplexed-stream") == 0) {
        *ret = false;
        return 0;
    }
    int r = call_get(cli, cli_target(cli, "/containers/%s/json", name, NULL),
                     &container_inspect_type, &c, err);
    if (r < 0)
        return r;
    *ret = c.config && c.config->tty;
    return 0;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct http_call call = {.method = "GET"};
    struct http_reply *reply = NULL;
    struct logs_opts *o = opts;
    bool raw = false;
    int r = user_time(cli, "since", o->since, &o->since, err);

    if (r < 0 || (r = user_time(cli, "until", o->until, &o->until, err)) < 0 ||
        (r = need_client(cli, err)) < 0)
        return r;
    call.target = target(cli, o, args->v[0]);
    r = client_open(cli->client, &call, &reply, err);
    if (r < 0)
        return r;
    r = is_raw(cli, reply, args->v[0], &raw, err);
    if (r == 0)
        r = copy(reply, raw, err);
    http_reply_free(reply);
    return r;
}

static const struct opt opts[] = {
    OPT(struct logs_opts, "details", 0, O_BOOL, details, "Show what the log driver knows besides"),
    OPT(struct logs_opts, "follow", 'f', O_BOOL, follow, "Go on with what is written from now on"),
    OPT(struct logs_opts, "since", 0, O_STR, since,
        "Show what came after a time (\"2013-01-02T13:23:37Z\", or \"42m\" ago)"),
    OPT(struct logs_opts, "tail", 'n', O_STR, tail, "Number of lines to show from the end",
        .def = "all"),
    OPT(struct logs_opts, "timestamps", 't', O_BOOL, timestamps, "Show the time of each line"),
    OPT(struct logs_opts, "until", 0, O_STR, until,
        "Show what came before a time (\"2013-01-02T13:23:37Z\", or \"42m\" ago)"),
};

const struct command cmd_logs = {
    .paths = (const char *const[]){"container logs", "logs", NULL},
    .usage = "[OPTIONS] CONTAINER",
    .help = "Show the output of a container",
    OPTS(opts),
    .opts_size = sizeof(struct logs_opts),
    .args = {1, 1},
    .run = run,
};
