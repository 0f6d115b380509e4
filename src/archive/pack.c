#include "archive/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/tar.h"
#include "base/arena.h"
#include "base/dir.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

#define DEPTH_MAX 256 /* each level takes stack and descriptors */
#define BLOCK (256 * 1024)
#define XATTR_MAX 65536 /* XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel */
#define OPAQUE ".wh..wh..opq"

struct packer {
    struct tar_writer *tar;
    const struct pack_options *opts;
    struct map *links; /* "dev:ino" of a file with several names -> the first of them, heap */
    int64_t entries;
    int depth;
    char *block;
};

static int pack_dir(struct packer *p, int fd, const char *path, struct err *err);

static bool has(const struct packer *p, enum pack_flags flag)
{
    return (p->opts->flags & flag) != 0;
}

/* ---- attributes ---- */

bool pack_wants_xattr(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (str_starts(name, "user.") && !str_starts(name, "user.overlay."));
}

static int put_xattrs(int fd, struct tar_entry *e, struct arena *a, struct err *err)
{
    auto_free char *names = xmalloc(XATTR_MAX);
    auto_free char *val = xmalloc(XATTR_MAX);
    ssize_t len = flistxattr(fd, names, XATTR_MAX);

    if (len < 0)
        return errno == ENOTSUP || errno == EBADF ? 0 : err_sys(err, "list xattrs of %s", e->name);
    for (const char *n = names; n < names + len; n += strlen(n) + 1) {
        if (!pack_wants_xattr(n))
            continue;
        ssize_t size = fgetxattr(fd, n, val, XATTR_MAX);
        if (size < 0)
            continue; /* gone meanwhile */
        arena_push(a, e->xattrs) = (struct tar_xattr){
            arena_strdup(a, n), arena_memdup(a, val, (size_t)size), (size_t)size};
    }
    return 0;
}

static struct tar_entry entry_of(const struct stat *st, const char *name, struct arena *a)
{
    return (struct tar_entry){.name = arena_strdup(a, name),
                              .link = arena_strdup(a, ""),
                              .mode = st->st_mode & 07777,
                              .uid = st->st_uid,
                              .gid = st->st_gid,
                              .mtime_ns = st->st_mtim.tv_sec * NS_PER_S};
}

static int write_entry(struct packer *p, const struct tar_entry *e, struct err *err)
{
    p->entries++;
    return tar_write_entry(p->tar, e, err);
}

/* ---- kinds of files ---- */

/* Exactly @size bytes, whatever becomes of the file. */
static int copy_content(struct packer *p, int fd, uint64_t size, struct err *err)
{
    while (size > 0) {
        size_t want = size < BLOCK ? (size_t)size : BLOCK;
        ssize_t n = read(fd, p->block, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "read");
        if (n == 0) {
            memset(p->block, 0, want);
            n = (ssize_t)want;
        }
        int r = tar_write_data(p->tar, p->block, (size_t)n, err);
        if (r < 0)
            return r;
        size -= (uint64_t)n;
    }
    return 0;
}

/* The second name of a file is a link to its first. Return: 1 written, 0 it is the first. */
static int maybe_hardlink(struct packer *p, const struct stat *st, struct tar_entry *e,
                          struct err *err)
{
    char key[48];

    if (st->st_nlink < 2)
        return 0;
    (void)snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
                   (unsigned long long)st->st_ino);
    const char *first = map_get(p->links, key);
    if (!first) {
        (void)map_set(p->links, key, xstrdup(e->name));
        return 0;
    }
    e->type = TAR_HARDLINK;
    e->link = (char *)first;
    int r = write_entry(p, e, err);
    return r < 0 ? r : 1;
}

/* What became something else since it was looked at is gone. A pipe does not make us wait. */
static int open_at_once(int dir, const char *name, struct stat *ret)
{
    auto_close int fd =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
    if (fstat(fd, ret) < 0)
        return -errno;
    return S_ISREG(ret->st_mode) ? take_fd(&fd) : -ENOENT;
}

static int pack_file(struct packer *p, int dir, const char *base, const struct stat *st,
                     struct tar_entry *e, struct arena *a, struct err *err)
{
    struct stat now = {0};
    int r = maybe_hardlink(p, st, e, err);

    if (r != 0)
        return r < 0 ? r : 0;
    auto_close int fd =
        has(p, PACK_NODEV) ? open_at_once(dir, base, &now) : open_regular_at(dir, base, &now);
    if (fd < 0)
        return fd == -ENOENT ? 0 : err_no(err, fd, "open %s", e->name);
    e->type = TAR_FILE;
    e->size = (uint64_t)now.st_size;
    r = put_xattrs(fd, e, a, err);
    if (r >= 0)
        r = write_entry(p, e, err);
    if (r >= 0)
        r = copy_content(p, fd, e->size, err);
    return r < 0 ? err_wrap(err, r, "pack %s", e->name) : 0;
}

static int pack_symlink(struct packer *p, int dir, const char *base, struct tar_entry *e,
                        struct arena *a, struct err *err)
{
    char target[4097];
    ssize_t n = readlinkat(dir, base, target, sizeof(target) - 1);

    if (n < 0)
        return errno == ENOENT || errno == EINVAL ? 0 : err_sys(err, "read link %s", e->name);
    e->type = TAR_SYMLINK;
    e->link = arena_strndup(a, target, (size_t)n);
    return write_entry(p, e, err);
}

static int whiteout(struct packer *p, const struct tar_entry *e, const char *base, struct arena *a,
                    struct err *err)
{
    size_t dir = strlen(e->name) - strlen(base);
    struct tar_entry w = *e;

    w.name = arena_printf(a, "%.*s.wh.%s", (int)dir, e->name, base);
    w.type = TAR_FILE;
    w.mode = 0;
    return write_entry(p, &w, err);
}

static int pack_node(struct packer *p, const char *base, const struct stat *st, struct tar_entry *e,
                     struct arena *a, struct err *err)
{
    if (has(p, PACK_OVERLAY) && S_ISCHR(st->st_mode) && st->st_rdev == 0)
        return whiteout(p, e, base, a, err);
    e->type = S_ISCHR(st->st_mode) ? TAR_CHAR : S_ISBLK(st->st_mode) ? TAR_BLOCKDEV : TAR_FIFO;
    e->dev_major = major(st->st_rdev);
    e->dev_minor = minor(st->st_rdev);
    return write_entry(p, e, err);
}

bool pack_is_opaque(int fd)
{
    char val[2];

    return (fgetxattr(fd, "trusted.overlay.opaque", val, 2) == 1 ||
            fgetxattr(fd, "user.overlay.opaque", val, 2) == 1) &&
           val[0] == 'y';
}

static int mark_opaque(struct packer *p, int fd, const struct tar_entry *e, struct arena *a,
                       struct err *err)
{
    struct tar_entry w = *e;

    if (!has(p, PACK_OVERLAY) || !pack_is_opaque(fd))
        return 0;
    w.name = arena_printf(a, "%s" OPAQUE, e->name);
    w.type = TAR_FILE;
    w.mode = 0;
    w.xattrs.n = 0;
    return write_entry(p, &w, err);
}

static int pack_subdir(struct packer *p, int dir, const char *base, const char *path,
                       struct tar_entry *e, struct arena *a, struct err *err)
{
    auto_close int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "open %s", e->name);
    e->type = TAR_DIR;
    e->name = arena_printf(a, "%s/", e->name);
    int r = put_xattrs(fd, e, a, err);
    if (r >= 0)
        r = write_entry(p, e, err);
    if (r >= 0)
        r = mark_opaque(p, fd, e, a, err);
    return r < 0 ? r : pack_dir(p, fd, path, err);
}

/* ---- the walk ---- */

/* @path: from the root, also the name in the archive. */
static int pack_entry(struct packer *p, int dir, const char *base, const char *path,
                      struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct stat st;

    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "stat %s", path);
    if (p->opts->skip && p->opts->skip(p->opts->ctx, path, &st))
        return 0;
    struct tar_entry e = entry_of(&st, path, &a);
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        return pack_subdir(p, dir, base, path, &e, &a, err);
    case S_IFREG:
        return pack_file(p, dir, base, &st, &e, &a, err);
    case S_IFLNK:
        return pack_symlink(p, dir, base, &e, &a, err);
    case S_IFSOCK: /* means nothing without its process */
        return 0;
    default:
        return pack_node(p, base, &st, &e, &a, err);
    }
}

static int pack_dir(struct packer *p, int fd, const char *path, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int r = dir_names(fd, &a, &names, err);

    if (r >= 0 && ++p->depth > DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        auto_free char *sub = xasprintf("%s%s%s", path, *path ? "/" : "", names.v[i]);
        r = pack_entry(p, fd, names.v[i], sub, err);
    }
    p->depth--;
    return r;
}

static void free_links(struct map *links)
{
    size_t pos = 0;
    void *name = NULL;

    while (map_next(links, &pos, NULL, &name))
        free(name);
    map_free(links);
}

/* @name NULL: what lies in @dir_fd. */
static int64_t run(int dir_fd, const char *name, const char *as, struct sink *out,
                   const struct pack_options *opts, struct err *err)
{
    static const struct pack_options none = {0};
    auto_tar_writer struct tar_writer *tar = tar_writer_new(out);
    auto_free char *block = xmalloc(BLOCK);
    struct packer p = {.tar = tar, .opts = opts ? opts : &none, .links = map_new(), .block = block};

    int r = name ? pack_entry(&p, dir_fd, name, as, err) : pack_dir(&p, dir_fd, "", err);
    if (r >= 0)
        r = tar_write_end(tar, err);
    free_links(p.links);
    return r < 0 ? r : p.entries;
}

int64_t pack_tree(int dir_fd, struct sink *out, const struct pack_options *opts, struct err *err)
{
    return run(dir_fd, NULL, "", out, opts, err);
}

int64_t pack_one(int dir_fd, const char *name, const char *as, struct sink *out,
                 const struct pack_options *opts, struct err *err)
{
    return run(dir_fd, name, as, out, opts, err);
}
