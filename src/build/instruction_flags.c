#include "build/instruction-priv.h"

#include <strings.h>

#include "build/words-priv.h"

#define FLAGS_MAX 16 /* of one instruction */

void flags_split(struct decoder *d)
{
    struct strv words = {0};

    d->args = words_flags(d->line->rest, d->a, &words);
    for (size_t i = 0; i < words.n; i++) {
        char *name = words.v[i] + 2, *eq = strchr(name, '=');
        if (eq)
            *eq++ = '\0';
        arena_push(d->a, d->flags) = (struct df_flag){name, eq};
    }
}

static int unknown(const struct decoder *d, const struct flag_spec *specs, const char *name,
                   struct err *err)
{
    const char *names[FLAGS_MAX];
    size_t n = 0;

    for (const struct flag_spec *s = specs; s->name && n < FLAGS_MAX; s++)
        names[n++] = s->name;
    return err_invalid(err, "unknown flag: --%s%s", name, suggest(d->a, name, names, n, false));
}

static int check_value(const struct df_flag *f, enum flag_kind kind, struct err *err)
{
    if (kind == FLAG_BOOL ? f->value && !*f->value : !f->value)
        return err_invalid(err, "missing a value on flag: --%s", f->name);
    if (kind == FLAG_BOOL && f->value && strcasecmp(f->value, "true") != 0 &&
        strcasecmp(f->value, "false") != 0)
        return err_invalid(err, "expecting boolean value for flag --%s, not: %s", f->name,
                           f->value);
    return 0;
}

static bool seen_before(const struct decoder *d, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(d->flags.v[i].name, d->flags.v[at].name) == 0)
            return true;
    return false;
}

int flags_check(const struct decoder *d, const struct flag_spec *specs, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < d->flags.n; i++) {
        const struct df_flag *f = &d->flags.v[i];
        const struct flag_spec *s = specs;
        while (s->name && strcmp(s->name, f->name) != 0)
            s++;
        if (!s->name)
            return unknown(d, specs, f->name, err);
        if (s->kind != FLAG_LIST && seen_before(d, i))
            return err_invalid(err, "duplicate flag specified: --%s", f->name);
        r = check_value(f, s->kind, err);
    }
    return r;
}

static const struct df_flag *find(const struct decoder *d, const char *name)
{
    for (size_t i = 0; i < d->flags.n; i++)
        if (strcmp(d->flags.v[i].name, name) == 0)
            return &d->flags.v[i];
    return NULL;
}

char *flag_text(const struct decoder *d, const char *name)
{
    const struct df_flag *f = find(d, name);

    return f && *f->value ? f->value : NULL;
}

int flag_bool(const struct decoder *d, const char *name)
{
    const struct df_flag *f = find(d, name);

    return !f ? -1 : !f->value || strcasecmp(f->value, "true") == 0;
}

struct strv flag_list(const struct decoder *d, const char *name)
{
    struct strv v = {0};

    for (size_t i = 0; i < d->flags.n; i++)
        if (strcmp(d->flags.v[i].name, name) == 0)
            strv_push(d->a, &v, d->flags.v[i].value);
    return v;
}
