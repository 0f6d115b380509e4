/*
 * Building: the context comes as a tar and is unpacked, shut in, to a directory that lives as long
 * as the build; the Dockerfile is read from there.
 */
#include "engine/build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/compress.h"
#include "archive/ignore.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/rand.h"
#include "build/context.h"
#include "build/dockerfile.h"
#include "engine/build-priv.h"
#include "engine/images-priv.h"
#include "engine/registry-priv.h"
#include "distribution/platform.h"
#include "kern/rootfs.h"
#include "kern/sandbox.h"

#define IGNORE_MAX (1u << 20)
#define DEFAULT_FILE "Dockerfile"

/* ---- what a build gets of the engine ---- */

int engine_builder_open(struct engine *e, struct err *err)
{
    e->build_host = (struct build_host){.data_path = e->data_path,
                                        .web = &e->registries->web,
                                        .run_path = e->build_run_path,
                                        .run = build_run_step,
                                        .image = build_base_image};
    int r = build_sessions_open(e, err);
    return r < 0 ? r : builder_new(e->images, &e->build_host, &e->builder, err);
}

static const struct auth_config *auth_for(const struct build_opts *o, const char *registry)
{
    for (size_t i = 0; i < o->auths.n; i++)
        if (str_eq(o->auths.v[i]->server_address, registry))
            return o->auths.v[i];
    return NULL;
}

/* Is the image that is here one for this platform? */
static bool is_for(struct engine *e, const char *name, const char *platform, struct arena *a,
                   char **ret_id)
{
    struct platform want, have;
    struct oci_image *img = NULL;
    struct image_row row;

    if (image_resolve(e->images, name, a, &row, NULL) < 0)
        return false;
    *ret_id = row.id;
    if (str_empty(platform))
        return true;
    if (platform_parse(platform, &want, NULL) < 0 ||
        image_config_read(e->images, row.id, a, &img, NULL, NULL) < 0)
        return false;
    platform_set(&have, img->os, img->architecture, img->variant);
    return platform_score(&want, &have) > 0;
}

int build_base_image(void *ctx, const char *name, const char *platform, bool pull, int gone_fd,
                     build_progress fn, void *arg, struct arena *a, char **ret_id, struct err *err)
{
    const struct build_ctx *bc = ctx;
    struct reference ref;
    struct image_row row;

    if (!pull && is_for(bc->e, name, platform, a, ret_id))
        return 0;
    int r = reference_parse(name, &ref, err);
    if (r < 0)
        return r;
    const char *tag = ref.tag[0] || ref.digest[0] ? NULL : "latest";
    const struct auth_config *auth = auth_for(bc->o, registry_of(&ref, a));
    r = img_pull(bc->e, name, tag, platform, auth, gone_fd, fn, arg, err);
    if (r >= 0)
        r = image_resolve(bc->e->images, name, a, &row, err);
    if (r < 0)
        return r;
    *ret_id = row.id;
    return 0;
}

/* ---- the context ---- */

struct context {
    struct engine *e;
    char name[17]; /* below build/tmp; "" before it is made, and for one of a session */
    int fd;
    const char *path;
    bool kept;
};

struct unpacking {
    struct source *plain;
    int fd;
};

static int unpack(void *ctx, struct err *err)
{
    const struct unpack_options o = {.flags = UNPACK_NO_OWNER};
    struct unpacking *u = ctx;

    return unpack_tar(u->plain, u->fd, &o, NULL, err);
}

/* A thread reads the body, another, shut in, takes it apart. */
static int fill_context(struct context *c, struct source *body, struct err *err)
{
    struct source *plain = NULL;
    int r = source_auto(body, NULL, &plain, err);

    if (r < 0)
        return err_wrap(err, r, "read the build context");
    struct pump *pump = pump_new(plain, false);
    struct unpacking u = {pump_source(pump), c->fd};
    struct sandbox s = {.dir_fd = c->fd};
    r = pump_start(pump, err);
    if (r >= 0)
        r = sandbox_run(&s, unpack, &u, err);
    source_free(pump_source(pump));
    source_free(plain);
    return r < 0 ? err_wrap(err, r, "read the build context") : 0;
}

static int make_context(struct engine *e, struct source *body, struct arena *a, struct context *ret,
                        struct err *err)
{
    auto_close int build = openat(e->data_fd, "build/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    rand_hex(ret->name, 16);
    if (build < 0 || mkdirat(build, ret->name, 0755) < 0) {
        ret->name[0] = '\0';
        return err_sys(err, "make the context's directory");
    }
    ret->path = arena_printf(a, "%s/build/tmp/%s", e->data_path, ret->name);
    ret->fd = openat(build, ret->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return ret->fd < 0 ? err_sys(err, "open the context's directory")
                       : fill_context(ret, body, err);
}

/* The body is what was missing in the one that the session has. */
static int use_kept(struct kept_context *kept, struct source *body, struct context *ret,
                    struct err *err)
{
    ret->path = context_path(kept);
    ret->kept = context_kept(kept);
    ret->fd = fcntl(context_fd(kept), F_DUPFD_CLOEXEC, 0);
    int r =
        ret->fd < 0 ? err_sys(err, "open the context's directory") : fill_context(ret, body, err);
    return r < 0 ? r : context_complete(kept, err);
}

static void context_done(struct context *c)
{
    auto_close int build = openat(c->e->data_fd, "build/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    close_fd(&c->fd);
    if (build >= 0 && c->name[0])
        (void)!remove_tree_at(build, c->name, NULL); /* else the next start does it */
}

/* ---- files of the context ---- */

static int read_context_file(int root, const char *path, size_t limit, struct buf *out,
                             struct err *err)
{
    auto_close int fd = rootfs_open(root, path, O_RDONLY | O_NONBLOCK, err);

    return fd < 0 ? fd : read_fd(fd, limit, out, err);
}

static int read_dockerfile(const struct context *c, const char *path, struct buf *out,
                           struct err *err)
{
    struct err why = {0};
    int r = read_context_file(c->fd, path, DOCKERFILE_MAX, out, &why);

    if (r == -ENOENT && strcmp(path, DEFAULT_FILE) == 0)
        r = read_context_file(c->fd, "dockerfile", DOCKERFILE_MAX, out, &why);
    if (r == -ENOENT)
        return err_invalid(err, "failed to read dockerfile: open %s: no such file or directory",
                           path);
    if (r < 0)
        return err_invalid(err, "failed to read dockerfile: %s", why.msg);
    return out->len ? 0 : err_invalid(err, "the Dockerfile (%s) cannot be empty", path);
}

/* That of the Dockerfile goes before the context's. */
static int read_ignore(const struct context *c, const char *path, struct arena *a,
                       const struct ignore **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct ignore *ig = NULL;
    int r =
        read_context_file(c->fd, arena_printf(a, "%s.dockerignore", path), IGNORE_MAX, &text, NULL);

    if (r == -ENOENT)
        r = read_context_file(c->fd, ".dockerignore", IGNORE_MAX, &text, NULL);
    if (r == -ENOENT)
        return 0;
    if (r >= 0)
        r = ignore_parse(buf_str(&text), text.len, a, &ig, err);
    if (r < 0)
        return err_invalid(err, "failed to read .dockerignore");
    *ret = ig;
    return 0;
}

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

/* ---- the build ---- */

static int build(struct engine *e, const struct build_opts *o, const struct context *c,
                 struct build_session *session, struct arena *a, struct build_result *ret,
                 struct err *err)
{
    auto_buf struct buf file = BUF_INIT;
    struct build_request rq = o->rq;
    struct build_ctx bc = {e, o};
    const char *path = str_or(o->dockerfile, DEFAULT_FILE);
    int r = read_dockerfile(c, path, &file, err);

    if (r >= 0)
        r = read_ignore(c, path, a, &rq.ignored, err);
    if (r >= 0)
        r = full_names(&o->tags, a, &rq.names, err);
    if (r < 0)
        return r;
    rq.file = buf_str(&file);
    rq.file_len = file.len;
    rq.file_name = path;
    rq.context = c->path;
    rq.keeps_context = c->kept;
    rq.host_ctx = &bc;
    if (session)
        build_session_fill(session, &rq);
    r = build_image(e->builder, &rq, a, ret, err);
    for (size_t i = 0; r >= 0 && i < rq.names.n; i++)
        img_event(e, "tag", ret->image, img_familiar(rq.names.v[i], a), NULL);
    return r;
}

int img_build(struct engine *e, const struct build_opts *o, img_read read, void *arg,
              struct arena *a, struct build_result *ret, struct err *err)
{
    struct context c = {.e = e, .fd = -1};
    auto_source struct source *body = source_cb(read, arg);
    struct build_session *session = NULL;

    if (!str_empty(o->remote))
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "building from %s is not built yet: send the context itself", o->remote);
    int r = str_empty(o->session) ? 0 : build_session_take(e, o->session, &session, err);
    struct kept_context *kept = r < 0 ? NULL : build_session_context(session);
    if (r >= 0)
        r = kept ? use_kept(kept, body, &c, err) : make_context(e, body, a, &c, err);
    if (r >= 0)
        r = build(e, o, &c, session, a, ret, err);
    context_done(&c);
    build_session_free(session);
    if (r < 0)
        (void)!store_gc(e->images, NULL, NULL, NULL); /* layers of steps that count for nothing */
    return r;
}
