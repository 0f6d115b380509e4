/*
 * A layer's tar into a directory. Each entry's parent directory is opened below the root (links
 * inside it are followed, as if it were "/") and kept open for the next entries; everything else
 * happens by its last component in that directory, never following a link. An entry that is in the
 * way is removed first, except that directories merge.
 */
#include "archive/unpack-priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

/* The first component replaced, if that was asked for. */
static char *renamed(struct unpacker *u, char *name)
{
    if (!u->opts->top || !name || !*name)
        return name;
    return arena_printf(&u->scratch, "%s%s", u->opts->top, strchrnul(name, '/'));
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
    return unpack_watch_of(u)
               ? unpack_watch_of(u)->extent(u->opts->watcher, start, end - start, err)
               : 0;
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
    struct stat st;
    int r = 0;

    if (e->stored && unpack_watch_of(u)) {
        if (fstat(fd, &st) < 0)
            return err_sys(err, "stat %s", e->name);
        r = unpack_watch_of(u)->file(
            u->opts->watcher, unpack_join(&u->scratch, u->parent.path, base), st.st_ino, err);
    }
    if (r >= 0)
        r = copy_content(u, fd, err);
    if (r < 0)
        return err_wrap(err, r, "unpack %s", e->name);
    if (e->sparse.n || e->stored != e->size)
        if (ftruncate(fd, (off_t)e->size) < 0)
            return err_sys(err, "unpack %s", e->name);
    return unpack_finish_file(u, fd, e, err);
}

static int put_file(struct unpacker *u, const char *base, const struct tar_entry *e,
                    struct err *err)
{
    auto_close int fd =
        openat(u->parent.fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
               unpack_first_mode(u, e));

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
            r = unpack_clear_way(u, base, err);
    }
    if (r < 0)
        return r;
    if (mkdirat(dir, base, 0700) == 0)
        unpack_note_fresh(u, base);
    else if (errno != EEXIST)
        return err_sys(err, "mkdir %s", e->name);
    auto_close int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", e->name);
    r = hidden ? unpack_set_opaque(fd, err) : 0;
    return r < 0 ? r : unpack_set_attributes(u, fd, e, err);
}

static int put_symlink(struct unpacker *u, const char *base, const struct tar_entry *e,
                       struct err *err)
{
    if (symlinkat(e->link, u->parent.fd, base) < 0)
        return err_sys(err, "symlink %s -> %s", e->name, e->link);
    return unpack_set_attributes_at(u, base, e, err);
}

/* Return: 0; 1 the two are in different mounts. */
static int try_hardlink(struct unpacker *u, const char *base, const struct tar_entry *e,
                        struct err *err)
{
    char *target = renamed(u, unpack_clean(&u->scratch, e->link));

    if (!target || !*target)
        return err_as(err, ERR_INVALID, EXDEV, "invalid hardlink \"%s\" -> \"%s\"", e->name,
                      e->link);
    char *slash = strrchr(target, '/');
    if (slash)
        *slash = '\0';
    int r = unpack_open_parent(u, &u->link_parent, slash ? target : "", false, err);
    if (r < 0)
        return err_wrap(err, r, "link %s", e->name);
    if (linkat(u->link_parent.fd, slash ? slash + 1 : target, u->parent.fd, base, 0) == 0)
        return 0;
    if (errno == EXDEV && u->fresh)
        return 1;
    return err_sys(err, "link %s -> %s", e->name, e->link);
}

/* One end past the overlay and one not: from here on all goes through it. */
static int put_hardlink(struct unpacker *u, const char *base, const struct tar_entry *e,
                        struct err *err)
{
    int r = try_hardlink(u, base, e, err);

    if (r <= 0)
        return r;
    auto_free char *name = xstrdup(u->parent.name);
    r = unpack_forget_fresh(u, err);
    if (r >= 0)
        r = unpack_open_parent(u, &u->parent, name, true, err);
    return r < 0 ? r : try_hardlink(u, base, e, err);
}

static int put_node(struct unpacker *u, const char *base, const struct tar_entry *e,
                    struct err *err)
{
    /* Past the overlay it would be a whiteout, which the overlay lets nobody make. */
    if (unpack_is_past(u) && e->type == TAR_CHAR && !e->dev_major && !e->dev_minor)
        return err_no(err, EPERM, "mknod %s", e->name);
    mode_t kind = e->type == TAR_CHAR ? S_IFCHR : e->type == TAR_BLOCKDEV ? S_IFBLK : S_IFIFO;

    if (mknodat(u->parent.fd, base, kind | 0600, makedev(e->dev_major, e->dev_minor)) < 0)
        return err_sys(err, "mknod %s", e->name);
    return unpack_set_attributes_at(u, base, e, err);
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
    r = unpack_clear_way(u, base, err);
    return r < 0 ? r : put_functions[e->type](u, base, e, err);
}

static int put_entry(struct unpacker *u, char *name, const struct tar_entry *e, struct err *err)
{
    char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;

    if (slash)
        *slash = '\0';
    int r = unpack_open_parent(u, &u->parent, slash ? name : "", true, err);
    if (r < 0)
        return r;
    r = unpack_whiteout(u, base, err);
    return r != 0 ? r : put_by_type(u, base, e, err);
}

/* Its time is set once more at the end, when nothing is made in it any more. */
static int put_root(struct unpacker *u, const struct tar_entry *e, struct err *err)
{
    u->root_mtime_ns = e->mtime_ns;
    return unpack_set_attributes(u, u->root_fd, e, err);
}

static int finish_root(const struct unpacker *u, struct err *err)
{
    int64_t ns = u->root_mtime_ns;
    const struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {ns / NS_PER_S, ns % NS_PER_S}};

    return ns > 0 && futimens(u->root_fd, t) < 0 ? err_sys(err, "set the time of the root") : 0;
}

static int unpack_entry(struct unpacker *u, const struct tar_entry *e, struct err *err)
{
    arena_done(&u->scratch);
    char *name = renamed(u, unpack_clean(&u->scratch, e->name));

    if (!name)
        return err_as(err, ERR_INVALID, EXDEV, "\"%s\" is outside of \"/\"", e->name);
    if (e->type < TAR_FILE || e->type > TAR_FIFO)
        return err_as(err, ERR_INVALID, EBADMSG, "unhandled tar header type %d", e->type);
    if (!*name && e->type != TAR_DIR)
        return err_as(err, ERR_INVALID, EXDEV, "\"%s\" is no name of a file", e->name);
    if (!*name && (u->opts->flags & UNPACK_ROOT))
        return put_root(u, e, err);
    if (!*name || unpack_is_aufs(u, name))
        return 0; /* the root itself, which Docker leaves as it is; metadata of aufs */
    u->size += e->size;
    return put_entry(u, name, e, err);
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
        r = unpack_leave_parent(&u.parent, err);
    if (r >= 0)
        r = finish_root(&u, err);
    unpack_drop_parent(&u.parent);
    unpack_drop_parent(&u.link_parent);
    arena_done(&u.scratch);
    free(u.fresh);
    if (r >= 0 && ret_size)
        *ret_size = u.size;
    return r;
}
