/*
 * A context as one tar, packed while it is sent. A Dockerfile from outside travels in it under a
 * made-up name, with patterns of its own that keep it out of the image.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "archive/tar.h"
#include "base/auto.h"
#include "base/map.h"
#include "cli/build.h"
#include "cli/cli.h"

struct buf build_context_patterns(const struct build_context *c)
{
    struct buf out = BUF_INIT;

    buf_puts(&out, buf_str(&c->ignore_text));
    buf_printf(&out, "\n%s*\n", c->dockerfile); /* last, so that nothing brings it back */
    return out;
}

static int add_member(struct sink *out, char *name, const struct buf *text, struct err *err)
{
    const struct tar_entry e = {
        .name = name, .link = (char[]){""}, .type = TAR_FILE, .mode = 0644, .size = text->len};
    auto_tar_writer struct tar_writer *w = tar_writer_new(out);
    int r = tar_write_entry(w, &e, err);

    if (r >= 0)
        r = tar_write_data(w, buf_str(text), text->len, err);
    return r < 0 ? r : tar_write_pad(w, err);
}

static int add_outside(struct build_context *c, struct sink *out, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf patterns = build_context_patterns(c);
    int r = add_member(out, c->dockerfile, &c->file, err);

    return r < 0 ? r
                 : add_member(out,
                              arena_printf(&a,
                                           "%s"
                                           ".dockerignore",
                                           c->dockerfile),
                              &patterns, err);
}

static bool skip(void *ctx, const char *path, const struct stat *st)
{
    const struct build_context *c = ctx;

    return (c->wanted && !map_has(c->wanted, path)) || build_context_skip(ctx, path, st);
}

static int64_t pack(void *ctx, struct sink *out, struct err *err)
{
    struct build_context *c = ctx;
    const struct pack_options o = {.skip = skip, .ctx = c};
    int r = c->remote  ? add_member(out, c->dockerfile, &c->file, err) /* its patterns are there */
            : c->shown ? add_outside(c, out, err)
                       : 0;

    if (r < 0)
        return r;
    if (c->dir_fd >= 0)
        return pack_tree(c->dir_fd, out, &o, err);
    auto_tar_writer struct tar_writer *w = tar_writer_new(out);
    return tar_write_end(w, err);
}

/* Half an archive must not look like a whole one: an error of the packer cuts the connection. */
struct body {
    struct buf *early; /* of the stream, or NULL */
    int stream_fd;     /* -1: the pipe */
    struct pack_pipe pipe;
    bool ended;
    int64_t packed;
    struct err err;
};

static void end_pipe(struct body *b)
{
    if (!b->ended && b->pipe.job)
        b->packed = pack_pipe_end(&b->pipe, &b->err);
    b->ended = true;
}

static ssize_t read_body(void *arg, void *p, size_t n)
{
    struct body *b = arg;
    ssize_t got;

    if (b->ended)
        return b->packed < 0 ? (ssize_t)b->packed : 0;
    if (b->early && b->early->len) {
        n = b->early->len < n ? b->early->len : n;
        memcpy(p, b->early->data, n);
        buf_drop(b->early, n);
        return (ssize_t)n;
    }
    do
        got = read(b->pipe.job ? b->pipe.fd : b->stream_fd, p, n);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    int no = errno;
    end_pipe(b);
    return got < 0 ? -no : b->packed < 0 ? (ssize_t)b->packed : 0;
}

static int send_body(struct cli *cli, struct body *b, const char *what, struct http_call *call,
                     struct http_reply **ret, struct err *err)
{
    call->content_type = "application/x-tar";
    call->body_fn = read_body;
    call->body_arg = b;
    int r = client_open(cli->client, call, ret, err);
    end_pipe(b);
    if (b->packed >= 0)
        return r;
    if (r >= 0)
        http_reply_free(*ret);
    *err = b->err; /* why the daemon got no whole one */
    return err_wrap(err, (int)b->packed, "send %s", what);
}

int build_send_packed(struct cli *cli, pack_fn fn, void *ctx, const char *what,
                      struct http_call *call, struct http_reply **ret, struct err *err)
{
    struct body body = {.stream_fd = -1};
    int r = pack_pipe_start(fn, ctx, &body.pipe, err);

    return r < 0 ? r : send_body(cli, &body, what, call, ret, err);
}

int build_context_send(struct build_context *c, struct http_call *call, struct http_reply **ret,
                       struct err *err)
{
    struct body body = {.early = &c->early, .stream_fd = c->stream_fd};

    if (c->remote && !c->shown)
        return client_open(c->cli->client, call, ret, err);
    return c->stream_fd >= 0
               ? send_body(c->cli, &body, "the build context", call, ret, err)
               : build_send_packed(c->cli, pack, c, "the build context", call, ret, err);
}
