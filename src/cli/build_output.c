#include "cli/build_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/unpack.h"
#include "base/auto.h"
#include "base/io.h"
#include "cli/build.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/download.h"
#include "cli/pull.h"
#include "cli/specs.h"
#include "wire/container.h"
#include "wire/image.h"

/* ---- "type=local,dest=out" ---- */

static const struct {
    const char *type;
    enum output_kind kind;
} types[] = {
    {"local", OUT_LOCAL},  {"tar", OUT_TAR},     {"oci", OUT_ARCHIVE},
    {"docker", OUT_IMAGE}, {"image", OUT_IMAGE}, {"registry", OUT_REGISTRY},
};

static int kind_of(const char *type, enum output_kind *ret, struct err *err)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!str_eq(type, types[i].type))
            continue;
        *ret = types[i].kind;
        return 0;
    }
    return err_invalid(err, "unknown type \"%s\" of output", type);
}

struct spec {
    char *type, *dest, *name, *push;
};

static int take_field(struct spec *s, char *field, struct err *err)
{
    char *eq = strchr(field, '=');
    const struct {
        const char *key;
        char **to;
    } all[] = {{"type", &s->type}, {"dest", &s->dest}, {"name", &s->name}, {"push", &s->push}};

    if (!eq)
        return err_invalid(err, "invalid value %s of an output", field);
    *eq = '\0';
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(field, all[i].key) != 0)
            continue;
        *all[i].to = eq + 1;
        return 0;
    }
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "\"%s\" of an output is not built yet", field);
}

/* "-o DIR" and "-o -" leave the type out. */
static int read_spec(char *text, struct arena *a, struct spec *s, struct err *err)
{
    static char local[] = "local", tar[] = "tar";
    struct strv fields = {0};

    if (!strchr(text, '=')) {
        s->type = str_eq(text, "-") ? tar : local;
        s->dest = text;
        return 0;
    }
    int r = csv_split(text, a, &fields, err);
    for (size_t i = 0; r >= 0 && i < fields.n; i++)
        r = take_field(s, fields.v[i], err);
    return r;
}

static int check_dest(const struct build_output *o, const struct spec *s, struct err *err)
{
    bool to_stdout = str_empty(o->dest) || str_eq(o->dest, "-");

    if (o->kind == OUT_LOCAL && to_stdout)
        return err_invalid(err, "dest is required for local output");
    if ((o->kind == OUT_TAR || o->kind == OUT_ARCHIVE) && to_stdout && isatty(1))
        return err_invalid(
            err, "dest file is required for %s output. refusing to write to a terminal", s->type);
    return 0;
}

static int add(struct cli *cli, struct build_flags *f, char *text, struct build_outputs *ret,
               struct err *err)
{
    struct build_output o = {0};
    struct spec s = {0};
    bool push = false;
    int r = read_spec(text, &cli->arena, &s, err);

    if (r >= 0)
        r = kind_of(str_or(s.type, ""), &o.kind, err);
    if (r >= 0 && s.push && str_to_bool(s.push, &push) < 0)
        r = err_invalid(err, "non-bool value %s specified for push", s.push);
    if (r < 0)
        return r;
    o.dest = s.dest;
    if (o.kind == OUT_IMAGE && push)
        o.kind = OUT_REGISTRY;
    if (str_eq(s.type, "docker") && s.dest)
        o.kind = OUT_ARCHIVE;
    else if (s.dest && (o.kind == OUT_IMAGE || o.kind == OUT_REGISTRY))
        return err_invalid(err, "output of type %s takes no dest", s.type);
    for (char *name = s.name; !str_empty(name);) {
        size_t n = strcspn(name, ",");
        strv_push(&cli->arena, &f->tag, arena_strndup(&cli->arena, name, n));
        name += n + (name[n] == ',');
    }
    arena_push(&cli->arena, *ret) = o;
    return check_dest(&o, &s, err);
}

static bool all_are_files(const struct build_outputs *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].kind != OUT_LOCAL && o->v[i].kind != OUT_TAR)
            return false;
    return true;
}

static bool has(const struct build_outputs *o, enum output_kind kind)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].kind == kind)
            return true;
    return false;
}

bool build_outputs_use_stdout(const struct build_outputs *o)
{
    for (size_t i = 0; i < o->n; i++)
        if ((o->v[i].kind == OUT_TAR || o->v[i].kind == OUT_ARCHIVE) &&
            (str_empty(o->v[i].dest) || str_eq(o->v[i].dest, "-")))
            return true;
    return false;
}

int build_outputs_parse(struct cli *cli, struct build_flags *f, struct build_outputs *ret,
                        struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->output.n; i++)
        r = add(cli, f, f->output.v[i], ret, err);
    if (r < 0)
        return r;
    if (f->push && !has(ret, OUT_REGISTRY))
        arena_push(&cli->arena, *ret) = (struct build_output){.kind = OUT_REGISTRY};
    if (f->load || ret->n == 0)
        arena_push(&cli->arena, *ret) = (struct build_output){.kind = OUT_IMAGE};
    if (has(ret, OUT_REGISTRY) && f->tag.n == 0)
        return err_invalid(err, "tag is needed when pushing to registry");
    if (all_are_files(ret))
        f->tag = (struct strv){0};
    return 0;
}

/* ---- writing ---- */

static int push(struct cli *cli, const struct build_flags *f, bool quiet, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->tag.n; i++)
        r = push_image(cli, f->tag.v[i], NULL, false, quiet, true, err);
    return r;
}

static const char *path_of(const struct build_output *o)
{
    return str_eq(o->dest, "-") ? NULL : o->dest;
}

static int save(struct cli *cli, const struct build_flags *f, const struct build_output *o,
                const char *image, struct err *err)
{
    char *t = cli_target(cli, "/images/get", NULL, NULL);

    for (size_t i = 0; i < f->tag.n; i++)
        t = cli_query(cli, t, "names", f->tag.v[i]);
    if (f->tag.n == 0)
        t = cli_query(cli, t, "names", image);
    return download_to(cli, t, path_of(o), "save image", err);
}

static ssize_t read_reply(void *ctx, void *p, size_t n, struct err *err)
{
    return http_reply_read(ctx, p, n, err);
}

/* Into what is there already; files belong to who builds. */
static int unpack_into(struct cli *cli, const char *target, const char *dest, struct err *err)
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

/* The files of the image are those of a container that never starts. */
static int write_files(struct cli *cli, const struct build_output *o, const char *image,
                       struct err *err)
{
    struct container_create_request rq = {.config = {.image = arena_strdup(&cli->arena, image)}};
    struct container_create_response made = {0};

    strv_push(&cli->arena, &rq.config.cmd, "none");
    int r =
        call_post(cli, cli_target(cli, "/containers/create", NULL, NULL),
                  &container_create_request_type, &rq, &container_create_response_type, &made, err);
    if (r < 0)
        return r;
    char *target = cli_target(cli, "/containers/%s/export", made.id, NULL);
    r = o->kind == OUT_LOCAL ? unpack_into(cli, target, o->dest, err)
                             : download_to(cli, target, path_of(o), "export files", err);
    struct err e = {0};
    char *gone = cli_target(cli, "/containers/%s", made.id, NULL);
    int d = call_do(cli, "DELETE", cli_query(cli, gone, "v", "1"), &e);
    if (r >= 0 && d < 0) {
        *err = e;
        r = d;
    }
    return r;
}

/* It was only a means, unless something else knows it: a name, a container, an image above it. */
static void remove_unnamed(struct cli *cli, const char *image)
{
    struct image_inspect i = {0};
    char *t = cli_target(cli, "/images/%s/json", image, NULL);

    if (call_get(cli, t, &image_inspect_type, &i, NULL) < 0 || i.repo_tags.n || i.repo_digests.n)
        return;
    (void)!call_do(cli, "DELETE", cli_target(cli, "/images/%s", image, NULL), NULL);
}

static int write_one(struct cli *cli, const struct build_flags *f, const struct build_output *o,
                     const char *image, bool quiet, struct err *err)
{
    switch (o->kind) {
    case OUT_IMAGE:
        return 0;
    case OUT_REGISTRY:
        return push(cli, f, quiet, err);
    case OUT_ARCHIVE:
        return save(cli, f, o, image, err);
    default:
        return write_files(cli, o, image, err);
    }
}

int build_outputs_write(struct cli *cli, const struct build_flags *f, const struct build_outputs *o,
                        const struct build_outcome *out, bool quiet, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < o->n; i++)
        r = write_one(cli, f, &o->v[i], out->image, quiet, err);
    if (f->tag.n == 0 && !has(o, OUT_IMAGE))
        remove_unnamed(cli, out->image);
    return r < 0 ? err_wrap(err, r, "ERROR: failed to export the result") : 0;
}
