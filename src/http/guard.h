/*
 * A stream that does not wait for ever: it gives up when nothing moves for a while, or when
 * somebody else (the client on whose behalf it is read) has hung up. Sits on top of any stream.
 */
#pragma once

#include "http/stream.h"

/** stream_guard() - @below becomes the guard's; without limits until stream_guard_set(). */
struct stream *stream_guard(struct stream *below);
/**
 * stream_guard_set() - limits for what follows
 * @idle_ms: reads and writes fail with -ETIMEDOUT when nothing moved for so long; 0: never
 * @gone_fd: they fail with -ECANCELED when this descriptor hangs up; -1: nobody to ask
 */
void stream_guard_set(struct stream *s, unsigned idle_ms, int gone_fd);
/** stream_guard_until() - all that follows ends with -ETIMEDOUT at @until_ns (mono_ns()), however
 * much moves; 0: never. */
void stream_guard_until(struct stream *s, int64_t until_ns);
/** guard_wait() - wait until @fd has one of @events. Return: 0, -ETIMEDOUT, -ECANCELED, -errno. */
int guard_wait(int fd, short events, unsigned idle_ms, int gone_fd) MUST;
/** fd_gone() - has the peer of a connected socket hung up altogether? -1 is nobody: false. */
bool fd_gone(int gone_fd);
