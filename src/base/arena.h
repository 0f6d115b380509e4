/*
 * Arena: memory of one lifetime (a request, a container's configuration). Objects are carved from
 * large blocks and die together; nothing in an arena is freed alone.
 */
#pragma once

#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t total; /* bytes of all blocks */
};

#define ARENA_INIT                                                                                 \
    {                                                                                              \
        0                                                                                          \
    }

/** arena_done() - free everything; the arena is empty and usable again. */
void arena_done(struct arena *a);

/** arena_alloc() - @size zeroed bytes, aligned for any type; never NULL. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((__returns_nonnull__));

/** arena_strdup(), arena_strndup(), arena_memdup(), arena_printf() - copies that live in @a. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF(2, 0);

/**
 * arena_grow() - make room for one more element of an array that lives in @a
 * @v: the array, or NULL; @n: elements in use; @elem: bytes of one element
 * Return: @v, or a copy with room for at least one more. Sizes are powers of two, so the test
 * whether it is full needs no capacity field; that holds only for arrays that were made by
 * arena_push(), the JSON decoder or the *_clone() functions. Never push to one of other origin.
 */
void *arena_grow(struct arena *a, void *v, size_t n, size_t elem);

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
/* Append to a {v, n} pair whose v lives in the arena; yields the new element's lvalue. */
#define arena_push(a, vec)                                                                         \
    (*({                                                                                           \
        typeof(&(vec)) p_ = &(vec);                                                                \
        p_->v = arena_grow((a), p_->v, p_->n, sizeof(*p_->v));                                     \
        &p_->v[p_->n++];                                                                           \
    }))

#define auto_arena __attribute__((__cleanup__(arena_done), __unused__))
