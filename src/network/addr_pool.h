/*
 * Addresses of one IPv4 subnet. A bit per address; the search goes on behind the last address
 * given out, so that a freed one is not used again at once (its old neighbours still have it in
 * their ARP caches) and a search is short however many are taken.
 */
#pragma once

#include "kern/rtnl.h"

struct addr_pool;

#define IPAM_PREFIX_MIN 8 /* 2^24 addresses, 2 MiB of bits */

/**
 * addr_pool_new() - a pool over @subnet (its address bits are masked off)
 * Network and broadcast address are never given out. Return: 0, -EINVAL for a prefix outside
 * IPAM_PREFIX_MIN..30.
 */
int addr_pool_new(const struct ip *subnet, struct addr_pool **ret, struct err *err) MUST;
void addr_pool_free(struct addr_pool *p);
/** addr_pool_take() - any free address; addr_pool_take_this(): a wanted one.
 * Return: 0; -ENOSPC when all are taken; -EADDRINUSE; -EINVAL outside the subnet. */
int addr_pool_take(struct addr_pool *p, struct ip *ret, struct err *err) MUST;
int addr_pool_take_this(struct addr_pool *p, const struct ip *want, struct err *err) MUST;
void addr_pool_give_back(struct addr_pool *p, const struct ip *ip);

/**
 * addr_find_subnet() - the first default pool that no address or route of this host overlaps
 * Pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 and on.
 */
int addr_find_subnet(struct ip *ret, struct err *err) MUST;

uint32_t ip_to_u32(const struct ip *ip);
struct ip ip_from_u32(uint32_t a, uint8_t prefix);
