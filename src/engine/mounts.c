/*
 * What is mounted in a container: the kernel's file systems, the three files that name the host,
 * binds, volumes, images, tmpfs.
 */
#include "engine/mounts.h"

#include "engine/vol-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

static struct oci_mount *add(struct arena *a, struct oci_spec *spec, const char *dest,
                             const char *type, const char *source, const char *options)
{
    struct oci_mount *m = arena_new(a, struct oci_mount);

    m->destination = arena_strdup(a, dest);
    m->type = arena_strdup(a, type);
    m->source = arena_strdup(a, source);
    m->options = str_split(a, options, ',');
    arena_push(a, spec->mounts) = m;
    return m;
}

/* ---- to the runtime ---- */

int ctr_make_bind_sources(const struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct binds binds = {0};
    int r = binds_collect(c->host, &a, &binds, err);

    for (size_t i = 0; r >= 0 && i < binds.n; i++) {
        const struct bind *b = &binds.v[i];
        struct stat st;
        if (b->kind != BIND_PATH || !b->create || stat(b->source, &st) == 0)
            continue;
        r = mkdir_p_at(AT_FDCWD, b->source, 0755, err);
        if (r < 0)
            return err_wrap(err, r, "create bind source");
    }
    return r;
}

static int mount_binds(struct container *c, struct arena *a, struct oci_spec *spec, struct err *err)
{
    struct binds binds = {0};
    int r = binds_collect(c->host, a, &binds, err);

    for (size_t i = 0; r >= 0 && i < binds.n; i++) {
        const struct bind *b = &binds.v[i];
        if (b->kind != BIND_PATH)
            continue;
        (void)add(a, spec, b->target, "bind", b->source,
                  arena_printf(a, "%s,%s%s", b->non_recursive ? "bind" : "rbind", b->propagation,
                               b->rro  ? ",rro"
                               : b->ro ? ",ro"
                                       : ""));
    }
    return r;
}

static int mount_volume(struct container *c, const struct ctr_volume *v, struct arena *a,
                        struct oci_spec *spec, struct err *err)
{
    struct vol_record rec;
    int r = vol_get(c->e, v->name, a, &rec, err);

    if (r < 0)
        return r;
    struct oci_mount *m =
        add(a, spec, v->target, "bind", "", v->ro ? "rbind,rprivate,ro" : "rbind,rprivate");
    m->subpath = v->subpath;
    return vol_driver(&rec.rq)->mount(c->e, &rec, v, a, m, err);
}

static int mount_image(struct container *c, const struct ctr_volume *v, struct arena *a,
                       struct oci_spec *spec, struct err *err)
{
    struct oci_mount *m = add(a, spec, v->target, "bind", "", "rbind,ro");

    m->subpath = v->subpath;
    return ctr_image_layers(c, v, a, &m->lowers, err);
}

static int mount_volumes(struct container *c, struct arena *a, struct oci_spec *spec,
                         struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->volumes.n; i++) {
        const struct ctr_volume *v = c->volumes.v[i];
        if (!str_empty(v->name))
            r = mount_volume(c, v, a, spec, err);
        else if (!str_empty(v->image))
            r = mount_image(c, v, a, spec, err);
        else
            (void)add(a, spec, v->target, "bind", v->source,
                      v->ro ? "rbind,rprivate,ro" : "rbind,rprivate");
    }
    return r;
}

static void mount_tmpfs(struct container *c, struct arena *a, struct oci_spec *spec)
{
    for (size_t i = 0; i < c->host->tmpfs.n; i++) {
        const struct strpair *p = &c->host->tmpfs.v[i];
        (void)add(a, spec, p->key, "tmpfs", "tmpfs",
                  arena_printf(a, "noexec,nosuid,nodev%s%s", *p->val ? "," : "", p->val));
    }
    for (size_t i = 0; i < c->host->mounts.n; i++) {
        const struct mount_spec *m = c->host->mounts.v[i];
        const struct tmpfs_options *o = m->tmpfs_options;
        if (!str_eq(m->type, "tmpfs"))
            continue;
        struct oci_mount *t = add(a, spec, m->target, "tmpfs", "tmpfs",
                                  m->read_only ? "noexec,nosuid,nodev,ro" : "noexec,nosuid,nodev");
        if (o && o->size_b)
            strv_push(a, &t->options, arena_printf(a, "size=%lld", (long long)o->size_b));
        if (o && o->mode)
            strv_push(a, &t->options, arena_printf(a, "mode=%o", o->mode));
    }
}

/* The container's own mount over a path of ours wins. */
static bool user_mounts(const struct oci_spec *spec, const char *dest)
{
    for (size_t i = 0; i < spec->mounts.n; i++)
        if (strcmp(spec->mounts.v[i]->destination, dest) == 0)
            return true;
    return false;
}

static void mount_files(struct container *c, struct arena *a, struct oci_spec *spec,
                        const struct oci_spec *user)
{
    static const char *const files[][2] = {{"/etc/resolv.conf", "resolv.conf"},
                                           {"/etc/hostname", "hostname"},
                                           {"/etc/hosts", "hosts"}};
    const char *options = c->host->readonly_rootfs ? "rbind,rprivate,ro" : "rbind,rprivate";

    for (size_t i = 0; i < 3; i++)
        if (!user_mounts(user, files[i][0]))
            (void)add(a, spec, files[i][0], "bind",
                      arena_printf(a, "%s/containers/%s/%s", c->e->data_path, c->id, files[i][1]),
                      options);
}

static void mount_system(struct container *c, struct arena *a, struct oci_spec *spec)
{
    bool priv = c->host->privileged;
    bool own_groups = priv || ctr_security_flag(c->host, "writable-cgroups", false) > 0;
    const char *ipc = c->host->ipc_mode;

    (void)add(a, spec, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    (void)add(a, spec, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    (void)add(a, spec, "/dev/pts", "devpts", "devpts",
              "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
    (void)add(a, spec, "/sys", "sysfs", "sysfs",
              priv ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro");
    (void)add(a, spec, "/sys/fs/cgroup", "cgroup", "cgroup",
              own_groups ? "rw,nosuid,noexec,nodev" : "ro,nosuid,noexec,nodev");
    (void)add(a, spec, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    if (str_eq(ipc, "host")) { /* the queues are those of the namespace: the host's */
        (void)add(a, spec, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate");
        return;
    }
    if (str_starts(ipc, "container:")) { /* who that is, and whether it runs, the start says */
        (void)add(a, spec, "/dev/shm", SHM_OF_OTHER, "/dev/shm", "rprivate");
        return;
    }
    if (!str_eq(ipc, "none"))
        (void)add(a, spec, "/dev/shm", "tmpfs", "shm",
                  arena_printf(a, "nosuid,noexec,nodev,mode=1777,size=%lld",
                               (long long)c->host->shm_size_b));
}

static int by_depth(const void *a, const void *b)
{
    const struct oci_mount *x = *(struct oci_mount *const *)a, *y = *(struct oci_mount *const *)b;
    size_t nx = 0, ny = 0;

    for (const char *p = x->destination; *p; p++)
        nx += *p == '/';
    for (const char *p = y->destination; *p; p++)
        ny += *p == '/';
    return nx == ny ? strcmp(x->destination, y->destination) : nx < ny ? -1 : 1;
}

int ctr_mounts(struct container *c, struct arena *a, struct oci_spec *spec, struct err *err)
{
    struct oci_spec user = {0}, all = {0};

    int r = mount_binds(c, a, &user, err);
    if (r >= 0)
        r = mount_volumes(c, a, &user, err);
    if (r < 0)
        return r;
    mount_tmpfs(c, a, &user);
    if (user.mounts.n)
        qsort(user.mounts.v, user.mounts.n, sizeof(*user.mounts.v), by_depth);
    mount_system(c, a, &all);
    for (size_t i = 0; i < all.mounts.n; i++)
        if (!user_mounts(&user, all.mounts.v[i]->destination))
            arena_push(a, spec->mounts) = all.mounts.v[i];
    mount_files(c, a, spec, &user);
    for (size_t i = 0; i < user.mounts.n; i++)
        arena_push(a, spec->mounts) = user.mounts.v[i];
    for (size_t i = 0; i < c->mounts.n; i++)
        arena_push(a, spec->mounts) = c->mounts.v[i];
    return 0;
}

/* ---- to inspect ---- */

/* A plugin's lies where it was last. */
static char *volume_source(struct container *c, const struct ctr_volume *v, struct arena *a)
{
    struct vol_record rec = {0};

    if (vol_is_local(v->driver))
        return vol_path(c->e, v->name, a);
    return vol_get(c->e, v->name, a, &rec, NULL) < 0 ? NULL : rec.mountpoint;
}

/* An image's tree is mounted nowhere on the host: its source is the image. */
static struct mount_point *describe(struct container *c, const struct ctr_volume *v,
                                    struct arena *a)
{
    struct mount_point *m = arena_new(a, struct mount_point);
    bool volume = !str_empty(v->name), image = !str_empty(v->image);

    *m = (struct mount_point){.destination = v->target, .mode = v->mode, .rw = !v->ro};
    m->type = arena_strdup(a, volume ? "volume" : image ? "image" : "bind");
    m->name = image ? v->image_name : v->name;
    m->source = volume ? volume_source(c, v, a) : image ? v->image : v->source;
    m->driver = volume ? arena_strdup(a, str_or(v->driver, "local")) : NULL;
    m->propagation = arena_strdup(a, volume || image ? "" : "rprivate");
    return m;
}

void ctr_mount_points(struct container *c, struct arena *a, struct container_inspect *ret)
{
    struct binds binds = {0};

    for (size_t i = 0; i < c->volumes.n; i++)
        arena_push(a, ret->mounts) = describe(c, c->volumes.v[i], a);
    if (binds_collect(c->host, a, &binds, NULL) < 0)
        return; /* a bind source that went away since: inspect shows the others */
    for (size_t i = 0; i < binds.n; i++) {
        if (binds.v[i].kind != BIND_PATH)
            continue;
        struct mount_point *m = arena_new(a, struct mount_point);
        *m = (struct mount_point){.type = arena_strdup(a, "bind"),
                                  .source = binds.v[i].source,
                                  .destination = binds.v[i].target,
                                  .mode = binds.v[i].mode,
                                  .rw = !binds.v[i].ro,
                                  .propagation = binds.v[i].propagation};
        arena_push(a, ret->mounts) = m;
    }
}
