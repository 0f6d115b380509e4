/*
 * The variables of a build: those before the first FROM, and those of a stage. An ENV hides an ARG
 * of the same name; a build argument of the request replaces an ARG's default.
 */
#pragma once

#include "build/expand.h"
#include "build/instruction.h"

struct scope {
    struct arena *a;
    const struct strmap *given; /* build arguments of the request */
    const struct scope *outer;  /* of a stage: the global one, for "ARG NAME" */
    struct strmap args;         /* declared and set */
    const struct strv *env;     /* "NAME=value"; NULL in the global scope */
    size_t *total; /* what all results of the build may take (expander.total); shared by stages */
    struct strv unset; /* names that were used and are not set */
};

/** scope_declare() - an ARG instruction. Return: 0; errors of the default's expansion. */
int scope_declare(struct scope *s, const struct ins *arg, char escape, struct err *err) MUST;
/** scope_set() - a variable that is simply there (TARGETPLATFORM). */
void scope_set(struct scope *s, const char *name, const char *val);
/** scope_get() - value or NULL. */
const char *scope_get(const struct scope *s, const char *name);
/** scope_expander() - for expand_word() and config_apply(). */
struct expander scope_expander(struct scope *s, char escape);
/** scope_is_proxy() - a variable that is left out of cache and history. */
bool scope_is_proxy(const char *name);
/** scope_environment() - of a RUN: @s->env and the arguments that it does not hide, in order.
 * @proxies: with those that the request gave; they are no part of a step's identity. */
struct strv scope_environment(const struct scope *s, bool proxies, struct arena *a);
