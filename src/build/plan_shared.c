/*
 * Builds for several platforms: which stages are one for all of them, and how steps are called. A
 * stage that says its platform itself (FROM --platform=$BUILDPLATFORM) and sees nothing of the
 * target's is carried out once.
 */
#include "build/plan-priv.h"

#include <string.h>

static bool same_args(const struct ins *arg, const struct stage *a, const struct stage *b)
{
    for (size_t i = 0; i < arg->pairs.pairs.n; i++) {
        const char *key = arg->pairs.pairs.v[i].key;
        if (!str_eq(strmap_get(&a->target->global.args, key),
                    strmap_get(&b->target->global.args, key)))
            return false;
    }
    return true;
}

/* An image is that of the target's platform. */
static bool same_origin(struct build *b, const struct stage *x, const struct stage *y,
                        const char *name)
{
    struct origin ox = {0}, oy = {0};

    if (str_empty(name))
        return true;
    return plan_origin(b, x, name, &ox, NULL) >= 0 && plan_origin(b, y, name, &oy, NULL) >= 0 &&
           !ox.image && ox.stage == oy.stage && ox.named == oy.named;
}

static bool same_ins(struct build *b, const struct ins *ins, const struct stage *x,
                     const struct stage *y)
{
    bool same = true;

    if (ins->op == INS_ARG)
        return same_args(ins, x, y);
    if (ins->op == INS_COPY)
        return same_origin(b, x, y, ins->copy.from);
    for (size_t i = 0; same && ins->op == INS_RUN && i < ins->run.mounts.n; i++)
        same = same_origin(b, x, y, ins->run.mounts.v[i]->from);
    return same;
}

static bool is_same(struct build *b, const struct stage *x, const struct stage *y)
{
    bool same = x->platform && str_eq(x->platform, y->platform) && x->base.stage == y->base.stage &&
                str_eq(x->base.image, y->base.image) && x->base.named == y->base.named;

    for (size_t i = 0; same && i < x->def->code.n; i++)
        same = same_ins(b, x->def->code.v[i], x, y);
    return same;
}

struct stage *plan_shared(struct build *b, const struct stage *st)
{
    for (const struct target *t = b->targets; t < st->target; t++) {
        struct stage *old = t->stages[st->index];
        if (old != t->result && is_same(b, st, old))
            return old;
    }
    return NULL;
}

bool plan_is_shared(const struct stage *st)
{
    for (size_t i = 0; i < st->b->ntargets; i++)
        if (&st->b->targets[i] != st->target && st->b->targets[i].stages[st->index] == st)
            return true;
    return false;
}

/* ---- names ---- */

bool plan_sees_target(const struct ins *ins)
{
    for (size_t k = 0; ins->op == INS_ARG && k < ins->pairs.pairs.n; k++)
        if (str_starts(ins->pairs.pairs.v[k].key, "TARGET"))
            return true;
    return false;
}

static bool sees_target(const struct stage *st)
{
    for (size_t i = 0; i < st->def->code.n; i++)
        if (plan_sees_target(st->def->code.v[i]))
            return true;
    return false;
}

/* "linux/amd64->arm64": built here for there. */
static const char *platform_place(struct stage *st)
{
    const struct platform *to = &st->target->platform;
    struct platform own = *to;
    char text[PLATFORM_TEXT];
    struct arena *a = &st->b->a;

    if (st->platform && platform_parse(st->platform, &own, NULL) < 0)
        return st->platform; /* the step itself will say so */
    (void)platform_text(&own, text);
    if (strcmp(own.os, to->os) != 0 || strcmp(own.arch, to->arch) == 0 || !sees_target(st))
        return arena_strdup(a, text);
    return arena_printf(a, "%s->%s%s%s", text, to->arch, *to->variant ? "/" : "", to->variant);
}

const char *plan_place(struct stage *st)
{
    struct build *b = st->b;
    const char *name = st->def->from->from.name;
    struct strv words = {0};

    if (b->ntargets > 1)
        strv_push(&b->a, &words, platform_place(st));
    if (name || b->nstages > 1)
        strv_push(&b->a, &words, name ? name : arena_printf(&b->a, "stage-%u", st->index));
    return words.n ? strv_join(&b->a, &words, " ") : "";
}
