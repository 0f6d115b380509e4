/* What a network's driver is told: "com.docker.network...." and the like, as a struct. */
#pragma once

#include "base/str.h"
#include "kern/ip.h"

#include <net/if.h>

/* How the outside reaches a network's containers, per family. */
enum gateway_mode {
    GATEWAY_NAT,
    GATEWAY_NAT_UNPROTECTED, /* also directly, at the containers' own addresses, at any port */
    GATEWAY_ROUTED,          /* directly and untranslated, at the ports that are published */
    GATEWAY_ISOLATED,        /* internal networks: the host has no address on the bridge */
};

#define TRUSTED_MAX 16

struct net_options {
    char bridge[IFNAMSIZ];    /* link name; "": made from the network's id */
    char if_prefix[IFNAMSIZ]; /* of interfaces in containers: "eth" */
    int mtu;                  /* 0: the kernel's */
    bool masquerade, icc, inhibit_ipv4;
    enum gateway_mode mode4, mode6;
    struct ip binding;      /* default host address of published ports; family 0: all */
    struct ip snat4, snat6; /* source of what leaves; family 0: the interface's */
    /* Links by which the containers' published ports are reached at their own addresses. */
    struct {
        char v[TRUSTED_MAX][IFNAMSIZ];
        size_t n;
    } trusted;
    char parent[IFNAMSIZ];
    uint32_t mode; /* MACVLAN_MODE_*, IPVLAN_MODE_* */
    uint16_t flag; /* IPVLAN_F_* */
};

/** link_name_valid() - may a link be called so? Source: dev_valid_name() of the kernel, and no
 * quote or backslash, since names go into commands. */
bool link_name_valid(const char *s);

/**
 * net_options_parse() - options of @driver, checked
 * Unknown keys are kept by the network and mean nothing, as with Docker, since other tools leave
 * their notes there. Return: 0; -EINVAL, naming the option.
 */
int net_options_parse(const char *driver, const struct strmap *o, struct net_options *ret,
                      struct err *err) MUST;
