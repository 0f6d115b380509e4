/* --cache-from and --cache-to: a cache that travels inside an image is the one form there is. */
#include <errno.h>
#include <string.h>

#include "cli/build.h"
#include "cli/cli.h"
#include "cli/specs.h"

static int not_built(const char *option, const char *what, struct err *err)
{
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "%s %s is not built yet", option, what);
}

static bool is_known(const char *field)
{
    return str_eq(field, "type=registry") || str_starts(field, "ref=");
}

/* "NAME,NAME", or "type=registry,ref=NAME". */
static int take_source(const char *text, struct arena *a, struct strv *ret, struct err *err)
{
    struct strv fields = {0};
    const char *ref = NULL;
    int r = csv_split(text, a, &fields, err);

    if (r < 0)
        return r;
    if (!strchr(text, '=')) {
        for (size_t i = 0; i < fields.n; i++)
            strv_push(a, ret, fields.v[i]);
        return 0;
    }
    for (size_t i = 0; i < fields.n; i++) {
        if (!is_known(fields.v[i]))
            return not_built("--cache-from", fields.v[i], err);
        ref = str_or(str_starts(fields.v[i], "ref="), ref);
    }
    if (str_empty(ref))
        return err_invalid(err, "--cache-from \"%s\" needs a ref", text);
    strv_push(a, ret, ref);
    return 0;
}

int build_cache_options(struct cli *cli, struct build_flags *f, struct err *err)
{
    struct strv names = {0};

    for (size_t i = 0; i < f->cache_from.n; i++) {
        int r = take_source(f->cache_from.v[i], &cli->arena, &names, err);
        if (r < 0)
            return r;
    }
    f->cache_from = names;
    for (size_t i = 0; i < f->cache_to.n; i++)
        if (!str_eq(f->cache_to.v[i], "type=inline"))
            return not_built("--cache-to", f->cache_to.v[i], err);
    if (f->cache_to.n)
        strv_push(&cli->arena, &f->build_arg, "BUILDKIT_INLINE_CACHE=1");
    return 0;
}
