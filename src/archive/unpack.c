/*
 * A layer's tar into a directory. Each entry's parent directory is opened below the root (links
 * inside it are followed, as if it were "/") and kept open for the next entries; everything else
 * happens by its last component in that directory, never following a link. An entry that is in the
 * way is removed first, except that directories merge.
 *
 * Order within an entry: owner, then xattrs (chown drops security.capability), then mode (chown
 * drops set-id bits), then times. Times of directories come last of all.
 */
#include "archive/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "archive/beneath.h"
#include "base/arena.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

#define WHITEOUT ".wh."
#define META ".wh..wh." /* of aufs; only the opaque mark means anything */
#define OPAQUE ".wh..wh..opq"
#define IMPLIED_MODE 0755

/* A directory that is held open: its name in the archive, and its path without links. */
struct parent {
    char *name; /* NULL: none */
    char *path;
    int fd;
};

struct dir_time {
    char *path; /* without links */
    int64_t mtime_ns;
};

struct unpacker {
    int root_fd;
    struct tar_reader *tar;
    const struct unpack_options *opts;
    bool root; /* may change owners */
    struct parent parent, link_parent;
    struct arena scratch; /* of one entry */
    struct arena a;       /* of dirs */
    struct {
        struct dir_time *v;
        size_t n;
    } dirs;
    uint64_t size;
};

static const struct unpack_watch *watch(const struct unpacker *u)
{
    return u->opts->watch;
}

/* ---- names ---- */

/*
 * Like Go's path.Clean(), in the arena: no "." and "..", no double slashes, no slash at either end;
 * the root is "". NULL when ".." leads out.
 */
static char *clean(struct arena *a, const char *name)
{
    struct strv parts = str_split(a, name, '/');
    size_t n = 0;

    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.v[i];
        if (!*p || strcmp(p, ".") == 0)
            continue;
        if (strcmp(p, "..") != 0)
            parts.v[n++] = parts.v[i];
        else if (n-- == 0)
            return NULL;
    }
    parts.n = n;
    return n ? strv_join(a, &parts, "/") : arena_strdup(a, "");
}

/* The first component replaced, if that was asked for. */
static char *renamed(struct unpacker *u, char *name)
{
    if (!u->opts->top || !name || !*name)
        return name;
    return arena_printf(&u->scratch, "%s%s", u->opts->top, strchrnul(name, '/'));
}

static char *join(struct arena *a, const char *dir, const char *name)
{
    return arena_printf(a, "%s%s%s", dir, *dir ? "/" : "", name);
}

/* ---- parents ---- */

static void forget_parent(struct parent *p)
{
    close_fd(&p->fd);
    free(p->name);
    free(p->path);
    p->name = p->path = NULL;
}

/* Makes what is missing of @name, component by component; existing links are followed. */
static int make_dirs(struct unpacker *u, const char *name, struct err *err)
{
    auto_free char *part = xstrdup(name);
    auto_close int up = open_in_root(u->root_fd, "", O_PATH | O_DIRECTORY);
    char *start = part;

    for (bool last = false; !last;) {
        char *end = strchrnul(start, '/');
        last = *end == '\0';
        *end = '\0';
        int fd = open_in_root(u->root_fd, part, O_PATH | O_DIRECTORY);
        if (fd < 0 && errno == ENOENT) {
            if (mkdirat(up, start, IMPLIED_MODE) < 0 || fchmodat(up, start, IMPLIED_MODE, 0) < 0)
                return err_sys(err, "mkdir %s", part);
            fd = open_in_root(u->root_fd, part, O_PATH | O_DIRECTORY);
        }
        if (fd < 0)
            return err_sys(err, "open %s", part);
        close_fd(&up);
        up = fd;
        start = end + 1;
        if (!last)
            *end = '/';
    }
    return 0;
}

/* Where a directory really is, when links led to it: what the kernel calls it, less the root. */
static char *real_path(int root_fd, int fd)
{
    char link[64], root[PATH_MAX], path[PATH_MAX];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", root_fd);
    ssize_t n = readlink(link, root, sizeof(root) - 1);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t m = readlink(link, path, sizeof(path) - 1);
    if (n < 0 || m < n)
        return NULL;
    root[n] = path[m] = '\0';
    if (memcmp(root, path, (size_t)n) != 0)
        return NULL;
    return xstrdup(path[n] == '/' ? path + n + 1 : path + n);
}

static int open_parent(struct unpacker *u, struct parent *p, const char *name, bool make,
                       struct err *err)
{
    if (p->name && strcmp(p->name, name) == 0)
        return 0;
    forget_parent(p);
    bool linked = false;
    int fd = open_beneath(u->root_fd, name, O_PATH | O_DIRECTORY);
    if (fd < 0 && errno == ELOOP) {
        linked = true;
        fd = open_in_root(u->root_fd, name, O_PATH | O_DIRECTORY);
    }
    if (fd < 0 && errno == ENOENT && make) {
        int r = make_dirs(u, name, err);
        if (r < 0)
            return r;
        linked = true; /* maybe */
        fd = open_in_root(u->root_fd, name, O_PATH | O_DIRECTORY);
    }
    if (fd < 0)
        return err_sys(err, "open %s", *name ? name : "/");
    p->fd = fd;
    p->path = linked ? real_path(u->root_fd, fd) : xstrdup(name);
    if (!p->path)
        return err_as(err, ERR_SYSTEM, EIO, "find the place of %s", name);
    p->name = xstrdup(name);
    return 0;
}

/* ---- removing what is in the way ---- */

static int remove_at(struct unpacker *u, int dir_fd, const char *name, struct err *err);

static int remove_below(struct unpacker *u, int dir_fd, const char *name, struct err *err)
{
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", name);
    auto_dir DIR *d = fdopendir(fd);
    if (!d)
        return err_sys(err, "read %s", name);
    (void)take_fd(&fd);
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = remove_at(u, dirfd(d), e->d_name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A file whose content the recipe needs is moved away instead. */
static int remove_at(struct unpacker *u, int dir_fd, const char *name, struct err *err)
{
    struct stat st;
    int r = 0;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "remove %s", name);
    if (S_ISDIR(st.st_mode))
        r = remove_below(u, dir_fd, name, err);
    else if (S_ISREG(st.st_mode) && watch(u))
        r = watch(u)->keep(u->opts->watcher, dir_fd, name, st.st_ino, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (unlinkat(dir_fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
        return err_sys(err, "remove %s", name);
    return 0;
}

static int clear_way(struct unpacker *u, const char *base, struct err *err)
{
    forget_parent(&u->link_parent); /* what goes may be it, or a link that led to it */
    return remove_at(u, u->parent.fd, base, err);
}

/* ---- attributes ---- */

/* Those of the overlay itself are not an archive's to set. */
static bool is_overlay_xattr(const char *name)
{
    return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

static int set_xattrs(int fd, const struct tar_entry *e, struct err *err)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* works for O_PATH, too */
    for (size_t i = 0; i < e->xattrs.n; i++) {
        const struct tar_xattr *x = &e->xattrs.v[i];
        if (is_overlay_xattr(x->name))
            continue;
        if (setxattr(path, x->name, x->val, x->len, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return err_sys(err, "set %s of %s", x->name, e->name);
    }
    return 0;
}

static void both_times(int64_t mtime_ns, struct timespec t[2])
{
    int64_t ns = mtime_ns % NS_PER_S;

    t[0].tv_sec = mtime_ns / NS_PER_S - (ns < 0);
    t[0].tv_nsec = ns < 0 ? ns + NS_PER_S : ns;
    t[1] = t[0];
}

static uid_t owner(const struct unpacker *u, const struct tar_entry *e)
{
    return (uid_t)(u->opts->owner ? (uint64_t)(*u->opts->owner)[0] : e->uid);
}

static gid_t group(const struct unpacker *u, const struct tar_entry *e)
{
    return (gid_t)(u->opts->owner ? (uint64_t)(*u->opts->owner)[1] : e->gid);
}

/* Of a descriptor that was opened for reading or writing. */
static int set_attributes(struct unpacker *u, int fd, const struct tar_entry *e, struct err *err)
{
    if (u->root && fchown(fd, owner(u, e), group(u, e)) < 0)
        return err_sys(err, "chown %s", e->name);
    int r = e->xattrs.n ? set_xattrs(fd, e, err) : 0;
    if (r < 0)
        return r;
    return fchmod(fd, e->mode) < 0 ? err_sys(err, "chmod %s", e->name) : 0;
}

/* Of what cannot be opened: links, devices, pipes. */
static int set_attributes_at(struct unpacker *u, const char *base, const struct tar_entry *e,
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

/* ---- whiteouts ---- */

static int set_opaque(int fd, struct err *err)
{
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0)
        return 0;
    if (errno == EPERM && fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) == 0)
        return 0; /* in a user namespace, where overlay is mounted with userxattr */
    return err_sys(err, "mark a directory as opaque");
}

static int set_opaque_at(int dir_fd, const char *name, struct err *err)
{
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_sys(err, "open %s", name) : set_opaque(fd, err);
}

/* What the same layer brings itself is not whited out: a file hides the lower one anyway. */
static int make_whiteout(struct unpacker *u, const char *base, struct err *err)
{
    struct stat st;
    int dir = u->parent.fd;

    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid whiteout name: %s%s", WHITEOUT, base);
    if (mknodat(dir, base, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "white out %s", base);
    return S_ISDIR(st.st_mode) ? set_opaque_at(dir, base, err) : 0;
}

/* Return: 1 it was one; 0 it is an ordinary name; -errno. */
static int whiteout(struct unpacker *u, const char *base, struct err *err)
{
    const char *hidden = str_starts(base, WHITEOUT);
    int r = 0;

    if (!(u->opts->flags & UNPACK_OVERLAY) || !hidden)
        return 0;
    if (strcmp(base, OPAQUE) == 0)
        r = set_opaque_at(u->parent.fd, ".", err);
    else if (!str_starts(base, META))
        r = make_whiteout(u, hidden, err);
    return r < 0 ? r : 1;
}

/* ---- the kinds of entries ---- */

static int write_at(int fd, const uint8_t *p, size_t n, uint64_t offset, struct err *err)
{
    while (n > 0) {
        ssize_t r = pwrite(fd, p, n, (off_t)offset);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, "write");
        p += r;
        n -= (size_t)r;
        offset += (uint64_t)r;
    }
    return 0;
}

static int tell_extent(struct unpacker *u, uint64_t start, uint64_t end, struct err *err)
{
    return watch(u) ? watch(u)->extent(u->opts->watcher, start, end - start, err) : 0;
}

/* Runs of content that belong together become one extent of the recipe. */
static int copy_content(struct unpacker *u, int fd, struct err *err)
{
    const uint8_t *p = NULL;
    uint64_t offset = 0, start = 0, end = 0;
    ssize_t n = 0;
    int r = 0;

    while (r >= 0 && (n = tar_data(u->tar, &p, &offset, err)) > 0) {
        if (offset != end && end > start)
            r = tell_extent(u, start, end, err);
        if (offset != end)
            start = offset;
        end = offset + (uint64_t)n;
        if (r >= 0)
            r = write_at(fd, p, (size_t)n, offset, err);
    }
    if (r < 0 || n < 0)
        return r < 0 ? r : (int)n;
    return end > start ? tell_extent(u, start, end, err) : 0;
}

static int fill_file(struct unpacker *u, int fd, const char *base, const struct tar_entry *e,
                     struct err *err)
{
    struct timespec t[2];
    struct stat st;
    int r = 0;

    if (e->stored && watch(u)) {
        if (fstat(fd, &st) < 0)
            return err_sys(err, "stat %s", e->name);
        r = watch(u)->file(u->opts->watcher, join(&u->scratch, u->parent.path, base), st.st_ino,
                           err);
    }
    if (r >= 0)
        r = copy_content(u, fd, err);
    if (r < 0)
        return err_wrap(err, r, "unpack %s", e->name);
    if (e->sparse.n || e->stored != e->size)
        if (ftruncate(fd, (off_t)e->size) < 0)
            return err_sys(err, "unpack %s", e->name);
    r = set_attributes(u, fd, e, err);
    if (r < 0)
        return r;
    both_times(e->mtime_ns, t);
    return futimens(fd, t) < 0 ? err_sys(err, "set the time of %s", e->name) : 0;
}

static int put_file(struct unpacker *u, const char *base, const struct tar_entry *e,
                    struct err *err)
{
    auto_close int fd =
        openat(u->parent.fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? err_sys(err, "create %s", e->name) : fill_file(u, fd, base, e, err);
}

static int is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int put_dir(struct unpacker *u, const char *base, const struct tar_entry *e, struct err *err)
{
    struct stat st;
    int dir = u->parent.fd, r = 0;
    bool hidden = false;

    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        hidden = is_whiteout(&st); /* whited out and made anew: nothing of the lower one shows */
        if (!S_ISDIR(st.st_mode) && (u->opts->flags & UNPACK_KEEP_DIRS))
            return err_invalid(err, "cannot overwrite non-directory \"%s\" with directory \"%s\"",
                               base, e->name);
        if (!S_ISDIR(st.st_mode))
            r = clear_way(u, base, err);
    }
    if (r < 0)
        return r;
    if (mkdirat(dir, base, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "mkdir %s", e->name);
    auto_close int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", e->name);
    r = hidden ? set_opaque(fd, err) : 0;
    if (r >= 0)
        r = set_attributes(u, fd, e, err);
    arena_push(&u->a, u->dirs) = (struct dir_time){join(&u->a, u->parent.path, base), e->mtime_ns};
    return r;
}

static int put_symlink(struct unpacker *u, const char *base, const struct tar_entry *e,
                       struct err *err)
{
    if (symlinkat(e->link, u->parent.fd, base) < 0)
        return err_sys(err, "symlink %s -> %s", e->name, e->link);
    return set_attributes_at(u, base, e, err);
}

static int put_hardlink(struct unpacker *u, const char *base, const struct tar_entry *e,
                        struct err *err)
{
    char *target = renamed(u, clean(&u->scratch, e->link));

    if (!target || !*target)
        return err_as(err, ERR_INVALID, EXDEV, "invalid hardlink \"%s\" -> \"%s\"", e->name,
                      e->link);
    char *slash = strrchr(target, '/');
    if (slash)
        *slash = '\0';
    int r = open_parent(u, &u->link_parent, slash ? target : "", false, err);
    if (r < 0)
        return err_wrap(err, r, "link %s", e->name);
    if (linkat(u->link_parent.fd, slash ? slash + 1 : target, u->parent.fd, base, 0) < 0)
        return err_sys(err, "link %s -> %s", e->name, e->link);
    return 0;
}

static int put_node(struct unpacker *u, const char *base, const struct tar_entry *e,
                    struct err *err)
{
    mode_t kind = e->type == TAR_CHAR ? S_IFCHR : e->type == TAR_BLOCKDEV ? S_IFBLK : S_IFIFO;

    if (mknodat(u->parent.fd, base, kind | 0600, makedev(e->dev_major, e->dev_minor)) < 0)
        return err_sys(err, "mknod %s", e->name);
    return set_attributes_at(u, base, e, err);
}

static int (*const put_functions[])(struct unpacker *, const char *, const struct tar_entry *,
                                    struct err *) = {
    [TAR_FILE] = put_file, [TAR_HARDLINK] = put_hardlink, [TAR_SYMLINK] = put_symlink,
    [TAR_CHAR] = put_node, [TAR_BLOCKDEV] = put_node,     [TAR_DIR] = put_dir,
    [TAR_FIFO] = put_node,
};

/* ---- one entry ---- */

/* Something may be in the way; that is rare, so it is tried first. */
static int put_by_type(struct unpacker *u, const char *base, const struct tar_entry *e,
                       struct err *err)
{
    int r = put_functions[e->type](u, base, e, err);

    if (r != -EEXIST)
        return r;
    struct stat st;
    if ((u->opts->flags & UNPACK_KEEP_DIRS) &&
        fstatat(u->parent.fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return err_invalid(err, "cannot overwrite directory \"%s\" with non-directory \"%s\"", base,
                           e->name);
    r = clear_way(u, base, err);
    return r < 0 ? r : put_functions[e->type](u, base, e, err);
}

static int put_entry(struct unpacker *u, char *name, const struct tar_entry *e, struct err *err)
{
    char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;

    if (slash)
        *slash = '\0';
    int r = open_parent(u, &u->parent, slash ? name : "", true, err);
    if (r < 0)
        return r;
    r = whiteout(u, base, err);
    return r != 0 ? r : put_by_type(u, base, e, err);
}

static int unpack_entry(struct unpacker *u, const struct tar_entry *e, struct err *err)
{
    arena_done(&u->scratch);
    char *name = renamed(u, clean(&u->scratch, e->name));

    if (!name)
        return err_as(err, ERR_INVALID, EXDEV, "\"%s\" is outside of \"/\"", e->name);
    if (e->type < TAR_FILE || e->type > TAR_FIFO)
        return err_as(err, ERR_INVALID, EBADMSG, "unhandled tar header type %d", e->type);
    if (!*name && e->type != TAR_DIR)
        return err_as(err, ERR_INVALID, EXDEV, "\"%s\" is no name of a file", e->name);
    if (!*name ||
        ((u->opts->flags & UNPACK_OVERLAY) && str_starts(name, META) && strcmp(name, OPAQUE) != 0))
        return 0; /* the root itself, which Docker leaves as it is; metadata of aufs */
    u->size += e->size;
    return put_entry(u, name, e, err);
}

/* A directory may have been replaced since; its time is then somebody else's business. */
static int set_dir_times(struct unpacker *u, struct err *err)
{
    struct timespec t[2];

    for (size_t i = u->dirs.n; i-- > 0;) {
        auto_close int fd = open_beneath(u->root_fd, u->dirs.v[i].path, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            continue;
        both_times(u->dirs.v[i].mtime_ns, t);
        if (fd < 0 || futimens(fd, t) < 0)
            return err_sys(err, "set the time of %s", u->dirs.v[i].path);
    }
    return 0;
}

int unpack_tar(struct source *s, int root_fd, const struct unpack_options *opts, uint64_t *ret_size,
               struct err *err)
{
    static const struct unpack_options none = {0};
    const struct unpack_options *o = opts ? opts : &none;
    auto_tar_reader struct tar_reader *tar =
        tar_reader_new(s, o->watch ? o->watch->raw : NULL, o->watcher);
    struct unpacker u = {.root_fd = root_fd,
                         .tar = tar,
                         .opts = o,
                         .root = geteuid() == 0 && !(o->flags & UNPACK_NO_OWNER),
                         .parent = {.fd = -1},
                         .link_parent = {.fd = -1}};
    const struct tar_entry *e = NULL;
    int r = 0;

    while ((r = tar_next(tar, &e, err)) > 0) {
        r = unpack_entry(&u, e, err);
        if (r < 0)
            break;
    }
    if (r >= 0)
        r = set_dir_times(&u, err);
    forget_parent(&u.parent);
    forget_parent(&u.link_parent);
    arena_done(&u.scratch);
    arena_done(&u.a);
    if (r >= 0 && ret_size)
        *ret_size = u.size;
    return r;
}
