#include "kern/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"

/* A rename somewhere on the system makes openat2() give up with EAGAIN; a container may rename in a
 * loop, so there is an end to our patience. */
#define OPEN_TRIES 128
#define LINKS_MAX 40 /* as the kernel: more symbolic links than that are a loop */

static int open_in_root(int root_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    const char *p = *path ? path : "/";

    for (int i = 0; i < OPEN_TRIES; i++) {
        long fd = syscall(SYS_openat2, root_fd, p, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -errno;
}

int rootfs_open(int root_fd, const char *path, int flags, struct err *err)
{
    int fd = open_in_root(root_fd, path, flags, 0);

    return fd < 0 ? err_no(err, fd, "open %s in rootfs", path) : fd;
}

int rootfs_create(int root_fd, const char *path, int flags, mode_t mode, struct err *err)
{
    int fd = open_in_root(root_fd, path, flags | O_CREAT, mode);

    return fd < 0 ? err_no(err, fd, "create %s in rootfs", path) : fd;
}

/* Copies the next component of *path to @name and moves on; false at the end. */
static bool next_component(const char **path, char name[NAME_MAX + 1], int *ret)
{
    const char *p = *path + strspn(*path, "/");
    size_t n = strcspn(p, "/");

    *path = p + n;
    if (n > NAME_MAX) {
        *ret = -ENAMETOOLONG;
        return false;
    }
    memcpy(name, p, n);
    name[n] = '\0';
    return n > 0;
}

/*
 * One step of mkdir -p. The prefix up to here is opened anew from the root, not from the parent's
 * descriptor: only then do a symlink's ".." and "/" mean the container's root.
 */
static int enter(int root_fd, const char *prefix, int parent_fd, const char *name, mode_t mode)
{
    int fd = open_in_root(root_fd, prefix, O_PATH | O_DIRECTORY, 0);

    if (fd != -ENOENT)
        return fd;
    if (mkdirat(parent_fd, name, mode) < 0 && errno != EEXIST)
        return -errno;
    return open_in_root(root_fd, prefix, O_PATH | O_DIRECTORY, 0);
}

static int mkdir_p(int root_fd, const char *path, mode_t mode)
{
    char name[NAME_MAX + 1], prefix[PATH_MAX];
    auto_close int dir = open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, 0);
    const char *p = path;
    int r = 0;

    while (dir >= 0 && next_component(&p, name, &r)) {
        if (strcmp(name, "..") == 0)
            return -EINVAL;
        (void)memcpy(prefix, path, (size_t)(p - path));
        prefix[p - path] = '\0';
        int next = enter(root_fd, prefix, dir, name, mode);
        if (next < 0)
            return next;
        close_fd(&dir);
        dir = next;
    }
    return r < 0 ? r : take_fd(&dir);
}

int rootfs_mkdir_p(int root_fd, const char *path, mode_t mode, struct err *err)
{
    if (strlen(path) >= PATH_MAX)
        return err_no(err, ENAMETOOLONG, "make directory in rootfs");
    /* Nearly always it is there: one call instead of one per component. */
    int fd = open_in_root(root_fd, path, O_PATH | O_DIRECTORY, 0);
    if (fd == -ENOENT)
        fd = mkdir_p(root_fd, path, mode);
    return fd < 0 ? err_no(err, fd, "make directory %s in rootfs", path) : fd;
}

int rootfs_parent(int root_fd, const char *path, const char **ret_name, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char dir[PATH_MAX];
    size_t n = (size_t)(name - path);

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_invalid(err, "path %s has no last component", path);
    if (n >= sizeof(dir))
        return err_no(err, ENAMETOOLONG, "open parent of a path in rootfs");
    memcpy(dir, path, n);
    dir[n] = '\0';
    int fd = rootfs_mkdir_p(root_fd, dir, 0755, err);
    if (fd >= 0)
        *ret_name = name;
    return fd;
}

/* Takes "." and ".." out of a path by its text; it cannot climb above its beginning. Symlinks on
 * the way may make that another place than the kernel's, never one outside the root. */
static void tidy(char *path)
{
    char *to = path;

    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (to > path && *--to != '/')
                continue;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n + (p[n] == '/');
    }
    *to = '\0';
}

/* Where the dangling symlink @path leads, in @out; -ENOLINK when it is none. */
static int follow_link(int root_fd, const char *path, char out[PATH_MAX], struct err *err)
{
    char target[PATH_MAX];
    const char *slash = strrchr(path, '/');
    auto_close int fd = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW, 0);

    ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
    if (n <= 0)
        return -ENOLINK;
    target[n] = '\0';
    int len =
        snprintf(out, PATH_MAX, "%.*s%s%s", target[0] == '/' || !slash ? 0 : (int)(slash - path),
                 path, target[0] == '/' || !slash ? "" : "/", target);
    if (len >= PATH_MAX - 1)
        return err_no(err, ENAMETOOLONG, "follow %s in rootfs", path);
    tidy(out);
    return 0;
}

static int make_file(int root_fd, const char *path, struct err *err)
{
    const char *name;
    auto_close int parent = rootfs_parent(root_fd, path, &name, err);

    if (parent < 0)
        return parent;
    auto_close int made =
        open_in_root(root_fd, path, O_CREAT | O_RDONLY | O_NOCTTY | O_NONBLOCK, 0755);
    return made < 0 ? err_no(err, made, "create mount point %s in rootfs", path)
                    : rootfs_open(root_fd, path, O_PATH, err);
}

/* An image may have a link to a file that only a service would make (/etc/resolv.conf): it is made
 * where the link leads, inside the root, with the directories on the way. */
int rootfs_mountpoint(int root_fd, const char *path, bool dir, struct err *err)
{
    char a[PATH_MAX], b[PATH_MAX];

    if (dir)
        return rootfs_mkdir_p(root_fd, path, 0755, err);
    int fd = open_in_root(root_fd, path, O_PATH, 0);
    if (fd != -ENOENT)
        return fd < 0 ? err_no(err, fd, "open %s in rootfs", path) : fd;
    (void)snprintf(a, sizeof(a), "%s", path);
    for (int links = 0; links < LINKS_MAX; links++) {
        int r = follow_link(root_fd, a, b, err);
        if (r == -ENOLINK)
            return make_file(root_fd, a, err);
        if (r < 0)
            return r;
        memcpy(a, b, sizeof(a));
    }
    return err_no(err, ELOOP, "create mount point %s in rootfs", path);
}
