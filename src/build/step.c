/* What all steps have in common: cache, layer, history; and the trees they work on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/time.h"
#include "build/builder-priv.h"
#include "build/cache_image.h"
#include "build/cache_import.h"
#include "build/key.h"
#include "build/materials.h"
#include "build/solve-priv.h"
#include "image/adopt.h"
#include "kern/overlay.h"
#include "store/build_cache.h"

/* ---- events ---- */

static int tell(struct stage *st, enum build_event_kind kind, struct build_step *step,
                struct err *err)
{
    struct build_event e = {.kind = kind, .step = step};

    if (kind == BUILD_STARTED)
        step->started_ns = now_ns();
    if (kind == BUILD_DONE)
        step->ended_ns = now_ns();
    return build_tell_event(st->b, &e, err);
}

int step_begin(struct stage *st, struct build_step *step, struct err *err)
{
    return tell(st, BUILD_STARTED, step, err);
}

int step_end(struct stage *st, struct build_step *step, struct err *err)
{
    return tell(st, BUILD_DONE, step, err);
}

/* ---- identity ---- */

struct key *stage_key(const struct stage *st, const char *what)
{
    struct key *k = key_new(what);

    key_list(k, "layers", &st->layers);
    key_number(k, "epoch", st->b->epoch_ns == INT64_MAX ? -1 : st->b->epoch_ns);
    return k;
}

static bool may_use_cache(const struct stage *st)
{
    const struct build_request *rq = st->b->rq;

    for (size_t i = 0; i < rq->no_cache_filter.n; i++)
        if (strcasecmp(rq->no_cache_filter.v[i], st->def->name) == 0)
            return false;
    return !rq->no_cache;
}

/* ---- layers ---- */

/* Here, or in a cache that the request names. Return: 1 it is known; 0. */
static int look_up(struct stage *st, const char *key, struct build_cache_row *ret, struct err *err)
{
    struct build *b = st->b;
    int r = build_cache_use(b->store, key, b->lease, &st->a, ret, err);

    if (r != 0)
        return r;
    return cache_import_step(b, key, &st->a, ret, err);
}

/* Return: 1 it is known; 0. */
static int from_cache(struct stage *st, struct build_step *step, const char *key, bool *ret_empty,
                      struct err *err)
{
    struct build_cache_row row;
    int r = may_use_cache(st) ? look_up(st, key, &row, err) : 0;

    if (r <= 0)
        return r;
    step->cached = true;
    st->time_ns = row.created_ns;
    if (row.diff_id)
        strv_push(&st->a, &st->layers, row.diff_id);
    *ret_empty = !row.diff_id;
    cache_image_note(st, key, !row.diff_id);
    return 1;
}

static int remember(struct stage *st, const struct build_step *step, const char *diff_id,
                    struct err *err)
{
    struct build_cache_row row = {
        .key = (char *)step->key, .diff_id = (char *)diff_id, .description = (char *)step->text};

    st->time_ns = now_ns();
    return build_cache_put(st->b->store, &row, st->time_ns, err);
}

static int make_layer(struct stage *st, struct build_step *step, step_make_fn make, void *ctx,
                      bool *ret_empty, struct err *err)
{
    struct build *b = st->b;
    auto_arena struct arena a = ARENA_INIT;
    auto_layer_stage struct layer_stage *into = NULL;
    struct adopt_options o = {.lower_fd = -1, .not_after_ns = b->epoch_ns};
    struct unpacked_layer layer;
    int r = layer_stage_new(b->store, &into, err);

    if (r >= 0)
        r = make(ctx, into, &o, &a, err);
    if (r >= 0)
        r = remove_tree_at(layer_stage_dir(into), "work", err);
    auto_close int lower = -1;
    if (r >= 0 && o.mounted.n && st->layers.n)
        r = lower = stage_tree(b, &st->layers, NULL, err);
    o.lower_fd = lower;
    int64_t n = r < 0 ? r : layer_adopt(into, &o, b->lease, &layer, err);
    if (n < 0)
        return (int)n;
    FAIL_POINT("build.step.made", err);
    *ret_empty = n == 0;
    if (n > 0)
        strv_push(&st->a, &st->layers, layer.diff_id);
    cache_image_note(st, step->key, n == 0);
    return remember(st, step, n > 0 ? layer.diff_id : NULL, err);
}

static bool given_up(void *ctx)
{
    return build_failed(ctx);
}

int step_make(struct stage *st, struct build_step *step, struct key *key, step_make_fn make,
              void *ctx, bool *ret_empty, struct err *err)
{
    char digest[DIGEST_LEN + 1];

    key_end(key, digest);
    step->key = arena_strdup(&st->a, digest);
    int r = builder_claim(st->b->builder, digest, given_up, st->b, err);
    if (r < 0)
        return r;
    r = from_cache(st, step, digest, ret_empty, err);
    if (r == 0)
        r = make_layer(st, step, make, ctx, ret_empty, err);
    builder_release(st->b->builder, digest);
    return r < 0 ? r : step_end(st, step, err);
}

int step_known(struct stage *st, struct build_step *step, const char *quick, bool *ret_empty,
               struct err *err)
{
    int r = from_cache(st, step, quick, ret_empty, err);

    if (r <= 0)
        return r;
    step->key = arena_strdup(&st->a, quick);
    r = step_end(st, step, err);
    return r < 0 ? r : 1;
}

int step_also_known(struct stage *st, const struct build_step *step, const char *quick, bool empty,
                    struct err *err)
{
    struct build_cache_row row = {.key = (char *)quick,
                                  .diff_id = empty ? NULL : st->layers.v[st->layers.n - 1],
                                  .description = (char *)step->text};

    cache_image_note(st, quick, empty);
    return build_cache_put(st->b->store, &row, st->time_ns, err);
}

/* ---- history ---- */

void stage_history(struct stage *st, const char *created_by, bool empty)
{
    struct oci_image_history *h = arena_new(&st->a, struct oci_image_history);
    char text[TIME_TEXT];
    int64_t t = st->time_ns < st->b->epoch_ns ? st->time_ns : st->b->epoch_ns;

    *h = (struct oci_image_history){
        .created = arena_strdup(&st->a, time_rfc3339(t, text)),
        .created_by = arena_strdup(&st->a, created_by),
        .comment = arena_strdup(&st->a, "cleat.build"),
        .empty_layer = empty,
    };
    arena_push(&st->a, st->image->history) = h;
}

/* ---- trees ---- */

/* A tree of nothing to read from. */
static int empty_tree(struct build *b, struct err *err)
{
    auto_close int data = open(b->host->data_path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (data < 0 || (mkdirat(data, "empty", 0755) < 0 && errno != EEXIST))
        return err_sys(err, "make an empty directory");
    int fd = openat(data, "empty", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open an empty directory") : fd;
}

int stage_tree(struct build *b, const struct strv *layers, struct layer_stage *into,
               struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct overlay o = {.options = into ? NULL : "index=off"};
    int fd = -1;

    int r = cache_import_want(b, layers, NULL, err);
    if (r < 0)
        return r;
    if (layers->n == 0 && !into)
        return empty_tree(b, err);
    if (layers->n == 0) { /* nothing lies below: written as it is */
        fd = openat(layer_stage_diff(into), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? err_sys(err, "open a layer") : fd;
    }
    for (size_t i = layers->n; i-- > 0;)
        strv_push(&a, &o.lowers,
                  arena_printf(&a, "%s/%s", b->host->data_path, layer_path(layers->v[i], &a)));
    if (into) {
        o.upper = arena_printf(&a, "%s/%s", b->host->data_path, layer_stage_path(into, "diff", &a));
        o.work = arena_printf(&a, "%s/%s", b->host->data_path, layer_stage_path(into, "work", &a));
        if (mkdirat(layer_stage_dir(into), "work", 0711) < 0)
            return err_sys(err, "make a work directory");
    }
    r = overlay_mount(&o, &fd, err);
    return r < 0 ? r : fd;
}

struct pulling {
    struct stage *st;
    const struct build_step *step;
};

static int tell_pull(void *arg, const struct transfer_event *t, struct err *err)
{
    struct pulling *p = arg;
    struct build_event e = {.kind = BUILD_PULLING, .step = p->step, .transfer = t};

    return build_tell_event(p->st->b, &e, err);
}

int origin_layers(struct stage *st, const struct origin *o, const char *platform,
                  const struct build_step *step, struct strv *ret, char **ret_image,
                  struct err *err)
{
    struct build *b = st->b;
    struct pulling p = {st, step};
    struct image_row row;
    char *id = NULL;
    int r = 0;

    if (ret_image)
        *ret_image = NULL;
    if (o->stage) {
        r = stage_wait(o->stage, err);
        if (r >= 0)
            *ret = strv_clone(&st->a, &o->stage->layers);
        return r;
    }
    if (!o->image)
        return 0;
    r = b->host->image(b->rq->host_ctx, o->image, platform, b->rq->pull, b->cancel_rd, tell_pull,
                       &p, &st->a, &id, err);
    if (r >= 0)
        r = image_resolve(b->store, id, &st->a, &row, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < row.layers.n; i++)
        lease_add(b->lease, row.layers.v[i]);
    material_image(st, o->image, platform, &row);
    *ret = row.layers;
    if (ret_image)
        *ret_image = row.id;
    return 0;
}

const char *origin_context(const struct build *b, const struct origin *o)
{
    return o->named ? o->named->path : b->rq->context;
}

bool origin_is_main(const struct origin *o)
{
    return !o->stage && !o->image && !o->named;
}

const struct ignore *origin_ignored(const struct build *b, const struct origin *o)
{
    return origin_is_main(o) ? b->rq->ignored : o->named ? o->named->ignored : NULL;
}

bool origin_keeps(const struct build *b, const struct origin *o)
{
    return origin_is_main(o) ? b->rq->keeps_context : o->named && o->named->kept;
}

int origin_open(struct stage *st, const struct origin *o, const struct build_step *step,
                int *ret_fd, struct err *err)
{
    struct build *b = st->b;
    struct strv layers = {0};
    int fd;

    if (!o->stage && !o->image) {
        const char *path = origin_context(b, o);
        if (!path)
            return err_invalid(err, "there is no build context to take files from");
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(err, "open the build context");
    } else {
        int r = origin_layers(st, o, st->target->text, step, &layers, NULL, err);
        fd = r < 0 ? r : stage_tree(b, &layers, NULL, err);
        if (fd < 0)
            return fd;
    }
    *ret_fd = fd;
    return 0;
}
