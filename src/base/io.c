#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/rand.h"

#define READ_STEP 16384U
#define TREE_DEPTH 64 /* levels of recursion, each with a descriptor */

int read_full(int fd, void *p, size_t n)
{
    char *to = p;

    while (n > 0) {
        ssize_t got = read(fd, to, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -ENODATA;
        to += got;
        n -= (size_t)got;
    }
    return 0;
}

int write_full(int fd, const void *p, size_t n)
{
    const char *from = p;

    while (n > 0) {
        ssize_t put = write(fd, from, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        from += put;
        n -= (size_t)put;
    }
    return 0;
}

int pwrite_full(int fd, const void *p, size_t n, off_t off)
{
    const char *from = p;

    while (n > 0) {
        ssize_t put = pwrite(fd, from, n, off);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        from += put;
        off += put;
        n -= (size_t)put;
    }
    return 0;
}

int read_fd(int fd, size_t limit, struct buf *out, struct err *err)
{
    size_t total = 0;

    for (;;) {
        ssize_t got = read(fd, buf_room(out, READ_STEP), READ_STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read");
        if (got == 0) {
            buf_commit(out, 0);
            return 0;
        }
        buf_commit(out, (size_t)got);
        total += (size_t)got;
        if (total > limit)
            return err_as(err, ERR_INVALID, E2BIG, "larger than %zu bytes", limit);
    }
}

int read_file_at(int dir_fd, const char *path, size_t limit, struct buf *out, struct err *err)
{
    auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open %s", path);
    int r = read_fd(fd, limit, out, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : r;
}

static int write_tmp(int dir_fd, const char *tmp, mode_t mode, const void *p, size_t n, bool sync,
                     struct err *err)
{
    auto_close int fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return err_sys(err, "create %s", tmp);
    int r = write_full(fd, p, n);
    if (r < 0)
        return err_no(err, r, "write %s", tmp);
    if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
        return err_sys(err, "sync %s", tmp);
    return 0;
}

int write_file_at(int dir_fd, const char *path, mode_t mode, const void *p, size_t n, bool sync,
                  struct err *err)
{
    char suffix[9];

    rand_hex(suffix, 8);
    auto_free char *tmp = xasprintf("%s.tmp-%s", path, suffix);
    int r = write_tmp(dir_fd, tmp, mode, p, n, sync, err);
    if (r >= 0 && renameat(dir_fd, tmp, dir_fd, path) < 0)
        r = err_sys(err, "rename %s", path);
    if (r < 0)
        (void)unlinkat(dir_fd, tmp, 0);
    return r;
}

int write_value_at(int dir_fd, const char *path, const char *text, struct err *err)
{
    auto_close int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open %s", path);
    if (write(fd, text, strlen(text)) < 0)
        return err_sys(err, "write \"%s\" to %s", text, path);
    return 0;
}

int lock_file_at(int dir_fd, const char *path, mode_t mode, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    auto_close int fd = openat(dir_fd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return err_sys(err, "open %s", path);
    if (fcntl(fd, F_SETLK, &whole) < 0)
        return errno == EACCES || errno == EAGAIN ? err_no(err, EAGAIN, "lock %s", path)
                                                  : err_sys(err, "lock %s", path);
    return take_fd(&fd);
}

ssize_t dir_count(int fd, size_t limit, struct err *err)
{
    auto_close int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = own < 0 ? NULL : fdopendir(own);
    size_t n = 0;

    if (!open)
        return err_sys(err, "read directory");
    (void)take_fd(&own);
    auto_dir DIR *d = open;
    for (struct dirent *e; n < limit && (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    return (ssize_t)n;
}

int fd_path(int fd, char *out, struct err *err)
{
    char link[32];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0)
        return err_sys(err, "find the path of a descriptor");
    out[n] = '\0';
    return 0;
}

int open_regular_at(int dir_fd, const char *name, struct stat *ret)
{
    char path[32];
    auto_close int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, ret) < 0)
        return -errno;
    if (!S_ISREG(ret->st_mode))
        return -ENOENT;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    return file < 0 ? -errno : file;
}

int mkdir_p_at(int dir_fd, const char *path, mode_t mode, struct err *err)
{
    if (mkdirat(dir_fd, path, mode) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return err_sys(err, "make directory %s", path);
    auto_free char *copy = xstrdup(path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdirat(dir_fd, copy, mode) < 0 && errno != EEXIST)
            return err_sys(err, "make directory %s", copy);
        *p = '/';
    }
    if (mkdirat(dir_fd, path, mode) < 0 && errno != EEXIST)
        return err_sys(err, "make directory %s", path);
    return 0;
}

/* ---- removing trees ---- */

struct removal {
    int top; /* the tree itself */
    dev_t dev;
    unsigned moved; /* directories, to the top */
    remove_hook hook;
    void *ctx;
};

static int empty_dir(struct removal *rm, int fd, int depth, struct err *err);

/* Recursion has an end, trees need not have one: what lies deep is moved to the top. */
static int move_up(struct removal *rm, int dir, const char *name, struct err *err)
{
    char to[32];
    int r = 0;

    do {
        (void)snprintf(to, sizeof(to), "deep-%u", rm->moved++);
        r = renameat2(dir, name, rm->top, to, RENAME_NOREPLACE);
    } while (r < 0 && errno == EEXIST);
    return r < 0 && errno != ENOENT ? err_sys(err, "move %s", name) : 0;
}

/* What somebody else removes under our hands (the kernel in overlay's work directory) is as good
 * as removed by us. */
static int remove_dir(struct removal *rm, int dir, const char *name, int depth, struct err *err)
{
    struct stat st;
    int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (sub < 0 && errno == ENOENT)
        return 0;
    if (sub < 0 || fstat(sub, &st) < 0 || st.st_dev != rm->dev) {
        int r = sub < 0 ? err_sys(err, "open %s", name)
                        : err_no(err, EBUSY, "%s is a mount point", name);
        close_fd(&sub);
        return r;
    }
    int r = empty_dir(rm, sub, depth + 1, err);
    if (r < 0)
        return err_wrap(err, r, "%s", name);
    if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(err, "remove %s", name);
    return 0;
}

static int remove_entry(struct removal *rm, int dir, const struct dirent *e, int depth,
                        struct err *err)
{
    if (e->d_type != DT_DIR) {
        int r = rm->hook ? rm->hook(rm->ctx, dir, e->d_name, err) : 0;
        if (r != 0)
            return r < 0 ? r : 0;
        if (unlinkat(dir, e->d_name, 0) == 0 || errno == ENOENT)
            return 0;
    }
    return depth == TREE_DEPTH ? move_up(rm, dir, e->d_name, err)
                               : remove_dir(rm, dir, e->d_name, depth, err);
}

/* Empties the directory that @fd (taken over) stands for. Devices are compared, so that a mount
 * somebody left behind is never emptied. */
static int empty_dir(struct removal *rm, int fd, int depth, struct err *err)
{
    auto_dir DIR *d = fdopendir(fd);

    if (!d) {
        int r = err_sys(err, "read directory");
        (void)close(fd);
        return r;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = remove_entry(rm, dirfd(d), e, depth, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* As often as something was moved to the top, which a pass under way may have missed. */
static int empty_tree(struct removal *rm, struct err *err)
{
    unsigned moved = 0;

    do {
        moved = rm->moved;
        int fd = openat(rm->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? err_sys(err, "open directory") : empty_dir(rm, fd, 0, err);
        if (r < 0)
            return r;
    } while (moved != rm->moved);
    return 0;
}

int remove_tree_with(int dir_fd, const char *name, remove_hook hook, void *ctx, struct err *err)
{
    struct stat st;
    auto_close int top = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (top < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open %s", name);
    if (fstat(top, &st) < 0)
        return err_sys(err, "stat %s", name);
    struct removal rm = {.top = top, .dev = st.st_dev, .hook = hook, .ctx = ctx};
    int r = empty_tree(&rm, err);
    if (r < 0)
        return err_wrap(err, r, "remove %s", name);
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(err, "remove %s", name);
    return 0;
}

int remove_tree_at(int dir_fd, const char *name, struct err *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    return remove_tree_with(dir_fd, name, NULL, NULL, err);
}

int fds_send(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (nfds > FDS_MAX)
        return -E2BIG;
    if (nfds > 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
    }
    ssize_t put;
    do
        put = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0)
        return -errno;
    return (size_t)put == n ? 0 : -EIO;
}

/* Takes what fits into @fds; closes and reports what does not. */
static int collect_fds(struct msghdr *msg, int *fds, size_t *nfds)
{
    size_t room = *nfds, n = 0;
    int r = msg->msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (n < room) {
                fds[n++] = fd;
            } else {
                (void)close(fd);
                r = -EMSGSIZE;
            }
        }
    }
    for (size_t i = 0; r < 0 && i < n; i++)
        (void)close(fds[i]);
    *nfds = r < 0 ? 0 : n;
    return r;
}

ssize_t fds_recv(int sock, void *p, size_t n, int *fds, size_t *nfds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = p, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t got;

    do
        got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        *nfds = 0;
        return -errno;
    }
    int r = collect_fds(&msg, fds, nfds);
    return r < 0 ? r : got;
}
