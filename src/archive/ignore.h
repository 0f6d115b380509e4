/*
 * Patterns of .dockerignore, and of COPY --exclude: which files of a tree are left out.
 *
 * Source: BuildKit, frontend/dockerfile/docs/reference.md, ".dockerignore file";
 * moby/patternmatcher.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define IGNORE_MAX (1u << 20)     /* bytes of a .dockerignore */
#define IGNORE_PATTERNS_MAX 16384 /* and its patterns */
#define IGNORE_PATTERN_MAX 4096   /* bytes of one */

struct ignore;

/** ignore_parse() - the text of a .dockerignore: a pattern per line, "#" comments, "!" exceptions.
 * Return: 0, *ret in @a; -EINVAL for a pattern that is none; -E2BIG over one of the limits. */
int ignore_parse(const char *text, size_t len, struct arena *a, struct ignore **ret,
                 struct err *err) MUST;
/** ignore_new() - from patterns, as those of a file's lines; there are no comments. */
int ignore_new(const struct strv *patterns, struct arena *a, struct ignore **ret,
               struct err *err) MUST;
/** ignore_match() - is @path (relative, no "./") left out? The last pattern that matches it, or a
 * directory above it, decides. NULL leaves nothing out. */
bool ignore_match(const struct ignore *ig, const char *path);
bool ignore_has_exceptions(const struct ignore *ig);
/** ignore_below() - may something below the left-out directory @path be wanted again ("!")? */
bool ignore_below(const struct ignore *ig, const char *path);

/** glob_match() - Go's filepath.Match, and "**": * ? [a-z] [^a] \x; "/" only by "**". Both as they
 * are, nothing is cleaned. Return: 1, 0; -EINVAL for a bad pattern. */
int glob_match(const char *pattern, const char *path);
