/*
 * Dockerfiles: any bytes through lines, instructions, checks and the config of an image. Places
 * must lie within the file, and a trigger of ONBUILD must be taken again when a child is built.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "build/apply.h"
#include "build/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static const char *value(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "A") == 0 ? "a b" : strcmp(name, "B") == 0 ? "/b:c*" : NULL;
}

static const struct expander some = {.get = value, .escape = '\\'};

static void places(const struct dockerfile *d, struct arena *a)
{
    unsigned last = 0;

    for (size_t i = 0; i < d->code.n; i++) {
        const struct df_line *l = d->code.v[i];
        must(l->line > last && l->end_line >= l->line && l->end_line <= d->lines.n);
        must(*l->keyword && !strpbrk(l->keyword, " \n"));
        must(strlen(dockerfile_excerpt(d, "Dockerfile", l->line, l->end_line, a)) > 0);
        for (size_t k = 0; k < l->heredocs.n; k++)
            must(*l->heredocs.v[k]->name && l->heredocs.v[k]->body);
        last = l->end_line;
    }
}

static void trigger(const struct ins *ins, char escape, struct arena *a)
{
    struct ins *again = NULL;
    struct err e = {0};

    if (escape != '\\')
        return; /* a child has an escape character of its own */
    must(ins_decode(ins->onbuild.text, a, &again, &e) >= 0);
    must(again->op == ins->onbuild.ins->op);
}

static void apply(const struct df_program *p, char escape, struct arena *a)
{
    struct oci_image_config config = {0};
    struct ins_mounts mounts;
    bool cmd_set = false;
    struct err e = {0};

    for (size_t i = 0; i < p->stages.n; i++)
        for (size_t k = 0; k < p->stages.v[i]->code.n; k++) {
            const struct ins *ins = p->stages.v[i]->code.v[k];
            must(config_apply(ins, &some, a, &config, &cmd_set, &e) >= 0 || e.msg[0]);
            if (ins->op == INS_RUN)
                must(run_mounts(&ins->run, &some, a, &mounts, &e) < 0 ||
                     mounts.n == ins->run.mount_flags.n);
            if (ins->op == INS_ONBUILD)
                trigger(ins, escape, a);
        }
}

static void check(const struct dockerfile *d, const struct df_program *p, struct arena *a)
{
    const struct check_input in = {.file = d, .program = p};
    struct check_config c = {0};
    struct check_warnings w = {0};
    struct err e = {0};

    if (check_config_parse(d->check, a, &c, &e) < 0) {
        must(e.msg[0]);
        c = (struct check_config){.experimental_all = true};
    }
    check_program(&in, &c, a, &w);
    for (size_t i = 0; i < w.n; i++) {
        must(w.v[i]->line >= 1 && w.v[i]->end_line <= d->lines.n && *w.v[i]->message);
        must(i == 0 || w.v[i - 1]->line <= w.v[i]->line);
    }
    must(check_error(&w, &c, &e) >= 0 || (c.error && w.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dockerfile d = {0};
    struct df_program p = {0};
    struct err e = {0};
    unsigned line = 0;

    if (dockerfile_parse((const char *)data, size, &a, &d, &e) < 0) {
        must(e.kind == ERR_INVALID && e.msg[0]);
        return 0;
    }
    places(&d, &a);
    if (program_decode(&d, &a, &p, &line, &e) < 0) {
        must(e.kind == ERR_INVALID && e.msg[0] && line <= d.lines.n);
        return 0;
    }
    must(p.stages.n > 0);
    check(&d, &p, &a);
    apply(&p, d.escape, &a);
    return 0;
}
