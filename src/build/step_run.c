/* RUN: a command upon the layers so far, with what is mounted only while it runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "build/apply.h"
#include "build/cache_import.h"
#include "build/key.h"
#include "build/run_device.h"
#include "build/run_mounts.h"
#include "build/solve-priv.h"
#include "image/adopt.h"

struct running {
    struct stage *st;
    const struct planned *p;
    struct strv argv, devices;
    struct run_mounts mounts;
};

static struct strv run_argv(struct stage *st, const struct ins *ins)
{
    struct strv v = {0};

    if (!ins->run.script)
        return command_argv(&ins->run.cmd, st->config, &st->a);
    strv_push(&st->a, &v, RUN_SCRIPT);
    return v;
}

static int tell_output(void *arg, int stream, const char *p, size_t n, struct err *err)
{
    const struct running *x = arg;
    struct build_event e = {
        .kind = BUILD_OUTPUT, .step = x->p->step, .stream = stream, .text = p, .len = n};

    return build_tell_event(x->st->b, &e, err);
}

static const char *network_of(const struct running *x)
{
    const char *own = x->p->ins->run.network;

    if (own && strcmp(own, "default") != 0)
        return own;
    return str_or(x->st->b->rq->network, "default");
}

static int check_allowed(const struct running *x, struct err *err)
{
    const struct ins_run *r = &x->p->ins->run;
    const struct build_request *rq = x->st->b->rq;

    if (str_eq(r->network, "host") && !strv_has(&rq->allow, "network.host") &&
        !str_eq(rq->network, "host"))
        return err_as(err, ERR_DENIED, EPERM, "network.host is not allowed: --allow network.host");
    if (str_eq(r->security, "insecure") && !strv_has(&rq->allow, "security.insecure"))
        return err_as(err, ERR_DENIED, EPERM,
                      "security.insecure is not allowed: --allow security.insecure");
    return 0;
}

static int failed(const struct running *x, int code, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    x->st->b->exit_code = code;
    return err_as(err, ERR_INVALID, ECHILD, "The command '%.700s' returned a non-zero code: %d",
                  strv_join(&a, &x->argv, " "), code);
}

/* Programs of another platform run only where the kernel has an interpreter for them. */
static int could_not_run(const struct stage *st, int r, struct err *err)
{
    char text[PLATFORM_TEXT];
    struct platform p;

    platform_set(&p, st->image->os, st->image->architecture, st->image->variant);
    if (r != -ENOEXEC || platform_serves(&st->b->native, &p))
        return r;
    return err_wrap(err, r,
                    "this machine has no interpreter for programs of %s (binfmt_misc, such as "
                    "the package qemu-user-static installs)",
                    platform_text(&p, text));
}

static int run(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
               struct err *err)
{
    struct running *x = ctx;
    struct stage *st = x->st;
    struct build *b = st->b;
    struct build_run br = {
        .layers = st->layers,
        .argv = x->argv,
        .env = scope_environment(&st->scope, true, a),
        .user = st->config->user,
        .workdir = st->config->working_dir,
        .hostname = strmap_get(&b->rq->args, "BUILDKIT_SANDBOX_HOSTNAME"),
        .network = network_of(x),
        .insecure = str_eq(x->p->ins->run.security, "insecure"),
        .devices = x->devices,
        .host = b->rq->host,
        .gone_fd = b->cancel_rd,
    };
    int code = cache_import_want(b, &st->layers, x->p->step, err);

    if (code >= 0)
        code = run_mounts_prepare(&x->mounts, &br, a, err);
    if (code >= 0)
        code = b->host->run(b->rq->host_ctx, &br, into, tell_output, x, a, &o->mounted, err);
    run_mounts_done(&x->mounts);
    return code > 0 ? failed(x, code, err) : could_not_run(st, code, err);
}

static int run_key(struct running *x, struct key *k, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct stage *st = x->st;
    struct strv env = scope_environment(&st->scope, false, &a);

    key_list(k, "argv", &x->argv);
    key_text(k, "script", x->p->ins->run.script ? x->p->ins->run.cmd.text : NULL);
    key_list(k, "env", &env);
    key_text(k, "user", st->config->user);
    key_text(k, "workdir", st->config->working_dir);
    key_text(k, "network", network_of(x));
    key_text(k, "security", x->p->ins->run.security);
    if (x->devices.n) /* else the keys of all other steps would change */
        key_list(k, "devices", &x->devices);
    return run_mounts_key(&x->mounts, k, err);
}

/* "RUN |1 A=b /bin/sh -c make" as Docker writes it: the arguments count. */
static char *created_by(const struct running *x)
{
    struct stage *st = x->st;
    char *line = strv_join(&st->a, &x->argv, " ");
    struct strv args = {0};

    for (size_t i = 0; i < st->scope.args.n; i++)
        if (!scope_is_proxy(st->scope.args.v[i].key))
            strv_push(
                &st->a, &args,
                arena_printf(&st->a, "%s=%s", st->scope.args.v[i].key, st->scope.args.v[i].val));
    if (!args.n)
        return arena_printf(&st->a, "RUN %s", line);
    return arena_printf(&st->a, "RUN |%zu %s %s", args.n, strv_join(&st->a, &args, " "), line);
}

int step_run(struct stage *st, const struct planned *p, struct err *err)
{
    struct running x = {.st = st, .p = p};
    bool empty = true;
    int r = step_begin(st, p->step, err);

    x.argv = run_argv(st, p->ins);
    if (r >= 0)
        r = check_allowed(&x, err);
    if (r >= 0)
        r = run_devices_plan(st, p, &x.devices, err);
    if (r >= 0)
        r = run_mounts_plan(&x.mounts, st, p, err);
    if (r < 0)
        return r;
    struct key *k = stage_key(st, "run");
    r = run_key(&x, k, err);
    if (r < 0) {
        key_free(k);
        return r;
    }
    r = step_make(st, p->step, k, run, &x, &empty, err);
    if (r >= 0)
        stage_history(st, created_by(&x), empty);
    return r;
}
