/*
 * The name server of user-defined networks: containers ask 127.0.0.11, and this answers from the
 * names of their networks or asks the servers behind. It serves sockets that were bound inside the
 * containers' network namespaces and passed here, all on one thread with a loop of its own, so
 * that no request of the API ever delays a name. Holds no container and no network: a zone is a
 * set of names, a client is a pair of sockets and the zones it sees.
 *
 * Any thread may call; changes are seen by the next query. Nothing here blocks on the network.
 */
#pragma once

#include "kern/rtnl.h"

#include <stdbool.h>
#include <stddef.h>

struct dns;
struct dns_zone;
struct dns_client;

#define DNS_ADDRESS "127.0.0.11"
#define DNS_UPSTREAM_MAX 6

/** dns_new() - start the thread. Return: 0, -errno. */
int dns_new(struct dns **ret, struct err *err) MUST;
/** dns_free() - end the thread; every zone and client must be gone. */
void dns_free(struct dns *d);

/**
 * dns_zone_new() - the names of one network
 * @domain: the network's name: "web" is found as "web.DOMAIN" too; copied
 */
struct dns_zone *dns_zone_new(struct dns *d, const char *domain);
/** dns_zone_free() - clients that still see it see nothing there any more. */
void dns_zone_free(struct dns_zone *z);
/**
 * dns_zone_add() - one more address for a name
 * @name: compared without regard to case; one label or several; not a FQDN, no trailing dot. A name
 *   that DNS cannot carry (over 253 bytes, a label over 63 or empty) is ignored.
 * @ip: IPv4 or IPv6
 * @reverse: asked for @ip, say this name (with the domain); one per address, the last one counts
 */
void dns_zone_add(struct dns_zone *z, const char *name, const struct ip *ip, bool reverse);
/** dns_zone_remove() - what was added; an unknown pair is nothing. Several adds of one pair count.
 */
void dns_zone_remove(struct dns_zone *z, const char *name, const struct ip *ip);

/* Another name for somebody, seen by one client only (--link db:alias). */
struct dns_alias {
    const char *alias, *name;
};

/* A server behind. It is asked from the namespace of the container, whose routes and rules then
 * apply, and whose servers it may only reach there; or from the host's, for what listens there on
 * loopback. */
struct dns_server {
    struct ip ip;
    bool host;
};

struct dns_view {
    struct dns_zone *const *zones; /* in this order */
    size_t nzones;
    const struct dns_alias *aliases;
    size_t naliases;
    /* Asked for what no zone knows, in parallel, the first usable answer counts; none: names that
     * are not known here do not exist (an internal network). */
    struct dns_server upstream[DNS_UPSTREAM_MAX];
    size_t nupstream;
};

/**
 * dns_client_new() - serve a container
 * @udp: bound datagram socket; @tcp: listening socket, or -1; both become the server's, also when
 *   this fails
 * @view: copied
 */
int dns_client_new(struct dns *d, int udp, int tcp, const struct dns_view *view,
                   struct dns_client **ret, struct err *err) MUST;
/** dns_client_set() - it has joined or left a network. */
void dns_client_set(struct dns_client *c, const struct dns_view *view);
/** dns_client_free() - close its sockets; queries under way are dropped. */
void dns_client_free(struct dns_client *c);
