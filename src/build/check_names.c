#include "build/check-priv.h"

#include "base/map.h"
#include "build/words-priv.h"

#define NEAR_MAX 256 /* names that are compared with a wrong one */

void names_init(struct names *s, const struct names *base)
{
    *s = (struct names){.vars = map_new(), .base = base};
}

void names_done(struct names *s)
{
    map_free(s->vars);
    s->vars = NULL;
}

const struct names_var *names_find(const struct names *s, const char *name)
{
    const struct names_var *found = NULL;

    for (; s; s = s->base) {
        const struct names_var *v = map_get(s->vars, name);
        if (v && (!found || v->env))
            found = v;
        if (found && found->env)
            break;
    }
    return found;
}

void names_set(struct checker *k, struct names *s, const char *name, const char *val, bool env)
{
    const struct names_var *old = map_get(s->vars, name);
    struct names_var *v;

    if (old && old->env && !env)
        return;
    v = arena_new(k->a, struct names_var);
    *v = (struct names_var){env, val};
    (void)map_set(s->vars, name, v);
}

/* The environment of the image that it all starts from. */
static const struct strv *base_env(const struct names *s)
{
    while (s->base)
        s = s->base;
    return s->env;
}

bool names_is_known(const struct names *s)
{
    while (s->base)
        s = s->base;
    return !s->unknown_env;
}

char *names_near(const struct names *s, struct arena *a, const char *name, const char *prefix)
{
    const struct strv *env = base_env(s);
    const char *names[NEAR_MAX];
    size_t n = 0;

    for (const struct names *in = s; in; in = in->base) {
        size_t pos = 0;
        void *val;
        while (n < NEAR_MAX && map_next(in->vars, &pos, &names[n], &val))
            n++;
    }
    for (size_t i = 0; env && i < env->n && n < NEAR_MAX; i++)
        names[n++] = arena_strndup(a, env->v[i], strcspn(env->v[i], "="));
    return suggest_as(a, name, names, n, false, prefix);
}

/* ---- looking at words ---- */

static const char *get(void *ctx, const char *name)
{
    const struct look *l = ctx;
    const struct names_var *v = names_find(l->s, name);
    const struct strv *env = base_env(l->s);
    const char *of_base = env ? strv_env(env, name) : NULL;

    return v && (v->env || !of_base) ? v->val : of_base;
}

/* An ARG without a value is declared all the same. */
static void unset(void *ctx, const char *name)
{
    struct look *l = ctx;
    bool from = l->rule == RULE_UNDEFINED_ARG_IN_FROM;

    if (l->quiet || l->told.n >= CHECK_WARNINGS_MAX || names_find(l->s, name) ||
        strv_has(&l->told, name) || !names_is_known(l->s))
        return;
    strv_push(l->k->a, &l->told, name);
    check_warn(l->k, l->rule, l->at,
               from ? "FROM argument '%s' is not declared%s"
                    : "Usage of undefined variable '$%s'%s",
               name, names_near(l->s, l->k->a, name, from ? "" : "$"));
}

struct expander look_expander(struct look *l)
{
    return (struct expander){.get = get,
                             .ctx = l,
                             .escape = l->k->in->file->escape,
                             .unset = unset,
                             .total = &l->k->total};
}

bool look(struct look *l, const char *text, char **ret)
{
    struct expander x = look_expander(l);

    return expand_word(&x, text, l->k->a, ret, NULL) >= 0;
}

bool look_text(struct look *l, const char *text)
{
    struct expander x = look_expander(l);
    char *out = NULL;

    return expand_text(&x, text, l->k->a, &out, NULL) >= 0;
}
