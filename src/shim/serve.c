/* The daemon's requests: a table of operations, one answer each. */
#include "shim/shim-priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/mem.h"
#include "kern/tty.h"

struct call {
    struct shim *s;
    struct peer *peer;
    struct shim_req *req;
    int fd; /* came with the request; whoever takes it sets -1 */
    struct arena *a;
    struct shim_reply *reply;
    struct err *err;
};

static struct proc *find_proc(struct shim *s, const char *exec)
{
    for (struct proc *p = s->procs; p; p = p->next)
        if (strcmp(p->id, str_or(exec, "")) == 0)
            return p;
    return NULL;
}

static int op_watch(struct call *c)
{
    struct shim *s = c->s;

    c->peer->watch = true;
    c->reply->version = SHIM_PROTOCOL;
    c->reply->pid = s->init.pid;
    c->reply->started_ns = s->started_ns;
    c->reply->exited = s->init_proc && s->init_proc->exited;
    c->reply->code = s->init_proc ? s->init_proc->code : 0;
    for (struct proc *p = s->procs; p; p = p->next) {
        if (p == s->init_proc)
            continue;
        struct shim_exec_state *st = arena_new(c->a, struct shim_exec_state);
        *st = (struct shim_exec_state){p->id, p->pid, p->code, !p->exited};
        arena_push(c->a, c->reply->execs) = st;
    }
    return 0;
}

static int op_attach(struct call *c)
{
    struct proc *p = find_proc(c->s, c->req->exec);

    if (!p || p->exited)
        return err_as(c->err, ERR_CONFLICT, ESRCH, "container is not running");
    if (!c->req->attach || c->fd < 0)
        return err_invalid(c->err, "attach without a socket");
    client_add(c->s, p, c->req->attach, take_fd(&c->fd));
    return 0;
}

static int op_exec(struct call *c)
{
    pid_t pid;
    int r = shim_exec(c->s, c->req, take_fd(&c->fd), &pid, c->err);

    if (r >= 0)
        c->reply->pid = pid;
    return r;
}

static int op_resize(struct call *c)
{
    struct proc *p = find_proc(c->s, c->req->exec);

    if (!p || p->exited)
        return err_as(c->err, ERR_CONFLICT, ESRCH, "process is not running");
    if (!p->tty || p->in.fd < 0)
        return 0; /* as Docker: resizing what has no terminal does nothing */
    return tty_set_size(p->in.fd, c->req->rows, c->req->cols, c->err);
}

static int op_kill(struct call *c)
{
    struct proc *p = find_proc(c->s, c->req->exec);

    if (!p || p->exited)
        return err_as(c->err, ERR_CONFLICT, ESRCH, "process is not running");
    /* Ours to reap, and not reaped yet: the pid is still its own. */
    if (kill(p->pid, c->req->signal) < 0)
        return err_sys(c->err, "send signal %d", c->req->signal);
    return 0;
}

static int op_close(struct call *c)
{
    struct proc *p = find_proc(c->s, c->req->exec);

    if (p)
        proc_stdin_eof(c->s, p);
    return 0;
}

/* Is this exec over? Its clients see the end of the stream before the daemon has read the event. */
static int op_state(struct call *c)
{
    const struct proc *p = find_proc(c->s, c->req->exec);

    c->reply->exited = !p || p->ended;
    return 0;
}

/* The container is wanted again: clients that have not taken their output yet are let go. */
static int op_end(struct call *c)
{
    if (!c->s->init_proc->ended)
        return err_as(c->err, ERR_CONFLICT, EBUSY, "container is running");
    for (struct proc *p = c->s->procs; p; p = p->next)
        p->linger_at = 1;
    return 0;
}

static int op_net_join(struct call *c)
{
    return net_join(c->s, c->req->net, &c->req->gateways, c->err);
}

static int op_net_leave(struct call *c)
{
    return net_leave(c->s, c->req->peer_if, &c->req->gateways, c->err);
}

static int op_dns(struct call *c)
{
    int r = net_dns_open(c->s, c->err);

    if (r < 0)
        return r;
    c->reply->fds[0] = c->s->dns_udp;
    c->reply->fds[1] = c->s->dns_tcp;
    c->reply->nfds = 2;
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(struct call *c);
} ops[] = {{"watch", op_watch},
           {"attach", op_attach},
           {"exec", op_exec},
           {"resize", op_resize},
           {"kill", op_kill},
           {"close", op_close},
           {"end", op_end},
           {"state", op_state},
           {"net-join", op_net_join},
           {"net-leave", op_net_leave},
           {"dns", op_dns}};

static int dispatch(struct call *c)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(ops[i].name, c->req->op) == 0)
            return ops[i].fn(c);
    return err_as(c->err, ERR_NOT_IMPLEMENTED, ENOSYS, "shim: unknown request \"%s\"", c->req->op);
}

static void peer_drop(struct shim *s, struct peer *peer)
{
    for (struct peer **at = &s->peers; *at; at = &(*at)->next)
        if (*at == peer) {
            *at = peer->next;
            break;
        }
    source_close(s, &peer->src);
    free(peer);
}

void serve_peer(struct shim *s, struct source *src, uint32_t events)
{
    auto_arena struct arena a = ARENA_INIT;
    struct peer *peer = (struct peer *)src;
    struct shim_req req = {0};
    struct shim_reply reply = {0};
    struct err err = {0};
    int fds[1];
    size_t nfds = 1;

    (void)events;
    int r = shim_recv(src->fd, &shim_req_type, &a, &req, fds, &nfds, &err);
    if (r == 0 || r == -ECONNRESET) {
        peer_drop(s, peer);
        return;
    }
    auto_close int fd = r > 0 && nfds == 1 ? fds[0] : -1;
    struct call c = {s, peer, &req, take_fd(&fd), &a, &reply, &err};
    r = r < 0 ? r : dispatch(&c);
    close_fd(&c.fd);
    if (r < 0) {
        reply.no = -r;
        reply.kind = err.kind;
        reply.msg = err.msg;
    }
    if (shim_send(src->fd, &shim_reply_type, &reply, reply.fds, reply.nfds) < 0)
        peer_drop(s, peer);
}

static void accept_peer(struct shim *s, struct source *src, uint32_t events)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    auto_close int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (fd < 0)
        return;
    /* The directory is root's alone; this holds even if somebody loosens it. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != geteuid())
        return;
    struct peer *peer = xnew(struct peer);
    peer->src = (struct source){.fd = take_fd(&fd), .fn = serve_peer};
    peer->next = s->peers;
    s->peers = peer;
    source_set(s, &peer->src, EPOLLIN);
}

int serve_open(struct shim *s, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(err, "create shim socket");
    /* Bound through the directory's descriptor: no length limit, no path to swap. */
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" SHIM_SOCKET,
                   s->run_fd);
    if (unlinkat(s->run_fd, SHIM_SOCKET, 0) < 0 && errno != ENOENT)
        return err_sys(err, "remove old shim socket");
    mode_t old = umask(0077);
    int r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    (void)umask(old);
    if (r < 0 || listen(fd, 16) < 0)
        return err_sys(err, "bind shim socket");
    s->listen = (struct source){.fd = take_fd(&fd), .fn = accept_peer};
    source_set(s, &s->listen, EPOLLIN);
    return 0;
}
