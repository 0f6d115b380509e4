/* Checks: the rules, and what a stage's variables are while its instructions are looked at. */
#pragma once

#include "build/check.h"

enum check_rule {
    RULE_STAGE_NAME_CASING,
    RULE_FROM_AS_CASING,
    RULE_NO_EMPTY_CONTINUATION,
    RULE_CONSISTENT_INSTRUCTION_CASING,
    RULE_DUPLICATE_STAGE_NAME,
    RULE_RESERVED_STAGE_NAME,
    RULE_JSON_ARGS_RECOMMENDED,
    RULE_MAINTAINER_DEPRECATED,
    RULE_UNDEFINED_ARG_IN_FROM,
    RULE_WORKDIR_RELATIVE_PATH,
    RULE_UNDEFINED_VAR,
    RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED,
    RULE_LEGACY_KEY_VALUE_FORMAT,
    RULE_INVALID_BASE_IMAGE_PLATFORM,
    RULE_REDUNDANT_TARGET_PLATFORM,
    RULE_SECRETS_USED_IN_ARG_OR_ENV,
    RULE_INVALID_DEFAULT_ARG_IN_FROM,
    RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    RULE_COPY_IGNORED_FILE,
    RULE_INVALID_DEFINITION_DESCRIPTION,
    RULE_EXPOSE_PROTO_CASING,
    RULE_EXPOSE_INVALID_FORMAT,
};

/* Variables: of a stage, of the one it starts from, and so on. */
struct names {
    struct map *vars;         /* struct names_var */
    const struct names *base; /* NULL: none */
    const struct strv *env;   /* of the base image; NULL when there is none, or it is not known */
    bool unknown_env;
};

struct names_var {
    bool env;        /* by ENV, which beats ARG */
    const char *val; /* NULL: ARG without a value */
};

struct stage_state {
    struct names vars;
    bool workdir_set, shell_set;
    bool needed; /* by the target */
};

struct checker {
    const struct check_input *in;
    const struct check_config *config;
    struct arena *a;
    struct check_warnings *ret;
    struct names global, defaults; /* for FROM: with build arguments, and without */
    struct stage_state *stages;    /* as many as the program has */
    size_t total;                  /* bytes of expanded words */
};

/** check_warn() - unless the rule is off. Its place is that of the instruction. */
void check_warn(struct checker *k, enum check_rule rule, const struct df_line *at, const char *fmt,
                ...) PRINTF(4, 5);
/** check_warn_at() - the same at one line. */
void check_warn_at(struct checker *k, enum check_rule rule, unsigned line, const char *fmt, ...)
    PRINTF(4, 5);

/* ---- variables ---- */

void names_init(struct names *s, const struct names *base);
void names_done(struct names *s);
const struct names_var *names_find(const struct names *s, const char *name);
/** names_set() - @val lives as long as the checker. ARG does not touch what ENV has set. */
void names_set(struct checker *k, struct names *s, const char *name, const char *val, bool env);
/** names_is_known() - no unknown environment lies below. */
bool names_is_known(const struct names *s);
/** names_near() - " (did you mean X?)" with a name that is set, @prefix before it; or "". */
char *names_near(const struct names *s, struct arena *a, const char *name, const char *prefix);

/** look() - expands a word; names that are nowhere set are warned of as @rule, once per @told.
 * Return: false when it cannot be expanded: the build will tell. */
struct look {
    struct checker *k;
    const struct names *s;
    const struct df_line *at;
    enum check_rule rule;
    bool quiet;       /* no warnings */
    struct strv told; /* names */
};
bool look(struct look *l, const char *text, char **ret);
bool look_text(struct look *l, const char *text);
/** look_expander() - for those who expand themselves. */
struct expander look_expander(struct look *l);

/* ---- what is checked ---- */

void check_names(struct checker *k);
/** check_froms() - sets @k->global and @k->defaults. */
void check_froms(struct checker *k);
/** find_stage() - the last one before stage @before that is called @name, or -1. @number: it may be
 * called by its number, too. */
int find_stage(const struct df_program *p, const char *name, size_t before, bool number);
/** base_stage() - the stage that stage @i starts from, or -1. */
int base_stage(struct checker *k, size_t i);
void check_stage(struct checker *k, size_t i);
/** check_description() - the comment above should tell what one of @names is. */
void check_description(struct checker *k, const struct ins *ins, const struct strv *names);
