/*
 * How Git repositories are named in Dockerfiles and by clients: any URL that Git knows the protocol
 * of, with what is wanted of it behind "#" (ref and directory) or in a query.
 *
 * Source: BuildKit, docs of "ADD <git ref>" and of the context; util/gitutil.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

#define GIT_URL_MAX 4096

struct git_url {
    char *remote; /* for git: no fragment, no query of ours */
    char *shown;  /* the same without user and password */
    char *ref;    /* branch, tag or commit; NULL: what HEAD is there */
    char *commit; /* how the commit has to begin, hex; NULL */
    char *subdir; /* "" for all */
    bool keep_git_dir, submodules;
    bool mtime_commit; /* files are as old as the commit */
};

/** git_url_is() - is it one, rather than a file or a web address? */
bool git_url_is(const char *text);
/** git_url_parse() - Return: 0, all in @a; -EINVAL. */
int git_url_parse(const char *text, struct arena *a, struct git_url *ret, struct err *err) MUST;
/** git_commit_prefix_valid() - 1 to 64 hex digits? */
bool git_commit_prefix_valid(const char *text);
