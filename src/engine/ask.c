/*
 * Requests to a container's shim. The run directory is duplicated under container.lock and the shim
 * asked without it: an answer may take its time, and the lock is never held over anything that
 * waits.
 */
#include "engine/engine-priv.h"

#include <fcntl.h>
#include <string.h>

#include "base/auto.h"

/* Return: 1 and a descriptor, 0 there is no run. */
static int run_dir(struct container *c, int *ret, struct err *err)
{
    int r = 0;

    (void)pthread_mutex_lock(&c->lock);
    if (c->run_fd >= 0) {
        *ret = fcntl(c->run_fd, F_DUPFD_CLOEXEC, 0);
        r = *ret < 0 ? err_sys(err, "duplicate descriptor") : 1;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return r;
}

int ctr_ask(struct container *c, const struct shim_req *req, int fd, struct shim_reply *ret,
            struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_close int run = -1;
    struct shim_reply reply = {0};
    int r = run_dir(c, &run, err);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = shim_call(run, req, fd, &a, &reply, err);
    if (r == 0 && ret) {
        *ret = (struct shim_reply){.pid = reply.pid, .exited = reply.exited, .nfds = reply.nfds};
        memcpy(ret->fds, reply.fds, sizeof(ret->fds));
    }
    return r;
}
