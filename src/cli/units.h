/* Sizes, durations and numbers as people write and read them; go-units' rules and words. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/units.h"

#include <stdint.h>

#define UNITS_TEXT 48

/** units_parse_cpus() - "1.5" as 1500000000; at most nine decimals. */
int units_parse_cpus(const char *s, int64_t *ret, struct err *err) MUST;

/** units_size() - "1.23MB", powers of 1000, three or more digits (@precision). units_bytes():
 * "1.2MiB", powers of 1024. @out holds UNITS_TEXT bytes; returns @out. */
char *units_size(double size, int precision, char *out);
char *units_bytes(double size, char *out);
