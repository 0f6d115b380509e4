#include "archive/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#define DEPTH_MAX 256 /* each level takes stack and descriptors */
#define BLOCK (256 * 1024)
#define XATTR_MAX 65536 /* XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel */

struct cloner {
    int root;          /* of the clone */
    struct map *links; /* "dev:ino" of a file with several names -> the first of them, heap */
    struct clone_result res;
    int depth;
    char *block;
};

static int clone_dir(struct cloner *c, int from, int to, const char *path, struct err *err);

/* ---- attributes ---- */

/* Those of an overlay belong to a layer, labels to a place. */
static bool wanted_xattr(const char *name)
{
    return !str_starts(name, "trusted.") && !str_starts(name, "user.overlay.") &&
           strcmp(name, "security.selinux") != 0;
}

static int copy_xattrs(int from, int to, const char *path, struct err *err)
{
    auto_free char *names = xmalloc(XATTR_MAX);
    auto_free char *val = xmalloc(XATTR_MAX);
    ssize_t len = flistxattr(from, names, XATTR_MAX);

    if (len < 0)
        return errno == ENOTSUP ? 0 : err_sys(err, "list xattrs of %s", path);
    for (const char *n = names; n < names + len; n += strlen(n) + 1) {
        if (!wanted_xattr(n))
            continue;
        ssize_t size = fgetxattr(from, n, val, XATTR_MAX);
        if (size >= 0 && fsetxattr(to, n, val, (size_t)size, 0) < 0 && errno != ENOTSUP)
            return err_sys(err, "set %s of %s", n, path);
    }
    return 0;
}

/* Owner, then xattrs (chown drops security.capability), then mode (chown drops set-id bits). */
static int copy_attributes(int from, int to, const struct stat *st, const char *path,
                           struct err *err)
{
    const struct timespec t[2] = {st->st_atim, st->st_mtim};

    if (fchown(to, st->st_uid, st->st_gid) < 0)
        return err_sys(err, "chown %s", path);
    int r = copy_xattrs(from, to, path, err);
    if (r < 0)
        return r;
    if (fchmod(to, st->st_mode & 07777) < 0)
        return err_sys(err, "chmod %s", path);
    return futimens(to, t) < 0 ? err_sys(err, "set the time of %s", path) : 0;
}

static int copy_attributes_at(int to, const char *name, const struct stat *st, const char *path,
                              struct err *err)
{
    const struct timespec t[2] = {st->st_atim, st->st_mtim};

    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "chown %s", path);
    if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
        return err_sys(err, "chmod %s", path);
    return utimensat(to, name, t, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(err, "set the time of %s", path)
               : 0;
}

/* ---- files ---- */

/* From @at to @end; a file that shrinks meanwhile ends where it ends. */
static int copy_range(struct cloner *c, int from, int to, off_t at, off_t end, struct err *err)
{
    if (lseek(from, at, SEEK_SET) < 0 || lseek(to, at, SEEK_SET) < 0)
        return err_sys(err, "seek");
    while (at < end) {
        size_t want = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        ssize_t n = read(from, c->block, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "read");
        if (n == 0)
            return 0;
        int r = write_full(to, c->block, (size_t)n);
        if (r < 0)
            return err_no(err, -r, "write");
        at += n;
    }
    return 0;
}

static int copy_data(struct cloner *c, int from, int to, off_t size, struct err *err)
{
    off_t at = 0;
    int r = 0;

    while (r >= 0 && at < size) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        off_t hole = data < 0 ? size : lseek(from, data, SEEK_HOLE);
        at = data < 0 ? 0 : data;
        r = copy_range(c, from, to, at, hole < 0 || hole > size ? size : hole, err);
        at = hole < 0 ? size : hole;
    }
    return r >= 0 && ftruncate(to, size) < 0 ? err_sys(err, "set the size") : r;
}

/* The second name of a file is a link to its first. Return: 1 linked, 0 it is the first. */
static int maybe_hardlink(struct cloner *c, const struct stat *st, int to, const char *name,
                          const char *path, struct err *err)
{
    char key[48];

    if (st->st_nlink < 2)
        return 0;
    (void)snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
                   (unsigned long long)st->st_ino);
    const char *first = map_get(c->links, key);
    if (!first) {
        (void)map_set(c->links, key, xstrdup(path));
        return 0;
    }
    return linkat(c->root, first, to, name, 0) < 0 ? err_sys(err, "link %s", path) : 1;
}

static int clone_file(struct cloner *c, int from, int to, const char *name, const char *path,
                      struct err *err)
{
    struct stat st;
    auto_close int in = open_regular_at(from, name, &st);

    if (in < 0)
        return in == -ENOENT ? 0 : err_no(err, -in, "open %s", path);
    int r = maybe_hardlink(c, &st, to, name, path, err);
    if (r != 0)
        return r < 0 ? r : 0;
    auto_close int out =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(err, "create %s", path);
    FAIL_POINT("clone.file", err);
    c->res.files++;
    if (ioctl(out, FICLONE, in) == 0)
        c->res.shared++;
    else if ((r = copy_data(c, in, out, st.st_size, err)) < 0)
        return err_wrap(err, r, "copy %s", path);
    return copy_attributes(in, out, &st, path, err);
}

/* ---- other kinds ---- */

static int clone_symlink(int from, int to, const char *name, const struct stat *st,
                         const char *path, struct err *err)
{
    char target[4097];
    ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

    if (n < 0)
        return errno == ENOENT || errno == EINVAL ? 0 : err_sys(err, "read link %s", path);
    target[n] = '\0';
    if (symlinkat(target, to, name) < 0)
        return err_sys(err, "make link %s", path);
    return copy_attributes_at(to, name, st, path, err);
}

static int clone_subdir(struct cloner *c, int from, int to, const char *name, const char *path,
                        struct err *err)
{
    auto_close int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (in < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "open %s", path);
    if (mkdirat(to, name, 0700) < 0)
        return err_sys(err, "make %s", path);
    auto_close int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out < 0 ? err_sys(err, "open %s", path) : clone_dir(c, in, out, path, err);
}

static int clone_entry(struct cloner *c, int from, int to, const char *name, const char *path,
                       struct err *err)
{
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "stat %s", path);
    if (S_ISREG(st.st_mode))
        return clone_file(c, from, to, name, path, err);
    if (S_ISDIR(st.st_mode))
        return clone_subdir(c, from, to, name, path, err);
    if (S_ISLNK(st.st_mode))
        return clone_symlink(from, to, name, &st, path, err);
    if (S_ISSOCK(st.st_mode))
        return 0; /* means nothing without its process */
    if (mknodat(to, name, st.st_mode & (S_IFMT | 0600), st.st_rdev) < 0)
        return err_sys(err, "make %s", path);
    return copy_attributes_at(to, name, &st, path, err);
}

static int clone_dir(struct cloner *c, int from, int to, const char *path, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    struct stat st;
    int r = dir_names(from, &a, &names, err);

    if (r >= 0 && ++c->depth > DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        auto_free char *sub = xasprintf("%s%s%s", path, *path ? "/" : "", names.v[i]);
        r = clone_entry(c, from, to, names.v[i], sub, err);
    }
    c->depth--;
    if (r >= 0 && fstat(from, &st) < 0)
        r = err_sys(err, "stat %s", path);
    return r < 0 ? r : copy_attributes(from, to, &st, path, err);
}

struct cloner *clone_begin(int to)
{
    struct cloner *c = xnew(struct cloner);

    *c = (struct cloner){.root = to, .links = map_new(), .block = xmalloc(BLOCK)};
    return c;
}

void clone_end(struct cloner *c)
{
    size_t pos = 0;
    void *name = NULL;

    if (!c)
        return;
    while (map_next(c->links, &pos, NULL, &name))
        free(name);
    map_free(c->links);
    free(c->block);
    free(c);
}

int clone_one(struct cloner *c, int from, int to, const char *name, const char *path,
              struct err *err)
{
    return clone_entry(c, from, to, name, path, err);
}

int clone_dir_attributes(int from, int to, const char *path, struct err *err)
{
    struct stat st;

    return fstat(from, &st) < 0 ? err_sys(err, "stat %s", path)
                                : copy_attributes(from, to, &st, path, err);
}

int clone_tree(int from, int to, struct clone_result *ret, struct err *err)
{
    struct cloner *c = clone_begin(to);
    int r = clone_dir(c, from, to, "", err);

    if (r >= 0 && ret)
        *ret = c->res;
    clone_end(c);
    return r < 0 ? r : 0;
}
