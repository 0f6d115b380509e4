/*
 * --squash: the layers that a build put upon its base image become one. Their directories are
 * merged as overlay would show them, the topmost first, with what hides the base's files: whiteouts
 * and opaque marks. It is a step like others, known by the layers it is made of.
 *
 * Source: moby, daemon/images/squash: the history keeps its entries, which have no layer any more,
 * and gets one more that has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/clone.h"
#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/dir.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "build/cache_import.h"
#include "build/key.h"
#include "build/solve-priv.h"
#include "build/tree.h"
#include "image/adopt.h"

struct squash {
    struct stage *st;
    struct strv base, upper; /* layers, the lowest first */
    struct cloner *cloner;
    int depth;
};

/* One directory in all layers that have a part in it, the topmost first. */
struct merged {
    int *dirs;
    size_t n;
    int base; /* the same in the base, or -1 */
    int to;
    const char *path; /* "" for the root */
};

static int merge_dir(struct squash *s, const struct merged *m, struct err *err);

static void close_all(struct merged *m)
{
    for (size_t i = 0; i < m->n; i++)
        close_fd(&m->dirs[i]);
    close_fd(&m->base);
    close_fd(&m->to);
    free(m->dirs);
}

static int open_sub(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool in_base(const struct merged *m, const char *name)
{
    struct stat st;

    return m->base >= 0 && fstatat(m->base, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* From layer @i on, down to the first that hides what lies below it. Return: 1 one does; 0. */
static int open_subs(const struct merged *m, size_t i, const char *name, struct merged *sub,
                     struct err *err)
{
    for (; i < m->n; i++) {
        int fd = open_sub(m->dirs[i], name);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
            return 1; /* a file, or a whiteout */
        if (fd < 0)
            return err_sys(err, "open %s", name);
        sub->dirs[sub->n++] = fd;
        if (pack_is_opaque(fd))
            return 1;
    }
    return 0;
}

static int merge_sub(struct squash *s, const struct merged *m, size_t i, const char *name,
                     const char *path, struct err *err)
{
    struct merged sub = {.dirs = xcalloc(m->n, sizeof(int)), .base = -1, .to = -1, .path = path};
    int hides = open_subs(m, i, name, &sub, err), r = hides;

    if (r >= 0 && mkdirat(m->to, name, 0700) < 0)
        r = err_sys(err, "make %s", path);
    if (r >= 0 && (sub.to = open_sub(m->to, name)) < 0)
        r = err_sys(err, "open %s", path);
    if (r >= 0 && hides && in_base(m, name))
        r = unpack_set_opaque(sub.to, err);
    if (r >= 0 && !hides && m->base >= 0)
        sub.base = open_sub(m->base, name); /* -1: the base has none */
    if (r >= 0)
        r = merge_dir(s, &sub, err);
    close_all(&sub);
    return r;
}

static int merge_entry(struct squash *s, const struct merged *m, size_t i, const char *name,
                       struct err *err)
{
    auto_free char *path = xasprintf("%s%s%s", m->path, *m->path ? "/" : "", name);
    struct stat st;

    if (fstatat(m->dirs[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "stat %s", path);
    if (S_ISDIR(st.st_mode))
        return merge_sub(s, m, i, name, path, err);
    if (tree_is_nothing(&st) && !in_base(m, name))
        return 0; /* what it hid is not there any more */
    return clone_one(s->cloner, m->dirs[i], m->to, name, path, err);
}

static int merge_names(struct squash *s, const struct merged *m, struct err *err)
{
    auto_map struct map *seen = map_new();
    int r = 0;

    for (size_t i = 0; r >= 0 && i < m->n; i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct strv names = {0};
        r = dir_names(m->dirs[i], &a, &names, err);
        for (size_t k = 0; r >= 0 && k < names.n; k++)
            if (!map_set(seen, names.v[k], s))
                r = merge_entry(s, m, i, names.v[k], err);
    }
    return r;
}

static int merge_dir(struct squash *s, const struct merged *m, struct err *err)
{
    if (build_failed(s->st->b))
        return err_no(err, ECANCELED, "build canceled");
    if (++s->depth > TREE_DEPTH_MAX)
        return err_no(err, ELOOP, "%s lies too deep", m->path);
    int r = merge_names(s, m, err);
    s->depth--;
    return r < 0 ? r : clone_dir_attributes(m->dirs[0], m->to, m->path, err);
}

static int open_root(struct squash *s, struct layer_stage *into, struct merged *m, struct err *err)
{
    struct build *b = s->st->b;
    int r = cache_import_want(b, &s->upper, NULL, err);

    if (r >= 0)
        r = m->base = stage_tree(b, &s->base, NULL, err);
    m->to = fcntl(layer_stage_diff(into), F_DUPFD_CLOEXEC, 0);
    if (r >= 0 && m->to < 0)
        r = err_sys(err, "open a layer");
    for (size_t i = s->upper.n; r >= 0 && i-- > 0;) {
        auto_close int layer = layer_open(b->store, s->upper.v[i], err);
        int fd = layer < 0 ? layer : open_sub(layer, "diff");
        r = fd >= 0 ? 0 : layer < 0 ? layer : err_sys(err, "open layer %s", s->upper.v[i]);
        if (r >= 0)
            m->dirs[m->n++] = fd;
    }
    return r;
}

static int make(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
                struct err *err)
{
    struct squash *s = ctx;
    struct merged m = {.dirs = xcalloc(s->upper.n, sizeof(int)), .base = -1, .to = -1, .path = ""};
    int r = open_root(s, into, &m, err);

    (void)o, (void)a;
    s->cloner = clone_begin(layer_stage_diff(into));
    if (r >= 0)
        r = merge_dir(s, &m, err);
    clone_end(s->cloner);
    close_all(&m);
    return r < 0 ? err_wrap(err, r, "squash") : 0;
}

/* ---- history ---- */

static void note(struct stage *st, bool empty)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_image *img = st->image;
    char id[DIGEST_LEN + 1];

    json_encode(&oci_image_type, img, &text); /* the image that it would have been */
    sha256_of(text.data, text.len, id);
    for (size_t i = st->root.history; i < img->history.n; i++)
        img->history.v[i]->empty_layer = true;
    stage_history(st, "", empty);
    img->history.v[img->history.n - 1]->comment =
        st->root.image ? arena_printf(&st->a, "merge %s to %s", id, st->root.image)
                       : arena_printf(&st->a, "create new from %s", id);
}

static int squash_stage(struct stage *st, struct err *err)
{
    size_t n = st->root.layers;
    struct squash s = {
        .st = st, .base = {st->layers.v, n}, .upper = {st->layers.v + n, st->layers.n - n}};
    struct build_step *step = NULL;
    bool empty = true;

    if (s.upper.n == 0)
        return 0;
    int r = plan_more(st->b, "squashing layers", &step, err);
    if (r >= 0)
        r = step_begin(st, step, err);
    if (r < 0)
        return r;
    struct key *k = stage_key(st, "squash");
    key_number(k, "base", (int64_t)n);
    r = step_make(st, step, k, make, &s, &empty, err);
    if (r < 0)
        return r;
    struct strv squashed = strv_clone(&st->a, &s.base);
    if (!empty)
        strv_push(&st->a, &squashed, st->layers.v[st->layers.n - 1]);
    st->image->rootfs.diff_ids = (struct strv){s.base.v, n + s.upper.n};
    note(st, empty);
    st->layers = squashed;
    return 0;
}

/* Targets may share a stage. */
int squash_result(struct build *b, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->ntargets; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= b->targets[k].result == b->targets[i].result;
        r = again ? 0 : squash_stage(b->targets[i].result, err);
    }
    return r;
}
