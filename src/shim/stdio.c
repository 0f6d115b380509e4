/*
 * The streams of a process. Output is read in blocks and goes at once to the log and to every
 * attached client; a client that does not keep up stops the reading, so that the process is held
 * back by its pipe as it would be by a terminal, and no queue grows without bound.
 *
 * The rules at the end: a process has exited when it was reaped, but its output is over only at
 * end-of-file. Where something else still holds the pipe (a background job), we wait LINGER_NS and
 * then let go.
 */
#include "shim/shim-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/time.h"

#define BLOCK 65536
#define LINGER_NS (2 * NS_PER_S)
#define IN_QUEUE_MAX (256 * 1024)

static int make_pipe(int *reader, int *writer, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "create pipe");
    *reader = fds[0];
    *writer = fds[1];
    return 0;
}

int stdio_open(bool tty, bool want_stdin, struct stdio_pipes *ret, struct err *err)
{
    struct stdio_pipes p = {{-1, -1, -1}, {-1, -1, -1}};
    int r = 0;

    if (!tty) {
        if (want_stdin) {
            r = make_pipe(&p.child[0], &p.ours[0], err);
        } else {
            p.child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            r = p.child[0] < 0 ? err_sys(err, "open /dev/null") : 0;
        }
        for (int i = 1; i <= 2 && r >= 0; i++)
            r = make_pipe(&p.ours[i], &p.child[i], err);
        for (int i = 0; i <= 2 && r >= 0; i++)
            if (p.ours[i] >= 0 && fcntl(p.ours[i], F_SETFL, O_NONBLOCK) < 0)
                r = err_sys(err, "set pipe non-blocking");
    }
    if (r < 0) {
        stdio_close(&p);
        return r;
    }
    *ret = p;
    return 0;
}

void stdio_close(struct stdio_pipes *p)
{
    for (int i = 0; i < 3; i++) {
        close_fd(&p->child[i]);
        close_fd(&p->ours[i]);
    }
}

static void pump_ready(struct shim *s, struct source *src, uint32_t events);
static void stdin_ready(struct shim *s, struct source *src, uint32_t events);

static void pump_start(struct shim *s, struct proc *p, struct pump *pump, int stream, int fd)
{
    *pump = (struct pump){.src = {.fd = fd, .fn = pump_ready}, .stream = stream, .proc = p};
    if (fd >= 0)
        source_set(s, &pump->src, EPOLLIN);
}

void proc_take_streams(struct shim *s, struct proc *p, struct stdio_pipes *pipes, int console)
{
    p->in = (struct source){.fd = -1, .fn = stdin_ready};
    if (p->tty && console >= 0) {
        (void)fcntl(console, F_SETFL, O_NONBLOCK);
        p->in.fd = fcntl(console, F_DUPFD_CLOEXEC, 3);
        pump_start(s, p, &p->out, 1, console);
        pump_start(s, p, &p->err, 2, -1);
        return;
    }
    p->in.fd = take_fd(&pipes->ours[0]);
    pump_start(s, p, &p->out, 1, take_fd(&pipes->ours[1]));
    pump_start(s, p, &p->err, 2, take_fd(&pipes->ours[2]));
}

static void deliver(struct shim *s, struct proc *p, int stream, const char *data, size_t n)
{
    if (p == s->init_proc)
        logfile_add(&s->log, stream, data, n);
    client_output(s, p, stream, data, n);
}

/* Return: true when there may be more to read now. */
static bool pump_once(struct shim *s, struct pump *pump)
{
    static char block[BLOCK]; /* one thread, one block */
    ssize_t got = read(pump->src.fd, block, sizeof(block));

    if (got > 0) {
        deliver(s, pump->proc, pump->stream, block, (size_t)got);
        return true;
    }
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    source_close(s, &pump->src); /* end of file; a pty says EIO when its last slave is closed */
    return false;
}

static void pump_ready(struct shim *s, struct source *src, uint32_t events)
{
    struct pump *pump = (struct pump *)src;

    (void)events;
    if (clients_full(pump->proc)) {
        source_set(s, src, 0); /* the client that drains its queue turns us on again */
        return;
    }
    (void)pump_once(s, pump);
}

void proc_drain(struct shim *s, struct proc *p)
{
    struct pump *both[] = {&p->out, &p->err};

    for (int i = 0; i < 2; i++)
        while (both[i]->src.fd >= 0 && pump_once(s, both[i]))
            continue;
    if (!proc_output_done(p) && p->linger_at == 0)
        p->linger_at = mono_ns() + LINGER_NS;
}

bool proc_output_done(const struct proc *p)
{
    if (p->out.src.fd < 0 && p->err.src.fd < 0)
        return true;
    return p->linger_at != 0 && mono_ns() >= p->linger_at;
}

/* ---- stdin ---- */

static void close_stdin(struct shim *s, struct proc *p)
{
    source_close(s, &p->in);
    buf_done(&p->in_queue);
}

static void flush_stdin(struct shim *s, struct proc *p)
{
    while (p->in_queue.len > 0) {
        ssize_t put = write(p->in.fd, p->in_queue.data, p->in_queue.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN) {
            source_set(s, &p->in, EPOLLOUT);
            return;
        }
        if (put < 0) { /* EPIPE: the process closed its stdin */
            close_stdin(s, p);
            return;
        }
        buf_drop(&p->in_queue, (size_t)put);
    }
    source_set(s, &p->in, 0);
    buf_done(&p->in_queue);
    if (p->in_eof)
        close_stdin(s, p);
}

static void stdin_ready(struct shim *s, struct source *src, uint32_t events)
{
    struct proc *p = (struct proc *)((char *)src - offsetof(struct proc, in));

    (void)events;
    flush_stdin(s, p);
    if (p->in_queue.len < IN_QUEUE_MAX / 2)
        proc_stdin_resume(s, p);
}

void proc_write(struct shim *s, struct proc *p, const char *data, size_t n)
{
    if (p->in.fd < 0 || n == 0)
        return;
    buf_put(&p->in_queue, data, n);
    flush_stdin(s, p);
}

void proc_stdin_eof(struct shim *s, struct proc *p)
{
    if (p->in.fd < 0 || p->tty)
        return;
    p->in_eof = true;
    if (p->in_queue.len == 0)
        close_stdin(s, p);
}

void proc_free(struct shim *s, struct proc *p)
{
    while (p->clients)
        client_drop(s, p->clients);
    source_close(s, &p->out.src);
    source_close(s, &p->err.src);
    close_stdin(s, p);
    arena_done(&p->mem);
    free(p);
}
