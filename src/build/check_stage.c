/* One instruction of a stage after the other, with the variables as they are there. */
#include "build/check-priv.h"

#include <ctype.h>
#include <strings.h>

#include "archive/ignore.h"
#include "base/map.h"
#include "build/ports-priv.h"
#include "build/words-priv.h"

/* An instruction within its stage. */
struct spot {
    struct checker *k;
    struct stage_state *st;
    const struct ins *ins;
    struct look look;
};

static void look_all(struct spot *p, const struct strv *words)
{
    char *out = NULL;

    for (size_t i = 0; i < words->n; i++)
        (void)look(&p->look, words->v[i], &out);
}

static void look_one(struct spot *p, const char *word)
{
    char *out = NULL;

    if (word)
        (void)look(&p->look, word, &out);
}

/* ---- ARG, ENV, LABEL ---- */

/* Is one of @words the name or a part of it between "_"? */
static bool has_part(const char *name, const char *const *words, size_t n)
{
    for (const char *p = name;; p++) {
        size_t len = strcspn(p, "_");
        for (size_t i = 0; i < n; i++)
            if (strlen(words[i]) == len && strncasecmp(p, words[i], len) == 0)
                return true;
        p += len;
        if (!*p)
            return false;
    }
}

bool check_names_secret(const char *name)
{
    static const char *const secret[] = {"apikey",   "auth",  "credential", "credentials", "key",
                                         "password", "pword", "passwd",     "secret",      "token"};
    static const char *const harmless[] = {"public", "file", "version"};

    return has_part(name, secret, sizeof(secret) / sizeof(secret[0])) &&
           !has_part(name, harmless, sizeof(harmless) / sizeof(harmless[0]));
}

static void check_secret(struct spot *p, const char *name)
{
    if (check_names_secret(name))
        check_warn(p->k, RULE_SECRETS_USED_IN_ARG_OR_ENV, p->ins->at,
                   "Do not use ARG or ENV instructions for sensitive data (%s %s)",
                   ins_name(p->ins->op), text_quote(p->k->a, name));
}

/* The value of an ARG: of the build, its default, or that before the first stage. */
static const char *arg_value(struct spot *p, const struct ins_pair *pair)
{
    const struct strmap *given = p->k->in->build_args;
    const char *val = given ? strmap_get(given, pair->key) : NULL;
    char *text = NULL;

    if (pair->val && look(&p->look, pair->val, &text) && !val)
        return text;
    if (!val && !pair->val) {
        const struct names_var *v = names_find(&p->k->global, pair->key);
        return v ? v->val : NULL;
    }
    return val;
}

static void check_arg(struct spot *p)
{
    struct strv names = {0};

    for (size_t i = 0; i < p->ins->pairs.pairs.n; i++) {
        const struct ins_pair *pair = &p->ins->pairs.pairs.v[i];
        check_secret(p, pair->key);
        names_set(p->k, &p->st->vars, pair->key, arg_value(p, pair), false);
        strv_push(p->k->a, &names, pair->key);
    }
    check_description(p->k, p->ins, &names);
}

static void check_legacy(struct spot *p)
{
    const char *name = p->ins->at->keyword;

    if (p->ins->pairs.legacy)
        check_warn(p->k, RULE_LEGACY_KEY_VALUE_FORMAT, p->ins->at,
                   "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
                   name, name);
}

/* Its values see the variables as they were before it. */
static void check_env(struct spot *p)
{
    struct strmap set = {0};
    char *key = NULL, *val = NULL;

    check_legacy(p);
    for (size_t i = 0; i < p->ins->pairs.pairs.n; i++) {
        const struct ins_pair *pair = &p->ins->pairs.pairs.v[i];
        check_secret(p, pair->key);
        if (look(&p->look, pair->key, &key) && look(&p->look, pair->val, &val))
            arena_push(p->k->a, set) = (struct strpair){key, val};
    }
    for (size_t i = 0; i < set.n; i++)
        names_set(p->k, &p->st->vars, set.v[i].key, set.v[i].val, true);
}

static void check_label(struct spot *p)
{
    check_legacy(p);
    for (size_t i = 0; i < p->ins->pairs.pairs.n; i++) {
        look_one(p, p->ins->pairs.pairs.v[i].key);
        look_one(p, p->ins->pairs.pairs.v[i].val);
    }
}

/* ---- files ---- */

static bool is_remote(const char *source)
{
    return strstr(source, "://") || str_starts(source, "git@");
}

static void check_source(struct spot *p, const char *source)
{
    const struct ignore *ig = p->k->in->ignore;

    if (!ig || ignore_has_exceptions(ig) || (p->ins->op == INS_ADD && is_remote(source)))
        return;
    char *path = path_clean(p->k->a, source) + 1;
    if (*path && ignore_match(ig, path))
        check_warn(p->k, RULE_COPY_IGNORED_FILE, p->ins->at,
                   "Attempting to %s file %s that is excluded by .dockerignore",
                   p->ins->op == INS_ADD ? "Add" : "Copy", text_quote(p->k->a, path));
}

static void check_copy(struct spot *p)
{
    const struct ins_copy *c = &p->ins->copy;
    const struct df_line *l = p->ins->at;
    char *source = NULL;

    for (size_t i = 0; i < c->sources.n; i++)
        if (look(&p->look, c->sources.v[i], &source) && !c->from)
            check_source(p, source);
    look_one(p, c->dest);
    look_one(p, c->chown);
    look_one(p, c->chmod);
    look_one(p, c->checksum);
    look_all(p, &c->exclude);
    for (size_t i = 0; i < l->heredocs.n; i++)
        if (l->heredocs.v[i]->expand)
            (void)look_text(&p->look, l->heredocs.v[i]->body);
}

static void check_run(struct spot *p)
{
    struct expander x = look_expander(&p->look);
    struct ins_mounts mounts = {0};

    if (run_mounts(&p->ins->run, &x, p->k->a, &mounts, NULL) < 0)
        return; /* the build will tell */
}

static void check_workdir(struct spot *p)
{
    char *dir = NULL;
    bool unknown = strchr(p->ins->word, '$') && !names_is_known(&p->st->vars);

    if (!look(&p->look, p->ins->word, &dir))
        return;
    if (*dir != '/' && !p->st->workdir_set && !unknown)
        check_warn(p->k, RULE_WORKDIR_RELATIVE_PATH, p->ins->at,
                   "Relative workdir %s can have unexpected results if the base image changes",
                   text_quote(p->k->a, dir));
    p->st->workdir_set = true;
}

/* ---- ports ---- */

static void check_port(struct spot *p, const char *text)
{
    struct port_spec s;

    if (port_spec_parse(text, p->k->a, &s, NULL) < 0)
        return; /* the build will tell */
    for (const char *c = s.proto; *c; c++)
        if (isupper((unsigned char)*c)) {
            check_warn(p->k, RULE_EXPOSE_PROTO_CASING, p->ins->at,
                       "Defined protocol '%s' in EXPOSE instruction should be lowercase", text);
            break;
        }
    if (*s.ip || *s.host)
        check_warn(p->k, RULE_EXPOSE_INVALID_FORMAT, p->ins->at,
                   "EXPOSE instruction should not define an IP address or host-port mapping, "
                   "found '%s'",
                   text);
}

static void check_expose(struct spot *p)
{
    struct expander x = look_expander(&p->look);

    for (size_t i = 0; i < p->ins->words.n; i++) {
        struct strv ports = {0};
        if (expand_words(&x, p->ins->words.v[i], p->k->a, &ports, NULL) < 0)
            continue;
        for (size_t n = 0; n < ports.n; n++)
            check_port(p, ports.v[n]);
    }
}

/* ---- the others ---- */

static void check_command(struct spot *p)
{
    if (p->ins->command.shell && !p->st->shell_set)
        check_warn(p->k, RULE_JSON_ARGS_RECOMMENDED, p->ins->at,
                   "JSON arguments recommended for %s to prevent unintended behavior related to OS "
                   "signals",
                   p->ins->at->keyword);
}

static void check_maintainer(struct spot *p)
{
    check_warn(p->k, RULE_MAINTAINER_DEPRECATED, p->ins->at,
               "Maintainer instruction is deprecated in favor of using label");
}

static void check_word(struct spot *p)
{
    look_one(p, p->ins->word);
}

static void check_words(struct spot *p)
{
    look_all(p, &p->ins->words);
}

static void check_shell(struct spot *p)
{
    p->st->shell_set = true;
}

static void (*const checks[])(struct spot *p) = {
    [INS_ADD] = check_copy,
    [INS_ARG] = check_arg,
    [INS_CMD] = check_command,
    [INS_COPY] = check_copy,
    [INS_ENTRYPOINT] = check_command,
    [INS_ENV] = check_env,
    [INS_EXPOSE] = check_expose,
    [INS_LABEL] = check_label,
    [INS_MAINTAINER] = check_maintainer,
    [INS_RUN] = check_run,
    [INS_SHELL] = check_shell,
    [INS_STOPSIGNAL] = check_word,
    [INS_USER] = check_word,
    [INS_VOLUME] = check_words,
    [INS_WORKDIR] = check_workdir,
};

/* Only the last one of each kind counts: what stands before is told. */
static void check_once(struct checker *k, const struct df_stage *s, enum ins_op op)
{
    const struct ins *last = NULL;

    for (size_t i = 0; i < s->code.n; i++) {
        if (s->code.v[i]->op != op)
            continue;
        if (last)
            check_warn(k, RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED, last->at,
                       "Multiple %s instructions should not be used in the same stage because only "
                       "the last one will be used",
                       s->code.v[i]->at->keyword);
        last = s->code.v[i];
    }
}

/* ---- a stage ---- */

static void start_from(struct checker *k, size_t i)
{
    struct stage_state *st = &k->stages[i];
    const struct df_stage *s = k->in->program->stages.v[i];
    int base = base_stage(k, i);

    if (base >= 0) {
        const struct stage_state *b = &k->stages[base];
        names_init(&st->vars, &b->vars);
        st->workdir_set = b->workdir_set;
        st->shell_set = b->shell_set;
        return;
    }
    names_init(&st->vars, NULL);
    if (strcmp(s->from->from.image, "scratch") != 0) {
        st->vars.env = k->in->base_env ? k->in->base_env(k->in->ctx, s) : NULL;
        st->vars.unknown_env = !st->vars.env;
    }
    if (!st->vars.env || !strv_env(st->vars.env, "PATH"))
        names_set(k, &st->vars, "PATH",
                  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", true);
}

void check_stage(struct checker *k, size_t i)
{
    static const enum ins_op once[] = {INS_CMD, INS_ENTRYPOINT, INS_HEALTHCHECK};
    const struct df_stage *s = k->in->program->stages.v[i];
    size_t before = k->ret->n;

    start_from(k, i);
    for (size_t n = 0; n < s->code.n; n++) {
        const struct ins *ins = s->code.v[n];
        struct spot p = {.k = k, .st = &k->stages[i], .ins = ins};
        p.look = (struct look){.k = k, .s = &p.st->vars, .at = ins->at, .rule = RULE_UNDEFINED_VAR};
        if (ins->op < sizeof(checks) / sizeof(checks[0]) && checks[ins->op])
            checks[ins->op](&p);
    }
    for (size_t n = 0; n < sizeof(once) / sizeof(once[0]); n++)
        check_once(k, s, once[n]);
    if (!k->stages[i].needed)
        k->ret->n = before; /* it was only walked for those that start from it */
}
