/*
 * Attached clients. The daemon hands over the client's own socket; from then on bytes go between
 * it and the process without anybody in between. A client is never waited for: what its socket
 * does not take is queued, and a full queue stops the process' output (see stdio.c).
 */
#include "shim/shim-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/frame.h"
#include "base/mem.h"
#include "base/time.h"

#define QUEUE_MAX (256 * 1024)
#define IN_BLOCK 16384
#define IN_HIGH (256 * 1024)

void client_drop(struct shim *s, struct client *c)
{
    struct proc *p = c->proc;

    for (struct client **at = &p->clients; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    if (c->in && p->stdin_once)
        proc_stdin_eof(s, p);
    source_close(s, &c->src);
    buf_done(&c->queue);
    free(c);
    struct pump *both[] = {&p->out, &p->err};
    for (int i = 0; i < 2; i++)
        if (both[i]->src.fd >= 0 && !clients_full(p))
            source_set(s, &both[i]->src, EPOLLIN);
}

/* What the client's socket should be watched for now. */
static void client_watch(struct shim *s, struct client *c)
{
    bool read = !c->ending && !c->eof && (!c->in || c->proc->in_queue.len < IN_HIGH);

    /* A client that only watches is read too, to notice that it left. */
    source_set(s, &c->src, (read ? EPOLLIN | EPOLLRDHUP : 0U) | (c->queue.len ? EPOLLOUT : 0U));
}

/* Return: false when the client is gone (and freed). */
static bool client_flush(struct shim *s, struct client *c)
{
    while (c->queue.len > 0) {
        ssize_t put = send(c->src.fd, c->queue.data, c->queue.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            break;
        if (put < 0) {
            client_drop(s, c);
            return false;
        }
        buf_drop(&c->queue, (size_t)put);
    }
    if (c->queue.len == 0 && c->ending) {
        client_drop(s, c);
        return false;
    }
    return true;
}

static void put_frame(struct client *c, int stream, const char *data, size_t n)
{
    if (c->mux) {
        uint8_t head[FRAME_HEADER];
        frame_put(head, (enum frame_stream)stream, (uint32_t)n);
        buf_put(&c->queue, head, sizeof(head));
    }
    buf_put(&c->queue, data, n);
}

void client_output(struct shim *s, struct proc *p, int stream, const char *data, size_t n)
{
    for (struct client *c = p->clients, *next; c; c = next) {
        next = c->next;
        if (stream == 1 ? !c->out : !c->err)
            continue;
        put_frame(c, stream, data, n);
        if (client_flush(s, c))
            client_watch(s, c);
    }
}

bool clients_full(const struct proc *p)
{
    for (const struct client *c = p->clients; c; c = c->next)
        if (c->queue.len >= QUEUE_MAX)
            return true;
    return false;
}

static void detach(struct shim *s, struct client *c)
{
    struct shim_event ev = {.event = "detach", .exec = c->proc->id, .at_ns = now_ns()};

    shim_tell(s, &ev);
    client_drop(s, c);
}

/*
 * Passes typed bytes on, except the detach sequence. Keys that began a sequence and did not finish
 * it are passed on late, as Docker does. Return: false when the client detached.
 */
static bool input_with_keys(struct shim *s, struct client *c, const char *data, size_t n)
{
    size_t want = strlen(c->detach_keys), from = 0;

    for (size_t i = 0; i < n; i++) {
        if (data[i] == c->detach_keys[c->matched]) {
            if (c->matched == 0)
                proc_write(s, c->proc, data + from, i - from);
            from = i + 1;
            if (++c->matched == want) {
                detach(s, c);
                return false;
            }
        } else if (c->matched > 0) {
            proc_write(s, c->proc, c->detach_keys, c->matched);
            c->matched = 0;
            from = i--; /* this byte may begin a new sequence */
        }
    }
    if (from < n)
        proc_write(s, c->proc, data + from, n - from);
    return true;
}

static void client_input_end(struct shim *s, struct client *c)
{
    if (c->in && c->proc->stdin_once)
        proc_stdin_eof(s, c->proc);
    c->in = false;
    c->eof = true;
    /* Its other direction may still be open: a half-closed client wants the output. Writing to
     * one that left altogether fails and drops it. */
    if (!c->out && !c->err)
        client_drop(s, c);
    else
        client_watch(s, c);
}

static void client_ready(struct shim *s, struct source *src, uint32_t events)
{
    struct client *c = (struct client *)src;
    char block[IN_BLOCK];

    if ((events & EPOLLOUT) && !client_flush(s, c))
        return;
    if ((events & EPOLLOUT) && !clients_full(c->proc)) {
        struct pump *both[] = {&c->proc->out, &c->proc->err};
        for (int i = 0; i < 2; i++)
            if (both[i]->src.fd >= 0)
                source_set(s, &both[i]->src, EPOLLIN);
    }
    if (events & (EPOLLERR | EPOLLHUP)) {
        client_drop(s, c);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP)) {
        ssize_t got = recv(c->src.fd, block, sizeof(block), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            client_input_end(s, c);
            return;
        }
        if (c->in && c->proc->tty && *c->detach_keys) {
            if (!input_with_keys(s, c, block, (size_t)got))
                return;
        } else if (c->in) {
            proc_write(s, c->proc, block, (size_t)got);
        }
    }
    client_watch(s, c);
}

void proc_stdin_resume(struct shim *s, struct proc *p)
{
    for (struct client *c = p->clients; c; c = c->next)
        if (c->in)
            client_watch(s, c);
}

void client_add(struct shim *s, struct proc *p, const struct shim_attach *a, int fd)
{
    struct client *c = xnew(struct client);

    *c = (struct client){.src = {.fd = fd, .fn = client_ready},
                         .proc = p,
                         .in = a->in,
                         .out = a->out,
                         .err = a->err,
                         .mux = a->mux,
                         .detach_keys = arena_strdup(&p->mem, str_or(a->detach_keys, "")),
                         .next = p->clients};
    p->clients = c;
    client_watch(s, c);
}

void clients_end(struct shim *s, struct proc *p)
{
    for (struct client *c = p->clients, *next; c; c = next) {
        next = c->next;
        c->ending = true;
        if (client_flush(s, c))
            client_watch(s, c);
    }
}
