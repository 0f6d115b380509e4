/*
 * RUN --device: a device of the host by its path, which the request must allow. Names of CDI
 * ("vendor.com/class=x") need descriptions that are not read here: one that is required is an
 * error, another is left out, as where there is no such device.
 */
#include <errno.h>
#include <string.h>

#include "build/check.h"
#include "build/run_device.h"

static int tell_left_out(struct stage *st, const struct planned *p, const char *name,
                         struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct check_warning w = {
        .rule = "RunDevice",
        .message = arena_printf(&a, "device %s is left out: CDI is not built yet", name),
        .description = "",
        .url = "",
        .line = p->ins->at ? p->ins->at->line : 0,
        .end_line = p->ins->at ? p->ins->at->end_line : 0};
    struct build_event e = {.kind = BUILD_WARNING, .warning = &w};

    return build_tell_event(st->b, &e, err);
}

static bool is_allowed(const struct build_request *rq, const char *path, struct arena *a)
{
    return strv_has(&rq->allow, "device") ||
           strv_has(&rq->allow, arena_printf(a, "device=%s", path));
}

/* "NAME", "NAME,required", "name=NAME,required=false" */
static int take_apart(const char *spec, struct arena *a, char **ret_name, bool *ret_required,
                      struct err *err)
{
    struct strv fields = str_split(a, spec, ',');
    int r = 0;

    *ret_name = NULL;
    *ret_required = false;
    for (size_t i = 0; r >= 0 && i < fields.n; i++) {
        char *f = fields.v[i];
        const char *name = str_starts(f, "name="), *required = str_starts(f, "required=");
        if (strcmp(f, "required") == 0)
            *ret_required = true;
        else if (required)
            r = str_to_bool(required, ret_required);
        else if (!*ret_name)
            *ret_name = name ? (char *)(uintptr_t)name : f;
        else
            r = -EINVAL;
    }
    return r < 0 || str_empty(*ret_name) ? err_invalid(err, "invalid --device=%.200s", spec) : 0;
}

static int plan_one(struct stage *st, const struct planned *p, const char *spec, struct strv *ret,
                    struct err *err)
{
    struct arena *a = &st->a;
    bool required = false;
    char *name = NULL;
    int r = take_apart(spec, a, &name, &required, err);

    if (r < 0)
        return r;
    if (*name != '/')
        return required ? err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                                 "device %.200s: CDI is not built yet", name)
                        : tell_left_out(st, p, name, err);
    char *path = path_clean(a, name);
    if (!str_starts(path, "/dev/"))
        return err_invalid(err, "device %.200s is not below /dev", name);
    if (!is_allowed(st->b->rq, path, a))
        return err_as(err, ERR_DENIED, EPERM, "device %.200s is not allowed: --allow device=%.200s",
                      path, path);
    strv_push(a, ret, path);
    return 0;
}

int run_devices_plan(struct stage *st, const struct planned *p, struct strv *ret, struct err *err)
{
    const struct strv *all = &p->ins->run.devices;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < all->n; i++) {
        struct expander x = scope_expander(&st->scope, st->b->file.escape);
        char *spec = NULL;
        r = expand_word(&x, all->v[i], &st->a, &spec, err);
        if (r >= 0)
            r = plan_one(st, p, spec, ret, err);
    }
    return r;
}
