#include "archive/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 32 /* EAGAIN: somebody renamed something on the host meanwhile */

static int resolve(int root_fd, const char *path, int flags, unsigned long long how)
{
    struct open_how h = {.flags = (unsigned)(flags | O_CLOEXEC),
                         .resolve = how | RESOLVE_NO_MAGICLINKS};

    for (int i = 0; i < TRIES; i++) {
        long fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &h, sizeof(h));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return (int)fd;
    }
    return -1;
}

int open_in_root(int root_fd, const char *path, int flags)
{
    return resolve(root_fd, path, flags, RESOLVE_IN_ROOT);
}

int open_beneath(int root_fd, const char *path, int flags)
{
    return resolve(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}
