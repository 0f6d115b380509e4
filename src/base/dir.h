/* Directories by descriptor: what is in them, and how much. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/** dir_names() - all names but "." and "..", sorted, in @a. @fd: may be O_PATH; stays the caller's.
 */
int dir_names(int fd, struct arena *a, struct strv *ret, struct err *err) MUST;
/** dir_size() - bytes of the regular files in it and below, as far as they can be read; takes @fd
 * over. No link is followed. */
int64_t dir_size(int fd);
