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

#define LINKS_MAX 8
#define MANIFESTS_MAX 4096 /* an index can name the same one again and again */

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
int load_find(struct loader *l, const char *name, const struct member **ret, struct err *err)
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

int load_find_text(struct loader *l, const char *name, const struct member **ret, struct err *err)
{
    const struct member *m = NULL;
    int r = load_find(l, name, &m, err);

    if (r >= 0 && m->kind != MEMBER_TEXT)
        r = err_as(err, ERR_INVALID, EBADMSG, "%s is no document", name);
    if (r >= 0)
        *ret = m;
    return r;
}

int load_find_layer(struct loader *l, const char *name, const struct member **ret, struct err *err)
{
    const struct member *m = NULL;
    int r = load_find(l, name, &m, err);

    if (r >= 0 && m->kind != MEMBER_LAYER)
        r = err_as(err, ERR_INVALID, EBADMSG, "%s is no layer", name);
    if (r >= 0)
        *ret = m;
    return r;
}

/* ---- images ---- */

int load_count_image(struct loader *l, struct err *err)
{
    return l->manifests++ < MANIFESTS_MAX
               ? 0
               : err_as(err, ERR_INVALID, E2BIG, "the archive names more than %d images",
                        MANIFESTS_MAX);
}

struct platform load_platform(const struct oci_image *img)
{
    const struct oci_platform words = oci_image_platform(img);
    struct platform p;

    platform_of(&p, &words);
    return p;
}

bool load_wanted(const struct loader *l, const struct platform *have)
{
    return !l->opts || !l->opts->want || platform_serves(l->opts->want, have);
}

int load_config(const struct member *m, struct arena *a, struct oci_image *ret, struct err *err)
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
int load_check_count(const struct oci_image *img, size_t want, struct err *err)
{
    size_t got = img->rootfs.diff_ids.n;

    return got == want ? 0
                       : err_as(err, ERR_INVALID, EBADMSG,
                                "invalid manifest, layers length mismatch: expected %zu, got %zu",
                                want, got);
}

int load_check_layer(const struct oci_image *img, size_t i, const struct member *m, struct err *err)
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
    int r = load_count_image(l, err);

    if (r >= 0)
        r = load_find_text(l, ai->config, &config, err);
    if (r >= 0)
        r = load_config(config, &a, &img, err);
    if (r < 0)
        return r;
    struct platform platform = load_platform(&img);
    if (!load_wanted(l, &platform))
        return 0;
    r = load_check_count(&img, ai->layers.n, err);
    for (size_t i = 0; r >= 0 && i < ai->layers.n; i++) {
        r = load_find_layer(l, ai->layers.v[i], &layer, err);
        if (r >= 0)
            r = load_check_layer(&img, i, layer, err);
    }
    if (r < 0)
        return r;
    arena_push(l->a, *plan) = (struct planned_image){.config = config->text,
                                                     .config_len = config->len,
                                                     .refs = ai->repo_tags,
                                                     .platform = platform};
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

/* ---- both in one ---- */

static bool same_config(const struct planned_image *a, const struct planned_image *b)
{
    return a->config_len == b->config_len && memcmp(a->config, b->config, a->config_len) == 0;
}

/* Takes over what the layout knows about images of manifest.json. */
static void add_origin(struct load_plan *plan, size_t n, const struct planned_image *o)
{
    for (size_t i = 0; i < n; i++) {
        struct planned_image *p = &plan->v[i];
        if (p->manifest || !same_config(p, o))
            continue;
        p->manifest = o->manifest;
        p->man = o->man;
        p->diff_ids = o->diff_ids;
        p->index = o->index;
    }
}

/* manifest.json knows no platforms: those of an image beside it are in its index. */
static void add_sibling(struct loader *l, struct load_plan *plan, size_t n,
                        const struct planned_image *o)
{
    bool known = false, related = false;

    for (size_t i = 0; i < n; i++) {
        known |= same_config(&plan->v[i], o);
        related |= o->index && plan->v[i].index == o->index;
    }
    if (known || !related)
        return;
    arena_push(l->a, *plan) = *o;
    plan->v[plan->n - 1].refs = (struct strv){0};
}

/* An archive that is an OCI layout, too, says there by which manifest its images came.
 * manifest.json stays what decides: a layout that is broken is as good as none. */
static void add_origins(struct loader *l, struct load_plan *plan)
{
    const struct member *m = NULL;
    struct load_plan other = {0};
    size_t n = plan->n;

    if (load_find_text(l, "index.json", &m, NULL) < 0 || load_plan_layout(l, m, &other, NULL) < 0)
        return;
    if (n == 0) { /* manifest.json has another platform than the wanted one */
        *plan = other;
        return;
    }
    plan->artifacts.v = other.artifacts.v;
    plan->artifacts.n = other.artifacts.n;
    for (size_t i = 0; i < other.n; i++)
        add_origin(plan, n, &other.v[i]);
    for (size_t i = 0; i < other.n; i++)
        add_sibling(l, plan, n, &other.v[i]);
}

static int check_any(const struct loader *l, const struct load_plan *plan, struct err *err)
{
    char text[PLATFORM_TEXT];

    if (plan->n > 0 || !l->opts || !l->opts->want)
        return 0;
    return err_not_found(err, "requested platform (%s) not found in the archive",
                         platform_text(l->opts->want, text));
}

int load_plan(struct loader *l, struct load_plan *ret, struct err *err)
{
    const struct member *m = NULL;
    struct load_plan plan = {0};
    int r = 0;

    if (map_has(l->members, "manifest.json") || !map_has(l->members, "index.json")) {
        r = load_find_text(l, "manifest.json", &m, err);
        if (r >= 0)
            r = plan_archive(l, m, &plan, err);
        if (r >= 0)
            add_origins(l, &plan);
    } else {
        r = load_find_text(l, "index.json", &m, err);
        if (r >= 0)
            r = load_plan_layout(l, m, &plan, err);
    }
    if (r >= 0)
        r = check_any(l, &plan, err);
    if (r >= 0)
        *ret = plan;
    return r;
}
