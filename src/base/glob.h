/*
 * Wildcards. A pattern is compiled into tokens and matched as a set of places in it, all moved on
 * together by each character: time is at most the product of the two lengths, whatever the pattern.
 * Two languages share this: paths ("*" stops at "/", "**" does not, classes), and the patterns of a
 * shell's ${NAME#pattern} ("*" and "?" take anything).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/runes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glob_token;

struct glob {
    struct glob_token *v;
    size_t n;
};

/** glob_path() - a pattern of paths: * ? [a-z] [^a] \x, and "**" with or without slashes
 * Return: 0, everything in @a; -EINVAL for a pattern that is none. */
int glob_path(const char *pattern, struct arena *a, struct glob *ret, struct err *err) MUST;
/** glob_shell() - "*", "?", and escaped ones; @escape is dropped before "}" and "/". */
int glob_shell(const char *pattern, char escape, struct arena *a, struct glob *ret,
               struct err *err) MUST;
/** glob_reverse() - matches reversed texts. Only for those of glob_shell(). */
void glob_reverse(struct glob *g);

enum glob_want {
    GLOB_WHOLE,    /* all of the text */
    GLOB_SHORTEST, /* the shortest part from its start */
    GLOB_LONGEST,
    GLOB_PARENT, /* all of it, or a part that ends before a "/": a directory above */
    GLOB_BELOW,  /* like that, or something that starts with the text: a file below */
};
#define GLOB_NONE SIZE_MAX

/**
 * glob_match_runes() - @n characters at @s
 * @budget: of steps; those taken are subtracted, and at 0 the match ends as if there were none.
 *   NULL: no limit
 * Return: how many characters matched (GLOB_BELOW: @n when more would have to follow); GLOB_NONE.
 */
size_t glob_match_runes(const struct glob *g, const uint32_t *s, size_t n, enum glob_want want,
                        size_t *budget);
