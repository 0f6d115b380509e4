/*
 * An empty volume is filled with what the image has at its place. While that goes on the volume's
 * row has the names that are coming: a daemon that dies over it leaves them there, and whoever
 * wants the volume next removes what came of them first. Half of the image's files would be taken
 * for somebody's data.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "archive/clone.h"
#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "engine/vol-priv.h"
#include "kern/rootfs.h"

/* ---- the mark ---- */

static int set_filling(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct strv *names = arg;

    (void)err;
    rec->filling = names ? strv_clone(a, names) : (struct strv){0};
    return 1;
}

/* Only what the image brings: a container that had the volume while it was empty may have written
 * into it. */
static int take_back(struct engine *e, const char *volume, int dir, const struct strv *names,
                     struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < names->n; i++)
        r = remove_tree_at(dir, names->v[i], err);
    return r < 0 ? r : vol_edit(e, volume, set_filling, NULL, err);
}

int vol_settle(struct engine *e, const struct vol_record *rec, struct err *err)
{
    struct vol_open o;

    if (rec->filling.n == 0)
        return 0;
    int r = vol_driver(&rec->rq)->open(e, rec, &o, err);
    if (r > 0) {
        log_info("volume %s was being filled when a daemon ended: emptying it", rec->rq.name);
        r = take_back(e, rec->rq.name, o.fd, &rec->filling, err);
    }
    vol_close(e, &o);
    return r < 0 ? err_wrap(err, r, "empty volume %s", rec->rq.name) : 0;
}

/* ---- filling ---- */

/* What the image has at @target. Return: descriptor; -1: nothing. */
static int open_image_dir(const struct container *c, const char *target, int *ret, struct err *err)
{
    auto_close int lower = -1;

    if (*ret >= 0)
        return 0;
    int r = ctr_open_lower(c, &lower, err);
    if (r >= 0)
        *ret = rootfs_open(lower, target, O_RDONLY | O_DIRECTORY, NULL);
    return r;
}

static int copy(struct engine *e, const char *volume, int from, int to, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    struct err undo = {0};
    int r = dir_names(from, &a, &names, err);

    if (r < 0 || names.n == 0)
        return r < 0 ? r : clone_tree(from, to, NULL, err); /* its owner and mode */
    FAIL_POINT("volume.fill.begin", err);
    r = vol_edit(e, volume, set_filling, &names, err);
    if (r < 0)
        return r;
    r = limits_bind(err);
    if (r >= 0)
        r = clone_tree(from, to, NULL, err);
    limits_release();
    if (r >= 0)
        r = vol_edit(e, volume, set_filling, NULL, err);
    if (r < 0 && take_back(e, volume, to, &names, &undo) < 0)
        log_warn("volume %s stays half filled until it is wanted again: %s", volume, undo.msg);
    FAIL_POINT("volume.fill.done", err);
    return r;
}

/* Only what is empty is filled. */
static int fill_open(struct container *c, const struct ctr_volume *v, int *from, int to,
                     struct err *err)
{
    if (to < 0 || dir_count(to, 1, NULL) != 0)
        return 0;
    int r = open_image_dir(c, v->target, from, err);
    return r < 0 || *from < 0 ? r : copy(c->e, v->name, *from, to, err);
}

int ctr_volume_fill(struct container *c, const struct ctr_volume *v, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_hold struct vol_hold held = {0};
    auto_close int from = -1;
    struct vol_record rec;
    struct vol_open o;

    if (v->no_copy || !str_empty(v->subpath) || c->lowers.n == 0)
        return 0;
    /* Of two containers that come at once, one fills and the other finds it full. */
    vol_hold(c->e, v->name, &held);
    int r = vol_get(c->e, v->name, &a, &rec, err);
    if (r < 0)
        return r;
    const struct vol_driver *d = vol_driver(&rec.rq);
    if (d->open_is_dear) {
        r = open_image_dir(c, v->target, &from, err);
        if (r < 0 || from < 0)
            return r < 0 ? r : 0;
    }
    r = d->open(c->e, &rec, &o, err);
    if (r > 0)
        r = fill_open(c, v, &from, o.fd, err);
    vol_close(c->e, &o);
    return r < 0 ? err_wrap(err, r, "fill volume %s", v->name) : 0;
}
