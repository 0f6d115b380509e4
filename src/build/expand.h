/*
 * Variables and quotes in a Dockerfile's words: $NAME, ${NAME} and its modifiers (:- - :+ + :? ? #
 * ## % %% / //), quotes, the escape character.
 *
 * Source: BuildKit, frontend/dockerfile/docs/reference.md, "Environment replacement".
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define EXPAND_MAX (1u << 20)        /* bytes of a result; bombs end here */
#define EXPAND_TOTAL_MAX (64u << 20) /* bytes of all results of a build */

struct expander {
    /* Return: the value, NULL when unset; borrowed until the next call. */
    const char *(*get)(void *ctx, const char *name);
    void *ctx;
    char escape;   /* '\\' or '`' */
    size_t *total; /* bytes of all results so far, which are limited likewise; may be NULL */
    /* Told of every name that was used without a modifier and is not set; may be NULL. */
    void (*unset)(void *ctx, const char *name);
};

/** expand_word() - one word: variables replaced, quotes and escapes removed, blanks kept.
 * Return: 0, *ret in @a; -EINVAL (also for ${X:?message}), -E2BIG. */
int expand_word(const struct expander *x, const char *text, struct arena *a, char **ret,
                struct err *err) MUST;
/** expand_words() - the same, then split at blanks that are not quoted. */
int expand_words(const struct expander *x, const char *text, struct arena *a, struct strv *ret,
                 struct err *err) MUST;
/** expand_text() - the body of a heredoc: variables are replaced, quotes stay. */
int expand_text(const struct expander *x, const char *text, struct arena *a, char **ret,
                struct err *err) MUST;
