#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"

/* The one piece of file-scope state besides main/: set before the first thread starts. */
static enum log_level max_level = LOG_INFO;
static bool as_json;

static const char *const names[] = {"error", "warning", "info", "debug"};

void log_setup(enum log_level level, bool json)
{
    max_level = level;
    as_json = json;
}

int log_level_parse(const char *s)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"debug", LOG_DEBUG},  {"info", LOG_INFO},   {"warn", LOG_WARN},
                  {"warning", LOG_WARN}, {"error", LOG_ERROR}, {"fatal", LOG_ERROR}};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(levels[i].name, s) == 0)
            return (int)levels[i].level;
    return -EINVAL;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char msg[1200], when[TIME_TEXT];
    auto_buf struct buf line = BUF_INIT;
    va_list ap;

    if (level > max_level)
        return;
    int saved = errno;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    (void)time_rfc3339_fixed(now_ns(), when);
    buf_printf(&line,
               as_json ? "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":" : "time=\"%s\" level=%s msg=",
               when, names[level]);
    json_quote(&line, msg, strlen(msg)); /* a message never breaks out of its line */
    buf_puts(&line, as_json ? "}\n" : "\n");
    (void)!write(STDERR_FILENO, line.data, line.len);
    errno = saved;
}
