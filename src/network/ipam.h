/*
 * Which addresses are given out, and which subnets. A pool is one subnet with a bit per address;
 * the search goes on behind the last address given out, so that a freed one is not used again at
 * once (its old neighbours still have it in their ARP caches) and a search is short however many
 * are taken. IPv6 subnets are too big for that: there the pool gives out from the first 65,536
 * addresses, and keeps a list of what lies behind.
 */
#pragma once

#include "kern/ip.h"

struct ip_pool;

#define IPAM_PREFIX4_MIN 8 /* 2^24 addresses, 2 MiB of bits */

/**
 * ip_pool_new() - a pool over @subnet (its address bits are masked off)
 * @range: part of it that addresses are chosen from; family 0: all
 * Network and broadcast address are never chosen. Return: 0, -EINVAL for a prefix that leaves no
 * room or too much, a range outside.
 */
int ip_pool_new(const struct ip *subnet, const struct ip *range, struct ip_pool **ret,
                struct err *err) MUST;
void ip_pool_free(struct ip_pool *p);
/** ip_pool_take() - any free address; ip_pool_take_this(): a wanted one, in the range or not.
 * @ret has the subnet's prefix. Return: 0; -ENOSPC when all are taken; -EADDRINUSE; -EINVAL outside
 * the subnet. */
int ip_pool_take(struct ip_pool *p, struct ip *ret, struct err *err) MUST;
int ip_pool_take_this(struct ip_pool *p, const struct ip *want, struct err *err) MUST;
/** ip_pool_give_back() - what was not taken is nothing. */
void ip_pool_give_back(struct ip_pool *p, const struct ip *ip);

/* Subnets to choose from: all of @size bits within @base. */
struct ip_block {
    struct ip base;
    uint8_t size;
};

/**
 * ipam_find_subnet() - the first subnet of the blocks that nobody has
 * @blocks: NULL for the usual ones: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on
 * @family: AF_INET or AF_INET6: blocks of the other one are passed over
 * @taken: subnets of our own networks; addresses and routes of this host count too. Dumps these:
 *   blocks a little.
 * Return: 0; -ENOSPC with Docker's words.
 */
int ipam_find_subnet(const struct ip_block *blocks, size_t n, int family, const struct ip *taken,
                     size_t ntaken, struct ip *ret, struct err *err) MUST;
