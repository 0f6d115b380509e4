/* Archives to and from the daemon. */
#pragma once

#include "cli/cli.h"

#include <sys/types.h>

/** transfer_read() - a body from the descriptor that @arg points to. */
ssize_t transfer_read(void *arg, void *p, size_t n);
/** transfer_input() - open a file, or standard input ("-", "", NULL). */
int transfer_input(struct cli *cli, const char *path, int *ret, struct err *err) MUST;
