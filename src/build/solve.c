/*
 * The run of a build: a thread per stage, which waits where it takes from another. The first
 * failure ends the others at their next step, or in the middle of a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/thread.h"
#include "base/time.h"
#include "build/apply.h"
#include "build/cache_image.h"
#include "build/cache_import.h"
#include "build/check.h"
#include "build/builder-priv.h"
#include "build/result-priv.h"

/* ---- telling, failing, waiting ---- */

int build_tell_event(struct build *b, struct build_event *e, struct err *err)
{
    (void)pthread_mutex_lock(&b->lock);
    int r = b->rq->tell ? b->rq->tell(b->rq->ctx, e, err) : 0;
    (void)pthread_mutex_unlock(&b->lock);
    return r;
}

bool build_failed(struct build *b)
{
    (void)pthread_mutex_lock(&b->lock);
    bool failed = b->failed < 0;
    (void)pthread_mutex_unlock(&b->lock);
    return failed;
}

/* The first one counts. What runs sees the other end of the pipe hang up. */
static void fail(struct build *b, int r, const struct err *err)
{
    (void)pthread_mutex_lock(&b->lock);
    if (b->failed >= 0) {
        b->failed = r;
        b->err = *err;
        close_fd(&b->cancel_wr);
    }
    (void)pthread_cond_broadcast(&b->changed);
    (void)pthread_mutex_unlock(&b->lock);
    builder_nudge(b->builder);
}

int stage_wait(struct stage *st, struct err *err)
{
    struct build *b = st->b;

    (void)pthread_mutex_lock(&b->lock);
    while (!st->done && b->failed >= 0)
        (void)pthread_cond_wait(&b->changed, &b->lock);
    bool done = st->done;
    (void)pthread_mutex_unlock(&b->lock);
    return done ? 0 : err_no(err, ECANCELED, "build canceled");
}

/* ---- a stage ---- */

static int carry_out(struct stage *st, const struct planned *p, struct err *err)
{
    const struct ins *ins = p->ins;
    struct expander x = scope_expander(&st->scope, st->b->file.escape);

    switch (ins->op) {
    case INS_RUN:
        return step_run(st, p, err);
    case INS_COPY:
    case INS_ADD:
        return step_copy(st, p, err);
    case INS_WORKDIR:
        return step_workdir(st, p, err);
    case INS_ARG:
        return scope_declare(&st->scope, ins, st->b->file.escape, err);
    case INS_MAINTAINER:
        st->image->author = arena_strdup(&st->a, ins->word);
        stage_history(st, ins->text, true);
        return 0;
    default:
        break;
    }
    int r = config_apply(ins, &x, &st->a, st->config, &st->cmd_set, err);
    if (r >= 0)
        stage_history(st, ins->text, true);
    return r < 0 ? r : 0;
}

/* Where in the file it went wrong; triggers of ONBUILD have no place there. */
static void tell_failure(struct stage *st, const struct planned *p, const struct err *why)
{
    struct build *b = st->b;
    auto_arena struct arena a = ARENA_INIT;
    const struct ins *ins = p ? p->ins : st->def->from;
    struct build_event e = {
        .kind = BUILD_FAILED, .step = p ? p->step : st->from_step, .text = why->msg};

    if (ins->at && ins->at->line)
        e.excerpt =
            dockerfile_excerpt(&b->file, b->rq->file_name, ins->at->line, ins->at->end_line, &a);
    (void)!build_tell_event(b, &e, NULL);
}

/* Then the build begins anew, and what failed is not the user's to know. */
static bool lost_cache(struct build *b)
{
    (void)pthread_mutex_lock(&b->lock);
    bool lost = b->cache_lost;
    (void)pthread_mutex_unlock(&b->lock);
    return lost;
}

static int run_code(struct stage *st, struct err *err)
{
    for (size_t i = 0; i < st->code.n; i++) {
        int r = build_failed(st->b) ? err_no(err, ECANCELED, "build canceled")
                                    : carry_out(st, &st->code.v[i], err);
        if (r < 0) {
            if (r != -ECANCELED && !lost_cache(st->b))
                tell_failure(st, &st->code.v[i], err);
            return r;
        }
    }
    return 0;
}

/* A stage has ended; the last one says so to wait_stages(). */
static void one_less(struct build *b)
{
    (void)pthread_mutex_lock(&b->lock);
    if (--b->running == 0)
        close_fd(&b->ended_wr);
    (void)pthread_mutex_unlock(&b->lock);
}

static void *stage_main(void *arg)
{
    struct stage *st = arg;
    struct build *b = st->b;
    struct err err = {0};
    int r = step_from(st, &err);

    if (r < 0 && r != -ECANCELED && !lost_cache(b))
        tell_failure(st, NULL, &err);
    if (r >= 0)
        r = run_code(st, &err);
    if (r < 0)
        fail(b, r, &err);
    (void)pthread_mutex_lock(&b->lock);
    st->done = r >= 0;
    (void)pthread_cond_broadcast(&b->changed);
    (void)pthread_mutex_unlock(&b->lock);
    one_less(b);
    return NULL;
}

static int start_stage(struct stage *st, struct err *err)
{
    int r = thread_start(stage_main, st, POOL_STACK_B, &st->thread, "start a thread", err);

    st->begun = r >= 0;
    return r;
}

/* ---- the build ---- */

/* Until every stage has ended: then nobody holds the writing end any more. */
static void wait_stages(struct build *b)
{
    struct pollfd p[2] = {{.fd = b->ended_rd}, {.fd = b->rq->gone_fd, .events = POLLRDHUP}};
    struct err gone = {0};

    for (;;) {
        int n = poll(p, 2, -1);
        if (n > 0 && p[0].revents)
            return;
        if (n <= 0 || !p[1].revents)
            continue;
        fail(b, err_no(&gone, ECANCELED, "build canceled"), &gone);
        p[1].fd = -1;
    }
}

/* One that is needed and that nobody starts yet; it counts as running from now on. */
static struct stage *claim_stage(struct build *b)
{
    struct stage *found = NULL;

    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; !found && i < b->nall; i++)
        if (b->all[i].needed && !b->all[i].claimed)
            found = &b->all[i];
    if (found) {
        found->claimed = true;
        b->running++;
    }
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}

static void start_stages(struct build *b)
{
    struct stage *st;

    while ((st = claim_stage(b))) {
        struct err why = {0};
        int r = start_stage(st, &why);
        if (r < 0) {
            fail(b, r, &why);
            one_less(b);
        }
    }
}

/* Those from @first on; others may add some meanwhile. */
static int tell_planned(struct build *b, size_t first, size_t end, struct err *err)
{
    int r = 0;

    for (size_t i = first; r >= 0 && i < end; i++) {
        (void)pthread_mutex_lock(&b->lock);
        struct build_event e = {.kind = BUILD_PLANNED, .step = b->steps.v[i]};
        (void)pthread_mutex_unlock(&b->lock);
        r = build_tell_event(b, &e, err);
    }
    return r;
}

int build_trigger(struct stage *st, const struct ins *ins, struct err *err)
{
    struct build *b = st->b;

    (void)pthread_mutex_lock(&b->lock);
    size_t first = b->steps.n;
    int r = plan_trigger(b, st, ins, err);
    size_t end = b->steps.n;
    (void)pthread_mutex_unlock(&b->lock);
    if (r >= 0)
        r = tell_planned(b, first, end, err);
    if (r >= 0)
        start_stages(b);
    return r;
}

static int run_stages(struct build *b, struct err *err)
{
    /* Until all are started, this counts as one, so that the first to end is not the last. */
    b->running = 1;
    start_stages(b);
    one_less(b);
    wait_stages(b);
    for (size_t i = 0; i < b->nall; i++)
        if (b->all[i].begun)
            (void)pthread_join(b->all[i].thread, NULL);
    if (b->failed < 0 && err)
        *err = b->err;
    return b->failed;
}

/* Two pipes that say something by hanging up. */
static int make_pipes(struct build *b, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "create pipe");
    b->cancel_rd = fds[0];
    b->cancel_wr = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "create pipe");
    b->ended_rd = fds[0];
    b->ended_wr = fds[1];
    return 0;
}

/* ---- checks ---- */

static int tell_warnings(struct build *b, const struct check_warnings *w, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < w->n; i++) {
        struct build_event e = {.kind = BUILD_WARNING, .warning = w->v[i]};
        r = build_tell_event(b, &e, err);
    }
    return r;
}

/* The environment of a base image that is here. Of one that is not, of another context of that
 * name, or of a name with variables in it, nothing is known. */
static const struct strv *base_env(void *ctx, const struct df_stage *stage)
{
    struct build *b = ctx;
    const char *name = stage->from->from.image;
    struct oci_image *img = NULL;
    struct image_row row;

    for (size_t i = 0; i < b->rq->named.n; i++)
        if (strcasecmp(b->rq->named.v[i].name, name) == 0)
            return NULL;
    if (strchr(name, '$') || image_resolve(b->store, name, &b->a, &row, NULL) < 0 ||
        image_config_read(b->store, row.id, &b->a, &img, NULL, NULL) < 0)
        return NULL;
    return img->config ? &img->config->env : NULL;
}

/* The request's configuration of the checks goes before the file's. */
static int check(struct build *b, struct err *err)
{
    const char *config = strmap_get(&b->rq->args, "BUILDKIT_DOCKERFILE_CHECK");
    const struct check_input in = {.file = &b->file,
                                   .program = &b->program,
                                   .build_args = &b->rq->args,
                                   .ignore = b->rq->ignored,
                                   .target = b->rq->target,
                                   .base_env = base_env,
                                   .ctx = b};
    struct check_warnings w = {0};
    int r = check_config_parse(config ? config : b->file.check, &b->a, &b->checks, err);

    if (r < 0)
        return r;
    check_program(&in, &b->checks, &b->a, &w);
    r = tell_warnings(b, &w, err);
    return r < 0 ? r : check_error(&w, &b->checks, err);
}

static int solve(struct build *b, struct arena *a, struct build_result *ret, struct err *err)
{
    const struct build_request *rq = b->rq;
    unsigned line = 0;
    int r = dockerfile_parse(rq->file, rq->file_len, &b->a, &b->file, err);

    if (r >= 0)
        r = program_decode(&b->file, &b->a, &b->program, &line, err);
    if (r >= 0)
        r = check(b, err);
    if (r >= 0)
        r = plan_build(b, err);
    if (r >= 0)
        r = export_check(b, err);
    if (r < 0 || rq->check_only)
        return r;
    r = cache_image_take(b, err);
    if (r >= 0)
        r = cache_import_open(b, err);
    if (r >= 0)
        r = tell_planned(b, 0, b->steps.n, err);
    if (r >= 0)
        r = make_pipes(b, err);
    if (r >= 0)
        r = run_stages(b, err);
    if (r >= 0 && rq->squash)
        r = squash_result(b, err);
    if (r >= 0)
        r = build_result_image(b, a, ret, err);
    return r < 0 ? r : cache_export_all(b, err);
}

static void build_done(struct build *b)
{
    cache_import_close(b);
    for (size_t i = 0; i < b->nall; i++)
        arena_done(&b->all[i].a);
    close_fd(&b->cancel_rd);
    close_fd(&b->cancel_wr);
    close_fd(&b->ended_rd);
    close_fd(&b->ended_wr);
    (void)pthread_mutex_destroy(&b->fetch_lock);
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->changed);
    lease_free(b->lease);
    arena_done(&b->a);
}

static int build_once(struct builder *bd, const struct build_request *rq, struct arena *a,
                      struct build_result *ret, bool *ret_lost, struct err *err)
{
    struct build b = {.builder = bd,
                      .store = bd->store,
                      .host = bd->host,
                      .rq = rq,
                      .lease = lease_new(bd->store),
                      .began_ns = now_ns(),
                      .cancel_rd = -1,
                      .cancel_wr = -1,
                      .ended_rd = -1,
                      .ended_wr = -1};

    (void)pthread_mutex_init(&b.fetch_lock, NULL);
    (void)pthread_mutex_init(&b.lock, NULL);
    (void)pthread_cond_init(&b.changed, NULL);
    *ret = (struct build_result){0};
    int r = solve(&b, a, ret, err);
    ret->exit_code = b.exit_code;
    *ret_lost = b.cache_lost;
    build_done(&b);
    return r;
}

/* A cache that cannot give what it has promised is as if it were not there. */
int build_image(struct builder *bd, const struct build_request *rq, struct arena *a,
                struct build_result *ret, struct err *err)
{
    struct build_request without = *rq;
    struct err why = {0};
    bool lost = false;
    int r = build_once(bd, rq, a, ret, &lost, &why);

    if (r < 0 && lost && !ret->image) {
        struct check_warning w = {
            .rule = "CacheFrom", .message = why.msg, .description = "", .url = ""};
        struct build_event e = {.kind = BUILD_WARNING, .warning = &w};
        r = rq->tell ? rq->tell(rq->ctx, &e, err) : 0;
        if (r < 0)
            return r;
        without.cache_imports.n = 0;
        why = (struct err){0};
        r = build_once(bd, &without, a, ret, &lost, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}
