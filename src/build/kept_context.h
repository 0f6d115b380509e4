/*
 * Contexts that are kept for the next build of the same directory, so that a client sends only what
 * changed. The tree itself is what is known of the last one: it is compared with what the client
 * lists, by kind, mode, size and time.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "wire/build.h"

#include <stdbool.h>

#define CONTEXT_FILES_MAX (1u << 20)
#define CONTEXT_KEEP_DAYS 7 /* then a context that nobody builds goes */

struct builder;
struct kept_context;

/**
 * context_open() - the tree of a key, made to fit the list as far as that needs no content
 * Takes the key until context_close(). When another build has it, the tree is a new one that goes
 * with the build.
 * @rq, @a: must outlive the context
 * Return: 0; -EINVAL for a list that makes no sense: unsorted, leading out, without a directory.
 */
int context_open(struct builder *b, const struct build_context_request *rq, struct arena *a,
                 struct kept_context **ret, struct err *err) MUST;
/** context_whole() - an empty tree for one that nobody listed, which goes with the build. */
int context_whole(struct builder *b, struct kept_context **ret, struct err *err) MUST;
/** context_missing() - files whose content must come, by their place in the list; in @a. */
void context_missing(const struct kept_context *c, struct arena *a,
                     struct build_context_response *ret);
/** context_fd() - the tree, to unpack the missing files into. context_path(): absolute. */
int context_fd(const struct kept_context *c);
const char *context_path(const struct kept_context *c);
/** context_kept() - it stays for the next build. */
bool context_kept(const struct kept_context *c);
/**
 * context_complete() - the missing files are there: set modes and times, and compare everything
 * Return: 0; -ESTALE (conflict) when the tree is not what was listed.
 */
int context_complete(struct kept_context *c, struct err *err) MUST;
/** context_close() - let the key go; NULL is fine. */
void context_close(struct kept_context *c);

/** context_try_claim(), context_release() - as builder_try_claim(), for the key of a context. */
bool context_try_claim(struct builder *b, const char *key);
void context_release(struct builder *b, const char *key);
