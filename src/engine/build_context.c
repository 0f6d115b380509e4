/*
 * Contexts of a build: a tar in the request's body, or something on the net: a tar, a lone
 * Dockerfile, or a Git repository. Tars are unpacked shut in, to a directory that lives as long as
 * the build. Further contexts have names, and are images, repositories, or came with the session.
 */
#include "engine/build-priv.h"

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
#include "build/add.h"
#include "build/kept_context.h"
#include "build/dockerfile.h"
#include "kern/rootfs.h"
#include "kern/sandbox.h"

#define IGNORE_MAX (1u << 20)
#define NAMED_MAX 64
#define KEEP_GIT_DIR "BUILDKIT_CONTEXT_KEEP_GIT_DIR" /* a build argument */

/* ---- a tar ---- */

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
int build_context_unpack(int fd, struct source *body, struct err *err)
{
    struct source *plain = NULL;
    int r = source_auto(body, NULL, &plain, err);

    if (r < 0)
        return err_wrap(err, r, "read the build context");
    struct pump *pump = pump_new(plain, false);
    struct unpacking u = {pump_source(pump), fd};
    struct sandbox s = {.dir_fd = fd};
    r = pump_start(pump, err);
    if (r >= 0)
        r = sandbox_run(&s, unpack, &u, err);
    source_free(pump_source(pump));
    source_free(plain);
    return r < 0 ? err_wrap(err, r, "read the build context") : 0;
}

/* ---- from the net ---- */

/* What cannot be fetched is the request's fault. */
static int blame_request(struct err *err, int r)
{
    if (r < 0 && err && err->kind == ERR_UNAVAILABLE)
        err->kind = ERR_INVALID;
    return r;
}

static int from_git(struct build_context *c, const char *url, struct fetched *ret, struct err *err)
{
    struct git_url u = {0};
    /* As the context of a repository is named without a protocol. */
    const char *full = str_starts(url, "github.com/") ? arena_printf(c->a, "https://%s", url) : url;
    int r = git_url_parse(full, c->a, &u, err);

    u.keep_git_dir |= c->keep_git_dir;
    return r < 0 ? r : fetch_git(&c->fetcher, &u, c->a, ret, err);
}

/* A tar, compressed or not, is the context; anything else is a Dockerfile without one. */
static int from_web(struct build_context *c, const char *url, struct err *err)
{
    int r = fetch_http(&c->fetcher, url, NULL, c->a, &c->file, err);

    if (r < 0)
        return r;
    auto_close int fd = openat(c->file.fd, c->file.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? err_sys(err, "open what was fetched") : fetch_dir(&c->fetcher, &c->dir, err);
    if (r < 0)
        return r;
    if (add_is_archive(fd)) {
        auto_source struct source *tar = source_fd(fd);
        return build_context_unpack(c->dir.fd, tar, err);
    }
    c->dockerfile = BUILD_DEFAULT_FILE;
    return renameat(c->file.fd, c->file.path, c->dir.fd, c->dockerfile) < 0
               ? err_sys(err, "name the Dockerfile")
               : 0;
}

static int from_remote(struct build_context *c, const char *url, struct err *err)
{
    if (git_url_is(url) || str_starts(url, "github.com/"))
        return from_git(c, url, &c->dir, err);
    return from_web(c, url, err);
}

/* ---- files of contexts ---- */

static int read_context_file(int root, const char *path, size_t limit, struct buf *out,
                             struct err *err)
{
    auto_close int fd = rootfs_open(root, path, O_RDONLY | O_NONBLOCK, err);

    return fd < 0 ? fd : read_fd(fd, limit, out, err);
}

/* That of the Dockerfile @path, if there is one, goes before the context's. */
static int read_ignore(int fd, const char *path, struct arena *a, const struct ignore **ret,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct ignore *ig = NULL;
    int r = path ? read_context_file(fd, arena_printf(a, "%s.dockerignore", path), IGNORE_MAX,
                                     &text, NULL)
                 : -ENOENT;

    if (r == -ENOENT)
        r = read_context_file(fd, ".dockerignore", IGNORE_MAX, &text, NULL);
    if (r == -ENOENT)
        return 0;
    if (r >= 0)
        r = ignore_parse(buf_str(&text), text.len, a, &ig, err);
    if (r < 0)
        return err_invalid(err, "failed to read .dockerignore");
    *ret = ig;
    return 0;
}

/* ---- named ones ---- */

/* A directory of the client; its own .dockerignore counts, as the client has read it, too. */
static int add_kept(struct build_context *c, const char *name, const struct kept_context *kept,
                    struct err *err)
{
    struct build_named n = {.name = (char *)(uintptr_t)name,
                            .path = arena_strdup(c->a, context_path(kept)),
                            .kept = context_kept(kept)};
    int r = read_ignore(context_fd(kept), NULL, c->a, &n.ignored, err);

    if (r >= 0)
        arena_push(c->a, c->named) = n;
    return r;
}

static int add_sent(struct build_context *c, const char *name, struct build_session *session,
                    struct err *err)
{
    const struct kept_context *kept = build_session_context(session, name);
    const char *id = build_session_image(session, name);

    if (kept)
        return add_kept(c, name, kept, err);
    if (!id)
        return err_invalid(err, "the session has no such context");
    arena_push(c->a, c->named) =
        (struct build_named){.name = (char *)(uintptr_t)name, .image = arena_strdup(c->a, id)};
    return 0;
}

static int add_named(struct engine *e, struct build_context *c, struct build_session *session,
                     const struct strpair *in, struct err *err)
{
    const char *image = str_starts(in->val, "docker-image://");
    struct build_named n = {.name = in->key, .image = (char *)image};

    if (strcmp(in->val, BUILD_CONTEXT_SENT) == 0)
        return add_sent(c, in->key, session, err);
    if (!image && !fetch_is_remote(in->val))
        return err_invalid(err, "unsupported context source %.200s", in->val);
    if (image) {
        arena_push(c->a, c->named) = n;
        return 0;
    }
    struct fetched *f = &arena_push(c->a, c->more);
    *f = (struct fetched){.fd = -1};
    int r = git_url_is(in->val) ? from_git(c, in->val, f, err)
                                : err_invalid(err, "it is neither an image nor a repository");
    if (r < 0)
        return r;
    n.path = arena_printf(c->a, "%s/build/tmp/%s/%s", e->data_path, f->name, f->path);
    arena_push(c->a, c->named) = n;
    return 0;
}

static int open_named(struct engine *e, struct build_context *c, struct build_session *session,
                      const struct strmap *in, struct err *err)
{
    if (in->n > NAMED_MAX)
        return err_invalid(err, "more than %d contexts", NAMED_MAX);
    for (size_t i = 0; i < in->n; i++) {
        int r = blame_request(err, add_named(e, c, session, &in->v[i], err));
        if (r < 0)
            return err_wrap(err, r, "context %.100s", in->v[i].key);
    }
    return 0;
}

/* ---- the context ---- */

/* The body is what was missing in the one that the session has. */
static int use_kept(struct kept_context *kept, struct source *body, struct build_context *c,
                    struct err *err)
{
    c->path = arena_strdup(c->a, context_path(kept));
    c->kept = context_kept(kept);
    c->fd = fcntl(context_fd(kept), F_DUPFD_CLOEXEC, 0);
    int r = c->fd < 0 ? err_sys(err, "open the context's directory")
                      : build_context_unpack(c->fd, body, err);
    return r < 0 ? r : context_complete(kept, err);
}

/* With a context of the net the body may be a tar of the Dockerfile; else it is empty. */
static int take_dockerfile(struct build_context *c, struct source *body, struct err *err)
{
    auto_source struct source *all = NULL;
    const uint8_t *p = NULL;
    size_t n = 0;
    int r = source_peek(body, 1, &p, &n, &all, err);

    if (r < 0 || n == 0)
        return r;
    r = fetch_dir(&c->fetcher, &c->own, err);
    if (r >= 0)
        r = build_context_unpack(c->own.fd, all, err);
    c->dockerfile = NULL;
    return r;
}

static int open_main(struct engine *e, const struct build_opts *o, struct kept_context *kept,
                     struct source *body, struct build_context *c, struct err *err)
{
    int r;

    if (kept)
        return use_kept(kept, body, c, err);
    if (!str_empty(o->remote)) {
        r = blame_request(err, from_remote(c, o->remote, err));
        if (r >= 0)
            r = take_dockerfile(c, body, err);
    } else {
        r = fetch_dir(&c->fetcher, &c->dir, err);
        if (r >= 0)
            r = build_context_unpack(c->dir.fd, body, err);
    }
    if (r < 0)
        return r;
    c->path = arena_printf(c->a, "%s/build/tmp/%s/%s", e->data_path, c->dir.name, c->dir.path);
    c->fd = rootfs_open(c->dir.fd, c->dir.path, O_RDONLY | O_DIRECTORY, err);
    return c->fd < 0 ? c->fd : 0;
}

int build_context_open(struct engine *e, const struct build_opts *o, struct build_session *session,
                       struct source *body, struct arena *a, struct build_context *ret,
                       struct err *err)
{
    struct build_context *c = ret;
    int tmp = openat(e->data_fd, "build/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *c = (struct build_context){.gone_fd = o->rq.gone_fd, .a = a, .fd = -1};
    (void)!str_to_bool(str_or(strmap_get(&o->rq.args, KEEP_GIT_DIR), "0"), &c->keep_git_dir);
    c->own.fd = -1;
    struct build_request given = {0};
    if (session)
        build_session_fill(session, &given);
    c->fetcher = (struct fetcher){.web = e->build_host.web,
                                  .tmp_fd = tmp,
                                  .gone_fd = &c->gone_fd,
                                  .ssh_agent = build_default_agent(&given),
                                  .secrets = given.secrets.v,
                                  .nsecrets = given.secrets.n};
    if (tmp < 0)
        return err_sys(err, "open the builder's directory");
    int r = open_main(e, o, build_session_context(session, NULL), body, c, err);
    return r < 0 ? r : open_named(e, c, session, &o->contexts, err);
}

void build_context_done(struct build_context *c)
{
    close_fd(&c->fd);
    fetched_done(&c->dir);
    fetched_done(&c->file);
    fetched_done(&c->own);
    for (size_t i = 0; i < c->more.n; i++)
        fetched_done(&c->more.v[i]);
    close_fd(&c->fetcher.tmp_fd);
}

/* ---- files of the context ---- */

int build_context_dockerfile(const struct build_context *c, const char *path, struct buf *out,
                             struct err *err)
{
    struct err why = {0};
    int root = c->own.fd >= 0 ? c->own.fd : c->fd;
    int r = read_context_file(root, path, DOCKERFILE_MAX, out, &why);

    if (r == -ENOENT && strcmp(path, BUILD_DEFAULT_FILE) == 0)
        r = read_context_file(root, "dockerfile", DOCKERFILE_MAX, out, &why);
    if (r == -ENOENT)
        return err_invalid(err, "failed to read dockerfile: open %s: no such file or directory",
                           path);
    if (r < 0)
        return err_invalid(err, "failed to read dockerfile: %s", why.msg);
    return out->len ? 0 : err_invalid(err, "the Dockerfile (%s) cannot be empty", path);
}

int build_context_ignore(const struct build_context *c, const char *path, struct arena *a,
                         const struct ignore **ret, struct err *err)
{
    return read_ignore(c->fd, path, a, ret, err);
}
