#include "image/remote.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

#define DESCRIPTORS_MAX 2048

static bool is_index_type(const char *t)
{
    return strcmp(t, MEDIA_OCI_INDEX) == 0 || strcmp(t, MEDIA_DOCKER_LIST) == 0;
}

bool remote_is_manifest(const char *t)
{
    return strcmp(t, MEDIA_OCI_MANIFEST) == 0 || strcmp(t, MEDIA_DOCKER_MANIFEST) == 0;
}

static bool is_image_config(const char *t)
{
    return strcmp(t, MEDIA_OCI_CONFIG) == 0 || strcmp(t, MEDIA_DOCKER_CONFIG) == 0;
}

/* Layers that we can unpack; those that lie elsewhere ("foreign") are not fetched. */
static bool is_layer_type(const char *t)
{
    static const char *const known[] = {
        MEDIA_OCI_LAYER,
        MEDIA_OCI_LAYER "+gzip",
        MEDIA_OCI_LAYER "+zstd",
        MEDIA_DOCKER_LAYER,
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], t) == 0)
            return true;
    return false;
}

static int check_descriptor(const struct oci_descriptor *d, struct err *err)
{
    if (!digest_valid(d->digest))
        return err_invalid(err, "invalid manifest: digest \"%.100s\"", d->digest);
    if (d->size < 0)
        return err_invalid(err, "invalid manifest: size of %s", d->digest);
    if (!d->media_type)
        return err_invalid(err, "invalid manifest: no media type for %s", d->digest);
    return 0;
}

/* What the body calls itself, what the registry calls it, and what it is, must agree: a document
 * that two programs read differently is how one is shown for the other (CVE-2021-41190). */
static int settle_type(struct remote_manifest *m, struct err *err)
{
    const char *said = m->doc.media_type, *own = str_or(m->man.media_type, "");
    bool typed = is_index_type(said) || remote_is_manifest(said);

    if (m->man.manifests.v && (m->man.layers.v || m->man.config))
        return err_invalid(err, "invalid manifest: it is a manifest and an index at once");
    if (*own && typed && strcmp(own, said) != 0)
        return err_invalid(err, "invalid manifest: media type \"%.100s\" announced as \"%.100s\"",
                           own, said);
    m->doc.media_type = *own                 ? own
                        : typed              ? said
                        : m->man.manifests.v ? MEDIA_OCI_INDEX
                                             : MEDIA_OCI_MANIFEST;
    m->index = is_index_type(m->doc.media_type);
    if (!m->index && !remote_is_manifest(m->doc.media_type))
        return err_as(err, ERR_INVALID, ENOTSUP, "unsupported manifest media type \"%.100s\"",
                      m->doc.media_type);
    if (m->index ? !m->man.manifests.v : m->man.manifests.v != NULL)
        return err_invalid(err, "invalid manifest: media type \"%s\" is not what it holds",
                           m->doc.media_type);
    return 0;
}

/* An artifact says of what type it is itself, or by its config, or (signatures of cosign, which
 * have an image's config) by its layers. */
static int no_image(const struct oci_manifest *man, const char *what, const char *type,
                    struct err *err)
{
    return err_as(err, ERR_INVALID, ENOTSUP,
                  "unsupported %s %.100s: this is an artifact of type %.100s, no image of a "
                  "container",
                  what, type, str_or(man->artifact_type, type));
}

static int check_config(const struct oci_manifest *man, const char *artifact, struct err *err)
{
    if (!man->config)
        return err_invalid(err, "invalid manifest: it has no config");
    int r = check_descriptor(man->config, err);
    if (r < 0)
        return r;
    if (!is_image_config(man->config->media_type) && !str_eq(man->config->media_type, artifact))
        return no_image(man, "media type", man->config->media_type, err);
    if (man->config->size > REMOTE_CONFIG_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "invalid manifest: the config has %lld bytes",
                      (long long)man->config->size);
    return 0;
}

/* @artifact: media type of another config than an image's that is taken, too; or NULL */
static int check_image(const struct oci_manifest *man, const char *artifact, size_t max,
                       struct err *err)
{
    int r = check_config(man, artifact, err);

    if (r >= 0 && man->layers.n > max)
        r = err_as(err, ERR_INVALID, E2BIG, "invalid manifest: more than %zu layers", max);
    for (size_t i = 0; r >= 0 && i < man->layers.n; i++) {
        const struct oci_descriptor *d = man->layers.v[i];
        r = check_descriptor(d, err);
        if (r >= 0 && !is_layer_type(d->media_type))
            r = no_image(man, "layer media type", d->media_type, err);
    }
    return r;
}

static int check_index(const struct oci_manifest *man, struct err *err)
{
    int r = 0;

    if (man->manifests.n > DESCRIPTORS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "invalid manifest: more than %d images",
                      DESCRIPTORS_MAX);
    for (size_t i = 0; r >= 0 && i < man->manifests.n; i++)
        r = check_descriptor(man->manifests.v[i], err);
    return r;
}

static int decode(const struct dist_manifest *doc, struct arena *a, struct remote_manifest *m,
                  struct err *err)
{
    int r = json_decode(&oci_manifest_type, doc->text, doc->len, a, &m->man, 0, err);

    if (r < 0)
        return err_wrap(err, r, "invalid manifest");
    if (m->man.schema_version != 2)
        return err_as(err, ERR_INVALID, ENOTSUP,
                      "manifests of schema version %lld are not supported, only those of 2",
                      (long long)m->man.schema_version);
    return settle_type(m, err);
}

int remote_manifest_check(const struct dist_manifest *doc, struct arena *a,
                          struct remote_manifest *ret, struct err *err)
{
    struct remote_manifest m = {.doc = *doc};
    int r = decode(doc, a, &m, err);

    if (r >= 0)
        r = m.index ? check_index(&m.man, err) : check_image(&m.man, NULL, REMOTE_LAYERS_MAX, err);
    if (r >= 0)
        *ret = m;
    return r;
}

int remote_cache_check(const struct dist_manifest *doc, const char *config_type, struct arena *a,
                       struct remote_manifest *ret, struct err *err)
{
    struct remote_manifest m = {.doc = *doc};
    int r = decode(doc, a, &m, err);

    if (r >= 0)
        r = m.index ? check_index(&m.man, err)
                    : check_image(&m.man, config_type, REMOTE_CACHE_LAYERS_MAX, err);
    if (r >= 0)
        *ret = m;
    return r;
}

const struct oci_descriptor *remote_choose(const struct remote_manifest *index,
                                           const struct platform *want)
{
    const struct oci_descriptor *best = NULL;
    int most = 0;

    for (size_t i = 0; i < index->man.manifests.n; i++) {
        const struct oci_descriptor *d = index->man.manifests.v[i];
        struct platform have;
        if (!remote_is_manifest(d->media_type) && !is_index_type(d->media_type))
            continue;
        if (!str_empty(d->artifact_type) && !is_image_config(d->artifact_type))
            continue; /* a signature in the image's index */
        if (d->platform)
            platform_of(&have, d->platform);
        int score = d->platform ? platform_score(want, &have) : 1;
        if (score > most) {
            most = score;
            best = d;
        }
    }
    return best;
}

int remote_config_check(const struct oci_manifest *man, const char *text, size_t len,
                        struct arena *a, struct oci_image **ret, struct err *err)
{
    struct oci_image *img = arena_new(a, struct oci_image);
    int r = json_decode(&oci_image_type, text, len, a, img, JSON_NOCASE, err);

    if (r < 0)
        return err_wrap(err, r, "invalid image config");
    if (!img->rootfs.type)
        return err_invalid(err, "invalid rootfs in image configuration");
    if (!str_empty(img->os) && strcmp(img->os, "linux") != 0)
        return err_invalid(err, "image operating system \"%.50s\" cannot be used on this platform",
                           img->os);
    if (img->rootfs.diff_ids.n != man->layers.n)
        return err_invalid(err, "invalid image config: it has %zu layers, its manifest %zu",
                           img->rootfs.diff_ids.n, man->layers.n);
    for (size_t i = 0; i < img->rootfs.diff_ids.n; i++)
        if (!digest_valid(img->rootfs.diff_ids.v[i]))
            return err_invalid(err, "invalid image config: diff ID \"%.100s\"",
                               img->rootfs.diff_ids.v[i]);
    *ret = img;
    return 0;
}

char *remote_layer_type(const struct oci_descriptor *d, bool oci, struct arena *a)
{
    const char *t = str_or(d->media_type, "gzip");
    bool gzip = str_ends(t, "gzip"), zstd = str_ends(t, "zstd");

    if (oci)
        return arena_printf(a, "%s%s", MEDIA_OCI_LAYER, gzip ? "+gzip" : zstd ? "+zstd" : "");
    return arena_printf(a, "application/vnd.docker.image.rootfs.diff.tar%s", gzip ? ".gzip" : "");
}
