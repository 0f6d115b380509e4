/* Paths of a repository. */
#pragma once

#include "base/arena.h"

/** repo_path() - "NAME/KIND/REF", escaped, in @a. */
char *repo_path(struct arena *a, const char *repo, const char *kind, const char *ref);
