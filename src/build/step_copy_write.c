/* COPY and ADD, second half: where a source goes follows from the destination's form and from what
 * is there. */
#include "build/step_copy-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/beneath.h"
#include "base/auto.h"
#include "base/io.h"
#include "build/owner.h"
#include "image/adopt.h"
#include "kern/rootfs.h"

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

/* A file goes to where a link leads that lies in its place, inside the root. */
static char *behind_link(int root, char *dest, struct arena *a)
{
    struct tree_item item;

    return tree_resolve(root, dest, a, &item) < 0 ? dest : arena_printf(a, "/%s", item.path);
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
    return behind_link(root, c->dest, a);
}

/* Archives are unpacked unless told otherwise; what comes from the net only when told. */
static bool may_unpack(const struct copying *c, const struct found *f, const struct tree_item *item)
{
    return c->add && !item->dir && (f->remote ? c->in->unpack > 0 : c->in->unpack != 0);
}

/* Files of a context that goes away with the build: then they have one name again. Those of a layer
 * would keep two, which some programs refuse to read (cron). */
static bool may_link(const struct copying *c, const struct found *f)
{
    return !is_layers(c) && !f->remote && !c->st->b->rq->keeps_context;
}

static int copy_item(const struct copying *c, int root, const struct found *f,
                     const struct tree_item *item, struct arena *a, struct err *err)
{
    const struct tree_copy how = {.from_fd = f->fd,
                                  .to_fd = root,
                                  .filter = &f->filter,
                                  .uid = c->uid,
                                  .gid = c->gid,
                                  .chmod = c->chmod,
                                  .may_link = may_link(c, f)};

    if (may_unpack(c, f, item)) {
        const struct add_archive ar = {.from_fd = f->fd,
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

static int copy_found(const struct copying *c, int root, const struct found *f, struct arena *a,
                      struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->items.n; i++)
        r = copy_item(c, root, f, &f->items.v[i], a, err);
    return r;
}

static int write_file(const struct copying *c, int root, const struct df_heredoc *h,
                      struct arena *a, struct err *err)
{
    bool dir = str_ends(c->dest, "/") || is_dir(root, c->dest);
    char *path = dir ? arena_printf(a, "%s/%s", c->dest, h->name) : behind_link(root, c->dest, a);
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

/* Is the destination a directory, whatever is there? */
static bool dest_is_dir(const struct copying *c)
{
    bool one = c->found.n == 1 && c->found.v[0].items.n == 1 && !c->files.n;

    return str_ends(c->dest, "/") || (one && c->found.v[0].items.v[0].dir && !c->in->parents);
}

/* How much of @path leads to the first of its directories that is not there; 0: all are. */
static size_t first_missing(int root, const char *path, struct arena *a)
{
    for (size_t n = 1; path[n - 1]; n += path[n] != '\0') {
        n += strcspn(path + n, "/");
        auto_close int fd =
            rootfs_open(root, arena_strndup(a, path, n), O_PATH | O_DIRECTORY, NULL);
        if (fd == -ENOENT)
            return n;
        if (fd < 0 || !path[n])
            break;
    }
    return 0;
}

/* In the layer itself, the directory that @real is to be in; what was made to find it goes again.
 */
static int open_new_parent(struct layer_stage *into, char *real, const char **ret_name,
                           struct err *err)
{
    char *slash = strrchr(real, '/');

    *slash = '\0';
    auto_close int fd =
        open_beneath(layer_stage_diff(into), *real ? real + 1 : ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0 || unlinkat(fd, slash + 1, AT_REMOVEDIR) < 0)
        return err_sys(err, "open a layer's directory");
    *ret_name = slash + 1;
    return take_fd(&fd);
}

/*
 * Where the destination, or a directory on the way to it, is not there yet, nothing below can be in
 * the way: what is above is brought into the new layer through the tree of all layers, and the rest
 * is filled in the layer itself. Without the overlay between, the kernel can copy or link.
 */
static int enter_new_dir(struct copying *c, struct layer_stage *into, int *root, struct arena *a,
                         struct err *err)
{
    char base[PATH_MAX], real[PATH_MAX];
    const char *name = NULL;
    size_t n = c->in->link || !dest_is_dir(c) ? 0 : first_missing(*root, c->dest, a);

    if (n == 0)
        return 0;
    auto_close int dir = rootfs_mkdir_p(*root, arena_strndup(a, c->dest, n), 0755, err);
    int r = dir < 0 ? dir : fd_path(*root, base, err);
    if (r >= 0)
        r = fd_path(dir, real, err);
    if (r < 0)
        return r;
    char *below = strcmp(base, "/") == 0 ? real : real + strlen(base);
    close_fd(&dir);
    close_fd(root); /* the last one: the overlay is gone */
    *root = open_new_parent(into, below, &name, err);
    c->dest = arena_printf(&c->st->a, "/%s%s", name ? name : "", c->dest + n);
    return *root < 0 ? *root : 0;
}

int copy_write(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
               struct err *err)
{
    static const struct strv nothing = {0};
    struct copying *c = ctx;
    int r = find_owner(c, err);

    (void)o;
    if (r < 0)
        return r;
    auto_close int root = stage_tree(c->st->b, c->in->link ? &nothing : &c->st->layers, into, err);
    r = root < 0 ? root : enter_new_dir(c, into, &root, a, err);
    for (size_t i = 0; r >= 0 && i < c->found.n; i++)
        r = copy_found(c, root, &c->found.v[i], a, err);
    for (size_t i = 0; r >= 0 && i < c->files.n; i++)
        r = write_file(c, root, c->files.v[i], a, err);
    return r;
}
