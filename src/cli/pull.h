/* Pulling and pushing an image, for several commands; image references as people write them. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

struct cli;

/** ref_familiar() - "x" as "x:latest"; what has a tag or digest stays. */
char *ref_familiar(struct arena *a, const char *ref);
/** ref_full() - with registry and tag: "x" as "docker.io/library/x:latest". */
char *ref_full(struct arena *a, const char *ref);
/** ref_split() - "reg:5000/a/b:tag" to name and tag (or "sha256:..."); @ret_tag NULL without one.
 */
void ref_split(struct arena *a, const char *ref, char **ret_name, char **ret_tag);
/** ref_check() - is it a reference at all? "invalid reference format" otherwise. */
int ref_check(const char *ref, struct err *err) MUST;

/** pull_image() - with progress on stdout, or on stderr for run. */
int pull_image(struct cli *cli, const char *ref, const char *platform, bool all, bool quiet,
               bool to_stderr, struct err *err) MUST;
/** push_image() - one tag, or @all of the repository. @platform: may be NULL. */
int push_image(struct cli *cli, const char *ref, const char *platform, bool all, bool quiet,
               bool to_stderr, struct err *err) MUST;
/** push_by_digest() - what a name means, without giving it that name in the registry. */
int push_by_digest(struct cli *cli, const char *ref, bool quiet, struct err *err) MUST;
