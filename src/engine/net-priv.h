/*
 * Networks and the ends that containers have in them, inside the engine.
 *
 * A container names the networks it wants (container.networks); while it runs it has an end in each
 * (container.ends). The ends with their addresses are part of its state row, written with
 * "running" and gone with "exited": there is no second book of addresses that could be wrong.
 */
#pragma once

#include "network/dns.h"
#include "network/network.h"
#include "network/watch.h"
#include "shim/protocol.h"
#include "wire/network.h"

#include <pthread.h>

struct container;
struct engine;

/* What the catalog keeps of a network. */
struct net_record {
    struct network_inspect net; /* as inspect shows it, without containers */
    bool given;                 /* the bridge was there before the network */
};

struct net {
    struct net_record rec; /* in mem; never changes */
    struct arena mem;
    struct network *links; /* NULL: host, none, one that only keeps a configuration, or damaged */
    struct dns_zone *zone; /* of user-defined networks */
    bool predefined;
    /* Under nets.lock. */
    unsigned refs; /* the table's and everybody's who holds it */
    unsigned ends; /* of running containers */
};

/* The engine's networks. */
struct nets {
    pthread_mutex_t lock;   /* the table, refs, ends; never held over I/O */
    pthread_mutex_t making; /* create, remove, prune: one at a time; before lock */
    struct net **v;         /* heap */
    size_t n;
    struct net *bridge; /* the default one; NULL with --bridge none */
    struct net_host *host;
    struct dns *dns;
    struct net_watch *watch;
};

/* A running container's end in one network. */
struct ctr_end {
    struct net *net; /* held */
    char id[65];
    char ifname[IFNAMSIZ]; /* in the container */
    struct endpoint ep;
};

/* networks.c: the table */
int nets_open(struct engine *e, struct err *err) MUST;
/** nets_settle() - the containers are known: bring the packet filter up to date. */
int nets_settle(struct engine *e, struct err *err) MUST;
/** nets_close() - @remove: no container runs, so links and rules go too. */
void nets_close(struct engine *e, bool remove);
/** net_get() - by name, id, or the beginning of an id. Return: held, or NULL with Docker's words.
 */
struct net *net_get(struct engine *e, const char *name, struct err *err);
/** net_hold_end() - the same for one more end. net_put_end() gives it back. */
struct net *net_hold_end(struct engine *e, const char *name, struct err *err);
void net_put_end(struct engine *e, struct net *n);
void net_put(struct engine *e, struct net *n);
/** net_user_defined() - has it names, may addresses be asked for? */
bool net_user_defined(const struct net *n);
/** net_link() - into the table, which owns it from here on. */
void net_link(struct engine *e, struct net *n);
/** net_event() - "create", "connect", ...; @container: id, or NULL. */
void net_event(struct engine *e, const struct net *n, const char *action, const char *container);

/** nets_all() - references to all; the caller puts each and frees the array. */
struct net **nets_all(struct engine *e, size_t *ret_n);

/* net_heal.c */
/** nets_watch() - from here on, what others do to our links and rules is mended. */
int nets_watch(struct engine *e, struct err *err) MUST;
/** net_mend() - one network, at once: somebody has found that its link is not there. Waits for who
 * makes or mends another one; container.ends must not be held. */
int net_mend(struct engine *e, struct net *n, struct err *err) MUST;

/* net_create.c */
/** net_open_links() - what the record says, on the host. */
int net_open_links(struct engine *e, struct net *n, bool fresh, struct err *err) MUST;
extern const struct json_type net_record_type;

/* net_request.c */
int net_check_request(const struct network_create_request *rq, struct err *err) MUST;

/* net_subnets.c */
/** net_pick_subnet() - a free one of the daemon's pools; @taken: besides those of the host. */
int net_pick_subnet(struct engine *e, int family, const struct ip *taken, size_t ntaken,
                    struct ip *ret, struct err *err) MUST;
/** net_own_ipv6() - a /48 of unique local addresses that is this daemon's. */
struct ip_block net_own_ipv6(const struct engine *e);
/** net_settle_pools() - fill in every subnet and gateway that the record leaves open. */
int net_settle_pools(struct engine *e, struct net *n, struct err *err) MUST;
bool ipam_has_family(const struct ipam *ipam, int family);

/* net_default.c */
/** net_open_host() - the packet filter of this daemon; @name makes it its own. */
int net_open_host(struct engine *e, const char *name, struct err *err) MUST;
/** net_open_default() - the default bridge, and net_open_host() with its name. */
int net_open_default(struct engine *e, struct net *n, struct err *err) MUST;

/* ends.c: a container's ends */
/** ctr_networks_init() - what a create request asks for, checked; sets c->networks. */
int ctr_networks_init(struct container *c, const struct networking_config *asked,
                      struct err *err) MUST;
/** endpoint_check() - may this be asked of that network? @n: NULL when it does not exist (yet). */
int endpoint_check(const struct net *n, const struct endpoint_settings *s, struct err *err) MUST;
/** ctr_own_netns() - has it a network of its own, not the host's or another container's? */
bool ctr_own_netns(const struct container *c);
/** ctr_net_join() - an end in every wanted network, into the plan. On an error the ends made so far
 * are the container's, for ctr_net_take(). */
int ctr_net_join(struct container *c, struct arena *a, struct shim_plan *plan,
                 struct err *err) MUST;
/** ctr_net_started() - its name server's sockets are there: serve them. */
int ctr_net_started(struct container *c, struct err *err) MUST;
int ctr_net_publish(struct container *c, struct err *err) MUST;
/** ctr_end_join() - one end: addresses, names, a name for its interface. */
int ctr_end_join(struct container *c, const char *network, const struct endpoint_settings *s,
                 struct ctr_end *ret, struct err *err) MUST;
void ctr_end_leave(struct container *c, struct ctr_end *end);
void ctr_end_add(struct container *c, const struct ctr_end *end); /* to c->net.ends */
struct shim_net *ctr_end_plan(const struct container *c, const struct ctr_end *end,
                              const struct endpoint_settings *s, struct arena *a, struct err *err);
/** ctr_gateways() - which end has the default route, per family. */
void ctr_gateways(const struct container *c, struct arena *a, shim_gateways *ret);
/** ctr_gateway_end() - that end, or NULL. @family: AF_INET, AF_INET6. */
struct ctr_end *ctr_gateway_end(const struct container *c, int family);
/** ctr_port_end() - the end whose host side leads published ports to the container, or NULL. */
struct ctr_end *ctr_port_end(const struct container *c);
const struct endpoint_settings *ctr_wanted(const struct container *c, const char *network);
bool ctr_wants_dns(const struct container *c);

/* What a container holds of its networks. It is taken out under the lock and given back without it,
 * since the packet filter takes its time. */
struct ctr_net {
    struct ctr_end *ends; /* heap */
    size_t nends;
    struct publish *ports; /* heap */
    size_t nports;
    struct dns_client *dns;
    char port_end[65]; /* id of the end that the ports belong to */
};
struct ctr_net ctr_net_take(struct container *c); /* lock held */
void ctr_net_release(struct container *c, struct ctr_net *net);
/** ctr_net_forget() - the container outlives this daemon: links, addresses and rules stay. */
void ctr_net_forget(struct container *c);
/** ctr_net_unpublish() - its ports only. */
void ctr_net_unpublish(struct ctr_net *net);
void ctr_net_event(struct container *c, const char *action);

/* ctr_ports.c: what a container publishes */
struct ctr_ports {
    struct publish *v;
    size_t n;
};
struct ctr_published {
    struct ctr_ports host; /* ports of the host */
    struct ctr_ports own;  /* at the container's address; of routed networks without host_port */
};
int ctr_check_ports(struct engine *e, const struct container_config *config,
                    const struct host_config *host, struct err *err) MUST;
/** ctr_collect_ports() - what shall be published in @n when it runs, in @a. */
int ctr_collect_ports(const struct container *c, const struct net *n, struct arena *a,
                      struct ctr_published *ret, struct err *err) MUST;
/** ctr_publishes() - anything at all? */
bool ctr_publishes(const struct container *c);
/** ctr_own_ports() - those that are reached at the end's own address. Return: are there any? */
bool ctr_own_ports(const struct container *c, const struct ctr_end *end, struct arena *a,
                   struct ctr_ports *ret);
/** ctr_open_ports() - these, of all ends; again is nothing. Unlike ports of the host they do not
 * follow the default route. */
int ctr_open_ports(struct container *c, struct err *err) MUST;
/** ctr_shut_ports() - of one end, opened or not. */
void ctr_shut_ports(const struct container *c, const struct ctr_end *end);
/** port_proto() - static text for "tcp", "udp", "sctp"; NULL for anything else. */
const char *port_proto(const char *name);

/* net_names.c: names of a container in its networks */
/** end_names_add(), end_names_remove() - in the network's zone: name, short id, aliases, host name.
 */
void end_names_add(const struct container *c, const struct ctr_end *end);
void end_names_remove(const struct container *c, const struct ctr_end *end);
/** ctr_names_add(), ctr_names_remove() - of all its ends; container.ends is held. */
void ctr_names_add(const struct container *c);
void ctr_names_remove(const struct container *c);
/** ctr_dns_view() - what the container's name server shall know, given its endpoints at this
 * moment. */
void ctr_dns_view(const struct container *c, struct arena *a, struct dns_view *ret);
/** ctr_end_names() - DNSNames of inspect. */
struct strv ctr_end_names(const struct container *c, const struct endpoint_settings *s,
                          struct arena *a);

/* net_files.c */
/** ctr_net_files() - hosts, hostname and resolv.conf, anew for a start. */
int ctr_net_files(struct container *c, struct err *err) MUST;
/** ctr_net_refresh() - hosts and resolv.conf in place, where a running container has them mounted.
 */
int ctr_net_refresh(struct container *c, struct err *err) MUST;
/** ctr_upstreams() - the name servers behind ours. */
size_t ctr_upstreams(const struct container *c, struct dns_server *ret, size_t max);

/* net_inspect.c */
void ctr_net_settings(struct container *c, struct arena *a, struct network_settings *ret);
