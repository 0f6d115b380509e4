#include "kern/nft.h"

#include <errno.h>
#include <linux/ip.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"

#define BATCH_MAX 4096
#define PRIORITY_RAW (-300)

static const char table_name[] = "cleat", chain_name[] = "ports";

/* A transaction under construction: netlink messages one behind the other. What this file builds
 * is of a fixed size, far below the limit; put() asserts it all the same. */
struct batch {
    union {
        struct nlmsghdr align;
        char space[BATCH_MAX];
    };
    size_t len;
    struct nlmsghdr *last; /* the message that grows */
};

static void *put(struct batch *b, size_t n)
{
    char *p = b->space + b->len;

    if (b->len + NLMSG_ALIGN(n) > BATCH_MAX)
        __builtin_trap();
    memset(p, 0, NLMSG_ALIGN(n));
    b->len += NLMSG_ALIGN(n);
    if (b->last)
        b->last->nlmsg_len += (uint32_t)NLMSG_ALIGN(n);
    return p;
}

static void attr(struct batch *b, uint16_t type, const void *data, size_t n)
{
    struct nlattr *a = put(b, NLA_HDRLEN + n);

    a->nla_type = type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + n);
    memcpy((char *)a + NLA_HDRLEN, data, n);
}

/* Numbers travel in network byte order here, other than in rtnetlink. */
static void attr_u32(struct batch *b, uint16_t type, uint32_t v)
{
    uint32_t be = htonl(v);

    attr(b, type, &be, sizeof(be));
}

static void attr_str(struct batch *b, uint16_t type, const char *s)
{
    attr(b, type, s, strlen(s) + 1);
}

static struct nlattr *nest(struct batch *b, uint16_t type)
{
    struct nlattr *a = put(b, NLA_HDRLEN);

    a->nla_type = type | NLA_F_NESTED;
    return a;
}

static void nest_end(struct batch *b, struct nlattr *a)
{
    a->nla_len = (uint16_t)(b->space + b->len - (char *)a);
}

static void message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
    b->last = NULL;
    struct nlmsghdr *h = put(b, NLMSG_HDRLEN);
    b->last = h;
    h->nlmsg_len = NLMSG_HDRLEN;
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    struct nfgenmsg *g = put(b, sizeof(*g));
    g->nfgen_family = family;
    g->version = NFNETLINK_V0;
    g->res_id = htons(res_id);
}

static void nft_message(struct batch *b, uint16_t type, uint16_t flags)
{
    message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_IPV4, 0);
}

/* ---- expressions ---- */

struct expr {
    struct nlattr *elem, *data;
};

static struct expr expr(struct batch *b, const char *name)
{
    struct expr x = {.elem = nest(b, NFTA_LIST_ELEM)};

    attr_str(b, NFTA_EXPR_NAME, name);
    x.data = nest(b, NFTA_EXPR_DATA);
    return x;
}

static void expr_end(struct batch *b, struct expr x)
{
    nest_end(b, x.data);
    nest_end(b, x.elem);
}

static void value(struct batch *b, uint16_t type, const void *p, size_t n)
{
    struct nlattr *a = nest(b, type);

    attr(b, NFTA_DATA_VALUE, p, n);
    nest_end(b, a);
}

/* Goes on only if register 1 holds these bytes. */
static void want(struct batch *b, const void *p, size_t n)
{
    struct expr x = expr(b, "cmp");

    attr_u32(b, NFTA_CMP_SREG, NFT_REG_1);
    attr_u32(b, NFTA_CMP_OP, NFT_CMP_EQ);
    value(b, NFTA_CMP_DATA, p, n);
    expr_end(b, x);
}

static void want_payload(struct batch *b, uint32_t base, uint32_t offset, const void *p, size_t n)
{
    struct expr x = expr(b, "payload");

    attr_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
    attr_u32(b, NFTA_PAYLOAD_BASE, base);
    attr_u32(b, NFTA_PAYLOAD_OFFSET, offset);
    attr_u32(b, NFTA_PAYLOAD_LEN, (uint32_t)n);
    expr_end(b, x);
    want(b, p, n);
}

static void want_protocol(struct batch *b, uint8_t protocol)
{
    struct expr x = expr(b, "meta");

    attr_u32(b, NFTA_META_DREG, NFT_REG_1);
    attr_u32(b, NFTA_META_KEY, NFT_META_L4PROTO);
    expr_end(b, x);
    want(b, &protocol, sizeof(protocol));
}

static void write_port(struct batch *b, uint8_t protocol, uint32_t offset, const uint16_t *be_port)
{
    struct expr x = expr(b, "immediate");

    attr_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    value(b, NFTA_IMMEDIATE_DATA, be_port, sizeof(*be_port));
    expr_end(b, x);
    x = expr(b, "payload");
    attr_u32(b, NFTA_PAYLOAD_SREG, NFT_REG_1);
    attr_u32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    attr_u32(b, NFTA_PAYLOAD_OFFSET, offset);
    attr_u32(b, NFTA_PAYLOAD_LEN, sizeof(*be_port));
    /* Most packets on lo are CHECKSUM_PARTIAL and skipped, but a TCP reset has a real checksum. */
    attr_u32(b, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    attr_u32(b, NFTA_PAYLOAD_CSUM_OFFSET,
             protocol == IPPROTO_TCP ? offsetof(struct tcphdr, check)
                                     : offsetof(struct udphdr, check));
    expr_end(b, x);
}

/* ---- the table ---- */

static void add_table(struct batch *b, uint16_t flags)
{
    nft_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | flags);
    attr_str(b, NFTA_TABLE_NAME, table_name);
}

static void delete_table(struct batch *b)
{
    nft_message(b, NFT_MSG_DELTABLE, 0);
    attr_str(b, NFTA_TABLE_NAME, table_name);
}

static void add_chain(struct batch *b)
{
    nft_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    attr_str(b, NFTA_CHAIN_TABLE, table_name);
    attr_str(b, NFTA_CHAIN_NAME, chain_name);
    struct nlattr *hook = nest(b, NFTA_CHAIN_HOOK);
    attr_u32(b, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    attr_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_RAW);
    nest_end(b, hook);
    attr_u32(b, NFTA_CHAIN_POLICY, NF_ACCEPT);
    attr_str(b, NFTA_CHAIN_TYPE, "filter");
}

/* Packets of @protocol with @addr and the port @from get the port @to, both as the destination's
 * (to the server) or the source's (its answers). */
static void add_rule(struct batch *b, const struct ip *addr, uint8_t protocol, bool answers,
                     uint16_t from, uint16_t to)
{
    uint32_t addr_at = answers ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
    uint32_t port_at = answers ? 0 : sizeof(from);

    from = htons(from);
    to = htons(to);
    nft_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    attr_str(b, NFTA_RULE_TABLE, table_name);
    attr_str(b, NFTA_RULE_CHAIN, chain_name);
    struct nlattr *list = nest(b, NFTA_RULE_EXPRESSIONS);
    want_payload(b, NFT_PAYLOAD_NETWORK_HEADER, addr_at, addr->addr, sizeof(uint32_t));
    want_protocol(b, protocol);
    want_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, port_at, &from, sizeof(from));
    write_port(b, protocol, port_at, &to);
    nest_end(b, list);
}

static void add_rules(struct batch *b, const struct ip *addr, uint8_t protocol, uint16_t port,
                      uint16_t to)
{
    if (to == 0)
        return;
    add_rule(b, addr, protocol, false, port, to);
    add_rule(b, addr, protocol, true, to, port);
}

static int nft_open(struct err *err)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd < 0)
        return err_sys(err, "open netfilter socket");
    if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return err_sys(err, "connect netfilter socket");
    return take_fd(&fd);
}

/* Only the last message asks for an acknowledgement. Errors of those before it, and of the
 * transaction as a whole, are delivered ahead of it: the first answer is the verdict. */
static int commit(struct batch *b, struct err *err)
{
    char answer[BATCH_MAX + NLMSG_SPACE(sizeof(struct nlmsgerr))]
        __attribute__((aligned(NLMSG_ALIGNTO)));
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
    ssize_t got;

    b->last->nlmsg_flags |= NLM_F_ACK;
    message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    auto_close int nl = nft_open(err);
    if (nl < 0)
        return nl;
    if (send(nl, b->space, b->len, MSG_NOSIGNAL) < 0)
        return err_sys(err, "change packet filter");
    do
        got = recv(nl, answer, sizeof(answer), 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, "change packet filter");
    if ((size_t)got < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
        return err_no(err, EPROTO, "change packet filter");
    const struct nlmsgerr *e = NLMSG_DATA(h);
    return e->error == 0 ? 0 : err_no(err, e->error, "change packet filter");
}

/* Where the table can be there already, it is added before it is deleted: deleting one that is not
 * there would fail. */
static int redirect(const struct ip *addr, uint16_t port, uint16_t udp_to, uint16_t tcp_to,
                    bool replace, struct err *err)
{
    struct batch b = {.len = 0, .last = NULL};

    message(&b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    if (replace) {
        add_table(&b, 0);
        delete_table(&b);
    }
    add_table(&b, NLM_F_EXCL);
    add_chain(&b);
    add_rules(&b, addr, IPPROTO_UDP, port, udp_to);
    add_rules(&b, addr, IPPROTO_TCP, port, tcp_to);
    return commit(&b, err);
}

/* A transaction that deletes makes the kernel wait for a grace period of RCU when our socket is
 * closed (15 ms and more, where the rest takes 60 us), so replacing is what is tried second. */
int nft_redirect_local(const struct ip *addr, uint16_t port, uint16_t udp_to, uint16_t tcp_to,
                       struct err *err)
{
    if (addr->family != AF_INET)
        return err_invalid(err, "only IPv4 ports can be redirected");
    int r = redirect(addr, port, udp_to, tcp_to, false, err);
    if (r != -EEXIST)
        return r;
    err_clear(err);
    return redirect(addr, port, udp_to, tcp_to, true, err);
}
