/*
 * The default bridge network: a bridge on the host, its subnet, its packet filter, the addresses
 * of containers on it and their published ports. Holds no container: an endpoint is a value that
 * the caller keeps, and gives back.
 */
#pragma once

#include "base/str.h"
#include "network/firewall.h"
#include "network/addr_pool.h"

#include <netinet/in.h>

struct bridge;

struct bridge_opts {
    const char *name; /* of the link */
    const char *bip;  /* "172.18.0.1/24": address of the bridge, and its subnet; "" picks one */
    int mtu;          /* 0: 1500 */
    bool masquerade, icc, forward;
    bool fresh; /* a link of that name is somebody else's, not ours from before */
};

/* A container's place on the bridge. */
struct endpoint {
    struct ip ip; /* with the subnet's prefix; family 0: none */
    char mac[18];
    char host_if[IFNAMSIZ];
};

struct publish {
    struct ip host;           /* all zero: any */
    uint16_t host_port, port; /* host_port 0: chosen, and written back */
    uint16_t host_port_last;  /* with a range: take the first free one up to this */
    const char *proto;
    int reserved; /* socket that holds the port; -1: none */
};

/**
 * bridge_open() - make the bridge, or take over the one that is there with its address
 * Blocking; changes net.ipv4.ip_forward when asked to and needed.
 * Return: 0; -EEXIST (conflict) when another daemon of this network namespace has that bridge, or
 *   with @fresh the link exists.
 */
int bridge_open(const struct bridge_opts *o, struct bridge **ret, struct err *err) MUST;
/** bridge_free() - forget it; link and table stay for running containers. */
void bridge_free(struct bridge *b);
/** bridge_remove() - delete link and table: a daemon that stops without containers. */
int bridge_remove(struct bridge *b, struct err *err) MUST;

const char *bridge_name(const struct bridge *b);
int bridge_index(const struct bridge *b);
int bridge_mtu(const struct bridge *b);
struct ip bridge_gateway(const struct bridge *b); /* with prefix */
struct ip bridge_subnet(const struct bridge *b);

/** bridge_join() - an address, a MAC made from it, and a link name. @want: family 0: any. */
int bridge_join(struct bridge *b, const struct ip *want, struct endpoint *ret,
                struct err *err) MUST;
/** bridge_rejoin() - mark an endpoint of an earlier daemon's container as taken. */
int bridge_rejoin(struct bridge *b, const struct endpoint *ep, struct err *err) MUST;
/** bridge_leave() - give the address back; the link dies with the container's namespace. */
void bridge_leave(struct bridge *b, const struct endpoint *ep);

/**
 * bridge_publish() - reserve the host's ports, then lead them to @ep, all or none
 * A reserved port is one that we hold a bound socket on, so no other program can take it and a
 * port in use is found out here.
 * Return: 0; -EADDRINUSE with Docker's words.
 */
int bridge_publish(struct bridge *b, const struct endpoint *ep, struct publish *ports, size_t n,
                   struct err *err) MUST;
void bridge_unpublish(struct bridge *b, const struct endpoint *ep, struct publish *ports, size_t n);
