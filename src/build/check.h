/*
 * Build checks: what is legal and most likely a mistake. The rules have BuildKit's names
 * (StageNameCasing, UndefinedVar, ...), and "# check=" skips them or makes them errors.
 *
 * Source: BuildKit, frontend/dockerfile/linter and its documentation of each rule.
 */
#pragma once

#include "build/instruction.h"

#define CHECK_WARNINGS_MAX 1000 /* more are not collected */

struct ignore;

struct check_warning {
    const char *rule;              /* "StageNameCasing" */
    char *message;                 /* "Stage name 'Base' should be lowercase" */
    const char *description, *url; /* "" for a rule without a page */
    unsigned line, end_line;
};

struct check_config {
    bool skip_all, error, experimental_all;
    struct strv skip, experimental;
};

struct check_input {
    const struct dockerfile *file;
    const struct df_program *program;
    const struct strmap *build_args; /* NULL for none */
    const struct ignore *ignore;     /* patterns of .dockerignore, or NULL: CopyIgnoredFile */
    const char *target;              /* stage to build, or NULL: unreached ones are checked, too */
    /* Environment of the image that a stage starts from, NULL when it is not known: then nothing
     * that it may set is called undefined. May be NULL. Not asked for scratch and stages. */
    const struct strv *(*base_env)(void *ctx, const struct df_stage *stage);
    void *ctx;
};

struct check_warnings {
    struct check_warning **v;
    size_t n;
};

/** check_config_parse() - text of "# check=" or BUILDKIT_DOCKERFILE_CHECK; NULL gives defaults.
 * Return: 0, all in @a; -EINVAL. */
int check_config_parse(const char *text, struct arena *a, struct check_config *ret,
                       struct err *err) MUST;

/**
 * check_program() - all that can be said of the file, by line; skipped rules are left out
 * @ret: warnings are appended, in @a
 * InvalidBaseImagePlatform needs the image: see check_base_platform().
 */
void check_program(const struct check_input *in, const struct check_config *c, struct arena *a,
                   struct check_warnings *ret);

/** check_names_secret() - by its name a variable seems to hold one: "API_TOKEN". */
bool check_names_secret(const char *name);

/** check_base_platform() - warns when a base image was made for another platform than that of the
 * build. @have, @want: "linux/amd64". */
void check_base_platform(const struct ins *from, const char *image, const char *have,
                         const char *want, const struct check_config *c, struct arena *a,
                         struct check_warnings *ret);

/** check_error() - with "error=true" and warnings, a build ends: -EINVAL "lint violation found for
 * rules: A, B"; else 0. */
int check_error(const struct check_warnings *w, const struct check_config *c, struct err *err) MUST;
