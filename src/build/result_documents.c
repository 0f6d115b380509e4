/*
 * Manifests and the index of a result. They are made when something asks for them: several
 * platforms, annotations, attestations, a kind of compression. Then the digests of the compressed
 * layers are needed, and a layer that never was one is compressed once for its digest alone; the
 * push makes the same bytes again.
 */
#include <errno.h>
#include <string.h>

#include "build/result-priv.h"
#include "image/packed.h"
#include "image/remote.h"
#include "store/blobs.h"
#include "wire/build_export.h"

static const struct build_export nothing = {0};

static const struct build_export *export_of(const struct build *b)
{
    return b->rq->export ? b->rq->export : &nothing;
}

static bool wants_attestations(const struct build_export *e)
{
    return e->sbom || !str_empty(e->provenance);
}

static bool wants_index(const struct build *b)
{
    return b->ntargets > 1 || wants_attestations(export_of(b));
}

static bool wants_manifests(const struct build *b)
{
    const struct build_export *e = export_of(b);

    return wants_index(b) || e->annotations.n || !str_empty(e->compression) ||
           e->compression_level || e->force_compression || e->docker_types;
}

/* ---- what was asked for ---- */

static const struct {
    const char *name;
    enum compression kind;
    int level_max;
} packings[] = {{"gzip", COMP_GZIP, 9}, {"zstd", COMP_ZSTD, 22}, {"uncompressed", COMP_NONE, 0}};

static int read_packing(const struct build_export *e, struct packing *ret, struct err *err)
{
    const char *name = str_or(e->compression, "gzip");

    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++) {
        if (strcmp(name, packings[i].name) != 0)
            continue;
        if (e->compression_level < 0 || e->compression_level > packings[i].level_max)
            return err_invalid(err, "%s has no compression level %lld", name,
                               (long long)e->compression_level);
        *ret = (struct packing){packings[i].kind, (int)e->compression_level, e->force_compression};
        return 0;
    }
    return err_invalid(err, "unsupported layer compression type: %s", name);
}

static int check_annotation(const struct build *b, const struct build_annotation *n,
                            struct err *err)
{
    static const char *const levels[] = {"manifest", "manifest-descriptor", "index",
                                         "index-descriptor"};
    struct platform p;

    if (str_empty(n->key))
        return err_invalid(err, "an annotation needs a key");
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (!str_eq(n->level, levels[i]))
            continue;
        if (i >= 2 && !wants_index(b))
            return err_invalid(err, "annotation %s: the image of one platform has no index",
                               n->key);
        return str_empty(n->platform) ? 0 : platform_parse(n->platform, &p, err);
    }
    return err_invalid(err, "annotation %s: unknown level \"%s\"", n->key, n->level);
}

int export_check(const struct build *b, struct err *err)
{
    const struct build_export *e = export_of(b);
    struct packing how;
    int r = read_packing(e, &how, err);

    for (size_t i = 0; r >= 0 && i < e->annotations.n; i++)
        r = check_annotation(b, e->annotations.v[i], err);
    if (r >= 0 && e->docker_types &&
        (e->annotations.n || wants_attestations(e) || how.kind == COMP_ZSTD))
        r = err_invalid(err, "annotations, attestations and zstd need OCI media types");
    if (r >= 0 && !str_empty(e->provenance) && !str_eq(e->provenance, "min") &&
        !str_eq(e->provenance, "max"))
        r = err_invalid(err, "provenance \"%s\": want \"min\" or \"max\"", e->provenance);
    return r;
}

static bool is_for(const struct build_annotation *n, const struct platform *p)
{
    struct platform want;

    return str_empty(n->platform) ||
           (p && platform_parse(n->platform, &want, NULL) >= 0 && platform_same(&want, p));
}

struct strmap export_annotations(const struct build *b, const char *level, const struct platform *p,
                                 struct arena *a)
{
    const struct build_export *e = export_of(b);
    struct strmap out = {0};

    for (size_t i = 0; i < e->annotations.n; i++) {
        const struct build_annotation *n = e->annotations.v[i];
        if (strcmp(n->level, level) == 0 && is_for(n, p))
            strmap_set(a, &out, n->key, str_or(n->val, ""));
    }
    return out;
}

/* ---- manifests ---- */

int result_keep(struct result *x, const struct document *doc, struct err *err)
{
    strv_push(x->a, &x->parts, doc->d.digest);
    return blob_put(x->b->store, doc->text, (size_t)doc->d.size, x->b->lease, NULL, err);
}

static int pack_layers(struct result *x, struct result_image *img, struct oci_descriptor *ret,
                       struct err *err)
{
    const struct strv *layers = &img->target->result->layers;
    struct packing how;
    int r = read_packing(export_of(x->b), &how, err);

    for (size_t i = 0; r >= 0 && i < layers->n; i++) {
        r = layer_packed(x->b->store, layers->v[i], &how, x->b->lease, x->a, &ret[i], err);
        if (r >= 0)
            strv_push(x->a, &img->blobs, ret[i].digest);
    }
    return r;
}

static int make_manifest(struct result *x, struct result_image *img, struct err *err)
{
    const struct platform *p = &img->target->platform;
    size_t n = img->target->result->layers.n;
    struct oci_descriptor config = {.digest = img->id, .size = (int64_t)img->config.len};
    struct oci_descriptor *layers = arena_alloc(x->a, (n + 1) * sizeof(*layers));
    struct strmap annotations = export_annotations(x->b, "manifest", p, x->a);
    bool oci = !export_of(x->b)->docker_types;
    int r = pack_layers(x, img, layers, err);

    for (size_t i = 0; i < n && r >= 0; i++)
        oci |= descriptor_is_zstd(&layers[i]); /* of a base: Docker's words have none for it */
    if (r < 0)
        return r;
    image_manifest_make(oci, &config, layers, n, &annotations, x->a, &img->manifest);
    img->manifest.d.annotations = export_annotations(x->b, "manifest-descriptor", p, x->a);
    if (wants_index(x->b))
        return result_keep(x, &img->manifest, err);
    return blob_put(x->b->store, img->manifest.text, (size_t)img->manifest.d.size, x->b->lease,
                    NULL, err);
}

static int make_index(struct result *x, struct err *err)
{
    struct strmap annotations = export_annotations(x->b, "index", NULL, x->a);

    image_index_make(!export_of(x->b)->docker_types, x->entries.v, x->entries.n, &annotations, x->a,
                     &x->index);
    x->index.d.annotations = export_annotations(x->b, "index-descriptor", NULL, x->a);
    return blob_put(x->b->store, x->index.text, (size_t)x->index.d.size, x->b->lease, NULL, err);
}

int result_documents(struct result *x, struct err *err)
{
    struct packing how;

    if (!wants_manifests(x->b))
        return 0;
    int r = read_packing(export_of(x->b), &how, err);
    if (r >= 0 && !how.force) /* those are made anew whenever they are asked for */
        r = result_pack(x, &how, err);
    for (size_t i = 0; r >= 0 && i < x->n; i++) {
        struct result_image *img = &x->v[i];
        r = make_manifest(x, img, err);
        img->manifest.d.platform = platform_oci(&img->target->platform, x->a);
        arena_push(x->a, x->entries) = &img->manifest.d;
    }
    for (size_t i = 0; r >= 0 && i < x->n && wants_attestations(export_of(x->b)); i++)
        r = attest_image(x, &x->v[i], err);
    return r < 0 || !wants_index(x->b) ? r : make_index(x, err);
}
