/*
 * Removing a container. The row says "removing" before anything is deleted and goes last, so a
 * daemon that dies in between finishes the work at its next start.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"

static int check_removable(struct container *c, bool force, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    enum ctr_status status = c->status;
    bool busy = status == CTR_RUNNING;
    const char *word = ctr_status_word(c);
    (void)pthread_mutex_unlock(&c->lock);
    if (!busy || force)
        return 0;
    return err_conflict(err,
                        "cannot remove container \"/%s\": container is %s: %s before removing or "
                        "force remove",
                        c->name, word,
                        strcmp(word, "paused") == 0 ? "unpause and then stop the "
                                                      "container"
                                                    : "stop the container");
}

static int mark(struct container *c, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    c->status = CTR_REMOVING;
    int r = ctr_save_state(c, err);
    (void)pthread_mutex_unlock(&c->lock);
    return r;
}

/* A shim that is there still tidies up by itself; it needs nothing in the container's directory,
 * and when it is gone shim_gone() looks behind it. */
static bool has_shim(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool has = c->control >= 0;
    (void)pthread_mutex_unlock(&c->lock);
    return has;
}

static int delete_all(struct container *c, struct err *err)
{
    struct engine *e = c->e;

    FAIL_POINT("container.remove.marked", err);
    if (c->started_ns && !has_shim(c))
        engine_sweep_run(e, c->id);
    int r = trash_put(e, e->containers_fd, c->id, err);
    if (r < 0)
        return r;
    FAIL_POINT("container.remove.dir", err);
    r = container_delete(e->db, c->id, err);
    if (r < 0)
        return r;
    FAIL_POINT("container.remove.row", err);
    return 0;
}

int ctr_remove_locked(struct container *c, bool force, struct err *err)
{
    int r = check_removable(c, force, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c);
    (void)pthread_mutex_unlock(&c->lock);
    if (running) {
        r = ctr_kill(c->e, c->id, "KILL", err);
        if (r < 0 && r != -ESRCH)
            return r;
    }
    ctr_cancel_restart(c);
    r = mark(c, err);
    if (r == -ENOENT)
        return err_not_found(err, "No such container: %s", c->id); /* somebody was faster */
    if (r >= 0)
        r = delete_all(c, err);
    if (r < 0) {
        (void)pthread_mutex_lock(&c->lock);
        c->status = CTR_DEAD;
        c->auto_removing = false; /* it may be tried again by hand */
        free(c->error);
        c->error = xstrdup(err->msg);
        ctr_changed(c);
        (void)pthread_mutex_unlock(&c->lock);
        return err_wrap(err, r, "unable to remove filesystem for %s", c->id);
    }
    ctr_unlink(c);
    (void)pthread_mutex_lock(&c->lock);
    c->removed = true;
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
    ctr_event(c, "destroy", NULL);
    return 0;
}

int ctr_remove(struct engine *e, const char *id, bool force, bool volumes, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    (void)pthread_mutex_lock(&c->lock);
    bool removing = c->auto_removing && c->status != CTR_DEAD;
    (void)pthread_mutex_unlock(&c->lock);
    if (removing)
        return err_conflict(err, "removal of container %s is already in progress", id);
    (void)pthread_mutex_lock(&c->op);
    int r = ctr_remove_locked(c, force, err);
    (void)pthread_mutex_unlock(&c->op);
    if (r >= 0 && volumes)
        ctr_volumes_drop(c);
    return r;
}

int ctr_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct container_prune_response *ret, struct err *err)
{
    static const char *const accepted[] = {"label", "label!", "until", NULL};
    const struct strv *until = filters_get(f, "until");
    int64_t before = INT64_MAX;
    size_t n;

    int r = filters_check(f, accepted, err);
    if (r >= 0 && until && until->n > 0)
        r = time_parse_user(until->v[0], now_ns(), &before, err);
    if (r < 0)
        return r;
    auto_free struct container **all = ctr_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        struct container *c = all[i];
        (void)pthread_mutex_lock(&c->lock);
        bool drop = (c->status == CTR_CREATED || c->status == CTR_EXITED) && !ctr_hidden(c) &&
                    c->created_ns < before && filters_prune_labels(f, &c->config->labels);
        (void)pthread_mutex_unlock(&c->lock);
        int64_t size = drop ? ctr_size_rw(c) : 0;
        if (drop && ctr_remove(e, c->id, false, true, NULL) >= 0) {
            strv_push(a, &ret->deleted, c->id);
            ret->space_reclaimed_b += (uint64_t)size;
        }
        ctr_unref(c);
    }
    char bytes[24];
    struct strmap attrs = {0};
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)ret->space_reclaimed_b);
    strmap_set(a, &attrs, "reclaimed", bytes);
    events_put(e->events, "container", "prune", "", &attrs);
    return 0;
}
