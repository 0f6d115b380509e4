#include "engine/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"

struct slot {
    struct arena mem;
    struct event_message msg;
};

struct events_sub {
    struct events *ev;
    uint64_t next; /* number of the event to read next */
    int64_t since_ns;
    int fd;
    struct events_sub *link;
};

struct events {
    pthread_mutex_t lock;
    struct slot ring[EVENTS_KEPT];
    uint64_t count; /* events ever published; number n is in ring[n % EVENTS_KEPT] */
    struct events_sub *subs;
};

struct events *events_new(void)
{
    struct events *ev = xnew(struct events);

    (void)pthread_mutex_init(&ev->lock, NULL);
    return ev;
}

void events_free(struct events *ev)
{
    if (!ev)
        return;
    for (size_t i = 0; i < EVENTS_KEPT; i++)
        arena_done(&ev->ring[i].mem);
    (void)pthread_mutex_destroy(&ev->lock);
    free(ev);
}

int events_count(struct events *ev)
{
    int n = 0;

    (void)pthread_mutex_lock(&ev->lock);
    for (struct events_sub *s = ev->subs; s; s = s->link)
        n++;
    (void)pthread_mutex_unlock(&ev->lock);
    return n;
}

static void fill(struct slot *slot, const char *type, const char *action, const char *id,
                 const struct strmap *attributes)
{
    struct arena *a = &slot->mem;
    struct event_message *m = &slot->msg;
    int64_t now = now_ns();

    arena_done(a);
    memset(m, 0, sizeof(*m));
    m->type = arena_strdup(a, type);
    m->action = arena_strdup(a, action);
    m->actor.id = arena_strdup(a, id);
    for (size_t i = 0; attributes && i < attributes->n; i++)
        strmap_set(a, &m->actor.attributes, attributes->v[i].key, attributes->v[i].val);
    m->scope = arena_strdup(a, "local");
    m->time_s = now / NS_PER_S;
    m->time_ns = now;
    if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0) {
        m->status = m->action;
        m->id = m->actor.id;
        const char *from = strmap_get(&m->actor.attributes, "image");
        m->from = from ? arena_strdup(a, from) : NULL;
    }
}

void events_put(struct events *ev, const char *type, const char *action, const char *id,
                const struct strmap *attributes)
{
    uint64_t one = 1;

    (void)pthread_mutex_lock(&ev->lock);
    fill(&ev->ring[ev->count % EVENTS_KEPT], type, action, id, attributes);
    ev->count++;
    for (struct events_sub *s = ev->subs; s; s = s->link)
        (void)!write(s->fd, &one, sizeof(one));
    (void)pthread_mutex_unlock(&ev->lock);
}

struct events_sub *events_subscribe(struct events *ev, int64_t since_ns, struct err *err)
{
    struct events_sub *s = xnew(struct events_sub);
    uint64_t one = 1;

    s->ev = ev;
    s->since_ns = since_ns;
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->fd < 0) {
        (void)err_sys(err, "create eventfd");
        free(s);
        return NULL;
    }
    (void)pthread_mutex_lock(&ev->lock);
    s->next = !since_ns ? ev->count : ev->count > EVENTS_KEPT ? ev->count - EVENTS_KEPT : 0;
    s->link = ev->subs;
    ev->subs = s;
    (void)pthread_mutex_unlock(&ev->lock);
    if (since_ns)
        (void)!write(s->fd, &one, sizeof(one)); /* there may be something to read already */
    return s;
}

void events_unsubscribe(struct events_sub *sub)
{
    if (!sub)
        return;
    (void)pthread_mutex_lock(&sub->ev->lock);
    for (struct events_sub **at = &sub->ev->subs; *at; at = &(*at)->link)
        if (*at == sub) {
            *at = sub->link;
            break;
        }
    (void)pthread_mutex_unlock(&sub->ev->lock);
    (void)close(sub->fd);
    free(sub);
}

int events_fd(const struct events_sub *sub)
{
    return sub->fd;
}

/* "exec_create: sh -c x" is matched by "exec_create". */
static bool match_action(const struct filters *f, const char *action)
{
    const struct strv *want = filters_get(f, "event");

    if (!want)
        return true;
    for (size_t i = 0; i < want->n; i++) {
        const char *rest = str_starts(action, want->v[i]);
        if (rest && (!*rest || *rest == ':'))
            return true;
    }
    return false;
}

/* A filter by object: by id, name or prefix of the id, for events of that type. */
static bool match_object(const struct filters *f, const struct event_message *m, const char *type)
{
    const char *name = strmap_get(
        &m->actor.attributes,
        strcmp(type, "image") == 0 && strcmp(m->type, "container") == 0 ? "image" : "name");

    if (!filters_get(f, type))
        return true;
    bool image = strcmp(type, "image") == 0 && strcmp(m->type, "container") == 0;
    if (strcmp(m->type, type) != 0 && !image)
        return false;
    return (!image && filters_prefix(f, type, m->actor.id)) ||
           (name && filters_exact(f, type, name));
}

static bool match(const struct filters *f, const struct event_message *m)
{
    static const char *const objects[] = {"container", "image",  "network",
                                          "volume",    "daemon", "plugin"};

    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
        if (!match_object(f, m, objects[i]))
            return false;
    return filters_exact(f, "type", m->type) && filters_exact(f, "scope", m->scope) &&
           match_action(f, m->action) && filters_labels(f, "label", &m->actor.attributes);
}

void events_read(struct events_sub *sub, const struct filters *f, int64_t until_ns, struct buf *out)
{
    struct events *ev = sub->ev;
    uint64_t n;

    (void)!read(sub->fd, &n, sizeof(n));
    (void)pthread_mutex_lock(&ev->lock);
    if (ev->count - sub->next > EVENTS_KEPT)
        sub->next = ev->count - EVENTS_KEPT;
    for (; sub->next < ev->count; sub->next++) {
        const struct event_message *m = &ev->ring[sub->next % EVENTS_KEPT].msg;
        if (m->time_ns < sub->since_ns || (until_ns && m->time_ns > until_ns) || !match(f, m))
            continue;
        json_encode(&event_message_type, m, out);
        buf_putc(out, '\n');
    }
    (void)pthread_mutex_unlock(&ev->lock);
}
