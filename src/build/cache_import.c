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
};

struct cache_entry {
    struct cache_source *from;
    const struct cache_step *step;
    bool taken;               /* a step is it; this and the next under the build's lock */
    struct cache_entry *next; /* another step that has the same layer */
};

struct cache_imports {
    struct map *known;    /* struct cache_entry by key */
    struct map *promised; /* struct cache_entry by diff ID */
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
        *e = (struct cache_entry){.from = s, .step = step};
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
    b->imports->promised = map_new();
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
    if (im) {
        map_free(im->known);
        map_free(im->promised);
    }
}

/* ---- a step ---- */

static const char *diff_of(const struct cache_entry *e)
{
    return e->step->layer < 0 ? NULL : e->from->doc.layers.v[e->step->layer];
}

static struct build_cache_row row_of(const struct cache_entry *e)
{
    return (struct build_cache_row){
        .key = e->step->key,
        .diff_id = (char *)(uintptr_t)diff_of(e),
        .description = (char *)(uintptr_t)str_or(e->step->text, e->from->place->shown),
        .created_ns = e->step->created_ns ? e->step->created_ns : now_ns()};
}

/* From now on it is known here, too. */
static int put_row(struct build *b, const struct cache_entry *e, struct err *err)
{
    const struct build_cache_row row = row_of(e);

    return build_cache_put(b->store, &row, row.created_ns, err);
}

static void promise(struct build *b, struct cache_entry *e)
{
    (void)pthread_mutex_lock(&b->lock);
    if (!e->taken)
        e->next = map_set(b->imports->promised, diff_of(e), e);
    e->taken = true;
    (void)pthread_mutex_unlock(&b->lock);
}

int cache_import_step(struct build *b, const char *key, struct arena *a,
                      struct build_cache_row *ret, struct err *err)
{
    struct cache_entry *e = b->imports ? map_get(b->imports->known, key) : NULL;
    int r = 0;

    if (!e)
        return 0;
    const char *diff_id = diff_of(e);
    if (diff_id)
        lease_add(b->lease, diff_id); /* before looking, so that it stays */
    if (!diff_id || layer_exists(b->store, diff_id))
        r = put_row(b, e, err);
    else
        promise(b, e);
    *ret = row_of(e);
    ret->diff_id = diff_id ? arena_strdup(a, diff_id) : NULL;
    return r < 0 ? r : 1;
}

int cache_import_promised(struct build *b, const char *key, struct build_cache_row *ret,
                          const struct oci_descriptor **ret_blob)
{
    const struct cache_entry *e = b->imports ? map_get(b->imports->known, key) : NULL;

    if (!e || !e->taken)
        return 0;
    *ret = row_of(e);
    *ret_blob = e->step->layer < 0 ? NULL : e->from->man.man.layers.v[e->step->layer];
    return 1;
}

/* ---- keeping promises ---- */

/* Layers of one source that are to be fetched. */
struct wanted {
    struct strv diff_ids;
    struct {
        const struct oci_descriptor **v;
        size_t n;
    } blobs;
};

static struct cache_entry *promised(struct build *b, const char *diff_id)
{
    (void)pthread_mutex_lock(&b->lock);
    struct cache_entry *e = map_get(b->imports->promised, diff_id);
    (void)pthread_mutex_unlock(&b->lock);
    return e;
}

static void collect(struct build *b, const struct cache_source *s, const struct strv *layers,
                    struct arena *a, struct wanted *ret)
{
    for (size_t i = 0; i < layers->n; i++) {
        const struct cache_entry *e = promised(b, layers->v[i]);
        if (!e || e->from != s || strv_has(&ret->diff_ids, layers->v[i]))
            continue;
        strv_push(a, &ret->diff_ids, layers->v[i]);
        arena_push(a, ret->blobs) = s->man.man.layers.v[e->step->layer];
    }
}

/* All steps that have one of these layers are known here now. */
static int keep(struct build *b, const struct strv *diff_ids, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < diff_ids->n; i++) {
        (void)pthread_mutex_lock(&b->lock);
        struct cache_entry *e = map_del(b->imports->promised, diff_ids->v[i]);
        (void)pthread_mutex_unlock(&b->lock);
        for (; r >= 0 && e; e = e->next)
            r = put_row(b, e, err);
    }
    return r;
}

static int fetch(struct build *b, struct cache_source *s, const struct wanted *w,
                 const struct build_step *step, struct err *err)
{
    FAIL_POINT("build.cache.fetch", err);
    int r = s->place->ops->fetch(s->place, w->blobs.v, &w->diff_ids, step, err);
    if (r < 0)
        return err_wrap(err, r, "cache of %s: layer", s->place->shown);
    FAIL_POINT("build.cache.fetched", err);
    return keep(b, &w->diff_ids, err);
}

static int fetch_from(struct build *b, struct cache_source *s, const struct strv *layers,
                      const struct build_step *step, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct wanted w = {0};

    collect(b, s, layers, &a, &w);
    return w.diff_ids.n ? fetch(b, s, &w, step, err) : 0;
}

static void lose(struct build *b)
{
    (void)pthread_mutex_lock(&b->lock);
    b->cache_lost = true;
    (void)pthread_mutex_unlock(&b->lock);
}

int cache_import_want(struct build *b, const struct strv *layers, const struct build_step *step,
                      struct err *err)
{
    int r = 0;

    if (!b->imports)
        return 0;
    (void)pthread_mutex_lock(&b->fetch_lock); /* two stages may want the same ones */
    for (size_t i = 0; r >= 0 && i < b->imports->n; i++)
        r = fetch_from(b, &b->imports->sources[i], layers, step, err);
    (void)pthread_mutex_unlock(&b->fetch_lock);
    if (r >= 0)
        return 0;
    if (build_failed(b) && r != -ECANCELED)
        return err_no(err, ECANCELED, "build canceled");
    if (r != -ECANCELED)
        lose(b);
    return r;
}

static bool any_promised(struct build *b, const struct strv *layers)
{
    for (size_t i = 0; b->imports && i < layers->n; i++)
        if (promised(b, layers->v[i]))
            return true;
    return false;
}

static int want_stage(struct build *b, struct stage *st, struct err *err)
{
    struct build_step *step = NULL;

    if (!any_promised(b, &st->layers))
        return 0;
    int r = plan_more(b, "fetching layers of caches", &step, err);
    if (r >= 0)
        r = step_begin(st, step, err);
    if (r >= 0)
        r = cache_import_want(b, &st->layers, step, err);
    return r < 0 ? r : step_end(st, step, err);
}

int cache_import_result(struct build *b, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->ntargets; i++)
        r = want_stage(b, b->targets[i].result, err);
    return r;
}
