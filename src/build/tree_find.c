#include "build/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "kern/rootfs.h"

/* "/a/./b/../c/" -> "a/c"; ".." does not lead above the root. */
static char *clean(const char *path, struct arena *a)
{
    struct strv in = str_split(a, path, '/'), out = {0};

    for (size_t i = 0; i < in.n; i++) {
        if (str_empty(in.v[i]) || strcmp(in.v[i], ".") == 0)
            continue;
        if (strcmp(in.v[i], "..") != 0)
            strv_push(a, &out, in.v[i]);
        else if (out.n)
            out.n--;
    }
    return out.n ? strv_join(a, &out, "/") : arena_strdup(a, "");
}

/* How many parts of a pattern stand before its pivot. */
static size_t parts_before_pivot(const char *pattern, struct arena *a)
{
    const char *pivot = strstr(pattern, "/./");
    size_t n = 0;

    if (!pivot)
        return 0;
    const char *path = clean(arena_strndup(a, pattern, (size_t)(pivot - pattern)), a);
    for (n = *path != '\0'; *path; path++)
        n += *path == '/';
    return n;
}

static char *skip_parts(char *path, size_t n)
{
    for (; n > 0 && strchr(path, '/'); n--)
        path = strchr(path, '/') + 1;
    return path;
}

static int not_found(const char *pattern, struct err *err)
{
    return err_as(err, ERR_INVALID, ENOENT, "\"/%s\": not found", pattern);
}

int tree_resolve(int root_fd, const char *path, struct arena *a, struct tree_item *ret)
{
    char root[PATH_MAX], real[PATH_MAX];
    struct stat st;
    auto_close int fd = rootfs_open(root_fd, path, O_PATH, NULL);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -ENOENT;
    if (fd_path(root_fd, root, NULL) < 0 || fd_path(fd, real, NULL) < 0)
        return -ENOENT;
    const char *below = strcmp(root, "/") == 0 ? real : str_starts(real, root);
    if (!below || (*below && *below != '/'))
        return -ENOENT;
    *ret = (struct tree_item){.path = arena_strdup(a, below + (*below == '/')),
                              .name = arena_strdup(a, path),
                              .dir = S_ISDIR(st.st_mode)};
    return 0;
}

static bool is_ignored(const struct ignore *ig, const struct tree_item *item)
{
    if (!ig || !*item->path || !ignore_match(ig, item->path))
        return false;
    return !(item->dir && ignore_below(ig, item->path));
}

/* ---- wildcards ---- */

struct search {
    int root_fd;
    const char *pattern;
    size_t parts; /* of the pattern; no need to look deeper */
    bool deep;    /* "**" */
    const struct ignore *ignored;
    struct arena *a;
    struct tree_items *out;
};

static int search_dir(struct search *s, const char *path, size_t depth, struct err *err);

static int search_one(struct search *s, const char *path, size_t depth, struct err *err)
{
    struct tree_item item;
    struct stat st;
    int match = glob_match(s->pattern, path);
    auto_close int fd = rootfs_open(s->root_fd, path, O_PATH | O_NOFOLLOW, NULL);

    if (match < 0)
        return err_invalid(err, "syntax error in pattern: %s", s->pattern);
    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    if (match && tree_resolve(s->root_fd, path, s->a, &item) >= 0) {
        if (!is_ignored(s->ignored, &item))
            arena_push(s->a, *s->out) = item;
        return 0;
    }
    if (!S_ISDIR(st.st_mode) || (!s->deep && depth >= s->parts))
        return 0;
    return search_dir(s, path, depth + 1, err);
}

static int search_dir(struct search *s, const char *path, size_t depth, struct err *err)
{
    struct strv names = {0};
    auto_close int fd = rootfs_open(s->root_fd, path, O_RDONLY | O_DIRECTORY, err);
    int r = fd < 0 ? fd : dir_names(fd, s->a, &names, err);

    if (r >= 0 && depth > TREE_DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++)
        r = search_one(s, *path ? arena_printf(s->a, "%s/%s", path, names.v[i]) : names.v[i], depth,
                       err);
    return r;
}

static size_t count_parts(const char *pattern)
{
    size_t n = 1;

    for (const char *p = pattern; *p; p++)
        n += *p == '/';
    return n;
}

/* Without what stands before the pivot. */
static void cut_names(struct tree_items *items, size_t from, const char *pattern, struct arena *a)
{
    size_t n = parts_before_pivot(pattern, a);

    for (size_t i = from; n > 0 && i < items->n; i++)
        items->v[i].name = skip_parts(items->v[i].name, n);
}

static int find(int root_fd, const char *path, const struct ignore *ignored, struct arena *a,
                struct tree_items *ret, struct err *err)
{
    struct tree_item item;

    if (!strpbrk(path, "*?[\\")) {
        if (tree_resolve(root_fd, path, a, &item) < 0 || is_ignored(ignored, &item))
            return not_found(path, err);
        arena_push(a, *ret) = item;
        return 0;
    }
    size_t before = ret->n;
    struct search s = {.root_fd = root_fd,
                       .pattern = path,
                       .parts = count_parts(path),
                       .deep = strstr(path, "**") != NULL,
                       .ignored = ignored,
                       .a = a,
                       .out = ret};
    int r = search_dir(&s, "", 1, err);
    if (r >= 0 && ret->n == before)
        return not_found(path, err);
    return r;
}

int tree_find(int root_fd, const char *pattern, const struct ignore *ignored, struct arena *a,
              struct tree_items *ret, struct err *err)
{
    size_t before = ret->n;
    int r = find(root_fd, clean(pattern, a), ignored, a, ret, err);

    cut_names(ret, before, pattern, a);
    return r;
}
