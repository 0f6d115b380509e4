/*
 * Files that come with a session: the build's own context and those that have a name, each listed
 * first or sent as a whole; and images of OCI layouts, which are loaded for the one build and go
 * with it unless somebody has named them meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "archive/stream.h"
#include "base/failpoint.h"
#include "engine/build_session-priv.h"
#include "image/load.h"

/* ---- contexts ---- */

static struct session_context *find(struct build_session *s, const char *name)
{
    for (size_t i = 0; i < s->ncontexts; i++)
        if (str_eq(s->contexts[i].name, name))
            return &s->contexts[i];
    return NULL;
}

static int check_new(struct build_session *s, const char *name, struct err *err)
{
    if (name && (!*name || strlen(name) > SESSION_NAME_MAX))
        return err_invalid(err, "the name of a context has 1 to %d bytes", SESSION_NAME_MAX);
    if (s->ncontexts == SESSION_CONTEXTS_MAX)
        return err_invalid(err, "more than %d contexts", SESSION_CONTEXTS_MAX);
    if (find(s, name))
        return name ? err_invalid(err, "the session has a context %s", name)
                    : err_invalid(err, "the session has a context");
    return 0;
}

static struct session_context *add(struct build_session *s, const char *name,
                                   struct kept_context *context)
{
    struct session_context *c = &s->contexts[s->ncontexts++];

    *c = (struct session_context){.name = name ? arena_strdup(&s->mem, name) : NULL,
                                  .context = context};
    return c;
}

/* The list lives as long as the session. */
static int add_listed(struct build_session *s, const char *name,
                      const struct build_context_request *rq, struct arena *a,
                      struct build_context_response *ret, struct err *err)
{
    struct kept_context *context = NULL;
    size_t before = s->mem.total;
    int r = check_new(s, name, err);

    if (r < 0)
        return r;
    rq = json_clone(&build_context_request_type, rq, &s->mem);
    s->bytes += s->mem.total - before;
    r = context_open(s->e->builder, rq, &s->mem, &context, err);
    if (r >= 0)
        context_missing(add(s, name, context)->context, a, ret);
    return r;
}

/* One that waits, or, without an id, a new one. */
static int take(struct engine *e, const char *id, struct build_session **ret, struct err *err)
{
    if (!str_empty(id))
        return build_session_take(e, id, ret, err);
    *ret = build_session_new(e);
    return 0;
}

/* Back to those that wait; after an error it is gone. */
static int give_back(struct build_session *s, int r, struct err *err)
{
    if (r >= 0)
        return build_session_put(s, err);
    build_session_free(s);
    return r;
}

int engine_build_context(struct engine *e, const char *session, const char *name,
                         const struct build_context_request *rq, struct arena *a,
                         struct build_context_response *ret, struct err *err)
{
    struct build_session *s = NULL;
    int r = take(e, session, &s, err);

    if (r < 0)
        return r;
    r = add_listed(s, name, rq, a, ret, err);
    ret->session = arena_strdup(a, s->id);
    return give_back(s, r, err);
}

/* What was missing, or, of one that was not listed, everything. */
static int fill(struct build_session *s, const char *name, struct source *body, struct err *err)
{
    struct session_context *c = find(s, name);
    struct kept_context *whole = NULL;

    if (c && c->complete)
        return err_invalid(err, "the session has a context %s", name);
    int r = c ? 0 : check_new(s, name, err);
    if (r >= 0 && !c) {
        r = context_whole(s->e->builder, &whole, err);
        c = r < 0 ? NULL : add(s, name, whole);
    }
    if (r >= 0)
        r = build_context_unpack(context_fd(c->context), body, err);
    if (r >= 0)
        r = context_complete(c->context, err);
    if (r >= 0)
        c->complete = true;
    return r;
}

int engine_build_context_files(struct engine *e, const char *session, const char *name,
                               img_read read, void *arg, struct err *err)
{
    auto_source struct source *body = source_cb(read, arg);
    struct build_session *s = NULL;
    int r = build_session_take(e, session, &s, err);

    if (r < 0)
        return r;
    r = fill(s, str_or(name, ""), body, err);
    return give_back(s, r, err);
}

struct kept_context *build_session_context(struct build_session *s, const char *name)
{
    struct session_context *c = s ? find(s, name) : NULL;

    return c && (!name || c->complete) ? c->context : NULL;
}

/* ---- images ---- */

static int known_images(struct engine *e, struct arena *a, struct strv *ret, struct err *err)
{
    struct image_rows rows = {0};
    int r = image_rows_all(e->images, a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++)
        strv_push(a, ret, rows.v[i].id);
    return r;
}

/* Of several platforms that which the build is for. */
static int choose(struct engine *e, const struct load_result *all, const char *platform,
                  const char **ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct platform want, have;
    int best = 0, r = platform_parse(platform, &want, err);

    for (size_t i = 0; r >= 0 && i < all->n; i++) {
        struct oci_image *img = NULL;
        r = image_config_read(e->images, all->v[i].id, &a, &img, NULL, err);
        if (r < 0)
            return r;
        platform_set(&have, img->os, img->architecture, img->variant);
        int score = all->n == 1 ? 1 : platform_score(&want, &have);
        if (score > best) {
            best = score;
            *ret = all->v[i].id;
        }
    }
    if (r >= 0 && best == 0)
        r = err_not_found(err, "the layout has no image for this platform");
    return r;
}

static int load(struct build_session *s, const char *name, const char *platform,
                struct source *body, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct load_result all = {0};
    struct strv before = {0};
    const char *id = NULL;
    int r = known_images(s->e, &a, &before, err);

    if (r >= 0)
        r = image_load(s->e->images, body, NULL, &a, &all, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < all.n; i++)
        if (!strv_has(&before, all.v[i].id))
            strv_push(&s->mem, &s->fresh, all.v[i].id);
    FAIL_POINT("build.layout.loaded", err);
    r = choose(s->e, &all, platform, &id, err);
    if (r >= 0)
        s->images[s->nimages++] = (struct session_image){.name = arena_strdup(&s->mem, name),
                                                         .id = arena_strdup(&s->mem, id)};
    return r;
}

int engine_build_layout_image(struct engine *e, const char *session, const char *name,
                              const char *platform, img_read read, void *arg, struct err *err)
{
    auto_source struct source *body = source_cb(read, arg);
    struct build_session *s = NULL;
    int r = build_session_take(e, session, &s, err);

    if (r < 0)
        return r;
    if (str_empty(name) || strlen(name) > SESSION_NAME_MAX)
        r = err_invalid(err, "the name of a context has 1 to %d bytes", SESSION_NAME_MAX);
    else if (s->nimages == SESSION_IMAGES_MAX)
        r = err_invalid(err, "more than %d images", SESSION_IMAGES_MAX);
    else
        r = load(s, name, platform, body, err);
    return give_back(s, r, err);
}

const char *build_session_image(const struct build_session *s, const char *name)
{
    for (size_t i = 0; s && i < s->nimages; i++)
        if (strcmp(s->images[i].name, name) == 0)
            return s->images[i].id;
    return NULL;
}

/* Nobody else may have taken it up: a name, or a container. */
static void forget_image(struct engine *e, const char *id)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_row row;

    if (image_by_id(e->images, id, &a, &row, NULL) >= 0 && !row.tags.n && !row.digests.n)
        (void)!image_delete(e->images, id, NULL); /* else "image prune" does it */
}

/* ---- the end ---- */

void build_session_drop_files(struct build_session *s)
{
    for (size_t i = 0; i < s->ncontexts; i++)
        context_close(s->contexts[i].context);
    for (size_t i = 0; i < s->fresh.n; i++)
        forget_image(s->e, s->fresh.v[i]);
    if (s->fresh.n)
        (void)!store_gc(s->e->images, NULL, NULL, NULL);
    arena_done(&s->mem);
}
