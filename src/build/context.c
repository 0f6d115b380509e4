#include "build/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "build/builder-priv.h"
#include "build/context_list.h"
#include "build/tree.h"
#include "kern/rootfs.h"

#define KEEP_NS (CONTEXT_KEEP_DAYS * INT64_C(86400) * NS_PER_S)
#define CLAIM_MAX 80

struct kept_context {
    struct builder *b;
    char key[65]; /* "" for one that goes with its build */
    char name[65];
    int fd;
    char *path;
    struct context_list list;
};

/* ---- whose it is ---- */

static char *claim_of(const char *key, char out[CLAIM_MAX])
{
    (void)snprintf(out, CLAIM_MAX, "context:%s", key);
    return out;
}

bool context_try_claim(struct builder *b, const char *key)
{
    char claim[CLAIM_MAX];

    return builder_try_claim(b, claim_of(key, claim));
}

void context_release(struct builder *b, const char *key)
{
    char claim[CLAIM_MAX];

    builder_release(b, claim_of(key, claim));
}

/* ---- a tree made to fit ---- */

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

static int mismatch(const char *path, struct err *err)
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
    return fit->strict ? mismatch(path, err) : remove_tree_at(dir, name, err);
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
static int make_entry(const struct kept_context *c, size_t i, struct err *err)
{
    const struct build_context_file *f = c->list.v[i];
    const char *name = NULL;
    auto_close int dir = rootfs_parent(c->fd, f->path, &name, err);

    if (dir < 0)
        return dir;
    int r = *f->kind == 'd' ? mkdirat(dir, name, 0700) : symlinkat(f->link, dir, name);
    return r < 0 ? err_sys(err, "make %s", f->path) : 0;
}

static int make_missing(struct kept_context *c, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->list.n; i++) {
        if (c->list.there[i])
            continue;
        if (*c->list.v[i]->kind == 'f')
            c->list.missing[i] = true;
        else
            r = make_entry(c, i, err);
    }
    return r;
}

static int fit_all(struct kept_context *c, bool strict, struct err *err)
{
    struct fit fit = {.list = &c->list, .strict = strict};

    memset(c->list.there, 0, c->list.n);
    return fit_dir(&fit, c->fd, "", err);
}

int context_complete(struct kept_context *c, struct err *err)
{
    FAIL_POINT("build.context.sent", err);
    int r = fit_all(c, true, err);

    for (size_t i = 0; r >= 0 && i < c->list.n; i++)
        if (!c->list.there[i])
            r = mismatch(c->list.v[i]->path, err);
    return r;
}

/* ---- opening and closing ---- */

static int fd_of(const struct kept_context *c)
{
    return *c->key ? c->b->contexts_fd : c->b->tmp_fd;
}

/* Those that nobody has built for long. What stands in the way is in use. */
static void sweep(struct builder *b)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int64_t now = now_ns();
    struct stat st;

    if (dir_names(b->contexts_fd, &a, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.n; i++) {
        if (fstatat(b->contexts_fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            now - ns_of(&st.st_mtim) < KEEP_NS || !context_try_claim(b, names.v[i]))
            continue;
        (void)!remove_tree_at(b->contexts_fd, names.v[i], NULL); /* the next build tries again */
        context_release(b, names.v[i]);
    }
}

static int open_tree(struct kept_context *c, struct err *err)
{
    int at = fd_of(c);

    if (mkdirat(at, c->name, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make the context's directory");
    c->fd = openat(at, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->fd < 0)
        return err_sys(err, "open the context's directory");
    c->path =
        xasprintf("%s/%s/%s", c->b->host->data_path, *c->key ? BUILD_CONTEXTS : BUILD_TMP, c->name);
    return 0;
}

void context_missing(const struct kept_context *c, struct arena *a,
                     struct build_context_response *ret)
{
    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.missing[i])
            arena_push(a, ret->missing) = (int64_t)i;
}

static int fill(struct kept_context *c, struct err *err)
{
    int r = open_tree(c, err);

    if (r < 0)
        return r;
    FAIL_POINT("build.context.opened", err);
    r = fit_all(c, false, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.context.fits", err);
    return make_missing(c, err);
}

int context_open(struct builder *b, const struct build_context_request *rq, struct arena *a,
                 struct kept_context **ret, struct err *err)
{
    struct context_list list = {0};
    int r = context_list_check(rq, a, &list, err);

    if (r < 0)
        return r;
    struct kept_context *c = xnew(struct kept_context);
    *c = (struct kept_context){.b = b, .fd = -1, .list = list};
    sweep(b);
    if (context_try_claim(b, rq->key))
        memcpy(c->key, rq->key, sizeof(c->key));
    if (*c->key)
        memcpy(c->name, c->key, sizeof(c->name));
    else
        rand_hex(c->name, 16);
    r = fill(c, err);
    if (r < 0) {
        context_close(c);
        return err_wrap(err, r, "build context");
    }
    *ret = c;
    return 0;
}

int context_fd(const struct kept_context *c)
{
    return c->fd;
}

const char *context_path(const struct kept_context *c)
{
    return c->path;
}

bool context_kept(const struct kept_context *c)
{
    return *c->key;
}

/* Its time says when it was used last. */
void context_close(struct kept_context *c)
{
    if (!c)
        return;
    if (*c->key && c->fd >= 0)
        (void)futimens(c->fd, NULL);
    close_fd(&c->fd);
    if (*c->key)
        context_release(c->b, c->key);
    else
        (void)!remove_tree_at(c->b->tmp_fd, c->name, NULL); /* else the next start does it */
    free(c->path);
    free(c);
}
