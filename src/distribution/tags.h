/* The tags of a repository. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct dist_session;

#define DIST_TAGS_MAX 100000

/** dist_tags() - all tags, page by page as the registry links them, in @a. */
int dist_tags(struct dist_session *s, const char *repo, struct arena *a, struct strv *ret,
              struct err *err) MUST;
