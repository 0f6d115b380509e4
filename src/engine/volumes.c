/*
 * Volumes that outlive containers: rows in the catalog, and what their drivers have for them
 * (vol-priv.h). Which container uses what is ctr_volumes.c's business.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/time.h"
#include "engine/plugins.h"
#include "engine/vol-priv.h"
#include "store/volumes.h"

#define NAME_LEN 64

/* ---- checks ---- */

static int check_name(const char *name, struct err *err)
{
    bool ok = isalnum((unsigned char)name[0]) && strlen(name) > 1 && strlen(name) <= 255;

    for (const char *p = name; *p && ok; p++)
        ok = isalnum((unsigned char)*p) || strchr("_.-", *p);
    if (ok)
        return 0;
    if (strlen(name) == 1)
        return err_invalid(err,
                           "create %s: volume name is too short, names should be at least two "
                           "alphanumeric characters",
                           name);
    return err_invalid(
        err,
        "create %s: \"%s\" includes invalid characters for a local volume name, only "
        "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
        "directory, use absolute path",
        name, name);
}

int vol_check(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    int r = check_name(rq->name, err);

    return r < 0 ? r : vol_driver(rq)->check(e, rq, err);
}

void vol_describe_row(const struct vol_record *rec, struct arena *a, struct volume_info *ret)
{
    char when[TIME_TEXT];

    *ret = (struct volume_info){.created_at = arena_strdup(a, time_rfc3339(rec->created_ns, when)),
                                .driver = arena_strdup(a, str_or(rec->rq.driver, "local")),
                                .labels = rec->rq.labels,
                                .mountpoint = arena_strdup(a, str_or(rec->mountpoint, "")),
                                .name = rec->rq.name,
                                .options = rec->rq.driver_opts,
                                .scope = arena_strdup(a, "local")};
}

static void vol_event(struct engine *e, const char *action, const char *name, const char *driver)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    strmap_set(&a, &attrs, "driver", str_or(driver, "local"));
    events_put(e->events, "volume", action, name, &attrs);
}

/* ---- create ---- */

/* A directory without a row is a volume of somebody's, so ours has its row first. What a plugin has
 * without a row is in its list all the same, and a row without it would be in nobody's. */
static int insert_local(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    FAIL_POINT("volume.create.begin", err);
    int r = vol_insert(e, rq, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.create.row", err);
    r = vol_local.create(e, rq, err);
    if (r < 0)
        (void)!volume_delete(e->db, rq->name, NULL);
    FAIL_POINT("volume.create.dir", err);
    return r;
}

static int insert(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    if (vol_is_local(rq->driver))
        return insert_local(e, rq, err);
    int r = vol_driver(rq)->create(e, rq, err);
    return r < 0 ? r : vol_insert(e, rq, err);
}

int vol_exists(const char *name, struct err *err)
{
    return err_conflict(err, "create %s: a volume of that name exists", name);
}

static int insert_made(struct engine *e, const struct volume_create_request *rq, int dir_fd,
                       const char *dir, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record rec;

    if (vol_get(e, rq->name, &a, &rec, NULL) >= 0)
        return vol_exists(rq->name, err);
    int r = vol_insert(e, rq, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.copy.row", err);
    if (renameat(dir_fd, dir, e->volumes_fd, rq->name) < 0) {
        r = err_sys(err, "create volume %s", rq->name);
        (void)!volume_delete(e->db, rq->name, NULL);
        return r;
    }
    FAIL_POINT("volume.copy.dir", err);
    return 0;
}

int vol_insert_made(struct engine *e, const struct volume_create_request *rq, int dir_fd,
                    const char *dir, struct err *err)
{
    auto_hold struct vol_hold held;

    vol_hold(e, rq->name, &held);
    int r = insert_made(e, rq, dir_fd, dir, err);
    if (r >= 0)
        vol_event(e, "create", rq->name, rq->driver);
    return r;
}

/* It is there: for this request, too? */
static int need_old(struct engine *e, const struct vol_record *rec,
                    const struct volume_create_request *rq, struct err *err)
{
    const struct vol_driver *d = vol_driver(&rec->rq);
    const char *driver = str_or(rec->rq.driver, "local");

    if (!str_empty(rq->driver) && strcmp(rq->driver, driver) != 0)
        return err_conflict(
            err, "create %s: driver '%s' already has volume '%s': volume name must be unique",
            rq->name, driver, rq->name);
    int r = str_empty(rq->driver) && !vol_is_local(driver) ? 0 : d->check(e, rq, err);
    if (r >= 0)
        r = vol_settle(e, rec, err);
    if (r >= 0)
        r = d->exists(e, rec, err);
    if (r == 0) {
        log_info("volume %s is gone from plugin %s: making it again", rq->name, driver);
        r = d->create(e, &rec->rq, err);
    }
    return r < 0 ? r : 0;
}

/* Return: 1 made, 0 it was there. */
static int need(struct engine *e, struct volume_create_request *rq, struct arena *a,
                struct err *err)
{
    struct vol_record rec;
    int r = check_name(rq->name, err);

    if (r < 0)
        return r;
    if (vol_get(e, rq->name, a, &rec, NULL) >= 0)
        return need_old(e, &rec, rq, err);
    if (str_empty(rq->driver) && !vol_is_anonymous(rq))
        vol_plugin_probe(e, rq->name, a, &rq->driver);
    r = vol_check(e, rq, err);
    if (r >= 0)
        r = insert(e, rq, err);
    return r < 0 ? r : 1;
}

int vol_need(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_hold struct vol_hold held;
    struct volume_create_request full = *rq;

    vol_hold(e, rq->name, &held);
    int r = need(e, &full, &a, err);
    if (r > 0)
        vol_event(e, "create", rq->name, full.driver);
    return r;
}

int vol_create(struct engine *e, const struct volume_create_request *rq, struct arena *a,
               struct volume_info *ret, struct err *err)
{
    struct volume_create_request full = *rq;

    if (str_empty(rq->name)) {
        full.name = arena_alloc(a, NAME_LEN + 1);
        rand_hex(full.name, NAME_LEN);
        full.labels = (struct strmap){0};
        for (size_t i = 0; i < rq->labels.n; i++)
            strmap_set(a, &full.labels, rq->labels.v[i].key, rq->labels.v[i].val);
        strmap_set(a, &full.labels, VOL_ANONYMOUS, "");
    }
    int r = vol_need(e, &full, err);
    return r < 0 ? r : vol_inspect(e, full.name, a, ret, err);
}

/* ---- look ---- */

/* Somebody else may have made it, by the plugin. */
static int inspect_unknown(struct engine *e, const char *name, struct arena *a,
                           struct volume_info *ret, struct err *err)
{
    struct vol_record rec = {.rq = {.name = arena_strdup(a, name)}};

    vol_plugin_probe(e, name, a, &rec.rq.driver);
    if (str_empty(rec.rq.driver))
        return err_not_found(err, "get %s: no such volume", name);
    return vol_plugin.describe(e, &rec, a, ret, err);
}

int vol_inspect(struct engine *e, const char *name, struct arena *a, struct volume_info *ret,
                struct err *err)
{
    struct vol_record rec;
    int r = vol_get(e, name, a, &rec, err);

    if (r == -ENOENT)
        return inspect_unknown(e, name, a, ret, err);
    return r < 0 ? r : vol_driver(&rec.rq)->describe(e, &rec, a, ret, err);
}

bool vol_is_anonymous(const struct volume_create_request *rec)
{
    return strmap_get(&rec->labels, VOL_ANONYMOUS) != NULL;
}

/* @v: as a list shows it. Return: 1, 0, -EINVAL. */
static int matches(struct engine *e, const struct volume_info *v, const struct filters *f,
                   struct err *err)
{
    bool dangling = false;
    int r = filters_bool(f, "dangling", false, &dangling, err);

    if (r < 0)
        return r;
    if (filters_get(f, "dangling") && dangling != (vol_users(e, v->name, NULL) == 0))
        return 0;
    return filters_pattern(f, "name", v->name) && filters_exact(f, "driver", v->driver) &&
           filters_labels(f, "label", &v->labels);
}

/* ---- lists ---- */

struct listing {
    struct engine *e;
    struct arena *a;
    const struct filters *f;
    struct volume_list_response *ret;
    struct vol_record **recs;
    size_t nrecs;
};

static int add_to(struct listing *l, struct volume_info *v, struct err *err)
{
    int r = matches(l->e, v, l->f, err);

    if (r > 0)
        arena_push(l->a, l->ret->volumes) = v;
    return r < 0 ? r : 0;
}

static const struct vol_record *record_of(const struct listing *l, const char *name)
{
    for (size_t i = 0; i < l->nrecs; i++)
        if (strcmp(l->recs[i]->rq.name, name) == 0)
            return l->recs[i];
    return NULL;
}

static int add_rows(struct listing *l, const char *driver, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < l->nrecs; i++) {
        const struct vol_record *rec = l->recs[i];
        struct volume_info *v = arena_new(l->a, struct volume_info);
        if (!str_eq(str_or(rec->rq.driver, "local"), driver))
            continue;
        vol_describe_row(rec, l->a, v);
        if (vol_is_local(driver))
            v->mountpoint = vol_path(l->e, rec->rq.name, l->a);
        r = add_to(l, v, err);
    }
    return r;
}

/* What a plugin has, with what we know of it. A name that another driver has is that one's. */
static int add_told(struct listing *l, struct volume_info *v, struct err *err)
{
    const struct vol_record *rec = record_of(l, v->name);

    if (rec && !str_eq(rec->rq.driver, v->driver))
        return 0;
    if (rec) {
        v->labels = rec->rq.labels;
        v->options = rec->rq.driver_opts;
    }
    return add_to(l, v, err);
}

static int add_plugin(struct listing *l, const char *driver, struct err *err)
{
    struct vol_infos told = {0};
    struct err why = {0};
    int r = vol_plugin_list(l->e, driver, l->a, &told, &why);

    if (r < 0) { /* it does not say: what we know of */
        strv_push(l->a, &l->ret->warnings, why.msg);
        return add_rows(l, driver, err);
    }
    for (size_t i = 0; r >= 0 && i < told.n; i++)
        r = add_told(l, told.v[i], err);
    return r;
}

/* Those that are used: by a row, or since the daemon's start. */
static struct strv plugins_of(const struct listing *l)
{
    struct strv names = {0};

    plugins_used(l->e->plugins, "VolumeDriver", l->a, &names);
    for (size_t i = 0; i < l->nrecs; i++) {
        const char *d = l->recs[i]->rq.driver;
        if (!vol_is_local(d) && !strv_has(&names, d))
            strv_push(l->a, &names, d);
    }
    return names;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct volume_info *const *)a)->name, (*(struct volume_info *const *)b)->name);
}

int vol_list(struct engine *e, const struct filters *f, struct arena *a,
             struct volume_list_response *ret, struct err *err)
{
    static const char *const accepted[] = {"dangling", "driver", "label", "name", NULL};
    struct listing l = {.e = e, .a = a, .f = f, .ret = ret};
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = vol_list_records(e, a, &l.recs, &l.nrecs, err);
    if (r >= 0)
        r = add_rows(&l, "local", err);
    struct strv plugins = plugins_of(&l);
    for (size_t i = 0; r >= 0 && i < plugins.n; i++)
        if (filters_exact(f, "driver", plugins.v[i]))
            r = add_plugin(&l, plugins.v[i], err);
    if (ret->volumes.n)
        qsort(ret->volumes.v, ret->volumes.n, sizeof(*ret->volumes.v), by_name);
    return r < 0 ? r : 0;
}

int64_t vol_size(struct engine *e, const char *name)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_close int fd = openat(e->volumes_fd, arena_printf(&a, "%s/_data", name),
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return 0;
    int64_t counted = vol_counted(fd);
    return counted < 0 ? dir_size(take_fd(&fd)) : counted;
}

/* ---- remove ---- */

/* The row goes last: what is left of a daemon that died in between is removed again. */
static int drop(struct engine *e, const struct vol_record *rec, bool force, struct err *err)
{
    struct err why = {0};

    FAIL_POINT("volume.remove.begin", err);
    int r = vol_driver(&rec->rq)->remove(e, rec, &why);
    if (r < 0 && force && !vol_is_local(rec->rq.driver)) {
        log_warn("volume %s is forgotten, though it may still be there: %s", rec->rq.name, why.msg);
        r = 0;
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    FAIL_POINT("volume.remove.dir", err);
    r = volume_delete(e->db, rec->rq.name, err);
    FAIL_POINT("volume.remove.row", err);
    return r;
}

static int check_unused(struct engine *e, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv users = {0};
    int r = 0;

    (void)pthread_mutex_lock(&e->volumes_lock);
    bool is_read = vol_is_read(e, name);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    if (vol_users(e, name, &users) > 0)
        r = err_conflict(err, "remove %s: volume is in use - [%s]", name,
                         strv_join(&a, &users, ", "));
    else if (is_read)
        r = err_conflict(err, "remove %s: volume is in use - it is being copied", name);
    for (size_t i = 0; i < users.n; i++)
        free(users.v[i]);
    free(users.v);
    return r;
}

/* The name is held. */
static int remove_held(struct engine *e, const char *name, bool force, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record rec = {.rq = {.name = arena_strdup(&a, name)}};
    int r = vol_get(e, name, &a, &rec, err);

    if (r == -ENOENT) {
        vol_plugin_probe(e, name, &a, &rec.rq.driver);
        r = str_empty(rec.rq.driver) ? r : 0;
    }
    if (r == -ENOENT && force) {
        err_clear(err);
        return 0;
    }
    if (r >= 0)
        r = check_unused(e, name, err);
    if (r < 0)
        return r;
    if (rec.mounted.n)
        vol_unmount_all(e, name);
    r = drop(e, &rec, force, err);
    if (r >= 0)
        vol_event(e, "destroy", name, rec.rq.driver);
    return r < 0 ? r : 0;
}

int vol_remove(struct engine *e, const char *name, bool force, struct err *err)
{
    auto_hold struct vol_hold held;

    vol_hold(e, name, &held);
    return remove_held(e, name, force, err);
}

static void prune_event(struct engine *e, uint64_t freed_b)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    strmap_set(&a, &attrs, "reclaimed", arena_printf(&a, "%llu", (unsigned long long)freed_b));
    events_put(e->events, "volume", "prune", "", &attrs);
}

/* As Docker: what a plugin keeps is not pruned. */
static bool is_prunable(struct engine *e, const struct vol_record *rec, const struct filters *f,
                        bool all)
{
    return vol_is_local(rec->rq.driver) && (all || vol_is_anonymous(&rec->rq)) &&
           filters_prune_labels(f, &rec->rq.labels) && vol_users(e, rec->rq.name, NULL) == 0;
}

int vol_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct volume_prune_response *ret, struct err *err)
{
    static const char *const accepted[] = {"label", "label!", "all", NULL};
    struct vol_record **recs = NULL;
    size_t n = 0;
    bool all = false;
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = filters_bool(f, "all", false, &all, err);
    if (r >= 0)
        r = vol_list_records(e, a, &recs, &n, err);
    for (size_t i = 0; i < n && r >= 0; i++) {
        if (!is_prunable(e, recs[i], f, all))
            continue;
        int64_t size = vol_size(e, recs[i]->rq.name);
        if (vol_remove(e, recs[i]->rq.name, false, NULL) < 0)
            continue; /* somebody took it meanwhile */
        strv_push(a, &ret->deleted, recs[i]->rq.name);
        ret->space_reclaimed_b += (uint64_t)size;
    }
    if (r >= 0)
        prune_event(e, ret->space_reclaimed_b);
    return r < 0 ? r : 0;
}

/* ---- at the start of the daemon ---- */

static int load_local(struct engine *e, const struct vol_record *rec, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *data = arena_printf(&a, "%s/_data", rec->rq.name);
    struct err why = {0};

    if (faccessat(e->volumes_fd, data, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
        log_info("forgetting volume %s: it has no directory", rec->rq.name);
        return volume_delete(e->db, rec->rq.name, err);
    }
    vol_limit_again(e, &rec->rq);
    if (vol_settle(e, rec, &why) < 0) /* who wants it tries again */
        log_error("volume %s: %s", rec->rq.name, why.msg);
    return 0;
}

/* A row of our own without a directory was on its way in or out. What plugins have is theirs to
 * know; a daemon that starts does not wait for them. */
static int load_rows(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record **recs = NULL;
    size_t n = 0;
    int r = vol_list_records(e, &a, &recs, &n, err);

    for (size_t i = 0; i < n && r >= 0; i++)
        if (vol_is_local(recs[i]->rq.driver))
            r = load_local(e, recs[i], err);
        else
            e->vol_left |= recs[i]->mounted.n || recs[i]->filling.n;
    return r < 0 ? r : 0;
}

/* A directory without a row is somebody's data, from a backup maybe: it becomes a volume. */
static int adopt(struct engine *e, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_create_request rq = {.name = arena_strdup(&a, name)};
    struct vol_record rec;

    if (check_name(name, NULL) < 0 || vol_get(e, name, &a, &rec, NULL) >= 0 ||
        faccessat(e->volumes_fd, arena_printf(&a, "%s/_data", name), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    log_info("volume %s was found on disk", name);
    return insert_local(e, &rq, err);
}

int vol_load_all(struct engine *e, struct err *err)
{
    auto_dir DIR *d = fdopendir(openat(e->volumes_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int r = d ? load_rows(e, err) : err_sys(err, "read volumes");

    for (struct dirent *ent; r >= 0 && (ent = readdir(d));)
        if (ent->d_name[0] != '.')
            r = adopt(e, ent->d_name, err);
    return r;
}
