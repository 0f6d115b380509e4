/*
 * A recipe rebuilds the exact tar of an unpacked layer: everything that is not file content
 * (headers, padding, end), in order, with references to the files that hold the rest; compressed
 * with zstd. So a layer need not be kept twice, and its diff ID can be proven at any time.
 *
 * Content that the layer itself replaces later on (the same name twice) is kept under lost/.
 */
#pragma once

#include "archive/stream.h"
#include "base/err.h"

#include <stdint.h>

struct recipe_writer;
struct unpack_watch;

/** recipe_writer_new() - @dir_fd: the layer's stage; writes "recipe" there, and "lost/" if needed.
 */
int recipe_writer_new(int dir_fd, struct recipe_writer **ret, struct err *err) MUST;
void recipe_writer_free(struct recipe_writer *w);
/** recipe_watch - what the writer wants to be told by unpack_tar(). */
extern const struct unpack_watch recipe_watch;
/** recipe_finish() - end the file. */
int recipe_finish(struct recipe_writer *w, struct err *err) MUST;

/** recipe_source() - the tar of a layer. @layer_fd: its directory; stays the caller's. */
int recipe_source(int layer_fd, struct source **ret, struct err *err) MUST;

static inline void recipe_writer_freep_(struct recipe_writer **w)
{
    recipe_writer_free(*w);
}
#define auto_recipe_writer AUTO(recipe_writer_freep_)
