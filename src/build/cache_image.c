#include "build/cache_image.h"

#include <errno.h>

#include "base/time.h"
#include "store/build_cache.h"

void cache_image_note(struct stage *st, const char *key, bool empty)
{
    struct oci_image_step *s = arena_new(&st->a, struct oci_image_step);

    s->key = arena_strdup(&st->a, key);
    s->layer = empty ? -1 : (int64_t)st->layers.n - 1;
    arena_push(&st->a, st->image->steps) = s;
}

/* What is known here already stays: it was made here. */
static int put_step(struct build *b, const struct oci_image *img, const struct oci_image_step *s,
                    const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_cache_row row = {.key = s->key, .description = arena_strdup(&a, name)}, old;

    if (!digest_valid(s->key) || s->layer >= (int64_t)img->rootfs.diff_ids.n)
        return 0;
    if (s->layer >= 0)
        row.diff_id = img->rootfs.diff_ids.v[s->layer];
    int r = build_cache_use(b->store, s->key, b->lease, &a, &old, err);
    return r != 0 ? (r < 0 ? r : 0) : build_cache_put(b->store, &row, now_ns(), err);
}

/* A pull of a cache belongs to no step. */
static int say_nothing(void *arg, const struct transfer_event *e, struct err *err)
{
    (void)arg;
    (void)e;
    (void)err;
    return 0;
}

/* Return: 1: it has steps; 0. */
static int take_steps(struct build *b, const char *id, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image *img = NULL;
    int r = image_config_read(b->store, id, &a, &img, NULL, err);

    for (size_t i = 0; r >= 0 && i < img->rootfs.diff_ids.n; i++)
        lease_add(b->lease, img->rootfs.diff_ids.v[i]);
    for (size_t i = 0; r >= 0 && i < img->steps.n; i++)
        r = put_step(b, img, img->steps.v[i], name, err);
    return r < 0 ? r : img->steps.n > 0;
}

static int take_one(struct build *b, const char *name, const char *platform, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *id = NULL;
    int r = b->host->image(b->rq->host_ctx, name, platform, false, b->rq->gone_fd, say_nothing,
                           NULL, &a, &id, err);

    return r < 0 ? r : take_steps(b, id, name, err);
}

int cache_image_local(struct build *b, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_row row;

    if (str_empty(name) || image_resolve(b->store, name, &a, &row, NULL) < 0)
        return 0;
    return take_steps(b, row.id, name, err);
}

int cache_tell_lost(struct build *b, const char *name, const struct err *why, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct check_warning w = {.rule = "CacheFrom",
                              .message = arena_printf(&a, "cache of %s: %s", name, why->msg),
                              .description = "",
                              .url = ""};
    struct build_event e = {.kind = BUILD_WARNING, .warning = &w};

    return build_tell_event(b, &e, err);
}

int cache_image_take(struct build *b, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->rq->cache_from.n * b->ntargets; i++) {
        const char *name = b->rq->cache_from.v[i / b->ntargets];
        struct err why = {0};
        r = take_one(b, name, b->targets[i % b->ntargets].text, &why);
        if (r < 0 && r != -ECANCELED)
            r = cache_tell_lost(b, name, &why, err);
    }
    return r;
}
