#include "build/apply.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/mem.h"
#include "build/ports-priv.h"
#include "kern/sig.h"

#define LIST_MAX 4096 /* variables, labels and volumes of an image: each is searched one by one */

struct applier {
    const struct ins *ins;
    const struct expander *x;
    struct arena *a;
    struct oci_image_config *config;
    bool *cmd_set;
};

struct strv command_argv(const struct ins_command *c, const struct oci_image_config *config,
                         struct arena *a)
{
    struct strv v = {0};

    if (!c->shell)
        return strv_clone(a, &c->argv);
    if (config->shell.n) {
        v = strv_clone(a, &config->shell);
    } else {
        strv_push(a, &v, "/bin/sh");
        strv_push(a, &v, "-c");
    }
    strv_push(a, &v, c->text);
    return v;
}

static int do_cmd(const struct applier *p, struct err *err)
{
    (void)err;
    p->config->cmd = command_argv(&p->ins->command, p->config, p->a);
    *p->cmd_set = true;
    return 0;
}

static int do_entrypoint(const struct applier *p, struct err *err)
{
    (void)err;
    p->config->entrypoint = command_argv(&p->ins->command, p->config, p->a);
    if (!*p->cmd_set)
        p->config->cmd = (struct strv){0};
    return 0;
}

static int too_many(const struct applier *p, size_t n, struct err *err)
{
    if (n <= LIST_MAX)
        return 0;
    return err_as(err, ERR_INVALID, E2BIG, "%s: more than %d of an image", ins_name(p->ins->op),
                  LIST_MAX);
}

/* ---- pairs ---- */

/* All of an instruction's words see the variables as they were before it: the pairs are put into
 * the config when the last one is known. */
static int expand_pairs(const struct applier *p, struct strmap *ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < p->ins->pairs.pairs.n; i++) {
        const struct ins_pair *pair = &p->ins->pairs.pairs.v[i];
        struct strpair *to = &arena_push(p->a, *ret);
        r = expand_word(p->x, pair->key, p->a, &to->key, err);
        if (r >= 0)
            r = expand_word(p->x, pair->val, p->a, &to->val, err);
        if (r >= 0 && !*to->key)
            return err_invalid(err, "%s names can not be blank", ins_name(p->ins->op));
    }
    return r;
}

static int do_env(const struct applier *p, struct err *err)
{
    struct strmap pairs = {0};
    int r = expand_pairs(p, &pairs, err);

    for (size_t i = 0; r >= 0 && i < pairs.n; i++) {
        strv_env_set(p->a, &p->config->env,
                     arena_printf(p->a, "%s=%s", pairs.v[i].key, pairs.v[i].val));
        r = too_many(p, p->config->env.n, err);
    }
    return r;
}

static int do_label(const struct applier *p, struct err *err)
{
    struct strmap pairs = {0};
    int r = expand_pairs(p, &pairs, err);

    for (size_t i = 0; r >= 0 && i < pairs.n; i++) {
        strmap_set(p->a, &p->config->labels, pairs.v[i].key, pairs.v[i].val);
        r = too_many(p, p->config->labels.n, err);
    }
    return r;
}

/* ---- sets ---- */

static int do_volume(const struct applier *p, struct err *err)
{
    char *path = NULL;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < p->ins->words.n; i++) {
        r = expand_word(p->x, p->ins->words.v[i], p->a, &path, err);
        if (r >= 0 && !*path)
            return err_invalid(err, "VOLUME specified can not be an empty string");
        if (r >= 0 && !strv_has(&p->config->volumes, path))
            strv_push(p->a, &p->config->volumes, path);
        if (r >= 0)
            r = too_many(p, p->config->volumes.n, err);
    }
    return r;
}

/* "80/tcp" is there: "1-65535" is written in good faith, so the set is not searched for each. */
struct ports_seen {
    const char *proto;
    bool v[UINT16_MAX + 1];
};

static void note_ports(const struct strv *ports, struct ports_seen *seen)
{
    for (size_t i = 0; i < ports->n; i++) {
        char *end = NULL;
        unsigned long port = strtoul(ports->v[i], &end, 10);
        if (port <= UINT16_MAX && *end == '/' && strcmp(end + 1, seen->proto) == 0)
            seen->v[port] = true;
    }
}

static int expose(const struct applier *p, const char *text, struct err *err)
{
    auto_free struct ports_seen *seen = xnew(struct ports_seen);
    struct port_spec s;
    int r = port_spec_parse(text, p->a, &s, err);

    if (r < 0)
        return r;
    for (char *c = s.proto; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    seen->proto = s.proto;
    note_ports(&p->config->exposed_ports, seen);
    for (unsigned port = s.from; port <= s.to; port++)
        if (!seen->v[port])
            arena_push(p->a, p->config->exposed_ports) = arena_printf(p->a, "%u/%s", port, s.proto);
    return 0;
}

static int do_expose(const struct applier *p, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < p->ins->words.n; i++) {
        struct strv ports = {0};
        r = expand_words(p->x, p->ins->words.v[i], p->a, &ports, err);
        for (size_t k = 0; r >= 0 && k < ports.n; k++)
            r = expose(p, ports.v[k], err);
    }
    return r;
}

/* ---- single values ---- */

static int do_user(const struct applier *p, struct err *err)
{
    return expand_word(p->x, p->ins->word, p->a, &p->config->user, err);
}

static int do_stopsignal(const struct applier *p, struct err *err)
{
    char *text = NULL;
    int r = expand_word(p->x, p->ins->word, p->a, &text, err);

    if (r < 0)
        return r;
    if (sig_parse(text) < 0)
        return err_invalid(err, "invalid signal: %s", text);
    p->config->stop_signal = text;
    return 0;
}

/* A relative one is below the one before; an absolute one stays as it is written. */
static int do_workdir(const struct applier *p, struct err *err)
{
    char *dir = NULL;
    int r = expand_word(p->x, p->ins->word, p->a, &dir, err);

    if (r < 0)
        return r;
    if (*dir != '/')
        dir =
            path_clean(p->a, arena_printf(p->a, "%s/%s", str_or(p->config->working_dir, ""), dir));
    p->config->working_dir = dir;
    return 0;
}

static int do_shell(const struct applier *p, struct err *err)
{
    (void)err;
    p->config->shell = strv_clone(p->a, &p->ins->words);
    return 0;
}

static int do_healthcheck(const struct applier *p, struct err *err)
{
    (void)err;
    p->config->health = json_clone(&oci_image_health_type, &p->ins->health, p->a);
    return 0;
}

static int do_onbuild(const struct applier *p, struct err *err)
{
    (void)err;
    strv_push(p->a, &p->config->on_build, p->ins->onbuild.text);
    return 0;
}

int config_apply(const struct ins *ins, const struct expander *x, struct arena *a,
                 struct oci_image_config *config, bool *cmd_set, struct err *err)
{
    static int (*const apply[])(const struct applier *p, struct err *err) = {
        [INS_CMD] = do_cmd,
        [INS_ENTRYPOINT] = do_entrypoint,
        [INS_ENV] = do_env,
        [INS_EXPOSE] = do_expose,
        [INS_HEALTHCHECK] = do_healthcheck,
        [INS_LABEL] = do_label,
        [INS_ONBUILD] = do_onbuild,
        [INS_SHELL] = do_shell,
        [INS_STOPSIGNAL] = do_stopsignal,
        [INS_USER] = do_user,
        [INS_VOLUME] = do_volume,
        [INS_WORKDIR] = do_workdir,
    };
    struct applier p = {ins, x, a, config, cmd_set};

    if (ins->op >= sizeof(apply) / sizeof(apply[0]) || !apply[ins->op])
        return 1;
    int r = apply[ins->op](&p, err);
    return r < 0 ? r : 0;
}
