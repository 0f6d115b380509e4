/*
 * The bridge driver: a bridge on the host with the gateway's address, which routes, filters and
 * translates. A bridge is found again by its name; everything is made so that doing it twice is
 * the same as once.
 */
#include "network/network-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "kern/rtnl.h"

/* Which daemon has which bridge: a locked file each, named after network namespace and link. It is
 * no daemon's root, since daemons with different roots are who must not meet. */
#define CLAIMS_DIR "/run/cleat/bridges"

static int check(const struct network_conf *c, struct err *err)
{
    size_t v4 = 0, v6 = 0;

    for (size_t i = 0; i < c->nsubnets; i++)
        *(c->subnets[i].subnet.family == AF_INET ? &v4 : &v6) += 1;
    if (v4 > 1 || v6 > 1)
        return err_as(err, ERR_DENIED, EINVAL,
                      "a network of the bridge driver has one subnet of each family");
    if ((c->opts.mode4 == GATEWAY_ISOLATED || c->opts.mode6 == GATEWAY_ISOLATED) && !c->internal)
        return err_invalid(err, "gateway mode 'isolated' can only be used for an internal network");
    return 0;
}

static char *claim_path(const struct network *n, struct err *err)
{
    struct stat ns;

    if (stat("/proc/thread-self/ns/net", &ns) < 0) {
        (void)err_sys(err, "network namespace");
        return NULL;
    }
    return xasprintf("%s/%ju-%s", CLAIMS_DIR, (uintmax_t)ns.st_ino, n->link);
}

/* One bridge, one daemon: another one would change our packet filter and delete the link when it
 * stops. The lock does not tell networks of this process from each other; and it would be lost with
 * the second one's descriptor. */
static int claim(struct network *n, struct err *err)
{
    struct stat file = {0};

    if (net_host_uses(n->host, n->link))
        return err_conflict(err, "in use by another network; choose another name");
    int r = mkdir_p_at(AT_FDCWD, CLAIMS_DIR, 0700, err);
    auto_free char *path = r < 0 ? NULL : claim_path(n, err);

    if (!path)
        return err_code(err);
    while (file.st_nlink == 0) { /* whoever had it before has removed it meanwhile: once more */
        close_fd(&n->claim);
        n->claim = lock_file_at(AT_FDCWD, path, 0600, err);
        if (n->claim == -EAGAIN) {
            err_clear(err);
            return err_conflict(err, "in use by another daemon; choose another name");
        }
        if (n->claim < 0)
            return n->claim;
        if (fstat(n->claim, &file) < 0)
            return err_sys(err, "claim of the bridge");
    }
    return 0;
}

static void drop_claim(struct network *n)
{
    auto_free char *path = claim_path(n, NULL);

    if (path && n->claim >= 0)
        (void)unlink(path);
    close_fd(&n->claim);
}

struct link_addr {
    int index;
    struct ip ip;
};

static int find_addr(void *arg, int ifindex, const struct ip *ip)
{
    struct link_addr *want = arg;

    if (ifindex != want->index || ip->family != AF_INET)
        return 0;
    want->ip = *ip;
    return 1;
}

int bridge_exists(const char *name, struct err *err)
{
    struct err missing = {0};
    auto_close int nl = rtnl_open(err);

    return nl < 0 ? nl : rtnl_link_index(nl, name, &missing) > 0;
}

int bridge_address(const char *name, struct ip *ret, struct err *err)
{
    struct err missing = {0};
    auto_close int nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    struct link_addr have = {.index = rtnl_link_index(nl, name, &missing)};
    int r = have.index > 0 ? rtnl_addr_each(find_addr, &have, err) : 0;
    if (r > 0)
        *ret = have.ip;
    return r;
}

/* The host's own address on the bridge: the gateway, where it shall be one. */
static bool has_address(const struct network *n, const struct net_pool *p)
{
    bool v4 = p->gateway.family == AF_INET;
    enum gateway_mode mode = v4 ? n->opts.mode4 : n->opts.mode6;

    return p->gateway.family && mode != GATEWAY_ISOLATED && !(v4 && n->opts.inhibit_ipv4);
}

static int set_sysctl(const char *name, const char *value, struct err *err)
{
    auto_free char *path = xasprintf("/proc/sys/%s", name);
    auto_buf struct buf now = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, 4096, &now, err);

    if (r < 0)
        return r;
    return strncmp(now.data, value, strlen(value)) == 0
               ? 0
               : write_value_at(AT_FDCWD, path, value, err);
}

/* Published ports on 127.0.0.1 are routed onto the bridge; router advertisements of containers are
 * not listened to. */
static int set_sysctls(const struct network *n, struct err *err)
{
    bool v6 = network_subnet(n, AF_INET6).family != 0;
    auto_free char *localnet = xasprintf("net/ipv4/conf/%s/route_localnet", n->link);
    auto_free char *disable6 = xasprintf("net/ipv6/conf/%s/disable_ipv6", n->link);
    auto_free char *accept_ra = xasprintf("net/ipv6/conf/%s/accept_ra", n->link);
    int r = set_sysctl(localnet, "1", err);

    if (r >= 0 && n->host->forward)
        r = set_sysctl("net/ipv4/ip_forward", "1", err);
    if (r < 0 || !v6)
        return r;
    r = set_sysctl(disable6, "0", err);
    if (r >= 0)
        r = set_sysctl(accept_ra, "0", err);
    if (r >= 0 && n->host->forward)
        r = set_sysctl("net/ipv6/conf/all/forwarding", "1", err);
    return r;
}

/* A bridge takes the lowest address of its ports, and changes it as they come and go, unless it has
 * been given one. From the id: the same after a restart. */
static void choose_mac(const struct network *n, uint8_t mac[6])
{
    unsigned b[4] = {0};

    (void)sscanf(n->id, "%2x%2x%2x%2x", &b[0], &b[1], &b[2], &b[3]);
    mac[0] = 0x02;
    mac[1] = 0x42;
    for (int i = 0; i < 4; i++)
        mac[i + 2] = (uint8_t)b[i];
}

static int make_link(struct network *n, int nl, struct err *err)
{
    uint8_t mac[6];

    FAIL_POINT("network.bridge.make", err);
    int r = rtnl_bridge_add(nl, n->link, n->opts.mtu, err);
    if (r >= 0)
        r = rtnl_link_index(nl, n->link, err);
    if (r >= 0)
        n->index = r;
    choose_mac(n, mac);
    return r < 0 ? r : rtnl_link_set_mac(nl, n->index, mac, err);
}

/* fe80::1 is there at once: the kernel's own link-local address is looked for elsewhere first, and
 * for the two seconds which that takes nothing that is forwarded would find its container. */
static int set_link_local(const struct network *n, int nl, struct err *err)
{
    struct ip ip = {.family = AF_INET6, .prefix = 64, .addr = {0xfe, 0x80, [15] = 1}};

    return rtnl_addr_add(nl, n->index, &ip, err);
}

static int set_addresses(const struct network *n, int nl, struct err *err)
{
    int r = network_subnet(n, AF_INET6).family ? set_link_local(n, nl, err) : 0;

    for (size_t i = 0; r >= 0 && i < n->npools; i++) {
        struct ip ip = n->pools[i].gateway;
        ip.prefix = n->pools[i].subnet.prefix;
        if (has_address(n, &n->pools[i]))
            r = rtnl_addr_add(nl, n->index, &ip, err);
    }
    return r < 0 ? r : rtnl_link_up(nl, n->index, err);
}

/* Return: 1 made, 0 it was there; -ESTALE: somebody has deleted it under our hands. */
static int try_set_up(struct network *n, bool fresh, struct err *err)
{
    struct err missing = {0};
    auto_close int nl = rtnl_open(err);
    int made = 0, r;

    if (nl < 0)
        return nl;
    int index = rtnl_link_index(nl, n->link, &missing);
    if (index > 0 && fresh)
        return err_conflict(err, "there is such a link already");
    if (index > 0 && rtnl_link_is(nl, n->link, "bridge", &missing) == 0)
        return err_conflict(err, "there is such a link, and it is no bridge");
    if (index > 0) {
        n->index = index;
    } else {
        made = 1;
        r = n->given ? err_no(err, index, "find the given link") : make_link(n, nl, err);
        if (r < 0)
            return !n->given && (r == -ENODEV || r == -EEXIST) ? -ESTALE : r;
    }
    r = set_sysctls(n, err);
    if (r >= 0)
        r = set_addresses(n, nl, err);
    if (r < 0 && rtnl_link_index(nl, n->link, &missing) != n->index)
        return n->given ? r : -ESTALE;
    if (r < 0 && made)
        (void)!rtnl_link_del(nl, n->link, NULL);
    return r < 0 ? r : made;
}

/* Return: as above, without -ESTALE. */
static int set_up_link(struct network *n, bool fresh, struct err *err)
{
    int r;

    while ((r = try_set_up(n, fresh, err)) == -ESTALE)
        err_clear(err);
    return r;
}

static enum fw_door door_of(enum gateway_mode mode)
{
    return mode == GATEWAY_ROUTED ? FW_ROUTED : mode == GATEWAY_NAT_UNPROTECTED ? FW_WIDE : FW_SHUT;
}

static int open_bridge(struct network *n, const struct network_conf *c, struct err *err)
{
    if (*c->opts.bridge)
        (void)snprintf(n->link, sizeof(n->link), "%s", c->opts.bridge);
    else
        (void)snprintf(n->link, sizeof(n->link), "br-%.12s", c->id);
    int r = claim(n, err);
    if (r >= 0)
        r = set_up_link(n, c->fresh, err);
    n->fw = (struct fw_net){.bridge = n->link,
                            .subnets = {network_subnet(n, AF_INET), network_subnet(n, AF_INET6)},
                            .doors = {door_of(n->opts.mode4), door_of(n->opts.mode6)},
                            .masquerade = n->opts.masquerade,
                            .sources = {n->opts.snat4, n->opts.snat6},
                            .trusted = n->opts.trusted.v,
                            .ntrusted = n->opts.trusted.n,
                            .icc = n->opts.icc,
                            .internal = n->internal};
    if (r >= 0) {
        int made = r;
        r = fw_net_add(n->host->fw, &n->fw, err);
        auto_close int nl = r < 0 && made ? rtnl_open(NULL) : -1;
        if (nl >= 0)
            (void)!rtnl_link_del(nl, n->link, NULL);
    }
    return r < 0 ? err_wrap(err, r, "bridge %s", n->link) : 0;
}

static int remove_bridge(struct network *n, struct err *err)
{
    int r = n->given ? 0 : net_link_del(n->link, err);

    if (r >= 0)
        r = fw_net_del(n->host->fw, &n->fw, err);
    if (r >= 0)
        drop_claim(n);
    return r;
}

/* Return: 1 it had another name and has its own again; it may be down then. */
static int restore_name(struct network *n, struct err *err)
{
    char name[IFNAMSIZ] = "";
    struct err gone = {0};
    auto_close int nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    if (rtnl_link_name(nl, n->index, name, &gone) < 0 || strcmp(name, n->link) == 0)
        return 0;
    int r = rtnl_link_rename(nl, n->index, n->link, err);
    if (r == -EBUSY) {
        err_clear(err);
        r = rtnl_link_down(nl, n->index, err);
        if (r >= 0)
            r = rtnl_link_rename(nl, n->index, n->link, err);
    }
    if (r < 0)
        return err_wrap(err, r, "bridge %s was renamed to %s and cannot be given its name back",
                        n->link, name);
    return 1;
}

/* Somebody has deleted the bridge, taken it down, renamed it, changed its addresses, or made it
 * again, all of it perhaps; or it could not be removed to the end. */
static int heal(struct network *n, struct err *err)
{
    int before = n->index, named = restore_name(n, err);
    int r = named < 0 ? named : fw_net_add(n->host->fw, &n->fw, err);

    if (r >= 0)
        r = set_up_link(n, false, err);
    if (r < 0)
        return named < 0 ? r : err_wrap(err, r, "bridge %s", n->link);
    return r > 0 || named > 0 || n->index != before;
}

static int attach(const struct network *n, const struct endpoint *ep, bool hairpin, struct err *err)
{
    auto_close int nl = rtnl_open(err);
    int r = nl < 0 ? nl : rtnl_link_set_master(nl, ep->host_if, n->index, err);

    return r < 0 ? r : rtnl_port_set(nl, ep->host_if, hairpin, !n->opts.icc, err);
}

static void link_of(const struct network *n, struct net_link *ret)
{
    ret->kind = "veth";
    ret->isolated = !n->opts.icc;
}

const struct net_driver bridge_driver = {
    .name = "bridge",
    .publishes = true,
    .check = check,
    .open = open_bridge,
    .remove = remove_bridge,
    .heal = heal,
    .link = link_of,
    .attach = attach,
};
