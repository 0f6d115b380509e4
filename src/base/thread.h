/* Threads of our own, beside those of a pool: they take no signals, which are for the loop. */
#pragma once

#include "base/err.h"

#include <pthread.h>
#include <stddef.h>

/**
 * thread_start() - a thread with a stack of so many bytes
 * @ret: whoever starts it must join it; NULL: it ends by itself
 * @what: for the error, "start thread of port proxy"
 */
int thread_start(void *(*fn)(void *arg), void *arg, size_t stack_b, pthread_t *ret,
                 const char *what, struct err *err) MUST;
