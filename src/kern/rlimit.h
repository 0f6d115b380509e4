/* Resource limits by their OCI names. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/** rlimit_parse() - "RLIMIT_NOFILE" -> RLIMIT_NOFILE. Return: number or -EINVAL. */
int rlimit_parse(const char *name) MUST;
/**
 * rlimit_set() - set a limit of the calling process
 * Return: 0; 1 when raising the hard limit was not permitted and it was left as high as it is (a
 *   caller without CAP_SYS_RESOURCE); -errno.
 */
int rlimit_set(int resource, uint64_t soft, uint64_t hard, struct err *err) MUST;
