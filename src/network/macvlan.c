/*
 * The macvlan and ipvlan drivers: containers share a link of the host and are neighbours in its
 * network. No bridge, no packet filter, no ports. "eth0.10" is made as a VLAN of eth0 if it is not
 * there, and goes with the network; without a parent the network lives on a dummy link.
 */
#include "network/network-priv.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "kern/rtnl.h"

static int check_parent(const struct network_conf *c, struct err *err)
{
    const char *dot = strrchr(c->opts.parent, '.');
    uint64_t vlan;

    if (strcmp(c->opts.parent, "lo") == 0)
        return err_invalid(err, "loopback interface is not a valid %s parent link", c->driver);
    if (dot && (str_to_u64(dot + 1, &vlan) < 0 || vlan < 1 || vlan > 4094))
        return err_invalid(err, "vlan id must be between 1-4094, received: %s", dot + 1);
    if (c->internal && *c->opts.parent && strcmp(c->driver, "ipvlan") == 0)
        return err_invalid(err, "an internal network has no parent link");
    return 0;
}

/* The part in front of ".10" and the number behind it. Return: 1 it is a VLAN, 0 it is not. */
static int split_vlan(const char *name, char parent[IFNAMSIZ], uint16_t *id)
{
    const char *dot = strrchr(name, '.');
    uint64_t v;

    if (!dot || str_to_u64(dot + 1, &v) < 0)
        return 0;
    (void)snprintf(parent, IFNAMSIZ, "%.*s", (int)(dot - name), name);
    *id = (uint16_t)v;
    return 1;
}

/* On the links that we make, so that a later daemon, too, takes away only those. */
#define OURS "made by cleat"

static int make_parent(struct network *n, int nl, struct err *err)
{
    char parent[IFNAMSIZ];
    uint16_t id;
    int r;

    FAIL_POINT("network.parent.make", err);
    if (!*n->opts.parent) {
        r = rtnl_dummy_add(nl, n->link, err);
        if (r == -EOPNOTSUPP)
            return err_as(err, ERR_INVALID, EOPNOTSUPP,
                          "this kernel has no dummy links: name a parent with -o parent=");
        return r;
    }
    if (!split_vlan(n->link, parent, &id))
        return err_invalid(err, "parent link %s is not there", n->link);
    r = rtnl_link_index(nl, parent, err);
    return r < 0 ? err_wrap(err, r, "VLAN %s", n->link) : rtnl_vlan_add(nl, n->link, r, id, err);
}

static int set_up(struct network *n, struct err *err)
{
    struct err missing = {0};
    auto_close int nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    int r = rtnl_link_index(nl, n->link, &missing);
    if (r > 0) {
        n->index = r;
        return 0;
    }
    r = make_parent(n, nl, err);
    if (r >= 0)
        r = rtnl_link_index(nl, n->link, err);
    if (r >= 0)
        n->index = r;
    if (r >= 0 && (r = rtnl_link_set_alias(nl, n->index, OURS, err)) < 0)
        (void)!rtnl_link_del(nl, n->link, NULL);
    return r < 0 ? r : 1;
}

static int open_shared(struct network *n, const struct network_conf *c, struct err *err)
{
    const char *kind = strcmp(c->driver, "macvlan") == 0 ? "dm" : "di";

    if (*c->opts.parent && !c->internal)
        (void)snprintf(n->link, sizeof(n->link), "%s", c->opts.parent);
    else
        (void)snprintf(n->link, sizeof(n->link), "%s-%.12s", kind, c->id);
    int r = set_up(n, err);
    return r < 0 ? r : 0;
}

/* A VLAN or dummy that was made for a network goes with the last one that lives on it: the kernel
 * takes everything on a link away with it. */
static int remove_shared(struct network *n, struct err *err)
{
    struct err missing = {0};
    auto_close int nl = rtnl_open(err);

    if (nl < 0)
        return nl;
    if (rtnl_link_has_alias(nl, n->link, OURS, &missing) <= 0 || net_host_uses(n->host, n->link))
        return 0;
    return net_link_del(n->link, err);
}

static void link_macvlan(const struct network *n, struct net_link *ret)
{
    ret->kind = "macvlan";
    ret->mode = n->opts.mode;
}

static void link_ipvlan(const struct network *n, struct net_link *ret)
{
    ret->kind = "ipvlan";
    ret->mode = n->opts.mode;
    ret->flags = n->opts.flag;
    ret->route_by_link = n->opts.mode != IPVLAN_MODE_L2;
}

const struct net_driver macvlan_driver = {
    .name = "macvlan",
    .check = check_parent,
    .open = open_shared,
    .remove = remove_shared,
    .heal = set_up,
    .link = link_macvlan,
};

const struct net_driver ipvlan_driver = {
    .name = "ipvlan",
    .check = check_parent,
    .open = open_shared,
    .remove = remove_shared,
    .heal = set_up,
    .link = link_ipvlan,
};
