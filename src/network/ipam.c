#include "network/ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/json.h"
#include "base/mem.h"
#include "kern/rtnl.h"

#define WINDOW6_BITS 16
#define SUBNETS_MAX 65536 /* of one block that are looked at */

struct ip_pool {
    struct ip subnet;
    struct ip first;             /* of the window that has bits */
    uint32_t size;               /* addresses in it, a power of two */
    uint32_t next;               /* where the search goes on */
    VEC_OF(struct ip) elsewhere; /* taken outside of the window; heap */
    uint64_t bits[];
};

static bool is_taken(const struct ip_pool *p, uint32_t i)
{
    return p->bits[i / 64] >> (i % 64) & 1;
}

static void set_taken(struct ip_pool *p, uint32_t i)
{
    p->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static unsigned host_bits(const struct ip *net)
{
    return (unsigned)ip_len(net) * 8 - net->prefix;
}

static int check_subnet(const struct ip *subnet, const struct ip *range, struct err *err)
{
    char text[IP_TEXT];

    if (subnet->family == AF_INET && subnet->prefix < IPAM_PREFIX4_MIN)
        return err_invalid(err, "a subnet needs a prefix of at least %d bits", IPAM_PREFIX4_MIN);
    if (host_bits(subnet) < 2)
        return err_invalid(err, "subnet %s has no room for addresses",
                           ip_format_cidr(subnet, text));
    if (range->prefix < subnet->prefix || !ip_contains(subnet, range))
        return err_invalid(err, "no matching subnet for range %s", ip_format_cidr(range, text));
    return 0;
}

/* Nobody's: the network's own address and, in IPv4, the broadcast address. */
static bool is_end(const struct ip_pool *p, const struct ip *ip)
{
    uint64_t at = ip_offset(&p->subnet, ip);

    return at == 0 ||
           (p->subnet.family == AF_INET && at == (UINT64_C(1) << host_bits(&p->subnet)) - 1);
}

static void reserve_ends(struct ip_pool *p)
{
    struct ip last = ip_add(&p->first, p->size - 1);

    if (is_end(p, &p->first))
        set_taken(p, 0);
    if (is_end(p, &last))
        set_taken(p, p->size - 1);
}

int ip_pool_new(const struct ip *subnet, const struct ip *range, struct ip_pool **ret,
                struct err *err)
{
    struct ip net = ip_network(subnet), from = range && range->family ? ip_network(range) : net;
    int r = check_subnet(&net, &from, err);

    if (r < 0)
        return r;
    unsigned bits = host_bits(&from);
    if (net.family == AF_INET6 && bits > WINDOW6_BITS)
        bits = WINDOW6_BITS;
    uint32_t size = UINT32_C(1) << bits;
    struct ip_pool *p = xcalloc(1, sizeof(*p) + ((size_t)size + 63) / 64 * 8);
    p->subnet = net;
    p->first = from;
    p->size = size;
    reserve_ends(p);
    *ret = p;
    return 0;
}

void ip_pool_free(struct ip_pool *p)
{
    if (p)
        free(p->elsewhere.v);
    free(p);
}

int ip_pool_take(struct ip_pool *p, struct ip *ret, struct err *err)
{
    for (uint32_t tried = 0; tried < p->size; tried++) {
        uint32_t i = (p->next + tried) & (p->size - 1);
        if (i % 64 == 0 && p->bits[i / 64] == UINT64_MAX) {
            tried += 63; /* a full word */
            continue;
        }
        if (is_taken(p, i))
            continue;
        set_taken(p, i);
        p->next = i + 1;
        *ret = ip_add(&p->first, i);
        ret->prefix = p->subnet.prefix;
        return 0;
    }
    return err_as(err, ERR_UNAVAILABLE, ENOSPC, "no available IPv%d addresses on this network",
                  p->subnet.family == AF_INET ? 4 : 6);
}

static size_t find_elsewhere(const struct ip_pool *p, const struct ip *ip)
{
    size_t i = 0;

    while (i < p->elsewhere.n && !ip_same(&p->elsewhere.v[i], ip))
        i++;
    return i;
}

int ip_pool_take_this(struct ip_pool *p, const struct ip *want, struct err *err)
{
    uint64_t i = ip_offset(&p->first, want);
    char text[INET6_ADDRSTRLEN];

    if (!ip_contains(&p->subnet, want))
        return err_invalid(err, "no configured subnet contains IP address %s",
                           ip_format(want, text));
    if (i < p->size ? is_taken(p, (uint32_t)i)
                    : is_end(p, want) || find_elsewhere(p, want) < p->elsewhere.n)
        return err_as(err, ERR_DENIED, EADDRINUSE, "Address already in use");
    if (i < p->size) {
        set_taken(p, (uint32_t)i);
        return 0;
    }
    p->elsewhere.v = xrealloc(p->elsewhere.v, (p->elsewhere.n + 1) * sizeof(*p->elsewhere.v));
    p->elsewhere.v[p->elsewhere.n++] = *want;
    return 0;
}

void ip_pool_give_back(struct ip_pool *p, const struct ip *ip)
{
    uint64_t i = ip_offset(&p->first, ip);
    size_t at;

    if (!ip_contains(&p->subnet, ip))
        return;
    if (i < p->size) {
        p->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
        reserve_ends(p);
    } else if ((at = find_elsewhere(p, ip)) < p->elsewhere.n) {
        p->elsewhere.v[at] = p->elsewhere.v[--p->elsewhere.n];
    }
}

/* ---- subnets ---- */

/* What a new subnet must not overlap. */
struct nets {
    struct ip *v; /* heap */
    size_t n;
};

static void add_net(struct nets *nets, const struct ip *ip)
{
    nets->v = xrealloc(nets->v, (nets->n + 1) * sizeof(*nets->v));
    nets->v[nets->n++] = *ip;
}

static int add_host_net(void *arg, int ifindex, const struct ip *ip)
{
    (void)ifindex;
    /* The default route overlaps everything and means nothing here. */
    if (ip->prefix > 0)
        add_net(arg, ip);
    return 0;
}

static bool is_free(const struct ip *candidate, const struct nets *taken)
{
    for (size_t i = 0; i < taken->n; i++)
        if (ip_overlap(candidate, &taken->v[i]))
            return false;
    return true;
}

static bool find_in(const struct ip_block *b, const struct nets *taken, struct ip *ret)
{
    struct ip one = ip_network(&b->base);
    unsigned more = b->size - b->base.prefix;
    uint32_t count = more >= 16 ? SUBNETS_MAX : UINT32_C(1) << more;

    one.prefix = b->size;
    for (uint32_t i = 0; i < count; i++, one = ip_next_network(&one))
        if (is_free(&one, taken)) {
            *ret = one;
            return true;
        }
    return false;
}

int ipam_find_subnet(const struct ip_block *blocks, size_t n, int family, const struct ip *taken,
                     size_t ntaken, struct ip *ret, struct err *err)
{
    static const struct ip_block usual[] = {
        {{AF_INET, 16, {172, 17}}, 16},  {{AF_INET, 15, {172, 18}}, 16},
        {{AF_INET, 14, {172, 20}}, 16},  {{AF_INET, 13, {172, 24}}, 16},
        {{AF_INET, 16, {192, 168}}, 20},
    };
    struct nets all = {0};
    bool found = false;

    if (!blocks) {
        blocks = usual;
        n = sizeof(usual) / sizeof(usual[0]);
    }
    for (size_t i = 0; i < ntaken; i++)
        add_net(&all, &taken[i]);
    int r = rtnl_route_each(add_host_net, &all, err);
    if (r >= 0)
        r = rtnl_addr_each(add_host_net, &all, err);
    for (size_t i = 0; r >= 0 && !found && i < n; i++)
        found = blocks[i].base.family == family && find_in(&blocks[i], &all, ret);
    free(all.v);
    if (r >= 0 && !found)
        return err_as(err, ERR_UNAVAILABLE, ENOSPC,
                      "all predefined address pools have been fully subnetted");
    return r;
}
