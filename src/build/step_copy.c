/*
 * COPY and ADD: sources are found and their digests taken first, since these decide whether there
 * is anything to do.
 */
#include "build/step_copy-priv.h"

#include <fcntl.h>
#include <string.h>

#include "archive/beneath.h"
#include "archive/pack.h"
#include "base/auto.h"
#include "build/key.h"
#include "build/materials.h"

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
    const char *to = str_or(text, "");
    bool dir = !*to || str_ends(to, "/") || str_ends(to, "/.") || strcmp(to, ".") == 0;
    const char *base = *to == '/' ? "" : str_or(c->st->config->working_dir, "/");
    char *path = path_clean(a, arena_printf(a, "%s/%s", base, to));
    c->dest = dir && !str_ends(path, "/") ? arena_printf(a, "%s/", path) : path;
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

    c->filter = (struct tree_filter){.ignored = origin_ignored(c->st->b, &c->from)};
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

static struct add_remote remote_of(const struct copying *c, const char *source)
{
    return (struct add_remote){source, c->checksum, c->in->keep_git_dir};
}

static bool is_remote(const struct copying *c, const char *source)
{
    return c->add && fetch_is_remote(source);
}

static int find_remote(struct copying *c, const char *source, struct err *err)
{
    const struct add_remote r = remote_of(c, source);
    struct found *f = &arena_push(&c->st->a, c->found);
    struct tree_item item;

    *f = (struct found){.fd = -1, .remote = true, .filter = {.exclude = c->filter.exclude}};
    int rc = add_fetch(c->st, &r, &f->got, &item, err);
    if (rc < 0)
        return rc;
    f->fd = f->got.fd;
    arena_push(&c->st->a, f->items) = item;
    return 0;
}

/*
 * What one layer alone has can be taken from its directory, without the overlay between. Looked for
 * from the top: what is there hides what lies below, but directories are merged unless opaque.
 * Return: fd of the layer's root, -1 when several have a part in it.
 */
static int only_layer(const struct copying *c, const struct tree_item *item)
{
    auto_close int found = -1;

    for (size_t i = c->from_layers.n; i-- > 0;) {
        auto_close int dir = layer_open(c->st->b->store, c->from_layers.v[i], NULL);
        auto_close int root =
            dir < 0 ? -1 : openat(dir, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        auto_close int at = root < 0 ? -1 : open_beneath(root, item->path, O_PATH | O_NOFOLLOW);
        if (root < 0 || (at >= 0 && found >= 0))
            return -1;
        if (at < 0)
            continue;
        found = take_fd(&root);
        auto_close int sub =
            item->dir ? open_beneath(found, item->path, O_RDONLY | O_DIRECTORY) : -1;
        if (!item->dir || (sub >= 0 && pack_is_opaque(sub)))
            break;
    }
    return take_fd(&found);
}

static int find_local(struct copying *c, const char *source, struct err *err)
{
    int r = c->from_fd < 0 ? open_from(c, err) : 0;

    if (r < 0)
        return r;
    if (c->checksum)
        return err_invalid(err, "checksum can't be specified for non-HTTP(S) sources");
    struct found *f = &arena_push(&c->st->a, c->found);
    *f = (struct found){.fd = c->from_fd, .filter = c->filter};
    r = tree_find(f->fd, source, f->filter.ignored, &c->st->a, &f->items, err);
    if (r < 0 || !is_layers(c) || f->items.n != 1)
        return r;
    int fd = only_layer(c, &f->items.v[0]);
    f->layer = fd >= 0;
    f->fd = fd >= 0 ? fd : f->fd;
    return 0;
}

static size_t count_items(const struct copying *c)
{
    size_t n = c->files.n;

    for (size_t i = 0; i < c->found.n; i++)
        n += c->found.v[i].items.n;
    return n;
}

static int find_sources(struct copying *c, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->sources.n; i++)
        r = is_remote(c, c->sources.v[i]) ? find_remote(c, c->sources.v[i], err)
                                          : find_local(c, c->sources.v[i], err);
    if (r >= 0 && count_items(c) > 1 && !str_ends(c->dest, "/"))
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
    if (r >= 0)
        r = expand(c, c->in->checksum, &c->checksum, err);
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

static int key_items(const struct copying *c, const struct found *f, struct key *k, struct err *err)
{
    bool kept = !f->remote && origin_keeps(c->st->b, &c->from);

    for (size_t i = 0; i < f->items.n; i++) {
        char digest[DIGEST_LEN + 1];
        int r = tree_digest(f->fd, &f->items.v[i], &f->filter, kept, digest, err);
        if (r < 0)
            return r;
        key_text(k, "name", f->items.v[i].dir && !c->in->parents ? NULL : f->items.v[i].name);
        key_text(k, "content", digest);
    }
    return 0;
}

/* A commit says it all, but what Git notes beside it is never twice the same. */
static void key_remote(const struct found *f, struct key *k)
{
    key_text(k, "id", f->got.id);
    key_text(k, "path", f->got.path);
    key_number(k, "time", f->got.mtime_s);
    key_number(k, "how", f->got.how);
}

/* By content: what is the same as before need not be copied again, wherever it comes from. */
static int key_content(const struct copying *c, struct key *k, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->found.n; i++) {
        if (c->found.v[i].remote)
            key_remote(&c->found.v[i], k);
        else
            r = key_items(c, &c->found.v[i], k, err);
    }
    return r;
}

/* ---- the step ---- */

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
    struct key *k = new_key(c, "copy");
    int r = find_sources(c, err);

    if (r >= 0)
        r = key_content(c, k, err);
    if (r < 0) {
        key_free(k);
        return r;
    }
    return step_make(c->st, c->p->step, k, copy_write, c, ret_empty, err);
}

/* What never changes is known by its name and the words, without looking at a file. */
static bool is_named(const struct copying *c)
{
    if (is_layers(c))
        return true;
    for (size_t i = 0; i < c->sources.n; i++) {
        const struct add_remote r = remote_of(c, c->sources.v[i]);
        if (!is_remote(c, r.source) || !add_is_pinned(&r, &c->st->a))
            return false;
    }
    return c->sources.n > 0;
}

static int copy_by_name(struct copying *c, bool *ret_empty, struct err *err)
{
    struct key *k = new_key(c, "copy --from");
    char quick[DIGEST_LEN + 1];

    key_list(k, "from", &c->from_layers);
    for (size_t i = 0; i < c->sources.n; i++)
        key_text(k, "source", c->sources.v[i]);
    if (!is_layers(c)) {
        key_text(k, "checksum", c->checksum);
        key_number(k, "keep git dir", c->in->keep_git_dir);
    }
    key_end(k, quick);
    int r = step_known(c->st, c->p->step, quick, ret_empty, err);
    for (size_t i = 0; r > 0 && !is_layers(c) && i < c->sources.n; i++)
        material_remote(c->st, &(struct add_remote){c->sources.v[i], c->checksum, false}, NULL);
    if (r != 0)
        return r < 0 ? r : 0;
    r = copy_by_content(c, ret_empty, err);
    return r < 0 ? r : step_also_known(c->st, c->p->step, quick, *ret_empty, err);
}

static int copy_all(struct copying *c, struct err *err)
{
    bool empty = true;
    int r = is_layers(c) ? origin_layers(c->st, &c->from, c->st->target->text, c->p->step,
                                         &c->from_layers, NULL, err)
                         : 0;

    if (r >= 0)
        r = is_named(c) ? copy_by_name(c, &empty, err) : copy_by_content(c, &empty, err);
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
    for (size_t i = 0; i < c.found.n; i++) {
        fetched_done(&c.found.v[i].got);
        if (c.found.v[i].layer)
            close_fd(&c.found.v[i].fd);
    }
    close_fd(&c.from_fd);
    return r;
}
