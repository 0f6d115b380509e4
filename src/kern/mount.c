#include "kern/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

#define FS_LOG_MAX 512
#define KEY_MAX 256 /* the kernel takes no longer one */

/* The file system says in words what it did not like; without them a bare EINVAL remains. */
static int fs_err(int fs, struct err *err, const char *what, const char *arg)
{
    char text[FS_LOG_MAX];
    int no = errno;
    ssize_t n = read(fs, text, sizeof(text) - 1);

    if (n <= 0)
        return err_no(err, no, "%s%s", what, arg);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    const char *said = n > 2 && text[1] == ' ' ? text + 2 : text; /* "e overlay: ..." */
    return err_no(err, no, "%s%s: %s", what, arg, said);
}

static int set_flag(int fs, const char *name, bool on, struct err *err)
{
    if (on && fsconfig(fs, FSCONFIG_SET_FLAG, name, NULL, 0) < 0)
        return fs_err(fs, err, "mount option ", name);
    return 0;
}

static int set_option(int fs, const char *opt, struct err *err)
{
    const char *eq = strchr(opt, '=');
    char key[KEY_MAX];

    if (!eq)
        return set_flag(fs, opt, true, err);
    if ((size_t)(eq - opt) >= sizeof(key))
        return err_invalid(err, "mount option %s is too long", opt);
    memcpy(key, opt, (size_t)(eq - opt));
    key[eq - opt] = '\0';
    if (fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1, 0) < 0)
        return fs_err(fs, err, "mount option ", opt);
    return 0;
}

static int configure(int fs, const char *source, const struct mount_opts *o, struct err *err)
{
    int r = 0;

    if (source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return fs_err(fs, err, "mount source ", source);
    for (size_t i = 0; i < o->data.n && r == 0; i++)
        r = set_option(fs, o->data.v[i], err);
    if (r == 0)
        r = set_flag(fs, "sync", o->sb_sync, err);
    if (r == 0)
        r = set_flag(fs, "dirsync", o->sb_dirsync, err);
    if (r == 0)
        r = set_flag(fs, "lazytime", o->sb_lazytime, err);
    if (r == 0)
        r = set_flag(fs, "mand", o->sb_mand, err);
    return r;
}

int mount_new(const char *type, const char *source, const struct mount_opts *o, struct err *err)
{
    auto_close int fs = fsopen(type, FSOPEN_CLOEXEC);

    if (fs < 0)
        return err_sys(err, "mount a file system of type %s", type);
    int r = configure(fs, source, o, err);
    if (r < 0)
        return r;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fs_err(fs, err, "mount a file system of type ", type);
    int mnt = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)(o->attr_set | o->rec_set));
    return mnt < 0 ? fs_err(fs, err, "mount a file system of type ", type) : mnt;
}

int mount_attrs(int fd, uint64_t set, uint64_t clr, uint64_t propagation, bool rec, struct err *err)
{
    struct mount_attr a = {.attr_set = set, .attr_clr = clr, .propagation = propagation};
    unsigned flags = AT_EMPTY_PATH | (rec ? AT_RECURSIVE : 0U);

    if (!set && !clr && !propagation)
        return 0;
    return mount_setattr(fd, "", flags, &a, sizeof(a)) < 0 ? err_sys(err, "set mount attributes")
                                                           : 0;
}

int mount_bind(int dir_fd, const char *path, const struct mount_opts *o, struct err *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (o->rec ? AT_RECURSIVE : 0U) |
                     (*path ? 0U : AT_EMPTY_PATH);
    auto_close int mnt = open_tree(dir_fd, path, flags);

    if (mnt < 0)
        return err_sys(err, "bind %s", path);
    int r = mount_attrs(mnt, o->rec_set, o->rec_clr, o->propagation_rec ? o->propagation : 0, true,
                        err);
    if (r == 0)
        r = mount_attrs(mnt, o->attr_set, o->attr_clr, o->propagation_rec ? 0 : o->propagation,
                        false, err);
    return r < 0 ? r : take_fd(&mnt);
}

int mount_attach(int mnt_fd, int target_fd, struct err *err)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

    return move_mount(mnt_fd, "", target_fd, "", flags) < 0 ? err_sys(err, "attach mount") : 0;
}

int mount_attach_at(int mnt_fd, int dir_fd, const char *name, struct err *err)
{
    if (move_mount(mnt_fd, "", dir_fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, "attach mount to %s", name);
    return 0;
}

int mount_idmap(int mnt_fd, int userns_fd, bool rec, struct err *err)
{
    struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    unsigned flags = AT_EMPTY_PATH | (rec ? AT_RECURSIVE : 0U);

    return mount_setattr(mnt_fd, "", flags, &a, sizeof(a)) < 0 ? err_sys(err, "map owners of mount")
                                                               : 0;
}
