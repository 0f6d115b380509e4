/*
 * COPY and ADD: sources are found and their digests taken first, since these decide whether there
 * is anything to do. Where a source goes follows from the destination's form and from what is
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/beneath.h"
#include "base/auto.h"
#include "base/io.h"
#include "build/add.h"
#include "build/key.h"
#include "build/owner.h"
#include "build/solve-priv.h"
#include "build/tree.h"
#include "image/adopt.h"
#include "kern/rootfs.h"

struct copying {
    struct stage *st;
    const struct planned *p;
    const struct ins_copy *in;
    bool add;

    struct origin from;
    struct strv from_layers; /* of a stage or image */
    struct strv sources;     /* as written, variables replaced */
    int from_fd;             /* root of the sources; -1 when there is none to open */
    char *dest;              /* absolute; a "/" at its end says that it is a directory */
    char *chown, *chmod;
    struct tree_filter filter;
    struct tree_items items;
    VEC_OF(struct df_heredoc *) files; /* heredocs, their variables replaced */
    int64_t uid, gid;
};

/* From a stage or an image, not from the context. */
static bool is_layers(const struct copying *c)
{
    return c->from.stage || c->from.image;
}

/* ---- words ---- */

static int expand(struct copying *c, const char *text, char **ret, struct err *err)
{
    struct expander x = scope_expander(&c->st->scope, c->st->b->file.escape);

    *ret = NULL;
    return text ? expand_word(&x, text, &c->st->a, ret, err) : 0;
}

/* Relative to WORKDIR; what says "directory" ("x/", ".", "x/.") ends with a slash. */
static int find_dest(struct copying *c, struct err *err)
{
    struct arena *a = &c->st->a;
    char *text = NULL;
    int r = expand(c, c->in->dest, &text, err);

    if (r < 0)
        return r;
    bool dir = !*text || str_ends(text, "/") || str_ends(text, "/.") || strcmp(text, ".") == 0;
    const char *base = *text == '/' ? "" : str_or(c->st->config->working_dir, "/");
    c->dest = arena_printf(a, "%s/%s%s", base, text, dir ? "/" : "");
    return 0;
}

static int expand_heredocs(struct copying *c, struct err *err)
{
    struct expander x = scope_expander(&c->st->scope, c->st->b->file.escape);
    const struct df_line *at = c->p->ins->at;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < at->heredocs.n; i++) {
        struct df_heredoc *h = arena_memdup(&c->st->a, at->heredocs.v[i], sizeof(*h));
        if (h->expand)
            r = expand_text(&x, h->body, &c->st->a, &h->body, err);
        arena_push(&c->st->a, c->files) = h;
    }
    return r;
}

static int make_filter(struct copying *c, struct err *err)
{
    struct strv patterns = {0};
    struct ignore *exclude = NULL;

    c->filter = (struct tree_filter){.ignored = is_layers(c) ? NULL : c->st->b->rq->ignored};
    for (size_t i = 0; i < c->in->exclude.n; i++) {
        char *p = NULL;
        int r = expand(c, c->in->exclude.v[i], &p, err);
        if (r < 0)
            return r;
        strv_push(&c->st->a, &patterns, p);
    }
    int r = patterns.n ? ignore_new(&patterns, &c->st->a, &exclude, err) : 0;
    c->filter.exclude = exclude;
    return r;
}

static int expand_sources(struct copying *c, struct err *err)
{
    for (size_t i = 0; i < c->in->sources.n; i++) {
        char *src = NULL;
        int r = expand(c, c->in->sources.v[i], &src, err);
        if (r < 0)
            return r;
        strv_push(&c->st->a, &c->sources, src);
    }
    return 0;
}

static int open_from(struct copying *c, struct err *err)
{
    if (!is_layers(c))
        return origin_open(c->st, &c->from, c->p->step, &c->from_fd, err);
    c->from_fd = stage_tree(c->st->b, &c->from_layers, NULL, err);
    return c->from_fd < 0 ? c->from_fd : 0;
}

static int find_sources(struct copying *c, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->sources.n; i++) {
        if (c->add && add_is_remote(c->sources.v[i]))
            return add_remote_not_built(c->sources.v[i], err);
        if (c->from_fd < 0)
            r = open_from(c, err);
        if (r >= 0)
            r = tree_find(c->from_fd, c->sources.v[i], c->filter.ignored, &c->st->a, &c->items,
                          err);
    }
    if (r >= 0 && c->items.n + c->files.n > 1 && !str_ends(c->dest, "/"))
        return err_invalid(err,
                           "When using %s with more than one source file, the destination must be "
                           "a directory and end with a /",
                           ins_name(c->p->ins->op));
    return r;
}

static int prepare(struct copying *c, struct err *err)
{
    int r = c->in->from ? plan_origin(c->st->b, c->st, c->in->from, &c->from, err) : 0;

    if (r >= 0)
        r = find_dest(c, err);
    if (r >= 0)
        r = expand(c, c->in->chown, &c->chown, err);
    if (r >= 0)
        r = expand(c, c->in->chmod, &c->chmod, err);
    if (r >= 0 && c->chmod)
        r = chmod_check(c->chmod, err);
    if (r >= 0)
        r = make_filter(c, err);
    if (r >= 0)
        r = expand_heredocs(c, err);
    return r < 0 ? r : expand_sources(c, err);
}

/* ---- identity ---- */

static void key_words(const struct copying *c, struct key *k)
{
    key_text(k, "dest", c->dest);
    key_text(k, "chown", c->chown);
    key_text(k, "chmod", c->chmod);
    key_number(k, "add", c->add ? c->in->unpack : -2);
    key_number(k, "parents", c->in->parents);
    key_number(k, "keep owner", is_layers(c));
    key_list(k, "exclude", &c->in->exclude);
    for (size_t i = 0; i < c->files.n; i++) {
        key_text(k, "file", c->files.v[i]->name);
        key_text(k, "body", c->files.v[i]->body);
    }
}

/* By content: what is the same as before need not be copied again, wherever it comes from. */
static int key_content(const struct copying *c, struct key *k, struct err *err)
{
    bool kept = !is_layers(c) && c->st->b->rq->keeps_context;

    for (size_t i = 0; i < c->items.n; i++) {
        char digest[DIGEST_LEN + 1];
        int r = tree_digest(c->from_fd, &c->items.v[i], &c->filter, kept, digest, err);
        if (r < 0)
            return r;
        key_text(k, "name", c->items.v[i].dir && !c->in->parents ? NULL : c->items.v[i].name);
        key_text(k, "content", digest);
    }
    return 0;
}

/* ---- copy ---- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_dir(int root, const char *path)
{
    auto_close int fd = rootfs_open(root, path, O_PATH | O_DIRECTORY, NULL);

    return fd >= 0;
}

/* Where an item goes; its own name counts for a file in a directory. */
static char *place_of(const struct copying *c, int root, const struct tree_item *item,
                      struct arena *a)
{
    if (c->in->parents)
        return arena_printf(a, "%s/%s", c->dest, item->name);
    if (item->dir)
        return c->dest;
    if (str_ends(c->dest, "/") || is_dir(root, c->dest))
        return arena_printf(a, "%s/%s", c->dest, base_of(item->name));
    return c->dest;
}

static int copy_item(const struct copying *c, int root, const struct tree_item *item,
                     struct arena *a, struct err *err)
{
    const struct tree_copy how = {.from_fd = c->from_fd,
                                  .to_fd = root,
                                  .filter = &c->filter,
                                  .uid = c->uid,
                                  .gid = c->gid,
                                  .chmod = c->chmod,
                                  .may_link = !is_layers(c) && !c->st->b->rq->keeps_context};

    if (c->add && !item->dir && c->in->unpack != 0) {
        const struct add_archive ar = {.from_fd = c->from_fd,
                                       .to_fd = root,
                                       .path = item->path,
                                       .dest = c->dest,
                                       .uid = c->chown ? c->uid : -1,
                                       .gid = c->chown ? c->gid : -1};
        int r = add_unpack(&ar, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return tree_copy_item(&how, item, place_of(c, root, item, a), err);
}

static int write_file(const struct copying *c, int root, const struct df_heredoc *h,
                      struct arena *a, struct err *err)
{
    bool dir = str_ends(c->dest, "/") || is_dir(root, c->dest);
    char *path = dir ? arena_printf(a, "%s/%s", c->dest, h->name) : c->dest;
    const char *name = NULL;
    auto_close int at = rootfs_parent(root, path, &name, err);

    if (at < 0)
        return at;
    (void)unlinkat(at, name, 0);
    auto_close int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int r = fd < 0 ? -errno : write_full(fd, h->body, strlen(h->body));
    if (r < 0)
        return err_no(err, r, "write %s", path);
    if (fchown(fd, (uid_t)(c->uid < 0 ? 0 : c->uid), (gid_t)(c->gid < 0 ? 0 : c->gid)) < 0 ||
        fchmod(fd, c->chmod ? chmod_apply(c->chmod, 0644, false) : 0644) < 0)
        return err_sys(err, "set the owner of %s", path);
    return 0;
}

/* Of a context, everything belongs to root; a stage's files keep their owner. */
static int find_owner(struct copying *c, struct err *err)
{
    c->uid = c->gid = is_layers(c) ? -1 : 0;
    if (!c->chown)
        return 0;
    auto_close int files = stage_tree(c->st->b, &c->st->layers, NULL, err);
    return files < 0 ? files : owner_find(files, c->chown, &c->uid, &c->gid, err);
}

/* Opens the tree that is written to: that of all layers, so that links and directories of the image
 * count, or the new layer alone. */
static int open_root(const struct copying *c, struct layer_stage *into, struct err *err)
{
    static const struct strv nothing = {0};

    return stage_tree(c->st->b, c->in->link ? &nothing : &c->st->layers, into, err);
}

/* Is the destination a directory, whatever is there? */
static bool dest_is_dir(const struct copying *c)
{
    return str_ends(c->dest, "/") || (c->items.n == 1 && c->items.v[0].dir && !c->in->parents);
}

/*
 * A destination that is not there yet is made through the tree of all layers; then nothing below it
 * can be in the way, and it is filled in the new layer itself: without the overlay between, the
 * kernel can copy or link.
 */
static int enter_new_dir(struct copying *c, struct layer_stage *into, int *root, struct err *err)
{
    char base[PATH_MAX], real[PATH_MAX];
    auto_close int there = rootfs_open(*root, c->dest, O_PATH | O_NOFOLLOW, NULL);

    if (there >= 0 || c->in->link || !dest_is_dir(c))
        return 0;
    auto_close int dir = rootfs_mkdir_p(*root, c->dest, 0755, err);
    int r = dir < 0 ? dir : fd_path(*root, base, err);
    if (r >= 0)
        r = fd_path(dir, real, err);
    if (r < 0)
        return r;
    const char *below = strcmp(base, "/") == 0 ? real : str_starts(real, base);
    close_fd(&dir);
    close_fd(root); /* the last one: the overlay is gone */
    *root = open_beneath(layer_stage_diff(into), below ? below + 1 : "", O_RDONLY | O_DIRECTORY);
    c->dest = arena_strdup(&c->st->a, "/");
    return *root < 0 ? err_sys(err, "open a layer's directory") : 0;
}

static int copy(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
                struct err *err)
{
    struct copying *c = ctx;
    int r = find_owner(c, err);

    (void)o;
    if (r < 0)
        return r;
    auto_close int root = open_root(c, into, err);
    r = root < 0 ? root : enter_new_dir(c, into, &root, err);
    for (size_t i = 0; r >= 0 && i < c->items.n; i++)
        r = copy_item(c, root, &c->items.v[i], a, err);
    for (size_t i = 0; r >= 0 && i < c->files.n; i++)
        r = write_file(c, root, c->files.v[i], a, err);
    return r;
}

static struct key *new_key(const struct copying *c, const char *what)
{
    /* An independent layer depends on what lies below only by the names of owners. */
    struct key *k = c->in->link && !c->chown ? key_new(what) : stage_key(c->st, what);

    key_number(k, "link", c->in->link);
    key_words(c, k);
    return k;
}

static int copy_by_content(struct copying *c, bool *ret_empty, struct err *err)
{
    char unused[DIGEST_LEN + 1];
    struct key *k = new_key(c, "copy");
    int r = find_sources(c, err);

    if (r >= 0)
        r = key_content(c, k, err);
    if (r < 0) {
        key_end(k, unused);
        return r;
    }
    return step_make(c->st, c->p->step, k, copy, c, ret_empty, err);
}

/* From layers, which never change: known by them and the words, without looking at a file. */
static int copy_from_layers(struct copying *c, bool *ret_empty, struct err *err)
{
    struct key *k = new_key(c, "copy --from");
    char quick[DIGEST_LEN + 1];

    key_list(k, "from", &c->from_layers);
    for (size_t i = 0; i < c->in->sources.n; i++)
        key_text(k, "source", c->sources.v[i]);
    key_end(k, quick);
    int r = step_known(c->st, c->p->step, quick, ret_empty, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = copy_by_content(c, ret_empty, err);
    return r < 0 ? r : step_also_known(c->st, c->p->step, quick, *ret_empty, err);
}

static int copy_all(struct copying *c, struct err *err)
{
    bool layers = c->from.stage || c->from.image, empty = true;
    int r =
        layers ? origin_layers(c->st, &c->from, NULL, c->p->step, &c->from_layers, NULL, err) : 0;

    if (r >= 0)
        r = layers ? copy_from_layers(c, &empty, err) : copy_by_content(c, &empty, err);
    if (r >= 0)
        stage_history(c->st, c->p->ins->text, empty);
    return r;
}

int step_copy(struct stage *st, const struct planned *p, struct err *err)
{
    struct copying c = {
        .st = st, .p = p, .in = &p->ins->copy, .add = p->ins->op == INS_ADD, .from_fd = -1};
    int r = step_begin(st, p->step, err);

    if (r >= 0)
        r = prepare(&c, err);
    if (r >= 0)
        r = copy_all(&c, err);
    close_fd(&c.from_fd);
    return r;
}
