#include "kern/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define MSG_MAX 1024
#define DUMP_BUF 32768

/* A request under construction. Overflow is impossible for what this file builds: names are
 * IFNAMSIZ, addresses 16 bytes; put() asserts it all the same. */
struct req {
    union {
        struct nlmsghdr h;
        char space[MSG_MAX];
    };
};

static void *put(struct req *q, size_t n)
{
    char *p = q->space + NLMSG_ALIGN(q->h.nlmsg_len);

    if (p + n > q->space + MSG_MAX)
        __builtin_trap();
    memset(p, 0, NLMSG_ALIGN(n));
    q->h.nlmsg_len = (uint32_t)(p - q->space) + (uint32_t)NLMSG_ALIGN(n);
    return p;
}

static void attr(struct req *q, uint16_t type, const void *data, size_t n)
{
    struct rtattr *a = put(q, RTA_LENGTH(n));

    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(n);
    if (n)
        memcpy(RTA_DATA(a), data, n);
}

static void attr_u32(struct req *q, uint16_t type, uint32_t v)
{
    attr(q, type, &v, sizeof(v));
}

static void attr_str(struct req *q, uint16_t type, const char *s)
{
    attr(q, type, s, strlen(s) + 1);
}

static struct rtattr *nest(struct req *q, uint16_t type)
{
    struct rtattr *a = put(q, RTA_LENGTH(0));

    a->rta_type = type;
    return a;
}

static void nest_end(struct req *q, struct rtattr *a)
{
    a->rta_len = (uint16_t)(q->space + q->h.nlmsg_len - (char *)a);
}

static void *begin(struct req *q, uint16_t type, uint16_t flags, size_t body)
{
    memset(&q->h, 0, sizeof(q->h));
    q->h.nlmsg_len = NLMSG_HDRLEN;
    q->h.nlmsg_type = type;
    q->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    q->h.nlmsg_seq = 1;
    return put(q, body);
}

int rtnl_open(struct err *err)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return err_sys(err, "open netlink socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int r = err_sys(err, "connect netlink socket");
        (void)close(fd);
        return r;
    }
    return fd;
}

static ssize_t receive(int nl, void *p, size_t n)
{
    ssize_t got;

    do
        got = recv(nl, p, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* Sends a request with NLM_F_ACK and returns the kernel's verdict. */
static int ack(int nl, struct req *q, struct err *err, const char *what, const char *name)
{
    char answer[MSG_MAX * 2];
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

    q->h.nlmsg_flags |= NLM_F_ACK;
    if (send(nl, q, q->h.nlmsg_len, MSG_NOSIGNAL) < 0)
        return err_sys(err, "%s %s", what, name);
    ssize_t got = receive(nl, answer, sizeof(answer));
    if (got < 0)
        return err_no(err, (int)got, "%s %s", what, name);
    if ((size_t)got < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
        return err_no(err, EPROTO, "%s %s", what, name);
    const struct nlmsgerr *e = NLMSG_DATA(h);
    return e->error == 0 ? 0 : err_no(err, e->error, "%s %s", what, name);
}

/* A veth end is born with a queue per processor, of which it then uses one; changing that number
 * costs an RCU grace period at either end. */
static void one_queue(struct req *q)
{
    attr_u32(q, IFLA_NUM_TX_QUEUES, 1);
    attr_u32(q, IFLA_NUM_RX_QUEUES, 1);
}

int rtnl_veth_add(int nl, const struct rtnl_veth *v, struct err *err)
{
    static const uint8_t no_mac[6] = {0};
    struct req q;
    struct ifinfomsg *link =
        begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));

    link->ifi_flags = link->ifi_change = IFF_UP;
    attr_str(&q, IFLA_IFNAME, v->host);
    one_queue(&q);
    if (v->master)
        attr_u32(&q, IFLA_MASTER, (uint32_t)v->master);
    if (v->mtu)
        attr_u32(&q, IFLA_MTU, (uint32_t)v->mtu);
    struct rtattr *info = nest(&q, IFLA_LINKINFO);
    attr_str(&q, IFLA_INFO_KIND, "veth");
    struct rtattr *data = nest(&q, IFLA_INFO_DATA);
    struct rtattr *other = nest(&q, VETH_INFO_PEER);
    (void)put(&q, sizeof(struct ifinfomsg));
    attr_str(&q, IFLA_IFNAME, v->peer);
    one_queue(&q);
    attr_u32(&q, IFLA_NET_NS_FD, (uint32_t)v->peer_netns); /* born there: no move, no race */
    if (v->mtu)
        attr_u32(&q, IFLA_MTU, (uint32_t)v->mtu);
    if (memcmp(v->peer_mac, no_mac, sizeof(no_mac)) != 0)
        attr(&q, IFLA_ADDRESS, v->peer_mac, sizeof(v->peer_mac));
    nest_end(&q, other);
    nest_end(&q, data);
    nest_end(&q, info);
    return ack(nl, &q, err, "create veth", v->host);
}

int rtnl_bridge_add(int nl, const char *name, int mtu, struct err *err)
{
    struct req q;
    struct ifinfomsg *link =
        begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));

    link->ifi_flags = link->ifi_change = IFF_UP;
    attr_str(&q, IFLA_IFNAME, name);
    if (mtu)
        attr_u32(&q, IFLA_MTU, (uint32_t)mtu);
    struct rtattr *info = nest(&q, IFLA_LINKINFO);
    attr_str(&q, IFLA_INFO_KIND, "bridge");
    nest_end(&q, info);
    return ack(nl, &q, err, "create bridge", name);
}

int rtnl_hairpin(int nl, const char *port, struct err *err)
{
    struct req q;
    uint8_t on = 1;
    int index = rtnl_link_index(nl, port, err);

    if (index < 0)
        return index;
    struct ifinfomsg *link = begin(&q, RTM_SETLINK, 0, sizeof(struct ifinfomsg));
    link->ifi_family = AF_BRIDGE;
    link->ifi_index = index;
    struct rtattr *info = nest(&q, IFLA_PROTINFO | NLA_F_NESTED);
    attr(&q, IFLA_BRPORT_MODE, &on, sizeof(on));
    nest_end(&q, info);
    return ack(nl, &q, err, "set hairpin mode of", port);
}

int rtnl_link_del(int nl, const char *name, struct err *err)
{
    struct req q;

    (void)begin(&q, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    attr_str(&q, IFLA_IFNAME, name);
    int r = ack(nl, &q, err, "delete link", name);
    if (r != -ENODEV)
        return r;
    err_clear(err);
    return 0;
}

int rtnl_link_up(int nl, int ifindex, struct err *err)
{
    struct req q;
    struct ifinfomsg *link = begin(&q, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));

    link->ifi_index = ifindex;
    link->ifi_flags = link->ifi_change = IFF_UP;
    return ack(nl, &q, err, "bring up", "link");
}

/* RTM_GETLINK by name: the answer is one RTM_NEWLINK, or an error message. */
static int get_link(int nl, const char *name, char *answer, size_t size, struct err *err)
{
    struct req q;
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

    (void)begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
    attr_str(&q, IFLA_IFNAME, name);
    if (send(nl, &q, q.h.nlmsg_len, MSG_NOSIGNAL) < 0)
        return err_sys(err, "find link %s", name);
    ssize_t got = receive(nl, answer, size);
    if (got < 0)
        return err_no(err, (int)got, "find link %s", name);
    if ((size_t)got < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return err_no(err, EPROTO, "find link %s", name);
    if (h->nlmsg_type == NLMSG_ERROR)
        return err_no(err, ((const struct nlmsgerr *)NLMSG_DATA(h))->error, "find link %s", name);
    return 0;
}

int rtnl_link_index(int nl, const char *name, struct err *err)
{
    char answer[8192] __attribute__((aligned(8)));
    int r = get_link(nl, name, answer, sizeof(answer), err);

    return r < 0 ? r : ((const struct ifinfomsg *)NLMSG_DATA((struct nlmsghdr *)answer))->ifi_index;
}

int rtnl_link_stats(int nl, const char *name, struct rtnl_stats *ret, struct err *err)
{
    char answer[8192] __attribute__((aligned(8)));
    struct nlmsghdr *h = (struct nlmsghdr *)answer;
    int r = get_link(nl, name, answer, sizeof(answer), err);

    if (r < 0)
        return r;
    int left = (int)IFLA_PAYLOAD(h);
    for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        struct rtnl_link_stats64 s = {0};
        if (a->rta_type != IFLA_STATS64)
            continue;
        memcpy(&s, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof(s) ? RTA_PAYLOAD(a) : sizeof(s));
        *ret = (struct rtnl_stats){.rx_packets = s.rx_packets,
                                   .tx_packets = s.tx_packets,
                                   .rx_bytes = s.rx_bytes,
                                   .tx_bytes = s.tx_bytes,
                                   .rx_errors = s.rx_errors,
                                   .tx_errors = s.tx_errors,
                                   .rx_dropped = s.rx_dropped,
                                   .tx_dropped = s.tx_dropped};
        return 0;
    }
    return err_no(err, EPROTO, "no counters for link %s", name);
}

static size_t ip_len(const struct ip *ip)
{
    return ip->family == AF_INET6 ? 16 : 4;
}

static void put_broadcast(struct req *q, const struct ip *ip)
{
    uint32_t a, host = ip->prefix >= 31 ? 0 : htonl(UINT32_MAX >> ip->prefix);

    memcpy(&a, ip->addr, sizeof(a));
    if (host)
        attr_u32(q, IFA_BROADCAST, a | host);
}

int rtnl_addr_add(int nl, int ifindex, const struct ip *ip, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct req q;
    struct ifaddrmsg *a =
        begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg));

    a->ifa_family = ip->family;
    a->ifa_prefixlen = ip->prefix;
    a->ifa_index = (uint32_t)ifindex;
    attr(&q, IFA_LOCAL, ip->addr, ip_len(ip));
    attr(&q, IFA_ADDRESS, ip->addr, ip_len(ip));
    if (ip->family == AF_INET)
        put_broadcast(&q, ip);
    else
        attr_u32(&q, IFA_FLAGS, IFA_F_NODAD);
    int r = ack(nl, &q, err, "add address", ip_format(ip, text));
    if (r != -EEXIST)
        return r;
    err_clear(err);
    return 0;
}

int rtnl_route_add(int nl, int ifindex, const struct ip *dst, const struct ip *gw, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct req q;
    struct rtmsg *m = begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct rtmsg));

    m->rtm_family = dst->family ? dst->family : gw->family;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_BOOT;
    m->rtm_scope = gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    m->rtm_type = RTN_UNICAST;
    m->rtm_dst_len = dst->family ? dst->prefix : 0;
    if (dst->family && dst->prefix)
        attr(&q, RTA_DST, dst->addr, ip_len(dst));
    if (gw)
        attr(&q, RTA_GATEWAY, gw->addr, ip_len(gw));
    attr_u32(&q, RTA_OIF, (uint32_t)ifindex);
    return ack(nl, &q, err, "add route by", gw ? ip_format(gw, text) : "link");
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
    struct req q;
    bool stop = false;
    int r = 0, nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    (void)begin(&q, get, NLM_F_DUMP, sizeof(struct rtmsg));
    if (send(nl, &q, q.h.nlmsg_len, MSG_NOSIGNAL) < 0)
        r = err_sys(err, "list addresses and routes");
    while (r == 0 && !stop) {
        ssize_t got = receive(nl, packet, sizeof(packet));
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

/* ---- addresses as text ---- */

int ip_parse(const char *s, struct ip *ret)
{
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(s, '/');
    struct ip ip = {0};
    uint64_t prefix;

    if ((size_t)(slash - s) >= sizeof(text))
        return -EINVAL;
    memcpy(text, s, (size_t)(slash - s));
    text[slash - s] = '\0';
    if (inet_pton(AF_INET, text, ip.addr) == 1)
        ip.family = AF_INET;
    else if (inet_pton(AF_INET6, text, ip.addr) == 1)
        ip.family = AF_INET6;
    else
        return -EINVAL;
    prefix = ip_len(&ip) * 8;
    if (*slash && (str_to_u64(slash + 1, &prefix) < 0 || prefix > ip_len(&ip) * 8))
        return -EINVAL;
    ip.prefix = (uint8_t)prefix;
    *ret = ip;
    return 0;
}

char *ip_format(const struct ip *ip, char *out)
{
    if (!inet_ntop(ip->family, ip->addr, out, INET6_ADDRSTRLEN))
        out[0] = '\0';
    return out;
}
