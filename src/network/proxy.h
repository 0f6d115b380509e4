/*
 * For published ports that the packet filter cannot lead to a container: an IPv6 port of a
 * container that has only IPv4, ::1 (which no kernel routes anywhere), and every port where the
 * packet filter is not ours to use. Connections to the socket that holds the port are spliced to
 * the container; datagrams get a socket per sender. One thread, made with the first such port.
 *
 * Connections do not survive the daemon, unlike those of the packet filter.
 */
#pragma once

#include "kern/ip.h"

struct proxy;
struct proxy_port;

struct proxy *proxy_new(void);
/** proxy_free() - every port must be gone. NULL is fine. */
void proxy_free(struct proxy *p);

/**
 * proxy_port_new() - serve a port
 * @fd: listening stream socket, or bound datagram socket, of the host; stays the caller's
 * @to, @number: address and port in the container, of either family
 */
int proxy_port_new(struct proxy *p, int fd, bool stream, const struct ip *to, uint16_t number,
                   struct proxy_port **ret, struct err *err) MUST;
/** proxy_port_free() - when this returns nobody uses the socket any more; connections are cut. */
void proxy_port_free(struct proxy_port *port);
