/*
 * Volumes: directories below <data-root>/volumes that outlive containers. The local driver alone,
 * whose options are vol_options.c's business; which container uses what is ctr_volumes.c's.
 */
#include "engine/engine-priv.h"

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
#include "base/io.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/time.h"
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
    return err_invalid(
        err,
        "create %s: \"%s\" includes invalid characters for a local volume name, only "
        "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
        "directory, use absolute path",
        name, name);
}

int vol_check(const struct volume_create_request *rq, struct err *err)
{
    int r = check_name(rq->name, err);

    if (r < 0)
        return r;
    if (!str_empty(rq->driver) && strcmp(rq->driver, "local") != 0)
        return err_not_found(
            err, "create %s: error looking up volume plugin %s: plugin \"%s\" not found", rq->name,
            rq->driver, rq->driver);
    return vol_check_options(rq, err);
}

/* ---- records ---- */

static int read_record(const struct volume_row *row, struct arena *a,
                       struct volume_create_request *ret, struct err *err)
{
    return json_decode(&volume_create_request_type, row->json, strlen(row->json), a, ret, 0, err);
}

char *vol_path(const struct engine *e, const char *name, struct arena *a)
{
    return arena_printf(a, "%s/volumes/%s/_data", e->data_path, name);
}

static int describe(struct engine *e, const struct volume_row *row, struct arena *a,
                    struct volume_info *ret, struct err *err)
{
    struct volume_create_request rec = {0};
    char when[TIME_TEXT];
    int r = read_record(row, a, &rec, err);

    if (r < 0)
        return err_wrap(err, r, "volume %s", row->name);
    *ret = (struct volume_info){.created_at = arena_strdup(a, time_rfc3339(row->created_ns, when)),
                                .driver = arena_strdup(a, "local"),
                                .labels = rec.labels,
                                .mountpoint = vol_path(e, row->name, a),
                                .name = row->name,
                                .options = rec.driver_opts,
                                .scope = arena_strdup(a, "local")};
    return 0;
}

static void vol_event(struct engine *e, const char *action, const char *name)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    strmap_set(&a, &attrs, "driver", "local");
    events_put(e->events, "volume", action, name, &attrs);
}

/* ---- create ---- */

static int fill_dir(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_close int fd =
        openat(e->volumes_fd, rq->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || (mkdirat(fd, "_data", 0755) < 0 && errno != EEXIST))
        return err_sys(err, "create volume %s", rq->name);
    auto_close int data = openat(fd, "_data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return data < 0 ? err_sys(err, "open volume %s", rq->name) : vol_limit(e, rq, data, err);
}

/* What was there before is somebody's data and stays, whatever fails. */
static int make_dirs(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    bool made = mkdirat(e->volumes_fd, rq->name, 0701) == 0;

    if (!made && errno != EEXIST)
        return err_sys(err, "create volume %s", rq->name);
    int r = fill_dir(e, rq, err);
    if (r < 0 && made)
        (void)!trash_put(e, e->volumes_fd, rq->name, NULL);
    return r;
}

static int insert_row(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_buf struct buf json = BUF_INIT;
    struct volume_create_request rec = *rq;

    rec.driver = NULL; /* there is one */
    json_encode(&volume_create_request_type, &rec, &json);
    struct volume_row row = {
        .name = rq->name, .json = (char *)buf_str(&json), .created_ns = now_ns()};
    return volume_insert(e->db, &row, err);
}

static int insert(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    FAIL_POINT("volume.create.begin", err);
    int r = insert_row(e, rq, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.create.row", err);
    r = make_dirs(e, rq, err);
    if (r < 0)
        (void)!volume_delete(e->db, rq->name, NULL);
    FAIL_POINT("volume.create.dir", err);
    return r;
}

int vol_exists(const char *name, struct err *err)
{
    return err_conflict(err, "create %s: a volume of that name exists", name);
}

static int insert_made(struct engine *e, const struct volume_create_request *rq, int dir_fd,
                       const char *dir, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_row row;

    if (volume_get(e->db, rq->name, &a, &row, NULL) >= 0)
        return vol_exists(rq->name, err);
    int r = insert_row(e, rq, err);
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
    (void)pthread_mutex_lock(&e->volumes_lock);
    int r = insert_made(e, rq, dir_fd, dir, err);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    if (r >= 0)
        vol_event(e, "create", rq->name);
    return r;
}

int vol_need(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_row row;
    int r = vol_check(rq, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&e->volumes_lock);
    r = volume_get(e->db, rq->name, &a, &row, NULL);
    bool made = r == -ENOENT;
    if (made)
        r = insert(e, rq, err);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    if (r >= 0 && made)
        vol_event(e, "create", rq->name);
    return r < 0 ? r : made;
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

int vol_get(struct engine *e, const char *name, struct arena *a, struct volume_create_request *ret,
            struct err *err)
{
    struct volume_row row;
    int r = volume_get(e->db, name, a, &row, err);

    return r < 0 ? r : read_record(&row, a, ret, err);
}

int vol_inspect(struct engine *e, const char *name, struct arena *a, struct volume_info *ret,
                struct err *err)
{
    struct volume_row row;
    int r = volume_get(e->db, name, a, &row, err);

    return r < 0 ? r : describe(e, &row, a, ret, err);
}

bool vol_is_anonymous(const struct volume_create_request *rec)
{
    return strmap_get(&rec->labels, VOL_ANONYMOUS) != NULL;
}

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

int vol_list(struct engine *e, const struct filters *f, struct arena *a,
             struct volume_list_response *ret, struct err *err)
{
    static const char *const accepted[] = {"dangling", "driver", "label", "name", NULL};
    struct volume_rows rows = {0};
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = volume_list(e->db, a, &rows, err);
    for (size_t i = 0; i < rows.n && r >= 0; i++) {
        struct volume_info *v = arena_new(a, struct volume_info);
        r = describe(e, &rows.v[i], a, v, err);
        if (r >= 0)
            r = matches(e, v, f, err);
        if (r > 0)
            arena_push(a, ret->volumes) = v;
    }
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

/* The directory goes first, by a rename: a row without one is dropped at the next start, a
 * directory without a row would become a volume again. */
static int drop(struct engine *e, const char *name, struct err *err)
{
    FAIL_POINT("volume.remove.begin", err);
    int r = trash_put(e, e->volumes_fd, name, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.remove.dir", err);
    r = volume_delete(e->db, name, err);
    FAIL_POINT("volume.remove.row", err);
    return r;
}

int vol_remove(struct engine *e, const char *name, bool force, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_row row;
    struct strv users = {0};

    (void)pthread_mutex_lock(&e->volumes_lock);
    int r = volume_get(e->db, name, &a, &row, err);
    bool missing = r == -ENOENT;
    if (r >= 0 && vol_users(e, name, &users) > 0)
        r = err_conflict(err, "remove %s: volume is in use - [%s]", name,
                         strv_join(&a, &users, ", "));
    else if (r >= 0 && vol_is_read(e, name))
        r = err_conflict(err, "remove %s: volume is in use - it is being copied", name);
    if (r >= 0)
        r = drop(e, name, err);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    for (size_t i = 0; i < users.n; i++)
        free(users.v[i]);
    free(users.v);
    if (missing && force) {
        err_clear(err);
        return 0;
    }
    if (r >= 0)
        vol_event(e, "destroy", name);
    return r < 0 ? r : 0;
}

static void prune_event(struct engine *e, uint64_t freed_b)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    strmap_set(&a, &attrs, "reclaimed", arena_printf(&a, "%llu", (unsigned long long)freed_b));
    events_put(e->events, "volume", "prune", "", &attrs);
}

int vol_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct volume_prune_response *ret, struct err *err)
{
    static const char *const accepted[] = {"label", "label!", "all", NULL};
    struct volume_rows rows = {0};
    bool all = false;
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = filters_bool(f, "all", false, &all, err);
    if (r >= 0)
        r = volume_list(e->db, a, &rows, err);
    for (size_t i = 0; i < rows.n && r >= 0; i++) {
        struct volume_create_request rec = {0};
        r = read_record(&rows.v[i], a, &rec, err);
        if (r < 0 || !(all || vol_is_anonymous(&rec)) || !filters_prune_labels(f, &rec.labels) ||
            vol_users(e, rows.v[i].name, NULL) > 0)
            continue;
        int64_t size = vol_size(e, rows.v[i].name);
        if (vol_remove(e, rows.v[i].name, false, NULL) < 0)
            continue; /* somebody took it meanwhile */
        strv_push(a, &ret->deleted, rows.v[i].name);
        ret->space_reclaimed_b += (uint64_t)size;
    }
    if (r >= 0)
        prune_event(e, ret->space_reclaimed_b);
    return r < 0 ? r : 0;
}

/* ---- at the start of the daemon ---- */

/* A row without a directory was on its way in or out. */
static int drop_incomplete(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_rows rows = {0};
    int r = volume_list(e->db, &a, &rows, err);

    for (size_t i = 0; i < rows.n && r >= 0; i++) {
        const char *data = arena_printf(&a, "%s/_data", rows.v[i].name);
        struct volume_create_request rec = {0};
        if (faccessat(e->volumes_fd, data, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            if (read_record(&rows.v[i], &a, &rec, NULL) >= 0)
                vol_limit_again(e, &rec);
            continue;
        }
        log_info("forgetting volume %s: it has no directory", rows.v[i].name);
        r = volume_delete(e->db, rows.v[i].name, err);
    }
    return r < 0 ? r : 0;
}

/* A directory without a row is somebody's data, from a backup maybe: it becomes a volume. */
static int adopt(struct engine *e, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct volume_create_request rq = {.name = arena_strdup(&a, name)};
    struct volume_row row;

    if (check_name(name, NULL) < 0 || volume_get(e->db, name, &a, &row, NULL) >= 0 ||
        faccessat(e->volumes_fd, arena_printf(&a, "%s/_data", name), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    log_info("volume %s was found on disk", name);
    return insert(e, &rq, err);
}

int vol_load_all(struct engine *e, struct err *err)
{
    auto_dir DIR *d = fdopendir(openat(e->volumes_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int r = d ? drop_incomplete(e, err) : err_sys(err, "read volumes");

    for (struct dirent *ent; r >= 0 && (ent = readdir(d));)
        if (ent->d_name[0] != '.')
            r = adopt(e, ent->d_name, err);
    return r;
}
