/*
 * What a build knows, written where another builder finds it: the steps of the stages that count,
 * with their layers. A step that is shown tells of it.
 */
#include <errno.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/map.h"
#include "base/time.h"
#include "build/cache_doc.h"
#include "build/cache_image.h"
#include "build/cache_import.h"
#include "build/cache_place-priv.h"
#include "store/build_cache.h"
#include "store/layers.h"

struct exporting {
    struct build *b;
    struct arena *a;
    struct cache_doc doc;
    struct map *seen;   /* keys */
    struct map *layers; /* place + 1 of each diff ID */
    struct map *blobs;  /* of layers that are not here: where they were promised from */
};

/* ---- what is known ---- */

static int64_t place_of(struct exporting *x, const char *diff_id)
{
    uintptr_t place = (uintptr_t)map_get(x->layers, diff_id);

    if (place)
        return (int64_t)place - 1;
    strv_push(x->a, &x->doc.layers, diff_id);
    (void)map_set(x->layers, diff_id, (void *)(uintptr_t)x->doc.layers.n);
    return (int64_t)x->doc.layers.n - 1;
}

/* A step that was pruned meanwhile is not known any more. */
static int add_step(struct exporting *x, const char *key, struct err *err)
{
    struct build_cache_row row;

    if (map_set(x->seen, key, x))
        return 0;
    const struct oci_descriptor *blob = NULL;
    int r = build_cache_use(x->b->store, key, x->b->lease, x->a, &row, err);
    if (r == 0)
        r = cache_import_promised(x->b, key, &row, &blob);
    if (r <= 0)
        return r;
    if (blob)
        (void)map_set(x->blobs, row.diff_id, (void *)(uintptr_t)blob);
    struct cache_step *s = arena_new(x->a, struct cache_step);
    *s = (struct cache_step){.key = row.key,
                             .layer = row.diff_id ? place_of(x, row.diff_id) : -1,
                             .created_ns = row.created_ns,
                             .text = row.description};
    arena_push(x->a, x->doc.steps) = s;
    return 0;
}

static int add_stage(struct exporting *x, const struct stage *st, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && st->image && i < st->image->steps.n; i++)
        r = add_step(x, st->image->steps.v[i]->key, err);
    return r;
}

static int collect(struct exporting *x, bool all, struct err *err)
{
    struct build *b = x->b;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->ntargets; i++)
        r = add_stage(x, b->targets[i].result, err);
    for (size_t i = 0; r >= 0 && all && i < b->nall; i++)
        if (b->all[i].done)
            r = add_stage(x, &b->all[i], err);
    if (r >= 0 && x->doc.layers.n > REMOTE_CACHE_LAYERS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "a cache of more than %d layers",
                      REMOTE_CACHE_LAYERS_MAX);
    return r;
}

/* ---- writing ---- */

/* A layer that is only promised need not be fetched when it is there already, as it is when a build
 * writes where it has read. Return: 1 it is there; 0 it is here. */
static int have_there(struct exporting *x, struct cache_place *p, const struct build_step *step,
                      char *diff_id, struct oci_descriptor *ret, struct err *err)
{
    const struct oci_descriptor *blob = map_get(x->blobs, diff_id);
    const struct strv one = {&diff_id, 1};

    if (!blob || layer_exists(x->b->store, diff_id))
        return 0;
    int r = p->ops->have(p, blob, err);
    if (r == 0)
        return cache_import_want(x->b, &one, step, err);
    if (r < 0)
        return r;
    *ret = *blob;
    ret->media_type = remote_layer_type(ret, true, x->a);
    return 1;
}

/* Those that are here are sent, and all get a descriptor. */
static int send_layers(struct exporting *x, struct cache_place *p, const struct build_step *step,
                       struct oci_descriptor *ret, struct err *err)
{
    size_t n = x->doc.layers.n, *places = arena_alloc(x->a, (n + 1) * sizeof(*places));
    struct oci_descriptor *sent = arena_alloc(x->a, (n + 1) * sizeof(*sent));
    struct strv here = {0};

    for (size_t i = 0; i < n; i++) {
        int r = have_there(x, p, step, x->doc.layers.v[i], &ret[i], err);
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        places[here.n] = i;
        strv_push(x->a, &here, x->doc.layers.v[i]);
    }
    int r = p->ops->send(p, &here, step, x->a, sent, err);
    for (size_t i = 0; r >= 0 && i < here.n; i++)
        ret[places[i]] = sent[i];
    return r;
}

static int write_it(struct exporting *x, struct cache_place *p, const struct build_step *step,
                    struct err *err)
{
    auto_buf struct buf text = BUF_INIT, manifest = BUF_INIT;
    struct oci_descriptor *layers = arena_alloc(x->a, (x->doc.layers.n + 1) * sizeof(*layers));

    FAIL_POINT("build.cache.send", err);
    int r = send_layers(x, p, step, layers, err);
    if (r < 0)
        return r;
    cache_doc_write(&x->doc, layers, &text, &manifest);
    FAIL_POINT("build.cache.sent", err);
    return p->ops->publish(p, &text, &manifest, err);
}

static int export_one(struct build *b, const struct build_cache_spec *spec,
                      const struct build_step *step, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_map struct map *seen = map_new(), *layers = map_new(), *blobs = map_new();
    struct exporting x = {.b = b,
                          .a = &a,
                          .doc.version = CACHE_DOC_VERSION,
                          .seen = seen,
                          .layers = layers,
                          .blobs = blobs};
    struct cache_place *p = NULL;
    int r = collect(&x, str_eq(spec->mode, "max"), err);

    if (r >= 0)
        r = cache_place_open(b, spec, true, &a, &p, err);
    if (r < 0)
        return r;
    r = write_it(&x, p, step, err);
    p->ops->free(p);
    return r;
}

/* ---- telling ---- */

static char *shown(struct build *b, const struct build_cache_spec *spec)
{
    return arena_printf(&b->a, "exporting cache to %s%s%s",
                        str_eq(spec->type, "registry") ? "registry" : "client directory",
                        str_empty(spec->ref) ? "" : " ", str_or(spec->ref, ""));
}

static int tell(struct build *b, enum build_event_kind kind, struct build_step *s, const char *text,
                struct err *err)
{
    struct build_event e = {.kind = kind, .step = s, .text = text};

    if (kind == BUILD_STARTED)
        s->started_ns = now_ns();
    if (kind == BUILD_DONE)
        s->ended_ns = now_ns();
    return build_tell_event(b, &e, err);
}

static int export_and_tell(struct build *b, const struct build_cache_spec *spec, struct err *err)
{
    struct build_step *s = NULL;
    struct err why = {0};
    int r = plan_more(b, shown(b, spec), &s, err);

    if (r >= 0)
        r = tell(b, BUILD_STARTED, s, NULL, err);
    if (r < 0)
        return r;
    r = export_one(b, spec, s, &why);
    if (r >= 0)
        return tell(b, BUILD_DONE, s, NULL, err);
    if (spec->ignore_error && r != -ECANCELED) {
        r = cache_tell_lost(b, str_or(spec->ref, "a directory"), &why, err);
        return r < 0 ? r : tell(b, BUILD_DONE, s, NULL, err);
    }
    (void)!tell(b, BUILD_FAILED, s, why.msg, NULL);
    if (err)
        *err = why;
    return err_wrap(err, r, "export the cache");
}

int cache_export_all(struct build *b, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->rq->cache_exports.n; i++)
        r = export_and_tell(b, b->rq->cache_exports.v[i], err);
    return r;
}
