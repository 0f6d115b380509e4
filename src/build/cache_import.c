#include "build/cache_import.h"

#include <errno.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/map.h"
#include "base/time.h"
#include "build/cache_doc.h"
#include "build/cache_image.h"
#include "build/cache_place-priv.h"
#include "store/build_cache.h"
#include "store/layers.h"

#define SOURCES_MAX 32
#define INDEX_DEPTH 3

struct cache_source {
    struct cache_place *place;
    struct remote_manifest man;
    struct cache_doc doc;
    bool lost; /* it was tried in vain; under the build's lock */
};

struct cache_entry {
    struct cache_source *from;
    const struct cache_step *step;
};

struct cache_imports {
    struct map *known; /* struct cache_entry by key */
    struct cache_source sources[SOURCES_MAX];
    size_t n;
};

/* ---- reading ---- */

/* The document itself, or that of the build's platform in an index. */
static int get_manifest(struct cache_source *s, struct arena *a, struct err *err)
{
    struct cache_place *p = s->place;
    struct dist_manifest doc;
    int r = p->ops->read(p, a, &doc, err);

    for (int depth = 0; r >= 0; depth++) {
        r = remote_cache_check(&doc, MEDIA_BUILD_CACHE, a, &s->man, err);
        if (r < 0 || !s->man.index)
            return r;
        const struct oci_descriptor *d = remote_choose(&s->man, &p->b->targets[0].platform);
        if (!d || depth == INDEX_DEPTH)
            return err_not_found(err, "it has nothing for this platform");
        r = p->ops->chosen(p, d, a, &doc, err);
    }
    return r;
}

static int read_source(struct cache_source *s, struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = get_manifest(s, a, err);

    if (r >= 0)
        r = s->place->ops->config(s->place, s->man.man.config, &text, err);
    if (r < 0)
        return r;
    return cache_doc_read(&s->man.man, arena_strndup(a, buf_str(&text), text.len), text.len, a,
                          &s->doc, err);
}

/* Of two that know a step the first counts. */
static void learn(struct cache_imports *im, struct cache_source *s, struct arena *a)
{
    for (size_t i = 0; i < s->doc.steps.n; i++) {
        const struct cache_step *step = s->doc.steps.v[i];
        if (map_has(im->known, step->key))
            continue;
        struct cache_entry *e = arena_new(a, struct cache_entry);
        *e = (struct cache_entry){s, step};
        (void)map_set(im->known, step->key, e);
    }
}

/* An image that is here need not be asked for. */
static int add(struct build *b, const struct build_cache_spec *spec, struct err *err)
{
    struct cache_imports *im = b->imports;
    struct cache_source *s = &im->sources[im->n];
    int r = str_eq(spec->type, "registry") ? cache_image_local(b, spec->ref, err) : 0;

    if (r != 0)
        return r < 0 ? r : 0;
    *s = (struct cache_source){0};
    r = cache_place_open(b, spec, false, &b->a, &s->place, err);
    if (r < 0)
        return r;
    im->n++; /* to be closed, also when it cannot be read */
    r = read_source(s, &b->a, err);
    if (r >= 0)
        learn(im, s, &b->a);
    return r;
}

int cache_import_open(struct build *b, struct err *err)
{
    const struct build_cache_specs *all = &b->rq->cache_imports;
    int r = 0;

    if (all->n > SOURCES_MAX)
        return err_invalid(err, "more than %d caches", SOURCES_MAX);
    if (!all->n)
        return 0;
    b->imports = arena_new(&b->a, struct cache_imports);
    b->imports->known = map_new();
    for (size_t i = 0; r >= 0 && i < all->n; i++) {
        const struct build_cache_spec *spec = all->v[i];
        struct err why = {0};
        r = add(b, spec, &why);
        if (r == -ECANCELED && err)
            *err = why;
        else if (r < 0)
            r = cache_tell_lost(b, str_or(spec->ref, "a directory"), &why, err);
    }
    return r < 0 ? r : 0;
}

void cache_import_close(struct build *b)
{
    struct cache_imports *im = b->imports;

    for (size_t i = 0; im && i < im->n; i++)
        im->sources[i].place->ops->free(im->sources[i].place);
    if (im)
        map_free(im->known);
}

/* ---- a step ---- */

static bool is_lost(struct build *b, const struct cache_source *s)
{
    (void)pthread_mutex_lock(&b->lock);
    bool lost = s->lost;
    (void)pthread_mutex_unlock(&b->lock);
    return lost;
}

static int lose(struct build *b, struct cache_source *s, const struct err *why, struct err *err)
{
    (void)pthread_mutex_lock(&b->lock);
    bool first = !s->lost;
    s->lost = true;
    (void)pthread_mutex_unlock(&b->lock);
    return first ? cache_tell_lost(b, s->place->shown, why, err) : 0;
}

static int fetch(struct build *b, const struct cache_entry *e, const struct build_step *step,
                 struct err *err)
{
    struct cache_source *s = e->from;
    const char *diff_id = s->doc.layers.v[e->step->layer];

    lease_add(b->lease, diff_id); /* before looking, so that it stays */
    if (layer_exists(b->store, diff_id))
        return 0;
    FAIL_POINT("build.cache.fetch", err);
    int r = s->place->ops->fetch(s->place, s->man.man.layers.v[e->step->layer], diff_id, step, err);
    if (r < 0)
        return err_wrap(err, r, "layer %.19s", diff_id);
    FAIL_POINT("build.cache.fetched", err);
    return 0;
}

int cache_import_step(struct build *b, const struct build_step *step, const char *key,
                      struct err *err)
{
    const struct cache_entry *e = b->imports ? map_get(b->imports->known, key) : NULL;
    struct err why = {0};

    if (!e || is_lost(b, e->from))
        return 0;
    int r = e->step->layer < 0 ? 0 : fetch(b, e, step, &why);
    if (r < 0 && build_failed(b))
        return err_no(err, ECANCELED, "build canceled");
    if (r < 0)
        return lose(b, e->from, &why, err);
    const struct build_cache_row row = {
        .key = (char *)(uintptr_t)key,
        .diff_id = e->step->layer < 0 ? NULL : e->from->doc.layers.v[e->step->layer],
        .description = (char *)(uintptr_t)str_or(e->step->text, step->text)};
    r = build_cache_put(b->store, &row, e->step->created_ns ? e->step->created_ns : now_ns(), err);
    return r < 0 ? r : 1;
}
