/*
 * Event loop over epoll(7): descriptors, timers, signals, and calls posted by other threads. One
 * thread runs it; callbacks must not block and touch no disk.
 *
 * Threads: loop_post(), loop_stop(), loop_source_arm() and the functions that make sources may be
 * called from any thread; a source may fire before its maker has returned. Everything else belongs
 * to the loop's thread, with one exception: a one-shot source whose event was handed to another
 * thread is owned by that thread until it arms it again, and may be freed by it.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_source;

/* @events: EPOLLIN etc. that happened (descriptors), 0 (timers), or the signal number (signals). */
typedef void loop_fn(struct loop_source *s, uint32_t events, void *arg);

int loop_new(struct loop **ret, struct err *err) MUST;
/** loop_free() - also frees all sources that are left; their descriptors stay open. NULL is fine.
 */
void loop_free(struct loop *l);
/** loop_run() - dispatch until loop_stop(); Return: 0, or -errno when epoll itself fails. */
int loop_run(struct loop *l, struct err *err) MUST;
/** loop_stop() - make loop_run() return after the current round. */
void loop_stop(struct loop *l);
/** loop_drain() - make the calls that were posted when loop_run() was on its way out or had
 * returned; not while it runs. */
void loop_drain(struct loop *l);
/** loop_post() - call @fn(@arg) in the loop's thread, in order of posting. Never fails. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/**
 * loop_add_fd() - watch a descriptor
 * @fd: stays the caller's; must be closed only after loop_source_free()
 * @events: EPOLLIN, EPOLLOUT, EPOLLRDHUP; EPOLLONESHOT: fires once, then waits for
 *   loop_source_arm()
 * @ret: may be NULL
 */
int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg,
                struct loop_source **ret, struct err *err) MUST;
/** loop_source_arm() - change what a descriptor source waits for. */
int loop_source_arm(struct loop_source *s, uint32_t events, struct err *err) MUST;
int loop_source_fd(const struct loop_source *s);

/**
 * loop_add_timer() - call @fn once at @after_ns from now, then every @every_ns if that is not 0
 * A one-time timer stays after it fired: set it again with loop_timer_set(), or free it.
 */
int loop_add_timer(struct loop *l, int64_t after_ns, int64_t every_ns, loop_fn *fn, void *arg,
                   struct loop_source **ret, struct err *err) MUST;
/** loop_timer_set() - start anew; @after_ns < 0 stops it. Any thread. */
void loop_timer_set(struct loop_source *s, int64_t after_ns, int64_t every_ns);

/**
 * loop_add_signals() - deliver signals as events
 * Blocks them in the calling thread: call it before any other thread is made, so that all inherit.
 */
int loop_add_signals(struct loop *l, const int *signals, size_t n, loop_fn *fn, void *arg,
                     struct loop_source **ret, struct err *err) MUST;

/** loop_source_free() - stop watching; safe inside the source's own callback, and on NULL. */
void loop_source_free(struct loop_source *s);
