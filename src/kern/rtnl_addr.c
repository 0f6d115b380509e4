/* Addresses and routes: adding, listing. */
#include "kern/rtnl-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DUMP_BUF 32768

static void put_broadcast(struct rtnl_req *q, const struct ip *ip)
{
    uint32_t a, host = ip->prefix >= 31 ? 0 : htonl(UINT32_MAX >> ip->prefix);

    memcpy(&a, ip->addr, sizeof(a));
    if (host)
        rtnl_attr_u32(q, IFA_BROADCAST, a | host);
}

int rtnl_addr_add(int nl, int ifindex, const struct ip *ip, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct rtnl_req q;
    struct ifaddrmsg *a =
        rtnl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg));

    a->ifa_family = ip->family;
    a->ifa_prefixlen = ip->prefix;
    a->ifa_index = (uint32_t)ifindex;
    rtnl_attr(&q, IFA_LOCAL, ip->addr, ip_len(ip));
    rtnl_attr(&q, IFA_ADDRESS, ip->addr, ip_len(ip));
    if (ip->family == AF_INET)
        put_broadcast(&q, ip);
    else
        rtnl_attr_u32(&q, IFA_FLAGS, IFA_F_NODAD);
    int r = rtnl_ack(nl, &q, err, "add address", ip_format(ip, text));
    if (r != -EEXIST)
        return r;
    err_clear(err);
    return 0;
}

int rtnl_addr_del(int nl, int ifindex, const struct ip *ip, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct rtnl_req q;
    struct ifaddrmsg *a = rtnl_begin(&q, RTM_DELADDR, 0, sizeof(struct ifaddrmsg));

    a->ifa_family = ip->family;
    a->ifa_prefixlen = ip->prefix;
    a->ifa_index = (uint32_t)ifindex;
    rtnl_attr(&q, IFA_LOCAL, ip->addr, ip_len(ip));
    int r = rtnl_ack(nl, &q, err, "remove address", ip_format(ip, text));
    if (r != -EADDRNOTAVAIL)
        return r;
    err_clear(err);
    return 0;
}

static int add_route(int nl, int ifindex, const struct ip *dst, const struct ip *gw, uint16_t flags,
                     struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct rtnl_req q;
    struct rtmsg *m = rtnl_begin(&q, RTM_NEWROUTE, NLM_F_CREATE | flags, sizeof(struct rtmsg));

    m->rtm_family = dst->family ? dst->family : gw->family;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_BOOT;
    m->rtm_scope = gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    m->rtm_type = RTN_UNICAST;
    m->rtm_dst_len = dst->family ? dst->prefix : 0;
    if (dst->family && dst->prefix)
        rtnl_attr(&q, RTA_DST, dst->addr, ip_len(dst));
    if (gw)
        rtnl_attr(&q, RTA_GATEWAY, gw->addr, ip_len(gw));
    rtnl_attr_u32(&q, RTA_OIF, (uint32_t)ifindex);
    return rtnl_ack(nl, &q, err, "add route by", gw ? ip_format(gw, text) : "link");
}

int rtnl_route_add(int nl, int ifindex, const struct ip *dst, const struct ip *gw, struct err *err)
{
    return add_route(nl, ifindex, dst, gw, NLM_F_EXCL, err);
}

/* In one step: when the kernel refuses the new one, the container still has the old. */
int rtnl_default_set(int nl, int family, int ifindex, const struct ip *gw, struct err *err)
{
    struct ip any = {.family = (uint8_t)family};

    return add_route(nl, ifindex, &any, gw, NLM_F_REPLACE, err);
}

/* ---- dumps ---- */

struct dump {
    uint16_t want; /* RTM_NEWADDR or RTM_NEWROUTE */
    rtnl_ip_fn fn;
    void *arg;
};

static int one_addr(const struct dump *d, const struct nlmsghdr *h)
{
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    struct ip ip = {.family = m->ifa_family, .prefix = m->ifa_prefixlen};
    int left = (int)IFA_PAYLOAD(h);
    bool local = false;

    for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if ((a->rta_type != IFA_ADDRESS && a->rta_type != IFA_LOCAL) ||
            RTA_PAYLOAD(a) > sizeof(ip.addr) || (local && a->rta_type == IFA_ADDRESS))
            continue;
        memcpy(ip.addr, RTA_DATA(a), RTA_PAYLOAD(a));
        local = a->rta_type == IFA_LOCAL;
    }
    return d->fn(d->arg, (int)m->ifa_index, &ip);
}

static int one_route(const struct dump *d, const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    struct ip ip = {.family = m->rtm_family, .prefix = m->rtm_dst_len};
    int left = (int)RTM_PAYLOAD(h), oif = 0;

    if (m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
        (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
        return 0;
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) <= sizeof(ip.addr))
            memcpy(ip.addr, RTA_DATA(a), RTA_PAYLOAD(a));
        else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(oif))
            memcpy(&oif, RTA_DATA(a), sizeof(oif));
    }
    return d->fn(d->arg, oif, &ip);
}

/* One packet of a dump. Return: 1 when the dump is over, the callback's value, or -errno. */
static int dump_packet(const struct dump *d, char *p, size_t n, bool *stop)
{
    unsigned left = (unsigned)n;

    for (struct nlmsghdr *h = (struct nlmsghdr *)p; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
        int r = 0;
        if (h->nlmsg_type == NLMSG_DONE) {
            *stop = true;
            return 0;
        }
        if (h->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
        if (h->nlmsg_type == d->want)
            r = d->want == RTM_NEWADDR ? one_addr(d, h) : one_route(d, h);
        if (r != 0)
            return r;
    }
    return 0;
}

/* A dump that its callback stops would leave answers in the caller's socket: it has its own. */
static int dump(uint16_t get, const struct dump *d, struct err *err)
{
    char packet[DUMP_BUF] __attribute__((aligned(8)));
    struct rtnl_req q;
    bool stop = false;
    int r = 0, nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    (void)rtnl_begin(&q, get, NLM_F_DUMP, sizeof(struct rtmsg));
    if (send(nl, &q, q.h.nlmsg_len, MSG_NOSIGNAL) < 0)
        r = err_sys(err, "list addresses and routes");
    while (r == 0 && !stop) {
        ssize_t got = rtnl_receive(nl, packet, sizeof(packet));
        r = got < 0 ? (int)got : dump_packet(d, packet, (size_t)got, &stop);
        if (r < 0)
            (void)err_no(err, r, "list addresses and routes");
    }
    (void)close(nl);
    return r;
}

int rtnl_addr_each(rtnl_ip_fn fn, void *arg, struct err *err)
{
    struct dump d = {RTM_NEWADDR, fn, arg};

    return dump(RTM_GETADDR, &d, err);
}

int rtnl_route_each(rtnl_ip_fn fn, void *arg, struct err *err)
{
    struct dump d = {RTM_NEWROUTE, fn, arg};

    return dump(RTM_GETROUTE, &d, err);
}
