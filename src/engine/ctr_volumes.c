/*
 * The volumes of a container. What it gets is decided once, when it is made: named ones, those of
 * --mount, those of other containers (--volumes-from), and an anonymous one for every VOLUME that
 * nothing else is mounted on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "engine/mounts.h"
#include "engine/vol-priv.h"

#define NAME_LEN 64

/* ---- the record ---- */

static const struct field volume_fields[] = {
    FIELD(struct ctr_volume, "name", F_STR, name, .flags = F_OMIT),
    FIELD(struct ctr_volume, "driver", F_STR, driver, .flags = F_OMIT),
    FIELD(struct ctr_volume, "source", F_STR, source, .flags = F_OMIT),
    FIELD(struct ctr_volume, "image", F_STR, image, .flags = F_OMIT),
    FIELD(struct ctr_volume, "image_name", F_STR, image_name, .flags = F_OMIT),
    FIELD(struct ctr_volume, "subpath", F_STR, subpath, .flags = F_OMIT),
    FIELD(struct ctr_volume, "target", F_STR, target, .flags = F_REQUIRED),
    FIELD(struct ctr_volume, "mode", F_STR, mode, .flags = F_OMIT),
    FIELD(struct ctr_volume, "ro", F_BOOL, ro, .flags = F_OMIT),
    FIELD(struct ctr_volume, "no_copy", F_BOOL, no_copy, .flags = F_OMIT),
    FIELD(struct ctr_volume, "anonymous", F_BOOL, anonymous, .flags = F_OMIT),
};
static const struct json_type volume_type =
    JSON_TYPE("ContainerVolume", struct ctr_volume, volume_fields);

/* The "rest" column of a container's row. */
struct rest {
    VEC_OF(struct ctr_volume *) volumes;
};
static const struct field rest_fields[] = {
    FIELD(struct rest, "volumes", F_OBJV, volumes, .flags = F_OMIT, .type = &volume_type),
};
static const struct json_type rest_type = JSON_TYPE("ContainerRest", struct rest, rest_fields);

char *ctr_volumes_json(const struct container *c, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;
    struct rest rest = {0};

    if (c->volumes.n == 0)
        return NULL;
    rest.volumes.v = c->volumes.v;
    rest.volumes.n = c->volumes.n;
    json_encode(&rest_type, &rest, &out);
    return arena_strndup(a, out.data, out.len);
}

int ctr_volumes_read(struct container *c, const char *json, struct err *err)
{
    struct rest rest = {0};
    int r =
        str_empty(json) ? 0 : json_decode(&rest_type, json, strlen(json), &c->mem, &rest, 0, err);

    c->volumes.v = rest.volumes.v;
    c->volumes.n = rest.volumes.n;
    return r;
}

/* ---- the plan ---- */

struct plan {
    struct container *c;
    struct binds binds; /* as the user wrote them */
};

static bool is_taken(const struct plan *p, const char *target)
{
    const struct host_config *h = p->c->host;

    for (size_t i = 0; i < p->binds.n; i++)
        if (strcmp(p->binds.v[i].target, target) == 0)
            return true;
    for (size_t i = 0; i < p->c->volumes.n; i++)
        if (strcmp(p->c->volumes.v[i]->target, target) == 0)
            return true;
    for (size_t i = 0; i < h->mounts.n; i++)
        if (str_eq(h->mounts.v[i]->target, target))
            return true;
    return strmap_get(&h->tmpfs, target) != NULL;
}

static void add(struct plan *p, const struct ctr_volume *v)
{
    struct arena *a = &p->c->mem;
    struct ctr_volume *copy = arena_new(a, struct ctr_volume);

    *copy = (struct ctr_volume){.name = arena_strdup(a, str_or(v->name, "")),
                                .driver = arena_strdup(a, str_or(v->driver, "")),
                                .source = arena_strdup(a, str_or(v->source, "")),
                                .image = arena_strdup(a, str_or(v->image, "")),
                                .image_name = arena_strdup(a, str_or(v->image_name, "")),
                                .subpath = arena_strdup(a, str_or(v->subpath, "")),
                                .target = arena_strdup(a, v->target),
                                .mode = arena_strdup(a, str_or(v->mode, "")),
                                .ro = v->ro,
                                .no_copy = v->no_copy,
                                .anonymous = v->anonymous};
    if (v->anonymous) {
        copy->name = arena_alloc(a, NAME_LEN + 1);
        rand_hex(copy->name, NAME_LEN);
    }
    arena_push(a, p->c->volumes) = copy;
}

/* A volume that is there has its driver; else what the user wants. */
static char *driver_of(const struct plan *p, const struct bind *b, struct arena *a)
{
    struct vol_record rec = {0};

    if (!str_empty(b->source) && vol_get(p->c->e, b->source, a, &rec, NULL) >= 0)
        return rec.rq.driver;
    return b->driver;
}

static int plan_named(struct plan *p, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    for (size_t i = 0; i < p->binds.n; i++) {
        const struct bind *b = &p->binds.v[i];
        struct ctr_volume v = {.name = b->source,
                               .driver = b->kind == BIND_VOLUME ? driver_of(p, b, &a) : NULL,
                               .anonymous = str_empty(b->source),
                               .subpath = b->subpath,
                               .target = b->target,
                               .mode = b->mode,
                               .ro = b->ro,
                               .no_copy = b->no_copy};
        int r = b->kind == BIND_IMAGE ? ctr_image_resolve(p->c, b, &v, err) : 0;
        if (r < 0)
            return r;
        if (b->kind != BIND_PATH)
            add(p, &v);
    }
    return 0;
}

const struct ctr_volume *ctr_volume_at(const struct container *c, const char *target)
{
    for (size_t i = 0; i < c->volumes.n; i++)
        if (strcmp(c->volumes.v[i]->target, target) == 0)
            return c->volumes.v[i];
    return NULL;
}

/* A mount of @from, as another container gets it. */
static void take_over(struct plan *p, const struct container *from, const struct mount_point *m,
                      bool ro)
{
    const struct ctr_volume *had = ctr_volume_at(from, m->destination);
    struct ctr_volume v = {0};

    if (had)
        v = *had;
    else
        v.source = m->source;
    v.mode = m->mode;
    v.target = m->destination;
    v.ro = !m->rw || ro;
    v.no_copy = true;
    v.anonymous = false; /* it has its name by now */
    add(p, &v);
}

/* "container[:ro|rw]" */
static int plan_from(struct plan *p, const char *text, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct container_inspect shown = {0};
    struct strv parts = str_split(&a, text, ':');
    const char *mode = parts.n > 1 ? parts.v[1] : "rw";

    if (parts.n > 2 || (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0))
        return err_invalid(err, "invalid mode for volumes-from: %s", text);
    auto_ctr struct container *from = ctr_find(p->c->e, parts.v[0], err);
    if (!from)
        return err_code(err);
    ctr_mount_points(from, &a, &shown);
    for (size_t i = 0; i < shown.mounts.n; i++) {
        const struct mount_point *m = shown.mounts.v[i];
        if (!is_taken(p, m->destination))
            take_over(p, from, m, strcmp(mode, "ro") == 0);
    }
    return 0;
}

static int plan_anonymous(struct plan *p, struct err *err)
{
    const struct strv *paths = &p->c->config->volumes;

    for (size_t i = 0; i < paths->n; i++) {
        const char *path = paths->v[i];
        if (path[0] != '/')
            return err_invalid(err,
                               "invalid volume specification: '%s': invalid mount config for "
                               "type \"volume\": invalid mount path: '%s' mount path must be "
                               "absolute",
                               path, path);
        if (strcmp(path, "/") == 0)
            return err_invalid(err, "invalid volume specification: '/': invalid mount config for "
                                    "type \"volume\": invalid specification: destination can't be "
                                    "'/'");
        if (!is_taken(p, path))
            add(p, &(struct ctr_volume){.target = (char *)path,
                                        .driver = p->c->host->volume_driver,
                                        .anonymous = true});
    }
    return 0;
}

int ctr_volumes_plan(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct plan p = {.c = c};
    int r = binds_collect(c->host, &a, &p.binds, err);

    if (r >= 0)
        r = plan_named(&p, err);
    for (size_t i = 0; r >= 0 && i < c->host->volumes_from.n; i++)
        r = plan_from(&p, c->host->volumes_from.v[i], err);
    return r < 0 ? r : plan_anonymous(&p, err);
}

/* ---- making and filling ---- */

/* What --mount says of the volume, if it is to be made. */
static void fill_request(const struct container *c, const struct ctr_volume *v, struct arena *a,
                         struct volume_create_request *rq)
{
    rq->name = v->name;
    rq->driver = v->anonymous ? v->driver : bind_driver(c->host, v->target);
    for (size_t i = 0; i < c->host->mounts.n; i++) {
        const struct mount_spec *m = c->host->mounts.v[i];
        if (!str_eq(m->type, "volume") || !str_eq(m->target, v->target))
            continue;
        if (!m->volume_options)
            continue;
        for (size_t k = 0; k < m->volume_options->labels.n; k++)
            strmap_set(a, &rq->labels, m->volume_options->labels.v[k].key,
                       m->volume_options->labels.v[k].val);
        if (m->volume_options->driver_config) {
            rq->driver = m->volume_options->driver_config->name;
            rq->driver_opts = m->volume_options->driver_config->options;
        }
    }
    if (v->anonymous)
        strmap_set(a, &rq->labels, VOL_ANONYMOUS, "");
}

/* Whose it is now, which somebody else may have decided since the plan. */
static int take_driver(struct container *c, struct ctr_volume *v, struct arena *a, struct err *err)
{
    struct vol_record rec;
    int r = vol_get(c->e, v->name, a, &rec, err);

    if (r >= 0 && !str_eq(str_or(v->driver, ""), str_or(rec.rq.driver, "")))
        v->driver = arena_strdup(&c->mem, str_or(rec.rq.driver, ""));
    return r;
}

int ctr_volumes_make(struct container *c, bool first, struct err *err)
{
    for (size_t i = 0; i < c->volumes.n; i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct ctr_volume *v = c->volumes.v[i];
        struct volume_create_request rq = {0};
        struct strv layers;
        int r = str_empty(v->image) ? 0 : ctr_image_layers(c, v, &a, &layers, err);
        if (r < 0)
            return r; /* the image went before the container was in the table to keep it */
        if (str_empty(v->name))
            continue;
        fill_request(c, v, &a, &rq);
        r = vol_need(c->e, &rq, err);
        if (r >= 0)
            r = take_driver(c, v, &a, err);
        if (r >= 0 && first)
            r = ctr_volume_fill(c, v, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- while it runs ---- */

int ctr_volumes_attach(struct container *c, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->volumes.n; i++) {
        struct ctr_volume *v = c->volumes.v[i];
        const struct volume_create_request rq = {.driver = v->driver};
        if (!str_empty(v->name) && vol_driver(&rq)->attach)
            r = vol_driver(&rq)->attach(c, v, err);
    }
    return r;
}

void ctr_volumes_close(struct container *c)
{
    for (size_t i = 0; i < c->volumes.n; i++)
        if (c->volumes.v[i]->fd > 0) {
            (void)close(c->volumes.v[i]->fd);
            c->volumes.v[i]->fd = 0;
        }
}

void ctr_volumes_detach(struct container *c)
{
    for (size_t i = 0; i < c->volumes.n; i++) {
        const struct ctr_volume *v = c->volumes.v[i];
        if (!str_empty(v->name) && !vol_is_local(v->driver))
            vol_unmount(c->e, v->name, c->id, NULL);
    }
}

/* ---- using and dropping ---- */

size_t vol_users(struct engine *e, const char *name, struct strv *ids)
{
    size_t n = 0, users = 0;
    auto_free struct container **all = ctr_all(e, &n);

    for (size_t i = 0; i < n; i++) {
        bool uses = false;
        for (size_t k = 0; k < all[i]->volumes.n; k++)
            uses |= str_eq(all[i]->volumes.v[k]->name, name);
        users += uses;
        if (uses && ids) {
            ids->v = xrealloc(ids->v, (ids->n + 1) * sizeof(char *));
            ids->v[ids->n++] = xstrdup(all[i]->id);
        }
        ctr_unref(all[i]);
    }
    return users;
}

void ctr_volumes_drop(struct container *c)
{
    for (size_t i = 0; i < c->volumes.n; i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct vol_record rec;
        struct err err = {0};
        const char *name = c->volumes.v[i]->name;
        if (str_empty(name) || vol_get(c->e, name, &a, &rec, NULL) < 0 ||
            !vol_is_anonymous(&rec.rq))
            continue;
        int r = vol_remove(c->e, name, true, &err);
        if (r < 0 && err.kind != ERR_CONFLICT) /* another container has it, too */
            log_warn("container %s: %s", c->id, err.msg);
    }
}

void ctr_volume_events(struct container *c, const char *action)
{
    for (size_t i = 0; i < c->volumes.n; i++) {
        auto_arena struct arena a = ARENA_INIT;
        const struct ctr_volume *v = c->volumes.v[i];
        struct strmap attrs = {0};
        if (str_empty(v->name))
            continue;
        strmap_set(&a, &attrs, "container", c->id);
        if (strcmp(action, "mount") == 0) {
            strmap_set(&a, &attrs, "destination", v->target);
            strmap_set(&a, &attrs, "read/write", v->ro ? "false" : "true");
            strmap_set(&a, &attrs, "propagation", "");
        }
        strmap_set(&a, &attrs, "driver", str_or(v->driver, "local"));
        events_put(c->e->events, "volume", action, v->name, &attrs);
    }
}
