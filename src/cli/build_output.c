#include "cli/build_output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"
#include "cli/build_export.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/download.h"
#include "cli/pull.h"
#include "cli/specs.h"
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
    char *type, *dest, *name, *push, *tar, *split, *by_digest;
};

static int take_field(struct spec *s, struct build_export *e, char *field, struct arena *a,
                      struct err *err)
{
    char *eq = strchr(field, '=');
    const struct {
        const char *key;
        char **to;
    } all[] = {{"type", &s->type},
               {"dest", &s->dest},
               {"name", &s->name},
               {"push", &s->push},
               {"push-by-digest", &s->by_digest},
               {"tar", &s->tar},
               {"platform-split", &s->split}};

    if (!eq)
        return err_invalid(err, "invalid value %s of an output", field);
    *eq = '\0';
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(field, all[i].key) != 0)
            continue;
        *all[i].to = eq + 1;
        return 0;
    }
    int r = build_export_field(e, field, eq + 1, a, err);
    return r != 0 ? (r < 0 ? r : 0)
                  : err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "\"%s\" of an output is not built yet",
                           field);
}

/* "-o DIR" and "-o -" leave the type out. */
static int read_spec(char *text, struct arena *a, struct spec *s, struct build_export *e,
                     struct err *err)
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
        r = take_field(s, e, fields.v[i], a, err);
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

static int read_bool(const char *key, const char *val, bool *to, struct err *err)
{
    return val && str_to_bool(val, to) < 0
               ? err_invalid(err, "non-bool value %s specified for %s", val, key)
               : 0;
}

/* What the type allows. */
static int read_details(struct build_output *o, const struct spec *s, struct err *err)
{
    bool tar = true, split = true;
    int r = read_bool("tar", s->tar, &tar, err);

    if (r >= 0)
        r = read_bool("platform-split", s->split, &split, err);
    if (r >= 0)
        r = read_bool("push-by-digest", s->by_digest, &o->by_digest, err);
    if (r < 0)
        return r;
    if (s->tar && o->kind != OUT_ARCHIVE)
        return err_invalid(err, "output of type %s is no archive that could do without tar",
                           s->type);
    if (s->split && o->kind != OUT_LOCAL && o->kind != OUT_TAR)
        return err_invalid(err, "output of type %s has no files to split", s->type);
    if (!tar && (str_empty(s->dest) || str_eq(s->dest, "-")))
        return err_invalid(err, "dest is required for an archive without tar");
    o->untarred = !tar;
    o->split = !s->split ? SPLIT_SEVERAL : split ? SPLIT_ALWAYS : SPLIT_NEVER;
    return 0;
}

static int add(struct cli *cli, struct build_flags *f, char *text, struct build_outputs *ret,
               struct err *err)
{
    struct build_output o = {0};
    struct spec s = {0};
    bool push = false;
    int r = read_spec(text, &cli->arena, &s, &f->export, err);

    if (r >= 0)
        r = kind_of(str_or(s.type, ""), &o.kind, err);
    if (r >= 0)
        r = read_bool("push", s.push, &push, err);
    if (r < 0)
        return r;
    o.dest = s.dest;
    if (o.kind == OUT_IMAGE && push)
        o.kind = OUT_REGISTRY;
    if (str_eq(s.type, "docker") && s.dest)
        o.kind = OUT_ARCHIVE;
    else if (s.dest && (o.kind == OUT_IMAGE || o.kind == OUT_REGISTRY))
        return err_invalid(err, "output of type %s takes no dest", s.type);
    if ((r = read_details(&o, &s, err)) < 0)
        return r;
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

/* A tag would be lost, which nobody means. */
static int check_tags(const struct build_outputs *o, const struct build_flags *f, struct arena *a,
                      struct err *err)
{
    char *name = NULL, *tag = NULL;

    for (size_t i = 0; i < o->n; i++)
        for (size_t k = 0; o->v[i].by_digest && k < f->tag.n; k++) {
            ref_split(a, f->tag.v[k], &name, &tag);
            if (tag)
                return err_invalid(err, "can't push tagged ref %s by digest", f->tag.v[k]);
        }
    return 0;
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
    return check_tags(ret, f, &cli->arena, err);
}

int build_outputs_check(const struct build_outputs *o, const struct build_flags *f, struct err *err)
{
    if (all_are_files(o) && (f->export.sbom || !str_empty(f->export.provenance)))
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "attestations beside files (type=local, type=tar) are not built yet");
    return 0;
}

/* ---- writing ---- */

static int push(struct cli *cli, const struct build_flags *f, const struct build_output *o,
                bool quiet, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->tag.n; i++)
        r = o->by_digest ? push_by_digest(cli, f->tag.v[i], quiet, err)
                         : push_image(cli, f->tag.v[i], NULL, false, quiet, true, err);
    return r;
}

static const char *path_of(const struct build_output *o)
{
    return str_eq(o->dest, "-") ? NULL : o->dest;
}

static bool has_index(const struct build_outcome *out)
{
    return out->descriptor && str_ends(out->descriptor->media_type, "index.v1+json");
}

static char *save_target(struct cli *cli, const struct build_flags *f,
                         const struct build_outcome *out)
{
    char *t = cli_target(cli, "/images/get", NULL, NULL);

    for (size_t i = 0; i < f->tag.n; i++)
        t = cli_query(cli, t, "names", f->tag.v[i]);
    if (f->tag.n == 0)
        t = cli_query(cli, t, "names", has_index(out) ? out->descriptor->digest : out->image);
    /* What was said in manifests and the index is to be in the archive. */
    return cli_query(cli, t, "original", out->descriptor ? "1" : NULL);
}

static int save(struct cli *cli, const struct build_flags *f, const struct build_output *o,
                const struct build_outcome *out, struct err *err)
{
    char *t = save_target(cli, f, out);

    return o->untarred ? build_files_unpack(cli, t, o->dest, err)
                       : download_to(cli, t, path_of(o), "save image", err);
}

/* It was only a means, unless something else knows it: a name, a container, an image above it. */
static void remove_unnamed(struct cli *cli, const struct build_outcome *out)
{
    struct image_inspect i = {0};
    char *t = cli_target(cli, "/images/%s/json", out->image, NULL);

    if (has_index(out)) {
        const char *name = arena_printf(&cli->arena, "cleat-dangling@%s", out->descriptor->digest);
        (void)!call_do(cli, "DELETE", cli_target(cli, "/images/%r", name, NULL), NULL);
    }
    if (call_get(cli, t, &image_inspect_type, &i, NULL) < 0 || i.repo_tags.n || i.repo_digests.n)
        return;
    (void)!call_do(cli, "DELETE", cli_target(cli, "/images/%s", out->image, NULL), NULL);
}

static int write_one(struct cli *cli, const struct build_flags *f, const struct build_output *o,
                     const struct build_outcome *out, bool quiet, struct err *err)
{
    switch (o->kind) {
    case OUT_IMAGE:
        return 0;
    case OUT_REGISTRY:
        return push(cli, f, o, quiet, err);
    case OUT_ARCHIVE:
        return save(cli, f, o, out, err);
    default:
        return build_files_write(cli, o, out, err);
    }
}

int build_outputs_write(struct cli *cli, const struct build_flags *f, const struct build_outputs *o,
                        const struct build_outcome *out, bool quiet, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < o->n; i++)
        r = write_one(cli, f, &o->v[i], out, quiet, err);
    if (f->tag.n == 0 && !has(o, OUT_IMAGE))
        remove_unnamed(cli, out);
    return r < 0 ? err_wrap(err, r, "ERROR: failed to export the result") : 0;
}
