/*
 * Names of images come and go, and images with their last one. What a container was made from, or
 * mounts, stays: a running one keeps it in any case, a stopped one unless it is forced.
 */
#include "engine/images-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "distribution/reference.h"

/* With the manifest that the image has by the name it was found by: a push of the new name sends
 * what a push of the old one would. */
static int give_name(struct engine *e, const char *name, const struct image_row *row,
                     struct err *err)
{
    int r = db_begin(e->db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = e->db;
    r = image_tag_set(e->images, name, row->id, NULL, err);
    if (r >= 0 && row->manifest)
        r = image_name_origin_set(e->images, name, row->manifest, row->index, err);
    return r < 0 ? r : db_commit(&tx, err);
}

int img_tag(struct engine *e, const char *name, const char *repo, const char *tag, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_row row;
    struct reference ref;
    char text[REF_TEXT_MAX + 1];
    const char *full = str_empty(tag) ? repo : arena_printf(&a, "%s:%s", repo, tag);

    int r = reference_parse(str_or(full, ""), &ref, err);
    if (r >= 0 && *ref.digest)
        r = err_invalid(err, "refusing to create a tag with a digest reference");
    if (r >= 0)
        r = image_resolve(e->images, name, &a, &row, err);
    if (r < 0)
        return r;
    reference_default_tag(&ref);
    r = give_name(e, reference_text(&ref, text), &row, err);
    if (r < 0)
        return r;
    img_event(e, "tag", row.id, img_familiar(text, &a), NULL);
    return 0;
}

static void deleted(struct arena *a, struct img_deleted *ret, const char *untagged,
                    const char *gone)
{
    struct image_delete_item *it = arena_new(a, struct image_delete_item);

    it->untagged = arena_strdup(a, untagged);
    it->deleted = arena_strdup(a, gone);
    arena_push(a, *ret) = it;
}

static int untag(struct engine *e, const struct image_row *row, const char *full, struct arena *a,
                 struct img_deleted *ret, struct err *err)
{
    char *shown = img_familiar(full, a);
    int r = strchr(full, '@') ? image_digest_delete(e->images, full, err)
                              : image_tag_delete(e->images, full, err);

    if (r < 0)
        return r;
    img_event(e, "untag", row->id, shown, NULL);
    deleted(a, ret, shown, NULL);
    return 0;
}

/* Of the names by digest those go whose repository has no tag left; @gone is the tag that went,
 * NULL when all did. */
static int untag_digests(struct engine *e, const struct image_row *row, const char *gone,
                         struct arena *a, struct img_deleted *ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < row->digests.n; i++) {
        const char *name = row->digests.v[i];
        size_t n = strcspn(name, "@");
        bool named = gone && (strncmp(gone, name, n) != 0 || gone[n] != ':');
        for (size_t k = 0; gone && k < row->tags.n; k++)
            named |= strcmp(row->tags.v[k], gone) != 0 && strncmp(row->tags.v[k], name, n) == 0 &&
                     row->tags.v[k][n] == ':';
        if (!named)
            r = untag(e, row, name, a, ret, err);
    }
    return r;
}

/* Return: the container that keeps the image from being removed, or NULL. */
static struct container *user_of(struct engine *e, const char *image_id, bool running_only)
{
    struct container *found = NULL;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c && !found; c = c->next)
        if ((str_eq(c->image_id, image_id) || ctr_mounts_image(c, image_id)) &&
            (!running_only || c->status == CTR_RUNNING)) {
            found = c;
            c->refs++;
        }
    (void)pthread_mutex_unlock(&e->lock);
    return found;
}

static int check_unused(struct engine *e, const struct image_row *row, bool force, bool by_name,
                        const char *name, struct err *err)
{
    auto_ctr struct container *running = user_of(e, row->id, true);
    auto_ctr struct container *any = user_of(e, row->id, false);

    if (running && !(by_name && force))
        return err_conflict(err,
                            by_name
                                ? "conflict: unable to remove repository reference \"%s\" (must "
                                  "force) - container %.12s is using its referenced image %.12s"
                                : "conflict: unable to delete %.12s (cannot be forced) - image "
                                  "is being used by running container %.12s",
                            by_name ? name : row->id + 7, running->id, row->id + 7);
    if (any && !force)
        return err_conflict(err,
                            by_name
                                ? "conflict: unable to remove repository reference \"%s\" (must "
                                  "force) - container %.12s is using its referenced image %.12s"
                                : "conflict: unable to delete %.12s (must be forced) - image is "
                                  "being used by stopped container %.12s",
                            by_name ? name : row->id + 7, any->id, row->id + 7);
    return 0;
}

static int delete_image(struct engine *e, const struct image_row *row, struct arena *a,
                        struct img_deleted *ret, uint64_t *freed, struct err *err)
{
    struct gc_result gc = {0};

    FAIL_POINT("image.remove.row", err);
    int r = image_delete(e->images, row->id, err);
    if (r < 0)
        return r;
    deleted(a, ret, NULL, row->id);
    img_event(e, "delete", row->id, row->id, NULL);
    FAIL_POINT("image.remove.gc", err);
    r = store_gc(e->images, a, &gc, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < gc.layers.n; i++)
        deleted(a, ret, NULL, gc.layers.v[i]);
    *freed += gc.freed_b;
    return 0;
}

/* Is @name the id (or its beginning) of the image, not one of its names? */
static bool named_by_id(const char *name, const struct image_row *row)
{
    const char *hex = str_starts(name, "sha256:");

    return strncmp(row->id + 7, hex ? hex : name, strlen(hex ? hex : name)) == 0;
}

/* Is it the digest of the index that the image's names mean? */
static bool named_by_index(const char *name, const struct image_row *row)
{
    const char *hex = str_starts(name, "sha256:");

    return row->index && strcmp(row->index + strlen("sha256:"), hex ? hex : name) == 0;
}

/* The other platforms of a name that went: those that have no name of their own, that no other name
 * means, and that nobody uses. */
static int remove_parts(struct engine *e, const struct image_index *index, const char *but,
                        struct arena *a, struct img_deleted *ret, uint64_t *freed, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < index->n; i++) {
        const struct index_entry *entry = &index->v[i];
        struct image_row row;
        if (!entry->row || strcmp(entry->row->id, but) == 0 ||
            image_by_id(e->images, entry->row->id, a, &row, NULL) < 0)
            continue;
        auto_ctr struct container *user = user_of(e, row.id, false);
        if (user || row.tags.n || row.in_index)
            continue;
        r = untag_digests(e, &row, NULL, a, ret, err);
        if (r >= 0)
            r = delete_image(e, &row, a, ret, freed, err);
    }
    return r;
}

/* A removal, as far as it is understood. */
struct removal {
    struct engine *e;
    const char *name; /* as the user wrote it */
    bool force;
    struct image_row row;
    struct image_index index; /* of the name; empty for the id of one image */
    bool by_name;
    bool by_digest;              /* "name@sha256:..." */
    char full[REF_TEXT_MAX + 1]; /* of @by_name */
    struct arena *a;
    struct img_deleted *ret;
    uint64_t freed;
};

static int find_removed(struct removal *x, struct err *err)
{
    struct reference ref;
    int r = image_resolve(x->e->images, x->name, x->a, &x->row, err);

    if (r < 0)
        return r;
    bool by_index = named_by_index(x->name, &x->row);
    x->by_name = !by_index && !named_by_id(x->name, &x->row);
    if (x->row.index && (x->by_name || by_index))
        r = image_index_read(x->e->images, &x->row, x->a, &x->index, err);
    if (r < 0 || !x->by_name)
        return r;
    r = reference_parse(x->name, &ref, err);
    if (r < 0)
        return r;
    reference_default_tag(&ref);
    x->by_digest = *ref.digest;
    if (*ref.digest)
        ref.tag[0] = '\0'; /* the digest alone decides */
    (void)reference_text(&ref, x->full);
    return 0;
}

/* One of several names. */
static int remove_name(struct removal *x, struct err *err)
{
    int r = untag(x->e, &x->row, x->full, x->a, x->ret, err);

    if (r >= 0 && !x->by_digest)
        r = untag_digests(x->e, &x->row, x->full, x->a, x->ret, err);
    if (r >= 0)
        r = remove_parts(x->e, &x->index, x->row.id, x->a, x->ret, &x->freed, err);
    /* The name may have been the last with the manifest by which it came. */
    return r < 0 ? r : store_gc(x->e->images, NULL, NULL, err);
}

static int remove_all(struct removal *x, struct err *err)
{
    const struct image_row *row = &x->row;
    int r = check_unused(x->e, row, x->force, x->by_name, x->name, err);

    for (size_t i = 0; r >= 0 && i < row->tags.n; i++)
        r = untag(x->e, row, row->tags.v[i], x->a, x->ret, err);
    if (r >= 0)
        r = untag_digests(x->e, row, NULL, x->a, x->ret, err);
    auto_ctr struct container *user = user_of(x->e, row->id, false);
    if (r < 0)
        return r;
    if (!user || !x->by_name) /* forced: the name goes, the image stays for its containers */
        r = delete_image(x->e, row, x->a, x->ret, &x->freed, err);
    return r < 0 ? r : remove_parts(x->e, &x->index, row->id, x->a, x->ret, &x->freed, err);
}

int img_remove(struct engine *e, const char *name, bool force, bool noprune, struct arena *a,
               struct img_deleted *ret, struct err *err)
{
    struct removal x = {.e = e, .name = name, .force = force, .a = a, .ret = ret};
    int r = find_removed(&x, err);

    (void)noprune; /* parents are kept or not by reachability alone */
    if (r < 0)
        return r;
    size_t tags = x.row.tags.n, digests = x.row.digests.n;
    if (x.by_name && (tags > 1 || (x.by_digest && tags + digests > 1)))
        return remove_name(&x, err);
    if (!x.by_name && tags > 1 && !force)
        return err_conflict(err,
                            "conflict: unable to delete %.12s (must be forced) - image is "
                            "referenced in multiple repositories",
                            x.row.id + 7);
    return remove_all(&x, err);
}

int img_remove_platform(struct engine *e, const char *name, const struct platform *want, bool force,
                        struct arena *a, struct img_deleted *ret, struct err *err)
{
    struct image_row named, row;
    int r = image_resolve(e->images, name, a, &named, err);

    if (r < 0)
        return r;
    row = named;
    r = image_for_platform(e->images, name, want, a, &row, err);
    if (r < 0)
        return r;
    return img_remove(e, str_eq(row.id, named.id) ? name : row.id, force, false, a, ret, err);
}

int img_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct image_prune_response *ret, struct err *err)
{
    struct img_filter x = {.f = f, .a = a};
    struct image_rows rows = {0};
    struct img_deleted gone = {0};
    struct gc_result gc = {0};
    bool only_dangling = true;
    int r = img_filter_prepare(e, &x, err);

    if (r >= 0)
        r = filters_bool(f, "dangling", true, &only_dangling, err);
    x.dangling_given = false;
    if (r >= 0)
        r = image_rows_all(e->images, a, &rows, err);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct image_row *row = &rows.v[i];
        struct image_summary *s;
        struct strmap labels = {0};
        auto_ctr struct container *user = user_of(e, row->id, false);
        if (user || (only_dangling && (row->tags.n > 0 || row->in_index)))
            continue;
        r = img_summarize(e, row, a, &s, &labels, err);
        if (r < 0 || !img_matches(&x, row, &labels, &s->repo_tags) ||
            !filters_prune_labels(f, &labels))
            continue;
        for (size_t k = 0; r >= 0 && k < row->tags.n; k++)
            r = untag(e, row, row->tags.v[k], a, &gone, err);
        if (r >= 0)
            r = delete_image(e, row, a, &gone, &ret->space_reclaimed_b, err);
    }
    if (r >= 0)
        r = store_gc(e->images, a, &gc, err); /* what names left that went or moved */
    ret->space_reclaimed_b += gc.freed_b;
    ret->deleted.v = gone.v;
    ret->deleted.n = gone.n;
    char bytes[24];
    struct strmap attrs = {0};
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)ret->space_reclaimed_b);
    strmap_set(a, &attrs, "reclaimed", bytes);
    events_put(e->events, "image", "prune", "", &attrs);
    return r < 0 ? r : 0;
}
