/*
 * What a build leaves: for each platform an image, whose config has the labels of the request;
 * documents around them where they are wanted; and the names, which mean the index if there is one,
 * and otherwise the image.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/time.h"
#include "build/cache_import.h"
#include "build/result-priv.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/layer_blobs.h"

#define NO_NAME "docker.io/library/cleat-dangling" /* holds an index that got no name */

/* ---- the images ---- */

static char *created_text(const struct build *b, const struct stage *st, struct arena *a)
{
    int64_t t = st->time_ns < b->epoch_ns ? st->time_ns : b->epoch_ns;
    char text[TIME_TEXT];

    return arena_strdup(a, time_rfc3339(t, text));
}

static void complete(struct build *b, struct stage *st)
{
    struct oci_image *img = st->image;
    const struct strmap *labels = &b->rq->labels;

    img->created = created_text(b, st, &st->a);
    img->rootfs.type = arena_strdup(&st->a, "layers");
    img->rootfs.diff_ids = st->layers;
    for (size_t i = 0; i < labels->n; i++)
        strmap_set(&st->a, &st->config->labels, labels->v[i].key, labels->v[i].val);
}

/* The steps stay in memory: a cache may be written of them. What is squashed has their layers no
 * more. */
static void encode(const struct build *b, const struct stage *st, struct buf *out)
{
    struct oci_image img = *st->image;

    if (!str_eq(strmap_get(&b->rq->args, "BUILDKIT_INLINE_CACHE"), "1") || b->rq->squash)
        img.steps.n = 0;
    json_encode(&oci_image_type, &img, out);
}

static int make_image(struct result *x, size_t i, struct err *err)
{
    struct result_image *img = &x->v[i];
    char id[DIGEST_LEN + 1];

    img->target = &x->b->targets[i];
    complete(x->b, img->target->result);
    encode(x->b, img->target->result, &img->config);
    int r = blob_put(x->b->store, buf_str(&img->config), img->config.len, x->b->lease, id, err);
    img->id = arena_strdup(x->a, id);
    return r;
}

static int make_images(struct result *x, struct err *err)
{
    int most = -1, r = 0;

    x->v = arena_alloc(x->a, x->b->ntargets * sizeof(*x->v));
    for (size_t i = 0; r >= 0 && i < x->b->ntargets; i++) {
        int score = platform_score(&x->b->native, &x->b->targets[i].platform);
        x->n++;
        r = make_image(x, i, err);
        if (score <= most)
            continue;
        most = score;
        x->named = i;
    }
    return r;
}

/* ---- the catalog ---- */

static int insert(struct result *x, const struct result_image *img, struct err *err)
{
    struct image_store *s = x->b->store;
    char id[DIGEST_LEN + 1];
    int r = image_create(s, buf_str(&img->config), img->config.len, NULL, x->b->lease, id, err);

    if (r < 0 || !img->manifest.d.digest)
        return r < 0 ? r : 0;
    r = image_manifest_set(s, id, img->manifest.d.digest, err);
    return r < 0 ? r : manifest_blobs_set(s, img->manifest.d.digest, &img->blobs, err);
}

static int name_it(struct result *x, const char *name, struct err *err)
{
    const struct result_image *img = &x->v[x->named];
    int r = image_tag_set(x->b->store, name, img->id, NULL, err);

    if (r >= 0 && img->manifest.d.digest)
        r = image_name_origin_set(x->b->store, name, img->manifest.d.digest, x->index.d.digest,
                                  err);
    return r;
}

/* Without any, an index is held by its digest, as Docker's "dangling" ones are. */
static int name_index(struct result *x, struct err *err)
{
    const struct result_image *img = &x->v[x->named];
    const char *name = arena_printf(x->a, NO_NAME "@%s", x->index.d.digest);
    int r = image_digest_set(x->b->store, name, img->id, err);

    return r < 0 ? r
                 : image_name_origin_set(x->b->store, name, img->manifest.d.digest,
                                         x->index.d.digest, err);
}

static int bind_all(struct result *x, struct err *err)
{
    const struct strv *names = &x->b->rq->names;
    struct db *db = image_store_db(x->b->store);
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    for (size_t i = 0; r >= 0 && i < x->n; i++)
        r = insert(x, &x->v[i], err);
    if (r >= 0 && x->index.d.digest)
        r = index_parts_set(x->b->store, x->index.d.digest, &x->parts, err);
    for (size_t i = 0; r >= 0 && i < names->n; i++)
        r = name_it(x, names->v[i], err);
    if (r >= 0 && x->index.d.digest && names->n == 0)
        r = name_index(x, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.result.bound", err);
    return db_commit(&tx, err);
}

/* ---- for the caller ---- */

static void fill(struct result *x, struct build_result *ret)
{
    const struct oci_descriptor *top = x->index.d.digest ? &x->index.d
                                       : x->n == 1       ? &x->v[0].manifest.d
                                                         : NULL;
    char text[PLATFORM_TEXT];

    for (size_t i = 0; i < x->n; i++)
        arena_push(x->a, ret->images) = (struct build_image){
            .platform = arena_strdup(x->a, platform_text(&x->v[i].target->platform, text)),
            .image = x->v[i].id,
            .manifest = x->v[i].manifest.d.digest};
    ret->image = x->v[x->named].id;
    if (top && top->digest)
        ret->top = arena_memdup(x->a, top, sizeof(*top));
}

static int make(struct result *x, struct err *err)
{
    int r = layers_settle(x->b->store, err);

    if (r >= 0)
        r = make_images(x, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.result.images", err);
    r = result_documents(x, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.result.documents", err);
    r = bind_all(x, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.result.after", err);
    return 0;
}

int build_result_image(struct build *b, struct arena *a, struct build_result *ret, struct err *err)
{
    struct result x = {.b = b, .a = a};
    int r = cache_import_result(b, err);

    if (r >= 0)
        r = make(&x, err);
    if (r >= 0)
        fill(&x, ret);
    for (size_t i = 0; i < x.n; i++)
        buf_done(&x.v[i].config);
    return r < 0 ? r : 0;
}
