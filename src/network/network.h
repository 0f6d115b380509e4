/*
 * Networks of containers, of every driver: their links on the host, their subnets, the packet
 * filter and the published ports. Holds no container: an endpoint is a value that the caller keeps,
 * and gives back. What is inside a container's namespace is the shim's work; network_link() says
 * what it needs to know.
 */
#pragma once

#include "network/ipam.h"
#include "network/options.h"
#include "network/ports.h"

#include <net/if.h>

struct net_host;
struct network;
struct endpoint;

/* ---- the host's side that all networks of a daemon share ---- */

struct net_host_conf {
    const char *table; /* of the packet filter; no other daemon has that name */
    bool filter;       /* false: the packet filter is left alone: no masquerading, spliced ports */
    bool override;     /* the host's FORWARD chain has no say over our networks */
    bool forward;      /* switch IP forwarding on where a network needs it */
};

int net_host_open(const struct net_host_conf *c, struct net_host **ret, struct err *err) MUST;
/** net_host_free() - every network is closed; the packet filter keeps working. */
void net_host_free(struct net_host *h);
/** net_host_sync() - after the networks and ports of the daemon before were told: bring the packet
 * filter to what is wanted. Also the repair of a filter that somebody has changed. Return: as
 * fw_sync(). */
int net_host_sync(struct net_host *h, struct err *err) MUST;
/** net_host_remove() - delete the packet filter: a daemon that stops without containers. */
int net_host_remove(struct net_host *h, struct err *err) MUST;
const char *net_host_table(const struct net_host *h);

/* ---- networks ---- */

struct net_subnet {
    struct ip subnet;
    struct ip range;           /* addresses are chosen from it; family 0: from all */
    struct ip gateway;         /* with the subnet's prefix; family 0: none */
    const struct ip *reserved; /* never given out */
    size_t nreserved;
};

struct network_conf {
    const char *id, *driver;
    const struct net_subnet *subnets;
    size_t nsubnets;
    struct net_options opts;
    bool internal;
    bool given; /* the bridge is somebody else's: it must be there, and stays */
    bool fresh; /* a link of that name is somebody else's: refuse */
};

/** net_driver_known() - "bridge", "macvlan", "ipvlan". */
bool net_driver_known(const char *driver);
/** net_driver_publishes() - can ports of its containers be published? */
bool net_driver_publishes(const char *driver);
/** network_check() - what of a configuration can be told to be wrong before anything is made. */
int network_check(const struct network_conf *c, struct err *err) MUST;

/**
 * network_open() - make the network's links and rules, or take over those that are there
 * @c: copied. Blocking.
 * Return: 0; -EEXIST (conflict) when another daemon of this network namespace has that bridge, or
 *   with @fresh the link exists.
 */
int network_open(struct net_host *h, const struct network_conf *c, struct network **ret,
                 struct err *err) MUST;
/** network_close() - forget it; links and rules stay for running containers. */
void network_close(struct network *n);
/** network_remove() - delete links and rules; network_close() after that, or network_heal() to have
 * it back. */
int network_remove(struct network *n, struct err *err) MUST;
/** network_heal() - make again what somebody has taken away. Return: 1 the link is a new one, and
 * endpoints want network_attach(); 0 all is there. */
int network_heal(struct network *n, struct err *err) MUST;
/** network_has_link() - is @index (of net_link) still its link, and there? */
bool network_has_link(const struct network *n, int index);
/** network_attach() - give a running container's end its place on the link back. @hairpin: as when
 * it was made. */
int network_attach(struct network *n, const struct endpoint *ep, bool hairpin,
                   struct err *err) MUST; /* -ENODEV: its link is not there (yet) */

/** bridge_exists() - is there a link of this name? Return: 1, 0. */
int bridge_exists(const char *name, struct err *err) MUST;
/** bridge_address() - the IPv4 address that a link of this name has. Return: 1, 0 none. */
int bridge_address(const char *name, struct ip *ret, struct err *err) MUST;

const char *network_bridge(const struct network *n); /* link name, "" with other drivers */
const struct net_options *network_options(const struct network *n);
/** network_subnet() - of a family; family 0 when it has none. */
struct ip network_subnet(const struct network *n, int family);
/** network_gateway() - for containers in the subnet of @ip, with prefix; family 0 when none. */
struct ip network_gateway(const struct network *n, const struct ip *ip);

/* ---- endpoints ---- */

/* A container's place in a network. */
struct endpoint {
    struct ip ip, ip6; /* with the subnet's prefix; family 0: none */
    char mac[18];
    char host_if[IFNAMSIZ]; /* the host's end; "": none */
};

/** network_join() - addresses, a MAC, a link name. @want: what of it is asked for; NULL: nothing.
 */
int network_join(struct network *n, const struct endpoint *want, struct endpoint *ret,
                 struct err *err) MUST;
/** network_rejoin() - mark an endpoint of an earlier daemon's container as taken. */
int network_rejoin(struct network *n, const struct endpoint *ep, struct err *err) MUST;
/** network_leave() - give the addresses back; the link dies with the container's namespace. */
void network_leave(struct network *n, const struct endpoint *ep);

/* How the shim makes the container's interface. */
struct net_link {
    const char *kind; /* "veth", "macvlan", "ipvlan" */
    int parent;       /* ifindex of the bridge, or of the link that is shared */
    uint32_t mode;
    uint16_t flags;
    int mtu;
    bool isolated;      /* bridge port without a way to others of its kind */
    bool route_by_link; /* the default route has no gateway (ipvlan l3) */
};
void network_link(const struct network *n, struct net_link *ret);

/**
 * network_publish() - reserve the host's ports, then lead them to @ep, all or none
 * @owner: container's name. An IPv6 port of a container without IPv6 is spliced by this process.
 * Return: 0; as ports_reserve().
 */
int network_publish(struct network *n, const struct endpoint *ep, struct publish *ports, size_t np,
                    const char *owner, struct err *err) MUST;
/** network_open_ports() - @ports at the endpoint's own address, where its network is routed: of
 * each, the container's port and the family and protocol count. Again what is open is nothing. */
int network_open_ports(struct network *n, const struct endpoint *ep, const struct publish *ports,
                       size_t np, struct err *err) MUST;
void network_shut_ports(struct network *n, const struct endpoint *ep, const struct publish *ports,
                        size_t np);
/** network_gateway_mode() - of the address that host addresses of @family lead to: IPv6 ones lead
 * to an IPv4 address where the network has no other. */
enum gateway_mode network_gateway_mode(const struct network *n, int family);
/** network_forget_ports() - close what holds and serves them; the packet filter keeps leading them
 * to a container that outlives this daemon. */
void network_forget_ports(struct network *n, struct publish *ports, size_t np);
void network_unpublish(struct network *n, const struct endpoint *ep, struct publish *ports,
                       size_t np);
