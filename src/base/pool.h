/*
 * A pool of threads with small stacks, for straight-line blocking code. It grows with the load up
 * to a cap, beyond which jobs queue; a thread that found no work for a while ends, so an idle
 * daemon pays for none.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct pool;

/* Walks of trees go 256 levels down, at up to 900 bytes a level; sanitizers make frames larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POOL_STACK_B (2048 * 1024)
#else
#define POOL_STACK_B (512 * 1024)
#endif

/**
 * pool_new() - an empty pool; threads are made when work comes
 * @name: shown as the threads' name, at most 15 bytes
 * @max: cap on the number of threads
 */
int pool_new(const char *name, size_t max, struct pool **ret, struct err *err) MUST;
/** pool_free() - waits until queued and running jobs are done. NULL is fine. */
void pool_free(struct pool *p);
/**
 * pool_run() - run @fn(@arg) on a thread of the pool; any thread may call it
 * Return: 0 (started or queued), or -EAGAIN when there is no thread at all and none can be made.
 */
int pool_run(struct pool *p, void (*fn)(void *arg), void *arg, struct err *err) MUST;
/** pool_threads() - how many threads exist now; for tests and /debug. */
size_t pool_threads(struct pool *p);
