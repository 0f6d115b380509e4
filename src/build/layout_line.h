/*
 * A directory of the client, an OCI image layout, at the other end of a connection (wire/layout.h).
 * Threads may share it: each question has the connection for itself. What comes is checked by size
 * and digest. A client that says nothing for two minutes has lost it.
 */
#pragma once

#include "archive/stream.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct layout_line;

/** layout_line_new() - @fd: the connection; given away */
struct layout_line *layout_line_new(int fd);
void layout_line_free(struct layout_line *l); /* NULL is fine; hangs up */

/** layout_index() - index.json, appended to @out. Return: 0; -ENOENT: there is none yet. */
int layout_index(struct layout_line *l, struct buf *out, struct err *err) MUST;
/** layout_stat() - Return: 0; -ENOENT. */
int layout_stat(struct layout_line *l, const char *digest, uint64_t *ret_size,
                struct err *err) MUST;
/** layout_get() - a small blob of @size bytes, appended to @out. Return: 0; -EBADMSG (invalid). */
int layout_get(struct layout_line *l, const char *digest, uint64_t size, struct buf *out,
               struct err *err) MUST;
/**
 * layout_blob() - a blob as a stream, which has the connection until it is freed
 * Its end is an error (-EBADMSG) when size or digest are others.
 */
int layout_blob(struct layout_line *l, const char *digest, uint64_t size, struct source **ret,
                struct err *err) MUST;
/**
 * layout_put() - a blob into the directory
 * @fill: writes its bytes into the sink
 * @ret_digest, @ret_size: what it became
 */
typedef int (*layout_fill)(void *ctx, struct sink *to, struct err *err);
int layout_put(struct layout_line *l, layout_fill fill, void *ctx, char ret_digest[DIGEST_LEN + 1],
               uint64_t *ret_size, struct err *err) MUST;
/** layout_name() - what @tag means from now on: a descriptor, as JSON. */
int layout_name(struct layout_line *l, const char *tag, const struct buf *descriptor,
                struct err *err) MUST;
