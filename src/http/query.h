/* Query strings and percent-coding (application/x-www-form-urlencoded). */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/** query_parse() - "a=1&b=x+y&a=2" into pairs, in order; a bad %-escape is -EINVAL. */
int query_parse(const char *s, struct arena *a, struct strmap *ret, struct err *err) MUST;
/** query_add() - append "key=value", escaped, with '?' or '&' in front as needed. */
void query_add(struct buf *target, const char *key, const char *val);
/** query_escape_path() - percent-code @s as one path piece; '/' stays when @slash. */
void query_escape_path(struct buf *out, const char *s, bool slash);
/** query_unescape() - percent-decode; @plus: '+' is a blank. NUL bytes are refused. */
int query_unescape(const char *s, size_t n, bool plus, struct arena *a, char **ret,
                   struct err *err) MUST;
