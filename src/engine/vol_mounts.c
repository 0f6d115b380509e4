/*
 * Mounts that plugins make for us. Each has an id of its own and is written into the volume's row
 * before the plugin hears of it, and struck out when the plugin has taken it back: whichever
 * daemon comes next knows what is still to be taken back. A plugin may thus be told to unmount
 * what it never mounted, or twice, but never be left with a mount that nobody remembers.
 *
 * Where a volume lies is a stranger's word. The place is opened once and is a descriptor from then
 * on; it may be anywhere but where it would show the host's or our own insides.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "engine/vol-priv.h"
#include "kern/rootfs.h"

#define ID_LEN 64

/* ---- the place ---- */

/* Is one of them the other, or above it? */
static bool overlap(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), least = n < m ? n : m;

    return strncmp(a, b, least) == 0 && (n == m || (n < m ? b : a)[least] == '/');
}

static int check_place(struct engine *e, int fd, struct err *err)
{
    char path[PATH_MAX];
    struct statfs fs;
    int r = fd_path(fd, path, err);

    if (r < 0)
        return r;
    if (fstatfs(fd, &fs) < 0)
        return err_sys(err, "look at %s", path);
    if (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC ||
        fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC)
        return err_as(err, ERR_DENIED, EPERM, "%s belongs to the kernel", path);
    if (strcmp(path, "/") == 0 || overlap(path, e->data_path) || overlap(path, e->exec_path))
        return err_as(err, ERR_DENIED, EPERM, "%s is no place for a volume", path);
    return 0;
}

static int open_place(struct engine *e, const char *path, struct err *err)
{
    auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return err_sys(err, "open /");
    if (path[0] != '/')
        return err_as(err, ERR_SYSTEM, EBADMSG, "\"%.200s\" is no absolute path", path);
    auto_close int fd = rootfs_open(root, path, O_PATH | O_DIRECTORY, NULL);
    if (fd < 0) /* not as an error of ours: "no such file" means a container's program */
        return err_as(err, ERR_SYSTEM, EBADMSG, "open %.200s: %s", path, strerrordesc_np(-fd));
    int r = check_place(e, fd, err);
    return r < 0 ? r : take_fd(&fd);
}

/* ---- the row ---- */

struct change {
    const char *life; /* of this daemon */
    const char *id, *container, *target, *mountpoint;
};

static struct vol_mounted *find(const struct vol_record *rec, const char *id)
{
    for (size_t i = 0; i < rec->mounted.n; i++)
        if (strcmp(rec->mounted.v[i]->id, id) == 0)
            return rec->mounted.v[i];
    return NULL;
}

static int note(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct change *ch = arg;
    struct vol_mounted *m = arena_new(a, struct vol_mounted);

    (void)err;
    m->id = arena_strdup(a, ch->id);
    m->container = arena_strdup(a, ch->container);
    m->target = arena_strdup(a, ch->target);
    m->life = arena_strdup(a, ch->life);
    arena_push(a, rec->mounted) = m;
    return 1;
}

static int note_place(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct change *ch = arg;

    (void)err;
    if (str_eq(rec->mountpoint, ch->mountpoint))
        return 0;
    rec->mountpoint = arena_strdup(a, ch->mountpoint);
    return 1;
}

/* Two must not take back the same mount. */
static int note_leaving(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct change *ch = arg;
    struct vol_mounted *m = find(rec, ch->id);

    (void)err;
    if (!m || str_eq(m->leaver, ch->life))
        return 0;
    m->leaver = arena_strdup(a, ch->life);
    return 1;
}

static int note_stayed(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct change *ch = arg;
    struct vol_mounted *m = find(rec, ch->id);

    (void)err;
    if (m)
        m->leaver = arena_strdup(a, "");
    return m != NULL;
}

static int strike_out(struct vol_record *rec, void *arg, struct arena *a, struct err *err)
{
    const struct change *ch = arg;
    size_t n = 0;

    (void)a, (void)err;
    for (size_t i = 0; i < rec->mounted.n; i++)
        if (strcmp(rec->mounted.v[i]->id, ch->id) != 0)
            rec->mounted.v[n++] = rec->mounted.v[i];
    bool had = n < rec->mounted.n;
    rec->mounted.n = n;
    return had;
}

/* ---- taking back ---- */

static int take_back(struct engine *e, const struct vol_record *rec, const char *id,
                     struct err *err)
{
    struct change ch = {.life = e->life, .id = id};
    struct err why = {0};
    int r = vol_edit(e, rec->rq.name, note_leaving, &ch, err);

    if (r <= 0)
        return r;
    FAIL_POINT("volume.plugin.unmount.begin", err);
    r = vol_plugin_unmount(e, rec, id, &why);
    FAIL_POINT("volume.plugin.unmount.done", err);
    /* A plugin that says no has no such mount, or cannot help it: it was told. */
    if (r < 0)
        log_warn("%s", why.msg);
    if (r < 0 && r != -EREMOTEIO)
        return vol_edit(e, rec->rq.name, note_stayed, &ch, err);
    return vol_edit(e, rec->rq.name, strike_out, &ch, err);
}

typedef bool (*wants)(const struct vol_mounted *m, const void *arg);

static void take_back_some(struct engine *e, const char *name, wants want, const void *arg)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record rec;

    if (vol_get(e, name, &a, &rec, NULL) < 0)
        return;
    for (size_t i = 0; i < rec.mounted.n; i++) {
        struct err err = {0};
        if (want(rec.mounted.v[i], arg) && take_back(e, &rec, rec.mounted.v[i]->id, &err) < 0)
            log_warn("volume %s: %s", name, err.msg);
    }
}

static bool has_id(const struct vol_mounted *m, const void *arg)
{
    return strcmp(m->id, arg) == 0;
}

static bool is_for(const struct vol_mounted *m, const void *arg)
{
    return str_eq(m->container, arg);
}

static bool any(const struct vol_mounted *m, const void *arg)
{
    (void)m, (void)arg;
    return true;
}

void vol_unmount(struct engine *e, const char *name, const char *container, const char *id)
{
    take_back_some(e, name, id ? has_id : is_for, id ? id : container);
}

/* volumes_lock is held. */
static bool is_leaving(struct engine *e, const char *name)
{
    auto_arena struct arena a = ARENA_INIT;
    struct vol_record rec;

    if (vol_get(e, name, &a, &rec, NULL) < 0)
        return false;
    for (size_t i = 0; i < rec.mounted.n; i++)
        if (str_eq(rec.mounted.v[i]->leaver, e->life))
            return true;
    return false;
}

/* Others are at it already: a copy that its client has read to the end, say. */
static void wait_for_leaving(struct engine *e, const char *name)
{
    struct timespec until;
    int r = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += e->conf->plugin_timeout;
    (void)pthread_mutex_lock(&e->volumes_lock);
    while (r == 0 && is_leaving(e, name))
        r = pthread_cond_clockwait(&e->vol_changed, &e->volumes_lock, CLOCK_MONOTONIC, &until);
    (void)pthread_mutex_unlock(&e->volumes_lock);
}

void vol_unmount_all(struct engine *e, const char *name)
{
    take_back_some(e, name, any, NULL);
    wait_for_leaving(e, name);
}

/* ---- mounting ---- */

/* What became of a call that was not answered nobody knows: it is taken back, when somebody has
 * the time. */
struct doubt {
    struct engine *e;
    char *name, *id;
};

static void settle_doubt(void *arg)
{
    struct doubt *d = arg;

    vol_unmount(d->e, d->name, NULL, d->id);
    free(d->name);
    free(d->id);
    free(d);
}

static void leave_in_doubt(struct engine *e, const char *name, const char *id)
{
    struct doubt *d = xnew(struct doubt);

    *d = (struct doubt){e, xstrdup(name), xstrdup(id)};
    engine_job(e, settle_doubt, d);
}

static int mount_noted(struct engine *e, const char *name, const struct change *noted,
                       struct arena *a, struct err *err)
{
    struct vol_record rec;
    struct change ch = *noted;
    char *path = NULL;
    int r = vol_get(e, name, a, &rec, err);

    if (r >= 0)
        r = vol_plugin_mount(e, &rec, ch.id, a, &path, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.plugin.mount.done", err);
    auto_close int fd = open_place(e, path, err);
    if (fd < 0)
        return err_wrap(err, fd, "mountpoint of volume %s", name);
    ch.mountpoint = path;
    r = vol_edit(e, name, note_place, &ch, err);
    return r < 0 ? r : take_fd(&fd);
}

int vol_mount(struct engine *e, const char *name, const char *container, const char *target,
              struct arena *a, char **ret_id, struct err *err)
{
    char *id = arena_alloc(a, ID_LEN + 1);
    struct change ch = {.life = e->life, .id = id, .container = container, .target = target};

    rand_hex(id, ID_LEN);
    FAIL_POINT("volume.plugin.mount.begin", err);
    int r = vol_edit(e, name, note, &ch, err);
    if (r < 0)
        return r;
    FAIL_POINT("volume.plugin.mount.noted", err);
    int fd = mount_noted(e, name, &ch, a, err);
    if (fd == -EREMOTEIO) /* it said no: there is nothing to take back */
        (void)!vol_edit(e, name, strike_out, &ch, NULL);
    else if (fd < 0)
        leave_in_doubt(e, name, id);
    else
        *ret_id = id;
    return fd;
}

int vol_opened(struct engine *e, const char *name, const char *id, int fd, struct vol_open *ret,
               struct err *err)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = own < 0 ? err_sys(err, "open volume %s", name) : 1;

    (void)close(fd);
    if (r < 0)
        vol_unmount(e, name, NULL, id);
    else
        *ret = (struct vol_open){.fd = own, .id = xstrdup(id), .name = xstrdup(name)};
    return r;
}

void vol_close(struct engine *e, struct vol_open *o)
{
    close_fd(&o->fd); /* before the plugin is told, which could not unmount it otherwise */
    if (o->id)
        vol_unmount(e, o->name, NULL, o->id);
    free(o->id);
    free(o->name);
    o->id = o->name = NULL;
}

/* ---- after a restart ---- */

static bool is_left(const struct vol_mounted *m, const void *arg)
{
    struct engine *e = (struct engine *)(uintptr_t)arg;

    if (str_eq(m->life, e->life))
        return false;
    auto_ctr struct container *c = str_empty(m->container) ? NULL : ctr_find(e, m->container, NULL);
    if (!c)
        return true;
    (void)pthread_mutex_lock(&c->lock);
    bool runs = c->status == CTR_RUNNING && c->control >= 0;
    (void)pthread_mutex_unlock(&c->lock);
    return !runs;
}

static void sweep_one(struct engine *e, const char *name)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_hold struct vol_hold held;
    struct vol_record rec;
    struct err err = {0};

    vol_hold(e, name, &held);
    take_back_some(e, name, is_left, e);
    if (vol_get(e, name, &a, &rec, NULL) >= 0 && vol_settle(e, &rec, &err) < 0)
        log_warn("volume %s: %s", name, err.msg); /* who wants it tries again */
}

static void sweep(void *arg)
{
    auto_arena struct arena a = ARENA_INIT;
    struct engine *e = arg;
    struct vol_record **all;
    size_t n = 0;
    struct err err = {0};

    if (vol_list_records(e, &a, &all, &n, &err) < 0)
        log_error("%s", err.msg);
    for (size_t i = 0; i < n && !e->stopping; i++)
        if (!vol_is_local(all[i]->rq.driver) && (all[i]->mounted.n || all[i]->filling.n))
            sweep_one(e, all[i]->rq.name);
}

void vol_sweep(struct engine *e)
{
    if (e->vol_left)
        engine_job(e, sweep, e);
}
