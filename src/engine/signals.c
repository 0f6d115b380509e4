/* Names of signals, as users and images write them. */
#include "engine/engine-priv.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int signal_parse(const char *s)
{
    uint64_t n;
    int offset = 0;
    char sign = 0;

    if (str_to_u64(s, &n) == 0)
        return n >= 1 && n <= 64 ? (int)n : -EINVAL;
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    for (int i = 1; i < 32; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcasecmp(name, s) == 0)
            return i;
    }
    if (strcasecmp(s, "IOT") == 0)
        return SIGABRT;
    if (strcasecmp(s, "CLD") == 0)
        return SIGCHLD;
    if (sscanf(s, "RTMIN%c%d", &sign, &offset) == 2 && sign == '+' && offset <= 15)
        return 34 + offset;
    if (sscanf(s, "RTMAX%c%d", &sign, &offset) == 2 && sign == '-' && offset <= 14)
        return 64 - offset;
    return strcasecmp(s, "RTMIN") == 0 ? 34 : strcasecmp(s, "RTMAX") == 0 ? 64 : -EINVAL;
}
