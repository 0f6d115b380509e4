/* Images, as the API wants to see them; the work is done by image/ and store/. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/time.h"
#include "image/import.h"
#include "image/load.h"
#include "image/reference.h"
#include "image/save.h"
#include "store/layers.h"

extern const unsigned char hello_start[], hello_end[]; /* the built-in image's program */

static char *familiar(const char *full, struct arena *a)
{
    struct reference ref;
    char text[REF_TEXT_MAX + 1];

    if (reference_parse(full, &ref, NULL) < 0)
        return arena_strdup(a, full);
    return arena_strdup(a, reference_familiar(&ref, text));
}

static struct strv familiar_all(const struct strv *full, struct arena *a)
{
    struct strv out = {.v = arena_alloc(a, sizeof(char *))};

    for (size_t i = 0; i < full->n; i++)
        strv_push(a, &out, familiar(full->v[i], a));
    return out;
}

static void img_event(struct engine *e, const char *action, const char *id, const char *name,
                      const struct strmap *labels)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};

    for (size_t i = 0; labels && i < labels->n; i++)
        strmap_set(&a, &attrs, labels->v[i].key, labels->v[i].val);
    strmap_set(&a, &attrs, "name", name);
    events_put(e->events, "image", action, id, &attrs);
}

/* ---- for containers ---- */

static struct healthcheck *health_of(const struct oci_image_health *h, struct arena *a)
{
    if (!h)
        return NULL;
    struct healthcheck *out = arena_new(a, struct healthcheck);
    *out = (struct healthcheck){.test = h->test,
                                .interval_ns = h->interval_ns,
                                .timeout_ns = h->timeout_ns,
                                .start_period_ns = h->start_period_ns,
                                .start_interval_ns = h->start_interval_ns,
                                .retries = h->retries};
    return out;
}

static struct container_config *config_of(const struct oci_image *img, struct arena *a)
{
    struct container_config *c = arena_new(a, struct container_config);
    const struct oci_image_config *ic = img->config;

    if (!ic)
        return c;
    *c = (struct container_config){.user = ic->user,
                                   .exposed_ports = ic->exposed_ports,
                                   .env = ic->env,
                                   .cmd = ic->cmd,
                                   .entrypoint = ic->entrypoint,
                                   .healthcheck = health_of(ic->health, a),
                                   .volumes = ic->volumes,
                                   .working_dir = ic->working_dir,
                                   .labels = ic->labels,
                                   .stop_signal = ic->stop_signal,
                                   .shell = ic->shell,
                                   .on_build = ic->on_build,
                                   .args_escaped = ic->args_escaped};
    return c;
}

static int read_image(struct engine *e, const char *name, struct arena *a, struct image_row *row,
                      struct oci_image **img, struct err *err)
{
    int r = image_resolve(e->images, name, a, row, err);

    return r < 0 ? r : image_config_read(e->images, row->id, a, img, NULL, err);
}

int img_resolve(struct engine *e, const char *name, struct arena *a, struct img_use *ret,
                struct err *err)
{
    struct image_row row;
    struct oci_image *img;
    int r = read_image(e, name, a, &row, &img, err);

    if (r < 0)
        return r;
    struct strv rel = image_lowers(&row, a);
    ret->id = row.id;
    ret->config = config_of(img, a);
    ret->lowers = (struct strv){0};
    for (size_t i = 0; i < rel.n; i++)
        strv_push(a, &ret->lowers, arena_printf(a, "%s/%s", e->data_path, rel.v[i]));
    return 0;
}

int img_seed(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image_config c = {0};
    char id[DIGEST_LEN + 1];

    strv_push(&a, &c.cmd, "/hello");
    strmap_set(&a, &c.labels, "org.opencontainers.image.title", "cleat/hello");
    return image_builtin(e->images, "cleat/hello:latest", "hello", hello_start,
                         (size_t)(hello_end - hello_start), &c, id, err);
}

/* ---- list ---- */

struct img_filter {
    const struct filters *f;
    int64_t before_ns, since_ns, until_ns;
    bool dangling_given, dangling;
    struct arena *a;
};

/* "busybox", "busybox:latest", "busy*": against the familiar forms, as a glob. */
static bool glob(const char *p, const char *s)
{
    for (; *p; p++, s++) {
        if (*p == '*') {
            do
                if (glob(p + 1, s))
                    return true;
            while (*s && *s++ != '/');
            return false;
        }
        if (!*s || (*p != '?' && *p != *s))
            return false;
    }
    return !*s;
}

static bool match_reference(const struct img_filter *x, const struct strv *tags)
{
    const struct strv *want = filters_get(x->f, "reference");

    if (!want)
        return true;
    for (size_t i = 0; i < want->n; i++)
        for (size_t k = 0; k < tags->n; k++) {
            struct reference ref;
            char name[REF_TEXT_MAX + 1];
            if (reference_parse(tags->v[k], &ref, NULL) < 0)
                continue;
            if (glob(want->v[i], tags->v[k]) ||
                glob(want->v[i], reference_familiar_name(&ref, name)) || glob(want->v[i], ref.name))
                return true;
        }
    return false;
}

static bool img_matches(const struct img_filter *x, const struct image_row *row,
                        const struct strmap *labels, const struct strv *tags)
{
    return filters_labels(x->f, "label", labels) && match_reference(x, tags) &&
           (!x->before_ns || row->created_ns < x->before_ns) &&
           (!x->since_ns || row->created_ns > x->since_ns) &&
           (!x->until_ns || row->created_ns <= x->until_ns) &&
           (!x->dangling_given || (tags->n == 0) == x->dangling);
}

static int prepare_filter(struct engine *e, struct img_filter *x, struct err *err)
{
    static const char *const accepted[] = {"before",    "dangling", "label", "label!",
                                           "reference", "since",    "until", NULL};
    const char *const keys[] = {"before", "since"};
    int64_t *const into[] = {&x->before_ns, &x->since_ns};
    const struct strv *until = filters_get(x->f, "until");

    int r = filters_check(x->f, accepted, err);
    if (r >= 0)
        r = filters_bool(x->f, "dangling", false, &x->dangling, err);
    x->dangling_given = filters_get(x->f, "dangling") != NULL;
    for (int i = 0; r >= 0 && i < 2; i++) {
        const struct strv *v = filters_get(x->f, keys[i]);
        struct image_row row;
        if (!v || v->n == 0)
            continue;
        r = image_resolve(e->images, v->v[0], x->a, &row, err);
        if (r >= 0)
            *into[i] = row.created_ns;
    }
    if (r >= 0 && until && until->n)
        r = time_parse_user(until->v[0], now_ns(), &x->until_ns, err);
    return r;
}

static int summarize(struct engine *e, const struct image_row *row, struct arena *a,
                     struct image_summary **ret, struct strmap *labels, struct err *err)
{
    struct oci_image *img;
    int r = image_config_read(e->images, row->id, a, &img, NULL, err);

    if (r < 0)
        return r;
    struct image_summary *s = arena_new(a, struct image_summary);
    s->id = row->id;
    s->parent_id = arena_strdup(a, str_or(row->parent, ""));
    s->created_s = row->created_ns / NS_PER_S;
    s->repo_tags = familiar_all(&row->tags, a);
    s->repo_digests = familiar_all(&row->digests, a);
    s->size_b = row->size;
    s->shared_size_b = -1;
    s->containers = -1; /* counted only for disk usage */
    if (img->config)
        s->labels = *labels = img->config->labels;
    *ret = s;
    return 0;
}

int img_list(struct engine *e, bool all, const struct filters *f, struct arena *a,
             struct img_summaries *ret, struct err *err)
{
    struct img_filter x = {.f = f, .a = a};
    struct image_rows rows = {0};
    int r = prepare_filter(e, &x, err);

    if (r >= 0)
        r = image_rows_all(e->images, a, &rows, err);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct image_summary *s;
        struct strmap labels = {0};
        /* Without -a the steps of a build are left out: unnamed, with children. */
        if (!all && rows.v[i].tags.n == 0 && rows.v[i].digests.n == 0 &&
            image_has_child(e->images, rows.v[i].id, NULL) > 0)
            continue;
        r = summarize(e, &rows.v[i], a, &s, &labels, err);
        if (r >= 0 && img_matches(&x, &rows.v[i], &labels, &s->repo_tags))
            arena_push(a, *ret) = s;
    }
    return r < 0 ? r : 0;
}

/* ---- inspect, history ---- */

int img_inspect(struct engine *e, const char *name, struct arena *a, struct image_inspect *ret,
                struct err *err)
{
    struct image_row row;
    struct oci_image *img;
    char text[TIME_TEXT];
    int r = read_image(e, name, a, &row, &img, err);

    if (r < 0)
        return r;
    struct strv lowers = image_lowers(&row, a);
    *ret = (struct image_inspect){
        .id = row.id,
        .repo_tags = familiar_all(&row.tags, a),
        .repo_digests = familiar_all(&row.digests, a),
        .parent = arena_strdup(a, str_or(row.parent, "")),
        .comment = arena_strdup(a, str_or(img->comment, "")),
        .created = row.created_ns ? arena_strdup(a, time_rfc3339(row.created_ns, text)) : NULL,
        .docker_version = arena_strdup(a, str_or(img->docker_version, "")),
        .author = arena_strdup(a, str_or(img->author, "")),
        .config = config_of(img, a),
        .legacy_config = config_of(img, a),
        .architecture = img->architecture,
        .variant = img->variant,
        .os = img->os,
        .os_version = img->os_version,
        .size_b = row.size,
        .graph_driver = {.name = arena_strdup(a, "overlay2")},
        .rootfs = {.type = arena_strdup(a, "layers"), .layers = row.layers},
        .metadata = {.last_tag_time = arena_strdup(a, time_rfc3339(row.tagged_ns, text))},
    };
    if (lowers.n)
        strmap_set(a, &ret->graph_driver.data, "UpperDir",
                   arena_printf(a, "%s/%s", e->data_path, lowers.v[0]));
    return 0;
}

int img_history(struct engine *e, const char *name, struct arena *a, struct img_history *ret,
                struct err *err)
{
    struct image_row row;
    struct oci_image *img;
    int r = read_image(e, name, a, &row, &img, err);
    size_t layer = 0;
    struct img_history up = {0};

    for (size_t i = 0; r >= 0 && i < img->history.n; i++) {
        const struct oci_image_history *h = img->history.v[i];
        struct image_history_item *it = arena_new(a, struct image_history_item);
        struct layer_row lr;
        int64_t t = 0;
        (void)!time_parse_rfc3339(str_or(h->created, ""), strlen(str_or(h->created, "")), &t);
        it->created_s = t / NS_PER_S;
        it->created_by = arena_strdup(a, str_or(h->created_by, ""));
        it->comment = arena_strdup(a, str_or(h->comment, ""));
        it->id = arena_strdup(a, "<missing>");
        if (!h->empty_layer && layer < row.layers.n &&
            layer_get(e->images, row.layers.v[layer++], a, &lr, NULL) >= 0)
            it->size_b = lr.size;
        arena_push(a, up) = it;
    }
    if (r < 0)
        return r;
    for (size_t i = up.n; i-- > 0;) /* newest first */
        arena_push(a, *ret) = up.v[i];
    if (ret->n) {
        ret->v[0]->id = row.id;
        ret->v[0]->tags = familiar_all(&row.tags, a);
    }
    return 0;
}

/* ---- tag, remove ---- */

int img_tag(struct engine *e, const char *name, const char *repo, const char *tag, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_row row;
    struct reference ref;
    char text[REF_TEXT_MAX + 1];
    const char *full = str_empty(tag) ? repo : arena_printf(&a, "%s:%s", repo, tag);

    int r = reference_parse(str_or(full, ""), &ref, err);
    if (r >= 0 && *ref.digest)
        r = err_invalid(err, "refusing to create a tag with a digest reference");
    if (r >= 0)
        r = image_resolve(e->images, name, &a, &row, err);
    if (r < 0)
        return r;
    reference_default_tag(&ref);
    r = image_tag_set(e->images, reference_text(&ref, text), row.id, NULL, err);
    if (r < 0)
        return r;
    img_event(e, "tag", row.id, familiar(text, &a), NULL);
    return 0;
}

static void deleted(struct arena *a, struct img_deleted *ret, const char *untagged,
                    const char *gone)
{
    struct image_delete_item *it = arena_new(a, struct image_delete_item);

    it->untagged = arena_strdup(a, untagged);
    it->deleted = arena_strdup(a, gone);
    arena_push(a, *ret) = it;
}

static int untag(struct engine *e, const struct image_row *row, const char *full, struct arena *a,
                 struct img_deleted *ret, struct err *err)
{
    char *shown = familiar(full, a);
    int r = strchr(full, '@') ? image_digest_delete(e->images, full, err)
                              : image_tag_delete(e->images, full, err);

    if (r < 0)
        return r;
    img_event(e, "untag", row->id, shown, NULL);
    deleted(a, ret, shown, NULL);
    return 0;
}

/* Of the names by digest those go whose repository has no tag left; @gone is the tag that went,
 * NULL when all did. */
static int untag_digests(struct engine *e, const struct image_row *row, const char *gone,
                         struct arena *a, struct img_deleted *ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < row->digests.n; i++) {
        const char *name = row->digests.v[i];
        size_t n = strcspn(name, "@");
        bool named = gone && (strncmp(gone, name, n) != 0 || gone[n] != ':');
        for (size_t k = 0; gone && k < row->tags.n; k++)
            named |= strcmp(row->tags.v[k], gone) != 0 && strncmp(row->tags.v[k], name, n) == 0 &&
                     row->tags.v[k][n] == ':';
        if (!named)
            r = untag(e, row, name, a, ret, err);
    }
    return r;
}

/* Return: the container that keeps the image from being removed, or NULL. */
static struct container *user_of(struct engine *e, const char *image_id, bool running_only)
{
    struct container *found = NULL;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c && !found; c = c->next)
        if (str_eq(c->image_id, image_id) && (!running_only || c->status == CTR_RUNNING)) {
            found = c;
            c->refs++;
        }
    (void)pthread_mutex_unlock(&e->lock);
    return found;
}

static int check_unused(struct engine *e, const struct image_row *row, bool force, bool by_name,
                        const char *name, struct err *err)
{
    auto_ctr struct container *running = user_of(e, row->id, true);
    auto_ctr struct container *any = user_of(e, row->id, false);

    if (running && !(by_name && force))
        return err_conflict(err,
                            by_name
                                ? "conflict: unable to remove repository reference \"%s\" (must "
                                  "force) - container %.12s is using its referenced image %.12s"
                                : "conflict: unable to delete %.12s (cannot be forced) - image "
                                  "is being used by running container %.12s",
                            by_name ? name : row->id + 7, running->id, row->id + 7);
    if (any && !force)
        return err_conflict(err,
                            by_name
                                ? "conflict: unable to remove repository reference \"%s\" (must "
                                  "force) - container %.12s is using its referenced image %.12s"
                                : "conflict: unable to delete %.12s (must be forced) - image is "
                                  "being used by stopped container %.12s",
                            by_name ? name : row->id + 7, any->id, row->id + 7);
    return 0;
}

static int delete_image(struct engine *e, const struct image_row *row, struct arena *a,
                        struct img_deleted *ret, uint64_t *freed, struct err *err)
{
    struct gc_result gc = {0};

    FAIL_POINT("image.remove.row", err);
    int r = image_delete(e->images, row->id, err);
    if (r < 0)
        return r;
    deleted(a, ret, NULL, row->id);
    img_event(e, "delete", row->id, row->id, NULL);
    FAIL_POINT("image.remove.gc", err);
    r = store_gc(e->images, a, &gc, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < gc.layers.n; i++)
        deleted(a, ret, NULL, gc.layers.v[i]);
    *freed += gc.freed_b;
    return 0;
}

/* Is @name the id (or its beginning) of the image, not one of its names? */
static bool named_by_id(const char *name, const struct image_row *row)
{
    const char *hex = str_starts(name, "sha256:");

    return strncmp(row->id + 7, hex ? hex : name, strlen(hex ? hex : name)) == 0;
}

int img_remove(struct engine *e, const char *name, bool force, bool noprune, struct arena *a,
               struct img_deleted *ret, struct err *err)
{
    struct image_row row;
    struct reference ref;
    char full[REF_TEXT_MAX + 1];
    uint64_t freed = 0;
    int r = image_resolve(e->images, name, a, &row, err);

    (void)noprune; /* parents are kept or not by reachability alone */
    if (r < 0)
        return r;
    bool by_name = !named_by_id(name, &row);
    if (by_name) {
        r = reference_parse(name, &ref, err);
        if (r < 0)
            return r;
        reference_default_tag(&ref);
        if (*ref.digest)
            ref.tag[0] = '\0'; /* the digest alone decides */
        (void)reference_text(&ref, full);
        if (row.tags.n > 1 || (*ref.digest && row.tags.n + row.digests.n > 1)) {
            r = untag(e, &row, full, a, ret, err);
            return r < 0 || *ref.digest ? r : untag_digests(e, &row, full, a, ret, err);
        }
    } else if (row.tags.n > 1 && !force) {
        return err_conflict(err,
                            "conflict: unable to delete %.12s (must be forced) - image is "
                            "referenced in multiple repositories",
                            row.id + 7);
    }
    r = check_unused(e, &row, force, by_name, name, err);
    for (size_t i = 0; r >= 0 && i < row.tags.n; i++)
        r = untag(e, &row, row.tags.v[i], a, ret, err);
    if (r >= 0)
        r = untag_digests(e, &row, NULL, a, ret, err);
    auto_ctr struct container *user = user_of(e, row.id, false);
    if (r < 0 || (user && by_name))
        return r; /* forced: the name goes, the image stays for its containers */
    return delete_image(e, &row, a, ret, &freed, err);
}

int img_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct image_prune_response *ret, struct err *err)
{
    struct img_filter x = {.f = f, .a = a};
    struct image_rows rows = {0};
    struct img_deleted gone = {0};
    bool only_dangling = true;
    int r = prepare_filter(e, &x, err);

    if (r >= 0)
        r = filters_bool(f, "dangling", true, &only_dangling, err);
    x.dangling_given = false;
    if (r >= 0)
        r = image_rows_all(e->images, a, &rows, err);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct image_row *row = &rows.v[i];
        struct image_summary *s;
        struct strmap labels = {0};
        auto_ctr struct container *user = user_of(e, row->id, false);
        if (user || (only_dangling && row->tags.n > 0))
            continue;
        r = summarize(e, row, a, &s, &labels, err);
        if (r < 0 || !img_matches(&x, row, &labels, &s->repo_tags) ||
            !filters_prune_labels(f, &labels))
            continue;
        for (size_t k = 0; r >= 0 && k < row->tags.n; k++)
            r = untag(e, row, row->tags.v[k], a, &gone, err);
        if (r >= 0)
            r = delete_image(e, row, a, &gone, &ret->space_reclaimed_b, err);
    }
    ret->deleted.v = gone.v;
    ret->deleted.n = gone.n;
    char bytes[24];
    struct strmap attrs = {0};
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)ret->space_reclaimed_b);
    strmap_set(a, &attrs, "reclaimed", bytes);
    events_put(e->events, "image", "prune", "", &attrs);
    return r < 0 ? r : 0;
}

/* ---- load, import, save ---- */

int img_load(struct engine *e, img_read read, void *read_arg, img_say say, void *say_arg,
             struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_source struct source *body = source_cb(read, read_arg);
    struct load_result res = {0};
    int r = image_load(e->images, body, NULL, &a, &res, err);

    for (size_t i = 0; r >= 0 && i < res.n; i++) {
        const struct loaded_image *img = &res.v[i];
        for (size_t k = 0; r >= 0 && k < img->moved.n; k++)
            r = say(say_arg,
                    arena_printf(&a,
                                 "The image %s already exists, renaming the old one with ID %s to "
                                 "empty string\n",
                                 img->moved.v[k].key, img->moved.v[k].val),
                    err);
        for (size_t k = 0; r >= 0 && k < img->refs.n; k++)
            r = say(say_arg, arena_printf(&a, "Loaded image: %s\n", img->refs.v[k]), err);
        if (r >= 0 && img->refs.n == 0)
            r = say(say_arg, arena_printf(&a, "Loaded image ID: %s\n", img->id), err);
        img_event(e, "load", img->id, img->refs.n ? img->refs.v[0] : img->id, NULL);
    }
    return r < 0 ? r : 0;
}

int img_import(struct engine *e, img_read read, void *read_arg, const char *repo, const char *tag,
               const char *message, const struct strv *changes, struct arena *a, char **ret_id,
               struct err *err)
{
    auto_source struct source *body = source_cb(read, read_arg);
    char id[DIGEST_LEN + 1];
    const char *ref = str_empty(repo)  ? NULL
                      : str_empty(tag) ? repo
                                       : arena_printf(a, "%s:%s", repo, tag);
    struct import_options o = {
        .ref = ref, .message = str_empty(message) ? NULL : message, .changes = *changes};
    int r = image_import(e->images, body, &o, id, err);

    if (r < 0)
        return r;
    *ret_id = arena_strdup(a, id);
    img_event(e, "import", id, ref ? ref : id, NULL);
    return 0;
}

int img_save_check(struct engine *e, const struct strv *names, struct err *err)
{
    struct image_export *x;
    int r = image_export_new(e->images, names, &x, err);

    if (r < 0)
        return r;
    image_export_free(x);
    return 0;
}

int img_save(struct engine *e, const struct strv *names, img_write write, void *arg,
             struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_image_export struct image_export *x = NULL;
    auto_sink struct sink *out = sink_cb(write, arg);
    int r = image_export_new(e->images, names, &x, err);

    if (r >= 0)
        r = image_export_write(x, out, err);
    for (size_t i = 0; r >= 0 && i < names->n; i++) {
        struct image_row row;
        if (image_resolve(e->images, names->v[i], &a, &row, NULL) >= 0)
            img_event(e, "save", row.id, names->v[i], NULL);
    }
    return r;
}
