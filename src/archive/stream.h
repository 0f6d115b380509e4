/*
 * Byte streams that are pulled: a source lends its next bytes, so that a layer passes through
 * decompression, hashing and unpacking without being copied between them. Sources stack: each owns
 * nothing of the one below it. A sink is the same for output.
 */
#pragma once

#include "base/auto.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct source {
    /**
     * next() - lend the next bytes, and count them as consumed
     * @ret: valid until the next call
     * @max: at most so many; > 0
     * Return: 1..@max, 0 at the end, -errno.
     */
    ssize_t (*next)(struct source *s, const uint8_t **ret, size_t max, struct err *err);
    /** read() - the same into the caller's memory; NULL when lending is all it can do. */
    ssize_t (*read)(struct source *s, void *p, size_t n, struct err *err);
    void (*free)(struct source *s);
};

struct sink {
    int (*write)(struct sink *s, const void *p, size_t n, struct err *err);
    void (*free)(struct sink *s);
};

static inline ssize_t source_next(struct source *s, const uint8_t **ret, size_t max,
                                  struct err *err)
{
    return s->next(s, ret, max, err);
}
static inline void source_free(struct source *s)
{
    if (s)
        s->free(s);
}
static inline void source_freep_(struct source **s)
{
    source_free(*s);
}
#define auto_source AUTO(source_freep_)
static inline int sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    return s->write(s, p, n, err);
}

/** source_read() - copy exactly @n bytes, or fewer at the end. Return: bytes copied, -errno. */
ssize_t source_read(struct source *s, void *p, size_t n, struct err *err) MUST;
/** source_drain() - read to the end and forget. */
int source_drain(struct source *s, struct err *err) MUST;

/** source_fd() - from a descriptor, which stays the caller's. */
struct source *source_fd(int fd);
/** source_mem() - from memory, which must outlive the source. */
struct source *source_mem(const void *p, size_t n);
/** source_cb() - from a function like read(2): 0 at the end, -errno. It may be called from another
 * thread than the one that made the source, but never from two at once. */
typedef ssize_t (*source_read_fn)(void *ctx, void *p, size_t n, struct err *err);
struct source *source_cb(source_read_fn fn, void *ctx);
/** source_buffered() - reads @below in large pieces, of which each call gets its part: for who
 * wants little at a time. What it took of @below and nobody wanted goes with it. */
struct source *source_buffered(struct source *below);
/**
 * source_peek() - look at the first @n bytes (at most 4096) without consuming them
 * @ret: a source that replaces @below; *@ret_p, *@ret_n: what was there, valid as long as it
 */
int source_peek(struct source *below, size_t n, const uint8_t **ret_p, size_t *ret_n,
                struct source **ret, struct err *err) MUST;

/** sink_fd() - to a descriptor, written completely. sink_cb() - to a function. */
struct sink *sink_fd(int fd);
typedef int (*sink_write_fn)(void *ctx, const void *p, size_t n, struct err *err);
struct sink *sink_cb(sink_write_fn fn, void *ctx);
void sink_free(struct sink *s);
static inline void sink_freep_(struct sink **s)
{
    sink_free(*s);
}
#define auto_sink AUTO(sink_freep_)

/**
 * pump_new() - a source that reads @below in a thread of its own, some chunks ahead, and can hash
 * what passes, or write it elsewhere, in another thread
 * @below: used only by that thread until the pump is freed
 * Free it with source_free(pump_source(p)): stops and joins the threads.
 */
struct pump;
struct pump *pump_new(struct source *below, bool hash);
struct source *pump_source(struct pump *p);
/** pump_tee() - before the first next(): @to gets everything that passes, from that other thread.
 * An error of it is an error of next(), or of pump_flush(). */
void pump_tee(struct pump *p, struct sink *to);
/** pump_flush() - only after next() returned 0: all has been hashed and written. */
int pump_flush(struct pump *p, struct err *err) MUST;
/** pump_shut_in() - the thread that reads @below shuts itself in (kern/sandbox.h): for parsers of
 * what strangers made. @below works on memory alone then. Before pump_start(). */
void pump_shut_in(struct pump *p);
/** pump_start() - start the threads; else the first next() does. For who reads in a thread that may
 * not start any. */
int pump_start(struct pump *p, struct err *err) MUST;
/** pump_digest() - digest and length of everything that passed; only after next() returned 0. */
int pump_digest(struct pump *p, char out[DIGEST_LEN + 1], uint64_t *ret_size, struct err *err) MUST;
