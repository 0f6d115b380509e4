/*
 * A load that dies, or fails, at every point between its changes: the next store that opens the
 * directory has the image whole or not at all, and nothing that is half-made.
 */
#include "image/test_fixture.h"

#include <errno.h>

#include "image/load.h"
#include "image/save.h"
#include "image/store.h"

static const char *const points[] = {
    "image.load.before",    "layer.stage.before",  "layer.unpack.before",   "layer.unpack.after",
    "layer.commit.before",  "layer.commit.synced", "layer.commit.renamed",  "layer.commit.after",
    "layer.commit.after@2", "image.load.read",     "blob.publish.before",   "blob.publish.synced",
    "blob.publish.after",   "image.create.before", "image.create.config",   "image.insert.before",
    "image.tag.before",     "image.load.made",     "catalog.commit.before", "catalog.commit.after",
    "store.gc.before",      "store.gc.marked",     "store.gc.layers",       "store.gc.after",
};

static const char make_archive[] =
    "mkdir a b; echo one > a/f; seq 5000 > b/g; tar -C a -cf 1 .; tar -C b -cf 2 .\n"
    "d1=$(sha256sum < 1 | cut -c-64); d2=$(sha256sum < 2 | cut -c-64)\n"
    "echo '{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
    "\"diff_ids\":[\"sha256:'$d1'\",\"sha256:'$d2'\"]}}' > c\n"
    "echo '[{\"Config\":\"c\",\"RepoTags\":[\"x:1\"],\"Layers\":[\"1\",\"2\"]}]' > manifest.json\n"
    "tar -cf i.tar 1 2 c manifest.json\n";

static int load(struct fix *f, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_close int fd = openat(f->fd, "i.tar", O_RDONLY | O_CLOEXEC);
    auto_source struct source *s = source_fd(fd);
    struct load_result res = {0};

    return image_load(f->s, s, NULL, &a, &res, err);
}

/* All or nothing, and usable either way. */
static void check_whole(struct fix *f, const char *point)
{
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT;
    struct image_rows rows;
    const char *want = "0\n0\n0\n";

    CHECK_OK(image_rows_all(f->s, &f->a, &rows, &e));
    if (rows.n) {
        want = "2\n1\n0\n";
        struct strv names = {0};
        struct image_export *x = NULL;
        auto_sink struct sink *s = sink_cb(fix_to_buf, &out);
        strv_push(&f->a, &names, "x:1");
        CHECK_OK(image_export_new(f->s, &names, NULL, &x, &e));
        CHECK_OK(image_export_write(x, s, &e));
        image_export_free(x);
    }
    char *got = fix_sh(f, "for d in layers image/blobs/sha256 image/blobs/ingest;"
                          " do ls -A $d | wc -l; done");
    if (strcmp(got, want) != 0)
        TEST_FAIL("%s left %s", point, got);
    CHECK_OK(load(f, &e)); /* and it can be loaded now */
    CHECK_OK(image_rows_all(f->s, &f->a, &rows, &e));
    CHECK_INT(rows.n, 1);
}

/* "layer.commit.after@2" -> CLEAT_FAIL="layer.commit.after=crash@2" */
static void arm(const char *point, const char *action)
{
    char text[128];
    const char *at = strchrnul(point, '@');

    (void)snprintf(text, sizeof(text), "%.*s=%s%s", (int)(at - point), point, action,
                   *at ? at : "@1");
    CHECK_INT(setenv("CLEAT_FAIL", text, 1), 0);
}

static void check_point(const char *point, const char *action)
{
    struct fix f;
    struct err e = {0};
    int status = 0;

    fix_init(&f);
    fix_sh(&f, make_archive);
    fix_close(&f);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fix_open(&f); /* with its own collection, before the point is armed */
        arm(point, action);
        _exit(load(&f, &e) < 0 ? 1 : 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (strcmp(action, "crash") == 0 && !WIFSIGNALED(status))
        TEST_FAIL("%s was not reached", point);
    if (strcmp(action, "error") == 0) /* what follows the commit cannot fail the load */
        CHECK(WIFEXITED(status));
    fix_open(&f);
    check_whole(&f, point);
    fix_done(&f);
}

TEST(a_load_that_is_killed_anywhere)
{
    NEED_ROOT();
#ifndef CLEAT_FAILPOINTS
    SKIP("needs a build with -Dfailpoints=true");
#endif
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        check_point(points[i], "crash");
}

TEST(a_load_that_fails_anywhere)
{
    NEED_ROOT();
#ifndef CLEAT_FAILPOINTS
    SKIP("needs a build with -Dfailpoints=true");
#endif
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        check_point(points[i], "error");
}
