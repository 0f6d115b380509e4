#include "build/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"
#include "kern/rootfs.h"

#define FILE_MAX (4u << 20)

static int read_file(int root_fd, const char *path, struct buf *out, struct err *err)
{
    auto_close int fd = rootfs_open(root_fd, path, O_RDONLY | O_NONBLOCK, NULL);

    if (fd == -ENOENT || fd == -ENOTDIR)
        return 0;
    int r = fd < 0 ? err_no(err, fd, "open") : read_fd(fd, FILE_MAX, out, err);
    return r < 0 ? err_wrap(err, r, "read /%s", path) : 0;
}

/* The fields of the line whose first is @name. Return: false when there is none. */
static bool find_line(int root_fd, const char *path, const char *name, struct arena *a,
                      struct strv *ret)
{
    auto_buf struct buf text = BUF_INIT;

    if (read_file(root_fd, path, &text, NULL) < 0)
        return false;
    struct strv lines = str_split(a, buf_str(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        struct strv f = str_split(a, lines.v[i], ':');
        if (f.n >= 4 && strcmp(f.v[0], name) == 0) {
            *ret = f;
            return true;
        }
    }
    return false;
}

static bool to_id(const char *s, int64_t *ret)
{
    uint64_t v = 0;

    if (str_to_u64(s, &v) < 0 || v > INT32_MAX)
        return false;
    *ret = (int64_t)v;
    return true;
}

static int find_user(int root_fd, const char *name, struct arena *a, int64_t *uid, int64_t *gid,
                     struct err *err)
{
    struct strv f = {0};

    if (to_id(name, uid)) {
        *gid = *uid;
        return 0;
    }
    if (find_line(root_fd, "etc/passwd", name, a, &f) && to_id(f.v[2], uid) && to_id(f.v[3], gid))
        return 0;
    return err_invalid(err,
                       "unable to convert uid/gid chown string to host mapping: can't find uid "
                       "for user %s: no such user: %s",
                       name, name);
}

static int find_group(int root_fd, const char *name, struct arena *a, int64_t *gid, struct err *err)
{
    struct strv f = {0};

    if (to_id(name, gid) || (find_line(root_fd, "etc/group", name, a, &f) && to_id(f.v[2], gid)))
        return 0;
    return err_invalid(err,
                       "unable to convert uid/gid chown string to host mapping: can't find gid "
                       "for group %s: no such group: %s",
                       name, name);
}

int owner_find(int root_fd, const char *text, int64_t *ret_uid, int64_t *ret_gid, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv parts = str_split(&a, text, ':');
    int64_t uid = 0, gid = 0;

    if (parts.n > 2 || !*parts.v[0])
        return err_invalid(err, "invalid chown string format: %s", text);
    int r = find_user(root_fd, parts.v[0], &a, &uid, &gid, err);
    if (r >= 0 && parts.n == 2 && *parts.v[1])
        r = find_group(root_fd, parts.v[1], &a, &gid, err);
    if (r < 0)
        return r;
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}
