/* WORKDIR: the config's, and the directory itself where it is missing. */
#include "base/auto.h"
#include "build/apply.h"
#include "build/key.h"
#include "build/solve-priv.h"
#include "image/adopt.h"
#include "kern/rootfs.h"

static int make_dir(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
                    struct err *err)
{
    struct stage *st = ctx;

    (void)o;
    (void)a;
    auto_close int root = stage_tree(st->b, &st->layers, into, err);
    auto_close int dir = root < 0 ? root : rootfs_mkdir_p(root, st->config->working_dir, 0755, err);
    return dir < 0 ? dir : 0;
}

int step_workdir(struct stage *st, const struct planned *p, struct err *err)
{
    struct expander x = scope_expander(&st->scope, st->b->file.escape);
    bool empty = true;
    int r = step_begin(st, p->step, err);

    if (r >= 0)
        r = config_apply(p->ins, &x, &st->a, st->config, &st->cmd_set, err);
    if (r < 0)
        return r;
    struct key *k = stage_key(st, "workdir");
    key_text(k, "path", st->config->working_dir);
    r = step_make(st, p->step, k, make_dir, st, &empty, err);
    if (r >= 0)
        stage_history(st, arena_printf(&st->a, "WORKDIR %s", st->config->working_dir), empty);
    return r;
}
