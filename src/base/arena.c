#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_MIN 2048U
#define BLOCK_MAX (256U * 1024U)
#define ALIGN 16U

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

void arena_done(struct arena *a)
{
    while (a->head) {
        struct arena_block *b = a->head;
        a->head = b->next;
        free(b);
    }
    a->total = 0;
}

/* Blocks double, so that a small request stays small and a large one costs few mallocs. */
static struct arena_block *add_block(struct arena *a, size_t need)
{
    size_t size = a->total < BLOCK_MIN ? BLOCK_MIN : a->total;

    if (size > BLOCK_MAX)
        size = BLOCK_MAX;
    if (size < need)
        size = need;
    struct arena_block *b = xmalloc(sizeof(*b) + size);
    b->used = 0;
    b->size = size;
    if (need > BLOCK_MAX && a->head) { /* a giant of its own: keep filling the current block */
        b->next = a->head->next;
        a->head->next = b;
    } else {
        b->next = a->head;
        a->head = b;
    }
    a->total += size;
    return b;
}

static void *carve(struct arena *a, size_t size)
{
    size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_block *b = a->head;

    if (!b || b->size - b->used < need)
        b = add_block(a, need);
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(carve(a, size), 0, size);
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
    void *copy = carve(a, n ? n : 1);

    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    n = strnlen(s, n);
    char *copy = carve(a, n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        n = 0;
    char *s = carve(a, (size_t)n + 1);
    (void)vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void *arena_grow(struct arena *a, void *v, size_t n, size_t elem)
{
    if (v && n && (n & (n - 1)) != 0)
        return v; /* not a power of two: room left */
    if (v && n == 0)
        return v;
    size_t cap = n ? n * 2 : 1;
    void *bigger = arena_alloc(a, cap * elem);
    if (v)
        memcpy(bigger, v, n * elem);
    return bigger;
}
