/* Sizes as people write them; go-units' rules. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/** units_parse_bytes() - "64", "64b", "64k", "64m", "1.5g", "2t": powers of 1024. */
int units_parse_bytes(const char *s, int64_t *ret, struct err *err) MUST;
