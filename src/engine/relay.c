#include "engine/relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/thread.h"

#define BLOCK 16384

struct relay {
    int fd[2];
};

/* One direction; false when it has ended (its end is passed on). */
static bool move(int from, int to)
{
    char block[BLOCK];
    ssize_t got = read(from, block, sizeof(block));

    if (got < 0 && errno == EINTR)
        return true;
    if (got > 0 && write_full(to, block, (size_t)got) == 0)
        return true;
    (void)shutdown(to, SHUT_WR);
    (void)shutdown(from, SHUT_RD);
    return false;
}

static void *run(void *arg)
{
    struct relay *r = arg;
    bool open[2] = {true, true};

    while (open[0] || open[1]) {
        struct pollfd p[2] = {{.fd = open[0] ? r->fd[0] : -1, .events = POLLIN},
                              {.fd = open[1] ? r->fd[1] : -1, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < 2; i++)
            if (open[i] && p[i].revents)
                open[i] = move(r->fd[i], r->fd[1 - i]);
    }
    (void)close(r->fd[0]);
    (void)close(r->fd[1]);
    free(r);
    return NULL;
}

int relay_start(int a, int b, struct err *err)
{
    struct relay *r = xnew(struct relay);

    *r = (struct relay){{a, b}};
    int started = thread_start(run, r, 128 * 1024, NULL, "start relay", err);
    if (started >= 0)
        return 0;
    (void)close(a);
    (void)close(b);
    free(r);
    return started;
}
