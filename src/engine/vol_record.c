/* Volumes in the catalog: their rows, and who may change one. */
#include "engine/vol-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/time.h"
#include "store/volumes.h"

static const struct field mounted_fields[] = {
    FIELD(struct vol_mounted, "id", F_STR, id, .flags = F_REQUIRED),
    FIELD(struct vol_mounted, "container", F_STR, container, .flags = F_OMIT),
    FIELD(struct vol_mounted, "target", F_STR, target, .flags = F_OMIT),
    FIELD(struct vol_mounted, "life", F_STR, life, .flags = F_OMIT),
    FIELD(struct vol_mounted, "leaver", F_STR, leaver, .flags = F_OMIT),
};
static const struct json_type mounted_type =
    JSON_TYPE("Mounted", struct vol_mounted, mounted_fields);

/* The first four are all that the first rows had, which stay valid. */
static const struct field record_fields[] = {
    FIELD(struct vol_record, "Name", F_STR, rq.name, .flags = F_OMIT),
    FIELD(struct vol_record, "Driver", F_STR, rq.driver, .flags = F_OMIT),
    FIELD(struct vol_record, "DriverOpts", F_STRMAP, rq.driver_opts, .flags = F_OMIT),
    FIELD(struct vol_record, "Labels", F_STRMAP, rq.labels, .flags = F_OMIT),
    FIELD(struct vol_record, "filling", F_STRV, filling, .flags = F_OMIT),
    FIELD(struct vol_record, "mountpoint", F_STR, mountpoint, .flags = F_OMIT),
    FIELD(struct vol_record, "mounted", F_OBJV, mounted, .flags = F_OMIT, .type = &mounted_type),
};
static const struct json_type record_type =
    JSON_TYPE("VolumeRecord", struct vol_record, record_fields);

static int decode(const struct volume_row *row, struct arena *a, struct vol_record *ret,
                  struct err *err)
{
    *ret = (struct vol_record){.created_ns = row->created_ns};
    int r = json_decode(&record_type, row->json, strlen(row->json), a, ret, 0, err);
    ret->rq.name = row->name;
    return r < 0 ? err_wrap(err, r, "volume %s", row->name) : 0;
}

int vol_get(struct engine *e, const char *name, struct arena *a, struct vol_record *ret,
            struct err *err)
{
    struct volume_row row;
    int r = volume_get(e->db, name, a, &row, err);

    return r < 0 ? r : decode(&row, a, ret, err);
}

int vol_list_records(struct engine *e, struct arena *a, struct vol_record ***ret, size_t *ret_n,
                     struct err *err)
{
    struct volume_rows rows = {0};
    int r = volume_list(e->db, a, &rows, err);

    *ret = arena_alloc(a, (rows.n + 1) * sizeof(**ret));
    *ret_n = rows.n;
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        (*ret)[i] = arena_new(a, struct vol_record);
        r = decode(&rows.v[i], a, (*ret)[i], err);
    }
    return r < 0 ? r : 0;
}

int vol_insert(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_buf struct buf json = BUF_INIT;
    struct vol_record rec = {.rq = *rq};

    if (vol_is_local(rq->driver))
        rec.rq.driver = NULL;
    json_encode(&record_type, &rec, &json);
    struct volume_row row = {
        .name = rq->name, .json = (char *)buf_str(&json), .created_ns = now_ns()};
    return volume_insert(e->db, &row, err);
}

static int edit(struct engine *e, const char *name, vol_edit_fn fn, void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf json = BUF_INIT;
    struct vol_record rec;
    int r = vol_get(e, name, &a, &rec, err);

    if (r >= 0)
        r = fn(&rec, arg, &a, err);
    if (r <= 0)
        return r;
    json_encode(&record_type, &rec, &json);
    r = volume_set(e->db, name, buf_str(&json), err);
    return r < 0 ? r : 1;
}

int vol_edit(struct engine *e, const char *name, vol_edit_fn fn, void *arg, struct err *err)
{
    (void)pthread_mutex_lock(&e->volumes_lock);
    int r = edit(e, name, fn, arg, err);
    (void)pthread_cond_broadcast(&e->vol_changed);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    return r;
}

/* ---- one at a time ---- */

static bool is_held(const struct engine *e, const char *name)
{
    for (const struct vol_hold *h = e->vol_holds; h; h = h->next)
        if (strcmp(h->name, name) == 0)
            return true;
    return false;
}

void vol_hold(struct engine *e, const char *name, struct vol_hold *h)
{
    (void)pthread_mutex_lock(&e->volumes_lock);
    while (is_held(e, name))
        (void)pthread_cond_wait(&e->vol_released, &e->volumes_lock);
    *h = (struct vol_hold){e, name, e->vol_holds};
    e->vol_holds = h;
    (void)pthread_mutex_unlock(&e->volumes_lock);
}

void vol_release(struct vol_hold *h)
{
    struct engine *e = h->e;

    if (!e)
        return;
    (void)pthread_mutex_lock(&e->volumes_lock);
    struct vol_hold **at = &e->vol_holds;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    (void)pthread_cond_broadcast(&e->vol_released);
    (void)pthread_mutex_unlock(&e->volumes_lock);
    h->e = NULL;
}
