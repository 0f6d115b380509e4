#include "build/cache_place-priv.h"

#include <errno.h>

int cache_place_open(struct build *b, const struct build_cache_spec *spec, bool push,
                     struct arena *a, struct cache_place **ret, struct err *err)
{
    struct cache_place base = {.b = b, .spec = spec, .shown = str_or(spec->ref, "a directory")};

    if (str_eq(spec->type, "registry"))
        return cache_registry_open(&base, push, a, ret, err);
    if (str_eq(spec->type, "local"))
        return cache_layout_open(&base, a, ret, err);
    return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "caches of type %.50s are not built",
                  spec->type);
}
