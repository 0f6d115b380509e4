#include "kern/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"

/* Addresses as numbers; IPv4 in the low 32 bits. */
typedef unsigned __int128 u128;

static u128 to_number(const struct ip *ip)
{
    u128 v = 0;

    for (size_t i = 0; i < ip_len(ip); i++)
        v = v << 8 | ip->addr[i];
    return v;
}

static void set_number(struct ip *ip, u128 v)
{
    for (size_t i = ip_len(ip); i-- > 0; v >>= 8)
        ip->addr[i] = (uint8_t)v;
}

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

char *ip_format_cidr(const struct ip *ip, char *out)
{
    size_t n = strlen(ip_format(ip, out));

    (void)snprintf(out + n, IP_TEXT - n, "/%u", ip->prefix);
    return out;
}

size_t ip_len(const struct ip *ip)
{
    return ip->family == AF_INET6 ? 16 : 4;
}

bool ip_is_any(const struct ip *ip)
{
    return ip->family == 0 || to_number(ip) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    return ip->family == AF_INET ? ip->addr[0] == 127
                                 : ip->family == AF_INET6 && to_number(ip) == 1;
}

bool ip_same(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, ip_len(a)) == 0;
}

static u128 host_mask(const struct ip *ip)
{
    unsigned bits = (unsigned)ip_len(ip) * 8 - ip->prefix;

    return bits >= 128 ? ~(u128)0 : ((u128)1 << bits) - 1;
}

struct ip ip_network(const struct ip *ip)
{
    struct ip net = *ip;

    set_number(&net, to_number(ip) & ~host_mask(ip));
    return net;
}

bool ip_contains(const struct ip *subnet, const struct ip *ip)
{
    return subnet->family && subnet->family == ip->family &&
           ((to_number(subnet) ^ to_number(ip)) & ~host_mask(subnet)) == 0;
}

bool ip_overlap(const struct ip *a, const struct ip *b)
{
    return a->prefix < b->prefix ? ip_contains(a, b) : ip_contains(b, a);
}

uint64_t ip_offset(const struct ip *base, const struct ip *ip)
{
    u128 from = to_number(base), at = to_number(ip);

    return at < from || at - from > UINT64_MAX ? UINT64_MAX : (uint64_t)(at - from);
}

struct ip ip_add(const struct ip *base, uint64_t n)
{
    struct ip ip = *base;

    set_number(&ip, to_number(base) + n);
    return ip;
}

struct ip ip_next_network(const struct ip *net)
{
    struct ip next = ip_network(net);

    set_number(&next, to_number(&next) + host_mask(net) + 1);
    return next;
}

int mac_parse(const char *text, uint8_t ret[6])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t mac[6] = {0};

    if (strlen(text) != 17)
        return -EINVAL;
    for (size_t i = 0; i < 17; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        const char *digit = strchr(digits, c);
        if (i % 3 == 2 ? c != ':' : !digit)
            return -EINVAL;
        if (i % 3 < 2)
            mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (digit - digits));
    }
    memcpy(ret, mac, sizeof(mac));
    return 0;
}
