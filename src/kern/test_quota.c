/* Where there are no project quotas; where there are, tests/vm/test_quota.py limits for real. */
#include "kern/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/test.h"

static int tmpfs_dir(void)
{
    NEED_ROOT();
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0);
    CHECK(mkdir("/tmp/d", 0755) == 0);
    int fd = open("/tmp/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

TEST(a_limit_that_cannot_be_is_refused_in_words)
{
    struct err e = {0};
    auto_close int fd = tmpfs_dir();

    CHECK_INT(quota_supported(fd, &e), 0);
    CHECK_INT(quota_limit_dirs(&fd, 1, 1 << 20, &e), -EOPNOTSUPP);
    CHECK_INT(e.kind, ERR_INVALID);
    CHECK(strstr(e.msg, "'prjquota' mount option") != NULL);
}

TEST(nothing_is_counted)
{
    struct err e = {0};
    struct quota_usage u;
    auto_close int fd = tmpfs_dir();

    CHECK_INT(quota_usage(fd, &u, &e), 0);
    CHECK_INT(quota_take_over(fd, fd, &e), 0);
}
