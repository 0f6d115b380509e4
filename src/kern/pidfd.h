/*
 * Processes by descriptor, so that a recycled pid is never hit.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/** pidfd_open_err() - Return: CLOEXEC pidfd; -ESRCH when the process is gone. */
int pidfd_open_err(pid_t pid, struct err *err) MUST;
/** pidfd_signal() - Return: 0, 1 when the process was gone already, -errno. */
int pidfd_signal(int pidfd, int sig, struct err *err) MUST;
/** pidfd_wait_exit() - wait for the end of any process; -1 waits for ever. Return: 1 it ended, 0
 * timeout. */
int pidfd_wait_exit(int pidfd, int timeout_ms, struct err *err) MUST;
/**
 * pidfd_reap() - reap our own child
 * @ret_status: wait status as waitpid(2) gives it
 */
int pidfd_reap(int pidfd, int *ret_status, struct err *err) MUST;
