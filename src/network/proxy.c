#include "network/proxy-priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/time.h"

#define STACK_B (128 * 1024)
#define SWEEP_NS (15 * NS_PER_S)

struct proxy {
    pthread_mutex_t lock; /* loop, thread, and the calls that are waited for */
    pthread_cond_t called;
    struct loop *loop; /* NULL until the first port */
    pthread_t thread;
    size_t max;
    char packet[65536];
};

struct proxy *proxy_new(void)
{
    struct proxy *p = xnew(struct proxy);

    p->max = PROXY_PEERS_MAX;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->called, NULL);
    return p;
}

struct loop *proxy_loop(struct proxy *p)
{
    return p->loop;
}

void proxy_set_max(struct proxy *p, size_t max)
{
    p->max = max;
}

char *proxy_packet(struct proxy *p)
{
    return p->packet;
}

/* ---- the thread ---- */

static void *serve(void *arg)
{
    struct proxy *p = arg;

    (void)pthread_setname_np(pthread_self(), "proxy");
    int r = loop_run(p->loop, NULL);
    assert(r == 0); /* epoll fails when it is misused */
    (void)r;
    return NULL;
}

/* Lock held. */
static int start_thread(struct proxy *p, struct err *err)
{
    int r = loop_new(&p->loop, err);

    if (r < 0)
        return r;
    r = thread_start(serve, p, STACK_B, &p->thread, "start thread of port proxy", err);
    if (r < 0)
        loop_free(take_ptr(&p->loop));
    return r;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    if (p->loop) {
        loop_stop(p->loop);
        (void)pthread_join(p->thread, NULL);
        loop_free(p->loop);
    }
    (void)pthread_cond_destroy(&p->called);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

/* A call on the proxy's thread that is waited for. */
struct call {
    struct proxy_port *port;
    int (*fn)(struct proxy_port *port, struct err *err);
    struct err *err;
    int r;
    bool done;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    struct proxy *p = c->port->proxy;
    int r = c->fn(c->port, c->err);

    (void)pthread_mutex_lock(&p->lock);
    c->r = r;
    c->done = true;
    (void)pthread_cond_broadcast(&p->called);
    (void)pthread_mutex_unlock(&p->lock);
}

static int call(struct proxy_port *port, int (*fn)(struct proxy_port *port, struct err *err),
                struct err *err)
{
    struct proxy *p = port->proxy;
    struct call c = {.port = port, .fn = fn, .err = err};

    (void)pthread_mutex_lock(&p->lock);
    loop_post(p->loop, run_call, &c);
    while (!c.done)
        (void)pthread_cond_wait(&p->called, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
    return c.r;
}

/* ---- ports ---- */

void peer_link(struct proxy_port *port, struct peer *p)
{
    p->port = port;
    p->next = port->peers;
    port->peers = p;
    port->npeers++;
}

void peer_drop(struct peer *p)
{
    struct proxy_port *port = p->port;
    struct err ignored = {0};

    for (struct peer **at = &port->peers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    port->npeers--;
    p->free(p);
    if (port->stream && port->src && port->npeers == port->max - 1) /* room again */
        (void)!loop_source_arm(port->src, EPOLLIN, &ignored);
}

static int open_port(struct proxy_port *port, struct err *err)
{
    struct loop *l = port->proxy->loop;
    int r = port->stream
                ? loop_add_timer(l, -1, 0, stream_again, port, &port->timer, err)
                : loop_add_timer(l, SWEEP_NS, SWEEP_NS, datagram_sweep, port, &port->timer, err);

    if (r >= 0)
        r = loop_add_fd(l, port->fd, EPOLLIN, port->stream ? stream_ready : datagram_ready, port,
                        &port->src, err);
    return r;
}

static int close_port(struct proxy_port *port, struct err *err)
{
    (void)err;
    loop_source_free(take_ptr(&port->src));
    loop_source_free(take_ptr(&port->timer));
    while (port->peers)
        peer_drop(port->peers);
    close_fd(&port->fd);
    return 0;
}

static void fill_address(struct proxy_port *port, const struct ip *to, uint16_t number)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&port->to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&port->to;

    if (to->family == AF_INET6) {
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(number)};
        memcpy(&v6->sin6_addr, to->addr, 16);
        port->to_len = sizeof(*v6);
    } else {
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(number)};
        memcpy(&v4->sin_addr, to->addr, 4);
        port->to_len = sizeof(*v4);
    }
}

int proxy_port_new(struct proxy *p, int fd, bool stream, const struct ip *to, uint16_t number,
                   struct proxy_port **ret, struct err *err)
{
    struct proxy_port *port = xnew(struct proxy_port);
    int on = 1;

    port->proxy = p;
    port->stream = stream;
    port->max = p->max;
    fill_address(port, to, number);
    port->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r = port->fd < 0 || fcntl(port->fd, F_SETFL, O_NONBLOCK) < 0
                ? err_sys(err, "duplicate the port's socket")
                : 0;
    /* Which of our addresses a datagram came to is where its answer must come from. */
    if (!stream) {
        (void)setsockopt(port->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
        (void)setsockopt(port->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    }
    (void)pthread_mutex_lock(&p->lock);
    if (r >= 0 && !p->loop)
        r = start_thread(p, err);
    (void)pthread_mutex_unlock(&p->lock);
    if (r >= 0 && (r = call(port, open_port, err)) < 0)
        (void)call(port, close_port, NULL);
    if (r < 0) {
        close_fd(&port->fd);
        free(port);
        return r;
    }
    *ret = port;
    return 0;
}

void proxy_port_free(struct proxy_port *port)
{
    if (!port)
        return;
    (void)call(port, close_port, NULL);
    free(port);
}
