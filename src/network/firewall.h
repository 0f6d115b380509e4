/*
 * The packet filter of one bridge: one nftables table of our own, made once, with maps that hold
 * the published ports. Publishing adds elements in one transaction and never a rule, so its cost
 * does not grow with the number of containers; nothing outside the table is touched, and a drop
 * rule of the host keeps its say, since an accept of ours ends our chain only.
 */
#pragma once

#include "kern/rtnl.h"

struct firewall;

struct fw_port {
    struct ip host; /* address to listen on; all zero: any local one */
    uint16_t host_port, port;
    struct ip to;      /* the container's address */
    const char *proto; /* "tcp", "udp", "sctp" */
};

/**
 * fw_open() - make the table for @bridge and @subnet, or take over the one that is there
 * A table left by an earlier daemon is replaced in one transaction; the elements are then put back
 * by fw_publish() for the containers that still run.
 * @masquerade: containers' traffic to the outside leaves with the host's address
 */
int fw_open(const char *bridge, const struct ip *subnet, bool masquerade, bool icc,
            struct firewall **ret, struct err *err) MUST;
/** fw_free() - forget the handle; the table stays and keeps working. */
void fw_free(struct firewall *f);
/** fw_remove() - delete the table. */
int fw_remove(struct firewall *f, struct err *err) MUST;
/** fw_publish(), fw_unpublish() - all @n ports in one transaction; any thread. */
int fw_publish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
int fw_unpublish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err) MUST;
