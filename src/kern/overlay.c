/*
 * The new mount API takes one layer per call ("lowerdir+", Linux 6.5), so there is no limit on the
 * length of an option string and no escaping of ":" and ",". Older kernels refuse it, or cut values
 * at 256 bytes; then a child that shares our memory and descriptors but has its own mount namespace
 * makes an old-style mount there, with short relative paths through descriptors, and clones it into
 * a detached one for us.
 */
#include "kern/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "kern/mount.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

#define LEGACY_OPTS 4096 /* the kernel takes one page */
#define STACK_B (128 * 1024)

static int set(int fs, const char *key, const char *val)
{
    return fsconfig(fs, FSCONFIG_SET_STRING, key, val, 0) < 0 ? -errno : 0;
}

/* "a=b,c": each to the file system, in order. */
static int set_options(int fs, const char *options)
{
    char copy[1024], *save = NULL;
    int r = 0;

    if (!options)
        return 0;
    if (strlen(options) >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, options, strlen(options) + 1);
    for (char *p = strtok_r(copy, ",", &save); p && r == 0; p = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(p, '=');
        if (eq)
            *eq++ = '\0';
        r = eq ? set(fs, p, eq) : (fsconfig(fs, FSCONFIG_SET_FLAG, p, NULL, 0) < 0 ? -errno : 0);
    }
    return r;
}

static int configure(int fs, const struct overlay *o)
{
    int r = set(fs, "source", "overlay");

    for (size_t i = 0; i < o->lowers.n && r == 0; i++)
        r = set(fs, "lowerdir+", o->lowers.v[i]);
    if (r == 0 && o->upper)
        r = set(fs, "upperdir", o->upper);
    if (r == 0 && o->upper)
        r = set(fs, "workdir", o->work);
    if (r == 0)
        r = set_options(fs, o->options);
    return r;
}

static unsigned attrs(const struct overlay *o)
{
    return o->ro || !o->upper ? MOUNT_ATTR_RDONLY : 0;
}

/* An older kernel would refuse "lowerdir+" too, but with a line in its log for every container. */
static bool kernel_appends(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;

    return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 5));
}

/* Return: mount fd; -EINVAL or the like when the kernel is too old for it. */
static int mount_modern(const struct overlay *o)
{
    if (!kernel_appends())
        return -ENOSYS;
    auto_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0)
        return -errno;
    int r = configure(fs, o);
    if (r < 0)
        return r;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int mnt = fsmount(fs, FSMOUNT_CLOEXEC, attrs(o));
    return mnt < 0 ? -errno : mnt;
}

/* ---- fallback ---- */

struct legacy {
    const struct overlay *o;
    char opts[LEGACY_OPTS];
    int *fds; /* one per lower, then upper, work; -1 where not opened */
    int fd;   /* result: the detached clone */
    int no;   /* or errno */
};

/* Opened in the child's namespace: the kernel refuses layers from mounts of another one. */
static int open_layers(struct legacy *l)
{
    const struct overlay *o = l->o;
    size_t n = o->lowers.n;

    for (size_t i = 0; i < n + (o->upper ? 2U : 0U); i++) {
        const char *path = i < n ? o->lowers.v[i] : i == n ? o->upper : o->work;
        l->fds[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l->fds[i] < 0)
            return -errno;
    }
    return 0;
}

/* Layers are named through descriptors ("/proc/self/fd/7"): short, and no escaping is needed. */
static int legacy_options(struct legacy *l)
{
    const char *sep = "lowerdir=";
    size_t at = 0, n = l->o->lowers.n;

    for (size_t i = 0; i < n; i++, sep = ":") {
        at += (size_t)snprintf(l->opts + at, sizeof(l->opts) - at, "%s/proc/self/fd/%d", sep,
                               l->fds[i]);
        if (at >= sizeof(l->opts))
            return -E2BIG;
    }
    if (l->o->upper)
        at += (size_t)snprintf(l->opts + at, sizeof(l->opts) - at,
                               ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", l->fds[n],
                               l->fds[n + 1]);
    if (at < sizeof(l->opts) && l->o->options && *l->o->options)
        at += (size_t)snprintf(l->opts + at, sizeof(l->opts) - at, ",%s", l->o->options);
    return at < sizeof(l->opts) ? 0 : -E2BIG;
}

static int legacy_mount(struct legacy *l)
{
    unsigned long flags = attrs(l->o) ? MS_RDONLY : 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    int r = open_layers(l);
    if (r == 0)
        r = legacy_options(l);
    if (r < 0)
        return r;
    if (mount("overlay", "/", "overlay", flags, l->opts) < 0)
        return -errno;
    /* It lies on top of "/", where a path walk does not see it; "/.." does. */
    int fd = open_tree(AT_FDCWD, "/..", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* In the child: memory and descriptor table are the parent's, the mount namespace is its own. */
static int legacy_child(void *arg)
{
    struct legacy *l = arg;
    int r = legacy_mount(l);

    l->fd = r < 0 ? -1 : r;
    l->no = r < 0 ? -r : 0;
    return 0;
}

static int legacy_run(struct legacy *l)
{
    auto_free char *stack = malloc(STACK_B);
    int status;

    if (!stack)
        return -ENOMEM;
    pid_t pid = clone(legacy_child, stack + STACK_B,
                      CLONE_NEWNS | CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD, l);
    if (pid < 0)
        return -errno;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return l->fd >= 0 ? l->fd : -(l->no ? l->no : EIO);
}

int overlay_mount_legacy(const struct overlay *o, int *ret_fd, struct err *err)
{
    size_t n = o->lowers.n + 2;
    auto_free int *fds = xcalloc(n, sizeof(int));
    auto_free struct legacy *l = xnew(struct legacy);

    memset(fds, 0xff, n * sizeof(int));
    *l = (struct legacy){.o = o, .fds = fds, .fd = -1};
    int r = legacy_run(l);
    for (size_t i = 0; i < n; i++)
        close_fd(&fds[i]);
    if (r < 0)
        return err_no(err, r, "mount overlay of %zu layers", o->lowers.n);
    *ret_fd = r;
    return 0;
}

static int bind_single(const struct overlay *o, int *ret_fd, struct err *err)
{
    struct mount_opts opts = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
    int fd = mount_bind(AT_FDCWD, o->lowers.v[0], &opts, err);

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int overlay_mount(const struct overlay *o, int *ret_fd, struct err *err)
{
    if (o->lowers.n == 0)
        return err_invalid(err, "mount overlay: no layer");
    if (o->upper && !o->work)
        return err_invalid(err, "mount overlay: an upper directory needs a work directory");
    if (o->lowers.n == 1 && !o->upper)
        return bind_single(o, ret_fd, err);
    int fd = mount_modern(o);
    if (fd == -EINVAL || fd == -ENOSYS || fd == -E2BIG || fd == -ENAMETOOLONG)
        return overlay_mount_legacy(o, ret_fd, err);
    if (fd < 0)
        return err_no(err, fd, "mount overlay of %zu layers on %s", o->lowers.n, o->lowers.v[0]);
    *ret_fd = fd;
    return 0;
}
