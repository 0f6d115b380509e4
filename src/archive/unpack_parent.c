/*
 * Where an entry goes: its name, the directory it lies in, and what stands in its way there. A
 * directory keeps its time whatever is made in it: what it had when it was opened is given back
 * when it is left, so that no list of directories grows with the archive. Only the root, which is
 * no entry, goes its own way.
 */
#include "archive/unpack-priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/beneath.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#define IMPLIED_MODE 0755

/* ---- names ---- */

char *unpack_clean(struct arena *a, const char *name)
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

char *unpack_join(struct arena *a, const char *dir, const char *name)
{
    return arena_printf(a, "%s%s%s", dir, *dir ? "/" : "", name);
}

/* ---- parents ---- */

void unpack_drop_parent(struct parent *p)
{
    close_fd(&p->fd);
    free(p->name);
    free(p->path);
    p->name = p->path = NULL;
    p->past = false;
}

static int set_mtime(int dir_fd, struct timespec mtime)
{
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

    return utimensat(dir_fd, ".", t, 0);
}

int unpack_leave_parent(struct parent *p, struct err *err)
{
    int r = 0;

    if (p->name && *p->path && set_mtime(p->fd, p->mtime) < 0)
        r = err_sys(err, "set the time of %s", p->path);
    unpack_drop_parent(p);
    return r;
}

/* One directory, whose own directory keeps its time. */
static int make_implied(int up, const char *name, struct err *err)
{
    struct stat st;

    if (fstat(up, &st) < 0 || mkdirat(up, name, IMPLIED_MODE) < 0 ||
        fchmodat(up, name, IMPLIED_MODE, 0) < 0 || set_mtime(up, st.st_mtim) < 0)
        return err_sys(err, "mkdir %s", name);
    return 0;
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
            int r = make_implied(up, start, err);
            if (r < 0)
                return err_wrap(err, r, "make %s", part);
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

    (void)snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", root_fd);
    ssize_t n = readlink(link, root, sizeof(root) - 1);
    (void)snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
    ssize_t m = readlink(link, path, sizeof(path) - 1);
    if (n < 0 || m < n)
        return NULL;
    root[n] = path[m] = '\0';
    if (memcmp(root, path, (size_t)n) != 0)
        return NULL;
    return xstrdup(path[n] == '/' ? path + n + 1 : path + n);
}

/* ---- past the overlay ---- */

void unpack_note_fresh(struct unpacker *u, const char *base)
{
    if (!u->opts->upper || u->not_past || unpack_is_past(u))
        return;
    free(u->fresh);
    u->fresh = xasprintf("%s%s%s", u->parent.path, *u->parent.path ? "/" : "", base);
}

static void keep_to_overlay(struct unpacker *u)
{
    free(u->fresh);
    u->fresh = NULL;
    u->not_past = true;
}

int unpack_forget_fresh(struct unpacker *u, struct err *err)
{
    int r = unpack_leave_parent(&u->parent, err);

    unpack_drop_parent(&u->link_parent);
    keep_to_overlay(u);
    return r;
}

bool unpack_is_past(const struct unpacker *u)
{
    return u->parent.past;
}

static bool is_in_fresh(const struct unpacker *u, const char *name)
{
    size_t n = u->fresh ? strlen(u->fresh) : 0;

    return u->fresh && strncmp(name, u->fresh, n) == 0 && (!name[n] || name[n] == '/');
}

/* In the upper directory. A link on the way, also one that replaced what had been there, is for the
 * overlay to follow. Return: fd or -1. */
static int open_past(const struct unpacker *u, const char *name)
{
    const struct unpack_upper *up = u->opts->upper;
    auto_free char *path = xasprintf("%s%s%s", up->path, *up->path ? "/" : "", name);
    return open_beneath(up->fd, path, O_PATH | O_DIRECTORY);
}

/* ---- opening ---- */

/* How a directory was found. */
struct found {
    bool linked; /* a link may have led to it */
    bool past;
};

static int look(struct unpacker *u, const char *name, struct found *ret)
{
    bool in_fresh = is_in_fresh(u, name);
    int fd = in_fresh ? open_past(u, name) : -1;

    *ret = (struct found){.past = fd >= 0};
    if (fd >= 0)
        return fd;
    fd = open_beneath(u->root_fd, name, O_PATH | O_DIRECTORY);
    ret->linked = fd < 0;
    /* An overlay does not look again at what it knows, and a link may lead anywhere. */
    if (u->fresh && (in_fresh || (ret->linked && errno == ELOOP))) {
        int saved = errno;
        keep_to_overlay(u);
        errno = saved;
    }
    if (fd < 0 && errno == ELOOP)
        fd = open_in_root(u->root_fd, name, O_PATH | O_DIRECTORY);
    return fd;
}

static int open_dir(struct unpacker *u, const char *name, bool make, struct found *ret,
                    struct err *err)
{
    int fd = look(u, name, ret);

    if (fd < 0 && errno == ENOENT && make) {
        int r = make_dirs(u, name, err);
        if (r < 0)
            return r;
        fd = look(u, name, ret);
        if (fd < 0) /* a link that is followed by way of another error */
            fd = open_in_root(u->root_fd, name, O_PATH | O_DIRECTORY);
    }
    return fd < 0 ? err_sys(err, "open %s", *name ? name : "/") : fd;
}

int unpack_open_parent(struct unpacker *u, struct parent *p, const char *name, bool make,
                       struct err *err)
{
    struct found how;
    struct stat st;

    if (p->name && strcmp(p->name, name) == 0)
        return 0;
    int r = make ? unpack_leave_parent(p, err) : 0;
    if (r < 0)
        return r;
    unpack_drop_parent(p);
    auto_close int fd = open_dir(u, name, make, &how, err);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat %s", name);
    char *path = how.linked ? real_path(u->root_fd, fd) : xstrdup(name);
    if (!path)
        return err_as(err, ERR_INVALID, ENAMETOOLONG, "cannot name the place of \"%.100s...\"",
                      name);
    *p = (struct parent){xstrdup(name), path, take_fd(&fd), st.st_mtim, how.past};
    return 0;
}

/* ---- removing what is in the way ---- */

/* A file whose content the recipe needs is moved away instead. */
static int keep(void *ctx, int dir_fd, const char *name, struct err *err)
{
    const struct unpacker *u = ctx;
    struct stat st;

    if (!unpack_watch_of(u))
        return 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "remove %s", name);
    return S_ISREG(st.st_mode)
               ? unpack_watch_of(u)->keep(u->opts->watcher, dir_fd, name, st.st_ino, err)
               : 0;
}

int unpack_clear_way(struct unpacker *u, const char *base, struct err *err)
{
    int dir = u->parent.fd;
    /* What goes may be it, or a link that led to it; nothing was made in it. */
    unpack_drop_parent(&u->link_parent);
    int r = keep(u, dir, base, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (unlinkat(dir, base, 0) == 0)
        return 0;
    return errno == EISDIR ? remove_tree_with(dir, base, keep, u, err)
                           : err_sys(err, "remove %s", base);
}
