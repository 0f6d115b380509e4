/* What network.c and the drivers share. A driver knows links and the packet filter; subnets,
 * addresses and ports are the same for all and lie in network.c. */
#pragma once

#include "network/firewall.h"
#include "network/network.h"
#include "network/proxy.h"

#include <pthread.h>
#include <stdatomic.h>

struct net_host {
    struct firewall *fw;
    struct port_table *ports;
    struct proxy *proxy;
    bool filter; /* the packet filter is ours to use */
    bool forward;
    pthread_mutex_t lock; /* links */
    struct {
        struct network **v; /* heap: those that are open */
        size_t n;
    } links;
};

/** net_host_add(), net_host_drop() - a network is open, it is not any more. */
void net_host_add(struct net_host *h, struct network *n);
void net_host_drop(struct net_host *h, const struct network *n);
/** net_host_owns() - is this the link of one of our networks? @name: and has it another name? */
bool net_host_owns(struct net_host *h, int ifindex, const char *name);
/** net_host_uses() - has one of our open networks the link of this name? */
bool net_host_uses(struct net_host *h, const char *link);

/**
 * net_link_del() - delete a link by name; a missing one is success
 * Returns when the link is gone, which is before the kernel has given its memory back.
 */
int net_link_del(const char *name, struct err *err) MUST;

struct net_pool {
    struct ip subnet, gateway;
    struct ip_pool *pool;
};

struct net_driver {
    const char *name;
    bool publishes; /* ports can be published on the host */
    int (*check)(const struct network_conf *c, struct err *err);
    /** open() - make the links and rules, or take over what is there; on an error nothing new is
     * left. Sets n->index. */
    int (*open)(struct network *n, const struct network_conf *c, struct err *err);
    int (*remove)(struct network *n, struct err *err);
    /** heal() - Return: 1 something had to be made again, 0 all is there. */
    int (*heal)(struct network *n, struct err *err);
    void (*link)(const struct network *n, struct net_link *ret);
    /** attach() - the host's end of an endpoint belongs to the link (again); NULL: there is none.
     */
    int (*attach)(const struct network *n, const struct endpoint *ep, bool hairpin,
                  struct err *err);
};

extern const struct net_driver bridge_driver, macvlan_driver, ipvlan_driver;

struct network {
    struct net_host *host;
    const struct net_driver *driver;
    char id[65];
    char link[IFNAMSIZ]; /* the bridge, or the link that is shared */
    struct net_options opts;
    bool internal;
    bool removed;           /* links and rules are gone */
    bool given;             /* the link is somebody else's */
    atomic_int index;       /* ifindex of link: the watch reads it while it is mended */
    int claim;              /* locked file while the bridge is ours; -1: none */
    struct fw_net fw;       /* what of it the packet filter knows; bridge: NULL nothing */
    pthread_mutex_t lock;   /* the pools */
    struct net_pool *pools; /* heap */
    size_t npools;
};
