#include "archive/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"

#define PIPE_B (1 << 20)

struct pack_job {
    pthread_t thread;
    pack_fn fn;
    void *ctx;
    int fd; /* write end */
    int64_t result;
    struct err err;
};

static void *run(void *arg)
{
    struct pack_job *j = arg;
    auto_sink struct sink *out = sink_fd(j->fd);
    sigset_t pipe;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* an error, not the end of the program */
    j->result = j->fn(j->ctx, out, &j->err);
    close_fd(&j->fd); /* the end of the stream */
    return NULL;
}

int pack_pipe_start(pack_fn fn, void *ctx, struct pack_pipe *ret, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "create pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_B); /* fewer turns of the two threads, if it may be */
    struct pack_job *j = xnew(struct pack_job);
    *j = (struct pack_job){.fn = fn, .ctx = ctx, .fd = fds[1]};
    int no = pthread_create(&j->thread, NULL, run, j);
    if (no) {
        close_fd(&fds[0]);
        close_fd(&fds[1]);
        free(j);
        return err_no(err, no, "start a thread");
    }
    *ret = (struct pack_pipe){fds[0], j};
    return 0;
}

int64_t pack_pipe_end(struct pack_pipe *p, struct err *err)
{
    struct pack_job *j = p->job;

    close_fd(&p->fd); /* a packer that still writes gets EPIPE */
    (void)pthread_join(j->thread, NULL);
    int64_t result = j->result == -EPIPE ? 0 : j->result;
    if (result < 0 && err)
        *err = j->err;
    free(j);
    p->job = NULL;
    return result;
}
