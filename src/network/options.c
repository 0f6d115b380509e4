#include "network/options.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define MTU_MIN 68 /* RFC 791 */
#define MTU_MAX 65535

/* One option into the struct. */
typedef int (*option_fn)(struct net_options *o, const char *val, size_t offset);

/* Go's ParseBool. */
static int parse_bool(const char *val, bool *ret)
{
    static const char *const words[] = {"0", "f", "false", "1", "t", "true"};

    for (size_t i = 0; i < 6; i++)
        if (strcasecmp(val, words[i]) == 0) {
            *ret = i >= 3;
            return 0;
        }
    return -EINVAL;
}

static int set_bool(struct net_options *o, const char *val, size_t offset)
{
    return parse_bool(val, (bool *)((char *)o + offset));
}

bool link_name_valid(const char *s)
{
    return *s && strlen(s) < IFNAMSIZ && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
           strcspn(s, "/: \t\n\v\f\r\"\\") == strlen(s);
}

static int set_link(struct net_options *o, const char *val, size_t offset)
{
    if (!link_name_valid(val))
        return -EINVAL;
    (void)snprintf((char *)o + offset, IFNAMSIZ, "%s", val);
    return 0;
}

static int set_mtu(struct net_options *o, const char *val, size_t offset)
{
    uint64_t v;

    if (str_to_u64(val, &v) < 0 || v > MTU_MAX || (v > 0 && v < MTU_MIN))
        return -EINVAL;
    *(int *)((char *)o + offset) = (int)v;
    return 0;
}

static int set_ip(struct net_options *o, const char *val, size_t offset)
{
    return strchr(val, '/') ? -EINVAL : ip_parse(val, (struct ip *)((char *)o + offset));
}

/* "eth0:eth1" */
static int set_trusted(struct net_options *o, const char *val, size_t offset)
{
    (void)offset;
    o->trusted.n = 0;
    while (*val) {
        size_t n = strcspn(val, ":");
        char name[IFNAMSIZ] = "";
        if (n >= sizeof(name) || o->trusted.n == TRUSTED_MAX)
            return -EINVAL;
        memcpy(name, val, n);
        if (!link_name_valid(name))
            return -EINVAL;
        memcpy(o->trusted.v[o->trusted.n++], name, sizeof(name));
        val += n;
        if (*val == ':' && !*++val)
            return -EINVAL;
    }
    return 0;
}

struct word {
    const char *name;
    uint32_t value;
};

static int find_word(const struct word *words, const char *val, uint32_t *ret)
{
    for (; words->name; words++)
        if (strcmp(words->name, val) == 0) {
            *ret = words->value;
            return 0;
        }
    return -EINVAL;
}

static int set_gateway_mode(struct net_options *o, const char *val, size_t offset)
{
    static const struct word modes[] = {{"nat", GATEWAY_NAT},
                                        {"nat-unprotected", GATEWAY_NAT_UNPROTECTED},
                                        {"routed", GATEWAY_ROUTED},
                                        {"isolated", GATEWAY_ISOLATED},
                                        {NULL, 0}};
    uint32_t v = 0;
    int r = find_word(modes, val, &v);

    if (r == 0)
        *(enum gateway_mode *)((char *)o + offset) = (enum gateway_mode)v;
    return r;
}

static int set_macvlan_mode(struct net_options *o, const char *val, size_t offset)
{
    static const struct word modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
                                        {"private", MACVLAN_MODE_PRIVATE},
                                        {"vepa", MACVLAN_MODE_VEPA},
                                        {"passthru", MACVLAN_MODE_PASSTHRU},
                                        {NULL, 0}};

    return find_word(modes, val, (uint32_t *)((char *)o + offset));
}

static int set_ipvlan_mode(struct net_options *o, const char *val, size_t offset)
{
    static const struct word modes[] = {
        {"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, 0}};

    return find_word(modes, val, (uint32_t *)((char *)o + offset));
}

static int set_ipvlan_flag(struct net_options *o, const char *val, size_t offset)
{
    static const struct word flags[] = {
        {"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}, {NULL, 0}};
    uint32_t v = 0;
    int r = find_word(flags, val, &v);

    if (r == 0)
        *(uint16_t *)((char *)o + offset) = (uint16_t)v;
    return r;
}

#define AT(member) offsetof(struct net_options, member)
static const struct {
    const char *driver; /* NULL: any */
    const char *name;
    option_fn fn;
    size_t offset;
} options[] = {
    {"bridge", "com.docker.network.bridge.name", set_link, AT(bridge)},
    {"bridge", "com.docker.network.bridge.enable_ip_masquerade", set_bool, AT(masquerade)},
    {"bridge", "com.docker.network.bridge.enable_icc", set_bool, AT(icc)},
    {"bridge", "com.docker.network.bridge.host_binding_ipv4", set_ip, AT(binding)},
    {"bridge", "com.docker.network.bridge.inhibit_ipv4", set_bool, AT(inhibit_ipv4)},
    {"bridge", "com.docker.network.bridge.gateway_mode_ipv4", set_gateway_mode, AT(mode4)},
    {"bridge", "com.docker.network.bridge.gateway_mode_ipv6", set_gateway_mode, AT(mode6)},
    {"bridge", "com.docker.network.bridge.trusted_host_interfaces", set_trusted, AT(trusted)},
    {"bridge", "com.docker.network.host_ipv4", set_ip, AT(snat4)},
    {"bridge", "com.docker.network.host_ipv6", set_ip, AT(snat6)},
    {NULL, "com.docker.network.driver.mtu", set_mtu, AT(mtu)},
    {NULL, "com.docker.network.mtu", set_mtu, AT(mtu)},
    {NULL, "com.docker.network.container_iface_prefix", set_link, AT(if_prefix)},
    {"macvlan", "parent", set_link, AT(parent)},
    {"macvlan", "macvlan_mode", set_macvlan_mode, AT(mode)},
    {"ipvlan", "parent", set_link, AT(parent)},
    {"ipvlan", "ipvlan_mode", set_ipvlan_mode, AT(mode)},
    {"ipvlan", "ipvlan_flag", set_ipvlan_flag, AT(flag)},
};

static int set_one(const char *driver, const char *key, const char *val, struct net_options *o,
                   struct err *err)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if ((options[i].driver && !str_eq(options[i].driver, driver)) ||
            strcmp(options[i].name, key) != 0)
            continue;
        int r = options[i].fn(o, val, options[i].offset);
        return r < 0 ? err_invalid(err, "invalid value for %s: %s", key, val) : 0;
    }
    return 0;
}

int net_options_parse(const char *driver, const struct strmap *o, struct net_options *ret,
                      struct err *err)
{
    struct net_options opts = {.if_prefix = "eth", .masquerade = true, .icc = true};
    int r = 0;

    if (strcmp(driver, "macvlan") == 0)
        opts.mode = MACVLAN_MODE_BRIDGE;
    for (size_t i = 0; r >= 0 && i < o->n; i++)
        r = set_one(driver, o->v[i].key, o->v[i].val, &opts, err);
    if (r < 0)
        return r;
    if (strlen(opts.if_prefix) > IFNAMSIZ - 4) /* room for a number */
        return err_invalid(err, "interface prefix %s is too long", opts.if_prefix);
    if (opts.snat4.family == AF_INET6 || opts.binding.family == AF_INET6)
        return err_invalid(err, "an IPv4 address is wanted");
    if (opts.snat6.family == AF_INET)
        return err_invalid(err, "an IPv6 address is wanted");
    *ret = opts;
    return 0;
}
