/*
 * Allocation. Small allocations abort when memory is gone: containers outlive the daemon in their
 * shims, so a clean death is better than a half-handled error. A size that comes from outside goes
 * through try_alloc() with a limit.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

/** xmalloc(), xcalloc(), xrealloc(), xstrdup(), xstrndup(), xmemdup() - never return NULL. */
void *xmalloc(size_t size) __attribute__((__malloc__, __returns_nonnull__));
void *xcalloc(size_t n, size_t size) __attribute__((__malloc__, __returns_nonnull__));
void *xrealloc(void *p, size_t size) __attribute__((__returns_nonnull__));
char *xstrdup(const char *s) __attribute__((__returns_nonnull__));
char *xstrndup(const char *s, size_t n) __attribute__((__returns_nonnull__));
void *xmemdup(const void *p, size_t n) __attribute__((__returns_nonnull__));

/** xasprintf() - formatted string on the heap; the caller frees it. */
char *xasprintf(const char *fmt, ...) PRINTF(1, 2) __attribute__((__returns_nonnull__));

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/**
 * try_alloc() - allocate a size that comes from outside
 * @size: bytes wanted
 * @limit: bytes allowed
 * Return: zeroed memory, or NULL with @err set (invalid over the limit, ENOMEM from the system).
 */
void *try_alloc(size_t size, size_t limit, struct err *err) MUST;
