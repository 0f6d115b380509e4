#include "network/addr_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

struct addr_pool {
    uint32_t base, size; /* size: number of addresses, a power of two */
    uint32_t next;       /* where the search goes on */
    uint8_t prefix;
    uint64_t bits[];
};

uint32_t ip_to_u32(const struct ip *ip)
{
    uint32_t a;

    memcpy(&a, ip->addr, sizeof(a));
    return ntohl(a);
}

struct ip ip_from_u32(uint32_t a, uint8_t prefix)
{
    struct ip ip = {.family = AF_INET, .prefix = prefix};
    uint32_t net = htonl(a);

    memcpy(ip.addr, &net, sizeof(net));
    return ip;
}

static bool is_taken(const struct addr_pool *p, uint32_t i)
{
    return p->bits[i / 64] >> (i % 64) & 1;
}

static void set_taken(struct addr_pool *p, uint32_t i)
{
    p->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

int addr_pool_new(const struct ip *subnet, struct addr_pool **ret, struct err *err)
{
    if (subnet->family != AF_INET || subnet->prefix < IPAM_PREFIX_MIN || subnet->prefix > 30)
        return err_invalid(err, "a subnet needs a prefix of %d to 30 bits", IPAM_PREFIX_MIN);
    uint32_t size = UINT32_C(1) << (32 - subnet->prefix);
    struct addr_pool *p = xcalloc(1, sizeof(*p) + ((size_t)size + 63) / 64 * 8);
    p->size = size;
    p->base = ip_to_u32(subnet) & ~(size - 1);
    p->prefix = subnet->prefix;
    p->next = 1;
    set_taken(p, 0);
    set_taken(p, size - 1);
    *ret = p;
    return 0;
}

void addr_pool_free(struct addr_pool *p)
{
    free(p);
}

int addr_pool_take(struct addr_pool *p, struct ip *ret, struct err *err)
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
        *ret = ip_from_u32(p->base + i, p->prefix);
        return 0;
    }
    return err_as(err, ERR_UNAVAILABLE, ENOSPC, "no available IPv4 addresses on this network");
}

int addr_pool_take_this(struct addr_pool *p, const struct ip *want, struct err *err)
{
    uint32_t i = ip_to_u32(want) - p->base;

    if (want->family != AF_INET || i >= p->size)
        return err_invalid(err, "address is outside the network's subnet");
    if (is_taken(p, i))
        return err_as(err, ERR_DENIED, EADDRINUSE, "Address already in use");
    set_taken(p, i);
    return 0;
}

void addr_pool_give_back(struct addr_pool *p, const struct ip *ip)
{
    uint32_t i = ip_to_u32(ip) - p->base;

    if (ip->family == AF_INET && i > 0 && i < p->size - 1)
        p->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static int overlaps(void *arg, int ifindex, const struct ip *ip)
{
    (void)ifindex;
    /* The default route overlaps everything and means nothing here. */
    return ip->prefix > 0 && ip_overlap(arg, ip);
}

static int is_free(struct ip *candidate, struct err *err)
{
    int r = rtnl_route_each(overlaps, candidate, err);

    if (r == 0)
        r = rtnl_addr_each(overlaps, candidate, err);
    return r < 0 ? r : r == 0;
}

int addr_find_subnet(struct ip *ret, struct err *err)
{
    static const struct {
        uint32_t first;
        uint8_t prefix;
        int count;
    } pools[] = {{0xac110000, 16, 15}, {0xc0a80000, 20, 16}};

    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        for (int n = 0; n < pools[i].count; n++) {
            uint32_t step = UINT32_C(1) << (32 - pools[i].prefix);
            struct ip candidate = ip_from_u32(pools[i].first + (uint32_t)n * step, pools[i].prefix);
            int r = is_free(&candidate, err);
            if (r < 0)
                return r;
            if (r > 0) {
                *ret = candidate;
                return 0;
            }
        }
    return err_as(err, ERR_UNAVAILABLE, ENOSPC,
                  "all predefined address pools have been fully subnetted");
}
