/*
 * The files of a build's result: in a directory, or as one tar. They are those of a container that
 * never starts, one for each platform, which then has a directory of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/tar.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/io.h"
#include "cli/build.h"
#include "cli/build_output.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/download.h"
#include "wire/build.h"
#include "wire/container.h"

/* What goes where. */
struct part {
    const char *image;
    const char *folder; /* "linux_arm64", or "" */
};

/* ---- unpacking ---- */

static ssize_t read_reply(void *ctx, void *p, size_t n, struct err *err)
{
    return http_reply_read(ctx, p, n, err);
}

/* Files belong to who builds. */
int build_files_unpack(struct cli *cli, const char *target, const char *dest, struct err *err)
{
    const struct unpack_options how = {.flags = UNPACK_NO_OWNER | UNPACK_KEEP_DIRS};
    struct http_call call = {.method = "GET", .target = target};
    struct http_reply *reply = NULL;
    int r = mkdir_p_at(AT_FDCWD, dest, 0755, err);

    if (r < 0)
        return r;
    auto_close int dir = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, "open %s", dest);
    r = client_open(cli->client, &call, &reply, err);
    if (r < 0)
        return r;
    auto_source struct source *body = source_cb(read_reply, reply);
    r = unpack_tar(body, dir, &how, NULL, err);
    http_reply_free(reply);
    return r < 0 ? err_wrap(err, r, "write %s", dest) : 0;
}

/* ---- one tar of several ---- */

static int copy_entry(struct tar_reader *from, struct tar_writer *to, const struct tar_entry *e,
                      const char *folder, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct tar_entry out = *e;
    const uint8_t *p = NULL;
    ssize_t n;

    out.name = arena_printf(&a, "%s/%s", folder, e->name);
    if (e->type == TAR_HARDLINK)
        out.link = arena_printf(&a, "%s/%s", folder, e->link);
    int r = tar_write_entry(to, &out, err);
    while (r >= 0 && (n = tar_data(from, &p, NULL, err)) != 0)
        r = n < 0 ? (int)n : tar_write_data(to, p, (size_t)n, err);
    return r;
}

static int put_folder(struct tar_writer *to, const char *folder, struct err *err)
{
    char name[PATH_MAX];
    struct tar_entry dir = {.name = name, .type = TAR_DIR, .mode = 0755};

    (void)snprintf(name, sizeof(name), "%s/", folder);
    return tar_write_entry(to, &dir, err);
}

/* What the daemon exports has no sparse files. */
static int copy_tar(struct cli *cli, const char *target, const char *folder, struct tar_writer *to,
                    struct err *err)
{
    struct http_call call = {.method = "GET", .target = target};
    const struct tar_entry *e = NULL;
    struct http_reply *reply = NULL;
    int r = client_open(cli->client, &call, &reply, err);

    if (r < 0)
        return r;
    auto_source struct source *body = source_cb(read_reply, reply);
    auto_tar_reader struct tar_reader *from = tar_reader_new(body, NULL, NULL);
    r = put_folder(to, folder, err);
    while (r >= 0 && (r = tar_next(from, &e, err)) > 0)
        r = copy_entry(from, to, e, folder, err);
    http_reply_free(reply);
    return r;
}

/* ---- the containers ---- */

typedef int (*with_files)(void *ctx, struct cli *cli, const char *target, const struct part *p,
                          struct err *err);

static int with_container(struct cli *cli, const struct part *p, with_files fn, void *ctx,
                          struct err *err)
{
    struct container_create_request rq = {.config = {.image = arena_strdup(&cli->arena, p->image)}};
    struct container_create_response made = {0};

    strv_push(&cli->arena, &rq.config.cmd, "none");
    int r =
        call_post(cli, cli_target(cli, "/containers/create", NULL, NULL),
                  &container_create_request_type, &rq, &container_create_response_type, &made, err);
    if (r < 0)
        return r;
    r = fn(ctx, cli, cli_target(cli, "/containers/%s/export", made.id, NULL), p, err);
    struct err e = {0};
    char *gone = cli_target(cli, "/containers/%s", made.id, NULL);
    int d = call_do(cli, "DELETE", cli_query(cli, gone, "v", "1"), &e);
    if (r >= 0 && d < 0) {
        *err = e;
        r = d;
    }
    return r;
}

static int to_directory(void *ctx, struct cli *cli, const char *target, const struct part *p,
                        struct err *err)
{
    const struct build_output *o = ctx;
    const char *dest =
        *p->folder ? arena_printf(&cli->arena, "%s/%s", o->dest, p->folder) : o->dest;

    return build_files_unpack(cli, target, dest, err);
}

static int to_tar(void *ctx, struct cli *cli, const char *target, const struct part *p,
                  struct err *err)
{
    const struct build_output *o = ctx;

    (void)p;
    return download_to(cli, target, str_eq(o->dest, "-") ? NULL : o->dest, "export files", err);
}

static int into_tar(void *ctx, struct cli *cli, const char *target, const struct part *p,
                    struct err *err)
{
    return copy_tar(cli, target, p->folder, ctx, err);
}

/* ---- several platforms ---- */

static char *folder_of(struct cli *cli, const char *platform)
{
    char *name = arena_strdup(&cli->arena, platform);

    for (char *c = name; *c; c++)
        *c = *c == '/' ? '_' : *c;
    return name;
}

struct parts {
    struct part *v;
    size_t n;
};

static void find_parts(struct cli *cli, const struct build_output *o,
                       const struct build_outcome *out, struct parts *ret)
{
    bool split = o->split == SPLIT_ALWAYS || (o->split == SPLIT_SEVERAL && out->platforms.n > 1);

    for (size_t i = 0; i < out->platforms.n; i++)
        arena_push(&cli->arena, *ret) = (struct part){
            out->platforms.v[i].image, split ? folder_of(cli, out->platforms.v[i].platform) : ""};
    if (ret->n == 0)
        arena_push(&cli->arena, *ret) = (struct part){out->image, ""};
}

static int write_parts(struct cli *cli, const struct parts *parts, int fd, struct err *err)
{
    auto_sink struct sink *out = sink_fd(fd);
    auto_tar_writer struct tar_writer *w = tar_writer_new(out);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < parts->n; i++)
        r = with_container(cli, &parts->v[i], into_tar, w, err);
    return r < 0 ? r : tar_write_end(w, err);
}

/* As download_to() does: a failure leaves the old file alone. */
static int write_tar(struct cli *cli, const struct build_output *o, const struct parts *parts,
                     struct err *err)
{
    if (str_empty(o->dest) || str_eq(o->dest, "-"))
        return write_parts(cli, parts, 1, err);
    char *tmp = arena_printf(&cli->arena, "%s.tmp-%d", o->dest, (int)getpid());
    auto_close int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "open %s", o->dest);
    int r = write_parts(cli, parts, fd, err);
    if (r >= 0 && rename(tmp, o->dest) < 0)
        r = err_sys(err, "rename %s", o->dest);
    if (r < 0)
        (void)unlink(tmp);
    return r;
}

int build_files_write(struct cli *cli, const struct build_output *o,
                      const struct build_outcome *out, struct err *err)
{
    struct parts parts = {0};
    int r = 0;

    find_parts(cli, o, out, &parts);
    if (o->kind == OUT_TAR && *parts.v[0].folder)
        return write_tar(cli, o, &parts, err);
    if (o->kind == OUT_TAR && parts.n > 1)
        return err_invalid(err, "files of several platforms as one tar need platform-split");
    for (size_t i = 0; r >= 0 && i < parts.n; i++)
        r = with_container(cli, &parts.v[i], o->kind == OUT_LOCAL ? to_directory : to_tar,
                           (void *)(uintptr_t)o, err);
    return r;
}
