/*
 * Volumes as a whole: clones, and tar archives in and out. What is being made lies in the trash
 * until it is complete, so that a daemon that dies leaves nothing that looks like a volume; what is
 * being read is not removed, and containers that write to it may be held still meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/clone.h"
#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "engine/vol-priv.h"

#define STAGE_LEN 32

/* ---- what is being read ---- */

struct vol_reading {
    const char *name;
    struct vol_reading *next;
};

bool vol_is_read(const struct engine *e, const char *name)
{
    for (const struct vol_reading *r = e->reading; r; r = r->next)
        if (strcmp(r->name, name) == 0)
            return true;
    return false;
}

struct vol_reader {
    struct engine *e;
    struct vol_reading mark;
    struct vol_record rec;
    struct vol_open data;
    struct strv paused; /* containers that we hold still, heap */
};

static int open_data(struct vol_reader *rd, struct err *err)
{
    int r = vol_driver(&rd->rec.rq)->open(rd->e, &rd->rec, &rd->data, err);

    if (r == 0)
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "volume %s has a file system of its own: copying it is not built yet",
                      rd->mark.name);
    return r;
}

/* Containers that end meanwhile need no rest. */
static int hold_users(struct vol_reader *rd, struct err *err)
{
    struct strv ids = {0};
    int r = 0;

    (void)vol_users(rd->e, rd->mark.name, &ids);
    rd->paused.v = xcalloc(ids.n + 1, sizeof(char *));
    for (size_t i = 0; i < ids.n; i++) {
        auto_ctr struct container *c = r < 0 ? NULL : ctr_find(rd->e, ids.v[i], NULL);
        int held = c ? ctr_hold_still(c, true, err) : 0;
        if (held > 0)
            rd->paused.v[rd->paused.n++] = take_ptr(&ids.v[i]);
        else if (held < 0 && err->kind != ERR_CONFLICT)
            r = held;
        free(ids.v[i]);
    }
    free(ids.v);
    if (r >= 0)
        err_clear(err);
    return r;
}

/* From the mark on nobody removes it. */
static int mark_read(struct vol_reader *rd, struct arena *a, struct err *err)
{
    auto_hold struct vol_hold held;

    vol_hold(rd->e, rd->mark.name, &held);
    int r = vol_get(rd->e, rd->mark.name, a, &rd->rec, err);
    if (r >= 0)
        r = vol_settle(rd->e, &rd->rec, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&rd->e->volumes_lock);
    rd->mark.next = rd->e->reading;
    rd->e->reading = &rd->mark;
    (void)pthread_mutex_unlock(&rd->e->volumes_lock);
    return 0;
}

static int reader_open(struct engine *e, const char *name, bool pause, struct arena *a,
                       struct vol_reader *rd, struct err *err)
{
    *rd = (struct vol_reader){.e = e, .mark = {.name = name}, .data = {.fd = -1}};
    int r = mark_read(rd, a, err);
    if (r >= 0)
        r = open_data(rd, err);
    return r < 0 || !pause ? r : hold_users(rd, err);
}

/* May be called twice. */
static void reader_close(struct vol_reader *rd)
{
    for (size_t i = 0; i < rd->paused.n; i++) {
        auto_ctr struct container *c = ctr_find(rd->e, rd->paused.v[i], NULL);
        struct err why = {0};
        if (c && ctr_let_go(c, &why) < 0)
            log_error("container %s stays paused: %s", rd->paused.v[i], why.msg);
        free(rd->paused.v[i]);
    }
    free(rd->paused.v);
    rd->paused = (struct strv){0};
    vol_close(rd->e, &rd->data);
    (void)pthread_mutex_lock(&rd->e->volumes_lock);
    for (struct vol_reading **p = &rd->e->reading; *p; p = &(*p)->next)
        if (*p == &rd->mark) {
            *p = rd->mark.next;
            break;
        }
    (void)pthread_mutex_unlock(&rd->e->volumes_lock);
}

/* ---- what is being made ---- */

struct stage {
    struct engine *e;
    char name[STAGE_LEN + 1]; /* in the trash */
    int fd;                   /* _data */
};

static int stage_open(struct engine *e, const struct volume_create_request *rq, struct stage *s,
                      struct err *err)
{
    *s = (struct stage){.e = e, .fd = -1};
    rand_hex(s->name, STAGE_LEN);
    if (mkdirat(e->trash_fd, s->name, 0701) < 0)
        return err_sys(err, "create volume %s", rq->name);
    auto_close int top =
        openat(e->trash_fd, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 || mkdirat(top, "_data", 0755) < 0)
        return err_sys(err, "create volume %s", rq->name);
    s->fd = openat(top, "_data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return s->fd < 0 ? err_sys(err, "create volume %s", rq->name) : vol_limit(e, rq, s->fd, err);
}

/* Without a volume it is what it lies in: trash. */
static void stage_close(struct stage *s)
{
    close_fd(&s->fd);
    trash_delete(s->e, s->name);
}

static int stage_settle(struct stage *s, const struct volume_create_request *rq, struct err *err)
{
    FAIL_POINT("volume.copy.full", err);
    if (syncfs(s->fd) < 0) /* the row is on the disk before the files otherwise */
        return err_sys(err, "write volume %s to the disk", rq->name);
    return vol_insert_made(s->e, rq, s->e->trash_fd, s->name, err);
}

static int check_new(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record old;
    int r = vol_is_local(rq->driver)
                ? vol_check(e, rq, err)
                : err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                         "create %s: filling a volume of a plugin with a copy is not built yet",
                         rq->name);

    if (r >= 0 && vol_has_device(rq))
        r = err_invalid(err, "create %s: a file system of its own cannot be filled", rq->name);
    if (r >= 0 && vol_get(e, rq->name, &a, &old, NULL) >= 0)
        r = vol_exists(rq->name, err);
    return r;
}

/* ---- the three ---- */

/* What the request leaves open is as the original has it; but its labels come in addition. */
static void inherit(struct volume_create_request *rq, const struct volume_create_request *from,
                    struct arena *a)
{
    struct strmap own = rq->labels;

    /* Those of a plugin mean nothing to us, and the clone of another directory is one of ours. */
    if (rq->driver_opts.n == 0 && vol_is_local(from->driver) && !vol_has_device(from))
        rq->driver_opts = from->driver_opts;
    rq->labels = (struct strmap){0};
    for (size_t i = 0; i < from->labels.n; i++)
        if (strcmp(from->labels.v[i].key, VOL_ANONYMOUS) != 0)
            strmap_set(a, &rq->labels, from->labels.v[i].key, from->labels.v[i].val);
    for (size_t i = 0; i < own.n; i++)
        strmap_set(a, &rq->labels, own.v[i].key, own.v[i].val);
}

static int copy(struct vol_reader *rd, const struct volume_create_request *rq, struct err *err)
{
    struct stage s;
    int r = stage_open(rd->e, rq, &s, err);

    if (r >= 0)
        r = limits_bind(err);
    if (r >= 0)
        r = clone_tree(rd->data.fd, s.fd, NULL, err);
    limits_release();
    reader_close(rd); /* nobody is held up by the disk */
    if (r >= 0)
        r = stage_settle(&s, rq, err);
    stage_close(&s);
    return r;
}

int vol_clone(struct engine *e, const char *from, const struct volume_create_request *rq,
              bool pause, struct arena *a, struct volume_info *ret, struct err *err)
{
    struct volume_create_request full = *rq;
    struct vol_reader rd;
    int r = reader_open(e, from, pause, a, &rd, err);

    if (r >= 0) {
        inherit(&full, &rd.rec.rq, a);
        r = check_new(e, &full, err);
    }
    if (r >= 0)
        r = copy(&rd, &full, err);
    reader_close(&rd);
    if (r < 0)
        return err_wrap(err, r, "copy volume %s", from);
    return vol_inspect(e, full.name, a, ret, err);
}

int vol_export_open(struct engine *e, const char *name, bool pause, struct arena *a,
                    struct vol_reader **ret, struct err *err)
{
    struct vol_reader *rd = xnew(struct vol_reader);
    int r = reader_open(e, name, pause, a, rd, err);

    if (r < 0)
        vol_export_close(rd);
    else
        *ret = rd;
    return r;
}

int vol_export(struct vol_reader *rd, img_write write, void *arg, struct err *err)
{
    auto_sink struct sink *out = sink_cb(write, arg);
    int64_t n = pack_one(rd->data.fd, ".", ".", out, NULL, err);

    return n < 0 ? (int)n : 0;
}

void vol_export_close(struct vol_reader *rd)
{
    if (!rd)
        return;
    reader_close(rd);
    free(rd);
}

int vol_import(struct engine *e, const struct volume_create_request *rq, img_read read, void *arg,
               struct arena *a, struct volume_info *ret, struct err *err)
{
    static const struct unpack_options as_it_was = {.flags = UNPACK_ROOT};
    struct stage s;
    int r = check_new(e, rq, err);

    if (r < 0)
        return r;
    r = stage_open(e, rq, &s, err);
    if (r >= 0)
        r = limits_bind(err);
    if (r >= 0)
        r = unpack_any(s.fd, &as_it_was, read, arg, err);
    limits_release();
    if (r >= 0)
        r = stage_settle(&s, rq, err);
    stage_close(&s);
    return r < 0 ? err_wrap(err, r, "import volume %s", rq->name)
                 : vol_inspect(e, rq->name, a, ret, err);
}
