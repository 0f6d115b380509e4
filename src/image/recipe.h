/*
 * A recipe rebuilds the exact tar of an unpacked layer: everything that is not file content
 * (headers, padding, end), in order, with references to the files that hold the rest; compressed
 * with zstd. So a layer need not be kept twice, and its diff ID can be proven at any time.
 *
 * Content that the layer itself replaces later on (the same name twice) is kept under lost/.
 */
#pragma once

#include "base/err.h"
#include "image/stream.h"

#include <stdint.h>

struct recipe_writer;

/** recipe_writer_new() - @dir_fd: the layer's stage; writes "recipe" there, and "lost/" if needed.
 */
int recipe_writer_new(int dir_fd, struct recipe_writer **ret, struct err *err) MUST;
void recipe_writer_free(struct recipe_writer *w);
/** recipe_raw() - bytes that are no content; has the shape of tar_raw_fn, @ctx is the writer. */
int recipe_raw(void *ctx, const void *p, size_t n, struct err *err) MUST;
/** recipe_file() - content of a file follows in the tar; @path: below diff/, no links in it;
 * @ino: its inode number, by which recipe_keep() knows it again. */
int recipe_file(struct recipe_writer *w, const char *path, uint64_t ino, struct err *err) MUST;
/** recipe_extent() - @len bytes of that file, from @offset on. */
int recipe_extent(struct recipe_writer *w, uint64_t offset, uint64_t len, struct err *err) MUST;
/**
 * recipe_keep() - the file @name in @dir_fd is about to be removed: move it away if the recipe
 * needs its content
 * Return: 1: it was moved; 0: it is not needed, remove it.
 */
int recipe_keep(struct recipe_writer *w, int dir_fd, const char *name, uint64_t ino,
                struct err *err) MUST;
/** recipe_finish() - end the file. */
int recipe_finish(struct recipe_writer *w, struct err *err) MUST;

/** recipe_source() - the tar of a layer. @layer_fd: its directory; stays the caller's. */
int recipe_source(int layer_fd, struct source **ret, struct err *err) MUST;

static inline void recipe_writer_freep_(struct recipe_writer **w)
{
    recipe_writer_free(*w);
}
#define auto_recipe_writer AUTO(recipe_writer_freep_)
