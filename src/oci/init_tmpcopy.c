/*
 * tmpcopyup: a new tmpfs starts with a copy of what it is going to hide. Both trees are the
 * container's: entries are opened relative to their directory and never through a symlink.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rootfs.h"
#include "oci/oci-priv.h"

#define DEPTH_MAX 64
#define CHUNK (1 << 20)

static int copy_dir(int from, int to, int depth, struct err *err);

static int copy_meta(int to_dir, const char *name, const struct stat *st, struct err *err)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};

    if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "set owner of %s", name);
    if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
        return err_sys(err, "set mode of %s", name);
    (void)utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, struct err *err)
{
    auto_close int in = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    auto_close int out = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t n;

    if (in < 0 || out < 0)
        return err_sys(err, "copy %s", name);
    while ((n = sendfile(out, in, NULL, CHUNK)) > 0)
        ;
    return n < 0 ? err_sys(err, "copy %s", name) : 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, struct err *err)
{
    char target[4096];
    ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(err, "read link %s", name);
    target[n] = '\0';
    return symlinkat(target, to_dir, name) < 0 ? err_sys(err, "make link %s", name) : 0;
}

static int copy_subdir(int from_dir, int to_dir, const char *name, int depth, struct err *err)
{
    auto_close int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (from < 0 || mkdirat(to_dir, name, 0700) < 0)
        return err_sys(err, "copy %s", name);
    auto_close int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return to < 0 ? err_sys(err, "open %s", name) : copy_dir(from, to, depth + 1, err);
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, struct err *err)
{
    struct stat st;
    int r;

    if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "look at %s", name);
    if (S_ISDIR(st.st_mode))
        r = copy_subdir(from_dir, to_dir, name, depth, err);
    else if (S_ISREG(st.st_mode))
        r = copy_file(from_dir, to_dir, name, err);
    else if (S_ISLNK(st.st_mode))
        r = copy_link(from_dir, to_dir, name, err);
    else
        r = mknodat(to_dir, name, st.st_mode, st.st_rdev) < 0 ? err_sys(err, "make %s", name) : 0;
    return r < 0 ? r : copy_meta(to_dir, name, &st, err);
}

static int copy_dir(int from, int to, int depth, struct err *err)
{
    int copy = fcntl(from, F_DUPFD_CLOEXEC, 0);
    auto_dir DIR *d = copy < 0 ? NULL : fdopendir(copy);

    if (!d)
        return err_sys(err, "read a directory");
    if (depth > DEPTH_MAX)
        return err_no(err, ELOOP, "copy a directory");
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = copy_entry(from, to, e->d_name, depth, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int tmpcopyup(struct setup *s, const char *path, int mnt_fd, struct err *err)
{
    struct stat st;
    auto_close int from = rootfs_open(s->root_fd, path, O_RDONLY | O_DIRECTORY, err);

    if (from == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (from < 0)
        return from;
    auto_close int to = openat(mnt_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0 || fstat(from, &st) < 0)
        return err_sys(err, "open the new tmpfs");
    int r = copy_dir(from, to, 0, err);
    if (r < 0)
        return err_wrap(err, r, "tmpcopyup %s", path);
    return fchown(to, st.st_uid, st.st_gid) < 0 ? err_sys(err, "set owner of %s", path) : 0;
}
