/*
 * The container's interfaces. At the start the shim, in the host's namespace, makes each link in
 * one message, its end born in the new namespace, while init mounts; init itself, inside, sets
 * addresses and routes. Later, when networks come and go, the shim does both parts: for the inner
 * one it needs no more than sockets that were made inside.
 */
#include "shim/shim-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"
#include "kern/nft.h"
#include "kern/rtnl.h"

#define LO 1 /* always the first link of a namespace */
#define DNS_ADDRESS "127.0.0.11"
#define DNS_PORT 53

/* ---- links, from the host's side ---- */

static int add_veth(int nl, const struct shim_net *net, int netns_fd, struct err *err)
{
    struct rtnl_veth veth = {.host = net->host_if,
                             .peer = net->peer_if,
                             .peer_netns = netns_fd,
                             .master = net->parent,
                             .mtu = net->mtu};

    if (!str_empty(net->mac) && mac_parse(net->mac, veth.peer_mac) < 0)
        return err_invalid(err, "bad MAC address %s", net->mac);
    int r = rtnl_veth_add(nl, &veth, err);
    if (r < 0 || (!net->hairpin && !net->isolated))
        return r;
    r = rtnl_port_set(nl, net->host_if, net->hairpin, net->isolated, err);
    if (r < 0)
        (void)!rtnl_link_del(nl, net->host_if, NULL);
    return r;
}

static int add_shared(int nl, const struct shim_net *net, int netns_fd, struct err *err)
{
    struct rtnl_child child = {.kind = net->kind,
                               .name = net->peer_if,
                               .parent = net->parent,
                               .netns = netns_fd,
                               .mode = net->mode,
                               .flags = (uint16_t)net->flags,
                               .mtu = net->mtu};

    if (!str_empty(net->mac) && mac_parse(net->mac, child.mac) < 0)
        return err_invalid(err, "bad MAC address %s", net->mac);
    return rtnl_child_add(nl, &child, err);
}

static int add_link(int nl, const struct shim_net *net, int netns_fd, struct err *err)
{
    return strcmp(net->kind, "veth") == 0 ? add_veth(nl, net, netns_fd, err)
                                          : add_shared(nl, net, netns_fd, err);
}

/* ---- inside ---- */

/* As Docker. And what an interface with a link-local address sends when it comes up, and again and
 * again later, goes to every other container of its bridge. A kernel without IPv6 has no such file.
 */
static int disable_ipv6(const struct shim_net *net, int proc_sys, struct err *err)
{
    auto_free char *path = xasprintf("net/ipv6/conf/%s/disable_ipv6", net->peer_if);
    int r = net->no_ipv6 ? write_value_at(proc_sys, path, "1", err) : 0;

    if (r != -ENOENT)
        return r;
    err_clear(err);
    return 0;
}

static int set_sysctls(const struct shim_net *net, int proc_sys, struct err *err)
{
    int r = disable_ipv6(net, proc_sys, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < net->sysctls.n; i++) {
        r = write_value_at(proc_sys, net->sysctls.v[i].key, net->sysctls.v[i].val, err);
        if (r < 0)
            return err_wrap(err, r, "interface %s", net->peer_if);
    }
    return 0;
}

static int set_addresses(int nl, int index, const struct shim_net *net, struct err *err)
{
    for (size_t i = 0; i < net->addresses.n; i++) {
        struct ip ip;
        if (ip_parse(net->addresses.v[i], &ip) < 0)
            return err_invalid(err, "bad address %s", net->addresses.v[i]);
        int r = rtnl_addr_add(nl, index, &ip, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Addresses before the link comes up: no duplicate detection, no early announcements. */
static int bring_up(int nl, const struct shim_net *net, struct err *err)
{
    int index = rtnl_link_index(nl, net->peer_if, err), r = index;

    if (r >= 0)
        r = set_addresses(nl, index, net, err);
    return r < 0 ? r : rtnl_link_up(nl, index, err);
}

static int set_gateway(int nl, const struct shim_gateway *g, struct err *err)
{
    struct ip via = {0};
    int index = rtnl_link_index(nl, g->dev, err);

    if (index < 0)
        return index;
    if (!str_empty(g->via) && ip_parse(g->via, &via) < 0)
        return err_invalid(err, "bad gateway %s", g->via);
    return rtnl_default_set(nl, g->family, index, via.family ? &via : NULL, err);
}

static int set_gateways(int nl, const shim_gateways *gateways, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < gateways->n; i++)
        r = set_gateway(nl, gateways->v[i], err);
    return r;
}

static bool own_netns(const struct shim *s)
{
    const struct oci_namespace *ns = oci_spec_ns(s->plan->spec, "network");

    return ns && str_empty(ns->path); /* else it is somebody else's, and not ours to set up */
}

int net_child(void *arg, int proc_sys, struct err *err)
{
    const struct shim *s = arg;
    const struct shim_plan *plan = s->plan;

    if (!own_netns(s))
        return 0;
    auto_close int nl = rtnl_open(err);
    int r = nl < 0 ? nl : rtnl_link_up(nl, LO, err);
    for (size_t i = 0; r >= 0 && i < plan->nets.n; i++) {
        r = set_sysctls(plan->nets.v[i], proc_sys, err);
        if (r >= 0)
            r = bring_up(nl, plan->nets.v[i], err);
    }
    return r < 0 ? r : set_gateways(nl, &plan->gateways, err);
}

/* ---- from the shim into the container's namespace ---- */

/* The shim has one thread: nobody sees it inside. Coming back cannot fail but by a fault of ours,
 * and going on in the wrong namespace would be worse than the end. */
static int in_netns(int netns_fd, int (*fn)(void *arg, struct err *err), void *arg, struct err *err)
{
    auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home < 0)
        return err_sys(err, "open network namespace");
    if (setns(netns_fd, CLONE_NEWNET) < 0)
        return err_sys(err, "enter the container's network namespace");
    int r = fn(arg, err);
    if (setns(home, CLONE_NEWNET) < 0)
        __builtin_trap();
    return r;
}

static int open_netns(const struct shim *s, struct err *err)
{
    auto_free char *path = xasprintf("/proc/%d/ns/net", (int)s->init.pid);
    int fd;

    if (!s->init_proc || s->init_proc->exited)
        return err_as(err, ERR_CONFLICT, ESRCH, "container is not running");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open network namespace") : fd;
}

/* ---- name server ---- */

/* Port 53 itself stays free for programs of the container: their socket on every address would be
 * in conflict with ours. */
static int bind_dns(int type, int *ret_fd, uint16_t *ret_port, struct err *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    struct ip ip;
    auto_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)!ip_parse(DNS_ADDRESS, &ip);
    memcpy(&addr.sin_addr, ip.addr, 4);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
        (type == SOCK_STREAM && listen(fd, 64) < 0) ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return err_sys(err, "make the name server's socket");
    *ret_port = ntohs(addr.sin_port);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* lo comes first, whether init has come that far or not: a socket that is bound to an address
 * before the namespace has any is left without a source address. */
static int make_dns(void *arg, struct err *err)
{
    struct shim *s = arg;
    auto_close int udp = -1, tcp = -1, nl = rtnl_open(err);
    uint16_t udp_port, tcp_port;
    struct ip addr;
    int r = nl < 0 ? nl : rtnl_link_up(nl, LO, err);

    if (r >= 0)
        r = bind_dns(SOCK_DGRAM, &udp, &udp_port, err);
    if (r >= 0)
        r = bind_dns(SOCK_STREAM, &tcp, &tcp_port, err);
    if (r >= 0)
        r = ip_parse(DNS_ADDRESS, &addr);
    if (r >= 0)
        r = nft_redirect_local(&addr, DNS_PORT, udp_port, tcp_port, err);
    if (r < 0)
        return r;
    s->dns_udp = take_fd(&udp);
    s->dns_tcp = take_fd(&tcp);
    return 0;
}

int net_dns_open(struct shim *s, struct err *err)
{
    if (s->dns_udp >= 0)
        return 0;
    auto_close int netns = open_netns(s, err);
    return netns < 0 ? netns : in_netns(netns, make_dns, s, err);
}

/* ---- the start ---- */

/* Somebody has deleted the bridge since the plan was written: the daemon makes it again, or has
 * done so, and says what it is now. */
static int ask_for_parent(struct shim *s, size_t i, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_event ev = {.event = "parent", .at_ns = now_ns(), .exec = "", .net = (uint32_t)i};
    struct shim_req req;
    int r = shim_send(SHIM_FD_CONTROL, &shim_event_type, &ev, NULL, 0);

    if (r >= 0)
        r = shim_hear(s, "parent", &a, &req, NULL);
    if (r < 0) /* not EPIPE: that would mean that init has failed */
        return err_as(err, ERR_SYSTEM, ECANCELED, "the daemon gives the start up");
    s->plan->nets.v[i]->parent = req.parent;
    return 0;
}

static bool has_gone(int nl, int index)
{
    char name[IFNAMSIZ];

    return index > 0 && rtnl_link_name(nl, index, name, NULL) == -ENODEV;
}

/* Numbers of links are not used again: one that is there when this fails is not why. */
static int add_planned(struct shim *s, int nl, size_t i, int netns_fd, struct err *err)
{
    for (;;) {
        int r = add_link(nl, s->plan->nets.v[i], netns_fd, err);
        if (r >= 0 || !has_gone(nl, s->plan->nets.v[i]->parent))
            return r;
        err_clear(err);
        r = ask_for_parent(s, i, err);
        if (r < 0)
            return r;
    }
}

int net_setup(void *arg, pid_t pid, int netns_fd, struct err *err)
{
    struct shim *s = arg;
    const struct shim_plan *plan = s->plan;

    (void)pid;
    if (netns_fd < 0 || !own_netns(s))
        return 0;
    auto_close int nl = plan->nets.n ? rtnl_open(err) : -1;
    int r = plan->nets.n && nl < 0 ? nl : 0;
    for (size_t i = 0; r >= 0 && i < plan->nets.n; i++)
        r = add_planned(s, nl, i, netns_fd, err);
    return r < 0 || !plan->dns ? r : in_netns(netns_fd, make_dns, s, err);
}

/* ---- while it runs ---- */

/* What is done inside for a network that comes (@net) or goes (@gone). */
struct inner {
    const struct shim_net *net;
    const char *gone;
    const shim_gateways *gateways;
};

/* The shim sees the host's /proc, which shows the namespace that it is in. */
static int set_host_sysctls(const struct shim_net *net, struct err *err)
{
    auto_close int dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return dir < 0 ? err_sys(err, "open /proc/sys") : set_sysctls(net, dir, err);
}

static int change_inside(void *arg, struct err *err)
{
    const struct inner *in = arg;
    auto_close int nl = rtnl_open(err);
    int r = nl;

    if (r >= 0 && in->gone)
        r = rtnl_link_del(nl, in->gone, err);
    if (r >= 0 && in->net)
        r = set_host_sysctls(in->net, err);
    if (r >= 0 && in->net)
        r = bring_up(nl, in->net, err);
    /* A family whose only gateway has gone has no default route: it went with its interface. */
    return r < 0 ? r : set_gateways(nl, in->gateways, err);
}

int net_join(struct shim *s, const struct shim_net *net, const shim_gateways *gateways,
             struct err *err)
{
    struct inner in = {.net = net, .gateways = gateways};

    if (!net)
        return err_invalid(err, "net-join without a network");
    auto_close int netns = open_netns(s, err);
    auto_close int nl = netns < 0 ? -1 : rtnl_open(err);
    int r = netns < 0 ? netns : nl < 0 ? nl : add_link(nl, net, netns, err);
    if (r < 0)
        return r;
    r = in_netns(netns, change_inside, &in, err);
    if (r < 0) { /* nothing half made: the interface goes again */
        shim_gateways none = {0};
        struct inner undo = {.gone = net->peer_if, .gateways = &none};
        (void)!in_netns(netns, change_inside, &undo, NULL);
    }
    return r;
}

int net_leave(struct shim *s, const char *peer_if, const shim_gateways *gateways, struct err *err)
{
    struct inner in = {.gone = str_or(peer_if, ""), .gateways = gateways};
    auto_close int netns = open_netns(s, err);

    return netns < 0 ? netns : in_netns(netns, change_inside, &in, err);
}
