/*
 * WWW-Authenticate (RFC 9110, 11.6.1): a list of challenges, each a scheme and parameters, several
 * to a header. What comes from outside is limited; what makes no sense is an error, not a guess.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define CHALLENGE_TEXT_MAX 16384 /* bytes of one header */
#define CHALLENGES_MAX 16
#define CHALLENGE_PARAMS_MAX 32

struct challenge {
    char *scheme;         /* lower case: "basic", "bearer" */
    struct strmap params; /* keys in lower case, values unquoted */
};

struct challenges {
    struct challenge *v;
    size_t n;
};

/**
 * challenge_parse() - add the challenges of one header to @ret
 * Return: 0; -EINVAL: malformed or over a limit. What was read before the fault is in @ret.
 */
int challenge_parse(const char *text, struct arena *a, struct challenges *ret,
                    struct err *err) MUST;
/** challenge_find() - the first of a scheme (in lower case), or NULL. */
const struct challenge *challenge_find(const struct challenges *c, const char *scheme);
