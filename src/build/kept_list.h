/* What a client says its context holds: checked, and found again by path. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "wire/build.h"

#include <stdbool.h>

#define CONTEXT_LINK_MAX 4095
#define CONTEXT_PATH_MAX 4095

struct context_list {
    struct build_context_file *const *v; /* the request's */
    size_t n;
    bool *there, *missing; /* of each: it is in the tree; its content must come */
};

/** context_list_check() - is it a list of a tree? Parents come before what is in them. */
int context_list_check(const struct build_context_request *rq, struct arena *a,
                       struct context_list *ret, struct err *err) MUST;
bool context_list_find(const struct context_list *l, const char *path, size_t *ret);

/**
 * context_fit() - compare a tree with the list, and mark what is there
 * Modes are set. @strict: also times; what differs is an error (context_mismatch()), but for the
 * content of what was missing. Else what differs is removed.
 */
int context_fit(struct context_list *l, int root_fd, bool strict, struct err *err) MUST;
/** context_make_rest() - make directories and links that are not there; mark files as missing. */
int context_make_rest(struct context_list *l, int root_fd, struct err *err) MUST;
/** context_mismatch() - -ESTALE, conflict: @path is not as listed. */
int context_mismatch(const char *path, struct err *err);
