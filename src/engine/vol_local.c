/*
 * The driver of our own: a volume is a directory below <data-root>/volumes, unless its options
 * (vol_options.c) name a file system or another directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "engine/vol-priv.h"

bool vol_is_local(const char *driver)
{
    return str_empty(driver) || strcmp(driver, "local") == 0;
}

char *vol_path(const struct engine *e, const char *name, struct arena *a)
{
    return arena_printf(a, "%s/volumes/%s/_data", e->data_path, name);
}

static int check(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    (void)e;
    return vol_check_options(rq, err);
}

/* ---- making and removing ---- */

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

/* The directory goes first, by a rename: a row without one is dropped at the next start, a
 * directory without a row would become a volume again. */
static int remove_dir(struct engine *e, const struct vol_record *rec, struct err *err)
{
    return trash_put(e, e->volumes_fd, rec->rq.name, err);
}

static int exists(struct engine *e, const struct vol_record *rec, struct err *err)
{
    (void)e, (void)rec, (void)err;
    return 1; /* what was not complete went at the daemon's start */
}

/* ---- looking and using ---- */

static int describe(struct engine *e, const struct vol_record *rec, struct arena *a,
                    struct volume_info *ret, struct err *err)
{
    (void)err;
    vol_describe_row(rec, a, ret);
    ret->mountpoint = vol_path(e, rec->rq.name, a);
    return 0;
}

/* The volume's directory; a file system of its own is mounted nowhere that we could open it. */
static int open_data(struct engine *e, const struct vol_record *rec, struct vol_open *ret,
                     struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_mount m = {.source = vol_path(e, rec->rq.name, &a)};
    int r = 0;

    *ret = (struct vol_open){.fd = -1};
    if (vol_has_device(&rec->rq)) {
        r = vol_device_mount(&rec->rq.driver_opts, false, &a, &m, err);
        if (r < 0 || !str_eq(m.type, "bind"))
            return r;
    }
    ret->fd = open(m.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return ret->fd < 0 ? err_sys(err, "open volume %s", rec->rq.name) : 1;
}

static int mount_it(struct engine *e, const struct vol_record *rec, const struct ctr_volume *v,
                    struct arena *a, struct oci_mount *m, struct err *err)
{
    m->source = vol_path(e, rec->rq.name, a);
    return vol_has_device(&rec->rq) ? vol_device_mount(&rec->rq.driver_opts, v->ro, a, m, err) : 0;
}

const struct vol_driver vol_local = {
    .check = check,
    .create = make_dirs,
    .remove = remove_dir,
    .exists = exists,
    .describe = describe,
    .open = open_data,
    .mount = mount_it,
};
