#include "build/check-priv.h"

#include <errno.h>

#include "base/buf.h"
#include "build/words-priv.h"

#define PAGE(name) "https://docs.docker.com/go/dockerfile/rule/" name "/"

static const struct {
    const char *name, *description, *url;
    bool experimental;
} rules[] = {
    [RULE_STAGE_NAME_CASING] = {"StageNameCasing", "Stage names should be lowercase",
                                PAGE("stage-name-casing")},
    [RULE_FROM_AS_CASING] = {"FromAsCasing",
                             "The 'as' keyword should match the case of the 'from' keyword",
                             PAGE("from-as-casing")},
    [RULE_NO_EMPTY_CONTINUATION] =
        {"NoEmptyContinuation", "Empty continuation lines will become errors in a future release",
         PAGE("no-empty-continuation")},
    [RULE_CONSISTENT_INSTRUCTION_CASING] =
        {"ConsistentInstructionCasing",
         "All commands within the Dockerfile should use the same casing (either upper or lower)",
         PAGE("consistent-instruction-casing")},
    [RULE_DUPLICATE_STAGE_NAME] = {"DuplicateStageName", "Stage names should be unique",
                                   PAGE("duplicate-stage-name")},
    [RULE_RESERVED_STAGE_NAME] = {"ReservedStageName",
                                  "Reserved words should not be used as stage names",
                                  PAGE("reserved-stage-name")},
    [RULE_JSON_ARGS_RECOMMENDED] =
        {"JSONArgsRecommended",
         "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
         "OS signals",
         PAGE("json-args-recommended")},
    [RULE_MAINTAINER_DEPRECATED] =
        {"MaintainerDeprecated",
         "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
         PAGE("maintainer-deprecated")},
    [RULE_UNDEFINED_ARG_IN_FROM] = {"UndefinedArgInFrom", "FROM command must use declared ARGs",
                                    PAGE("undefined-arg-in-from")},
    [RULE_WORKDIR_RELATIVE_PATH] =
        {"WorkdirRelativePath",
         "Relative workdir without an absolute workdir declared within the build can have "
         "unexpected results if the base image changes",
         PAGE("workdir-relative-path")},
    [RULE_UNDEFINED_VAR] = {"UndefinedVar", "Variables should be defined before their use",
                            PAGE("undefined-var")},
    [RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED] =
        {"MultipleInstructionsDisallowed",
         "Multiple instructions of the same type should not be used in the same stage",
         PAGE("multiple-instructions-disallowed")},
    [RULE_LEGACY_KEY_VALUE_FORMAT] =
        {"LegacyKeyValueFormat",
         "Legacy key/value format with whitespace separator should not be used",
         PAGE("legacy-key-value-format")},
    [RULE_INVALID_BASE_IMAGE_PLATFORM] =
        {"InvalidBaseImagePlatform", "Base image platform does not match expected target platform",
         ""},
    [RULE_REDUNDANT_TARGET_PLATFORM] =
        {"RedundantTargetPlatform",
         "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
         "default behavior",
         PAGE("redundant-target-platform")},
    [RULE_SECRETS_USED_IN_ARG_OR_ENV] =
        {"SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands",
         PAGE("secrets-used-in-arg-or-env")},
    [RULE_INVALID_DEFAULT_ARG_IN_FROM] =
        {"InvalidDefaultArgInFrom",
         "Default value for global ARG results in an empty or invalid base image name",
         PAGE("invalid-default-arg-in-from")},
    [RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED] =
        {"FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value",
         PAGE("from-platform-flag-const-disallowed")},
    [RULE_COPY_IGNORED_FILE] = {"CopyIgnoredFile",
                                "Attempting to Copy file that is excluded by .dockerignore",
                                PAGE("copy-ignored-file")},
    [RULE_INVALID_DEFINITION_DESCRIPTION] =
        {"InvalidDefinitionDescription",
         "Comment for build stage or argument should follow the format: `# <arg/stage name> "
         "<description>`. If this is not intended to be a description comment, add an empty line "
         "or comment between the instruction and the comment.",
         PAGE("invalid-definition-description"), .experimental = true},
    [RULE_EXPOSE_PROTO_CASING] = {"ExposeProtoCasing",
                                  "Protocol in EXPOSE instruction should be lowercase",
                                  PAGE("expose-proto-casing")},
    [RULE_EXPOSE_INVALID_FORMAT] =
        {"ExposeInvalidFormat",
         "IP address and host-port mapping should not be used in EXPOSE instruction. This will "
         "become an error in a future release",
         PAGE("expose-invalid-format")},
};

/* ---- configuration ---- */

static struct strv names_of(struct arena *a, const char *text)
{
    struct strv v = str_split(a, text, ',');

    for (size_t i = 0; i < v.n; i++)
        v.v[i] = str_trim(a, v.v[i], strlen(v.v[i]));
    return v;
}

/* "skip=A,B", "error=true", "experimental=all" */
static int take_option(struct arena *a, const char *text, struct check_config *c, struct err *err)
{
    const char *eq = strchr(text, '=');

    if (!eq)
        return err_invalid(err, "invalid check option %s", text_quote(a, text));
    char *key = str_trim(a, text, (size_t)(eq - text)), *val = str_trim(a, eq + 1, strlen(eq + 1));
    bool all = strcmp(val, "all") == 0;
    if (strcmp(key, "error") == 0) {
        if (str_to_bool(val, &c->error) < 0)
            return err_invalid(err,
                               "failed to parse check option %s: strconv.ParseBool: parsing %s: "
                               "invalid syntax",
                               text_quote(a, text), text_quote(a, val));
    } else if (strcmp(key, "skip") == 0) {
        c->skip_all |= all;
        c->skip = all ? c->skip : names_of(a, val);
    } else if (strcmp(key, "experimental") == 0) {
        c->experimental_all |= all;
        c->experimental = all ? c->experimental : names_of(a, val);
    } else {
        return err_invalid(err, "invalid check option %s", text_quote(a, key));
    }
    return 0;
}

int check_config_parse(const char *text, struct arena *a, struct check_config *ret, struct err *err)
{
    struct check_config c = {0};
    int r = 0;

    if (text && *text_skip(text)) {
        struct strv options = str_split(a, text, ';');
        for (size_t i = 0; r >= 0 && i < options.n; i++)
            r = take_option(a, options.v[i], &c, err);
    }
    if (r >= 0)
        *ret = c;
    return r;
}

static bool is_on(const struct check_config *c, enum check_rule rule)
{
    if (rules[rule].experimental)
        return c->experimental_all || strv_has(&c->experimental, rules[rule].name);
    return !c->skip_all && !strv_has(&c->skip, rules[rule].name);
}

/* ---- warnings ---- */

static void warn(struct arena *a, struct check_warnings *ret, enum check_rule rule, unsigned line,
                 unsigned end_line, char *message)
{
    struct check_warning *w;

    if (ret->n >= CHECK_WARNINGS_MAX)
        return;
    w = arena_new(a, struct check_warning);
    *w = (struct check_warning){.rule = rules[rule].name,
                                .message = message,
                                .description = rules[rule].description,
                                .url = rules[rule].url,
                                .line = line,
                                .end_line = end_line};
    arena_push(a, *ret) = w;
}

void check_warn(struct checker *k, enum check_rule rule, const struct df_line *at, const char *fmt,
                ...)
{
    va_list ap;

    if (!is_on(k->config, rule))
        return;
    va_start(ap, fmt);
    warn(k->a, k->ret, rule, at->line, at->end_line, arena_vprintf(k->a, fmt, ap));
    va_end(ap);
}

void check_warn_at(struct checker *k, enum check_rule rule, unsigned line, const char *fmt, ...)
{
    va_list ap;

    if (!is_on(k->config, rule))
        return;
    va_start(ap, fmt);
    warn(k->a, k->ret, rule, line, line, arena_vprintf(k->a, fmt, ap));
    va_end(ap);
}

void check_base_platform(const struct ins *from, const char *image, const char *have,
                         const char *want, const struct check_config *c, struct arena *a,
                         struct check_warnings *ret)
{
    struct checker k = {.config = c, .a = a, .ret = ret};

    if (strcmp(have, want) != 0)
        check_warn(&k, RULE_INVALID_BASE_IMAGE_PLATFORM, from->at,
                   "Base image %s was pulled with platform %s, expected %s for current build",
                   image, text_quote(a, have), text_quote(a, want));
}

int check_error(const struct check_warnings *w, const struct check_config *c, struct err *err)
{
    auto_buf struct buf names = BUF_INIT;

    if (!c->error || w->n == 0)
        return 0;
    for (size_t i = 0; i < w->n; i++) {
        size_t k = 0;
        while (k < i && strcmp(w->v[k]->rule, w->v[i]->rule) != 0)
            k++;
        if (k == i)
            buf_printf(&names, "%s%s", names.len ? ", " : "", w->v[i]->rule);
    }
    return err_invalid(err, "lint violation found for rules: %s", buf_str(&names));
}

/* ---- a program ---- */

/* Stable, and short lists: by insertion. */
static void sort(struct check_warnings *w, size_t from)
{
    for (size_t i = from + 1; i < w->n; i++) {
        struct check_warning *x = w->v[i];
        size_t at = i;
        for (; at > from && w->v[at - 1]->line > x->line; at--)
            w->v[at] = w->v[at - 1];
        w->v[at] = x;
    }
}

/* What a stage takes from other stages is needed, too. */
static void mark(struct checker *k, int i)
{
    const struct df_program *p = k->in->program;

    if (i < 0 || k->stages[i].needed)
        return;
    k->stages[i].needed = true;
    const struct df_stage *s = p->stages.v[i];
    mark(k, base_stage(k, (size_t)i));
    for (size_t n = 0; n < s->code.n; n++) {
        const struct ins *ins = s->code.v[n];
        if (ins->op == INS_COPY && ins->copy.from)
            mark(k, find_stage(p, ins->copy.from, (size_t)i, true));
        for (size_t m = 0; ins->op == INS_RUN && m < ins->run.mounts.n; m++)
            if (ins->run.mounts.v[m]->from)
                mark(k, find_stage(p, ins->run.mounts.v[m]->from, (size_t)i, true));
    }
}

static void choose_stages(struct checker *k)
{
    size_t n = k->in->program->stages.n;

    if (k->in->target)
        mark(k, find_stage(k->in->program, k->in->target, n, true));
    for (size_t i = 0; !k->in->target && i < n; i++)
        k->stages[i].needed = true;
}

void check_program(const struct check_input *in, const struct check_config *c, struct arena *a,
                   struct check_warnings *ret)
{
    size_t n = in->program->stages.n, before = ret->n;
    struct checker k = {.in = in, .config = c, .a = a, .ret = ret};

    k.stages = arena_alloc(a, n * sizeof(*k.stages));
    check_names(&k);
    check_froms(&k);
    choose_stages(&k);
    for (size_t i = 0; i < n; i++)
        check_stage(&k, i);
    for (size_t i = 0; i < n; i++)
        names_done(&k.stages[i].vars);
    names_done(&k.global);
    names_done(&k.defaults);
    sort(ret, before);
}
