/*
 * Order within an entry: owner, then xattrs (chown drops security.capability), then mode (chown
 * drops set-id bits), then times.
 */
#include "archive/unpack-priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/auto.h"
#include "base/str.h"
#include "base/time.h"

/* Those of the overlay itself are not an archive's to set. */
static bool is_overlay_xattr(const char *name)
{
    return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

static int set_xattrs(int fd, const struct tar_entry *e, struct err *err)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/thread-self/fd/%d",
                   fd); /* works for O_PATH, too; a thread may have descriptors of its own */
    for (size_t i = 0; i < e->xattrs.n; i++) {
        const struct tar_xattr *x = &e->xattrs.v[i];
        if (is_overlay_xattr(x->name))
            continue;
        if (setxattr(path, x->name, x->val, x->len, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return err_sys(err, "set %s of %s", x->name, e->name);
    }
    return 0;
}

/* Before the epoch is the epoch, as Docker has it. */
static void both_times(int64_t mtime_ns, struct timespec t[2])
{
    int64_t ns = mtime_ns > 0 ? mtime_ns : 0;

    t[0] = t[1] = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

static uid_t owner(const struct unpacker *u, const struct tar_entry *e)
{
    return (uid_t)(u->opts->owner ? (uint64_t)(*u->opts->owner)[0] : e->uid);
}

static gid_t group(const struct unpacker *u, const struct tar_entry *e)
{
    return (gid_t)(u->opts->owner ? (uint64_t)(*u->opts->owner)[1] : e->gid);
}

/* Looking costs a tenth of setting, and most new files are as they should be but for their time. */
static int settle_new(struct unpacker *u, int fd, const struct tar_entry *e, struct err *err)
{
    struct stat st;
    int r = 0;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat %s", e->name);
    bool owned = !u->root || (st.st_uid == owner(u, e) && st.st_gid == group(u, e));
    if (!owned && fchown(fd, owner(u, e), group(u, e)) < 0)
        return err_sys(err, "chown %s", e->name);
    if (e->xattrs.n)
        r = set_xattrs(fd, e, err);
    if (r >= 0 && (!owned || (st.st_mode & 07777) != e->mode) && fchmod(fd, e->mode) < 0)
        return err_sys(err, "chmod %s", e->name);
    return r;
}

mode_t unpack_first_mode(const struct unpacker *u, const struct tar_entry *e)
{
    bool ours = !u->root || (owner(u, e) == 0 && group(u, e) == 0);
    mode_t others = e->mode & 7, more = (e->mode >> 3) & 7 & ~others;

    /* The directory may give it a group that is not the one it will have. */
    return ours && !more ? e->mode & 0777 : 0600;
}

int unpack_finish_file(struct unpacker *u, int fd, const struct tar_entry *e, struct err *err)
{
    struct timespec t[2];
    int r = settle_new(u, fd, e, err);

    if (r < 0)
        return r;
    both_times(e->mtime_ns, t);
    return futimens(fd, t) < 0 ? err_sys(err, "set the time of %s", e->name) : 0;
}

int unpack_set_attributes(struct unpacker *u, int fd, const struct tar_entry *e, struct err *err)
{
    struct timespec t[2];

    if (u->root && fchown(fd, owner(u, e), group(u, e)) < 0)
        return err_sys(err, "chown %s", e->name);
    int r = e->xattrs.n ? set_xattrs(fd, e, err) : 0;
    if (r < 0)
        return r;
    if (fchmod(fd, e->mode) < 0)
        return err_sys(err, "chmod %s", e->name);
    both_times(e->mtime_ns, t);
    return futimens(fd, t) < 0 ? err_sys(err, "set the time of %s", e->name) : 0;
}

int unpack_set_attributes_at(struct unpacker *u, const char *base, const struct tar_entry *e,
                             struct err *err)
{
    struct timespec t[2];
    int dir = u->parent.fd;

    if (u->root && fchownat(dir, base, owner(u, e), group(u, e), AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "chown %s", e->name);
    if (e->xattrs.n) {
        auto_close int fd = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        int r = fd < 0 ? err_sys(err, "open %s", e->name) : set_xattrs(fd, e, err);
        if (r < 0)
            return r;
    }
    if (e->type != TAR_SYMLINK && fchmodat(dir, base, e->mode, 0) < 0)
        return err_sys(err, "chmod %s", e->name);
    both_times(e->mtime_ns, t);
    if (utimensat(dir, base, t, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "set the time of %s", e->name);
    return 0;
}
