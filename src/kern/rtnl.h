/*
 * Links, addresses and routes over rtnetlink. A message is built in a buffer on the stack, sent,
 * and its one acknowledgement read; there is no library below, since this code also runs in the
 * static shim and in a cloned child (Debian has no static libmnl).
 */
#pragma once

#include "base/err.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 or IPv6 address in network byte order. */
struct ip {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t prefix; /* bits of the network part */
    uint8_t addr[16];
};

/** ip_parse() - "10.0.0.1", "10.0.0.1/24", "fd00::1/64"; without a prefix it is the full length. */
int ip_parse(const char *s, struct ip *ret) MUST;
/** ip_format() - the address without its prefix; @out holds INET6_ADDRSTRLEN bytes. */
char *ip_format(const struct ip *ip, char *out);

/**
 * rtnl_open() - a netlink socket in the caller's network namespace
 * Return: a CLOEXEC fd, or -errno.
 */
int rtnl_open(struct err *err) MUST;

struct rtnl_veth {
    const char *host;    /* name of the end in the caller's namespace */
    const char *peer;    /* name of the other end */
    int peer_netns;      /* the namespace that end is born in */
    int master;          /* bridge ifindex of the host end, 0 for none */
    int mtu;             /* both ends; 0: the kernel's default */
    uint8_t peer_mac[6]; /* all zero: the kernel's choice */
};

/** rtnl_veth_add() - both ends in one message; the host end comes up in the same message. */
int rtnl_veth_add(int nl, const struct rtnl_veth *v, struct err *err) MUST;
/** rtnl_bridge_add() - make a bridge and bring it up; -EEXIST when the name is taken. */
int rtnl_bridge_add(int nl, const char *name, int mtu, struct err *err) MUST;
/** rtnl_hairpin() - let a bridge send frames back out of the port they came from. A container that
 * reaches itself by its published port needs it where br_netfilter translates on the bridge. */
int rtnl_hairpin(int nl, const char *port, struct err *err) MUST;
/** rtnl_link_del() - delete a link by name; a missing one is success. */
int rtnl_link_del(int nl, const char *name, struct err *err) MUST;
/** rtnl_link_up() - set IFF_UP. */
int rtnl_link_up(int nl, int ifindex, struct err *err) MUST;
/** rtnl_link_index() - ifindex of a name; -ENODEV when there is none. */
int rtnl_link_index(int nl, const char *name, struct err *err) MUST;

/** rtnl_addr_add() - add @ip/prefix to a link (IPv6 without duplicate detection); existing is fine.
 */
int rtnl_addr_add(int nl, int ifindex, const struct ip *ip, struct err *err) MUST;
/** rtnl_route_add() - route to @dst (family 0: default, of the gateway's family) by @gw or link. */
int rtnl_route_add(int nl, int ifindex, const struct ip *dst, const struct ip *gw,
                   struct err *err) MUST;

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
