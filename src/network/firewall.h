/*
 * The packet filter: one nftables table of our own for all networks of a daemon, whose rules never
 * change. Networks and published ports are elements of its sets and maps: adding a network or
 * publishing a port adds elements in one transaction and never a rule, so that its cost does not
 * grow with the number of containers. Nothing outside the table is touched, and a drop rule of the
 * host keeps its say, since an accept of ours ends our chain only.
 *
 * What is wanted is kept here; fw_sync() compares it with what the kernel has and changes the
 * difference. That serves the start of a daemon, which finds the table of the one before it, and
 * the repair of a table that somebody has flushed.
 */
#pragma once

#include "kern/ip.h"

#include <net/if.h>

struct firewall;

/* How the outside comes to a network's containers at their own addresses. */
enum fw_door {
    FW_SHUT,   /* not at all: by published ports of the host only */
    FW_WIDE,   /* at every port, but not from our other networks */
    FW_ROUTED, /* at the ports of fw_open_ports(), and nothing is translated */
};

/* A bridge network, to the packet filter. */
struct fw_net {
    const char *bridge;    /* link name */
    struct ip subnets[2];  /* with prefix; family 0: none */
    enum fw_door doors[2]; /* of each subnet */
    bool masquerade;       /* traffic to the outside leaves with an address of the host */
    struct ip
        sources[2]; /* that address, of each family; family 0: of the interface it leaves by */
    const char (*trusted)[IFNAMSIZ]; /* links that reach ports which are open to the near */
    size_t ntrusted;
    bool icc;      /* its containers may talk to each other */
    bool internal; /* nothing in, nothing out */
};

struct fw_port {
    struct ip host; /* address to listen on; all zero: any local one. fw_open_ports(): unused */
    uint16_t host_port, port;
    struct ip to;      /* the container's address, of the same family */
    const char *proto; /* "tcp", "udp", "sctp" */
    bool near;         /* fw_open_ports(): only from links that its network trusts */
};

/**
 * fw_open() - nothing is asked of the kernel until fw_sync()
 * @table: its name; copied
 * @enabled: false: every call below succeeds and does nothing
 * @override: a FORWARD chain of the host that drops lets our networks pass all the same
 */
int fw_open(const char *table, bool enabled, bool override, struct firewall **ret,
            struct err *err) MUST;
/** fw_overrides() - was it opened so? Then new chains of the host are of interest. */
bool fw_overrides(const struct firewall *f);
/** fw_free() - forget the handle; the table stays and keeps working. */
void fw_free(struct firewall *f);
/** fw_remove() - delete the table; a missing one is success. */
int fw_remove(struct firewall *f, struct err *err) MUST;

/**
 * fw_sync() - make the table what it should be, in one transaction or none
 * Blocks as long as listing the table takes. Return: 0 nothing to do, 1 elements were changed, 2
 * the table was made anew; any thread.
 */
int fw_sync(struct firewall *f, struct err *err) MUST;

/* Each is one transaction; any thread. Before the first fw_sync() they are only noted. */
/** fw_net_add() - again what was added is nothing. */
int fw_net_add(struct firewall *f, const struct fw_net *n, struct err *err) MUST;
int fw_net_del(struct firewall *f, const struct fw_net *n, struct err *err) MUST;
int fw_publish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
int fw_unpublish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
/** fw_open_ports() - ports of containers at their own address, in routed networks from everywhere.
 * Those of one container may be named twice. */
int fw_open_ports(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
int fw_shut_ports(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
/** fw_port_id() - the netlink port that our changes come from; 0 when it is switched off. */
uint32_t fw_port_id(const struct firewall *f);
/** fw_table() - its name, for who watches it. */
const char *fw_table(const struct firewall *f);
