/* What proxy.c (thread and ports), proxy_stream.c and proxy_datagram.c share. Everything but
 * proxy.c runs on the proxy's own thread. */
#pragma once

#include "base/loop.h"
#include "network/proxy.h"

#include <sys/socket.h>

struct peer;

struct proxy_port {
    struct proxy *proxy;
    int fd; /* our duplicate of the host's socket */
    bool stream;
    struct sockaddr_storage to;
    socklen_t to_len;
    struct loop_source *src, *timer;
    struct peer *peers; /* connections, or senders of datagrams */
    size_t npeers, max;
};

/* Of a connection, or of a sender of datagrams: what both have. */
struct peer {
    struct proxy_port *port;
    struct peer *next;
    void (*free)(struct peer *p);
};

/* Of one port. More connections wait in the socket's queue; the longest silent sender of datagrams
 * makes room. */
#define PROXY_PEERS_MAX 4096

struct loop *proxy_loop(struct proxy *p);
/** proxy_set_max() - other than PROXY_PEERS_MAX, for ports that are made from here on. */
void proxy_set_max(struct proxy *p, size_t max);
/** proxy_packet() - room for one datagram of any size, for the moment. */
char *proxy_packet(struct proxy *p);
void peer_link(struct proxy_port *port, struct peer *p);
/** peer_drop() - out of its port's list, and freed. */
void peer_drop(struct peer *p);

/** stream_ready(), datagram_ready() - the host's socket has something for us. */
void stream_ready(struct loop_source *s, uint32_t events, void *arg);
void datagram_ready(struct loop_source *s, uint32_t events, void *arg);
/** stream_again() - descriptors were short, and may be there again. */
void stream_again(struct loop_source *timer, uint32_t events, void *arg);
/** datagram_sweep() - forget senders that have been silent. */
void datagram_sweep(struct loop_source *s, uint32_t events, void *arg);
