/*
 * From a program to what has to be done: which stages the target needs, where each takes its files
 * from, and the steps that front ends show. Images are looked at later, when a stage begins.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/time.h"
#include "build/solve-priv.h"

/* ---- variables before the first FROM ---- */

static void set_platform(struct scope *s, const char *prefix, const struct platform *p,
                         struct arena *a)
{
    char text[PLATFORM_TEXT];

    scope_set(s, arena_printf(a, "%sPLATFORM", prefix), platform_text(p, text));
    scope_set(s, arena_printf(a, "%sOS", prefix), p->os);
    scope_set(s, arena_printf(a, "%sARCH", prefix), p->arch);
    scope_set(s, arena_printf(a, "%sVARIANT", prefix), p->variant);
}

static int global_scope(struct build *b, struct err *err)
{
    int r = 0;

    b->global = (struct scope){.a = &b->a, .given = &b->rq->args, .total = &b->expanded};
    set_platform(&b->global, "TARGET", &b->target, &b->a);
    set_platform(&b->global, "BUILD", &b->native, &b->a);
    scope_set(&b->global, "TARGETSTAGE", str_or(b->rq->target, "default"));
    for (size_t i = 0; r >= 0 && i < b->program.args.n; i++)
        r = scope_declare(&b->global, b->program.args.v[i], b->file.escape, err);
    return r;
}

static int read_epoch(struct build *b, struct err *err)
{
    const char *text = strmap_get(&b->rq->args, "SOURCE_DATE_EPOCH");
    int64_t s = 0;

    b->epoch_ns = INT64_MAX;
    if (str_empty(text))
        return 0;
    if (str_to_i64(text, &s) < 0 || s < 0 || s > INT64_MAX / NS_PER_S)
        return err_invalid(err, "invalid SOURCE_DATE_EPOCH: %s", text);
    b->epoch_ns = s * NS_PER_S;
    return 0;
}

/* ---- stages ---- */

/* An earlier stage by name, or, where that is allowed, by number. */
static struct stage *find_stage(struct build *b, size_t before, const char *name, bool number)
{
    uint64_t n = 0;

    for (size_t i = before; i-- > 0;)
        if (strcasecmp(b->stages[i].def->name, name) == 0 && b->stages[i].def->from->from.name)
            return &b->stages[i];
    if (number && str_to_u64(name, &n) >= 0 && n < before)
        return &b->stages[n];
    return NULL;
}

/* Names of images are the same with all that is left out of them. */
static bool same_image(const char *a, const char *b)
{
    char full[2][REF_TEXT_MAX + 1];

    return image_new_name(a, full[0], NULL) >= 0 && image_new_name(b, full[1], NULL) >= 0 &&
           *full[0] && strcmp(full[0], full[1]) == 0;
}

/* A context of the request. */
static bool find_named(const struct build *b, const char *name, struct origin *ret)
{
    const struct build_named_list *l = &b->rq->named;

    for (size_t i = 0; i < l->n; i++)
        if (strcasecmp(l->v[i].name, name) == 0 || same_image(l->v[i].name, name)) {
            *ret =
                (struct origin){.image = l->v[i].image, .named = l->v[i].image ? NULL : &l->v[i]};
            return true;
        }
    return false;
}

int plan_origin(struct build *b, const struct stage *st, const char *name, struct origin *ret,
                struct err *err)
{
    uint64_t n = 0;

    if (find_named(b, name, ret))
        return 0;
    *ret = (struct origin){.stage = find_stage(b, st->index, name, true)};
    if (ret->stage)
        return 0;
    if (str_to_u64(name, &n) >= 0)
        return err_invalid(err, "invalid stage index %s", name);
    ret->image = name;
    return 0;
}

static int expand_global(struct build *b, const char *text, char **ret, struct err *err)
{
    struct expander x = scope_expander(&b->global, b->file.escape);

    return expand_word(&x, text, &b->a, ret, err);
}

static int plan_stage(struct build *b, struct stage *st, struct err *err)
{
    const struct ins *from = st->def->from;
    char *name = NULL;
    int r = expand_global(b, from->from.image, &name, err);

    if (r >= 0 && from->from.platform)
        r = expand_global(b, from->from.platform, &st->platform, err);
    if (r < 0)
        return r;
    if (str_empty(name))
        return err_invalid(err, "base name (%s) should not be blank", from->from.image);
    if (find_named(b, name, &st->base))
        return 0;
    st->base.stage = find_stage(b, st->index, name, false);
    st->base.scratch = !st->base.stage && strcmp(name, "scratch") == 0;
    if (!st->base.stage && !st->base.scratch)
        st->base.image = name;
    return 0;
}

static int make_stages(struct build *b, struct err *err)
{
    b->nstages = b->program.stages.n;
    b->stages = arena_alloc(&b->a, b->nstages * sizeof(*b->stages));
    for (size_t i = 0; i < b->nstages; i++) {
        struct stage *st = &b->stages[i];
        *st = (struct stage){.b = b, .def = b->program.stages.v[i], .index = (unsigned)i};
        int r = plan_stage(b, st, err);
        if (r < 0)
            return err_wrap(err, r, "failed to parse stage name on line %u",
                            st->def->from->at->line);
    }
    return 0;
}

static int find_target(struct build *b, struct err *err)
{
    b->result = &b->stages[b->nstages - 1];
    if (str_empty(b->rq->target))
        return 0;
    b->result = find_stage(b, b->nstages, b->rq->target, true);
    return b->result ? 0
                     : err_invalid(err, "target stage \"%s\" could not be found", b->rq->target);
}

/* ---- what is needed ---- */

static int need(struct build *b, struct stage *st, struct err *err);

static int need_origin(struct build *b, const struct stage *st, const char *name, struct err *err)
{
    struct origin o = {0};
    int r = str_empty(name) ? 0 : plan_origin(b, st, name, &o, err);

    return r < 0 || str_empty(name) || !o.stage ? r : need(b, o.stage, err);
}

static int need_ins(struct build *b, const struct stage *st, const struct ins *ins, struct err *err)
{
    int r = 0;

    if (ins->op == INS_COPY)
        return need_origin(b, st, ins->copy.from, err);
    for (size_t i = 0; r >= 0 && ins->op == INS_RUN && i < ins->run.mounts.n; i++)
        r = need_origin(b, st, ins->run.mounts.v[i]->from, err);
    return r;
}

/* Only earlier stages can be named, so this ends. */
static int need(struct build *b, struct stage *st, struct err *err)
{
    int r = 0;

    if (st->needed)
        return 0;
    st->needed = true;
    if (st->base.stage)
        r = need(b, st->base.stage, err);
    for (size_t i = 0; r >= 0 && i < st->def->code.n; i++)
        r = need_ins(b, st, st->def->code.v[i], err);
    return r;
}

/* ---- steps ---- */

struct build_step *plan_step(struct build *b, const char *stage, const char *text)
{
    struct build_step *s = arena_new(&b->a, struct build_step);

    s->id = (unsigned)b->steps.n;
    s->text = arena_strdup(&b->a, text);
    s->name = arena_printf(&b->a, "[%s] %s", stage, text);
    arena_push(&b->a, b->steps) = s;
    return s;
}

int plan_more(struct build *b, const char *text, struct build_step **ret, struct err *err)
{
    struct build_step *s = arena_new(&b->a, struct build_step);

    s->id = (unsigned)b->steps.n;
    s->name = s->text = arena_strdup(&b->a, text);
    arena_push(&b->a, b->steps) = s;
    struct build_event e = {.kind = BUILD_PLANNED, .step = s};
    *ret = s;
    return build_tell_event(b, &e, err);
}

bool plan_is_step(const struct ins *ins)
{
    return ins->op == INS_RUN || ins->op == INS_COPY || ins->op == INS_ADD ||
           ins->op == INS_WORKDIR;
}

/* "build 2/5"; a file of one stage needs no name. */
static const char *step_place(struct build *b, const struct stage *st, size_t i, size_t n)
{
    const char *name = st->def->from->from.name;

    if (!name && b->nstages == 1)
        return arena_printf(&b->a, "%zu/%zu", i, n);
    return arena_printf(&b->a, "%s %zu/%zu",
                        name ? name : arena_printf(&b->a, "stage-%u", st->index), i, n);
}

static void plan_steps(struct build *b, struct stage *st)
{
    size_t n = 1, i = 1;

    for (size_t k = 0; k < st->def->code.n; k++)
        n += plan_is_step(st->def->code.v[k]);
    st->from_step = plan_step(b, step_place(b, st, i++, n), st->def->from->text);
    for (size_t k = 0; k < st->def->code.n; k++) {
        const struct ins *ins = st->def->code.v[k];
        struct planned p = {.ins = ins};
        if (plan_is_step(ins))
            p.step = plan_step(b, step_place(b, st, i++, n), ins->text);
        arena_push(&b->a, st->code) = p;
    }
}

/* What was not needed before, and is not planned yet. */
static void plan_needed(struct build *b)
{
    for (size_t i = 0; i < b->nstages; i++)
        if (b->stages[i].needed && !b->stages[i].from_step)
            plan_steps(b, &b->stages[i]);
}

int plan_trigger(struct build *b, const struct stage *st, const struct ins *ins, struct err *err)
{
    int r = need_ins(b, st, ins, err);

    if (r >= 0)
        plan_needed(b);
    return r;
}

int plan_build(struct build *b, struct err *err)
{
    int r = platform_parse(NULL, &b->native, err);

    if (r >= 0)
        r = platform_parse(b->rq->platform, &b->target, err);
    if (r >= 0)
        r = read_epoch(b, err);
    if (r >= 0)
        r = global_scope(b, err);
    if (r >= 0)
        r = make_stages(b, err);
    if (r >= 0)
        r = find_target(b, err);
    if (r >= 0)
        r = need(b, b->result, err);
    if (r >= 0)
        plan_needed(b);
    return r;
}
