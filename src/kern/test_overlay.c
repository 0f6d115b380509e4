/* Detached overlays, by the new API and by the fallback, in a mount namespace of our own. */
#include "kern/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

#define TOP "/tmp/ov"

static void put(const char *path, const char *text)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK(fd >= 0 && write_full(fd, text, strlen(text)) == 0);
}

static void setup(void)
{
    NEED_ROOT();
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0);
    static const char *const dirs[] = {TOP, TOP "/l1", TOP "/l2", TOP "/up", TOP "/wk"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        CHECK(mkdir(dirs[i], 0755) == 0);
    put(TOP "/l1/a", "upper a");
    put(TOP "/l2/a", "lower a");
    put(TOP "/l2/b", "lower b");
}

static void want(int dir, const char *name, const char *text)
{
    auto_buf struct buf b = BUF_INIT;
    struct err e = {0};

    CHECK_OK(read_file_at(dir, name, 1000, &b, &e));
    CHECK_STR(buf_str(&b), text);
}

static void check_view(int fd)
{
    want(fd, "a", "upper a");
    want(fd, "b", "lower b");
}

static char l1[] = TOP "/l1", l2[] = TOP "/l2";
static char *two[] = {l1, l2};

TEST(layers_and_upper)
{
    struct err e = {0};
    struct overlay o = {.lowers = {two, 2}, .upper = TOP "/up", .work = TOP "/wk"};
    int fd = -1;

    setup();
    CHECK_OK(overlay_mount(&o, &fd, &e));
    check_view(fd);
    auto_close int made = openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    CHECK(made >= 0);
    CHECK(access(TOP "/up/new", F_OK) == 0);
    CHECK(access(TOP "/l1/new", F_OK) < 0);
}

TEST(view_without_upper_is_read_only)
{
    struct err e = {0};
    struct overlay o = {.lowers = {two, 2}};
    int fd = -1;

    setup();
    CHECK_OK(overlay_mount(&o, &fd, &e));
    check_view(fd);
    CHECK(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644) < 0 && errno == EROFS);
}

TEST(one_layer_is_a_bind)
{
    struct err e = {0};
    struct overlay o = {.lowers = {two, 1}};
    int fd = -1;

    setup();
    CHECK_OK(overlay_mount(&o, &fd, &e));
    want(fd, "a", "upper a");
    CHECK(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644) < 0 && errno == EROFS);
    CHECK(access(TOP "/l1/a", W_OK) == 0);
}

TEST(fallback)
{
    struct err e = {0};
    struct overlay o = {.lowers = {two, 2}, .upper = TOP "/up", .work = TOP "/wk"};
    int fd = -1;

    setup();
    CHECK_OK(overlay_mount_legacy(&o, &fd, &e));
    check_view(fd);
    auto_close int made = openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    CHECK(made >= 0);
    CHECK(access(TOP "/up/new", F_OK) == 0);
}

TEST(odd_names_and_many_layers)
{
    struct err e = {0};
    enum { N = 60 };
    char *many[N], path[64];
    struct overlay o = {.lowers = {many, N}};
    int fd = -1, old = -1;

    setup();
    for (int i = 0; i < N; i++) {
        many[i] = xasprintf(TOP "/layer:%d,\\odd", i);
        CHECK(mkdir(many[i], 0755) == 0);
        (void)snprintf(path, sizeof(path), "%s/f%d", many[i], i);
        put(path, "x");
    }
    CHECK_OK(overlay_mount(&o, &fd, &e));
    want(fd, "f0", "x");
    want(fd, "f59", "x");
    CHECK_OK(overlay_mount_legacy(&o, &old, &e));
    want(old, "f59", "x");
    for (int i = 0; i < N; i++)
        free(many[i]);
}

TEST(bad_requests)
{
    struct err e = {0};
    struct overlay o = {0};
    int fd = -1;

    setup();
    CHECK_INT(overlay_mount(&o, &fd, &e), -EINVAL);
    o = (struct overlay){.lowers = {two, 2}, .upper = TOP "/up"};
    CHECK_INT(overlay_mount(&o, &fd, &e), -EINVAL);
    o = (struct overlay){.lowers = {two, 2}, .upper = TOP "/nosuch", .work = TOP "/wk"};
    CHECK(overlay_mount(&o, &fd, &e) < 0);
    CHECK_INT(fd, -1);
}
