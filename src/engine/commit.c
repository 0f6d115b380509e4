/* An image of a container: its layer upon its image's, and a config of three sources: what the
 * request brings, then the --change lines, then the container's own. */
#include "engine/engine-priv.h"

#include <string.h>

#include "base/auto.h"
#include "build/apply.h"
#include "image/commit.h"

/* The two config types are the same JSON, as far as an image goes. */
static int convert(const struct json_type *from, const void *in, const struct json_type *to,
                   void *out, struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(from, in, &text);
    return json_decode(to, arena_strndup(a, text.data, text.len), text.len, a, out, JSON_NOCASE,
                       err);
}

static int new_config(struct container *c, const struct commit_opts *o, struct arena *a,
                      struct oci_image_config *ret, struct err *err)
{
    static const struct container_config none = {0};
    struct oci_image_config changed = {0};
    struct container_config all = {0};

    int r = convert(&container_config_type, o->config ? o->config : &none, &oci_image_config_type,
                    &changed, a, err);
    if (r >= 0)
        r = changes_apply(a, &o->changes, &changed, err);
    struct strv on_build = changed.on_build;
    if (r >= 0)
        r = convert(&oci_image_config_type, &changed, &container_config_type, &all, a, err);
    if (r < 0)
        return r;
    config_merge(a, &all, c->config);
    all.image = arena_strdup(a, "");
    r = convert(&container_config_type, &all, &oci_image_config_type, ret, a, err);
    ret->on_build = on_build;
    return r;
}

/* Docker pauses what runs, so that the layer is of one moment. Return: 1 it is paused by us. */
int ctr_hold_still(struct container *c, bool wanted, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    bool runs = wanted && ctr_running(c) && !c->paused;
    (void)pthread_mutex_unlock(&c->lock);
    if (!runs)
        return 0;
    int r = ctr_pause(c->e, c->id, err);
    return r < 0 ? r : 1;
}

int ctr_let_go(struct container *c, struct err *err)
{
    int r = ctr_unpause(c->e, c->id, err);

    return r < 0 && err->kind != ERR_CONFLICT ? r : 0;
}

static int commit(struct container *c, const struct commit_opts *o, struct arena *a, char *ret_id,
                  struct err *err)
{
    struct oci_image_config config = {0};
    char name[REF_TEXT_MAX + 1];
    const char *ref = str_empty(o->tag) ? o->repo : arena_printf(a, "%s:%s", o->repo, o->tag);
    struct diff d;

    int r = image_new_name(str_empty(o->repo) ? NULL : ref, name, err);
    if (r >= 0)
        r = new_config(c, o, a, &config, err);
    if (r >= 0)
        r = ctr_diff_open(c, a, &d, err);
    if (r < 0)
        return r;
    struct commit_options io = {.parent = c->image_id,
                                .config = &config,
                                .author = o->author,
                                .comment = o->comment,
                                .created_by = strv_join(a, &c->config->cmd, " "),
                                .container = c->id,
                                .name = name};
    r = image_commit(c->e->images, &d, &io, ret_id, err);
    ctr_diff_close(&d);
    return r;
}

int ctr_commit(struct engine *e, const char *id, const struct commit_opts *o, struct arena *a,
               char **ret_id, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    char image[DIGEST_LEN + 1];
    struct err late = {0};

    if (!c)
        return err_code(err);
    int paused = ctr_hold_still(c, o->pause, err);
    if (paused < 0)
        return paused;
    int r = commit(c, o, a, image, err);
    if (paused && ctr_let_go(c, &late) < 0 && r >= 0) {
        *err = late;
        r = -late.no;
    }
    if (r < 0)
        return r;
    *ret_id = arena_strdup(a, image);
    ctr_event(c, "commit", "comment", str_or(o->comment, ""), "imageID", image, "imageRef",
              str_or(o->repo, ""), NULL);
    return 0;
}
