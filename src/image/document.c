#include "image/document.h"

#include <stdio.h>

#include "image/remote.h"

void document_blob(const char *media_type, const char *text, size_t n, struct arena *a,
                   struct document *ret)
{
    char digest[DIGEST_LEN + 1];

    sha256_of(text, n, digest);
    *ret = (struct document){.text = arena_strndup(a, text, n),
                             .d = {.media_type = arena_strdup(a, media_type),
                                   .digest = arena_strdup(a, digest),
                                   .size = (int64_t)n}};
}

void document_make(const struct oci_manifest *man, struct arena *a, struct document *ret)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(man->config ? &oci_image_manifest_type : &oci_manifest_type, man, &text);
    document_blob(man->media_type, buf_str(&text), text.len, a, ret);
}

struct dist_manifest document_dist(const struct document *d)
{
    struct dist_manifest m = {
        .text = d->text, .len = (size_t)d->d.size, .media_type = d->d.media_type};

    (void)snprintf(m.digest, sizeof(m.digest), "%s", d->d.digest);
    return m;
}

bool descriptor_is_zstd(const struct oci_descriptor *d)
{
    return str_ends(d->media_type, "zstd");
}

void image_manifest_make(bool oci, struct oci_descriptor *config, struct oci_descriptor *layers,
                         size_t n, const struct strmap *annotations, struct arena *a,
                         struct document *ret)
{
    struct oci_manifest man = {
        .schema_version = 2,
        .media_type = arena_strdup(a, oci ? MEDIA_OCI_MANIFEST : MEDIA_DOCKER_MANIFEST),
        .config = config};

    config->media_type = arena_strdup(a, oci ? MEDIA_OCI_CONFIG : MEDIA_DOCKER_CONFIG);
    if (annotations)
        man.annotations = *annotations;
    for (size_t i = 0; i < n; i++) {
        layers[i].media_type = remote_layer_type(&layers[i], oci, a);
        arena_push(a, man.layers) = &layers[i];
    }
    document_make(&man, a, ret);
}

void image_index_make(bool oci, struct oci_descriptor *const *entries, size_t n,
                      const struct strmap *annotations, struct arena *a, struct document *ret)
{
    struct oci_manifest index = {.schema_version = 2,
                                 .media_type =
                                     arena_strdup(a, oci ? MEDIA_OCI_INDEX : MEDIA_DOCKER_LIST)};

    if (annotations)
        index.annotations = *annotations;
    for (size_t i = 0; i < n; i++)
        arena_push(a, index.manifests) = entries[i];
    document_make(&index, a, ret);
}
