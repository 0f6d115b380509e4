/* Paths of a repository, and how its lists go on. */
#pragma once

#include "base/arena.h"

struct dist_reply;

/** repo_path() - "NAME/KIND/REF", escaped, in @a. */
char *repo_path(struct arena *a, const char *repo, const char *kind, const char *ref);
/** repo_next_page() - the query of: Link: </v2/x/tags/list?last=b&n=2>; rel="next", with its "?",
 * in
 * @a; NULL: this was the last page. */
char *repo_next_page(const struct dist_reply *reply, struct arena *a);
