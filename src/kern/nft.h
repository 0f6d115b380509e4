/*
 * nfnetlink without a library: the few packet filter messages that code in the static shim and in a
 * cloned child sends into a fresh network namespace. What the daemon wants of the host's packet
 * filter goes through libnftables instead (network/firewall.c).
 */
#pragma once

#include "kern/rtnl.h"

/**
 * nft_redirect_local() - in this network namespace, lead a local address' port to other ports
 * @addr: an address on lo, IPv4
 * @port: what programs connect to; @udp_to, @tcp_to: where sockets are bound really; 0: leave that
 *   protocol alone
 *
 * A table "cleat" with one chain on the output hook that rewrites ports both ways, without
 * connection tracking: on lo everything passes there, the answers too. One transaction; a table of
 * that name is replaced.
 * Return: 0; -EOPNOTSUPP and the like when the kernel has no nf_tables.
 * Source: linux/netfilter/nf_tables.h; payload expressions skip the checksum of CHECKSUM_PARTIAL
 * packets, which local ones are.
 */
int nft_redirect_local(const struct ip *addr, uint16_t port, uint16_t udp_to, uint16_t tcp_to,
                       struct err *err) MUST;
