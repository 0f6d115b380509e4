#include "build/kept_list.h"

#include <stdlib.h>
#include <string.h>

#include "build/kept_context.h"
#include "build/tree.h"

#define NAME_BYTES 255

static bool is_key(const char *key)
{
    return strlen(key) == 64 && strspn(key, "0123456789abcdef") == 64;
}

/* Relative, and every piece a name. */
static bool is_path(const char *p)
{
    size_t depth = 0;

    if (strlen(p) > CONTEXT_PATH_MAX)
        return false;
    for (;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_BYTES || (n <= 2 && strncmp(p, "..", n) == 0) ||
            ++depth > TREE_DEPTH_MAX)
            return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

static bool is_file(const struct build_context_file *f)
{
    const char *link = str_or(f->link, "");
    bool kind = str_eq(f->kind, "f") || str_eq(f->kind, "d") || str_eq(f->kind, "l");

    return kind && is_path(f->path) && f->mode >= 0 && f->mode <= 07777 && f->size >= 0 &&
           f->mtime_ns >= 0 && (*f->kind == 'l') == (*link != '\0') &&
           strlen(link) <= CONTEXT_LINK_MAX;
}

static int by_path(const void *key, const void *member)
{
    return strcmp(key, (*(struct build_context_file *const *)member)->path);
}

bool context_list_find(const struct context_list *l, const char *path, size_t *ret)
{
    struct build_context_file *const *at =
        l->n ? bsearch(path, l->v, l->n, sizeof(*l->v), by_path) : NULL;

    if (at)
        *ret = (size_t)(at - l->v);
    return at;
}

static bool has_parent(const struct context_list *l, const char *path)
{
    char parent[CONTEXT_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    size_t i = 0;

    if (!slash)
        return true;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    return context_list_find(l, parent, &i) && *l->v[i]->kind == 'd';
}

int context_list_check(const struct build_context_request *rq, struct arena *a,
                       struct context_list *ret, struct err *err)
{
    struct context_list l = {.v = rq->files.v, .n = rq->files.n};

    if (!is_key(rq->key))
        return err_invalid(err, "the key of a build context is 64 hex digits");
    if (l.n > CONTEXT_FILES_MAX)
        return err_invalid(err, "a build context of more than %u files", CONTEXT_FILES_MAX);
    for (size_t i = 0; i < l.n; i++) {
        const struct build_context_file *f = l.v[i];
        if (!is_file(f) || (i && strcmp(l.v[i - 1]->path, f->path) >= 0))
            return err_invalid(err, "build context: bad entry %zu: %.200s", i, f->path);
    }
    for (size_t i = 0; i < l.n; i++)
        if (!has_parent(&l, l.v[i]->path))
            return err_invalid(err, "build context: no directory for %.200s", l.v[i]->path);
    l.there = arena_alloc(a, l.n + 1);
    l.missing = arena_alloc(a, l.n + 1);
    *ret = l;
    return 0;
}
