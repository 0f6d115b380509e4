/*
 * The container's interface. The shim, in the host's namespace, makes the veth pair in one message
 * while init mounts; init itself, inside, brings it up and sets addresses and routes. Nobody
 * changes into the namespace and back.
 */
#include "shim/shim-priv.h"

#include <errno.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rtnl.h"

int net_setup(void *arg, pid_t pid, int netns_fd, struct err *err)
{
    const struct shim *s = arg;
    const struct shim_net *net = s->plan->net;

    (void)pid;
    if (!net || netns_fd < 0)
        return 0;
    struct rtnl_veth veth = {.host = net->host_if,
                             .peer = net->peer_if,
                             .peer_netns = netns_fd,
                             .master = net->bridge,
                             .mtu = net->mtu};
    if (!str_empty(net->mac) && mac_parse(net->mac, veth.peer_mac) < 0)
        return err_invalid(err, "bad MAC address %s", net->mac);
    auto_close int nl = rtnl_open(err);
    int r = nl < 0 ? nl : rtnl_veth_add(nl, &veth, err);
    return r < 0 || !net->go ? r : rtnl_port_set(nl, net->host_if, true, false, err);
}

static int set_addresses(int nl, int index, const struct shim_net *net, struct err *err)
{
    for (size_t i = 0; i < net->addresses.n; i++) {
        struct ip ip;
        if (ip_parse(net->addresses.v[i], &ip) < 0)
            return err_invalid(err, "bad address %s", net->addresses.v[i]);
        int r = rtnl_addr_add(nl, index, &ip, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_gateway(int nl, int index, const char *gateway, struct err *err)
{
    static const struct ip any = {0};
    struct ip gw;

    if (str_empty(gateway))
        return 0;
    if (ip_parse(gateway, &gw) < 0)
        return err_invalid(err, "bad gateway %s", gateway);
    return rtnl_route_add(nl, index, &any, &gw, err);
}

int net_child(void *arg, struct err *err)
{
    const struct shim *s = arg;
    const struct shim_net *net = s->plan->net;
    const struct oci_namespace *ns = oci_spec_ns(s->plan->spec, "network");

    if (!ns || !str_empty(ns->path))
        return 0; /* somebody else's namespace: not ours to set up */
    auto_close int nl = rtnl_open(err);
    int r = nl < 0 ? nl : rtnl_link_up(nl, 1, err); /* lo is always the first */
    if (r < 0 || !net)
        return r;
    int index = rtnl_link_index(nl, net->peer_if, err);
    r = index;
    /* Addresses before the link comes up: no duplicate detection, no early announcements. */
    if (r >= 0)
        r = set_addresses(nl, index, net, err);
    if (r >= 0)
        r = rtnl_link_up(nl, index, err);
    if (r >= 0)
        r = set_gateway(nl, index, net->gateway, err);
    if (r >= 0)
        r = set_gateway(nl, index, net->gateway6, err);
    return r;
}
