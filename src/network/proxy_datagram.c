/* Datagrams: every sender has a socket to the container, and is forgotten after a while. */
#include "network/proxy-priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"

#define SILENCE_NS (90 * NS_PER_S)
#define DATAGRAM_MAX 65535
#define BURST 64 /* datagrams in a row before others get their turn */

/* Which of our addresses a datagram was sent to: the answer comes from there. */
struct control {
    char data[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8)));
    size_t len;
};

struct sender {
    struct peer peer; /* first: a peer is one of these */
    struct sockaddr_storage from;
    socklen_t from_len;
    struct control to;
    int fd;
    struct loop_source *src;
    int64_t seen_ns;
};

static void sender_free(struct peer *p)
{
    struct sender *s = (struct sender *)p;

    loop_source_free(s->src);
    close_fd(&s->fd);
    free(s);
}

/* What the container answers. */
static void answer_ready(struct loop_source *src, uint32_t events, void *arg)
{
    struct sender *s = arg;
    char *packet = proxy_packet(s->peer.port->proxy);

    (void)src;
    (void)events;
    for (int i = 0; i < BURST; i++) {
        ssize_t n = recv(s->fd, packet, DATAGRAM_MAX, 0);
        if (n < 0) /* ECONNREFUSED, too: the sender has no way to hear of it */
            return;
        struct iovec iov = {packet, (size_t)n};
        struct msghdr m = {.msg_name = &s->from,
                           .msg_namelen = s->from_len,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = s->to.len ? s->to.data : NULL,
                           .msg_controllen = s->to.len};
        s->seen_ns = mono_ns();
        (void)!sendmsg(s->peer.port->fd, &m, MSG_NOSIGNAL); /* datagrams may be lost */
    }
}

static struct sender *find(struct proxy_port *port, const struct sockaddr_storage *from,
                           socklen_t len)
{
    for (struct peer *p = port->peers; p; p = p->next) {
        struct sender *s = (struct sender *)p;
        if (s->from_len == len && memcmp(&s->from, from, len) == 0)
            return s;
    }
    return NULL;
}

static void drop_oldest(struct proxy_port *port)
{
    struct sender *oldest = (struct sender *)port->peers;

    for (struct peer *p = port->peers; p; p = p->next)
        if (((struct sender *)p)->seen_ns < oldest->seen_ns)
            oldest = (struct sender *)p;
    peer_drop(&oldest->peer);
}

static struct sender *sender_new(struct proxy_port *port, const struct sockaddr_storage *from,
                                 socklen_t len)
{
    struct sender *s = xnew(struct sender);

    s->peer.free = sender_free;
    s->from = *from;
    s->from_len = len;
    s->fd = socket(port->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    peer_link(port, &s->peer);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&port->to, port->to_len) < 0 ||
        loop_add_fd(proxy_loop(port->proxy), s->fd, EPOLLIN, answer_ready, s, &s->src, NULL) < 0) {
        peer_drop(&s->peer);
        return NULL;
    }
    return s;
}

/* The interface is left to the routes: only the address counts. */
static void keep_control(struct msghdr *m, struct control *ret)
{
    ret->len = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
            if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
                info->ipi6_ifindex = 0;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);
            info->ipi_ifindex = 0;
            info->ipi_spec_dst = info->ipi_addr;
        } else {
            continue;
        }
        if (CMSG_ALIGN(c->cmsg_len) <= sizeof(ret->data)) {
            memcpy(ret->data, c, c->cmsg_len);
            ret->len = CMSG_ALIGN(c->cmsg_len);
        }
    }
}

/* Return: false when the socket's queue is empty. */
static bool forward(struct proxy_port *port, char *packet)
{
    struct sockaddr_storage from = {0};
    char control[256] __attribute__((aligned(8)));
    struct iovec iov = {packet, DATAGRAM_MAX};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof(from),
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(port->fd, &m, 0);

    if (n < 0)
        return errno == EINTR;
    struct sender *s = find(port, &from, m.msg_namelen);
    if (!s && port->npeers == port->max)
        drop_oldest(port);
    if (!s)
        s = sender_new(port, &from, m.msg_namelen);
    if (!s)
        return true; /* no socket for it: lost */
    keep_control(&m, &s->to);
    s->seen_ns = mono_ns();
    (void)!send(s->fd, packet, (size_t)n, MSG_NOSIGNAL);
    return true;
}

void datagram_ready(struct loop_source *src, uint32_t events, void *arg)
{
    struct proxy_port *port = arg;

    (void)src;
    (void)events;
    for (int i = 0; i < BURST && forward(port, proxy_packet(port->proxy)); i++)
        ;
}

void datagram_sweep(struct loop_source *src, uint32_t events, void *arg)
{
    struct proxy_port *port = arg;
    int64_t before = mono_ns() - SILENCE_NS;

    (void)src;
    (void)events;
    for (struct peer *p = port->peers, *next; p; p = next) {
        next = p->next;
        if (((struct sender *)p)->seen_ns < before)
            peer_drop(p);
    }
}
