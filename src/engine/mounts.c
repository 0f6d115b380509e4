/*
 * What is mounted in a container: the kernel's file systems, the three files that name the host,
 * binds, volumes, tmpfs.
 */
#include "engine/mounts.h"

#include "engine/engine-priv.h"

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

/* ---- binds as users write them ---- */

static bool known_propagation(const char *s)
{
    static const char *const known[] = {"private", "rprivate", "shared",
                                        "rshared", "slave",    "rslave"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], s) == 0)
            return true;
    return false;
}

static int parse_mode(const char *mode, struct bind *b, struct arena *a, struct err *err)
{
    struct strv words = str_split(a, mode, ',');

    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        if (strcmp(w, "ro") == 0)
            b->ro = true;
        else if (known_propagation(w))
            b->propagation = words.v[i];
        else if (strcmp(w, "nocopy") == 0)
            b->no_copy = true;
        else if (strcmp(w, "rw") != 0 && strcmp(w, "z") != 0 && strcmp(w, "Z") != 0 &&
                 strcmp(w, "cached") != 0 && strcmp(w, "delegated") != 0 &&
                 strcmp(w, "consistent") != 0)
            return err_invalid(err, "invalid mode: %s", mode);
    }
    return 0;
}

/* "/host:/container[:mode]" or "volume:/container[:mode]" */
static int parse_bind(const char *text, struct arena *a, struct bind *ret, struct err *err)
{
    struct strv p = str_split(a, text, ':');
    struct bind b = {
        .propagation = arena_strdup(a, "rprivate"), .mode = arena_strdup(a, ""), .create = true};

    if (p.n < 2 || p.n > 3 || !*p.v[0] || !*p.v[1])
        return err_invalid(err, "invalid volume specification: '%s'", text);
    b.source = p.v[0];
    b.target = p.v[1];
    if (b.target[0] != '/')
        return err_invalid(err,
                           "invalid volume specification: '%s': invalid mount config for type "
                           "\"bind\": invalid mount path: '%s' mount path must be absolute",
                           text, b.target);
    if (strcmp(b.target, "/") == 0)
        return err_invalid(err,
                           "invalid volume specification: '%s': invalid mount config for type "
                           "\"bind\": invalid specification: destination can't be '/'",
                           text);
    b.volume = b.source[0] != '/';
    if (p.n == 3) {
        int r = parse_mode(p.v[2], &b, a, err);
        if (r < 0)
            return r;
        b.mode = p.v[2];
    }
    *ret = b;
    return 0;
}

/* An entry of HostConfig.Mounts of type bind. */
static int mount_to_bind(const struct mount_spec *m, struct arena *a, struct bind *ret,
                         struct err *err)
{
    const struct bind_options *o = m->bind_options;
    struct stat st;

    if (str_empty(m->target) || m->target[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"bind\": invalid mount path: '%s' mount "
                           "path must be absolute",
                           str_or(m->target, ""));
    if (str_empty(m->source))
        return err_invalid(err, "invalid mount config for type \"bind\": field Source must not be "
                                "empty");
    if (m->source[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"bind\": invalid mount path: '%s' mount "
                           "path must be absolute",
                           str_or(m->source, ""));
    if (!(o && o->create_mountpoint) && stat(m->source, &st) < 0)
        return err_invalid(err,
                           "invalid mount config for type \"bind\": bind source path does not "
                           "exist: %s",
                           m->source);
    *ret = (struct bind){.source = m->source,
                         .target = m->target,
                         .mode = arena_strdup(a, ""),
                         .propagation =
                             arena_strdup(a, o ? str_or(o->propagation, "rprivate") : "rprivate"),
                         .ro = m->read_only,
                         .rro = m->read_only && o && o->read_only_force_recursive,
                         .non_recursive = o && o->non_recursive,
                         .create = o && o->create_mountpoint};
    return 0;
}

/* Relative, and no ".." leads out of it, whatever the names before it may be links to. */
static bool is_inside(const char *path)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv parts = str_split(&a, path, '/');
    int depth = 0;

    for (size_t i = 0; i < parts.n && depth >= 0; i++)
        if (strcmp(parts.v[i], "..") == 0)
            depth--;
        else
            depth += *parts.v[i] && strcmp(parts.v[i], ".") != 0;
    return *path != '/' && depth >= 0;
}

/* An entry of HostConfig.Mounts of type volume. */
static int mount_to_volume(const struct mount_spec *m, struct arena *a, struct bind *ret,
                           struct err *err)
{
    const struct volume_options *o = m->volume_options;

    if (str_empty(m->target) || m->target[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"volume\": invalid mount path: '%s' "
                           "mount path must be absolute",
                           str_or(m->target, ""));
    if (m->source && m->source[0] == '/')
        return err_invalid(err,
                           "invalid mount config for type \"volume\": Source must be the name "
                           "of a volume: %s",
                           m->source);
    if (o && !str_empty(o->subpath) && !is_inside(o->subpath))
        return err_invalid(err,
                           "invalid mount config for type \"volume\": subpath must be a relative "
                           "path within the volume");
    if (o && !str_empty(o->subpath) && str_empty(m->source))
        return err_invalid(err,
                           "invalid mount config for type \"volume\": must not set Subpath when "
                           "using anonymous volumes");
    *ret = (struct bind){.source = arena_strdup(a, str_or(m->source, "")),
                         .target = m->target,
                         .mode = arena_strdup(a, ""),
                         .propagation = arena_strdup(a, ""),
                         .volume = true,
                         .subpath = o ? o->subpath : NULL,
                         .ro = m->read_only,
                         .no_copy = o && o->no_copy};
    return 0;
}

int binds_collect(const struct host_config *host, struct arena *a, struct binds *ret,
                  struct err *err)
{
    for (size_t i = 0; i < host->binds.n; i++) {
        int r = parse_bind(host->binds.v[i], a, &arena_push(a, *ret), err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < host->mounts.n; i++) {
        const struct mount_spec *m = host->mounts.v[i];
        if (str_eq(m->type, "tmpfs"))
            continue;
        if (str_eq(m->type, "image"))
            return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "mounts of images are not built yet");
        bool volume = str_eq(m->type, "volume");
        if (!volume && !str_eq(m->type, "bind"))
            return err_invalid(err, "mount type unknown: \"%s\"", str_or(m->type, ""));
        int r = volume ? mount_to_volume(m, a, &arena_push(a, *ret), err)
                       : mount_to_bind(m, a, &arena_push(a, *ret), err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ret->n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(ret->v[i].target, ret->v[j].target) == 0)
                return err_invalid(err, "Duplicate mount point: %s", ret->v[i].target);
    return 0;
}

int ctr_check_binds(const struct host_config *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct binds binds = {0};

    return binds_collect(host, &a, &binds, err);
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
        if (b->volume || !b->create || stat(b->source, &st) == 0)
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
        if (b->volume)
            continue;
        (void)add(a, spec, b->target, "bind", b->source,
                  arena_printf(a, "%s,%s%s", b->non_recursive ? "bind" : "rbind", b->propagation,
                               b->rro  ? ",rro"
                               : b->ro ? ",ro"
                                       : ""));
    }
    return r;
}

/* "type", "device" and "o" of the local driver: mounted here rather than on the host, so that
 * nothing is left there; a file system that is not in memory is the same one for all. */
static void mount_device(struct arena *a, struct oci_spec *spec, const struct ctr_volume *v,
                         const struct strmap *options)
{
    const char *o = str_or(strmap_get(options, "o"), ""), *type = strmap_get(options, "type");
    struct strv words = str_split(a, o, ',');
    bool bind = strv_has(&words, "bind") || strv_has(&words, "rbind");

    (void)add(a, spec, v->target, bind ? "bind" : str_or(type, "none"),
              strmap_get(options, "device"),
              arena_printf(a, "%s%s%s", o, v->ro && *o ? "," : "", v->ro ? "ro" : ""));
}

static int mount_volumes(struct container *c, struct arena *a, struct oci_spec *spec,
                         struct err *err)
{
    for (size_t i = 0; i < c->volumes.n; i++) {
        const struct ctr_volume *v = c->volumes.v[i];
        const char *ro = v->ro ? ",ro" : "";
        struct volume_create_request rec = {0};
        int r = str_empty(v->name) ? 0 : vol_get(c->e, v->name, a, &rec, err);
        if (r < 0)
            return r;
        if (str_empty(v->name))
            (void)add(a, spec, v->target, "bind", v->source,
                      arena_printf(a, "rbind,rprivate%s", ro));
        else if (rec.driver_opts.n && !str_empty(v->subpath))
            return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                          "volume-subpath of a volume with a file system of its own is not built "
                          "yet");
        else if (rec.driver_opts.n)
            mount_device(a, spec, v, &rec.driver_opts);
        else
            add(a, spec, v->target, "bind", vol_path(c->e, v->name, a),
                arena_printf(a, "rbind,rprivate%s", ro))
                ->subpath = v->subpath;
    }
    return 0;
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

void ctr_mount_points(struct container *c, struct arena *a, struct container_inspect *ret)
{
    struct binds binds = {0};

    for (size_t i = 0; i < c->volumes.n; i++) {
        const struct ctr_volume *v = c->volumes.v[i];
        bool volume = !str_empty(v->name);
        struct mount_point *m = arena_new(a, struct mount_point);
        *m = (struct mount_point){.type = arena_strdup(a, volume ? "volume" : "bind"),
                                  .name = v->name,
                                  .source = volume ? vol_path(c->e, v->name, a) : v->source,
                                  .destination = v->target,
                                  .driver = volume ? arena_strdup(a, "local") : NULL,
                                  .mode = v->mode,
                                  .rw = !v->ro,
                                  .propagation = arena_strdup(a, volume ? "" : "rprivate")};
        arena_push(a, ret->mounts) = m;
    }
    if (binds_collect(c->host, a, &binds, NULL) < 0)
        return; /* a bind source that went away since: inspect shows the others */
    for (size_t i = 0; i < binds.n; i++) {
        if (binds.v[i].volume)
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
