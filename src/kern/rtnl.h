/*
 * Links, addresses and routes over rtnetlink. A message is built in a buffer on the stack, sent,
 * and its one acknowledgement read; there is no library below, since this code also runs in the
 * static shim and in a cloned child (Debian has no static libmnl).
 */
#pragma once

#include "base/err.h"
#include "kern/ip.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * rtnl_open() - a netlink socket in the caller's network namespace
 * Return: a CLOEXEC fd, or -errno.
 */
int rtnl_open(struct err *err) MUST;

/**
 * netlink_listen() - a non-blocking socket that hears what happens, in the caller's network
 * namespace
 * @protocol: NETLINK_ROUTE, NETLINK_NETFILTER, ... @groups: a mask, see netlink(7)
 * Return: a CLOEXEC fd, or -errno.
 */
int netlink_listen(int protocol, uint32_t groups, struct err *err) MUST;

struct rtnl_veth {
    const char *host;    /* name of the end in the caller's namespace */
    const char *peer;    /* name of the other end */
    int peer_netns;      /* the namespace that end is born in */
    int master;          /* bridge ifindex of the host end, 0 for none */
    int mtu;             /* both ends; 0: the kernel's default */
    uint8_t peer_mac[6]; /* all zero: the kernel's choice */
};

/* A link that shares another one: macvlan, ipvlan. */
struct rtnl_child {
    const char *kind; /* "macvlan", "ipvlan" */
    const char *name;
    int parent;     /* ifindex */
    int netns;      /* the namespace it is born in; -1: the caller's */
    uint32_t mode;  /* MACVLAN_MODE_*, IPVLAN_MODE_* */
    uint16_t flags; /* IPVLAN_F_* */
    int mtu;
    uint8_t mac[6]; /* macvlan only; all zero: the kernel's choice */
};

/** rtnl_veth_add() - both ends in one message; the host end comes up in the same message. */
int rtnl_veth_add(int nl, const struct rtnl_veth *v, struct err *err) MUST;
/** rtnl_bridge_add() - make a bridge and bring it up; -EEXIST when the name is taken. */
int rtnl_bridge_add(int nl, const char *name, int mtu, struct err *err) MUST;
/** rtnl_dummy_add() - a link that leads nowhere, up; -EOPNOTSUPP: not in this kernel. */
int rtnl_dummy_add(int nl, const char *name, struct err *err) MUST;
/**
 * rtnl_port_set() - how a bridge treats one of its ports
 * @hairpin: frames may go back out of the port they came from; a container that reaches itself by
 *   its published port needs it where br_netfilter translates on the bridge
 * @isolated: no frames to other isolated ports
 */
int rtnl_port_set(int nl, const char *port, bool hairpin, bool isolated, struct err *err) MUST;
/** rtnl_child_add() - a macvlan or ipvlan link; comes up by itself. -EOPNOTSUPP: not in this
 * kernel; -EBUSY, -EEXIST as the kernel. */
int rtnl_child_add(int nl, const struct rtnl_child *c, struct err *err) MUST;
/** rtnl_vlan_add() - sub-interface @name of @parent with the 802.1q tag @id, up. */
int rtnl_vlan_add(int nl, const char *name, int parent, uint16_t id, struct err *err) MUST;
/** rtnl_link_set_master() - make a link a port of the bridge @master. */
int rtnl_link_set_master(int nl, const char *name, int master, struct err *err) MUST;
/** rtnl_link_set_mac() - the address of a link. */
int rtnl_link_set_mac(int nl, int ifindex, const uint8_t mac[6], struct err *err) MUST;
/** rtnl_link_set_alias() - a note that everybody can read, @text up to 254 bytes. */
int rtnl_link_set_alias(int nl, int ifindex, const char *text, struct err *err) MUST;
/** rtnl_link_has_alias() - is that the note? Return: 1, 0. */
int rtnl_link_has_alias(int nl, const char *name, const char *text, struct err *err) MUST;
/** rtnl_link_rename() - its name by its index; -EBUSY: it is up, which kernels before 6.2 mind. */
int rtnl_link_rename(int nl, int ifindex, const char *name, struct err *err) MUST;
/** rtnl_link_name() - name by ifindex; @ret holds IFNAMSIZ bytes; -ENODEV. */
int rtnl_link_name(int nl, int ifindex, char *ret, struct err *err) MUST;
/** rtnl_link_is() - is it of this kind ("bridge", "veth")? Return: 1, 0. */
int rtnl_link_is(int nl, const char *name, const char *kind, struct err *err) MUST;
/** rtnl_link_del() - delete a link by name; a missing one is success. */
int rtnl_link_del(int nl, const char *name, struct err *err) MUST;
/** rtnl_link_up(), rtnl_link_down() - set or clear IFF_UP. */
int rtnl_link_up(int nl, int ifindex, struct err *err) MUST;
int rtnl_link_down(int nl, int ifindex, struct err *err) MUST;
/** rtnl_link_index() - ifindex of a name; -ENODEV when there is none. */
int rtnl_link_index(int nl, const char *name, struct err *err) MUST;

/** rtnl_addr_add() - add @ip/prefix to a link (IPv6 without duplicate detection); existing is fine.
 */
int rtnl_addr_add(int nl, int ifindex, const struct ip *ip, struct err *err) MUST;
/** rtnl_addr_del() - take an address off a link; a missing one is success. */
int rtnl_addr_del(int nl, int ifindex, const struct ip *ip, struct err *err) MUST;
/** rtnl_route_add() - route to @dst (family 0: default, of the gateway's family) by @gw or link. */
int rtnl_route_add(int nl, int ifindex, const struct ip *dst, const struct ip *gw,
                   struct err *err) MUST;
/** rtnl_default_set() - the default route of @family is by @gw, or by the link alone if @gw is
 * NULL; it takes the place of the one before, which stays on an error. */
int rtnl_default_set(int nl, int family, int ifindex, const struct ip *gw, struct err *err) MUST;

/** rtnl_addr_each(), rtnl_route_each() - dump; @fn returns nonzero to stop (that value is
 * returned). Routes: @ip is the destination (prefix 0 is the default route). */
typedef int (*rtnl_ip_fn)(void *arg, int ifindex, const struct ip *ip);
int rtnl_addr_each(rtnl_ip_fn fn, void *arg, struct err *err) MUST;
int rtnl_route_each(rtnl_ip_fn fn, void *arg, struct err *err) MUST;

/* Counters of one link, as in IFLA_STATS64. */
struct rtnl_stats {
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    uint64_t rx_errors, tx_errors, rx_dropped, tx_dropped;
};
/** rtnl_link_stats() - counters of the link @name; -ENODEV when there is none. */
int rtnl_link_stats(int nl, const char *name, struct rtnl_stats *ret, struct err *err) MUST;
