/* The registry's side of "cleat manifest": read manifests and lists, and copy between repositories
 * of one registry. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "cli/manifests.h"
#include "distribution/blob.h"
#include "distribution/manifest.h"
#include "distribution/session.h"
#include "distribution/upload.h"
#include "wire/system.h"

#define CONFIG_MAX (8u << 20)
#define BLOBS_MAX 1000 /* of one image */

/* What matters here of a manifest. */
struct blob_entry {
    char *digest;
    int64_t size;
};
struct image_manifest {
    struct blob_entry *config;
    VEC_OF(struct blob_entry *) layers;
};

static const struct field entry_fields[] = {
    FIELD(struct blob_entry, "digest", F_STR, digest, .flags = F_REQUIRED),
    FIELD(struct blob_entry, "size", F_I64, size, .flags = F_REQUIRED),
};
static const struct json_type entry_type = JSON_TYPE("descriptor", struct blob_entry, entry_fields);
static const struct field image_fields[] = {
    FIELD(struct image_manifest, "config", F_PTR, config, .type = &entry_type, .flags = F_REQUIRED),
    FIELD(struct image_manifest, "layers", F_OBJV, layers, .type = &entry_type),
};
static const struct json_type image_type =
    JSON_TYPE("manifest", struct image_manifest, image_fields);

int remote_open(struct cli *cli, const struct reference *ref, bool insecure, bool push,
                struct dist_session **ret, struct err *err)
{
    struct dist_config *config = arena_new(&cli->arena, struct dist_config);
    const char *registry = arena_strndup(&cli->arena, ref->name, ref->domain_len);
    struct auth_config auth = {0};

    dist_config_defaults(config, &cli->arena);
    if (insecure)
        strv_push(&cli->arena, &config->insecure, registry);
    config_credentials(cli, ref->name, &auth);
    struct dist_credentials cred = {auth.username, auth.password, auth.identity_token,
                                    auth.registry_token};
    struct dist_session_opts o = {
        .config = config, .registry = registry, .cred = &cred, .push = push, .gone_fd = -1};
    return dist_session_new(&o, ret, err);
}

/* ---- reading ---- */

static bool is_list(const struct dist_manifest *doc)
{
    return str_eq(doc->media_type, MEDIA_OCI_INDEX) || str_eq(doc->media_type, MEDIA_DOCKER_LIST);
}

static int fetch(struct cli *cli, struct dist_session *s, const struct reference *ref,
                 struct dist_manifest *ret, struct err *err)
{
    char text[REF_TEXT_MAX + 1];
    int r = dist_manifest_get(s, reference_repo(ref), *ref->digest ? ref->digest : ref->tag,
                              &cli->arena, ret, err);

    return r == -ENOENT || r == -ENOMEDIUM
               ? err_not_found(err, "no such manifest: %s", reference_text(ref, text))
               : r;
}

static struct listed_manifest *wrap(struct cli *cli, const struct reference *ref,
                                    const struct dist_manifest *doc)
{
    auto_buf struct buf raw = BUF_INIT;
    struct listed_manifest *m = arena_new(&cli->arena, struct listed_manifest);
    struct json_raw text = {arena_strndup(&cli->arena, doc->text, doc->len), doc->len};
    char name[REF_TEXT_MAX + 1];

    base64_encode(doc->text, doc->len, false, &raw);
    m->ref = arena_strdup(&cli->arena, reference_text(ref, name));
    m->raw = arena_strdup(&cli->arena, buf_str(&raw));
    m->descriptor =
        (struct oci_descriptor){.media_type = arena_strdup(&cli->arena, doc->media_type),
                                .digest = arena_strdup(&cli->arena, doc->digest),
                                .size = (int64_t)doc->len};
    if (str_eq(doc->media_type, MEDIA_OCI_MANIFEST))
        m->oci = text;
    else
        m->docker = text;
    return m;
}

static int decode_image(struct cli *cli, const struct dist_manifest *doc,
                        struct image_manifest *ret, struct err *err)
{
    int r = json_decode(&image_type, doc->text, doc->len, &cli->arena, ret, 0, err);

    if (r >= 0 && !str_eq(doc->media_type, MEDIA_OCI_MANIFEST) &&
        !str_eq(doc->media_type, MEDIA_DOCKER_MANIFEST))
        r = err_invalid(err, "unsupported manifest format: %.100s", doc->media_type);
    if (r >= 0 && ret->layers.n > BLOBS_MAX)
        r = err_invalid(err, "invalid manifest: more than %d layers", BLOBS_MAX);
    return r;
}

/* An image says for whom it is in its config. */
static int platform_of(struct cli *cli, struct dist_session *s, const struct reference *ref,
                       const struct blob_entry *config, struct oci_platform **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_platform *p = arena_new(&cli->arena, struct oci_platform);

    if (config->size < 0 || config->size > CONFIG_MAX)
        return err_invalid(err, "invalid manifest: the config has %lld bytes",
                           (long long)config->size);
    int r =
        dist_blob_get(s, reference_repo(ref), config->digest, (uint64_t)config->size, &text, err);
    if (r >= 0)
        r = json_decode(&oci_platform_type, buf_str(&text), text.len, &cli->arena, p, 0, err);
    if (r >= 0)
        *ret = p;
    return r < 0 ? r : 0;
}

int remote_manifest(struct cli *cli, struct dist_session *s, const struct reference *ref,
                    struct listed_manifest **ret, struct err *err)
{
    struct dist_manifest doc;
    struct image_manifest image = {0};
    int r = fetch(cli, s, ref, &doc, err);

    if (r < 0 || is_list(&doc))
        return r < 0 ? r : 1;
    r = decode_image(cli, &doc, &image, err);
    if (r < 0)
        return r;
    struct listed_manifest *m = wrap(cli, ref, &doc);
    r = platform_of(cli, s, ref, image.config, &m->descriptor.platform, err);
    if (r >= 0)
        *ret = m;
    return r < 0 ? r : 0;
}

int remote_list(struct cli *cli, struct dist_session *s, const struct reference *ref,
                struct listed_manifests *ret, struct err *err)
{
    struct dist_manifest doc;
    struct manifest_list list = {0};
    struct listed_manifests all = {0};
    int r = fetch(cli, s, ref, &doc, err);

    if (r >= 0)
        r = json_decode(&manifest_list_type, doc.text, doc.len, &cli->arena, &list, 0, err);
    if (r >= 0 && list.manifests.n > MANIFESTS_MAX)
        r = err_invalid(err, "invalid manifest list: more than %d manifests", MANIFESTS_MAX);
    for (size_t i = 0; r >= 0 && i < list.manifests.n; i++) {
        const struct oci_descriptor *d = list.manifests.v[i];
        struct dist_manifest one;
        struct reference at = *ref;
        (void)snprintf(at.digest, sizeof(at.digest), "%s", d->digest);
        struct image_manifest image = {0};
        r = fetch(cli, s, &at, &one, err);
        if (r >= 0)
            r = decode_image(cli, &one, &image, err);
        if (r < 0)
            break;
        struct listed_manifest *m = wrap(cli, &at, &one);
        m->descriptor.platform = d->platform;
        arena_push(&cli->arena, all) = m;
    }
    if (r >= 0)
        *ret = all;
    return r < 0 ? r : 0;
}

/* ---- copying ---- */

static int copy_blob(struct dist_session *s, const struct blob_entry *b,
                     const struct reference *from, const struct reference *to, struct err *err)
{
    char text[REF_TEXT_MAX + 1];
    int r = dist_blob_stat(s, reference_repo(to), b->digest, NULL, err);

    if (r <= 0)
        return r;
    r = dist_mount(s, reference_repo(to), b->digest, reference_repo(from), err);
    if (r == 0)
        return err_as(err, ERR_SYSTEM, EREMOTEIO, "error mounting %s@%s to %s", from->name,
                      b->digest, reference_text(to, text));
    return r < 0 ? r : 0;
}

int remote_copy(struct cli *cli, struct dist_session *s, const struct listed_manifest *m,
                const struct reference *to, struct err *err)
{
    auto_buf struct buf raw = BUF_INIT;
    struct image_manifest image = {0};
    struct reference from;
    int r = reference_parse(m->ref, &from, err);

    if (r >= 0 && base64_decode(str_or(m->raw, ""), strlen(str_or(m->raw, "")), &raw) < 0)
        r = err_invalid(err, "manifest %s is damaged", m->ref);
    if (r < 0)
        return r;
    struct dist_manifest doc = {.text = arena_strndup(&cli->arena, buf_str(&raw), raw.len),
                                .len = raw.len,
                                .media_type = m->descriptor.media_type};
    sha256_of(doc.text, doc.len, doc.digest);
    if (!str_eq(doc.digest, m->descriptor.digest))
        return err_invalid(err, "manifest %s is damaged", m->ref);
    r = decode_image(cli, &doc, &image, err);
    if (r >= 0)
        r = copy_blob(s, image.config, &from, to, err);
    for (size_t i = 0; r >= 0 && i < image.layers.n; i++)
        r = copy_blob(s, image.layers.v[i], &from, to, err);
    return r < 0 ? r : dist_manifest_put(s, reference_repo(to), doc.digest, &doc, err);
}
