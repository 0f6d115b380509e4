/*
 * The container's file systems. The root is attached on top of "/" of our private mount namespace
 * and everything else below it, each mount complete before it appears; then pivot_root() and the
 * host's tree is gone. Targets are descriptors found by openat2() below the root, so a symlink in
 * the image leads nowhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rootfs.h"
#include "oci/oci-priv.h"

/* ---- root ---- */

static int clone_bind(struct plan_mount *m, struct err *err)
{
    if (m->kind == MOUNT_BIND && m->fd < 0) {
        m->fd = clone_source(m, err);
        if (m->fd < 0)
            return err_wrap(err, m->fd, "mount %s", m->m->destination);
    }
    return 0;
}

/*
 * Nothing that happens here may reach the host: the whole tree becomes a slave (or private). When
 * the container's binds shall share with the host, they are cloned before that, and keep their
 * peers.
 */
static int isolate(struct setup *s, int top, struct err *err)
{
    uint64_t how = s->plan->root_propagation;

    for (size_t i = 0; how == MS_SHARED && i < s->plan->mounts.n; i++) {
        int r = clone_bind(&s->plan->mounts.v[i], err);
        if (r < 0)
            return r;
    }
    return mount_attrs(top, 0, 0, how == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE, true, err);
}

int setup_root(struct setup *s, struct err *err)
{
    auto_close int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (top < 0)
        return err_sys(err, "open /");
    int r = isolate(s, top, err);
    s->root_fd = s->plan->root_fd;
    if (r == 0 && s->c->open_rootfs) {
        size_t n = 1;
        r = msg_expect_fds(s->sync, MSG_ROOT, &s->root_fd, &n, err);
    }
    return r < 0 ? r : mount_attach(s->root_fd, top, err);
}

int setup_root_ro(struct setup *s, struct err *err)
{
    if (!s->spec->root->readonly)
        return 0;
    return mount_attrs(s->root_fd, MOUNT_ATTR_RDONLY, 0, 0, false, err);
}

int setup_root_propagation(struct setup *s, struct err *err)
{
    uint64_t how = s->plan->root_propagation;

    if (how != MS_SHARED && how != MS_UNBINDABLE)
        return 0;
    return mount_attrs(s->root_fd, 0, 0, how, false, err);
}

/*
 * pivot_root(".", ".") puts the old root on top of the new one, where umount2(".") finds it; no
 * directory inside the image is needed.
 */
int setup_pivot(struct setup *s, struct err *err)
{
    if (fchdir(s->root_fd) < 0)
        return err_sys(err, "enter the new root");
    if (s->c->flags & OCI_NO_PIVOT)
        return chroot(".") < 0 ? err_sys(err, "chroot to the new root") : 0;
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return err_sys(err, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0)
        return err_sys(err, "unmount the old root");
    return chdir("/") < 0 ? err_sys(err, "chdir /") : 0;
}

/* ---- mounts ---- */

int mount_at(struct setup *s, int mnt_fd, const char *path, bool dir, struct err *err)
{
    auto_close int target = rootfs_mountpoint(s->root_fd, path, dir, err);

    return target < 0 ? target : mount_attach(mnt_fd, target, err);
}

static int do_bind(struct setup *s, struct plan_mount *m, struct err *err)
{
    struct stat st;
    int r = clone_bind(m, err);

    if (r < 0)
        return r;
    if (fstat(m->fd, &st) < 0)
        return err_sys(err, "look at %s", m->source);
    r = mount_at(s, m->fd, m->m->destination, S_ISDIR(st.st_mode), err);
    close_fd(&m->fd);
    return r;
}

/* A symlink at /proc or /sys could put them where nobody masks them (CVE-2019-19921). */
static int want_real_dir(struct setup *s, const char *path, struct err *err)
{
    struct stat st;
    auto_close int fd = rootfs_open(s->root_fd, path, O_PATH | O_NOFOLLOW, err);

    if (fd == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_as(err, ERR_DENIED, ENOTDIR, "%s is not an ordinary directory", path);
    return 0;
}

static bool has_option(const struct strv *v, const char *prefix)
{
    for (size_t i = 0; i < v->n; i++)
        if (str_starts(v->v[i], prefix))
            return true;
    return false;
}

/* A tmpfs takes over the mode of the directory it hides, unless told otherwise. */
static void inherit_mode(struct setup *s, struct plan_mount *m)
{
    struct stat st;

    if (has_option(&m->o.data, "mode="))
        return;
    auto_close int fd = rootfs_open(s->root_fd, m->m->destination, O_PATH | O_DIRECTORY, NULL);
    if (fd >= 0 && fstat(fd, &st) == 0)
        strv_push(&s->plan->arena, &m->o.data,
                  arena_printf(&s->plan->arena, "mode=%o", st.st_mode & 07777));
}

/*
 * A part of a tree that is mounted nowhere yet: only what is attached can be cloned in part, so the
 * tree lies on top of the root for a moment. Lookups from root_fd do not see it there.
 */
static int take_part(struct setup *s, const struct plan_mount *m, struct stat *ret, struct err *err)
{
    auto_close int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = cwd < 0 ? err_sys(err, "open .") : mount_attach(m->fd, s->root_fd, err);

    if (r < 0)
        return r;
    auto_close int sub = rootfs_open(m->fd, m->m->subpath, O_PATH, err);
    auto_close int part = sub < 0 ? sub : mount_bind(sub, "", &m->o, err);
    r = part < 0 ? part : fstat(part, ret) < 0 ? err_sys(err, "stat %s", m->m->subpath) : 0;
    if (fchdir(m->fd) < 0 || umount2(".", MNT_DETACH) < 0 || fchdir(cwd) < 0)
        return r < 0 ? r : err_sys(err, "take a tree off the root");
    return r < 0 ? r : take_fd(&part);
}

/* A new file system, or the tree of several layers. */
static int do_tree(struct setup *s, struct plan_mount *m, struct err *err)
{
    const char *dest = m->m->destination;
    struct stat st;

    if (str_empty(m->m->subpath) || strcmp(m->m->subpath, "/") == 0)
        return mount_at(s, m->fd, dest, true, err);
    auto_close int fd = take_part(s, m, &st, err);
    return fd < 0 ? fd : mount_at(s, fd, dest, S_ISDIR(st.st_mode), err);
}

/* Every mount of proc has names of its own in the kernel's cache. One with subset=pid has no sys.
 */
static void keep_sysctls(struct setup *s, const struct plan_mount *m)
{
    if (s->sysctl_fd < 0)
        s->sysctl_fd = openat(m->fd, "sys", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int do_fs(struct setup *s, struct plan_mount *m, struct err *err)
{
    const char *type = str_or(m->m->type, ""), *dest = m->m->destination;
    int r = 0;

    if (!*type)
        return err_invalid(err, "a mount needs a type");
    if (str_eq(type, "proc") || str_eq(type, "sysfs"))
        r = want_real_dir(s, dest, err);
    if (str_eq(type, "tmpfs"))
        inherit_mode(s, m);
    if (r < 0)
        return r;
    if (m->fd < 0)
        m->fd = mount_new(type, m->m->source, &m->o, err);
    if (m->fd < 0)
        return m->fd;
    if (str_eq(type, "proc"))
        keep_sysctls(s, m);
    if (m->o.ext & MOUNT_TMPCOPYUP)
        r = tmpcopyup(s, dest, m->fd, err);
    if (r == 0 && m->o.propagation)
        r = mount_attrs(m->fd, 0, 0, m->o.propagation, false, err);
    if (r == 0)
        r = do_tree(s, m, err);
    close_fd(&m->fd);
    return r;
}

static int do_mount(struct setup *s, struct plan_mount *m, struct err *err)
{
    switch (m->kind) {
    case MOUNT_BIND:
        return do_bind(s, m, err);
    case MOUNT_LAYERS:
        return do_tree(s, m, err);
    case MOUNT_CGROUP1:
        return mount_cgroup1(s, m, err);
    case MOUNT_CGROUP2:
        return mount_cgroup2(s, m, err);
    case MOUNT_FS:
        break;
    }
    return do_fs(s, m, err);
}

int setup_mounts(struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->plan->mounts.n; i++) {
        int r = do_mount(s, &s->plan->mounts.v[i], err);
        if (r < 0)
            return err_wrap(err, r, "mount %s", s->plan->mounts.v[i].m->destination);
    }
    return 0;
}
