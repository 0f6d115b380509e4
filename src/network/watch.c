#include "network/watch.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/time.h"
#include "kern/rtnl.h"
#include "network/network-priv.h"

#define SETTLE_NS (100 * NS_PER_MS)
#define PACKET_MAX 65536

struct net_watch {
    struct net_host *host;
    void (*changed)(void *arg);
    void *arg;
    int route, filter;
    struct loop_source *route_src, *filter_src, *timer;
    char packet[PACKET_MAX] __attribute__((aligned(8)));
};

/* ---- what is ours ---- */

static const void *find_attr(const struct nlmsghdr *h, size_t header, uint16_t type, size_t *ret_n)
{
    const char *p = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(header);
    const char *end = (const char *)h + h->nlmsg_len;

    while (p + sizeof(struct nlattr) <= end) {
        const struct nlattr *a = (const struct nlattr *)p;
        if (a->nla_len < sizeof(*a) || p + a->nla_len > end)
            return NULL;
        if ((a->nla_type & NLA_TYPE_MASK) == type) {
            *ret_n = a->nla_len - sizeof(*a);
            return a + 1;
        }
        p += NLA_ALIGN(a->nla_len);
    }
    return NULL;
}

/* The kernel says which flags have changed; all of them have when a link is new, and ours are down
 * at first. */
static bool taken_down(const struct ifinfomsg *link)
{
    return link->ifi_change != ~0U && (link->ifi_change & IFF_UP) && !(link->ifi_flags & IFF_UP);
}

/* A link that goes, goes down or has another name; an address that goes. */
static bool link_changed(struct net_watch *w, const struct nlmsghdr *h)
{
    const struct ifinfomsg *link = NLMSG_DATA(h);
    const struct ifaddrmsg *addr = NLMSG_DATA(h);
    size_t n = 0;

    if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*addr)))
        return false;
    if (h->nlmsg_type == RTM_DELADDR)
        return net_host_owns(w->host, (int)addr->ifa_index, NULL);
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) ||
        (h->nlmsg_type != RTM_DELLINK && h->nlmsg_type != RTM_NEWLINK))
        return false;
    if (link->ifi_family == AF_BRIDGE) /* a port has come or gone: not the bridge itself */
        return false;
    if (h->nlmsg_type == RTM_DELLINK || taken_down(link))
        return net_host_owns(w->host, link->ifi_index, NULL);
    const char *name = find_attr(h, sizeof(*link), IFLA_IFNAME, &n);
    return name && n > 0 && n <= IFNAMSIZ && net_host_owns(w->host, link->ifi_index, name);
}

/* A chain of iptables is made, and ours is to be heard in it: Docker or a firewall has started. */
static bool host_chain_made(struct net_watch *w, const struct nlmsghdr *h)
{
    size_t n = 0;

    if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
        !fw_overrides(w->host->fw))
        return false;
    const char *name = find_attr(h, sizeof(struct nfgenmsg), NFTA_CHAIN_TABLE, &n);
    return name && strnlen(name, n) < n && strcmp(name, "filter") == 0;
}

/* Something of our table goes, or comes into it, and it was not us. */
static bool filter_changed(struct net_watch *w, const struct nlmsghdr *h)
{
    static const uint16_t tables[] = {
        [NFT_MSG_NEWTABLE] = NFTA_TABLE_NAME,
        [NFT_MSG_DELTABLE] = NFTA_TABLE_NAME,
        [NFT_MSG_NEWCHAIN] = NFTA_CHAIN_TABLE,
        [NFT_MSG_DELCHAIN] = NFTA_CHAIN_TABLE,
        [NFT_MSG_NEWRULE] = NFTA_RULE_TABLE,
        [NFT_MSG_DELRULE] = NFTA_RULE_TABLE,
        [NFT_MSG_NEWSET] = NFTA_SET_TABLE,
        [NFT_MSG_DELSET] = NFTA_SET_TABLE,
        [NFT_MSG_NEWSETELEM] = NFTA_SET_ELEM_LIST_TABLE,
        [NFT_MSG_DELSETELEM] = NFTA_SET_ELEM_LIST_TABLE,
        [NFT_MSG_NEWFLOWTABLE] = NFTA_FLOWTABLE_TABLE,
        [NFT_MSG_NEWOBJ] = NFTA_OBJ_TABLE,
    };
    size_t type = h->nlmsg_type & 0xff, n = 0;

    if (host_chain_made(w, h))
        return true;
    if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || type >= sizeof(tables) / sizeof(tables[0]) ||
        !tables[type] || h->nlmsg_pid == fw_port_id(w->host->fw))
        return false;
    const char *name = find_attr(h, sizeof(struct nfgenmsg), tables[type], &n);
    return name && strnlen(name, n) < n && strcmp(name, net_host_table(w->host)) == 0;
}

/* ---- listening ---- */

static void soon(struct net_watch *w)
{
    loop_timer_set(w->timer, SETTLE_NS, 0);
}

static void drain(struct net_watch *w, int fd,
                  bool (*is_change)(struct net_watch *w, const struct nlmsghdr *h))
{
    for (;;) {
        ssize_t n = recv(fd, w->packet, sizeof(w->packet), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) { /* some were lost: look */
            soon(w);
            continue;
        }
        if (n <= 0)
            return;
        unsigned left = (unsigned)n;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)w->packet; NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left))
            if (is_change(w, h))
                soon(w);
    }
}

static void route_ready(struct loop_source *s, uint32_t events, void *arg)
{
    struct net_watch *w = arg;

    (void)s;
    (void)events;
    drain(w, w->route, link_changed);
}

static void filter_ready(struct loop_source *s, uint32_t events, void *arg)
{
    struct net_watch *w = arg;

    (void)s;
    (void)events;
    drain(w, w->filter, filter_changed);
}

static void settled(struct loop_source *s, uint32_t events, void *arg)
{
    struct net_watch *w = arg;

    (void)s;
    (void)events;
    w->changed(w->arg);
}

int net_watch_new(struct loop *loop, struct net_host *h, void (*changed)(void *arg), void *arg,
                  struct net_watch **ret, struct err *err)
{
    struct net_watch *w = xnew(struct net_watch);

    w->host = h;
    w->changed = changed;
    w->arg = arg;
    w->filter = -1;
    w->route =
        netlink_listen(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, err);
    int r = w->route;
    if (r >= 0)
        r = w->filter = netlink_listen(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1), err);
    if (r >= 0)
        r = loop_add_timer(loop, -1, 0, settled, w, &w->timer, err);
    if (r >= 0)
        r = loop_add_fd(loop, w->route, EPOLLIN, route_ready, w, &w->route_src, err);
    if (r >= 0)
        r = loop_add_fd(loop, w->filter, EPOLLIN, filter_ready, w, &w->filter_src, err);
    if (r < 0) {
        net_watch_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void net_watch_free(struct net_watch *w)
{
    if (!w)
        return;
    loop_source_free(w->route_src);
    loop_source_free(w->filter_src);
    loop_source_free(w->timer);
    close_fd(&w->route);
    close_fd(&w->filter);
    free(w);
}
