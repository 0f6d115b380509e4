/*
 * --cache-from and --cache-to: inside an image ("inline"), in a registry, or in a directory here.
 * Other types are services of certain clouds, and refused by name.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/specs.h"

/* One option, taken apart. */
struct cache_option {
    const char *option; /* "--cache-to" */
    bool to;
    const char *type, *ref, *dir, *tag, *digest, *mode;
    bool ignore_error;
};

static int not_built(const char *option, const char *what, struct err *err)
{
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "%s %s is not built yet", option, what);
}

/* ---- fields ---- */

/* What is written is always an image manifest of OCI, with layers in gzip. */
static int check_form(const struct cache_option *o, const char *field, struct err *err)
{
    static const char *const as_it_is[] = {"image-manifest=", "oci-mediatypes="};
    bool on = false;

    for (size_t i = 0; i < sizeof(as_it_is) / sizeof(as_it_is[0]); i++) {
        const char *val = str_starts(field, as_it_is[i]);
        if (val && str_to_bool(val, &on) >= 0)
            return on ? 0 : not_built(o->option, field, err);
    }
    if (strcmp(field, "compression=gzip") == 0 || str_starts(field, "compression-level=") ||
        str_starts(field, "force-compression="))
        return 0;
    return not_built(o->option, field, err);
}

static int take_field(struct cache_option *o, const char *field, struct err *err)
{
    const struct {
        const char *key;
        const char **to;
        bool fits;
    } all[] = {{"type=", &o->type, true},  {"ref=", &o->ref, true}, {"dest=", &o->dir, o->to},
               {"src=", &o->dir, !o->to},  {"tag=", &o->tag, true}, {"digest=", &o->digest, !o->to},
               {"mode=", &o->mode, o->to}, {NULL, NULL, false}};
    const char *val;

    for (size_t i = 0; all[i].key; i++)
        if (all[i].fits && (val = str_starts(field, all[i].key))) {
            *all[i].to = val;
            return 0;
        }
    if (o->to && (val = str_starts(field, "ignore-error=")))
        return str_to_bool(val, &o->ignore_error) >= 0
                   ? 0
                   : err_invalid(err, "%s: invalid value of ignore-error: %s", o->option, val);
    return o->to ? check_form(o, field, err) : not_built(o->option, field, err);
}

static int check(const struct cache_option *o, const char *text, struct err *err)
{
    bool registry = str_eq(o->type, "registry"), local = str_eq(o->type, "local");

    if (!registry && !local && !(o->to && str_eq(o->type, "inline")))
        return not_built(o->option, text, err);
    if (registry && str_empty(o->ref))
        return err_invalid(err, "%s \"%s\" needs a ref", o->option, text);
    if (local && str_empty(o->dir))
        return err_invalid(err, "%s \"%s\" needs a %s", o->option, text, o->to ? "dest" : "src");
    if (o->mode && strcmp(o->mode, "min") != 0 && strcmp(o->mode, "max") != 0)
        return err_invalid(err, "%s: invalid mode %s", o->option, o->mode);
    return 0;
}

/* A type that is not built is said first, whatever its fields. */
static int parse(struct cache_option *o, const char *text, struct arena *a, struct err *err)
{
    struct strv fields = {0};
    int r = csv_split(text, a, &fields, err);

    for (size_t i = 0; r >= 0 && i < fields.n; i++)
        if (str_starts(fields.v[i], "type="))
            o->type = fields.v[i] + strlen("type=");
    if (r >= 0 && o->type && !str_eq(o->type, "registry") && !str_eq(o->type, "local") &&
        !str_eq(o->type, "inline"))
        return not_built(o->option, text, err);
    for (size_t i = 0; r >= 0 && i < fields.n; i++)
        r = take_field(o, fields.v[i], err);
    o->type = str_or(o->type, "registry");
    return r < 0 ? r : check(o, text, err);
}

/* ---- what becomes of it ---- */

static struct build_cache_spec *new_spec(struct cli *cli, struct build_flags *f,
                                         const struct cache_option *o)
{
    struct arena *a = &cli->arena;
    struct build_cache_spec *s = arena_new(a, struct build_cache_spec);

    *s = (struct build_cache_spec){.type = (char *)(uintptr_t)o->type,
                                   .ref = (char *)(uintptr_t)o->ref,
                                   .tag = (char *)(uintptr_t)o->tag,
                                   .digest = (char *)(uintptr_t)o->digest,
                                   .mode = (char *)(uintptr_t)o->mode,
                                   .ignore_error = o->ignore_error};
    if (o->dir) {
        s->layout = arena_printf(a, "cache-%zu", f->dirs.n);
        arena_push(a, f->dirs) =
            (struct build_dir){.id = s->layout, .path = arena_strdup(a, o->dir), .write = o->to};
    }
    return s;
}

/* "NAME,NAME", or "type=...,...". */
static int take_from(struct cli *cli, struct build_flags *f, const char *text, struct strv *names,
                     struct err *err)
{
    struct cache_option o = {.option = "--cache-from"};
    int r = 0;

    if (!strchr(text, '=')) {
        struct strv fields = {0};
        r = csv_split(text, &cli->arena, &fields, err);
        for (size_t i = 0; r >= 0 && i < fields.n; i++)
            strv_push(&cli->arena, names, fields.v[i]);
        return r;
    }
    r = parse(&o, text, &cli->arena, err);
    if (r < 0)
        return r;
    if (o.dir && access(o.dir, F_OK) < 0) {
        (void)fprintf(stderr, "WARNING: cache of %s: %s\n", o.dir, errno_text(&cli->arena, errno));
        return 0;
    }
    arena_push(&cli->arena, f->cache_imports) = new_spec(cli, f, &o);
    return 0;
}

static int take_to(struct cli *cli, struct build_flags *f, const char *text, struct err *err)
{
    struct cache_option o = {.option = "--cache-to", .to = true};
    int r;

    if (!strchr(text, '=')) {
        o.type = "registry";
        o.ref = text;
        r = check(&o, text, err);
    } else {
        r = parse(&o, text, &cli->arena, err);
    }
    if (r < 0)
        return r;
    if (strcmp(o.type, "inline") == 0)
        strv_push(&cli->arena, &f->build_arg, "BUILDKIT_INLINE_CACHE=1");
    else
        arena_push(&cli->arena, f->cache_exports) = new_spec(cli, f, &o);
    return 0;
}

int build_cache_options(struct cli *cli, struct build_flags *f, struct err *err)
{
    struct strv names = {0};
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->cache_from.n; i++)
        r = take_from(cli, f, f->cache_from.v[i], &names, err);
    for (size_t i = 0; r >= 0 && i < f->cache_to.n; i++)
        r = take_to(cli, f, f->cache_to.v[i], err);
    f->cache_from = names;
    return r;
}

static char *as_json(struct arena *a, const struct build_cache_specs *specs)
{
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};

    json_w_arr(&w);
    for (size_t i = 0; i < specs->n; i++)
        json_w_type(&w, &build_cache_spec_type, specs->v[i]);
    json_w_end_arr(&w);
    return arena_strndup(a, buf_str(&text), text.len);
}

char *build_cache_query(struct cli *cli, const struct build_flags *f, char *target)
{
    if (f->cache_imports.n)
        target = cli_query(cli, target, "cacheimports", as_json(&cli->arena, &f->cache_imports));
    if (f->cache_exports.n)
        target = cli_query(cli, target, "cacheexports", as_json(&cli->arena, &f->cache_exports));
    return target;
}
