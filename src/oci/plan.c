/*
 * From config.json to what the kernel wants: namespaces opened, options taken apart, sources made
 * absolute. Runs in the parent, before anything of the container exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "kern/ns.h"
#include "kern/overlay.h"
#include "kern/rootfs.h"
#include "oci/oci-priv.h"

/* ---- namespaces ---- */

static void add_new(struct plan *p, int flag)
{
    if (flag == CLONE_NEWCGROUP)
        p->new_cgroupns = true;
    else if (flag == CLONE_NEWTIME)
        p->new_timens = true;
    else if (flag == CLONE_NEWNET)
        p->new_netns = true;
    else
        p->new_ns |= flag;
}

static int add_join(struct plan *p, const struct oci_namespace *n, int flag, struct err *err)
{
    int fd = open(n->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open %s namespace %s", n->type, n->path);
    if (flag == CLONE_NEWPID)
        p->join_pid = fd;
    else if (flag == CLONE_NEWUSER)
        p->join_user = fd;
    else
        p->join[p->njoin++] = (struct plan_ns){.fd = fd, .flag = flag};
    return 0;
}

static int plan_namespaces(struct plan *p, const struct oci_spec *spec, struct err *err)
{
    for (const struct ns_kind *k = ns_kinds; k->name; k++) {
        const struct oci_namespace *n = oci_spec_ns(spec, k->name);
        if (!n)
            continue;
        if (str_empty(n->path)) {
            add_new(p, k->flag);
            continue;
        }
        int r = add_join(p, n, k->flag, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- mounts ---- */

static int kind_of(const struct oci_mount *m, const struct mount_opts *o)
{
    if (m->lowers.n)
        return MOUNT_LAYERS;
    if (o->bind || !str_empty(m->mount_ns) || str_eq(m->type, "bind"))
        return MOUNT_BIND;
    if (str_eq(m->type, "cgroup"))
        return MOUNT_CGROUP1;
    return str_eq(m->type, "cgroup2") ? MOUNT_CGROUP2 : MOUNT_FS;
}

/* Absolute as a string, since a descriptor of ours would name a mount of our namespace, and the
 * child may only clone what is in its own. */
static int absolute_source(struct plan *p, struct plan_mount *pm, struct err *err)
{
    const char *s = str_or(pm->m->source, "");

    if (!*s)
        return err_invalid(err, "mount %s: a bind needs a source", pm->m->destination);
    pm->source = *s == '/' ? s : arena_printf(&p->arena, "%s/%s", p->bundle, s);
    return 0;
}

int clone_source(const struct plan_mount *pm, struct err *err)
{
    const char *sub = pm->m->subpath;
    int given = pm->m->source_fd;

    if (str_empty(sub))
        return given > 0 ? mount_bind(given, "", &pm->o, err)
                         : mount_bind(AT_FDCWD, pm->source, &pm->o, err);
    auto_close int root = given > 0 ? fcntl(given, F_DUPFD_CLOEXEC, 0)
                                    : open(pm->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(err, "open %s", pm->source);
    auto_close int fd = rootfs_open(root, sub, O_PATH, err);
    return fd < 0 ? fd : mount_bind(fd, "", &pm->o, err);
}

/* User namespaces see sources with other eyes, and may not shift owners; other mount namespaces,
 * and descriptors of ours, are closed to the child: we do it for them. */
static int prepare_bind(struct plan *p, struct plan_mount *pm, struct err *err)
{
    bool map = pm->m->uid_mappings.n > 0, foreign = !str_empty(pm->m->mount_ns);
    auto_close int userns = -1;
    auto_close int given = pm->m->source_fd > 0 ? pm->m->source_fd : -1; /* cloned, or not wanted */

    if (!map && !foreign && given < 0 && !(p->new_ns & CLONE_NEWUSER) && p->join_user < 0)
        return 0;
    auto_close int fd = foreign ? clone_foreign(pm, err) : clone_source(pm, err);
    if (fd < 0)
        return fd;
    if (map) {
        int r = idmap_userns(&pm->m->uid_mappings, &pm->m->gid_mappings, &userns, err);
        if (r == 0)
            r = mount_idmap(fd, userns, (pm->o.ext & MOUNT_RIDMAP) != 0, err);
        if (r < 0)
            return r;
    }
    pm->fd = take_fd(&fd);
    return 0;
}

/* The parent may reach the layers; it makes the whole tree, of which the child takes a part. */
static int prepare_layers(struct plan_mount *pm, struct err *err)
{
    const struct oci_mount *m = pm->m;
    struct overlay o = {.lowers = m->lowers,
                        .upper = m->upper,
                        .work = m->work,
                        .ro = (pm->o.attr_set & MOUNT_ATTR_RDONLY) != 0};

    return overlay_mount(&o, &pm->fd, err);
}

/* The container may not open the disk, and is not in the network in which the server is. */
static int prepare_fs(struct plan_mount *pm, struct err *err)
{
    const struct oci_mount *m = pm->m;
    struct stat st;
    bool disk =
        str_starts(str_or(m->source, ""), "/") && stat(m->source, &st) == 0 && S_ISBLK(st.st_mode);

    if (!m->by_host && !disk)
        return 0;
    pm->fd = mount_new(str_or(m->type, ""), m->source, &pm->o, err);
    return pm->fd < 0 ? pm->fd : 0;
}

static int plan_mount(struct plan *p, const struct oci_mount *m, struct err *err)
{
    struct plan_mount *pm = &arena_push(&p->arena, p->mounts);

    *pm = (struct plan_mount){.m = m, .fd = -1};
    int r = mount_opts_parse(&m->options, &p->arena, &pm->o, err);
    if (r < 0)
        return r;
    pm->kind = (enum mount_kind)kind_of(m, &pm->o);
    if (pm->kind == MOUNT_CGROUP1 || pm->kind == MOUNT_CGROUP2)
        p->cgroup_mount = true;
    if (pm->kind == MOUNT_LAYERS)
        return prepare_layers(pm, err);
    if (pm->kind == MOUNT_FS)
        return prepare_fs(pm, err);
    if (pm->kind != MOUNT_BIND)
        return 0;
    if (str_eq(m->destination, "/dev"))
        p->own_dev = false;
    r = absolute_source(p, pm, err);
    return r < 0 ? r : prepare_bind(p, pm, err);
}

static int plan_mounts(struct plan *p, const struct oci_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        int r = plan_mount(p, spec->mounts.v[i], err);
        if (r < 0)
            return err_wrap(err, r, "mount %s", spec->mounts.v[i]->destination);
    }
    return 0;
}

/* ---- root ---- */

static int plan_root(struct plan *p, const struct oci_create *c, struct err *err)
{
    struct mount_opts o = {.rec = true, .propagation = MS_PRIVATE, .propagation_rec = true};
    const char *path = c->spec->root->path;

    if (c->open_rootfs || c->rootfs_fd >= 0) {
        p->root_fd = c->open_rootfs ? -1 : c->rootfs_fd;
        return 0;
    }
    if (*path != '/')
        path = arena_printf(&p->arena, "%s/%s", p->bundle, path);
    p->root_fd = mount_bind(AT_FDCWD, path, &o, err);
    p->root_fd_ours = p->root_fd >= 0;
    return p->root_fd < 0 ? err_wrap(err, p->root_fd, "container's root file system") : 0;
}

static void plan_propagation(struct plan *p, const struct oci_spec *spec)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } table[] = {{"private", MS_PRIVATE},
                 {"slave", MS_SLAVE},
                 {"shared", MS_SHARED},
                 {"unbindable", MS_UNBINDABLE}};
    const char *s = str_or(spec->lnx->rootfs_propagation, "rslave");

    p->root_propagation_rec = *s == 'r';
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_eq(s + (*s == 'r'), table[i].name))
            p->root_propagation = table[i].flag;
}

static int find_bundle(struct plan *p, const struct oci_create *c, struct err *err)
{
    char link[32], path[4096];

    if (!str_empty(c->bundle)) {
        p->bundle = arena_strdup(&p->arena, c->bundle);
        return 0;
    }
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", c->bundle_fd);
    ssize_t n = readlink(c->bundle_fd < 0 ? "/proc/self/cwd" : link, path, sizeof(path) - 1);
    if (n < 0)
        return err_sys(err, "find the bundle's path");
    p->bundle = arena_strndup(&p->arena, path, (size_t)n);
    return 0;
}

static const struct plan empty_plan = {
    .join_pid = -1, .join_user = -1, .root_fd = -1, .own_dev = true};

int plan_container(const struct oci_create *c, struct plan *ret, struct err *err)
{
    struct plan *p = ret;

    *p = empty_plan;
    int r = find_bundle(p, c, err);
    if (r == 0)
        r = plan_namespaces(p, c->spec, err);
    if (r == 0)
        r = plan_mounts(p, c->spec, err);
    if (r == 0)
        r = plan_root(p, c, err);
    if (r < 0) {
        plan_done(p);
        return r;
    }
    plan_propagation(p, c->spec);
    return 0;
}

void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->njoin; i++)
        close_fd(&p->join[i].fd);
    for (size_t i = 0; i < p->mounts.n; i++)
        close_fd(&p->mounts.v[i].fd);
    close_fd(&p->join_pid);
    close_fd(&p->join_user);
    if (p->root_fd_ours)
        close_fd(&p->root_fd);
    arena_done(&p->arena);
    *p = empty_plan; /* what was planned is gone, and nobody closes it again */
}

/* ---- devices ---- */

#define ANY (-1)

/* Making any node is harmless where using it is not allowed; the rest are the default devices. */
static const struct {
    char type;
    int64_t major, minor;
    const char *access;
} device_rules[] = {
    {'c', ANY, ANY, "m"}, {'b', ANY, ANY, "m"},   {'c', 1, 3, "rwm"}, {'c', 1, 5, "rwm"},
    {'c', 1, 7, "rwm"},   {'c', 1, 8, "rwm"},     {'c', 1, 9, "rwm"}, {'c', 5, 0, "rwm"},
    {'c', 5, 2, "rwm"},   {'c', 136, ANY, "rwm"},
};

static bool same_number(const int64_t *given, int64_t want)
{
    return given && *given >= 0 ? *given == want : want == ANY;
}

static bool has_rule(const struct cgroup_limits *lim, size_t i)
{
    for (size_t k = lim->devices.n; k-- > 0;) {
        const struct cgroup_device_rule *d = lim->devices.v[k];
        bool all = str_empty(d->type) || *d->type == 'a';
        if (all || !d->allow)
            return all && d->allow; /* what comes before no longer counts */
        if (*d->type == device_rules[i].type && same_number(d->major, device_rules[i].major) &&
            same_number(d->minor, device_rules[i].minor) &&
            str_eq(str_or(d->access, "rwm"), device_rules[i].access))
            return true;
    }
    return false;
}

void plan_device_rules(struct plan *p, struct cgroup_limits *lim)
{
    typeof(lim->devices) list = {0}, given = lim->devices;
    struct arena *a = &p->arena;

    if (given.n == 0)
        return;
    for (size_t i = 0; i < given.n; i++)
        arena_push(a, list) = given.v[i];
    for (size_t i = 0; i < sizeof(device_rules) / sizeof(device_rules[0]); i++) {
        if (has_rule(lim, i))
            continue;
        struct cgroup_device_rule *d = arena_new(a, struct cgroup_device_rule);
        *d = (struct cgroup_device_rule){.allow = true,
                                         .type = arena_strndup(a, &device_rules[i].type, 1),
                                         .major = arena_memdup(a, &device_rules[i].major, 8),
                                         .minor = arena_memdup(a, &device_rules[i].minor, 8),
                                         .access = arena_strdup(a, device_rules[i].access)};
        arena_push(a, list) = d;
    }
    lim->devices = list;
}
