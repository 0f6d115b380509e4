#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "cli/session.h"
#include "wire/container.h"

/* Commands that do one thing to each of several containers, and start and attach. */

struct life_opts {
    char *signal;
    int64_t time;
    bool force, volumes, link;
};

#define CONTAINERS "CONTAINER [CONTAINER...]"

/* A call that needs nothing but the name: fmt with one %s. */
static int post_one(struct cli *cli, const char *name, void *fmt, struct err *err)
{
    return call_do(cli, "POST", cli_target(cli, fmt, name, NULL), err);
}

#define SIMPLE(FN, FMT)                                                                            \
    static int FN(struct cli *cli, void *opts, const struct strv *args, struct err *err)           \
    {                                                                                              \
        char fmt[] = FMT;                                                                          \
        int r = need_client(cli, err);                                                             \
        (void)opts;                                                                                \
        return r < 0 ? r : each(cli, args, post_one, fmt);                                         \
    }

SIMPLE(run_pause, "/containers/%s/pause")
SIMPLE(run_unpause, "/containers/%s/unpause")

/* ---- kill, stop, restart ---- */

static int kill_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    const struct life_opts *o = arg;
    char *t = cli_target(cli, "/containers/%s/kill", name, NULL);

    return call_do(cli, "POST", str_empty(o->signal) ? t : cli_query(cli, t, "signal", o->signal),
                   err);
}

static int run_kill(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err);

    return r < 0 ? r : each(cli, args, kill_one, opts);
}

static char *stop_target(struct cli *cli, const char *fmt, const char *name,
                         const struct life_opts *o)
{
    char *t = cli_target(cli, fmt, name, NULL);

    if (!str_empty(o->signal))
        t = cli_query(cli, t, "signal", o->signal);
    if (cli_given(cli, "timeout") || cli_given(cli, "time"))
        t = cli_query(cli, t, "t", arena_printf(&cli->arena, "%lld", (long long)o->time));
    return t;
}

static int stop_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    return call_do(cli, "POST", stop_target(cli, "/containers/%s/stop", name, arg), err);
}

static int restart_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    return call_do(cli, "POST", stop_target(cli, "/containers/%s/restart", name, arg), err);
}

static int run_stop(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err);

    return r < 0 ? r : each(cli, args, stop_one, opts);
}

static int run_restart(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err);

    return r < 0 ? r : each(cli, args, restart_one, opts);
}

/* ---- rm, rename, wait ---- */

static int rm_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    const struct life_opts *o = arg;
    char *t = cli_target(cli, "/containers/%s", name + (*name == '/'), NULL);

    if (o->force)
        t = cli_query(cli, t, "force", "1");
    if (o->volumes)
        t = cli_query(cli, t, "v", "1");
    if (o->link)
        t = cli_query(cli, t, "link", "1");
    int r = call_do(cli, "DELETE", t, err);
    if (r < 0 && o->force && err && err->kind == ERR_NOT_FOUND) { /* docker: not an error */
        fprintf(stderr, "%s\n", err->msg);
        return 1;
    }
    return r < 0 ? r : 0;
}

static int run_rm(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err), status = 0;

    for (size_t i = 0; r >= 0 && i < args->n; i++) {
        struct err e = {0};
        int x = str_empty(args->v[i]) ? err_invalid(&e, "Container name cannot be empty")
                                      : rm_one(cli, args->v[i], opts, &e);
        if (x < 0) {
            fprintf(stderr, "%s\n", e.msg);
            status = 1;
        } else if (x == 0) {
            printf("%s\n", args->v[i]);
        }
    }
    return r < 0 ? r : status;
}

static int run_rename(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    if (str_empty(args->v[0]) || str_empty(args->v[1]))
        return err_invalid(err, "Error: Neither old nor new names may be empty");
    char *t = cli_target(cli, "/containers/%s/rename", args->v[0], NULL);
    struct err e = {0};
    r = call_do(cli, "POST", cli_query(cli, t, "name", args->v[1]), &e);
    if (r >= 0)
        return 0;
    fprintf(stderr, "%s\n", e.msg);
    return err_as(err, e.kind, e.no, "Error: failed to rename container named %s", args->v[0]);
}

static int run_wait(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int r = need_client(cli, err), status = 0;

    (void)opts;
    if (r < 0)
        return r;
    for (size_t i = 0; i < args->n; i++) {
        struct container_wait_response out = {0};
        struct err e = {0};
        r = call_post(cli, cli_target(cli, "/containers/%s/wait", args->v[i], NULL), NULL, NULL,
                      &container_wait_response_type, &out, &e);
        if (r < 0) {
            fprintf(stderr, "%s\n", e.msg);
            status = 1;
        } else {
            printf("%lld\n", (long long)out.status_code);
        }
    }
    return status;
}

/* ---- attach, start ---- */

struct attach_opts {
    bool no_stdin, sig_proxy, attach, interactive;
    char *detach_keys, *checkpoint, *checkpoint_dir;
};

static int get_container(struct cli *cli, const char *name, struct container_inspect *c,
                         struct err *err)
{
    int r = call_get(cli, cli_target(cli, "/containers/%s/json", name, NULL),
                     &container_inspect_type, c, err);

    return r < 0 ? r : 0;
}

static int check_state(const struct container_state *s, struct err *err)
{
    if (!s->running)
        return err_invalid(err, "You cannot attach to a stopped container, start it first");
    if (s->paused)
        return err_invalid(err, "You cannot attach to a paused container, unpause it first");
    if (s->restarting)
        return err_invalid(err, "You cannot attach to a restarting container, wait until it is "
                                "running");
    return 0;
}

/*
 * Streams to the end: the user detaches, or the container goes with an exit code.
 * @r: negative when it did not come to that; @wait is taken over, and freed in any case
 */
static int stream(struct cli *cli, struct session *s, int r, struct http_reply *wait,
                  struct err *err)
{
    if (r >= 0) {
        session_resize(cli, s->resize);
        r = session_run(cli, s, err);
    }
    session_done(s);
    if (r < 0) {
        http_reply_free(wait);
        return r;
    }
    if (s->detached) {
        http_reply_free(wait);
        fprintf(stderr, "read escape sequence\n");
        return 1;
    }
    return wait_end(cli, wait, err);
}

static int run_attach(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct attach_opts *o = opts;
    struct container_inspect c = {0};
    struct http_reply *wait = NULL;
    int r = need_client(cli, err);

    if (r < 0 || (r = get_container(cli, args->v[0], &c, err)) < 0 ||
        (r = check_state(&c.state, err)) < 0)
        return r;
    struct session s = {.tty = c.config && c.config->tty, .detach_keys = o->detach_keys};
    struct attach_to to = {!o->no_stdin && c.config && c.config->open_stdin, true, true};
    if ((r = tty_check(to.in, s.tty, err)) < 0 || (r = wait_begin(cli, c.id, NULL, &wait, err)) < 0)
        return r;
    if (o->sig_proxy && !s.tty)
        s.kill = cli_target(cli, "/containers/%s/kill", c.id, NULL);
    return stream(cli, &s, attach_open(cli, c.id, &to, &s, err), wait, err);
}

static int start_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    const struct attach_opts *o = arg;
    char *t = cli_target(cli, "/containers/%s/start", name, NULL);

    if (!str_empty(o->checkpoint))
        t = cli_query(cli, t, "checkpoint", o->checkpoint);
    return call_do(cli, "POST", t, err);
}

static int start_attached(struct cli *cli, struct attach_opts *o, const char *name, struct err *err)
{
    struct container_inspect c = {0};
    struct http_reply *wait = NULL;
    int r = get_container(cli, name, &c, err);

    if (r < 0)
        return r;
    bool remove = c.host_config && c.host_config->auto_remove;
    struct session s = {.tty = c.config && c.config->tty, .detach_keys = o->detach_keys};
    struct attach_to to = {o->interactive && c.config && c.config->open_stdin, true, true};
    if (o->sig_proxy && !s.tty)
        s.kill = cli_target(cli, "/containers/%s/kill", c.id, NULL);
    if ((r = attach_open(cli, c.id, &to, &s, err)) < 0)
        return r;
    r = wait_begin(cli, c.id, remove ? "removed" : "next-exit", &wait, err);
    if (r == 0)
        r = start_one(cli, c.id, o, err);
    return stream(cli, &s, r, wait, err);
}

static int run_start(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct attach_opts *o = opts;
    struct buf failed = BUF_INIT;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    if (o->attach || o->interactive) {
        if (args->n > 1)
            return err_invalid(err, "you cannot start and attach multiple containers at once");
        return start_attached(cli, o, args->v[0], err);
    }
    for (size_t i = 0; i < args->n; i++) {
        struct err e = {0};
        if (start_one(cli, args->v[i], o, &e) >= 0) {
            printf("%s\n", args->v[i]);
            continue;
        }
        (void)fflush(stdout);
        fprintf(stderr, "%s\n", e.msg);
        buf_printf(&failed, "%s%s", failed.len ? ", " : "", args->v[i]);
    }
    if (failed.len)
        fprintf(stderr, "Error: failed to start containers: %s\n", failed.data);
    r = failed.len ? 1 : 0;
    buf_done(&failed);
    return r;
}

/* ---- tables ---- */

static const struct opt kill_opts[] = {
    OPT(struct life_opts, "signal", 's', O_STR, signal, "Signal to send"),
};
static const struct opt stop_opts[] = {
    OPT(struct life_opts, "signal", 's', O_STR, signal, "Signal to send"),
    OPT(struct life_opts, "timeout", 't', O_INT, time,
        "Seconds to wait until it is killed (-1 waits for ever)"),
    OPT(struct life_opts, "time", 0, O_INT, time, "The same", .flags = OPT_HIDDEN),
};
static const struct opt rm_opts[] = {
    OPT(struct life_opts, "force", 'f', O_BOOL, force, "Remove it even if it runs (with SIGKILL)"),
    OPT(struct life_opts, "link", 'l', O_BOOL, link, "Remove the link of that name"),
    OPT(struct life_opts, "volumes", 'v', O_BOOL, volumes, "Remove its anonymous volumes as well"),
};
static const struct opt attach_opts[] = {
    OPT(struct attach_opts, "detach-keys", 0, O_STR, detach_keys,
        "Keys that detach from the container"),
    OPT(struct attach_opts, "no-stdin", 0, O_BOOL, no_stdin, "Do not attach STDIN"),
    OPT(struct attach_opts, "sig-proxy", 0, O_BOOL, sig_proxy, "Pass signals on to the process",
        .def = "true"),
};
static const struct opt start_opts[] = {
    OPT(struct attach_opts, "attach", 'a', O_BOOL, attach,
        "Attach STDOUT and STDERR and pass signals on"),
    OPT(struct attach_opts, "checkpoint", 0, O_STR, checkpoint, "Restore from this checkpoint",
        .flags = OPT_HIDDEN),
    OPT(struct attach_opts, "checkpoint-dir", 0, O_STR, checkpoint_dir, "Where the checkpoints lie",
        .flags = OPT_HIDDEN),
    OPT(struct attach_opts, "detach-keys", 0, O_STR, detach_keys,
        "Keys that detach from the container"),
    OPT(struct attach_opts, "interactive", 'i', O_BOOL, interactive, "Attach STDIN"),
    OPT(struct attach_opts, "sig-proxy", 0, O_BOOL, sig_proxy, "Pass signals on to the process",
        .def = "true", .flags = OPT_HIDDEN),
};

const struct command cmd_kill = {
    .paths = (const char *const[]){"container kill", "kill", NULL},
    .usage = "[OPTIONS] " CONTAINERS,
    .help = "Kill containers",
    OPTS(kill_opts),
    .opts_size = sizeof(struct life_opts),
    .args = {1, -1},
    .run = run_kill,
};
const struct command cmd_stop = {
    .paths = (const char *const[]){"container stop", "stop", NULL},
    .usage = "[OPTIONS] " CONTAINERS,
    .help = "Stop containers",
    OPTS(stop_opts),
    .opts_size = sizeof(struct life_opts),
    .args = {1, -1},
    .run = run_stop,
};
const struct command cmd_restart = {
    .paths = (const char *const[]){"container restart", "restart", NULL},
    .usage = "[OPTIONS] " CONTAINERS,
    .help = "Stop containers and start them again",
    OPTS(stop_opts),
    .opts_size = sizeof(struct life_opts),
    .args = {1, -1},
    .run = run_restart,
};
const struct command cmd_pause = {
    .paths = (const char *const[]){"container pause", "pause", NULL},
    .usage = CONTAINERS,
    .help = "Pause all processes of containers",
    .args = {1, -1},
    .run = run_pause,
};
const struct command cmd_unpause = {
    .paths = (const char *const[]){"container unpause", "unpause", NULL},
    .usage = CONTAINERS,
    .help = "Let paused containers go on",
    .args = {1, -1},
    .run = run_unpause,
};
const struct command cmd_rm = {
    .paths = (const char *const[]){"container rm", "container remove", "rm", NULL},
    .usage = "[OPTIONS] " CONTAINERS,
    .help = "Remove containers",
    OPTS(rm_opts),
    .opts_size = sizeof(struct life_opts),
    .args = {1, -1},
    .run = run_rm,
};
const struct command cmd_rename = {
    .paths = (const char *const[]){"container rename", "rename", NULL},
    .usage = "CONTAINER NEW_NAME",
    .help = "Rename a container",
    .args = {2, 2},
    .run = run_rename,
};
const struct command cmd_wait = {
    .paths = (const char *const[]){"container wait", "wait", NULL},
    .usage = CONTAINERS,
    .help = "Wait until containers stop, then print their exit codes",
    .args = {1, -1},
    .run = run_wait,
};
const struct command cmd_attach = {
    .paths = (const char *const[]){"container attach", "attach", NULL},
    .usage = "[OPTIONS] CONTAINER",
    .help = "Attach the terminal to a running container",
    OPTS(attach_opts),
    .opts_size = sizeof(struct attach_opts),
    .args = {1, 1},
    .run = run_attach,
};
const struct command cmd_start = {
    .paths = (const char *const[]){"container start", "start", NULL},
    .usage = "[OPTIONS] " CONTAINERS,
    .help = "Start stopped containers",
    OPTS(start_opts),
    .opts_size = sizeof(struct attach_opts),
    .args = {1, -1},
    .run = run_start,
};
