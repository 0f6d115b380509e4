#include "base/failpoint.h"

#ifdef CLEAT_FAILPOINTS
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define HITS 64

/* How often each entry of CLEAT_FAIL has been reached, by its position in the list. */
static atomic_uint hits[HITS];

static int act(const char *action, size_t len, size_t entry, const char *name, struct err *err)
{
    const char *at = memchr(action, '@', len);
    size_t word = at ? (size_t)(at - action) : len;
    unsigned hit = atomic_fetch_add(&hits[entry], 1) + 1;

    if (at && hit != (unsigned)strtoul(at + 1, NULL, 10))
        return 0;
    if (word == 5 && strncmp(action, "crash", 5) == 0)
        (void)kill(getpid(), SIGKILL);
    if (word == 4 && strncmp(action, "stop", 4) == 0)
        return raise(SIGSTOP); /* to this thread: it goes no further before all stand still */
    return err_as(err, ERR_SYSTEM, EIO, "fail point %s", name);
}

int fail_point(const char *name, struct err *err)
{
    const char *list = getenv("CLEAT_FAIL");
    size_t n = strlen(name);

    for (size_t entry = 0; list && *list && entry < HITS; entry++) {
        const char *end = strchrnul(list, ',');
        if (strncmp(list, name, n) == 0 && list[n] == '=')
            return act(list + n + 1, (size_t)(end - list) - n - 1, entry, name, err);
        list = *end ? end + 1 : end;
    }
    return 0;
}
#else
typedef int failpoints_are_off; /* ISO C wants something here */
#endif
