/*
 * Ports of the host: which are published, and by whom. A reserved port is one that we hold a bound
 * socket on, so that no other program can take it, a port in use is found out here, and `ss` shows
 * it. No packet reaches the socket where the packet filter leads them away first.
 */
#pragma once

#include "kern/ip.h"

struct port_table;
struct proxy_port;

struct publish {
    struct ip host;           /* address to listen on, of either family; all zero: any */
    uint16_t host_port, port; /* host_port 0: chosen, and written back */
    uint16_t host_port_last;  /* with a range: take the first free one up to this */
    const char *proto;        /* "tcp", "udp", "sctp": static text */
    bool twin;    /* the same binding as the one before it, in the other family: it gets its port */
    int reserved; /* socket that holds the port; -1: none */
    struct proxy_port *proxy; /* serves that socket; NULL: the packet filter does it all */
};

struct port_table *ports_new(void);
void ports_free(struct port_table *t);

/**
 * ports_reserve() - all @n or none
 * @owner: who, for the message somebody else gets; copied
 * Return: 0 with @v's host_port and reserved filled in; -EADDRINUSE with Docker's words and the
 *   holder's name where it is known.
 */
int ports_reserve(struct port_table *t, struct publish *v, size_t n, const char *owner,
                  struct err *err) MUST;
/** ports_release() - close the sockets, forget the ports. */
void ports_release(struct port_table *t, struct publish *v, size_t n);

/** ports_have_ipv6() - can sockets of this host listen on [::]? */
bool ports_have_ipv6(void);

/** port_holder() - which program has a port open: "nginx, pid 12", or "" when that cannot be told.
 * Reads /proc: slow, for error texts. */
void port_holder(const struct publish *p, char *ret, size_t size);
