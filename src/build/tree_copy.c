/*
 * Copying between two trees of which neither is trusted: the source is read by descriptors and no
 * link in it is followed; in the destination a link may lead somewhere, but only inside its root.
 */
#include "build/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/pack.h"
#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "kern/rootfs.h"

#define XATTR_MAX 65536
#define BLOCK (256u << 10)

struct copier {
    const struct tree_copy *c;
    struct map *links; /* "dev:ino" of a file with several names -> where its copy lies, heap */
    char *names, *val; /* XATTR_MAX each */
    char *block;       /* BLOCK bytes, once they are needed */
    bool no_sharing;   /* the file system has said that it cannot share blocks */
    int depth;
};

/* ---- attributes ---- */

static int copy_xattrs(struct copier *k, int from, int to, struct err *err)
{
    ssize_t len = flistxattr(from, k->names, XATTR_MAX);

    if (len < 0)
        return errno == ENOTSUP ? 0 : err_sys(err, "list xattrs");
    for (const char *n = k->names; n < k->names + len; n += strlen(n) + 1) {
        ssize_t size = pack_wants_xattr(n) ? fgetxattr(from, n, k->val, XATTR_MAX) : -1;
        if (size >= 0 && fsetxattr(to, n, k->val, (size_t)size, 0) < 0 && errno != ENOTSUP)
            return err_sys(err, "set xattr %s", n);
    }
    return 0;
}

static mode_t mode_of(const struct copier *k, const struct stat *st)
{
    return k->c->chmod ? chmod_apply(k->c->chmod, st->st_mode, S_ISDIR(st->st_mode))
                       : st->st_mode & 07777;
}

static uid_t uid_of(const struct copier *k, const struct stat *st)
{
    return k->c->uid >= 0 ? (uid_t)k->c->uid : st->st_uid;
}

static gid_t gid_of(const struct copier *k, const struct stat *st)
{
    return k->c->gid >= 0 ? (gid_t)k->c->gid : st->st_gid;
}

/* Owner before mode, which it would reset; the time last, since all else changes it. */
static int copy_attrs(struct copier *k, int from, int to, const struct stat *st, struct err *err)
{
    const struct timespec times[2] = {st->st_mtim, st->st_mtim};

    if (fchown(to, uid_of(k, st), gid_of(k, st)) < 0 || fchmod(to, mode_of(k, st)) < 0)
        return err_sys(err, "set owner and mode");
    int r = copy_xattrs(k, from, to, err);
    if (r < 0)
        return r;
    return futimens(to, times) < 0 ? err_sys(err, "set time") : 0;
}

/* ---- files ---- */

static int copy_blocks(struct copier *k, int from, int to, struct err *err)
{
    ssize_t n;

    if (!k->block)
        k->block = xmalloc(BLOCK);
    while ((n = read(from, k->block, BLOCK)) > 0) {
        int r = write_full(to, k->block, (size_t)n);
        if (r < 0)
            return err_no(err, r, "write");
    }
    return n < 0 ? err_sys(err, "read") : 0;
}

static bool share_blocks(struct copier *k, int from, int to)
{
    if (k->no_sharing)
        return false;
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    k->no_sharing = errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV;
    return false;
}

/* Shared where the file system can, else copied by the kernel, else by us. */
static int copy_content(struct copier *k, int from, int to, off_t size, struct err *err)
{
    off_t done = 0;

    if (share_blocks(k, from, to))
        return 0;
    while (done < size) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, INT_MAX, 0);
        if (n == 0)
            return done ? 0 : copy_blocks(k, from, to, err); /* some file systems say 0 for all */
        if (n < 0 && !done && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
            return copy_blocks(k, from, to, err);
        if (n < 0)
            return err_sys(err, "copy");
        done += n;
    }
    return 0;
}

/* What lies at the destination makes room, unless it is a directory. */
static int make_room(int dir, const char *name, const char *dest, struct err *err)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR || errno == EPERM)
        return err_as(err, ERR_INVALID, EISDIR, "cannot replace to directory %s with file", dest);
    return err_sys(err, "replace %s", dest);
}

/* Return: 1 it is another name of a file that was copied already. */
static int maybe_link(struct copier *k, const struct stat *st, int dir, const char *name,
                      const char *dest, struct err *err)
{
    char key[48];

    if (st->st_nlink < 2)
        return 0;
    (void)snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
                   (unsigned long long)st->st_ino);
    const char *first = map_get(k->links, key);
    if (!first) {
        (void)map_set(k->links, key, xstrdup(dest));
        return 0;
    }
    const char *base = NULL;
    auto_close int at = rootfs_parent(k->c->to_fd, first, &base, err);
    if (at < 0)
        return at;
    return linkat(at, base, dir, name, 0) < 0 ? err_sys(err, "link %s", dest) : 1;
}

/* Would the copy be the same file? Then the file itself will do, where the file system can; but not
 * for two copies, which other threads may be making. */
static bool take(const struct copier *k, int from_dir, const char *from, const struct stat *st,
                 int dir, const char *name)
{
    struct stat now;

    if (!k->c->may_link || st->st_nlink != 1 || uid_of(k, st) != st->st_uid ||
        gid_of(k, st) != st->st_gid || mode_of(k, st) != (st->st_mode & 07777) ||
        linkat(from_dir, from, dir, name, 0) < 0)
        return false;
    if (fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_nlink == 2)
        return true;
    (void)unlinkat(dir, name, 0);
    return false;
}

static int copy_file(struct copier *k, int from_dir, const char *from, const struct stat *st,
                     int dir, const char *name, const char *dest, struct err *err)
{
    if (take(k, from_dir, from, st, dir, name))
        return 0;
    int r = maybe_link(k, st, dir, name, dest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    auto_close int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_close int out =
        in < 0 ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(err, "copy to %s", dest);
    r = st->st_size == 0 ? 0 : copy_content(k, in, out, st->st_size, err);
    return r < 0 ? r : copy_attrs(k, in, out, st, err);
}

static int copy_link(struct copier *k, int from_dir, const char *from, const struct stat *st,
                     int dir, const char *name, struct err *err)
{
    const struct timespec times[2] = {st->st_mtim, st->st_mtim};
    char target[PATH_MAX];
    ssize_t n = readlinkat(from_dir, from, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(err, "read link %s", from);
    target[n] = '\0';
    if (symlinkat(target, dir, name) < 0 ||
        fchownat(dir, name, uid_of(k, st), gid_of(k, st), AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "make link %s", name);
    return 0;
}

static int copy_node(struct copier *k, const struct stat *st, int dir, const char *name,
                     struct err *err)
{
    if (mknodat(dir, name, st->st_mode, st->st_rdev) < 0 ||
        fchownat(dir, name, uid_of(k, st), gid_of(k, st), AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(dir, name, mode_of(k, st), 0) < 0)
        return err_sys(err, "make %s", name);
    return 0;
}

/* ---- directories ---- */

static int copy_dir(struct copier *k, int from, const char *path, const char *below,
                    const char *dest, struct err *err);

static bool left_out(const struct copier *k, const char *path, const char *below, bool dir)
{
    const struct tree_filter *f = k->c->filter;
    bool out = f->ignored && *path && ignore_match(f->ignored, path) &&
               !(dir && ignore_below(f->ignored, path));

    return out || (f->exclude && *below && ignore_match(f->exclude, below) &&
                   !(dir && ignore_below(f->exclude, below)));
}

/* A directory that is there stays, also behind a link; anything else in its place is an error. */
static int open_dest_dir(struct copier *k, const char *dest, struct err *err)
{
    struct err why = {0};
    int fd = rootfs_mkdir_p(k->c->to_fd, dest, 0755, &why);

    if (fd == -ENOTDIR || fd == -EEXIST)
        return err_as(err, ERR_INVALID, ENOTDIR, "cannot copy to non-directory: %s", dest);
    if (fd < 0 && err)
        *err = why;
    return fd;
}

static int copy_subdir(struct copier *k, int from_dir, const char *from, const struct stat *st,
                       const char *path, const char *below, const char *dest, struct err *err)
{
    auto_close int in = openat(from_dir, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int at = in < 0 ? err_sys(err, "open %s", path) : open_dest_dir(k, dest, err);
    int r = at < 0 ? at : copy_dir(k, in, path, below, dest, err);

    if (r < 0)
        return r;
    auto_close int out = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return out < 0 ? err_sys(err, "open %s", dest) : copy_attrs(k, in, out, st, err);
}

/* One name of a directory to one name of another. @fresh: that has nothing of this name. */
static int copy_entry(struct copier *k, int from_dir, const char *from, const char *path,
                      const char *below, int dir, const char *name, const char *dest, bool fresh,
                      struct err *err)
{
    struct stat st;

    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "stat %s", path);
    if (left_out(k, path, below, S_ISDIR(st.st_mode)) || tree_is_nothing(&st))
        return 0;
    FAIL_POINT("build.copy.entry", err);
    if (S_ISDIR(st.st_mode))
        return copy_subdir(k, from_dir, from, &st, path, below, dest, err);
    int r = fresh ? 0 : make_room(dir, name, dest, err);
    if (r < 0)
        return r;
    if (S_ISREG(st.st_mode))
        return copy_file(k, from_dir, from, &st, dir, name, dest, err);
    return S_ISLNK(st.st_mode) ? copy_link(k, from_dir, from, &st, dir, name, err)
                               : copy_node(k, &st, dir, name, err);
}

static int copy_dir(struct copier *k, int from, const char *path, const char *below,
                    const char *dest, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    auto_close int dir = open_dest_dir(k, dest, err);
    int r = dir < 0 ? dir : dir_names(from, &a, &names, err);

    bool fresh = r >= 0 && dir_count(dir, 1, NULL) == 0;
    if (r >= 0 && ++k->depth > TREE_DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        const char *n = names.v[i];
        r = copy_entry(k, from, n, arena_printf(&a, "%s%s%s", path, *path ? "/" : "", n),
                       arena_printf(&a, "%s%s%s", below, *below ? "/" : "", n), dir, n,
                       arena_printf(&a, "%s%s%s", dest, str_ends(dest, "/") ? "" : "/", n), fresh,
                       err);
    }
    k->depth--;
    return r;
}

/* ---- the item ---- */

/* Directories that have to be made for it belong to whom it belongs. */
static int own_parents(struct copier *k, const char *dest, struct err *err)
{
    const struct tree_copy *c = k->c;
    int r = 0;

    for (const char *p = strchr(dest + 1, '/'); r >= 0 && p; p = strchr(p + 1, '/')) {
        auto_free char *part = xstrndup(dest, (size_t)(p - dest));
        auto_close int there = rootfs_open(c->to_fd, part, O_PATH, NULL);
        if (there != -ENOENT)
            continue;
        auto_close int made = rootfs_mkdir_p(c->to_fd, part, 0755, err);
        r = made;
        if (r >= 0 && fchownat(made, "", (uid_t)c->uid, (gid_t)c->gid, AT_EMPTY_PATH) < 0)
            r = err_sys(err, "set the owner of %s", part);
    }
    return r < 0 ? r : 0;
}

/* A directory that was not there becomes as the source's is. */
static int copy_whole_dir(struct copier *k, const struct tree_item *item, const char *dest,
                          struct err *err)
{
    struct stat st;
    auto_close int there = rootfs_open(k->c->to_fd, dest, O_PATH, NULL);
    auto_close int from = rootfs_open(k->c->from_fd, item->path, O_RDONLY | O_DIRECTORY, err);
    int r = from < 0 ? from : copy_dir(k, from, item->path, "", dest, err);

    if (r < 0 || there != -ENOENT)
        return r;
    auto_close int made = rootfs_open(k->c->to_fd, dest, O_RDONLY | O_DIRECTORY, err);
    if (made < 0 || fstat(from, &st) < 0)
        return made < 0 ? made : err_sys(err, "stat %s", item->path);
    return copy_attrs(k, from, made, &st, err);
}

static int copy_one(struct copier *k, const struct tree_item *item, const char *dest,
                    struct err *err)
{
    const char *slash = strrchr(item->path, '/'), *base = slash ? slash + 1 : item->path;
    auto_free char *parent = xstrndup(item->path, slash ? (size_t)(slash - item->path) : 0);
    const char *name = NULL;
    auto_close int from = rootfs_open(k->c->from_fd, parent, O_PATH | O_DIRECTORY, err);
    auto_close int dir = from < 0 ? from : rootfs_parent(k->c->to_fd, dest, &name, err);

    return dir < 0 ? dir : copy_entry(k, from, base, item->path, base, dir, name, dest, false, err);
}

static void free_links(struct map *links)
{
    size_t pos = 0;
    void *name = NULL;

    while (map_next(links, &pos, NULL, &name))
        free(name);
    map_free(links);
}

int tree_copy_item(const struct tree_copy *c, const struct tree_item *item, const char *dest,
                   struct err *err)
{
    struct copier k = {
        .c = c, .links = map_new(), .names = xmalloc(XATTR_MAX), .val = xmalloc(XATTR_MAX)};
    int r = c->uid > 0 || c->gid > 0 ? own_parents(&k, dest, err) : 0;

    if (r >= 0)
        r = item->dir ? copy_whole_dir(&k, item, dest, err) : copy_one(&k, item, dest, err);

    free_links(k.links);
    free(k.names);
    free(k.val);
    free(k.block);
    return r;
}
