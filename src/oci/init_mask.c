/*
 * Hiding and write-protecting parts of /proc and /sys. What hides a path comes from the host: its
 * /dev/null, cloned while we still see it, and one empty read-only tmpfs. So nothing in the
 * container can exchange it (CVE-2025-31133), and targets are descriptors, not paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rootfs.h"
#include "oci/oci-priv.h"

static bool gone(int r)
{
    return r == -ENOENT || r == -ENOTDIR;
}

int setup_readonly_paths(struct setup *s, struct err *err)
{
    struct mount_opts o = {.rec = true, .attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};

    for (size_t i = 0; i < s->spec->lnx->readonly_paths.n; i++) {
        const char *path = s->spec->lnx->readonly_paths.v[i];
        auto_close int target = rootfs_open(s->root_fd, path, O_PATH, err);
        if (gone(target)) {
            err_clear(err);
            continue;
        }
        auto_close int mnt = target < 0 ? target : mount_bind(target, "", &o, err);
        int r = mnt < 0 ? mnt : mount_attach(mnt, target, err);
        if (r < 0)
            return err_wrap(err, r, "make %s read-only", path);
    }
    return 0;
}

/* The host's /dev/null, and really it. */
static int null_mount(struct err *err)
{
    struct mount_opts o = {.propagation = MS_PRIVATE};
    struct stat st;
    auto_close int fd = mount_bind(AT_FDCWD, "/dev/null", &o, err);

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        return err_no(err, ENODEV, "the host's /dev/null is no null device");
    return take_fd(&fd);
}

/* The first directory gets the tmpfs itself, the others clones: one super block for all. */
static int dir_mount(struct setup *s, struct err *err)
{
    char *data[] = {(char *)"nr_blocks=1", (char *)"nr_inodes=1", (char *)"mode=555"};
    struct mount_opts fs = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                        MOUNT_ATTR_NOEXEC,
                            .data = {data, 3}};
    struct mount_opts clone = {.propagation = MS_PRIVATE};

    if (s->mask_fd >= 0)
        return mount_bind(s->mask_fd, "", &clone, err);
    s->mask_fd = mount_new("tmpfs", "tmpfs", &fs, err);
    if (s->mask_fd < 0)
        return s->mask_fd;
    int fd = fcntl(s->mask_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? err_sys(err, "duplicate a descriptor") : fd;
}

static int mask(struct setup *s, const char *path, struct err *err)
{
    struct stat st;
    auto_close int target = rootfs_open(s->root_fd, path, O_PATH, err);

    if (gone(target)) {
        err_clear(err);
        return 0;
    }
    if (target < 0)
        return target;
    if (fstat(target, &st) < 0)
        return err_sys(err, "look at %s", path);
    auto_close int mnt = S_ISDIR(st.st_mode) ? dir_mount(s, err) : null_mount(err);
    return mnt < 0 ? mnt : mount_attach(mnt, target, err);
}

int setup_masked_paths(struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->spec->lnx->masked_paths.n; i++) {
        int r = mask(s, s->spec->lnx->masked_paths.v[i], err);
        if (r < 0)
            return err_wrap(err, r, "mask %s", s->spec->lnx->masked_paths.v[i]);
    }
    return 0;
}
