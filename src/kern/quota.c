#include "kern/quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ids that we hand out; other programs count from 1, or hash names. */
#define FIRST_ID 0x434c0000U
#define IDS 0x1000000U

#define BLOCK 1024 /* unit of limits */

static int call(int fd, int cmd, uint32_t id, void *arg)
{
    return (int)syscall(SYS_quotactl_fd, fd, QCMD(cmd, PRJQUOTA), id, arg);
}

int quota_supported(int dir_fd, struct err *err)
{
    const unsigned need = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
    struct fs_quota_statv st = {.qs_version = FS_QSTATV_VERSION1};

    if (call(dir_fd, Q_XGETQSTATV, 0, &st) == 0)
        return (st.qs_flags & need) == need;
    /* ENOSYS: an old kernel, or a file system without quotas */
    if (errno == ENOSYS || errno == ESRCH || errno == EINVAL || errno == EOPNOTSUPP ||
        errno == ENOTBLK || errno == ENOTTY)
        return 0;
    return err_sys(err, "ask the file system for its quotas");
}

static int require_support(int dir_fd, struct err *err)
{
    int r = quota_supported(dir_fd, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return err_as(err, ERR_INVALID, EOPNOTSUPP,
                  "supported only over ext4 (with its features quota and project) or xfs, with the "
                  "'prjquota' mount option, on Linux 5.14 or later");
}

/* ---- ids of directories ---- */

static int get_id(int fd, uint32_t *ret, struct err *err)
{
    struct fsxattr x;

    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0) {
        if (errno != ENOTTY && errno != EOPNOTSUPP)
            return err_sys(err, "read a directory's project");
        *ret = 0;
        return 0;
    }
    *ret = x.fsx_xflags & FS_XFLAG_PROJINHERIT ? x.fsx_projid : 0;
    return 0;
}

static int set_id(int fd, uint32_t id, struct err *err)
{
    struct fsxattr x;

    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
        return err_sys(err, "read a directory's project");
    x.fsx_projid = id;
    x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    return ioctl(fd, FS_IOC_FSSETXATTR, &x) < 0 ? err_sys(err, "give a directory its project") : 0;
}

/* ---- counts and limits ---- */

static int get_usage(int fd, uint32_t id, struct quota_usage *ret, struct err *err)
{
    struct if_dqblk q = {0};

    *ret = (struct quota_usage){0};
    if (call(fd, Q_GETQUOTA, id, &q) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "read the quota of project %u", id);
    ret->used_b = q.dqb_curspace;
    ret->limit_b = q.dqb_bhardlimit * BLOCK;
    ret->inodes = q.dqb_curinodes;
    return 0;
}

static int set_limit(int fd, uint32_t id, uint64_t limit_b, struct err *err)
{
    uint64_t blocks = limit_b / BLOCK + (limit_b % BLOCK != 0);
    struct if_dqblk q = {
        .dqb_bhardlimit = blocks, .dqb_bsoftlimit = blocks, .dqb_valid = QIF_BLIMITS};

    return call(fd, Q_SETQUOTA, id, &q) < 0 ? err_sys(err, "limit project %u", id) : 0;
}

/* What was removed counts until it is deleted, so an id comes back only when nothing has it. A
 * limit that stayed behind is nobody's reason to keep off. */
static int find_free(int fd, uint32_t *ret, struct err *err)
{
    for (uint32_t i = 0; i < IDS; i++) {
        struct quota_usage u;
        int r = get_usage(fd, FIRST_ID + i, &u, err);
        if (r < 0)
            return r;
        if (u.inodes == 0 && u.used_b == 0) {
            *ret = FIRST_ID + i;
            return 0;
        }
    }
    return err_no(err, ENOSPC, "every project id is taken");
}

int quota_limit_dirs(const int *fds, size_t n, uint64_t limit_b, struct err *err)
{
    uint32_t id;
    int r = require_support(fds[0], err);

    if (r == 0)
        r = find_free(fds[0], &id, err);
    if (r == 0)
        r = set_limit(fds[0], id, limit_b, err); /* before anybody counts */
    for (size_t i = 0; r == 0 && i < n; i++)
        r = set_id(fds[i], id, err);
    return r;
}

int quota_take_over(int from, int to, struct err *err)
{
    uint32_t id;
    int r = get_id(from, &id, err);

    return r < 0 || id == 0 ? r : set_id(to, id, err);
}

int quota_usage(int dir_fd, struct quota_usage *ret, struct err *err)
{
    uint32_t id;
    int r = get_id(dir_fd, &id, err);

    if (r == 0 && id != 0)
        r = quota_supported(dir_fd, err);
    else if (r == 0)
        return 0;
    if (r <= 0)
        return r;
    r = get_usage(dir_fd, id, ret, err);
    return r < 0 ? r : 1;
}
