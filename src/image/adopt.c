/*
 * The tar of the directory passes once through a pipe: [pack] -> [hash: diff ID] -> [take apart:
 * recipe]. What the recipe calls a file's content stays where it is.
 */
#include "image/adopt.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/beneath.h"
#include "archive/pack.h"
#include "archive/tar.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"
#include "image/recipe.h"
#include "store/layers.h"

#define DEPTH_MAX 256

/* ---- times ---- */

static int cap_times(int dir, int64_t not_after_ns, int depth, struct err *err);

static int cap_one(int dir, const char *name, int64_t not_after_ns, int depth, struct err *err)
{
    struct timespec t = {.tv_sec = not_after_ns / NS_PER_S, .tv_nsec = not_after_ns % NS_PER_S};
    const struct timespec both[2] = {t, t};
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "stat %s", name);
    if (S_ISDIR(st.st_mode)) {
        auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = fd < 0 ? err_sys(err, "open %s", name) : cap_times(fd, not_after_ns, depth, err);
        if (r < 0)
            return r;
    }
    if (st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec > not_after_ns &&
        utimensat(dir, name, both, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "set the time of %s", name);
    return 0;
}

static int cap_times(int dir, int64_t not_after_ns, int depth, struct err *err)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;

    if (!d)
        return err_sys(err, "read a directory");
    if (depth == DEPTH_MAX)
        return err_no(err, ELOOP, "a directory lies too deep");
    for (struct dirent *e; r >= 0 && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = cap_one(dirfd(d), e->d_name, not_after_ns, depth + 1, err);
    return r;
}

/* ---- the recipe of a directory that is there already ---- */

struct taking {
    int diff_fd;
    struct recipe_writer *recipe;
    int dir_fd; /* the directory of the file before: files of one come together */
    char *dir;  /* its path, with a slash at the end unless it is empty; heap */
};

static void taking_done(struct taking *t)
{
    close_fd(&t->dir_fd);
    free(t->dir);
}

static int stat_file(struct taking *t, const char *path, struct stat *ret, struct err *err)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n = (size_t)(base - path);

    if (!t->dir || strncmp(t->dir, path, n) != 0 || t->dir[n] != '\0') {
        close_fd(&t->dir_fd);
        free(t->dir);
        t->dir = xstrndup(path, n);
        t->dir_fd = open_beneath(t->diff_fd, n ? t->dir : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    }
    if (t->dir_fd < 0 || fstatat(t->dir_fd, base, ret, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "look at %s", path);
    return 0;
}

/* Content that the archive brings: it lies in the file of that name. */
static int take_content(struct taking *t, struct tar_reader *tar, const struct tar_entry *e,
                        struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n = 0;
    struct stat st;

    int r = stat_file(t, e->name, &st, err);
    if (r < 0)
        return r;
    r = recipe_watch.file(t->recipe, e->name, st.st_ino, err);
    if (r >= 0)
        r = recipe_watch.extent(t->recipe, 0, e->size, err);
    while (r >= 0 && (n = tar_data(tar, &p, NULL, err)) > 0)
        ;
    return r < 0 ? r : (int)n;
}

static int write_recipe(struct taking *t, struct source *s, uint64_t *ret_size, struct err *err)
{
    auto_tar_reader struct tar_reader *tar = tar_reader_new(s, recipe_watch.raw, t->recipe);
    const struct tar_entry *e = NULL;
    uint64_t size = 0;
    int r;

    while ((r = tar_next(tar, &e, err)) > 0) {
        size += e->size;
        if (e->stored && (r = take_content(t, tar, e, err)) < 0)
            return r;
    }
    *ret_size = size;
    return r < 0 ? r : recipe_finish(t->recipe, err);
}

/* ---- pack ---- */

struct packing {
    const struct diff *d;
    struct arena a;
    struct strv left_out;
};

static void note_left_out(void *ctx, const char *path)
{
    struct packing *p = ctx;

    strv_push(&p->a, &p->left_out, path);
}

static int64_t pack(void *ctx, struct sink *out, struct err *err)
{
    struct packing *p = ctx;

    return layer_pack(p->d, note_left_out, p, out, err);
}

/* What is not in the layer's tar must not be in its directory. */
static int remove_left_out(int diff_fd, const struct strv *paths, struct err *err)
{
    for (size_t i = 0; i < paths->n; i++) {
        int r = remove_tree_at(diff_fd, paths->v[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Return: how many entries; -errno. A packer that failed tells why, not its reader. */
static int64_t read_once(struct packing *p, struct taking *t, struct unpacked_layer *out,
                         struct err *err)
{
    struct pack_pipe pipe;
    struct err why = {0};
    int r = pack_pipe_start(pack, p, &pipe, err);

    if (r < 0)
        return r;
    struct source *raw = source_fd(pipe.fd);
    struct pump *pump = pump_new(raw, true);
    r = write_recipe(t, pump_source(pump), &out->size, err);
    if (r >= 0)
        r = pump_digest(pump, out->diff_id, &out->tar_size, err);
    source_free(pump_source(pump));
    source_free(raw);
    int64_t n = pack_pipe_end(&pipe, &why);
    if (n < 0 && err)
        *err = why;
    return n < 0 ? n : r < 0 ? r : n;
}

int64_t layer_adopt(struct layer_stage *stage, const struct adopt_options *o, struct lease *lease,
                    struct unpacked_layer *ret, struct err *err)
{
    int diff_fd = layer_stage_diff(stage);
    const struct diff d = {.upper_fd = diff_fd, .lower_fd = o->lower_fd, .mounted = o->mounted};
    auto_recipe_writer struct recipe_writer *recipe = NULL;
    struct packing p = {.d = &d, .a = ARENA_INIT};
    struct unpacked_layer out = {0};

    FAIL_POINT("layer.adopt.before", err);
    int64_t n = o->not_after_ns == INT64_MAX ? 0 : cap_times(diff_fd, o->not_after_ns, 0, err);
    if (n >= 0)
        n = recipe_writer_new(layer_stage_dir(stage), &recipe, err);
    struct taking t = {.diff_fd = diff_fd, .recipe = recipe, .dir_fd = -1};
    if (n >= 0)
        n = read_once(&p, &t, &out, err);
    taking_done(&t);
    int r = n < 0 ? (int)n : remove_left_out(diff_fd, &p.left_out, err);
    arena_done(&p.a);
    if (r < 0 || n == 0)
        return r;
    FAIL_POINT("layer.adopt.read", err);
    memcpy(out.blob, out.diff_id, sizeof(out.blob));
    out.blob_size = out.tar_size;
    struct layer_row row = {.diff_id = out.diff_id,
                            .size = (int64_t)out.size,
                            .tar_size = (int64_t)out.tar_size,
                            .unsynced = true};
    r = layer_stage_commit(stage, &row, lease, err);
    if (r < 0)
        return r;
    *ret = out;
    return n;
}
