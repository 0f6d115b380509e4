#include "build/cache_doc.h"

#include <errno.h>
#include <string.h>

static const struct field step_fields[] = {
    FIELD(struct cache_step, "key", F_STR, key, .flags = F_REQUIRED),
    FIELD(struct cache_step, "layer", F_I64, layer, .flags = F_REQUIRED),
    FIELD(struct cache_step, "created", F_I64, created_ns, .flags = F_OMIT),
    FIELD(struct cache_step, "text", F_STR, text, .flags = F_OMIT),
};
static const struct json_type step_type = JSON_TYPE("CacheStep", struct cache_step, step_fields);

static const struct field doc_fields[] = {
    FIELD(struct cache_doc, "version", F_I64, version, .flags = F_REQUIRED),
    FIELD(struct cache_doc, "layers", F_STRV, layers, .flags = F_EMPTY),
    FIELD(struct cache_doc, "steps", F_OBJV, steps, .flags = F_EMPTY, .type = &step_type),
};
static const struct json_type doc_type = JSON_TYPE("BuildCache", struct cache_doc, doc_fields);

static int check(const struct oci_manifest *man, const struct cache_doc *doc, struct err *err)
{
    if (doc->version != CACHE_DOC_VERSION)
        return err_as(err, ERR_INVALID, ENOTSUP, "version %lld of caches is not known here",
                      (long long)doc->version);
    if (doc->layers.n != man->layers.n)
        return err_invalid(err, "it has %zu layers, its manifest %zu", doc->layers.n,
                           man->layers.n);
    if (doc->steps.n > CACHE_STEPS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "it has more than %d steps", CACHE_STEPS_MAX);
    for (size_t i = 0; i < doc->layers.n; i++)
        if (!digest_valid(doc->layers.v[i]))
            return err_invalid(err, "invalid diff ID \"%.100s\"", doc->layers.v[i]);
    for (size_t i = 0; i < doc->steps.n; i++) {
        const struct cache_step *s = doc->steps.v[i];
        if (!digest_valid(s->key) || s->layer < -1 || s->layer >= (int64_t)doc->layers.n)
            return err_invalid(err, "invalid step \"%.100s\"", s->key);
    }
    return 0;
}

/* The steps that an image says it was made by. */
static int of_image(const struct oci_manifest *man, const char *text, size_t len, struct arena *a,
                    struct cache_doc *ret, struct err *err)
{
    struct oci_image *img = NULL;
    int r = remote_config_check(man, text, len, a, &img, err);

    if (r < 0)
        return r;
    ret->version = CACHE_DOC_VERSION;
    ret->layers = img->rootfs.diff_ids;
    for (size_t i = 0; i < img->steps.n; i++) {
        struct cache_step *s = arena_new(a, struct cache_step);
        *s = (struct cache_step){.key = img->steps.v[i]->key, .layer = img->steps.v[i]->layer};
        arena_push(a, ret->steps) = s;
    }
    return 0;
}

int cache_doc_read(const struct oci_manifest *man, const char *text, size_t len, struct arena *a,
                   struct cache_doc *ret, struct err *err)
{
    struct cache_doc doc = {0};
    int r = strcmp(man->config->media_type, MEDIA_BUILD_CACHE) == 0
                ? json_decode(&doc_type, text, len, a, &doc, 0, err)
                : of_image(man, text, len, a, &doc, err);

    if (r >= 0)
        r = check(man, &doc, err);
    if (r < 0)
        return err_wrap(err, r, "invalid cache");
    *ret = doc;
    return 0;
}

void cache_doc_write(const struct cache_doc *doc, struct oci_descriptor *layers, struct buf *out,
                     struct buf *out_manifest)
{
    auto_arena struct arena a = ARENA_INIT;
    char digest[DIGEST_LEN + 1], type[] = MEDIA_BUILD_CACHE, manifest[] = MEDIA_OCI_MANIFEST;

    json_encode(&doc_type, doc, out);
    sha256_of(out->data, out->len, digest);
    struct oci_descriptor config = {
        .media_type = type, .digest = digest, .size = (int64_t)out->len};
    struct oci_manifest man = {.schema_version = 2, .media_type = manifest, .config = &config};
    for (size_t i = 0; i < doc->layers.n; i++)
        arena_push(&a, man.layers) = &layers[i];
    json_encode(&oci_manifest_type, &man, out_manifest);
}
