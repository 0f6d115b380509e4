/* Images, as the API wants to see them; the work is done by image/ and store/. */
#include "engine/images-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/time.h"
#include "build/apply.h"
#include "image/import.h"
#include "image/load.h"
#include "distribution/reference.h"
#include "image/save.h"
#include "store/layers.h"

extern const unsigned char hello_start[], hello_end[]; /* the built-in image's program */

char *img_familiar(const char *full, struct arena *a)
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
        strv_push(a, &out, img_familiar(full->v[i], a));
    return out;
}

void img_event(struct engine *e, const char *action, const char *id, const char *name,
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

static int read_image(struct engine *e, const char *name, const struct platform *want,
                      struct arena *a, struct image_row *row, struct oci_image **img,
                      struct err *err)
{
    int r = image_resolve(e->images, name, a, row, err);

    if (r >= 0)
        r = image_for_platform(e->images, name, want, a, row, err);
    return r < 0 ? r : image_config_read(e->images, row->id, a, img, NULL, err);
}

int img_resolve(struct engine *e, const char *name, const struct platform *want, struct arena *a,
                struct img_use *ret, struct err *err)
{
    struct image_row row;
    struct oci_image *img;
    int r = read_image(e, name, want, a, &row, &img, err);

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

bool img_matches(const struct img_filter *x, const struct image_row *row,
                 const struct strmap *labels, const struct strv *tags)
{
    return filters_labels(x->f, "label", labels) && match_reference(x, tags) &&
           (!x->before_ns || row->created_ns < x->before_ns) &&
           (!x->since_ns || row->created_ns > x->since_ns) &&
           (!x->until_ns || row->created_ns <= x->until_ns) &&
           (!x->dangling_given || (tags->n == 0 && !row->in_index) == x->dangling);
}

int img_filter_prepare(struct engine *e, struct img_filter *x, struct err *err)
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

int img_summarize(struct engine *e, const struct image_row *row, struct arena *a,
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

static int add_manifests(struct engine *e, const struct image_row *row, struct arena *a,
                         struct image_summary *s, struct err *err)
{
    struct img_manifests m = {0};
    int r = img_manifests(e, row, a, &m, err);

    s->descriptor = m.target;
    s->manifests.v = m.v;
    s->manifests.n = m.n;
    return r;
}

static bool is_part(const struct image_row *row)
{
    return row->tags.n == 0 && row->in_index;
}

int img_list(struct engine *e, unsigned flags, const struct filters *f, struct arena *a,
             struct img_summaries *ret, struct err *err)
{
    struct img_filter x = {.f = f, .a = a};
    struct image_rows rows = {0};
    int r = img_filter_prepare(e, &x, err);

    if (r >= 0)
        r = image_rows_all(e->images, a, &rows, err);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct image_summary *s;
        struct strmap labels = {0};
        /* Without -a the steps of a build are left out: unnamed, with children. */
        if (!(flags & IMG_ALL) && rows.v[i].tags.n == 0 && rows.v[i].digests.n == 0 &&
            image_has_child(e->images, rows.v[i].id, NULL) > 0)
            continue;
        /* So are further platforms of a name, which --tree shows. */
        if (!(flags & IMG_ALL) && is_part(&rows.v[i]))
            continue;
        r = img_summarize(e, &rows.v[i], a, &s, &labels, err);
        if (r < 0 || !img_matches(&x, &rows.v[i], &labels, &s->repo_tags))
            continue;
        arena_push(a, *ret) = s;
        if (flags & IMG_MANIFESTS)
            r = add_manifests(e, &rows.v[i], a, s, err);
    }
    return r < 0 ? r : 0;
}

/* ---- inspect, history ---- */

int img_inspect(struct engine *e, const char *name, const struct platform *want, bool manifests,
                struct arena *a, struct image_inspect *ret, struct err *err)
{
    struct img_manifests m = {0};
    struct image_row row;
    struct oci_image *img;
    char text[TIME_TEXT];
    int r = read_image(e, name, want, a, &row, &img, err);

    if (r >= 0 && manifests)
        r = img_manifests(e, &row, a, &m, err);
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
        .descriptor = image_target(e->images, &row, a),
        .manifests = {m.v, m.n},
        .metadata = {.last_tag_time = arena_strdup(a, time_rfc3339(row.tagged_ns, text))},
    };
    if (lowers.n)
        strmap_set(a, &ret->graph_driver.data, "UpperDir",
                   arena_printf(a, "%s/%s", e->data_path, lowers.v[0]));
    return 0;
}

int img_history(struct engine *e, const char *name, const struct platform *want, struct arena *a,
                struct img_history *ret, struct err *err)
{
    struct image_row row;
    struct oci_image *img;
    int r = read_image(e, name, want, a, &row, &img, err);
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

/* ---- load, import, save ---- */

int img_load(struct engine *e, const struct platform *want, img_read read, void *read_arg,
             img_say say, void *say_arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_source struct source *body = source_cb(read, read_arg);
    struct load_result res = {0};
    int r = image_load(e->images, body, &(struct load_options){.want = want}, &a, &res, err);

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
               const struct strv *changes, struct import_options *o, struct arena *a, char **ret_id,
               struct err *err)
{
    auto_source struct source *body = source_cb(read, read_arg);
    char id[DIGEST_LEN + 1];
    struct oci_image_config *config = arena_new(a, struct oci_image_config);
    int r = changes_apply(a, changes, config, err);

    o->ref = str_empty(repo) ? NULL : str_empty(tag) ? repo : arena_printf(a, "%s:%s", repo, tag);
    o->config = config;
    if (r >= 0)
        r = image_import(e->images, body, o, id, err);
    if (r < 0)
        return r;
    *ret_id = arena_strdup(a, id);
    img_event(e, "import", id, o->ref ? o->ref : id, NULL);
    return 0;
}

int img_save_check(struct engine *e, const struct strv *names, const struct save_options *o,
                   struct err *err)
{
    struct image_export *x;
    int r = image_export_new(e->images, names, o, &x, err);

    if (r < 0)
        return r;
    image_export_free(x);
    return 0;
}

int img_save(struct engine *e, const struct strv *names, const struct save_options *o,
             img_write write, void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_image_export struct image_export *x = NULL;
    auto_sink struct sink *out = sink_cb(write, arg);
    int r = image_export_new(e->images, names, o, &x, err);

    if (r >= 0)
        r = image_export_write(x, out, err);
    for (size_t i = 0; r >= 0 && i < names->n; i++) {
        struct image_row row;
        if (image_resolve(e->images, names->v[i], &a, &row, NULL) >= 0)
            img_event(e, "save", row.id, names->v[i], NULL);
    }
    return r;
}
