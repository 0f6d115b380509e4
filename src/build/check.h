/*
 * Build checks: what is legal and most likely a mistake. The rules have BuildKit's names
 * (StageNameCasing, UndefinedVar, ...), and "# check=" skips them or makes them errors.
 */
#pragma once

#include "build/instruction.h"

struct check_warning {
    const char *rule; /* "StageNameCasing" */
    char *message;    /* "Stage name 'Base' should be lowercase (line 1)"; without the line */
    const char *description, *url;
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
};

struct check_warnings {
    struct check_warning **v;
    size_t n;
};

/** check_config_parse() - text of "# check=" or BUILDKIT_DOCKERFILE_CHECK; NULL gives defaults. */
int check_config_parse(const char *text, struct arena *a, struct check_config *ret,
                       struct err *err) MUST;
/** check_program() - all that can be said of the file alone, by line. Skipped rules are left out.
 * InvalidBaseImagePlatform needs the image: the solver adds it. */
void check_program(const struct check_input *in, const struct check_config *c, struct arena *a,
                   struct check_warnings *ret);
