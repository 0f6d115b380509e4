/* Clocks and the time formats of the API. Times are int64_t nanoseconds. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define TIME_TEXT 40

/* Go's zero time, "0001-01-01T00:00:00Z"; how the API says "never". */
#define TIME_ZERO_TEXT "0001-01-01T00:00:00Z"

int64_t now_ns(void);  /* CLOCK_REALTIME since the epoch */
int64_t mono_ns(void); /* CLOCK_MONOTONIC */

/** time_rfc3339() - RFC 3339 in UTC with nanoseconds, trailing zeros cut as Go does; @t == 0 gives
 * TIME_ZERO_TEXT. @out holds TIME_TEXT bytes; returns @out. */
char *time_rfc3339(int64_t t, char *out);
/** time_rfc3339_fixed() - always nine digits ("2006-01-02T15:04:05.000000000Z"): log lines. */
char *time_rfc3339_fixed(int64_t t, char *out);
/** time_parse_rfc3339() - with any offset; @s ends at @n bytes. Return: 0 or -EINVAL. */
int time_parse_rfc3339(const char *s, size_t n, int64_t *ret) MUST;
/** time_parse_user() - what since/until take: unix seconds[.fraction], RFC 3339 (also cut short),
 * or a Go duration before @now. */
int time_parse_user(const char *s, int64_t now, int64_t *ret, struct err *err) MUST;
/** duration_parse() - Go duration ("1h2m3.5s", "300ms") in ns. */
int duration_parse(const char *s, int64_t *ret) MUST;
/** duration_human() - go-units: "About a minute", "3 hours", "2 weeks". @out holds 40 bytes. */
char *duration_human(int64_t ns, char *out);
