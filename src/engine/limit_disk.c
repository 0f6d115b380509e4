/*
 * Limits on disk space: of volumes (--opt size) and of containers' own layers (--storage-opt size).
 * The file system holds to them by project quotas, and knows best which ids are in use; nothing of
 * them is kept in the catalog.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/units.h"
#include "kern/caps.h"
#include "kern/quota.h"

/* ---- containers ---- */

int ctr_layer_limit(const struct host_config *h, uint64_t *ret, struct err *err)
{
    int64_t size = 0;

    for (size_t i = 0; i < h->storage_opt.n; i++) {
        const struct strpair *o = &h->storage_opt.v[i];
        if (strcasecmp(o->key, "size") != 0)
            return err_invalid(err, "--storage-opt: unknown option %s", o->key);
        if (units_parse_bytes(o->val, &size, NULL) < 0 || size < 0)
            return err_invalid(err, "--storage-opt: invalid size: '%s'", o->val);
    }
    *ret = (uint64_t)size;
    return 0;
}

static int open_pair(const struct container *c, const char *work, int fds[2], struct err *err)
{
    const char *const names[] = {"diff", work};

    for (size_t i = 0; i < 2; i++) {
        fds[i] = openat(c->data_fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fds[i] < 0)
            return err_sys(err, "open the container's %s", names[i]);
    }
    return 0;
}

int ctr_limit_layer(struct container *c, struct err *err)
{
    uint64_t limit;
    int r = ctr_layer_limit(c->host, &limit, err);

    if (r < 0 || limit == 0)
        return r;
    int fds[2] = {-1, -1};
    r = open_pair(c, "work", fds, err);
    (void)pthread_mutex_lock(&c->e->quota_lock);
    if (r >= 0)
        r = quota_limit_dirs(fds, 2, limit, err);
    (void)pthread_mutex_unlock(&c->e->quota_lock);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    FAIL_POINT("container.create.quota", err);
    return r < 0 ? err_wrap(err, r, "--storage-opt size") : 0;
}

int ctr_limit_work(struct container *c, const char *work, struct err *err)
{
    int fds[2] = {-1, -1};
    int r = open_pair(c, work, fds, err);

    if (r >= 0)
        r = quota_take_over(fds[0], fds[1], err);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    return r;
}

int limits_bind(struct err *err)
{
    return caps_hold_back(CAP_SYS_RESOURCE, err);
}

void limits_release(void)
{
    if (caps_raise(NULL) < 0)
        log_warn("a thread goes on without CAP_SYS_RESOURCE");
}

/* ---- volumes ---- */

int vol_limit(struct engine *e, const struct volume_create_request *rec, int data_fd,
              struct err *err)
{
    struct quota_usage u = {0};
    uint64_t limit;
    int r = vol_size_limit(rec, &limit, err);

    if (r < 0 || limit == 0 || (quota_usage(data_fd, &u, NULL) > 0 && u.limit_b >= limit))
        return r;
    (void)pthread_mutex_lock(&e->quota_lock);
    r = quota_limit_dirs(&data_fd, 1, limit, err);
    (void)pthread_mutex_unlock(&e->quota_lock);
    FAIL_POINT("volume.create.quota", err);
    return r < 0 ? err_wrap(err, r, "create %s: quota size requested", rec->name) : 0;
}

/* A daemon that died while it made a volume, or a backup that was put back, left it without. */
void vol_limit_again(struct engine *e, const struct volume_create_request *rec)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err err = {0};
    auto_close int fd = openat(e->volumes_fd, arena_printf(&a, "%s/_data", rec->name),
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && vol_limit(e, rec, fd, &err) < 0)
        log_warn("volume %s has no limit: %s", rec->name, err.msg);
}

int64_t vol_counted(int data_fd)
{
    struct quota_usage u = {0};

    return quota_usage(data_fd, &u, NULL) > 0 ? (int64_t)u.used_b : -1;
}
