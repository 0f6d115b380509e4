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

/* "NAME,NAME", or "type=registry,ref=NAME". */
static int take_source(const char *text, struct arena *a, struct strv *ret, struct err *err)
{
    struct strv fields = {0};
    const char *ref = NULL;
    int r = csv_split(text, a, &fields, err);

    for (size_t i = 0; r >= 0 && i < fields.n; i++) {
        const char *type = str_starts(fields.v[i], "type=");
        if (!strchr(fields.v[i], '='))
            strv_push(a, ret, fields.v[i]);
        else if (type && !str_eq(type, "registry"))
            return not_built("--cache-from", fields.v[i], err);
        else if (!type && !(ref = str_starts(fields.v[i], "ref=")))
            return not_built("--cache-from", fields.v[i], err);
    }
    if (r >= 0 && strchr(text, '=') && !ref)
        return err_invalid(err, "--cache-from \"%s\" needs a ref", text);
    if (ref)
        strv_push(a, ret, ref);
    return r;
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
