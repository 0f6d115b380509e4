/* Waiting for a container: not running, next exit, removed. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct ctr_wait {
    struct container *c;
    enum ctr_wait_for what;
    unsigned exits; /* when the wait began */
    struct watcher w;
};

int ctr_wait_begin(struct engine *e, const char *id, enum ctr_wait_for what, struct ctr_wait **ret,
                   struct err *err)
{
    struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    struct ctr_wait *w = xnew(struct ctr_wait);
    w->c = c;
    w->what = what;
    int r = ctr_watch(c, &w->w, err);
    if (r < 0) {
        ctr_unref(c);
        free(w);
        return r;
    }
    (void)pthread_mutex_lock(&c->lock);
    w->exits = c->exits;
    (void)pthread_mutex_unlock(&c->lock);
    *ret = w;
    return 0;
}

/* Lock held. A container that is removed counts as exited too: nothing else will come. */
static bool happened(const struct ctr_wait *w)
{
    const struct container *c = w->c;
    bool removed = c->status == CTR_REMOVING && c->removed;

    switch (w->what) {
    case WAIT_NOT_RUNNING:
        return !ctr_running(c) && !c->restarting;
    case WAIT_NEXT_EXIT:
        return removed || c->exits != w->exits;
    default: /* a removal that failed is over, too; the answer says why */
        return removed || c->status == CTR_DEAD;
    }
}

int ctr_wait_end(struct ctr_wait *w, int gone_fd, struct arena *a,
                 struct container_wait_response *ret, struct err *err)
{
    struct container *c = w->c;
    int r = 1;

    while (r >= 0) {
        (void)pthread_mutex_lock(&c->lock);
        bool done = happened(w);
        if (done)
            ret->status_code = c->exit_code;
        if (done && c->status == CTR_DEAD) {
            ret->error = arena_new(a, struct wait_error);
            ret->error->message = arena_strdup(a, c->error);
        }
        (void)pthread_mutex_unlock(&c->lock);
        if (done)
            break;
        r = ctr_wait_change(&w->w, gone_fd, -1);
    }
    ctr_unwatch(c, &w->w);
    ctr_unref(c);
    free(w);
    return r == -ECANCELED ? err_no(err, ECANCELED, "the client left") : r < 0 ? r : 0;
}
