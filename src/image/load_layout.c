/*
 * Which images an OCI layout holds: its index names manifests, and indexes of the platforms of one
 * image, whose blobs need not all be in the archive. Everything is checked by digest and size.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "distribution/platform.h"
#include "image/index.h"
#include "image/load-priv.h"
#include "image/manifest.h"
#include "image/remote.h"

#define INDEX_DEPTH 4
#define ANNOTATION_NAME "io.containerd.image.name"
#define ANNOTATION_REF "org.opencontainers.image.ref.name"

static int blob_name(const struct oci_descriptor *d, char out[128], struct err *err)
{
    if (!digest_valid(d->digest))
        return err_as(err, ERR_INVALID, EBADMSG, "invalid digest: %.100s", d->digest);
    (void)snprintf(out, 128, "blobs/sha256/%s", d->digest + 7);
    return 0;
}

static int check_blob(const struct oci_descriptor *d, const char *digest, uint64_t size,
                      struct err *err)
{
    if (strcmp(d->digest, digest) != 0)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s has the digest %s", d->digest, digest);
    if (d->size < 0 || (uint64_t)d->size != size)
        return err_as(err, ERR_INVALID, EBADMSG, "blob %s: expected %lld bytes, got %llu",
                      d->digest, (long long)d->size, (unsigned long long)size);
    return 0;
}

static int find_blob(struct loader *l, const struct oci_descriptor *d, const struct member **ret,
                     struct err *err)
{
    char name[128], digest[DIGEST_LEN + 1];
    const struct member *m = NULL;
    int r = blob_name(d, name, err);

    if (r >= 0)
        r = load_find_text(l, name, &m, err);
    if (r < 0)
        return r;
    sha256_of(m->text, m->len, digest);
    r = check_blob(d, digest, m->len, err);
    if (r >= 0)
        *ret = m;
    return r;
}

static int check_blob_layer(struct loader *l, const struct oci_image *img, size_t i,
                            const struct oci_descriptor *d, struct err *err)
{
    char name[128];
    const struct member *m = NULL;
    int r = blob_name(d, name, err);

    if (r >= 0)
        r = load_find_layer(l, name, &m, err);
    if (r >= 0)
        r = check_blob(d, m->layer.blob, m->layer.blob_size, err);
    return r < 0 ? r : load_check_layer(img, i, m, err);
}

/* A manifest of plain tars is only what some program wrote around them: a push makes a better one.
 */
static bool any_compressed(const struct oci_manifest *man, const struct oci_image *img)
{
    for (size_t i = 0; i < man->layers.n; i++)
        if (strcmp(man->layers.v[i]->digest, img->rootfs.diff_ids.v[i]) != 0)
            return true;
    return false;
}

/* Would it be taken from a registry? Archives are allowed more: layers without a type, or of xz. */
static bool may_be_pushed(struct loader *l, const struct member *doc, struct oci_manifest *ret)
{
    struct dist_manifest m = {.text = doc->text, .len = doc->len, .media_type = ""};
    struct remote_manifest checked;

    if (remote_manifest_check(&m, l->a, &checked, NULL) < 0 || checked.index)
        return false;
    *ret = checked.man;
    return true;
}

/* @doc: the bytes of @man; @index: that it is of, or NULL */
static int plan_manifest(struct loader *l, const struct member *doc, const struct oci_manifest *man,
                         const char *ref, const struct member *index, struct load_plan *plan,
                         struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {0};
    const struct member *config = NULL;
    int r = 0;

    if (!man->config)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid manifest: it has no config");
    r = find_blob(l, man->config, &config, err);
    if (r >= 0)
        r = load_config(config, &a, &img, err);
    if (r < 0)
        return r;
    struct platform platform = load_platform(&img);
    if (!load_wanted(l, &platform))
        return 0;
    r = load_check_count(&img, man->layers.n, err);
    for (size_t i = 0; r >= 0 && i < man->layers.n; i++)
        r = check_blob_layer(l, &img, i, man->layers.v[i], err);
    if (r < 0)
        return r;
    struct planned_image p = {
        .config = config->text, .config_len = config->len, .platform = platform, .index = index};
    if ((index || any_compressed(man, &img)) && may_be_pushed(l, doc, &p.man)) {
        p.manifest = doc;
        p.diff_ids = strv_clone(l->a, &img.rootfs.diff_ids);
    }
    if (ref)
        strv_push(l->a, &p.refs, ref);
    arena_push(l->a, *plan) = p;
    return 0;
}

static bool is_attestation(const struct oci_descriptor *d)
{
    return strmap_get(&d->annotations, ANNOTATION_REFERENCE_TYPE) ||
           (d->platform && str_eq(d->platform->os, "unknown"));
}

/* What a descriptor says of its platform may be nothing; then its config will tell. */
static bool says_other_than(const struct oci_descriptor *d, const struct platform *want)
{
    struct platform have;

    if (!d->platform)
        return false;
    platform_of(&have, d->platform);
    return !platform_serves(want, &have);
}

/* A full name, or nothing: "latest" alone names no image. */
static const char *name_of(const struct oci_descriptor *d)
{
    const char *full = strmap_get(&d->annotations, ANNOTATION_NAME);
    const char *ref = strmap_get(&d->annotations, ANNOTATION_REF);

    if (full)
        return full;
    return ref && strpbrk(ref, ":/") ? ref : NULL;
}

static bool has_blob(struct loader *l, const struct oci_descriptor *d)
{
    char name[128];
    const struct member *m = NULL;

    return blob_name(d, name, NULL) >= 0 && load_find(l, name, &m, NULL) >= 0;
}

/* Is all that a manifest names in the archive? An index may name images that are not. */
static bool is_whole(struct loader *l, const struct oci_descriptor *d)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_manifest man = {0};
    const struct member *m = NULL;

    if (find_blob(l, d, &m, NULL) < 0 ||
        json_decode(&oci_manifest_type, m->text, m->len, &a, &man, 0, NULL) < 0)
        return false;
    if (man.manifests.v)
        return true; /* its own images will tell */
    bool whole = man.config && has_blob(l, man.config);
    for (size_t i = 0; whole && i < man.layers.n; i++)
        whole = has_blob(l, man.layers.v[i]);
    return whole;
}

/* An index, the archive's own or one of its blobs. */
struct level {
    const struct oci_manifest *index;
    const struct member *text; /* NULL: the archive's own, which is no blob */
    const char *ref;           /* name of its images, or NULL */
    int depth;
};

static int plan_index(struct loader *l, const struct level *at, struct load_plan *plan,
                      struct err *err);

static int plan_descriptor(struct loader *l, const struct level *at, const struct oci_descriptor *d,
                           struct load_plan *plan, struct err *err)
{
    struct oci_manifest man = {0};
    const struct member *m = NULL;
    const char *name = name_of(d);
    int r = load_count_image(l, err);

    if (r >= 0)
        r = find_blob(l, d, &m, err);
    if (r >= 0)
        r = json_decode(&oci_manifest_type, m->text, m->len, l->a, &man, 0, err);
    if (r < 0)
        return err_wrap(err, r, "invalid manifest");
    const char *ref = name ? name : at->ref;
    if (!man.manifests.v)
        return plan_manifest(l, m, &man, ref, at->text, plan, err);
    /* Of nested ones the outermost is what the name means. */
    struct level inner = {&man, at->text ? at->text : m, ref, at->depth + 1};
    return plan_index(l, &inner, plan, err);
}

/* What an attestation of an index names, if all of it is here. It is no image; it is kept with the
 * index. */
static void note_artifact(struct loader *l, const struct level *at, const struct oci_descriptor *d,
                          struct load_plan *plan)
{
    struct planned_artifact p = {.index = at->text};
    struct oci_manifest man = {0};
    const struct member *m = NULL;

    if (!at->text || load_count_image(l, NULL) < 0 || find_blob(l, d, &m, NULL) < 0 ||
        json_decode(&oci_manifest_type, m->text, m->len, l->a, &man, 0, NULL) < 0 ||
        man.manifests.n)
        return;
    arena_push(l->a, p.blobs) = m;
    if (man.config && find_blob(l, man.config, &m, NULL) < 0)
        return;
    if (man.config)
        arena_push(l->a, p.blobs) = m;
    for (size_t i = 0; i < man.layers.n; i++) {
        if (find_blob(l, man.layers.v[i], &m, NULL) < 0)
            return;
        arena_push(l->a, p.blobs) = m;
    }
    arena_push(l->a, plan->artifacts) = p;
}

/* May it be passed over? The image for this host, or the wanted one, must be whole. */
static bool passed_over(struct loader *l, const struct oci_descriptor *d)
{
    const struct platform *want = l->opts ? l->opts->want : NULL;
    struct platform host;

    if (is_attestation(d))
        return true;
    if (want)
        return says_other_than(d, want);
    platform_of(&host, NULL);
    return says_other_than(d, &host) &&
           (!str_eq(str_or(d->platform->os, "linux"), "linux") || !is_whole(l, d));
}

static int plan_index(struct loader *l, const struct level *at, struct load_plan *plan,
                      struct err *err)
{
    const struct oci_descriptor *passed = NULL;
    size_t before = plan->n;
    int r = 0;

    if (at->depth > INDEX_DEPTH)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid index: nested too deep");
    for (size_t i = 0; r >= 0 && i < at->index->manifests.n; i++) {
        const struct oci_descriptor *d = at->index->manifests.v[i];
        if (!passed_over(l, d))
            r = plan_descriptor(l, at, d, plan, err);
        else if (!is_attestation(d))
            passed = d;
        else
            note_artifact(l, at, d, plan);
    }
    if (r >= 0 && passed && plan->n == before && !(l->opts && l->opts->want))
        r = plan_descriptor(l, at, passed, plan, err); /* says what is missing */
    return r;
}

/* One name of several platforms goes to that which serves this host best. */
static void settle_names(struct load_plan *plan)
{
    struct platform host;

    platform_of(&host, NULL);
    for (size_t i = 0; i < plan->n; i++) {
        struct planned_image *p = &plan->v[i];
        for (size_t k = 0; k < plan->n && p->refs.n; k++) {
            const struct planned_image *o = &plan->v[k];
            if (o->refs.n && str_eq(p->refs.v[0], o->refs.v[0]) &&
                platform_score(&host, &o->platform) > platform_score(&host, &p->platform))
                p->refs.n = 0;
        }
    }
}

int load_plan_layout(struct loader *l, const struct member *index, struct load_plan *plan,
                     struct err *err)
{
    struct oci_manifest top = {0};
    int r = json_decode(&oci_manifest_type, index->text, index->len, l->a, &top, 0, err);

    if (r < 0)
        return err_wrap(err, r, "invalid index");
    r = plan_index(l, &(struct level){.index = &top}, plan, err);
    if (r >= 0)
        settle_names(plan);
    if (r >= 0 && plan->n == 0 && !(l->opts && l->opts->want))
        r = err_as(err, ERR_INVALID, EBADMSG, "invalid index: no images");
    return r;
}
