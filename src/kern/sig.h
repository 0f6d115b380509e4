/* Signal names and numbers, as kill(1) and Docker know them. */
#pragma once

#include "base/err.h"

/** sig_parse() - "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3". Return: number or -EINVAL. */
int sig_parse(const char *s) MUST;
/** sig_name() - "SIGTERM", or NULL for a number without a name. */
const char *sig_name(int sig);
/** sig_reset_all() - default handlers and an empty mask, for a child about to execute. */
void sig_reset_all(void);
