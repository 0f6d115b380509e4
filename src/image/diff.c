#include "image/diff.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "archive/beneath.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"

#define DEPTH_MAX 256 /* each level takes stack and descriptors */

struct walk {
    const struct diff *d;
    struct arena *a;
    struct diff_items *out;
    int depth;
};

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* What the layers below have there, if anything; links on the way lead nowhere. */
static bool lower_stat(const struct diff *d, const char *path, struct stat *ret)
{
    auto_close int fd = d->lower_fd < 0 ? -1 : open_beneath(d->lower_fd, path, O_PATH | O_NOFOLLOW);

    return fd >= 0 && fstat(fd, ret) == 0;
}

/* ---- places of mounts ---- */

/* @path without "/" in front. */
static bool is_mounted(const struct diff *d, const char *path)
{
    for (size_t i = 0; i < d->mounted.n; i++)
        if (strcmp(d->mounted.v[i] + (*d->mounted.v[i] == '/'), path) == 0)
            return true;
    return false;
}

/* Does a mount lie below this directory? */
static bool leads_to_mount(const struct diff *d, const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < d->mounted.n; i++) {
        const char *m = d->mounted.v[i] + (*d->mounted.v[i] == '/');
        if (strncmp(m, path, n) == 0 && m[n] == '/')
            return true;
    }
    return false;
}

static bool is_empty_dir(int up, const char *name)
{
    auto_close int fd = open_beneath(up, name, O_PATH | O_DIRECTORY);

    return fd >= 0 && dir_count(fd, 1, NULL) == 0;
}

/* An empty file or directory, made because something was mounted there. */
static bool made_for_mount(const struct diff *d, int up, const char *name, const char *path,
                           const struct stat *st)
{
    if (!is_mounted(d, path))
        return false;
    if (S_ISREG(st->st_mode))
        return st->st_size == 0;
    return S_ISDIR(st->st_mode) && is_empty_dir(up, name);
}

/* ---- compare ---- */

static int add(struct walk *w, const char *path, enum diff_kind kind)
{
    struct diff_item item = {arena_printf(w->a, "/%s", path), kind};

    arena_push(w->a, *w->out) = item;
    return 1;
}

static bool same_dir(const struct stat *a, const struct stat *b)
{
    return S_ISDIR(b->st_mode) && a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
           a->st_gid == b->st_gid;
}

static int walk_dir(struct walk *w, int up, const char *path, struct err *err);

/* Return: 1 something changed here or below, 0 nothing. */
static int compare_dir(struct walk *w, int up, const char *name, const char *path,
                       const struct stat *st, const struct stat *low, struct err *err)
{
    size_t mine = w->out->n;
    auto_close int fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "open %s", path);
    (void)add(w, path, low ? DIFF_MODIFIED : DIFF_ADDED);
    int r = walk_dir(w, fd, path, err);
    if (r != 0)
        return r;
    bool on_the_way = !low && leads_to_mount(w->d, path);
    if ((low && same_dir(st, low) && !pack_is_opaque(fd)) || on_the_way)
        w->out->n = mine; /* it was only looked into, or made for a mount */
    return w->out->n > mine;
}

static int compare(struct walk *w, int up, const char *name, const char *path, struct err *err)
{
    struct stat st, low;

    if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "stat %s", path);
    bool below = lower_stat(w->d, path, &low);
    if (is_whiteout(&st))
        return below ? add(w, path, DIFF_DELETED) : 0;
    if (!below && made_for_mount(w->d, up, name, path, &st))
        return 0;
    if (S_ISDIR(st.st_mode))
        return compare_dir(w, up, name, path, &st, below ? &low : NULL, err);
    return add(w, path, below ? DIFF_MODIFIED : DIFF_ADDED);
}

static int walk_dir(struct walk *w, int up, const char *path, struct err *err)
{
    auto_close int fd = openat(up, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int r = 0, changed = 0;

    if (!d)
        return err_sys(err, "read %s", path);
    (void)take_fd(&fd);
    if (++w->depth > DEPTH_MAX)
        return err_no(err, ELOOP, "%s lies too deep", path);
    for (struct dirent *e; r >= 0 && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        auto_free char *sub = xasprintf("%s%s%s", path, *path ? "/" : "", e->d_name);
        r = compare(w, up, e->d_name, sub, err);
        changed |= r > 0;
    }
    w->depth--;
    return r < 0 ? r : changed;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct diff_item *)a)->path, ((const struct diff_item *)b)->path);
}

int layer_diff(const struct diff *d, struct arena *a, struct diff_items *ret, struct err *err)
{
    struct diff_items items = {0};
    struct walk w = {.d = d, .a = a, .out = &items};
    int r = walk_dir(&w, d->upper_fd, "", err);

    if (r < 0)
        return r;
    if (items.n)
        qsort(items.v, items.n, sizeof(*items.v), by_path);
    *ret = items;
    return 0;
}

/* ---- pack ---- */

static bool only_for_mounts(const struct diff *d, const char *path, int depth);

/* Was this made for a mount, or is it a directory on the way to one with nothing else in it? */
static bool is_for_mounts(const struct diff *d, const char *path, const struct stat *st, int depth)
{
    struct stat low;

    bool below = lower_stat(d, path, &low);
    if (!below && made_for_mount(d, d->upper_fd, path, path, st))
        return true;
    return S_ISDIR(st->st_mode) && (!below || same_dir(st, &low)) && leads_to_mount(d, path) &&
           only_for_mounts(d, path, depth + 1);
}

static bool only_for_mounts(const struct diff *d, const char *path, int depth)
{
    auto_close int fd = open_beneath(d->upper_fd, path, O_RDONLY | O_DIRECTORY);
    DIR *open = fd < 0 || depth > DEPTH_MAX || pack_is_opaque(fd) ? NULL : fdopendir(fd);
    bool only = open != NULL;

    if (!open)
        return false;
    (void)take_fd(&fd);
    auto_dir DIR *dir = open;
    for (struct dirent *e; only && (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        auto_free char *sub = xasprintf("%s/%s", path, e->d_name);
        only = fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               is_for_mounts(d, sub, &st, depth);
    }
    return only;
}

struct pack_ctx {
    const struct diff *d;
    diff_left_out_fn fn;
    void *ctx;
};

/* Sockets mean nothing without their process. */
static bool skip(void *ctx, const char *path, const struct stat *st)
{
    const struct pack_ctx *p = ctx;
    bool out = S_ISSOCK(st->st_mode) || is_for_mounts(p->d, path, st, 0);

    if (out && p->fn)
        p->fn(p->ctx, path);
    return out;
}

int64_t layer_pack(const struct diff *d, diff_left_out_fn fn, void *ctx, struct sink *out,
                   struct err *err)
{
    struct pack_ctx p = {d, fn, ctx};
    struct pack_options o = {.flags = PACK_OVERLAY, .skip = skip, .ctx = &p};

    return pack_tree(d->upper_fd, out, &o, err);
}
