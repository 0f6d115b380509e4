/* --chown of COPY and ADD: "user", "user:group", names or ids, as the stage's own files know them.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/**
 * owner_find() - @text: what was given; @root_fd: the stage's tree, for etc/passwd and etc/group
 * A number without a group is its own group; a name has the one of etc/passwd.
 * Return: 0; -EINVAL for a name that is not there.
 */
int owner_find(int root_fd, const char *text, int64_t *ret_uid, int64_t *ret_gid,
               struct err *err) MUST;
