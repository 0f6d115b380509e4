/* Patterns of ${NAME#pattern} and its kin: "*", "?", and characters taken as they are. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes and steps of one expansion, over all its patterns and values: bombs end here. */
#define EXPAND_BUDGET (16u << 20)

struct pattern_job {
    const char *pattern, *value;
    char escape;    /* before * ? and itself; dropped before } and / */
    size_t *budget; /* of the expansion, what is left */
};

/**
 * pattern_strip() - @value without the part at its start (or end) that the pattern matches
 * @longest: the longest such part, else the shortest
 * Return: 0, appended to @out; -EINVAL, -E2BIG when it is too much work.
 */
int pattern_strip(const struct pattern_job *j, bool suffix, bool longest, struct buf *out,
                  struct err *err) MUST;
/** pattern_replace() - @value with what matches replaced, the first or all, leftmost longest. */
int pattern_replace(const struct pattern_job *j, const char *with, bool all, struct buf *out,
                    struct err *err) MUST;
