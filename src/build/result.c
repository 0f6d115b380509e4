/* The image that a build leaves: its config, with the labels of the request, and its names. */
#include <string.h>

#include "base/time.h"
#include "build/cache_import.h"
#include "build/solve-priv.h"

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
static void encode(const struct build *b, struct buf *out)
{
    struct oci_image img = *b->result->image;

    if (!str_eq(strmap_get(&b->rq->args, "BUILDKIT_INLINE_CACHE"), "1") || b->rq->squash)
        img.steps.n = 0;
    json_encode(&oci_image_type, &img, out);
}

static int name_it(struct build *b, const char *id, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->rq->names.n; i++)
        r = image_tag_set(b->store, b->rq->names.v[i], id, NULL, err);
    return r;
}

int build_result_image(struct build *b, struct arena *a, struct build_result *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char id[DIGEST_LEN + 1];
    int r = cache_import_result(b, err);

    if (r >= 0)
        r = layers_settle(b->store, err);
    complete(b, b->result);
    encode(b, &text);
    if (r >= 0)
        r = image_create_tagged(b->store, &text, NULL, "", b->lease, id, err);
    if (r >= 0)
        r = name_it(b, id, err);
    if (r >= 0)
        ret->image = arena_strdup(a, id);
    return r < 0 ? r : 0;
}
