/* A cache in a registry: a manifest behind a name, fetched and pushed as an image's layers are. */
#include <errno.h>
#include <string.h>

#include "build/cache_place-priv.h"
#include "distribution/blob.h"
#include "distribution/session.h"
#include "distribution/upload.h"
#include "image/remote_layers.h"

struct registry_place {
    struct cache_place base;
    struct reference ref;
    struct dist_session *session;
};

static struct registry_place *of(struct cache_place *p)
{
    return (struct registry_place *)p;
}

static const char *repo(const struct registry_place *p)
{
    return p->ref.name + p->ref.domain_len + 1;
}

static int read_it(struct cache_place *base, struct arena *a, struct dist_manifest *ret,
                   struct err *err)
{
    struct registry_place *p = of(base);

    return dist_manifest_get(p->session, repo(p), p->ref.digest[0] ? p->ref.digest : p->ref.tag, a,
                             ret, err);
}

static int chosen(struct cache_place *base, const struct oci_descriptor *d, struct arena *a,
                  struct dist_manifest *ret, struct err *err)
{
    struct registry_place *p = of(base);

    return dist_manifest_get(p->session, repo(p), d->digest, a, ret, err);
}

static int config(struct cache_place *base, const struct oci_descriptor *d, struct buf *out,
                  struct err *err)
{
    struct registry_place *p = of(base);

    return dist_blob_get(p->session, repo(p), d->digest, (uint64_t)d->size, out, err);
}

/* ---- layers ---- */

struct telling {
    struct build *b;
    const struct build_step *step;
};

static int tell(void *ctx, const struct transfer_event *t, struct err *err)
{
    const struct telling *x = ctx;
    if (!x->step)
        return 0; /* a step that is not told of yet */
    struct build_event e = {.kind = BUILD_PULLING, .step = x->step, .transfer = t};

    return build_tell_event(x->b, &e, err);
}

static int fetch(struct cache_place *base, const struct oci_descriptor *const *blobs,
                 const struct strv *diff_ids, const struct build_step *step, struct err *err)
{
    struct registry_place *p = of(base);
    struct build *b = base->b;
    struct telling x = {b, step};
    const struct pull_options o = {.session = p->session,
                                   .transfers = b->host->transfers,
                                   .ref = &p->ref,
                                   .gone_fd = b->rq->gone_fd,
                                   .tell = tell,
                                   .ctx = &x};

    return remote_layers_pull(b->store, &o, blobs, diff_ids, b->lease, err);
}

static int have(struct cache_place *base, const struct oci_descriptor *d, struct err *err)
{
    struct registry_place *p = of(base);
    int64_t size = -1;
    int r = dist_blob_stat(p->session, repo(p), d->digest, &size, err);

    return r < 0 ? r : r == 0 && (size == d->size || size < 0);
}

static int send(struct cache_place *base, const struct strv *diff_ids,
                const struct build_step *step, struct arena *a, struct oci_descriptor *ret,
                struct err *err)
{
    struct registry_place *p = of(base);
    struct build *b = base->b;
    struct telling x = {b, step};
    const struct push_options o = {.session = p->session,
                                   .transfers = b->host->transfers,
                                   .ref = &p->ref,
                                   .gone_fd = b->rq->gone_fd,
                                   .tell = tell,
                                   .ctx = &x};

    return remote_layers_push(b->store, &o, diff_ids, a, ret, err);
}

static int publish(struct cache_place *base, const struct buf *doc, const struct buf *manifest,
                   struct err *err)
{
    struct registry_place *p = of(base);
    struct dist_manifest m = {
        .text = buf_str(manifest), .len = manifest->len, .media_type = MEDIA_OCI_MANIFEST};
    int r = dist_upload_blob(p->session, repo(p), doc->data, doc->len, err);

    sha256_of(m.text, m.len, m.digest);
    return r < 0 ? r : dist_manifest_put(p->session, repo(p), p->ref.tag, &m, err);
}

/* ---- opening ---- */

static void free_it(struct cache_place *base)
{
    dist_session_free(of(base)->session);
}

int cache_registry_open(struct cache_place *base, bool push, struct arena *a,
                        struct cache_place **ret, struct err *err)
{
    static const struct cache_place_ops ops = {.read = read_it,
                                               .chosen = chosen,
                                               .config = config,
                                               .fetch = fetch,
                                               .have = have,
                                               .send = send,
                                               .publish = publish,
                                               .free = free_it};
    struct registry_place *p = arena_new(a, struct registry_place);
    struct build *b = base->b;
    int r = reference_parse(str_or(base->spec->ref, ""), &p->ref, err);

    if (r < 0)
        return r;
    p->base = *base;
    p->base.ops = &ops;
    reference_default_tag(&p->ref);
    if (push && p->ref.digest[0])
        return err_invalid(err, "a cache cannot be exported to a digest");
    r = b->host->registry(b->rq->host_ctx, &p->ref, push, b->rq->gone_fd, &p->session, err);
    if (r >= 0)
        *ret = &p->base;
    return r;
}
