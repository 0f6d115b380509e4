#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/pull.h"
#include "cli/run.h"
#include "cli/runopts.h"
#include "cli/session.h"
#include "wire/container.h"

/* cleat run and create: create, attach, wait, start, pass bytes, leave with the exit code. */

/* ---- create ---- */

/* The file is made before the container, so that there is none whose id could not be kept. */
static int make_cidfile(struct cli *cli, const char *path, struct err *err)
{
    if (str_empty(path))
        return 0;
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        return err_conflict(err,
                            "container ID file found, make sure the other container isn't running "
                            "or delete %s",
                            path);
    if (fd < 0)
        return err_as(err, ERR_SYSTEM, errno, "failed to create the container ID file: open %s: %s",
                      path, errno_text(&cli->arena, errno));
    return 0;
}

static int write_cidfile(const char *path, const char *id, struct err *err)
{
    if (str_empty(path))
        return 0;
    int r = write_file_at(AT_FDCWD, path, 0666, id, strlen(id), false, err);
    return r < 0 ? err_wrap(err, r, "failed to write the container ID to the file") : 0;
}

static const char *create_target(struct cli *cli, const struct run_opts *o)
{
    char *t = cli_target(cli, "/containers/create", NULL, NULL);
    const char *platform = str_or(o->platform, getenv("DOCKER_DEFAULT_PLATFORM"));

    if (!str_empty(o->name))
        t = cli_query(cli, t, "name", o->name);
    return str_empty(platform) ? t : cli_query(cli, t, "platform", platform);
}

static int check_pull(const char *pull, struct err *err)
{
    static const char *const known[] = {"always", "missing", "never", ""};

    for (size_t i = 0; i < 4; i++)
        if (str_eq(pull, known[i]))
            return 0;
    return err_invalid(err,
                       "invalid pull option: '%s': must be one of \"always\", \"missing\" or "
                       "\"never\"",
                       pull);
}

/* Docker's rule: only a missing image starts a pull, not any other thing that was not found. */
static bool image_is_missing(const struct err *e)
{
    return e->kind == ERR_NOT_FOUND &&
           (strstr(e->msg, "No such image") || strstr(e->msg, "match the specified platform"));
}

/* Create, and once more behind a pull when the image was missing. */
static int post_create(struct cli *cli, const struct run_opts *o,
                       const struct container_create_request *rq,
                       struct container_create_response *out, struct err *err)
{
    const char *image = rq->config.image, *target = create_target(cli, o);
    int r = 0;

    if (str_eq(o->pull, "always"))
        r = pull_image(cli, image, o->platform, false, o->quiet, true, err);
    if (r >= 0)
        r = call_post(cli, target, &container_create_request_type, rq,
                      &container_create_response_type, out, err);
    if (r >= 0 || !str_eq(o->pull, "missing") || !err || !image_is_missing(err))
        return r;
    fprintf(stderr, "Unable to find image '%s' locally\n", ref_familiar(&cli->arena, image));
    err_clear(err);
    r = pull_image(cli, image, o->platform, false, o->quiet, true, err);
    return r < 0 ? r
                 : call_post(cli, target, &container_create_request_type, rq,
                             &container_create_response_type, out, err);
}

int run_create(struct cli *cli, const struct run_opts *o, const struct container_create_request *rq,
               char **ret_id, struct err *err)
{
    struct container_create_response out = {0};
    int r = check_pull(o->pull, err);

    if (r < 0 || (r = ref_check(rq->config.image, err)) < 0 ||
        (r = make_cidfile(cli, o->cidfile, err)) < 0)
        return r;
    r = post_create(cli, o, rq, &out, err);
    if (r < 0) {
        if (!str_empty(o->cidfile))
            (void)unlink(o->cidfile);
        return r;
    }
    for (size_t i = 0; i < out.warnings.n; i++)
        fprintf(stderr, "WARNING: %s\n", out.warnings.v[i]);
    *ret_id = out.id;
    return write_cidfile(o->cidfile, out.id, err);
}

static int run_create_command(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct container_create_request rq = {0};
    char *id = NULL;
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    r = run_request(cli, opts, args, &rq, err);
    if (r < 0) { /* values that make no sense: as for run */
        fprintf(stderr, "cleat: %s\n\nRun 'cleat %s --help' for more information\n", err->msg,
                cli->path);
        return 125;
    }
    r = run_create(cli, opts, &rq, &id, err);
    if (r < 0)
        return r;
    printf("%s\n", id);
    return 0;
}

/* ---- wait ---- */

int wait_begin(struct cli *cli, const char *id, const char *condition, struct http_reply **ret,
               struct err *err)
{
    struct http_call call = {.method = "POST"};
    char *t = cli_target(cli, "/containers/%s/wait", id, NULL);

    call.target = str_empty(condition) ? t : cli_query(cli, t, "condition", condition);
    int r = client_open(cli->client, &call, ret, err);
    return r < 0 ? r : 0;
}

int wait_end(struct cli *cli, struct http_reply *reply, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct container_wait_response out = {0};
    int r = http_reply_all(reply, 1 << 20, &text, err);

    http_reply_free(reply);
    if (r < 0)
        return r;
    r = json_decode(&container_wait_response_type, buf_str(&text), text.len, &cli->arena, &out, 0,
                    err);
    if (r < 0)
        return err_wrap(err, r, "answer of the daemon");
    if (out.error && !str_empty(out.error->message)) {
        fprintf(stderr, "%s\n", out.error->message);
        return 125;
    }
    return (int)(out.status_code & 0xff);
}

/* ---- run ---- */

/* 126 and 127 tell a shell that the command could not be executed or was not found. */
static int start_status(const struct err *e)
{
    static const struct {
        const char *text;
        int status;
    } rules[] = {
        {"executable file not found", 127},
        {"no such file or directory", 127},
        {"No such file or directory", 127},
        {"permission denied", 126},
        {"Permission denied", 126},
        {"is a directory", 126},
        {"Is a directory", 126},
    };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strstr(e->msg, rules[i].text))
            return rules[i].status;
    return 125;
}

int attach_open(struct cli *cli, const char *id, const struct attach_to *to, struct session *s,
                struct err *err)
{
    char *t = cli_target(cli, "/containers/%s/attach", id, NULL);

    t = cli_query(cli, t, "stream", "1");
    if (to->in)
        t = cli_query(cli, t, "stdin", "1");
    if (to->out)
        t = cli_query(cli, t, "stdout", "1");
    if (to->err)
        t = cli_query(cli, t, "stderr", "1");
    if (!str_empty(s->detach_keys))
        t = cli_query(cli, t, "detachKeys", s->detach_keys);
    s->input = to->in;
    s->resize = s->tty ? cli_target(cli, "/containers/%s/resize", id, NULL) : NULL;
    session_prepare(s);
    return client_upgrade(cli->client, t, NULL, NULL, &s->raw, err);
}

static int start(struct cli *cli, const char *id, struct err *err)
{
    return call_do(cli, "POST", cli_target(cli, "/containers/%s/start", id, NULL), err);
}

static int start_failed(struct cli *cli, const struct err *e)
{
    fprintf(stderr, "cleat: %s\n\nRun 'cleat %s --help' for more information\n", e->msg, cli->path);
    return start_status(e);
}

static int run_detached(struct cli *cli, const char *id)
{
    struct err e = {0};

    if (start(cli, id, &e) < 0)
        return start_failed(cli, &e);
    printf("%s\n", id);
    return 0;
}

static int pump(struct cli *cli, const char *id, struct session *s, struct http_reply *wait,
                struct err *err)
{
    struct err e = {0};

    if (start(cli, id, &e) < 0) {
        http_reply_free(wait);
        return start_failed(cli, &e);
    }
    if (s->tty)
        session_resize(cli, s->resize);
    int r = session_run(cli, s, err);
    if (r < 0 || s->detached) {
        http_reply_free(wait);
        return r;
    }
    return wait_end(cli, wait, err);
}

static int run_attached(struct cli *cli, const struct run_opts *o, const struct container_config *c,
                        const char *id, struct err *err)
{
    struct session s = {.tty = c->tty, .detach_keys = o->detach_keys};
    struct attach_to to = {c->attach_stdin, c->attach_stdout, c->attach_stderr};
    struct http_reply *wait = NULL;

    if (o->sig_proxy && !c->tty)
        s.kill = cli_target(cli, "/containers/%s/kill", id, NULL);
    int r = attach_open(cli, id, &to, &s, err);
    if (r < 0)
        return r;
    r = wait_begin(cli, id, o->rm ? "removed" : "next-exit", &wait, err);
    if (r == 0)
        r = pump(cli, id, &s, wait, err);
    session_done(&s);
    return r;
}

static void set_console_size(struct cli *cli, struct container_create_request *rq)
{
    unsigned rows = 0, cols = 0;

    if (!rq->config.tty || tty_size(&rows, &cols) < 0)
        return;
    rq->host_config->console_size.v = arena_alloc(&cli->arena, 2 * sizeof(int64_t));
    rq->host_config->console_size.v[0] = rows;
    rq->host_config->console_size.v[1] = cols;
    rq->host_config->console_size.n = 2;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct run_opts *o = opts;
    struct container_create_request rq = {0};
    char *id = NULL;
    int r = need_client(cli, err);

    if (r < 0 || (r = run_request(cli, o, args, &rq, err)) < 0)
        return r;
    if (!o->detach && tty_check(rq.config.attach_stdin, rq.config.tty, err) < 0) {
        fprintf(stderr, "%s\n", err->msg);
        return 1;
    }
    set_console_size(cli, &rq);
    if ((r = run_create(cli, o, &rq, &id, err)) < 0)
        return r;
    return o->detach ? run_detached(cli, id) : run_attached(cli, o, &rq.config, id, err);
}

#define RUN_USAGE "[OPTIONS] IMAGE [COMMAND] [ARG...]"

const struct command cmd_create = {
    .paths = (const char *const[]){"container create", "create", NULL},
    .usage = RUN_USAGE,
    .help = "Create a container without starting it",
    .opts = create_opt_table,
    .nopts = CREATE_OPTS,
    .opts_size = sizeof(struct run_opts),
    .args = {1, -1},
    .flags = CMD_FIRST,
    .run = run_create_command,
};

const struct command cmd_run = {
    .paths = (const char *const[]){"container run", "run", NULL},
    .usage = RUN_USAGE,
    .help = "Create a container from an image and run it",
    .opts = run_opt_table,
    .nopts = RUN_OPTS,
    .opts_size = sizeof(struct run_opts),
    .args = {1, -1},
    .flags = CMD_FIRST | CMD_RUN,
    .run = run,
};
