/* IPv4 and IPv6 addresses with their prefix, as values. */
#pragma once

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address in network byte order. */
struct ip {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t prefix; /* bits of the network part */
    uint8_t addr[16];
};

#define IP_TEXT (INET6_ADDRSTRLEN + 4) /* with prefix and NUL */

/** ip_parse() - "10.0.0.1", "10.0.0.1/24", "fd00::1/64"; without a prefix it is the full length. */
int ip_parse(const char *s, struct ip *ret) MUST;
/** ip_format() - the address without its prefix; @out holds INET6_ADDRSTRLEN bytes. */
char *ip_format(const struct ip *ip, char *out);
/** ip_format_cidr() - with its prefix; @out holds IP_TEXT bytes. */
char *ip_format_cidr(const struct ip *ip, char *out);

/** ip_len() - bytes of an address of this family: 4 or 16. */
size_t ip_len(const struct ip *ip);
/** ip_is_any() - all zero, or no address at all. */
bool ip_is_any(const struct ip *ip);
/** ip_is_loopback() - 127.0.0.0/8, ::1 */
bool ip_is_loopback(const struct ip *ip);
/** ip_same() - the same address, whatever the prefix. */
bool ip_same(const struct ip *a, const struct ip *b);
/** ip_contains() - is @ip in @subnet? */
bool ip_contains(const struct ip *subnet, const struct ip *ip);
/** ip_overlap() - do two subnets share an address? */
bool ip_overlap(const struct ip *a, const struct ip *b);
/** ip_network() - with all bits behind the prefix zero. */
struct ip ip_network(const struct ip *ip);
/** ip_offset() - how far @ip lies behind @base, same family; UINT64_MAX if further or before. */
uint64_t ip_offset(const struct ip *base, const struct ip *ip);
/** ip_add() - the address @n behind @base, with its prefix. */
struct ip ip_add(const struct ip *base, uint64_t n);
/** ip_next_network() - the network behind @net, of the same size. */
struct ip ip_next_network(const struct ip *net);

/** mac_parse() - "02:42:ac:11:00:02"; -EINVAL for anything else. */
int mac_parse(const char *text, uint8_t ret[6]) MUST;
