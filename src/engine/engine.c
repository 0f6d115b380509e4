/* Opening and closing the engine. */
#include "engine/build-priv.h"
#include "engine/vol-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "engine/plugins.h"
#include "store/settings.h"

#define ENDINGS_WAIT_S 10

static int open_dir(int at, const char *path, mode_t mode, int *ret, struct err *err)
{
    int r = mkdir_p_at(at, path, mode, err);

    if (r < 0)
        return r;
    *ret = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? err_sys(err, "open %s", path) : 0;
}

/* Two daemons on one data root would each undo the other's work. */
static int lock_root(struct engine *e, struct err *err)
{
    e->lock_fd = lock_file_at(e->data_fd, "lock", 0600, err);
    if (e->lock_fd == -EAGAIN)
        return err_conflict(err, "%s is in use by another daemon", e->data_path);
    return e->lock_fd < 0 ? e->lock_fd : 0;
}

static int open_dirs(struct engine *e, struct err *err)
{
    auto_close int exec = -1;
    int r = open_dir(AT_FDCWD, e->conf->data_root, 0711, &e->data_fd, err);

    if (r < 0)
        return r;
    e->data_path = realpath(e->conf->data_root, NULL);
    if (!e->data_path)
        return err_sys(err, "resolve %s", e->conf->data_root);
    r = lock_root(e, err);
    if (r >= 0)
        r = open_dir(e->data_fd, "containers", 0710, &e->containers_fd, err);
    if (r >= 0)
        r = open_dir(e->data_fd, "volumes", 0701, &e->volumes_fd, err);
    if (r >= 0)
        r = open_dir(e->data_fd, "trash", 0700, &e->trash_fd, err);
    if (r >= 0)
        r = open_dir(AT_FDCWD, e->conf->exec_root, 0711, &exec, err);
    if (r >= 0)
        r = open_dir(exec, "shims", 0700, &e->shims_fd, err);
    auto_free char *exec_path = r < 0 ? NULL : realpath(e->conf->exec_root, NULL);
    if (r >= 0 && !exec_path)
        return err_sys(err, "resolve %s", e->conf->exec_root);
    if (r < 0)
        return r;
    e->build_run_path = xasprintf("%s/build", exec_path);
    e->exec_path = take_ptr(&exec_path);
    return r;
}

static int open_store(struct engine *e, struct err *err)
{
    auto_free char *path = xasprintf("%s/catalog.db", e->data_path);
    bool keep = str_eq(e->conf->image_blobs, "keep");

    if (!keep && !str_eq(e->conf->image_blobs, "drop"))
        return err_invalid(err, "invalid image-blobs: \"%.100s\": neither keep nor drop",
                           str_or(e->conf->image_blobs, ""));
    int r = db_open(path, &e->db, err);
    if (r >= 0)
        r = image_store_open(e->data_fd, e->db, &e->images, err);
    return r < 0 ? r : image_store_keep_blobs(e->images, keep, err);
}

/* ABCD:EFGH:... as Docker's, made once. */
static int open_identity(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *have;
    int r = setting_get(e->db, "engine-id", &a, &have, err);

    if (r < 0)
        return r;
    if (have) {
        (void)snprintf(e->id, sizeof(e->id), "%s", have);
        return 0;
    }
    rand_hex(e->id, 36);
    e->id[8] = e->id[13] = e->id[18] = e->id[23] = '-';
    return setting_set(e->db, "engine-id", e->id, err);
}

/* A directory whose row never came, or whose row is gone: what a killed daemon left behind. */
static void sweep_dir(struct engine *e, int fd, const char *what,
                      void (*sweep)(struct engine *e, const char *name))
{
    auto_dir DIR *d = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    for (struct dirent *ent; d && (ent = readdir(d));) {
        struct err err = {0};
        if (ent->d_name[0] == '.')
            continue;
        auto_ctr struct container *c = ctr_find(e, ent->d_name, &err);
        if (c)
            continue;
        log_info("removing left-over %s %s", what, ent->d_name);
        sweep(e, ent->d_name);
    }
}

static void sweep_tree(int fd, const char *name)
{
    struct err err = {0};

    if (remove_tree_at(fd, name, &err) < 0)
        log_warn("%s", err.msg);
}

static void sweep_container(struct engine *e, const char *name)
{
    sweep_tree(e->containers_fd, name);
}

static int open_cgroups(struct engine *e, struct err *err)
{
    struct err why = {0};
    int r = cgroup_host_open(&e->cgroups, err);

    if (r < 0)
        return r;
    r = cgroup_host_make_room(e->cgroups, &why);
    if (r > 0)
        log_info("moved the processes of the root cgroup to /init, to limit containers beside it");
    else if (r < 0) /* containers without limits will do */
        log_warn("%s", why.msg);
    return 0;
}

static int bring_up(struct engine *e, struct err *err)
{
    int r = open_dirs(e, err);

    if (r >= 0)
        r = plugins_new(&e->conf->plugin_dirs, e->conf->plugin_timeout, &e->plugins, err);
    if (r >= 0)
        r = seccomp_cache_open(e->data_fd, &e->seccomp, err);
    if (r >= 0)
        r = open_store(e, err);
    if (r >= 0)
        r = open_identity(e, err);
    if (r >= 0)
        r = registries_new(e->conf, &e->registries, err);
    if (r >= 0)
        r = open_cgroups(e, err);
    if (r >= 0)
        r = nets_open(e, err);
    if (r >= 0)
        r = img_seed(e, err);
    if (r >= 0)
        r = engine_builder_open(e, err);
    if (r >= 0)
        r = vol_load_all(e, err);
    if (r >= 0)
        r = ctr_load_all(e, err);
    if (r >= 0)
        r = nets_settle(e, err);
    if (r < 0)
        return r;
    e->loaded = true;
    vol_sweep(e);
    engine_apparmor_open(e);
    sweep_dir(e, e->containers_fd, "container", sweep_container);
    sweep_dir(e, e->trash_fd, "trash", trash_delete);
    sweep_dir(e, e->shims_fd, "run directory", engine_sweep_run);
    return 0;
}

int engine_open(const struct engine_config *c, struct loop *loop, struct pool *pool,
                const char *shim, const char *init, struct engine **ret, struct err *err)
{
    struct engine *e = xnew(struct engine);

    e->conf = c;
    e->loop = loop;
    e->pool = pool;
    e->shim = xstrdup(shim);
    e->init = xstrdup(init);
    e->data_fd = e->containers_fd = e->trash_fd = e->volumes_fd = e->shims_fd = e->lock_fd = -1;
    e->events = events_new();
    e->by_id = map_new();
    e->by_name = map_new();
    e->started_ns = now_ns();
    rand_hex(e->life, sizeof(e->life) - 1);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->volumes_lock, NULL);
    (void)pthread_cond_init(&e->vol_released, NULL);
    (void)pthread_cond_init(&e->vol_changed, NULL);
    (void)pthread_mutex_init(&e->quota_lock, NULL);
    (void)pthread_mutex_init(&e->nets.lock, NULL);
    (void)pthread_mutex_init(&e->nets.making, NULL);
    (void)pthread_cond_init(&e->quiet, NULL);
    int r = bring_up(e, err);
    if (r < 0) {
        engine_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

struct events *engine_events(struct engine *e)
{
    return e->events;
}

bool engine_experimental(const struct engine *e)
{
    return e->conf->experimental;
}

/* ---- the end ---- */

struct stopping {
    struct container *c;
    int64_t timeout_s;
};

static void stop_one(void *arg)
{
    struct stopping *s = arg;
    struct err err = {0};

    if (ctr_stop(s->c->e, s->c->id, "", &s->timeout_s, &err) < 0)
        log_warn("%s", err.msg);
    ctr_unref(s->c);
    free(s);
}

static void wait_jobs(struct engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    while (e->jobs > 0)
        (void)pthread_cond_wait(&e->quiet, &e->lock);
    (void)pthread_mutex_unlock(&e->lock);
}

/* Containers that have just ended, removed ones among them: their shims need a moment more, and
 * what they leave is ours to sweep. */
static void wait_endings(struct engine *e)
{
    struct timespec until;
    int r = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ENDINGS_WAIT_S;
    (void)pthread_mutex_lock(&e->lock);
    while (e->ending > 0 && r == 0)
        r = pthread_cond_clockwait(&e->quiet, &e->lock, CLOCK_MONOTONIC, &until);
    (void)pthread_mutex_unlock(&e->lock);
}

void engine_stop(struct engine *e)
{
    size_t n;

    e->stopping = true;
    if (e->conf->live_restore) {
        wait_endings(e);
        return;
    }
    auto_free struct container **all = ctr_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        struct stopping *s = xnew(struct stopping);
        *s = (struct stopping){all[i], e->conf->shutdown_timeout};
        engine_job(e, stop_one, s);
    }
    wait_jobs(e);
    wait_endings(e);
}

static bool any_running(struct engine *e)
{
    bool any = false;

    for (struct container *c = e->containers; c; c = c->next)
        any |= c->status == CTR_RUNNING && c->control >= 0;
    return any;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    plugins_stop(e->plugins); /* the next daemon asks them again */
    wait_jobs(e);
    loop_drain(e->loop); /* the last of a container may have been let go behind the loop's back */
    e->closing = true;
    bool any = any_running(e);
    while (e->containers) {
        ctr_unwatch_shim(e->containers);
        ctr_unlink(e->containers);
    }
    map_free(e->by_id);
    map_free(e->by_name);
    nets_close(e, !any); /* links and rules are for running containers */
    cgroup_host_free(e->cgroups);
    seccomp_cache_free(e->seccomp);
    registries_free(e->registries);
    plugins_free(e->plugins);
    build_sessions_free(e);
    builder_free(e->builder);
    image_store_close(e->images);
    db_close(e->db);
    events_free(e->events);
    close_fd(&e->shims_fd);
    close_fd(&e->containers_fd);
    close_fd(&e->trash_fd);
    close_fd(&e->volumes_fd);
    close_fd(&e->data_fd);
    close_fd(&e->lock_fd);
    (void)pthread_cond_destroy(&e->quiet);
    (void)pthread_mutex_destroy(&e->lock);
    free(e->data_path);
    free(e->exec_path);
    free(e->build_run_path);
    free(e->shim);
    free(e->init);
    free(e);
}
