/*
 * What a container changed: its upper directory of the overlay, compared with the layers below.
 */
#pragma once

#include "archive/pack.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Docker's numbers. */
enum diff_kind { DIFF_MODIFIED = 0, DIFF_ADDED = 1, DIFF_DELETED = 2 };

struct diff_item {
    char *path; /* "/etc/hosts" */
    enum diff_kind kind;
};
struct diff_items {
    struct diff_item *v; /* by path */
    size_t n;
};

/* The two sides. Places that were only made to mount something there are no change of the user's.
 */
struct diff {
    int upper_fd;
    int lower_fd;        /* the layers below, as one tree; -1: none */
    struct strv mounted; /* "/proc", "/etc/hosts": where something was mounted */
};

/** layer_diff() - list the changes; a directory is modified when something in it has changed. */
int layer_diff(const struct diff *d, struct arena *a, struct diff_items *ret, struct err *err) MUST;

/* Told of what is left out of a layer, with everything below it; by its path. */
typedef void (*diff_left_out_fn)(void *ctx, const char *path);

/**
 * layer_pack() - the upper directory as the tar of a layer, without what was made for mounts
 * @fn: may be NULL
 * Return: how many entries it has; -errno.
 */
int64_t layer_pack(const struct diff *d, diff_left_out_fn fn, void *ctx, struct sink *out,
                   struct err *err) MUST;
