/*
 * Which images an archive holds. Docker's manifest.json decides where there is one, else the OCI
 * layout's index.json. Everything is checked here against what was read: layers by diff ID, and in
 * an OCI layout every document and blob by digest and size. Nothing is changed in the store.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image/load-priv.h"
#include "image/manifest.h"
#include "image/remote.h"
#include "image/store.h"

#define LINKS_MAX 8
#define INDEX_DEPTH 4
#define MANIFESTS_MAX 4096 /* an index can name the same one again and again */
#define ANNOTATION_NAME "io.containerd.image.name"
#define ANNOTATION_REF "org.opencontainers.image.ref.name"
#define ANNOTATION_ATTESTATION "vnd.docker.reference.type"

/* ---- members ---- */

/* "a/b" and "../c" -> "c"; above the root is the root. */
static char *resolve_link(struct arena *a, const char *from, const char *target)
{
    const char *slash = strrchr(from, '/');
    char *path = *target == '/' || !slash
                     ? arena_strdup(a, target)
                     : arena_printf(a, "%.*s/%s", (int)(slash - from), from, target);
    struct strv parts = str_split(a, path, '/');
    size_t n = 0;

    for (size_t i = 0; i < parts.n; i++) {
        if (!*parts.v[i] || strcmp(parts.v[i], ".") == 0)
            continue;
        if (strcmp(parts.v[i], "..") != 0)
            parts.v[n++] = parts.v[i];
        else if (n > 0)
            n--;
    }
    parts.n = n;
    return n ? strv_join(a, &parts, "/") : arena_strdup(a, "");
}

/* A member by the name a manifest uses. Links lead to other members, never to the host. */
static int find(struct loader *l, const char *name, const struct member **ret, struct err *err)
{
    char *at = resolve_link(l->a, "", name);

    for (int i = 0; i < LINKS_MAX; i++) {
        const struct member *m = map_get(l->members, at);
        if (!m)
            break;
        if (m->kind == MEMBER_SYMLINK) {
            at = resolve_link(l->a, at, m->text);
        } else if (m->kind == MEMBER_HARDLINK) {
            at = resolve_link(l->a, "", m->text);
        } else if (m->kind == MEMBER_BROKEN) {
            return err_as(err, ERR_INVALID, EBADMSG, "%s", m->why);
        } else {
            *ret = m;
            return 0;
        }
    }
    return err_as(err, ERR_INVALID, EBADMSG, "open %s: no such file or directory", name);
}

static int find_text(struct loader *l, const char *name, const struct member **ret, struct err *err)
{
    const struct member *m = NULL;
    int r = find(l, name, &m, err);

    if (r >= 0 && m->kind != MEMBER_TEXT)
        r = err_as(err, ERR_INVALID, EBADMSG, "%s is no document", name);
    if (r >= 0)
        *ret = m;
    return r;
}

static int find_layer(struct loader *l, const char *name, const struct member **ret,
                      struct err *err)
{
    const struct member *m = NULL;
    int r = find(l, name, &m, err);

    if (r >= 0 && m->kind != MEMBER_LAYER)
        r = err_as(err, ERR_INVALID, EBADMSG, "%s is no layer", name);
    if (r >= 0)
        *ret = m;
    return r;
}

/* ---- images ---- */

static int one_more(struct loader *l, struct err *err)
{
    return l->manifests++ < MANIFESTS_MAX
               ? 0
               : err_as(err, ERR_INVALID, E2BIG, "the archive names more than %d images",
                        MANIFESTS_MAX);
}

static int decode_config(const struct member *m, struct arena *a, struct oci_image *ret,
                         struct err *err)
{
    int r = json_decode(&oci_image_type, m->text, m->len, a, ret, JSON_NOCASE, err);

    if (r < 0)
        return err_wrap(err, r, "invalid image config");
    if (!ret->rootfs.type)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid image JSON, no RootFS key");
    if (!str_empty(ret->os) && strcmp(ret->os, "linux") != 0)
        return err_invalid(err, "cannot load %s image on linux", ret->os);
    return 0;
}

/* @want: layers that the manifest names. */
static int check_count(const struct oci_image *img, size_t want, struct err *err)
{
    size_t got = img->rootfs.diff_ids.n;

    return got == want ? 0
                       : err_as(err, ERR_INVALID, EBADMSG,
                                "invalid manifest, layers length mismatch: expected %zu, got %zu",
                                want, got);
}

static int check_layer(const struct oci_image *img, size_t i, const struct member *m,
                       struct err *err)
{
    const char *want = img->rootfs.diff_ids.v[i];

    return strcmp(want, m->layer.diff_id) == 0
               ? 0
               : err_as(err, ERR_INVALID, EBADMSG,
                        "invalid diffID for layer %zu: expected \"%s\", got \"%s\"", i, want,
                        m->layer.diff_id);
}

/* ---- docker-archive ---- */

static int plan_archive_image(struct loader *l, const struct archive_image *ai,
                              struct load_plan *plan, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {0};
    const struct member *config = NULL, *layer = NULL;
    int r = one_more(l, err);

    if (r >= 0)
        r = find_text(l, ai->config, &config, err);
    if (r >= 0)
        r = decode_config(config, &a, &img, err);
    if (r >= 0)
        r = check_count(&img, ai->layers.n, err);
    for (size_t i = 0; r >= 0 && i < ai->layers.n; i++) {
        r = find_layer(l, ai->layers.v[i], &layer, err);
        if (r >= 0)
            r = check_layer(&img, i, layer, err);
    }
    if (r < 0)
        return r;
    arena_push(l->a, *plan) = (struct planned_image){
        .config = config->text, .config_len = config->len, .refs = ai->repo_tags};
    return 0;
}

static int plan_archive(struct loader *l, const struct member *manifest, struct load_plan *plan,
                        struct err *err)
{
    struct archive_images all = {0};
    int r = archive_manifest_decode(manifest->text, manifest->len, l->a, &all, err);

    if (r >= 0 && all.n == 0)
        r = err_as(err, ERR_INVALID, EBADMSG, "invalid manifest: no images");
    for (size_t i = 0; r >= 0 && i < all.n; i++)
        r = plan_archive_image(l, all.v[i], plan, err);
    return r;
}

/* ---- OCI layout ---- */

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
        r = find_text(l, name, &m, err);
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
        r = find_layer(l, name, &m, err);
    if (r >= 0)
        r = check_blob(d, m->layer.blob, m->layer.blob_size, err);
    return r < 0 ? r : check_layer(img, i, m, err);
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

/* @doc: the bytes of @man */
static int plan_manifest(struct loader *l, const struct member *doc, const struct oci_manifest *man,
                         const char *ref, struct load_plan *plan, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {0};
    const struct member *config = NULL;
    int r = 0;

    if (!man->config)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid manifest: it has no config");
    r = find_blob(l, man->config, &config, err);
    if (r >= 0)
        r = decode_config(config, &a, &img, err);
    if (r >= 0)
        r = check_count(&img, man->layers.n, err);
    for (size_t i = 0; r >= 0 && i < man->layers.n; i++)
        r = check_blob_layer(l, &img, i, man->layers.v[i], err);
    if (r < 0)
        return r;
    struct planned_image p = {.config = config->text, .config_len = config->len};
    if (any_compressed(man, &img) && may_be_pushed(l, doc, &p.man)) {
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
    return strmap_get(&d->annotations, ANNOTATION_ATTESTATION) ||
           (d->platform && str_eq(d->platform->os, "unknown"));
}

static bool fits_host(const struct oci_descriptor *d)
{
    return !d->platform || ((str_empty(d->platform->os) || str_eq(d->platform->os, "linux")) &&
                            str_eq(d->platform->architecture, host_architecture()));
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

static int plan_index(struct loader *l, const struct oci_manifest *index, const char *ref,
                      int depth, struct load_plan *plan, struct err *err);

static int plan_descriptor(struct loader *l, const struct oci_descriptor *d, const char *ref,
                           int depth, struct load_plan *plan, struct err *err)
{
    struct oci_manifest man = {0};
    const struct member *m = NULL;
    const char *name = name_of(d);
    int r = one_more(l, err);

    if (r >= 0)
        r = find_blob(l, d, &m, err);
    if (r >= 0)
        r = json_decode(&oci_manifest_type, m->text, m->len, l->a, &man, 0, err);
    if (r < 0)
        return err_wrap(err, r, "invalid manifest");
    ref = name ? name : ref;
    if (man.manifests.v)
        return plan_index(l, &man, ref, depth + 1, plan, err);
    return plan_manifest(l, m, &man, ref, plan, err);
}

/* Of the platforms of one image the host's is taken; if there is none, all are. */
static int plan_index(struct loader *l, const struct oci_manifest *index, const char *ref,
                      int depth, struct load_plan *plan, struct err *err)
{
    bool any = false;

    if (depth > INDEX_DEPTH)
        return err_as(err, ERR_INVALID, EBADMSG, "invalid index: nested too deep");
    for (size_t i = 0; i < index->manifests.n; i++)
        any |= !is_attestation(index->manifests.v[i]) && fits_host(index->manifests.v[i]);
    for (size_t i = 0; i < index->manifests.n; i++) {
        const struct oci_descriptor *d = index->manifests.v[i];
        if (is_attestation(d) || (any && !fits_host(d)))
            continue;
        int r = plan_descriptor(l, d, ref, depth, plan, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int plan_layout(struct loader *l, const struct member *index, struct load_plan *plan,
                       struct err *err)
{
    struct oci_manifest top = {0};
    int r = json_decode(&oci_manifest_type, index->text, index->len, l->a, &top, 0, err);

    if (r < 0)
        return err_wrap(err, r, "invalid index");
    r = plan_index(l, &top, NULL, 0, plan, err);
    if (r >= 0 && plan->n == 0)
        r = err_as(err, ERR_INVALID, EBADMSG, "invalid index: no images");
    return r;
}

/* An archive that is an OCI layout, too, says there by which manifest its images came.
 * manifest.json stays what decides: a layout that is broken is as good as none. */
static void add_origins(struct loader *l, struct load_plan *plan)
{
    const struct member *m = NULL;
    struct load_plan other = {0};

    if (find_text(l, "index.json", &m, NULL) < 0 || plan_layout(l, m, &other, NULL) < 0)
        return;
    for (size_t i = 0; i < plan->n; i++)
        for (size_t k = 0; k < other.n && !plan->v[i].manifest; k++) {
            struct planned_image *p = &plan->v[i], *o = &other.v[k];
            if (p->config_len != o->config_len || memcmp(p->config, o->config, p->config_len) != 0)
                continue;
            p->manifest = o->manifest;
            p->man = o->man;
            p->diff_ids = o->diff_ids;
        }
}

int load_plan(struct loader *l, struct load_plan *ret, struct err *err)
{
    const struct member *m = NULL;
    struct load_plan plan = {0};
    int r = 0;

    if (map_has(l->members, "manifest.json") || !map_has(l->members, "index.json")) {
        r = find_text(l, "manifest.json", &m, err);
        if (r >= 0)
            r = plan_archive(l, m, &plan, err);
        if (r >= 0)
            add_origins(l, &plan);
    } else {
        r = find_text(l, "index.json", &m, err);
        if (r >= 0)
            r = plan_layout(l, m, &plan, err);
    }
    if (r >= 0)
        *ret = plan;
    return r;
}
