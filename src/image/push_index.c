/*
 * The push of a whole index: its images one after the other, attestations and other artifacts as
 * they are, and then the index that names them. An image of which blobs were dropped gets a new
 * manifest; then the index is a new one, too, without the attestations about the old manifest,
 * which are no more about what is there.
 *
 * Source: moby, daemon/containerd/image_push.go: what goes when not all of it is here.
 */
#include <errno.h>
#include <string.h>

#include "base/failpoint.h"
#include "distribution/upload.h"
#include "image/document.h"
#include "image/index.h"
#include "image/push-priv.h"
#include "image/store.h"
#include "store/blobs.h"

struct pushing {
    struct push *p;
    struct image_index index;
    struct image_row named;
    struct oci_descriptor **entries; /* of the index as it is pushed; NULL: left out */
    bool changed;                    /* it is not the one that is here */
};

/* ---- what is here ---- */

static bool all_is_here(struct push *p, const struct image_index *index)
{
    for (size_t i = 0; i < index->n; i++)
        if (!index->v[i].d || !index_entry_is_here(p->s, &index->v[i], p->lease))
            return false;
    return index->n > 0;
}

static int no_choice(struct err *err)
{
    return err_conflict(err,
                        "multiple matching manifests found but no specific platform requested");
}

int push_choose(struct push *p, struct err *err)
{
    const struct index_entry *best = NULL;
    struct image_index index;
    struct platform host, have;
    size_t here = 0;
    int most = -1;

    if (!p->row.index || p->o->want)
        return 0;
    int r = image_index_read(p->s, &p->row, p->a, &index, err);
    platform_of(&host, NULL);
    for (size_t i = 0; r >= 0 && i < index.n; i++) {
        const struct index_entry *e = &index.v[i];
        if (!e->row || !index_entry_is_image(e))
            continue;
        platform_of(&have, e->platform);
        int score = platform_score(&host, &have);
        here++;
        if (score > most) {
            most = score;
            best = e;
        }
    }
    if (r < 0)
        return r;
    if (here > 1 && most <= 0)
        return no_choice(err);
    if (index.target && str_eq(index.target->digest, p->row.index))
        p->whole = index.target;
    p->row = best ? *best->row : p->row;
    return 0;
}

/* ---- pushing ---- */

static int push_blob(struct push *p, const struct oci_descriptor *d, struct err *err)
{
    auto_buf struct buf data = BUF_INIT;
    int r = blob_read(p->s, d->digest, &data, err);

    return r < 0 ? r : dist_upload_blob(p->o->session, p->repo, buf_str(&data), data.len, err);
}

/* Held since it was looked for. */
static int push_artifact(struct push *p, const struct oci_descriptor *d, struct err *err)
{
    struct oci_manifest man = {0};
    struct dist_manifest doc;
    int r = 0;

    if (!index_artifact(p->s, d, p->lease, p->a, &man, &doc))
        return err_as(err, ERR_SYSTEM, EBADMSG, "artifact %s cannot be read", d->digest);
    if (man.config)
        r = push_blob(p, man.config, err);
    for (size_t i = 0; r >= 0 && i < man.layers.n; i++)
        r = push_blob(p, man.layers.v[i], err);
    if (r >= 0)
        r = dist_manifest_put(p->o->session, p->repo, doc.digest, &doc, err);
    return r < 0 ? err_wrap(err, r, "artifact %s", d->digest) : 0;
}

static int push_entry(struct pushing *x, size_t i, struct dist_manifest *ret, struct err *err)
{
    const struct index_entry *e = &x->index.v[i];
    struct dist_manifest m = {0};

    x->p->row = *e->row;
    x->p->row.manifest = e->d->digest;
    int r = push_image(x->p, NULL, &m, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.push.part", err);
    if (str_eq(e->row->id, x->named.id))
        *ret = m;
    if (strcmp(m.digest, e->d->digest) == 0)
        return 0;
    x->changed = true;
    struct oci_descriptor *d = arena_memdup(x->p->a, e->d, sizeof(*d));
    d->media_type = arena_strdup(x->p->a, m.media_type);
    d->digest = arena_strdup(x->p->a, m.digest);
    d->size = (int64_t)m.len;
    x->entries[i] = d;
    return push_say(x->p, NULL,
                    arena_printf(x->p->a,
                                 "manifest %s: not all of its blobs are kept, it becomes %s",
                                 e->d->digest, m.digest),
                    err);
}

/* Is it about a manifest that has become another one? */
static bool is_outdated(const struct pushing *x, const struct oci_descriptor *d)
{
    const char *about = strmap_get(&d->annotations, ANNOTATION_REFERENCE_DIGEST);

    for (size_t i = 0; about && i < x->index.n; i++)
        if (str_eq(x->index.v[i].d->digest, about))
            return x->entries[i] != x->index.v[i].d;
    return false;
}

static int push_others(struct pushing *x, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < x->index.n; i++) {
        const struct oci_descriptor *d = x->index.v[i].d;
        if (index_entry_is_image(&x->index.v[i]))
            continue;
        if (!is_outdated(x, d)) {
            r = push_artifact(x->p, d, err);
            continue;
        }
        x->entries[i] = NULL;
        r = push_say(x->p, NULL,
                     arena_printf(x->p->a,
                                  "attestation %s: left out, it is about a manifest that "
                                  "is not kept",
                                  d->digest),
                     err);
    }
    return r;
}

/* The document that is here, or one that names what the images have become. */
static int make_index(struct pushing *x, struct dist_manifest *ret, struct err *err)
{
    const struct oci_descriptor *target = x->index.target;
    struct arena *a = x->p->a;
    struct document doc = {.d = *target};
    struct oci_manifest man = {0};
    auto_buf struct buf text = BUF_INIT;
    int r = blob_read(x->p->s, target->digest, &text, err);

    if (r >= 0)
        r = json_decode(&oci_manifest_type, buf_str(&text), text.len, a, &man, 0, err);
    if (r < 0)
        return r;
    doc.text = arena_strndup(a, buf_str(&text), text.len);
    if (x->changed) {
        man.media_type = target->media_type;
        man.manifests.n = 0;
        for (size_t i = 0; i < x->index.n; i++)
            if (x->entries[i])
                man.manifests.v[man.manifests.n++] = x->entries[i];
        document_make(&man, a, &doc);
    }
    *ret = document_dist(&doc);
    return 0;
}

static int push_all(struct pushing *x, struct dist_manifest *m, struct dist_manifest *index,
                    struct err *err)
{
    int r = 0;

    x->entries = arena_alloc(x->p->a, x->index.n * sizeof(*x->entries));
    for (size_t i = 0; i < x->index.n; i++)
        x->entries[i] = (struct oci_descriptor *)(uintptr_t)x->index.v[i].d; /* only read */
    for (size_t i = 0; r >= 0 && i < x->index.n; i++)
        if (index_entry_is_image(&x->index.v[i]))
            r = push_entry(x, i, m, err);
    if (r >= 0)
        r = push_others(x, err);
    if (r >= 0)
        r = make_index(x, index, err);
    return r < 0 ? r
                 : dist_manifest_put(x->p->o->session, x->p->repo,
                                     str_or(push_ref(x->p), index->digest), index, err);
}

int push_index(struct push *p, struct dist_manifest *m, struct dist_manifest *index,
               struct err *err)
{
    struct pushing x = {.p = p, .named = p->row};

    if (!p->row.index || p->o->want)
        return 0;
    lease_add(p->lease, p->row.index);
    int r = image_index_read(p->s, &p->row, p->a, &x.index, err);
    if (r < 0)
        return r;
    if (!x.index.target || !str_eq(x.index.target->digest, p->row.index) ||
        !all_is_here(p, &x.index))
        return 0;
    r = push_all(&x, m, index, err);
    p->row = x.named;
    if (r < 0)
        return r;
    return m->text ? 1
                   : err_as(err, ERR_SYSTEM, EBADMSG, "the image %s is not in its own index",
                            x.named.id);
}
