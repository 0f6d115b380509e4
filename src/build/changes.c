/* --change: the instructions of a Dockerfile that touch the config alone. All must be of these
 * before the first one counts. */
#include "build/apply.h"

#include <strings.h>

#include "build/instruction-priv.h"
#include "build/words-priv.h"

static bool is_change(const char *keyword)
{
    static const char *const names[] = {"CMD",         "ENTRYPOINT", "ENV",     "EXPOSE",
                                        "HEALTHCHECK", "LABEL",      "ONBUILD", "STOPSIGNAL",
                                        "USER",        "VOLUME",     "WORKDIR"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(keyword, names[i]) == 0)
            return true;
    return false;
}

static const char *env_of(void *ctx, const char *name)
{
    const struct oci_image_config *config = ctx;

    return strv_env(&config->env, name);
}

static int check(const struct dockerfile *d, struct err *err)
{
    for (size_t i = 0; i < d->code.n; i++)
        if (!is_change(d->code.v[i]->keyword))
            return err_invalid(err, "%.64s is not a valid change command", d->code.v[i]->keyword);
    return 0;
}

int changes_apply(struct arena *a, const struct strv *changes, struct oci_image_config *config,
                  struct err *err)
{
    const char *text = strv_join(a, changes, "\n");
    struct dockerfile d = {0};
    bool cmd_set = false;
    size_t total = 0;

    if (!*text_skip(text))
        return 0;
    int r = dockerfile_parse(text, strlen(text), a, &d, err);
    if (r >= 0)
        r = check(&d, err);
    for (size_t i = 0; r >= 0 && i < d.code.n; i++) {
        const struct expander x = {
            .get = env_of, .ctx = config, .escape = d.escape, .total = &total};
        struct ins *ins = NULL;
        r = decode_line(d.code.v[i], d.escape, a, &ins, err);
        if (r >= 0)
            r = config_apply(ins, &x, a, config, &cmd_set, err);
    }
    return r < 0 ? r : 0;
}
