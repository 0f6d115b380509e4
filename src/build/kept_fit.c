/*
 * A kept tree and a list of what it should be. First it is made to fit as far as that needs no
 * content; when the content has come, nothing may differ any more.
 */
#include "build/kept_list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "base/time.h"
#include "build/tree.h"
#include "kern/rootfs.h"

struct fit {
    struct context_list *list;
    bool strict; /* what differs is an error; else it is removed, or made */
    int depth;
};

static int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * NS_PER_S + t->tv_nsec;
}

static char kind_of(const struct stat *st)
{
    return S_ISREG(st->st_mode) ? 'f' : S_ISDIR(st->st_mode) ? 'd' : S_ISLNK(st->st_mode) ? 'l' : 0;
}

int context_mismatch(const char *path, struct err *err)
{
    return err_as(err, ERR_CONFLICT, ESTALE, "the build context is not what was listed: %s differs",
                  path);
}

static bool same_link(int dir, const char *name, const char *target)
{
    char text[CONTEXT_LINK_MAX + 1];
    ssize_t n = readlinkat(dir, name, text, sizeof(text));

    return n >= 0 && (size_t)n == strlen(target) && memcmp(text, target, (size_t)n) == 0;
}

static int set_mode(int dir, const char *name, const struct build_context_file *f,
                    const struct stat *st, struct err *err)
{
    if ((st->st_mode & 07777) == (mode_t)f->mode || *f->kind == 'l')
        return 0;
    return fchmodat(dir, name, (mode_t)f->mode, 0) < 0 ? err_sys(err, "change mode of %s", f->path)
                                                       : 0;
}

static int set_time(int dir, const char *name, const struct build_context_file *f,
                    const struct stat *st, struct err *err)
{
    const struct timespec t[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = f->mtime_ns / NS_PER_S, .tv_nsec = f->mtime_ns % NS_PER_S}};

    if (ns_of(&st->st_mtim) == f->mtime_ns)
        return 0;
    return utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(err, "set time of %s", f->path)
               : 0;
}

static int fit_dir(struct fit *fit, int fd, const char *path, struct err *err);

static int fit_subdir(struct fit *fit, int dir, const char *name, size_t i, struct err *err)
{
    const struct build_context_file *f = fit->list->v[i];
    auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int r = fd < 0 ? err_sys(err, "open %s", f->path) : fit_dir(fit, fd, f->path, err);

    if (r < 0 || !fit->strict)
        return r;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat %s", f->path);
    r = set_mode(dir, name, f, &st, err);
    return r < 0 ? r : set_time(dir, name, f, &st, err);
}

/* A nanosecond off is a time that no list has: the file is sent again by the next build. For one
 * that changed while it was sent, and for names of one file, which would change together. */
static int date_sent(int dir, const char *name, const struct build_context_file *f,
                     const struct stat *st, struct err *err)
{
    struct build_context_file dated = *f;

    dated.mtime_ns += st->st_size != f->size || st->st_nlink > 1;
    return set_time(dir, name, &dated, st, err);
}

/* Return: 1 it fits, 0 it does not. */
static int fit_file(struct fit *fit, int dir, const char *name, size_t i, const struct stat *st,
                    struct err *err)
{
    const struct build_context_file *f = fit->list->v[i];
    bool sent = fit->strict && fit->list->missing[i];
    int r = 0;

    if (!sent && (st->st_size != f->size || ns_of(&st->st_mtim) != f->mtime_ns))
        return 0;
    if (sent)
        r = date_sent(dir, name, f, st, err);
    if (r >= 0)
        r = set_mode(dir, name, f, st, err);
    return r < 0 ? r : 1;
}

/* Return: 1 it is as listed, 0 it is not, -errno. */
static int fit_entry(struct fit *fit, int dir, const char *name, size_t i, const struct stat *st,
                     struct err *err)
{
    const struct build_context_file *f = fit->list->v[i];

    if (kind_of(st) != *f->kind)
        return 0;
    if (*f->kind == 'f')
        return fit_file(fit, dir, name, i, st, err);
    if (*f->kind == 'l' && !same_link(dir, name, f->link))
        return 0;
    int r = *f->kind == 'd' ? fit_subdir(fit, dir, name, i, err)
            : fit->strict   ? set_time(dir, name, f, st, err)
                            : 0;
    return r < 0 ? r : 1;
}

static int fit_name(struct fit *fit, int dir, const char *name, const char *path, struct err *err)
{
    struct stat st;
    size_t i = 0;
    int r = 0;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "stat %s", path);
    if (context_list_find(fit->list, path, &i))
        r = fit_entry(fit, dir, name, i, &st, err);
    if (r > 0)
        fit->list->there[i] = true;
    if (r != 0)
        return r < 0 ? r : 0;
    return fit->strict ? context_mismatch(path, err) : remove_tree_at(dir, name, err);
}

static int fit_dir(struct fit *fit, int fd, const char *path, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int r = dir_names(fd, &a, &names, err);

    if (r >= 0 && ++fit->depth > TREE_DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        char *sub = arena_printf(&a, "%s%s%s", path, *path ? "/" : "", names.v[i]);
        r = fit_name(fit, fd, names.v[i], sub, err);
    }
    fit->depth--;
    return r;
}

/* Directories and links need no content. */
static int make_entry(int root, const struct build_context_file *f, struct err *err)
{
    const char *name = NULL;
    auto_close int dir = rootfs_parent(root, f->path, &name, err);

    if (dir < 0)
        return dir;
    int r = *f->kind == 'd' ? mkdirat(dir, name, 0700) : symlinkat(f->link, dir, name);
    return r < 0 ? err_sys(err, "make %s", f->path) : 0;
}

int context_make_rest(struct context_list *list, int root_fd, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < list->n; i++) {
        if (list->there[i])
            continue;
        if (*list->v[i]->kind == 'f')
            list->missing[i] = true;
        else
            r = make_entry(root_fd, list->v[i], err);
    }
    return r;
}

int context_fit(struct context_list *list, int root_fd, bool strict, struct err *err)
{
    struct fit fit = {.list = list, .strict = strict};

    memset(list->there, 0, list->n);
    return fit_dir(&fit, root_fd, "", err);
}
