/* The table of containers: finding, holding, watching. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

struct container *ctr_new(struct engine *e, const char *id)
{
    struct container *c = xnew(struct container);
    pthread_mutexattr_t attr;

    c->e = e;
    c->refs = 1;
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutex_init(&c->op, &attr);
    (void)pthread_mutex_init(&c->freeze, &attr);
    (void)pthread_mutex_init(&c->ends, NULL);
    (void)pthread_mutex_init(&c->lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    memcpy(c->id, id, sizeof(c->id));
    c->data_fd = c->run_fd = c->control = -1;
    return c;
}

/* Runs in the loop's thread, which alone may free timers: none of them can fire meanwhile. */
static void ctr_free(void *arg)
{
    struct container *c = arg;

    ctr_drop_waiting(c);
    execs_free(c);
    health_free(c);
    loop_source_free(c->restart_timer);
    close_fd(&c->run_fd);
    close_fd(&c->data_fd);
    free(c->error);
    ctr_net_forget(c);
    arena_done(&c->mem);
    (void)pthread_mutex_destroy(&c->op);
    (void)pthread_mutex_destroy(&c->freeze);
    (void)pthread_mutex_destroy(&c->ends);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

struct container *ctr_ref(struct container *c)
{
    (void)pthread_mutex_lock(&c->e->lock);
    bool alive = c->refs > 0;
    c->refs += alive;
    (void)pthread_mutex_unlock(&c->e->lock);
    return alive ? c : NULL;
}

void ctr_unref(struct container *c)
{
    if (!c)
        return;
    struct engine *e = c->e;
    (void)pthread_mutex_lock(&e->lock);
    bool last = --c->refs == 0;
    (void)pthread_mutex_unlock(&e->lock);
    if (last && e->closing)
        ctr_free(c);
    else if (last)
        loop_post(e->loop, ctr_free, c);
}

/* The table holds a reference of its own. Newest first: the order of `ps`. */
void ctr_link(struct container *c)
{
    struct engine *e = c->e;

    (void)pthread_mutex_lock(&e->lock);
    struct container **at = &e->containers;
    while (*at && (*at)->created_ns > c->created_ns)
        at = &(*at)->next;
    c->next = *at;
    *at = c;
    (void)map_set(e->by_id, c->id, c);
    (void)map_set(e->by_name, c->name, c);
    c->refs++;
    (void)pthread_mutex_unlock(&e->lock);
}

void ctr_unlink(struct container *c)
{
    struct engine *e = c->e;
    bool found = false;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container **at = &e->containers; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            (void)map_del(e->by_id, c->id);
            (void)map_del(e->by_name, c->name);
            found = true;
            break;
        }
    (void)pthread_mutex_unlock(&e->lock);
    if (found)
        ctr_unref(c);
}

struct container *ctr_named(const struct engine *e, const char *name)
{
    return map_get(e->by_name, name);
}

/* One that was unlinked meanwhile is in the table no more, and somebody else may have its name. */
void ctr_set_name(struct container *c, char *name)
{
    struct engine *e = c->e;

    if (ctr_named(e, c->name) == c) {
        (void)map_del(e->by_name, c->name);
        (void)map_set(e->by_name, name, c);
    }
    c->name = name;
}

/* Name before id prefix, as Docker: a container may be named like another's id. */
static struct container *match(struct engine *e, const char *name, bool *ambiguous)
{
    size_t n = strlen(name);
    struct container *found = map_get(e->by_id, name);

    if (!found)
        found = ctr_named(e, name[0] == '/' ? name + 1 : name);
    if (found)
        return found;
    for (struct container *c = e->containers; c; c = c->next) {
        if (n == 0 || strncmp(c->id, name, n) != 0)
            continue;
        *ambiguous = found != NULL;
        if (found)
            return NULL;
        found = c;
    }
    return found;
}

struct container *ctr_find(struct engine *e, const char *name, struct err *err)
{
    bool ambiguous = false;

    (void)pthread_mutex_lock(&e->lock);
    struct container *c = match(e, name, &ambiguous);
    if (c)
        c->refs++;
    (void)pthread_mutex_unlock(&e->lock);
    if (ambiguous)
        (void)err_invalid(err, "multiple IDs found with provided prefix: %.100s", name);
    else if (!c)
        (void)err_not_found(err, "No such container: %.600s", name);
    return c;
}

struct container **ctr_some(struct engine *e, bool (*want)(const struct container *c),
                            size_t *ret_n)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c; c = c->next)
        n += want(c);
    struct container **v = xcalloc(n, sizeof(*v));
    n = 0;
    for (struct container *c = e->containers; c; c = c->next) {
        if (!want(c))
            continue;
        c->refs++;
        v[n++] = c;
    }
    (void)pthread_mutex_unlock(&e->lock);
    *ret_n = n;
    return v;
}

static bool anyone(const struct container *c)
{
    (void)c;
    return true;
}

struct container **ctr_all(struct engine *e, size_t *ret_n)
{
    return ctr_some(e, anyone, ret_n);
}

bool ctr_running(const struct container *c)
{
    return c->status == CTR_RUNNING && !c->restarting;
}

const char *ctr_status_word(const struct container *c)
{
    static const char *const words[] = {"created", "running", "exited", "removing", "dead"};

    if (c->status == CTR_RUNNING && c->paused)
        return "paused";
    return c->restarting ? "restarting" : words[c->status];
}

/* ---- watching ---- */

void ctr_changed(struct container *c)
{
    uint64_t one = 1;

    for (struct watcher *w = c->watchers; w; w = w->next)
        (void)!write(w->fd, &one, sizeof(one));
}

int ctr_watch(struct container *c, struct watcher *w, struct err *err)
{
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        return err_sys(err, "create eventfd");
    (void)pthread_mutex_lock(&c->lock);
    w->next = c->watchers;
    c->watchers = w;
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

void ctr_unwatch(struct container *c, struct watcher *w)
{
    (void)pthread_mutex_lock(&c->lock);
    for (struct watcher **at = &c->watchers; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    (void)pthread_mutex_unlock(&c->lock);
    close_fd(&w->fd);
}

int ctr_wait_change(const struct watcher *w, int gone_fd, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN},
                          {.fd = gone_fd, .events = POLLRDHUP | POLLHUP | POLLERR}};
    uint64_t n;
    int r = poll(p, gone_fd >= 0 ? 2 : 1, timeout_ms);

    if (r > 0 && p[0].revents) {
        (void)!read(w->fd, &n, sizeof(n));
        return 1;
    }
    if (r > 0 && gone_fd >= 0 && p[1].revents)
        return -ECANCELED;
    return r < 0 && errno == EINTR ? 1 : 0;
}

void ctr_event(struct container *c, const char *action, ...)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};
    va_list ap;

    if (ctr_hidden(c))
        return;
    for (size_t i = 0; i < c->config->labels.n; i++)
        strmap_set(&a, &attrs, c->config->labels.v[i].key, c->config->labels.v[i].val);
    strmap_set(&a, &attrs, "image", str_or(c->image_name, ""));
    strmap_set(&a, &attrs, "name", c->name);
    va_start(ap, action);
    for (const char *key; (key = va_arg(ap, const char *));)
        strmap_set(&a, &attrs, key, va_arg(ap, const char *));
    va_end(ap);
    events_put(c->e->events, "container", action, c->id, &attrs);
}
