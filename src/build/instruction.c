#include "build/instruction-priv.h"

#include <strings.h>

#include "build/words-priv.h"

static const struct {
    const char *name;
    decode_fn *decode;
} ops[] = {
    [INS_ADD] = {"ADD", decode_copy},
    [INS_ARG] = {"ARG", decode_arg},
    [INS_CMD] = {"CMD", decode_command},
    [INS_COPY] = {"COPY", decode_copy},
    [INS_ENTRYPOINT] = {"ENTRYPOINT", decode_command},
    [INS_ENV] = {"ENV", decode_pairs},
    [INS_EXPOSE] = {"EXPOSE", decode_expose},
    [INS_FROM] = {"FROM", decode_from},
    [INS_HEALTHCHECK] = {"HEALTHCHECK", decode_healthcheck},
    [INS_LABEL] = {"LABEL", decode_pairs},
    [INS_MAINTAINER] = {"MAINTAINER", decode_word},
    [INS_ONBUILD] = {"ONBUILD", decode_onbuild},
    [INS_RUN] = {"RUN", decode_run},
    [INS_SHELL] = {"SHELL", decode_shell},
    [INS_STOPSIGNAL] = {"STOPSIGNAL", decode_word},
    [INS_USER] = {"USER", decode_word},
    [INS_VOLUME] = {"VOLUME", decode_volume},
    [INS_WORKDIR] = {"WORKDIR", decode_word},
};
#define N_OPS (sizeof(ops) / sizeof(ops[0]))

const char *ins_name(enum ins_op op)
{
    return ops[op].name;
}

int need_args(const struct decoder *d, struct err *err)
{
    return *d->args ? 0 : err_invalid(err, "%s requires at least one argument", d->name);
}

int need_one(const struct decoder *d, struct err *err)
{
    return *d->args ? 0 : err_invalid(err, "%s requires exactly one argument", d->name);
}

static int unknown(const char *keyword, struct arena *a, struct err *err)
{
    const char *names[N_OPS];

    for (size_t i = 0; i < N_OPS; i++)
        names[i] = ops[i].name;
    return err_invalid(err, "unknown instruction: %.64s%s", keyword,
                       suggest(a, keyword, names, N_OPS, true));
}

int decode_line(const struct df_line *line, char escape, struct arena *a, struct ins **ret,
                struct err *err)
{
    struct decoder d = {.line = line, .a = a, .escape = escape};
    struct ins *ins = arena_new(a, struct ins);
    size_t op = 0;

    while (op < N_OPS && strcasecmp(line->keyword, ops[op].name) != 0)
        op++;
    if (op == N_OPS)
        return unknown(line->keyword, a, err);
    ins->op = (enum ins_op)op;
    ins->at = line;
    ins->text = arena_printf(a, "%s%s%s", line->keyword, *line->rest ? " " : "", line->rest);
    d.name = ops[op].name;
    flags_split(&d);
    int r = ops[op].decode(&d, ins, err);
    if (r >= 0)
        *ret = ins;
    return r;
}

/* ---- a program ---- */

static void new_stage(struct df_program *p, struct ins *from, struct arena *a)
{
    struct df_stage *s = arena_new(a, struct df_stage);

    s->from = from;
    s->name = from->from.name ? from->from.name : arena_printf(a, "%zu", p->stages.n);
    arena_push(a, p->stages) = s;
}

static int add(struct df_program *p, struct ins *ins, struct arena *a, struct err *err)
{
    if (ins->op == INS_FROM && p->stages.n >= DOCKERFILE_STAGES_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "more than %d stages", DOCKERFILE_STAGES_MAX);
    if (ins->op == INS_FROM) {
        new_stage(p, ins, a);
        return 0;
    }
    if (p->stages.n == 0 && ins->op == INS_ARG) {
        arena_push(a, p->args) = ins;
        return 0;
    }
    if (p->stages.n == 0)
        return err_invalid(err, "no build stage in current context");
    arena_push(a, p->stages.v[p->stages.n - 1]->code) = ins;
    return 0;
}

int program_decode(const struct dockerfile *d, struct arena *a, struct df_program *ret,
                   unsigned *ret_line, struct err *err)
{
    struct df_program p = {0};
    struct ins *ins = NULL;

    if (ret_line)
        *ret_line = 0;
    for (size_t i = 0; i < d->code.n; i++) {
        const struct df_line *line = d->code.v[i];
        int r = decode_line(line, d->escape, a, &ins, err);
        if (r >= 0)
            r = add(&p, ins, a, err);
        if (r >= 0)
            continue;
        if (ret_line)
            *ret_line = line->line;
        return err_wrap(err, r, "dockerfile parse error on line %u", line->line);
    }
    if (p.stages.n == 0)
        return err_invalid(err, "dockerfile contains no stages to build");
    *ret = p;
    return 0;
}

int ins_decode(const char *line, struct arena *a, struct ins **ret, struct err *err)
{
    struct dockerfile d = {0};
    int r = dockerfile_parse(line, strlen(line), a, &d, err);

    if (r < 0)
        return r;
    if (d.code.n != 1)
        return err_invalid(err, "%s is more than one instruction", text_quote(a, line));
    return decode_line(d.code.v[0], d.escape, a, ret, err);
}
