#include "build/run_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/rand.h"
#include "build/builder-priv.h"
#include "build/tree.h"

#define PRIVATE_MAX 1000

static bool given_up(void *ctx)
{
    return build_failed(ctx);
}

/* "sha256:<hex>": ids are anybody's text, names are not. */
static char *name_of(const struct cache_want *w, unsigned n, struct arena *a)
{
    const char *ns = strmap_get(&w->st->b->rq->args, "BUILDKIT_CACHE_MOUNT_NS");
    char *text = arena_printf(a, "%s\n%s\n%u", str_or(ns, ""), w->id, n);
    char digest[DIGEST_LEN + 1];

    sha256_of(text, strlen(text), digest);
    return arena_strdup(a, digest + 7);
}

static int fill(const struct cache_want *w, int fd, struct err *err)
{
    static const struct tree_filter none = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct tree_items items = {0};
    auto_close int from = -1;

    if (origin_is_main(w->from))
        return 0;
    int r = origin_open(w->st, w->from, w->step, &from, err);
    if (r >= 0)
        r = tree_find(from, w->source, NULL, &a, &items, err);
    struct tree_copy c = {.from_fd = from, .to_fd = fd, .filter = &none, .uid = -1, .gid = -1};
    return r < 0 ? r : tree_copy_item(&c, &items.v[0], "/", err);
}

static int set_owner(const struct ins_mount *m, int fd, struct err *err)
{
    if (fchown(fd, m->uid < 0 ? 0 : (uid_t)m->uid, m->gid < 0 ? 0 : (gid_t)m->gid) < 0 ||
        fchmod(fd, m->mode < 0 ? 0755 : (mode_t)m->mode & 07777) < 0)
        return err_sys(err, "set the owner of a cache mount");
    return 0;
}

/* Filled beside its place, so that nobody finds half of one. */
static int make(const struct cache_want *w, const char *name, struct err *err)
{
    struct builder *b = w->st->b->builder;
    char tmp[17];

    rand_hex(tmp, 16);
    if (mkdirat(b->tmp_fd, tmp, 0700) < 0)
        return err_sys(err, "make a cache mount");
    auto_close int fd = openat(b->tmp_fd, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? err_sys(err, "open a cache mount") : fill(w, fd, err);
    if (r >= 0)
        r = set_owner(w->m, fd, err);
    if (r >= 0 && renameat2(b->tmp_fd, tmp, b->cache_fd, name, RENAME_NOREPLACE) < 0 &&
        errno != EEXIST)
        r = err_sys(err, "name a cache mount");
    (void)!remove_tree_at(b->tmp_fd, tmp, NULL);
    return r;
}

static int open_or_make(const struct cache_want *w, const char *name, struct err *err)
{
    struct builder *b = w->st->b->builder;

    if (faccessat(b->cache_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        (void)!utimensat(b->cache_fd, name, NULL, 0); /* when it was last used: for prune */
        return 0;
    }
    return make(w, name, err);
}

int cache_take(const struct cache_want *w, struct cache_use *use, struct arena *a, char **ret_path,
               struct err *err)
{
    struct build *b = w->st->b;
    char *name = name_of(w, 0, a);
    int r = 0;

    if (w->m->sharing == SHARING_LOCKED) {
        r = builder_claim(b->builder, name, given_up, b, err);
        use->claim = r < 0 ? NULL : arena_strdup(&w->st->a, name);
    }
    for (unsigned n = 0; w->m->sharing == SHARING_PRIVATE && !use->claim; n++) {
        if (n == PRIVATE_MAX)
            return err_no(err, EMFILE, "too many private copies of cache mount %s", w->id);
        name = name_of(w, n, a);
        if (builder_try_claim(b->builder, name))
            use->claim = arena_strdup(&w->st->a, name);
    }
    if (r >= 0)
        r = open_or_make(w, name, err);
    if (r >= 0)
        *ret_path = arena_printf(a, "%s/" BUILD_CACHE "/%s", b->host->data_path, name);
    return r;
}

void cache_give_back(struct builder *b, struct cache_use *use)
{
    if (use->claim)
        builder_release(b, use->claim);
    use->claim = NULL;
}
