/* Building: what a build gets of the engine, and what comes of it. */
#include "engine/build.h"

#include <string.h>

#include "archive/stream.h"
#include "base/auto.h"
#include "distribution/platform.h"
#include "engine/build-priv.h"
#include "engine/build_history.h"
#include "engine/images-priv.h"
#include "engine/registry-priv.h"

/* ---- what a build gets of the engine ---- */

int engine_builder_open(struct engine *e, struct err *err)
{
    int r = build_sessions_open(e, err);

    if (r >= 0)
        r = engine_build_limits(e, err);
    if (r >= 0)
        r = history_open(e, err);
    if (r < 0)
        return r;
    e->build_host = (struct build_host){.data_path = e->data_path,
                                        .web = &e->registries->web,
                                        .transfers = e->registries->transfers,
                                        .run_path = e->build_run_path,
                                        .run = build_run_step,
                                        .image = build_base_image,
                                        .registry = build_registry};
    return builder_new(e->images, &e->build_host, &e->builder, err);
}

static const struct auth_config *auth_for(const struct build_opts *o, const char *registry)
{
    for (size_t i = 0; i < o->auths.n; i++)
        if (str_eq(o->auths.v[i]->server_address, registry))
            return o->auths.v[i];
    return NULL;
}

/* Of what the name means here, the image for this platform. */
static bool is_for(struct engine *e, const char *name, const char *platform, struct arena *a,
                   char **ret_id)
{
    struct platform want;
    struct image_row row;

    if (image_resolve(e->images, name, a, &row, NULL) < 0)
        return false;
    if (!str_empty(platform) && (platform_parse(platform, &want, NULL) < 0 ||
                                 image_for_platform(e->images, name, &want, a, &row, NULL) < 0))
        return false;
    *ret_id = row.id;
    return true;
}

int build_base_image(void *ctx, const char *name, const char *platform, bool pull, int gone_fd,
                     build_progress fn, void *arg, struct arena *a, char **ret_id, struct err *err)
{
    const struct build_ctx *bc = ctx;
    struct reference ref;
    struct image_row row;

    if ((!pull || reference_is_id(name)) && is_for(bc->e, name, platform, a, ret_id))
        return 0;
    int r = reference_parse(name, &ref, err);
    if (r < 0)
        return r;
    const char *tag = ref.tag[0] || ref.digest[0] ? NULL : "latest";
    const struct auth_config *auth = auth_for(bc->o, registry_of(&ref, a));
    r = img_pull_base(bc->e, name, tag, platform, auth, gone_fd, fn, arg, err);
    if (r >= 0 && is_for(bc->e, name, platform, a, ret_id))
        return 0;
    /* It is of another platform than was asked for, and of no index: the pull has warned. */
    if (r >= 0)
        r = image_resolve(bc->e->images, name, a, &row, err);
    if (r < 0)
        return r;
    *ret_id = row.id;
    return 0;
}

int build_registry(void *ctx, const struct reference *ref, bool push, int gone_fd,
                   struct dist_session **ret, struct err *err)
{
    const struct build_ctx *bc = ctx;
    auto_arena struct arena a = ARENA_INIT;
    const char *registry = registry_of(ref, &a);

    return registry_session(bc->e, registry, auth_for(bc->o, registry),
                            push ? REGISTRY_PUSH : REGISTRY_PULL, gone_fd, ret, err);
}

/* ---- the build ---- */

static int full_names(const struct strv *tags, struct arena *a, struct strv *ret, struct err *err)
{
    char name[REF_TEXT_MAX + 1];

    for (size_t i = 0; i < tags->n; i++) {
        int r = image_new_name(tags->v[i], name, err);
        if (r < 0)
            return r;
        if (*name && !strv_has(ret, name))
            strv_push(a, ret, name);
    }
    return 0;
}

static int build(struct engine *e, const struct build_opts *o, const struct build_context *c,
                 struct build_session *session, struct arena *a, struct build_result *ret,
                 struct err *err)
{
    auto_buf struct buf file = BUF_INIT;
    struct build_request rq = o->rq;
    struct build_ctx bc = {e, o};
    const char *path = str_or(c->dockerfile, str_or(o->dockerfile, BUILD_DEFAULT_FILE));
    int r = build_context_dockerfile(c, path, &file, err);

    if (r >= 0)
        r = build_context_ignore(c, path, a, &rq.ignored, err);
    if (r >= 0)
        r = full_names(&o->tags, a, &rq.names, err);
    if (r < 0)
        return r;
    rq.file = buf_str(&file);
    rq.file_len = file.len;
    rq.file_name = path;
    rq.context = c->path;
    rq.keeps_context = c->kept;
    rq.source = str_empty(o->remote) ? NULL : o->remote;
    rq.source_id = c->dir.id[0] ? c->dir.id : c->file.id;
    rq.named = c->named;
    rq.host_ctx = &bc;
    if (session)
        build_session_fill(session, &rq);
    r = build_image(e->builder, &rq, a, ret, err);
    for (size_t i = 0; r >= 0 && i < rq.names.n; i++)
        img_event(e, "tag", ret->image, img_familiar(rq.names.v[i], a), NULL);
    return r;
}

static int build_in_session(struct engine *e, const struct build_opts *o,
                            struct build_session *session, struct source *body, struct arena *a,
                            struct build_result *ret, struct err *err)
{
    struct build_context c = {0};
    int r = build_context_open(e, o, session, body, a, &c, err);

    if (r >= 0)
        r = build(e, o, &c, session, a, ret, err);
    build_context_done(&c);
    return r;
}

/* The history of a check would say nothing that its answer does not. */
static int build_recorded(struct engine *e, const struct build_opts *o,
                          struct build_session *session, struct source *body, struct arena *a,
                          struct build_result *ret, struct err *err)
{
    struct build_recorder *rec = NULL;
    struct build_request secrets = {0};
    struct build_opts own = *o;
    struct err why = {0};
    int r = o->rq.check_only ? 0 : history_begin(e, &own, &rec, &why);

    if (r >= 0)
        r = build_in_session(e, &own, session, body, a, ret, &why);
    if (session)
        build_session_fill(session, &secrets);
    history_end(rec, r, &why, ret, &secrets);
    if (r < 0 && err)
        *err = why;
    return r;
}

int img_build(struct engine *e, const struct build_opts *o, img_read read, void *arg,
              struct arena *a, struct build_result *ret, struct err *err)
{
    auto_source struct source *body = source_cb(read, arg);
    struct build_session *session = NULL;
    int r = str_empty(o->session) ? 0 : build_session_take(e, o->session, &session, err);

    if (r >= 0)
        r = build_recorded(e, o, session, body, a, ret, err);
    build_session_free(session);
    if (r < 0)
        (void)!store_gc(e->images, NULL, NULL, NULL); /* layers of steps that count for nothing */
    engine_build_collect(e);
    return r;
}
