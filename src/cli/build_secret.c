/*
 * --secret: files and variables that steps may mount. They go to the daemon ahead of the build, in
 * a body of their own, so that they are in no URL, no header and no log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/io.h"
#include "cli/build.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/specs.h"
#include "wire/build.h"
#include "wire/system.h"

#define SECRET_MAX (500u << 10)

struct secret {
    char *id, *file, *env;
};

/* ---- "id=x,src=file" ---- */

static int take_field(struct secret *s, char **type, char *field, const char *spec, struct err *err)
{
    char *eq = strchr(field, '=');
    const struct {
        const char *key;
        char **to;
    } all[] = {
        {"id", &s->id}, {"source", &s->file}, {"src", &s->file}, {"env", &s->env}, {"type", type}};

    if (!eq)
        return err_invalid(err, "invalid secret \"%s\": \"%s\" must be a key=value pair", spec,
                           field);
    *eq = '\0';
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(field, all[i].key) != 0)
            continue;
        *all[i].to = eq + 1;
        return 0;
    }
    return err_invalid(err, "invalid secret \"%s\": unexpected key '%s'", spec, field);
}

/* Without a source it is the variable of that name, or else the file. */
static void default_source(struct secret *s, const char *type)
{
    if (str_eq(type, "env") && !s->env) {
        s->env = s->file;
        s->file = NULL;
    }
    if (s->file || s->env)
        return;
    if (str_eq(type, "env") || (!str_eq(type, "file") && getenv(s->id)))
        s->env = s->id;
    else
        s->file = s->id;
}

static int parse(const char *spec, struct arena *a, struct secret *ret, struct err *err)
{
    struct secret s = {0};
    struct strv fields = {0};
    char *type = NULL;
    int r = csv_split(spec, a, &fields, err);

    for (size_t i = 0; r >= 0 && i < fields.n; i++)
        r = take_field(&s, &type, fields.v[i], spec, err);
    if (r >= 0 && type && !str_eq(type, "file") && !str_eq(type, "env"))
        r = err_invalid(err, "invalid secret \"%s\": unsupported type \"%s\"", spec, type);
    if (r >= 0 && str_empty(s.id))
        r = err_invalid(err, "invalid secret \"%s\": it needs an id", spec);
    if (r < 0)
        return r;
    default_source(&s, type);
    *ret = s;
    return 0;
}

/* ---- what is sent ---- */

static int load(const struct secret *s, struct arena *a, struct buf *out, struct err *err)
{
    const char *val = s->env ? getenv(s->env) : NULL;
    struct err e = {0};

    if (s->env && !val)
        return err_invalid(err, "secret %s: there is no variable %s", s->id, s->env);
    if (s->env)
        buf_puts(out, val);
    int r = s->env ? 0 : read_file_at(AT_FDCWD, s->file, SECRET_MAX, out, &e);
    if (r == -E2BIG || out->len > SECRET_MAX)
        return err_invalid(err, "secret %s is larger than %u KiB", s->id, SECRET_MAX >> 10);
    return r < 0 ? err_as(err, ERR_INVALID, r, "secret %s: open %s: %s", s->id, s->file,
                          errno_text(a, r))
                 : 0;
}

static int add(struct build_session_request *rq, const char *spec, struct arena *a, struct err *err)
{
    auto_buf struct buf data = BUF_INIT, text = BUF_INIT;
    struct build_session_secret *to = arena_new(a, struct build_session_secret);
    struct secret s;
    int r = parse(spec, a, &s, err);

    if (r >= 0)
        r = load(&s, a, &data, err);
    if (r < 0)
        return r;
    base64_encode(buf_str(&data), data.len, false, &text);
    to->id = s.id;
    to->data = arena_strndup(a, buf_str(&text), text.len);
    arena_push(a, rq->secrets) = to;
    return 0;
}

static int post(struct cli *cli, const struct build_session_request *rq, char **ret_id,
                struct err *err)
{
    struct id_response out = {0};
    struct err e = {0};
    int r = call_post(cli, cli_target(cli, "/build/session", NULL, NULL),
                      &build_session_request_type, rq, &id_response_type, &out, &e);

    if (r < 0 && e.kind == ERR_NOT_FOUND)
        return err_invalid(err, "the daemon takes no secrets, agents, directories or contexts for "
                                "builds");
    if (r < 0)
        *err = e;
    else
        *ret_id = out.id;
    return r < 0 ? r : 0;
}

int build_session_new(struct cli *cli, char **ret_id, struct err *err)
{
    return post(cli, &(struct build_session_request){0}, ret_id, err);
}

int build_session_open(struct cli *cli, const struct build_flags *f, char **ret_id, struct err *err)
{
    struct build_session_request rq = {0};
    int r = 0;

    *ret_id = NULL;
    if (!f->secret.n && !f->ssh.n && !f->dirs.n)
        return 0;
    for (size_t i = 0; r >= 0 && i < f->secret.n; i++)
        r = add(&rq, f->secret.v[i], &cli->arena, err);
    return r < 0 ? r : post(cli, &rq, ret_id, err);
}
