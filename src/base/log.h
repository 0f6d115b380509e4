/*
 * The log of the process, to stderr, one line per write(2). Only front ends and engine services
 * log, once, where an error stops; lower levels return errors and log nothing above debug.
 */
#pragma once

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/** log_setup() - @level: most verbose level printed; @json: one JSON object per line. */
void log_setup(enum log_level level, bool json);
/** log_level_parse() - "debug", "info", "warn", "error", "fatal"; Return: level or -EINVAL. */
int log_level_parse(const char *s) MUST;
void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
