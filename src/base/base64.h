/* Base64 (RFC 4648), both alphabets. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/** base64_encode() - with padding; @url: '-' and '_' in place of '+' and '/'. */
void base64_encode(const void *p, size_t n, bool url, struct buf *out);
/** base64_decode() - either alphabet, padding optional; Return: 0 or -EINVAL. */
int base64_decode(const char *s, size_t n, struct buf *out) MUST;
