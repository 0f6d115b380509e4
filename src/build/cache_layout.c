/* A cache in a directory of the client: an OCI layout that its index.json names things of. */
#include <errno.h>
#include <string.h>

#include "archive/compress.h"
#include "base/auto.h"
#include "build/cache_place-priv.h"
#include "build/layout_line.h"
#include "image/layer.h"
#include "image/remote.h"
#include "store/layer_blobs.h"
#include "wire/layout.h"

#define CHUNK (256u << 10)

struct layout_place {
    struct cache_place base;
    struct layout_line *line;
};

static struct layout_line *line_of(struct cache_place *p)
{
    return ((struct layout_place *)p)->line;
}

/* ---- reading ---- */

static bool is_wanted(const struct build_cache_spec *s, const struct oci_descriptor *d)
{
    const char *name = strmap_get(&d->annotations, ANNOTATION_LAYOUT_NAME);

    return str_empty(s->digest) ? str_eq(name, str_or(s->tag, "latest"))
                                : str_eq(d->digest, s->digest);
}

static int find(struct cache_place *p, struct arena *a, const struct oci_descriptor **ret,
                struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_manifest *index = arena_new(a, struct oci_manifest);
    int r = layout_index(line_of(p), &text, err);

    if (r >= 0)
        r = json_decode(&oci_manifest_type, buf_str(&text), text.len, a, index, 0, err);
    if (r < 0)
        return err_wrap(err, r, "index.json");
    for (size_t i = 0; i < index->manifests.n; i++) {
        *ret = index->manifests.v[i];
        if (is_wanted(p->spec, *ret))
            return 0;
    }
    return err_not_found(err, "index.json names no %s",
                         str_or(p->spec->digest, str_or(p->spec->tag, "latest")));
}

static int check(const struct oci_descriptor *d, uint64_t max, struct err *err)
{
    if (!digest_valid(d->digest) || d->size < 0 || (uint64_t)d->size > max)
        return err_invalid(err, "invalid descriptor of \"%.100s\"", d->digest);
    return 0;
}

static int chosen(struct cache_place *p, const struct oci_descriptor *d, struct arena *a,
                  struct dist_manifest *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = check(d, DIST_MANIFEST_MAX, err);

    if (r >= 0)
        r = layout_get(line_of(p), d->digest, (uint64_t)d->size, &text, err);
    if (r < 0)
        return r;
    *ret = (struct dist_manifest){.text = arena_strndup(a, buf_str(&text), text.len),
                                  .len = text.len,
                                  .media_type = str_or(d->media_type, "")};
    memcpy(ret->digest, d->digest, sizeof(ret->digest));
    return 0;
}

static int read_it(struct cache_place *p, struct arena *a, struct dist_manifest *ret,
                   struct err *err)
{
    const struct oci_descriptor *d = NULL;
    int r = find(p, a, &d, err);

    return r < 0 ? r : chosen(p, d, a, ret, err);
}

static int config(struct cache_place *p, const struct oci_descriptor *d, struct buf *out,
                  struct err *err)
{
    return layout_get(line_of(p), d->digest, (uint64_t)d->size, out, err);
}

static int fetch_one(struct cache_place *p, const struct oci_descriptor *d, const char *diff_id,
                     struct err *err)
{
    auto_source struct source *src = NULL;
    const struct layer_wish wish = {.diff_id = diff_id};
    struct unpacked_layer layer;
    int r = layout_blob(line_of(p), d->digest, (uint64_t)d->size, &src, err);

    if (r >= 0)
        r = layer_unpack(p->b->store, src, &wish, p->b->lease, &layer, err);
    return r < 0 ? r : source_drain(src, err);
}

static int fetch(struct cache_place *p, const struct oci_descriptor *const *blobs,
                 const struct strv *diff_ids, const struct build_step *step, struct err *err)
{
    int r = 0;

    (void)step;
    for (size_t i = 0; r >= 0 && i < diff_ids->n; i++)
        r = fetch_one(p, blobs[i], diff_ids->v[i], err);
    return r;
}

static int have(struct cache_place *p, const struct oci_descriptor *d, struct err *err)
{
    uint64_t size = 0;
    int r = layout_stat(line_of(p), d->digest, &size, err);

    if (r == -ENOENT) {
        err_clear(err);
        return 0;
    }
    return r < 0 ? r : size == (uint64_t)d->size;
}

/* ---- writing ---- */

struct sending {
    struct build *b;
    const char *diff_id;
};

static int copy(struct build *b, struct source *from, struct sink *to, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n;

    while ((n = source_next(from, &p, CHUNK, err)) > 0) {
        int r = build_failed(b) ? err_no(err, ECANCELED, "build canceled")
                                : sink_write(to, p, (size_t)n, err);
        if (r < 0)
            return r;
    }
    return (int)n;
}

static int fill_layer(void *ctx, struct sink *to, struct err *err)
{
    const struct sending *x = ctx;
    auto_source struct source *tar = NULL;
    auto_sink struct sink *gz = sink_compress(to, COMP_GZIP, 0);
    int r = layer_tar(x->b->store, x->diff_id, &tar, err);

    if (r >= 0)
        r = copy(x->b, tar, gz, err);
    return r < 0 ? r : sink_compress_finish(gz, err);
}

/* Return: 1: a blob of the layer is there, of an earlier export; 0. */
static int look(struct cache_place *p, const char *diff_id, struct arena *a,
                struct oci_descriptor *ret, struct err *err)
{
    struct layer_blobs known = {0};
    int r = layer_blobs_of(p->b->store, diff_id, a, &known, err);

    for (size_t i = 0; r >= 0 && i < known.n; i++) {
        const struct layer_blob *b = &known.v[i];
        uint64_t size = 0;
        int found = layout_stat(line_of(p), b->blob, &size, err);
        if (found < 0 && found != -ENOENT)
            return found;
        if (found < 0 || size != (uint64_t)b->size || strcmp(b->blob, diff_id) == 0)
            continue;
        *ret = (struct oci_descriptor){
            .media_type = b->media_type, .digest = b->blob, .size = b->size};
        ret->media_type = remote_layer_type(ret, true, a);
        return 1;
    }
    err_clear(err);
    return r < 0 ? r : 0;
}

static int send_one(struct cache_place *p, const char *diff_id, struct arena *a,
                    struct oci_descriptor *ret, struct err *err)
{
    struct sending x = {p->b, diff_id};
    char digest[DIGEST_LEN + 1];
    uint64_t size = 0;
    int r = look(p, diff_id, a, ret, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = layout_put(line_of(p), fill_layer, &x, digest, &size, err);
    if (r < 0)
        return r;
    *ret = (struct oci_descriptor){.media_type = arena_strdup(a, MEDIA_OCI_LAYER "+gzip"),
                                   .digest = arena_strdup(a, digest),
                                   .size = (int64_t)size};
    const struct layer_blob row = {.blob = ret->digest,
                                   .diff_id = (char *)(uintptr_t)diff_id,
                                   .media_type = ret->media_type,
                                   .size = ret->size,
                                   .made = true};
    return layer_blob_set(p->b->store, &row, NULL, 0, err);
}

static int send(struct cache_place *p, const struct strv *diff_ids, const struct build_step *step,
                struct arena *a, struct oci_descriptor *ret, struct err *err)
{
    int r = 0;

    (void)step;
    for (size_t i = 0; r >= 0 && i < diff_ids->n; i++)
        r = send_one(p, diff_ids->v[i], a, &ret[i], err);
    return r;
}

static int fill_text(void *ctx, struct sink *to, struct err *err)
{
    const struct buf *text = ctx;

    return sink_write(to, text->data, text->len, err);
}

static int publish(struct cache_place *p, const struct buf *doc, const struct buf *manifest,
                   struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char digest[DIGEST_LEN + 1], type[] = MEDIA_OCI_MANIFEST;
    uint64_t size = 0;
    int r = layout_put(line_of(p), fill_text, (void *)(uintptr_t)doc, digest, &size, err);

    if (r >= 0)
        r = layout_put(line_of(p), fill_text, (void *)(uintptr_t)manifest, digest, &size, err);
    if (r < 0)
        return r;
    const struct oci_descriptor d = {.media_type = type, .digest = digest, .size = (int64_t)size};
    json_encode(&oci_descriptor_type, &d, &text);
    return layout_name(line_of(p), str_or(p->spec->tag, "latest"), &text, err);
}

static void free_it(struct cache_place *p)
{
    (void)p; /* the line is the session's */
}

int cache_layout_open(struct cache_place *base, struct arena *a, struct cache_place **ret,
                      struct err *err)
{
    static const struct cache_place_ops ops = {.read = read_it,
                                               .chosen = chosen,
                                               .config = config,
                                               .fetch = fetch,
                                               .have = have,
                                               .send = send,
                                               .publish = publish,
                                               .free = free_it};
    const struct build_request *rq = base->b->rq;
    struct layout_place *p = arena_new(a, struct layout_place);

    p->base = *base;
    p->base.ops = &ops;
    for (size_t i = 0; i < rq->layouts.n && !p->line; i++)
        if (str_eq(rq->layouts.v[i].id, base->spec->layout))
            p->line = rq->layouts.v[i].line;
    if (!p->line)
        return err_invalid(err, "the session has no directory \"%.50s\"",
                           str_or(base->spec->layout, ""));
    *ret = &p->base;
    return 0;
}
