#include "kern/rlimit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int resource;
} table[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

int rlimit_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].resource;
    return -EINVAL;
}

int rlimit_set(int resource, uint64_t soft, uint64_t hard, struct err *err)
{
    struct rlimit now, want = {.rlim_cur = soft, .rlim_max = hard};

    if (soft > hard)
        return err_invalid(err, "rlimit %d: soft limit is above the hard limit", resource);
    if (setrlimit((__rlimit_resource_t)resource, &want) == 0)
        return 0;
    if (errno != EPERM)
        return err_sys(err, "set rlimit %d", resource);
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return err_sys(err, "get rlimit %d", resource);
    want.rlim_max = now.rlim_max;
    if (want.rlim_cur > now.rlim_max)
        want.rlim_cur = now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &want) < 0)
        return err_sys(err, "set rlimit %d", resource);
    return 1;
}
