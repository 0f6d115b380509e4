/* Paths of a hostile root: nothing leads out of it. */
#include "kern/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/test.h"

struct place {
    char dir[64];
    int root;
};

static void place_init(struct place *p)
{
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/rootfs-test-XXXXXX");
    CHECK(mkdtemp(p->dir) != NULL);
    auto_close int top = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(top, "root", 0755) == 0);
    CHECK(mkdirat(top, "outside", 0755) == 0);
    auto_close int secret = openat(top, "outside/secret", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(secret >= 0);
    p->root = openat(top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(p->root >= 0);
}

static void place_done(struct place *p)
{
    close_fd(&p->root);
    CHECK(remove_tree_at(AT_FDCWD, p->dir, NULL) == 0);
}

TEST(escaping_symlinks_stay_inside)
{
    struct err e = {0};
    struct place p;

    place_init(&p);
    CHECK(symlinkat("../outside", p.root, "up") == 0);
    CHECK(symlinkat(p.dir, p.root, "abs") == 0);
    CHECK(symlinkat("/proc/self/root", p.root, "magic") == 0);
    CHECK_INT(rootfs_open(p.root, "up/secret", O_RDONLY, &e), -ENOENT);
    CHECK_INT(rootfs_open(p.root, "abs/outside/secret", O_RDONLY, &e), -ENOENT);
    CHECK_INT(rootfs_open(p.root, "../outside/secret", O_RDONLY, &e), -ENOENT);
    CHECK_INT(rootfs_open(p.root, "magic", O_RDONLY, &e), -ENOENT);
    CHECK_STR(e.msg, "open magic in rootfs: No such file or directory");
    place_done(&p);
}

TEST(mkdir_p_follows_links_inside_only)
{
    struct err e = {0};
    struct place p;
    struct stat st;

    place_init(&p);
    CHECK(mkdirat(p.root, "real", 0755) == 0);
    CHECK(symlinkat("/real", p.root, "link") == 0);
    auto_close int fd = rootfs_mkdir_p(p.root, "/link/a/b", 0700, &e);
    CHECK_OK(fd);
    CHECK(fstatat(p.root, "real/a/b", &st, 0) == 0 && S_ISDIR(st.st_mode));
    CHECK_INT(rootfs_mkdir_p(p.root, "x/../../y", 0700, &e), -EINVAL);
    place_done(&p);
}

TEST(dangling_link_is_not_made_outside)
{
    struct err e = {0};
    struct place p;

    place_init(&p);
    CHECK(symlinkat("/nowhere/at/all", p.root, "dangling") == 0);
    CHECK(rootfs_mkdir_p(p.root, "dangling", 0700, &e) < 0);
    CHECK(rootfs_mkdir_p(p.root, "dangling/x", 0700, &e) < 0);
    CHECK(access("/nowhere", F_OK) < 0);
    place_done(&p);
}

TEST(mountpoints_are_made)
{
    struct err e = {0};
    struct place p;
    struct stat st;

    place_init(&p);
    auto_close int file = rootfs_mountpoint(p.root, "/etc/deep/file", false, &e);
    CHECK_OK(file);
    CHECK(fstat(file, &st) == 0 && S_ISREG(st.st_mode));
    auto_close int dir = rootfs_mountpoint(p.root, "/a/dir", true, &e);
    CHECK_OK(dir);
    auto_close int again = rootfs_mountpoint(p.root, "/etc/deep/file", false, &e);
    CHECK_OK(again);
    CHECK_INT(rootfs_mountpoint(p.root, "/etc/deep/file/x", true, &e), -ENOTDIR);
    place_done(&p);
}

TEST(parent_and_name)
{
    struct err e = {0};
    struct place p;
    const char *name = NULL;

    place_init(&p);
    auto_close int fd = rootfs_parent(p.root, "/new/dev/null", &name, &e);
    CHECK_OK(fd);
    CHECK_STR(name, "null");
    CHECK_INT(rootfs_parent(p.root, "/a/..", &name, &e), -EINVAL);
    CHECK_INT(rootfs_parent(p.root, "/", &name, &e), -EINVAL);
    place_done(&p);
}
