/* Links: making them, deleting them, what they belong to. */
#include "kern/rtnl-priv.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>

#define LINK_MAX                                                                                   \
    16384 /* bytes of one link's description; names it also goes by are the longest                \
           */

/* A veth end is born with a queue per processor, of which it then uses one; changing that number
 * costs an RCU grace period at either end. */
static void one_queue(struct rtnl_req *q)
{
    rtnl_attr_u32(q, IFLA_NUM_TX_QUEUES, 1);
    rtnl_attr_u32(q, IFLA_NUM_RX_QUEUES, 1);
}

int rtnl_veth_add(int nl, const struct rtnl_veth *v, struct err *err)
{
    static const uint8_t no_mac[6] = {0};
    struct rtnl_req q;
    struct ifinfomsg *link =
        rtnl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));

    link->ifi_flags = link->ifi_change = IFF_UP;
    rtnl_attr_str(&q, IFLA_IFNAME, v->host);
    one_queue(&q);
    if (v->master)
        rtnl_attr_u32(&q, IFLA_MASTER, (uint32_t)v->master);
    if (v->mtu)
        rtnl_attr_u32(&q, IFLA_MTU, (uint32_t)v->mtu);
    struct rtattr *info = rtnl_nest(&q, IFLA_LINKINFO);
    rtnl_attr_str(&q, IFLA_INFO_KIND, "veth");
    struct rtattr *data = rtnl_nest(&q, IFLA_INFO_DATA);
    struct rtattr *other = rtnl_nest(&q, VETH_INFO_PEER);
    (void)rtnl_put(&q, sizeof(struct ifinfomsg));
    rtnl_attr_str(&q, IFLA_IFNAME, v->peer);
    one_queue(&q);
    rtnl_attr_u32(&q, IFLA_NET_NS_FD, (uint32_t)v->peer_netns); /* born there: no move, no race */
    if (v->mtu)
        rtnl_attr_u32(&q, IFLA_MTU, (uint32_t)v->mtu);
    if (memcmp(v->peer_mac, no_mac, sizeof(no_mac)) != 0)
        rtnl_attr(&q, IFLA_ADDRESS, v->peer_mac, sizeof(v->peer_mac));
    rtnl_nest_end(&q, other);
    rtnl_nest_end(&q, data);
    rtnl_nest_end(&q, info);
    return rtnl_ack(nl, &q, err, "create veth", v->host);
}

static int add_simple(int nl, const char *kind, const char *name, int mtu, struct err *err)
{
    struct rtnl_req q;
    struct ifinfomsg *link =
        rtnl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));

    link->ifi_flags = link->ifi_change = IFF_UP;
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    if (mtu)
        rtnl_attr_u32(&q, IFLA_MTU, (uint32_t)mtu);
    struct rtattr *info = rtnl_nest(&q, IFLA_LINKINFO);
    rtnl_attr_str(&q, IFLA_INFO_KIND, kind);
    rtnl_nest_end(&q, info);
    return rtnl_ack(nl, &q, err, "create link", name);
}

int rtnl_bridge_add(int nl, const char *name, int mtu, struct err *err)
{
    return add_simple(nl, "bridge", name, mtu, err);
}

int rtnl_dummy_add(int nl, const char *name, struct err *err)
{
    return add_simple(nl, "dummy", name, 0, err);
}

int rtnl_port_set(int nl, const char *port, bool hairpin, bool isolated, struct err *err)
{
    struct rtnl_req q;
    uint8_t loops = hairpin, alone = isolated;
    int index = rtnl_link_index(nl, port, err);

    if (index < 0)
        return index;
    struct ifinfomsg *link = rtnl_begin(&q, RTM_SETLINK, 0, sizeof(struct ifinfomsg));
    link->ifi_family = AF_BRIDGE;
    link->ifi_index = index;
    struct rtattr *info = rtnl_nest(&q, IFLA_PROTINFO | NLA_F_NESTED);
    rtnl_attr(&q, IFLA_BRPORT_MODE, &loops, sizeof(loops));
    rtnl_attr(&q, IFLA_BRPORT_ISOLATED, &alone, sizeof(alone));
    rtnl_nest_end(&q, info);
    return rtnl_ack(nl, &q, err, "set up bridge port", port);
}

static void child_data(struct rtnl_req *q, const struct rtnl_child *c)
{
    struct rtattr *data = rtnl_nest(q, IFLA_INFO_DATA);
    uint16_t mode = (uint16_t)c->mode;

    if (strcmp(c->kind, "macvlan") == 0) {
        rtnl_attr_u32(q, IFLA_MACVLAN_MODE, c->mode);
    } else {
        rtnl_attr(q, IFLA_IPVLAN_MODE, &mode, sizeof(mode));
        rtnl_attr(q, IFLA_IPVLAN_FLAGS, &c->flags, sizeof(c->flags));
    }
    rtnl_nest_end(q, data);
}

int rtnl_child_add(int nl, const struct rtnl_child *c, struct err *err)
{
    static const uint8_t no_mac[6] = {0};
    struct rtnl_req q;

    (void)rtnl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    rtnl_attr_str(&q, IFLA_IFNAME, c->name);
    rtnl_attr_u32(&q, IFLA_LINK, (uint32_t)c->parent);
    if (c->netns >= 0)
        rtnl_attr_u32(&q, IFLA_NET_NS_FD, (uint32_t)c->netns);
    if (c->mtu)
        rtnl_attr_u32(&q, IFLA_MTU, (uint32_t)c->mtu);
    if (memcmp(c->mac, no_mac, sizeof(no_mac)) != 0)
        rtnl_attr(&q, IFLA_ADDRESS, c->mac, sizeof(c->mac));
    struct rtattr *info = rtnl_nest(&q, IFLA_LINKINFO);
    rtnl_attr_str(&q, IFLA_INFO_KIND, c->kind);
    child_data(&q, c);
    rtnl_nest_end(&q, info);
    return rtnl_ack(nl, &q, err, c->kind, c->name);
}

int rtnl_vlan_add(int nl, const char *name, int parent, uint16_t id, struct err *err)
{
    struct rtnl_req q;
    struct ifinfomsg *link =
        rtnl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));

    link->ifi_flags = link->ifi_change = IFF_UP;
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    rtnl_attr_u32(&q, IFLA_LINK, (uint32_t)parent);
    struct rtattr *info = rtnl_nest(&q, IFLA_LINKINFO);
    rtnl_attr_str(&q, IFLA_INFO_KIND, "vlan");
    struct rtattr *data = rtnl_nest(&q, IFLA_INFO_DATA);
    rtnl_attr(&q, IFLA_VLAN_ID, &id, sizeof(id));
    rtnl_nest_end(&q, data);
    rtnl_nest_end(&q, info);
    return rtnl_ack(nl, &q, err, "create link", name);
}

static struct ifinfomsg *change_link(struct rtnl_req *q, int ifindex)
{
    struct ifinfomsg *link = rtnl_begin(q, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));

    link->ifi_index = ifindex;
    return link;
}

int rtnl_link_set_master(int nl, const char *name, int master, struct err *err)
{
    struct rtnl_req q;

    (void)change_link(&q, 0);
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    rtnl_attr_u32(&q, IFLA_MASTER, (uint32_t)master);
    return rtnl_ack(nl, &q, err, "set master of", name);
}

int rtnl_link_set_mac(int nl, int ifindex, const uint8_t mac[6], struct err *err)
{
    struct rtnl_req q;

    (void)change_link(&q, ifindex);
    rtnl_attr(&q, IFLA_ADDRESS, mac, 6);
    return rtnl_ack(nl, &q, err, "set address of", "link");
}

int rtnl_link_set_alias(int nl, int ifindex, const char *text, struct err *err)
{
    struct rtnl_req q;

    (void)change_link(&q, ifindex);
    rtnl_attr_str(&q, IFLA_IFALIAS, text);
    return rtnl_ack(nl, &q, err, "set alias of", "link");
}

int rtnl_link_rename(int nl, int ifindex, const char *name, struct err *err)
{
    struct rtnl_req q;

    (void)change_link(&q, ifindex);
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    return rtnl_ack(nl, &q, err, "rename link to", name);
}

int rtnl_link_del(int nl, const char *name, struct err *err)
{
    struct rtnl_req q;

    (void)rtnl_begin(&q, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    int r = rtnl_ack(nl, &q, err, "delete link", name);
    if (r != -ENODEV)
        return r;
    err_clear(err);
    return 0;
}

int rtnl_link_up(int nl, int ifindex, struct err *err)
{
    struct rtnl_req q;
    struct ifinfomsg *link = change_link(&q, ifindex);

    link->ifi_flags = link->ifi_change = IFF_UP;
    return rtnl_ack(nl, &q, err, "bring up", "link");
}

int rtnl_link_down(int nl, int ifindex, struct err *err)
{
    struct rtnl_req q;
    struct ifinfomsg *link = change_link(&q, ifindex);

    link->ifi_change = IFF_UP;
    return rtnl_ack(nl, &q, err, "take down", "link");
}

/* RTM_GETLINK: the answer is one RTM_NEWLINK, or an error message. */
static int get_link(int nl, struct rtnl_req *q, const char *name, char *answer, size_t size,
                    struct err *err)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

    if (send(nl, q, q->h.nlmsg_len, MSG_NOSIGNAL) < 0)
        return err_sys(err, "find link %s", name);
    ssize_t got = rtnl_receive(nl, answer, size);
    if (got < 0)
        return err_no(err, (int)got, "find link %s", name);
    if ((size_t)got < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return err_no(err, EPROTO, "find link %s", name);
    if (h->nlmsg_type == NLMSG_ERROR)
        return err_no(err, ((const struct nlmsgerr *)NLMSG_DATA(h))->error, "find link %s", name);
    if (!NLMSG_OK(h, (size_t)got)) /* it did not fit */
        return err_no(err, EMSGSIZE, "find link %s", name);
    return 0;
}

static int get_named(int nl, const char *name, char *answer, size_t size, struct err *err)
{
    struct rtnl_req q;

    (void)rtnl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
    rtnl_attr_str(&q, IFLA_IFNAME, name);
    return get_link(nl, &q, name, answer, size, err);
}

static struct rtattr *find_attr(struct rtattr *a, int left, unsigned short type)
{
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return a;
    return NULL;
}

/* The first attribute of a type in an answer, or NULL. */
static struct rtattr *link_attr(struct nlmsghdr *h, unsigned short type)
{
    return find_attr(IFLA_RTA(NLMSG_DATA(h)), (int)IFLA_PAYLOAD(h), type);
}

static bool has_text(const struct rtattr *a, const char *text)
{
    size_t n = a ? strnlen(RTA_DATA(a), RTA_PAYLOAD(a)) : 0;

    return a && n == strlen(text) && memcmp(RTA_DATA(a), text, n) == 0;
}

int rtnl_link_index(int nl, const char *name, struct err *err)
{
    char answer[LINK_MAX] __attribute__((aligned(8)));
    int r = get_named(nl, name, answer, sizeof(answer), err);

    return r < 0 ? r : ((const struct ifinfomsg *)NLMSG_DATA((struct nlmsghdr *)answer))->ifi_index;
}

int rtnl_link_name(int nl, int ifindex, char *ret, struct err *err)
{
    char answer[LINK_MAX] __attribute__((aligned(8)));
    struct rtnl_req q;
    struct ifinfomsg *link = rtnl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));

    link->ifi_index = ifindex;
    int r = get_link(nl, &q, "by index", answer, sizeof(answer), err);
    if (r < 0)
        return r;
    const struct rtattr *name = link_attr((struct nlmsghdr *)answer, IFLA_IFNAME);
    if (!name || RTA_PAYLOAD(name) > IFNAMSIZ)
        return err_no(err, EPROTO, "link %d has no name", ifindex);
    memcpy(ret, RTA_DATA(name), RTA_PAYLOAD(name));
    return 0;
}

int rtnl_link_has_alias(int nl, const char *name, const char *text, struct err *err)
{
    char answer[LINK_MAX] __attribute__((aligned(8)));
    int r = get_named(nl, name, answer, sizeof(answer), err);

    return r < 0 ? r : has_text(link_attr((struct nlmsghdr *)answer, IFLA_IFALIAS), text);
}

int rtnl_link_is(int nl, const char *name, const char *kind, struct err *err)
{
    char answer[LINK_MAX] __attribute__((aligned(8)));
    int r = get_named(nl, name, answer, sizeof(answer), err);

    if (r < 0)
        return r;
    struct rtattr *info = link_attr((struct nlmsghdr *)answer, IFLA_LINKINFO);
    return info &&
           has_text(find_attr(RTA_DATA(info), (int)RTA_PAYLOAD(info), IFLA_INFO_KIND), kind);
}

int rtnl_link_stats(int nl, const char *name, struct rtnl_stats *ret, struct err *err)
{
    char answer[LINK_MAX] __attribute__((aligned(8)));
    struct rtnl_link_stats64 s = {0};
    int r = get_named(nl, name, answer, sizeof(answer), err);

    if (r < 0)
        return r;
    const struct rtattr *a = link_attr((struct nlmsghdr *)answer, IFLA_STATS64);
    if (!a)
        return err_no(err, EPROTO, "no counters for link %s", name);
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
