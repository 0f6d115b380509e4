#include "build/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/map.h"
#include "base/time.h"
#include "build/builder-priv.h"
#include "build/kept_context.h"
#include "build/tree.h"
#include "store/build_cache.h"
#include "store/store.h"

static bool is_claimed(struct builder *b, const char *key)
{
    (void)pthread_mutex_lock(&b->lock);
    bool claimed = map_has(b->claimed, key);
    (void)pthread_mutex_unlock(&b->lock);
    return claimed;
}

/* ---- list ---- */

static int list_records(struct builder *b, struct arena *a, struct build_kepts *ret,
                        struct err *err)
{
    struct build_cache_rows rows = {0};
    int r = build_cache_list(b->store, a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        const struct build_cache_row *row = &rows.v[i];
        arena_push(a, *ret) = (struct build_kept){.id = row->key + strlen("sha256:"),
                                                  .type = "regular",
                                                  .description = row->description,
                                                  .size = row->size,
                                                  .created_ns = row->created_ns,
                                                  .used_ns = row->used_ns,
                                                  .uses = row->uses,
                                                  .in_use = is_claimed(b, row->key),
                                                  .shared = row->shared};
    }
    return r;
}

/* Directories that outlive a build, each named after what it is for. */
static const struct kept_dirs {
    const char *type, *description;
    bool (*claim)(struct builder *b, const char *name);
    void (*release)(struct builder *b, const char *name);
} mounts = {"exec.cachemount", "cache mount", builder_try_claim, builder_release},
  contexts = {"source.local", "local source for context", context_try_claim, context_release};

static int fd_of(const struct builder *b, const struct kept_dirs *kind)
{
    return kind == &mounts ? b->cache_fd : b->contexts_fd;
}

static bool dir_in_use(struct builder *b, const struct kept_dirs *kind, const char *name)
{
    if (!kind->claim(b, name))
        return true;
    kind->release(b, name);
    return false;
}

static void add_dir(struct builder *b, const struct kept_dirs *kind, const char *name,
                    struct arena *a, struct build_kepts *ret)
{
    int fd = openat(fd_of(b, kind), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return; /* gone meanwhile */
    if (fstat(fd, &st) < 0) {
        close_fd(&fd);
        return;
    }
    int64_t used = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    arena_push(a, *ret) = (struct build_kept){.id = arena_strdup(a, name),
                                              .type = kind->type,
                                              .description = arena_strdup(a, kind->description),
                                              .size = dir_size(fd),
                                              .created_ns = used,
                                              .used_ns = used,
                                              .in_use = dir_in_use(b, kind, name)};
}

static int list_dirs(struct builder *b, const struct kept_dirs *kind, struct arena *a,
                     struct build_kepts *ret, struct err *err)
{
    struct strv names = {0};
    int r = dir_names(fd_of(b, kind), a, &names, err);

    for (size_t i = 0; r >= 0 && i < names.n; i++)
        add_dir(b, kind, names.v[i], a, ret);
    return r;
}

static int by_use(const void *a, const void *b)
{
    const struct build_kept *x = a, *y = b;

    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

int build_kept_list(struct builder *b, struct arena *a, struct build_kepts *ret, struct err *err)
{
    int r = list_records(b, a, ret, err);

    if (r >= 0)
        r = list_dirs(b, &mounts, a, ret, err);
    if (r >= 0)
        r = list_dirs(b, &contexts, a, ret, err);
    if (r >= 0 && ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_use);
    return r;
}

/* ---- remove ---- */

/* A build that wants it at this moment finds it, or makes it anew. Return: 0; 1 it is in use. */
static int remove_dir(struct builder *b, const struct kept_dirs *kind, const char *name,
                      struct err *err)
{
    if (!kind->claim(b, name))
        return 1;
    int r = renameat(fd_of(b, kind), name, b->tmp_fd, name) < 0 && errno != ENOENT
                ? err_sys(err, "remove %s %s", kind->description, name)
                : 0;
    kind->release(b, name);
    return r < 0 ? r : remove_tree_at(b->tmp_fd, name, err);
}

static int remove_one(struct builder *b, const struct build_kept *k, struct arena *a,
                      struct err *err)
{
    FAIL_POINT("build.prune.one", err);
    if (k->type == mounts.type || k->type == contexts.type)
        return remove_dir(b, k->type == mounts.type ? &mounts : &contexts, k->id, err);
    return build_cache_remove(b->store, arena_printf(a, "sha256:%s", k->id), err);
}

/* Contexts go by themselves when nobody builds them. */
static bool goes(const struct build_prune *p, const struct build_kept *k)
{
    bool stays = k->shared || k->type == contexts.type;

    return !k->in_use && (p->all || !stays) && k->used_ns < p->before_ns &&
           (!p->wanted || p->wanted(p->ctx, k));
}

/* How much of @used may be left. Source: BuildKit, cache/manager.go, calculateKeepBytes(). */
static int64_t keep_of(const struct build_space *s, int64_t used, int64_t free_b)
{
    int64_t keep = s->max_used, excess = s->min_free - free_b;

    if (!s->max_used && !s->min_free)
        return s->reserved;
    if (s->min_free && excess > 0)
        keep = s->max_used && s->max_used < used - excess ? s->max_used : used - excess;
    else if (!s->max_used)
        keep = INT64_MAX; /* there is room enough */
    keep = keep > s->reserved ? keep : s->reserved;
    return keep > 0 ? keep : 0;
}

static int free_space(const struct builder *b, int64_t *ret, struct err *err)
{
    struct statvfs fs;

    if (fstatvfs(b->dir_fd, &fs) < 0)
        return err_sys(err, "look at the builder's file system");
    *ret = (int64_t)(fs.f_bavail * fs.f_frsize);
    return 0;
}

int64_t build_prune(struct builder *b, const struct build_prune *p, struct arena *a,
                    struct strv *ret_ids, struct err *err)
{
    struct build_kepts all = {0};
    int64_t left = 0, freed = 0, room = 0;
    int r = build_kept_list(b, a, &all, err);

    if (r >= 0)
        r = free_space(b, &room, err);
    for (size_t i = 0; i < all.n; i++)
        left += all.v[i].shared ? 0 : all.v[i].size;
    int64_t keep = keep_of(&p->space, left, room);
    for (size_t i = 0; r >= 0 && i < all.n && (keep == 0 || left > keep); i++) {
        const struct build_kept *k = &all.v[i];
        if (!goes(p, k))
            continue;
        r = remove_one(b, k, a, err);
        if (r != 0)
            continue;
        left -= k->shared ? 0 : k->size;
        freed += k->shared ? 0 : k->size;
        if (ret_ids)
            strv_push(a, ret_ids, k->id);
    }
    if (r >= 0)
        r = store_gc(b->store, NULL, NULL, err);
    return r < 0 ? r : freed;
}
