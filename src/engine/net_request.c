/* What can be told to be wrong of a request for a network before anything is made. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SUBNETS_MAX 64 /* of one network */

static int check_name(const char *name, struct err *err)
{
    static const char *const reserved[] = {"bridge", "host", "none", "default"};

    if (str_empty(name))
        return err_invalid(err, "invalid network name: name is empty");
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(name, reserved[i]) == 0)
            return err_as(err, ERR_DENIED, EPERM,
                          "operation is not permitted on predefined %s network", name);
    if (str_starts(name, "container:") || strlen(name) > 255 || strpbrk(name, "/ \t\r\n"))
        return err_invalid(err, "invalid network name: %.300s", name);
    return 0;
}

static int check_driver(const struct network_create_request *rq, struct err *err)
{
    const char *driver = str_or(rq->driver, "bridge");

    if (rq->ingress || str_eq(rq->scope, "swarm") || strcmp(driver, "overlay") == 0)
        return err_as(err, ERR_UNAVAILABLE, ENOTSUP,
                      "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
                      "swarm join\" to connect this node to swarm and try again.");
    if (strcmp(driver, "host") == 0 || strcmp(driver, "null") == 0)
        return err_as(err, ERR_DENIED, EPERM, "only one instance of \"%s\" network is allowed",
                      driver);
    if (!net_driver_known(driver))
        return err_not_found(
            err, "could not find plugin %s in v1 plugin registry: plugin not found", driver);
    if (!str_empty(rq->scope) && !str_eq(rq->scope, "local"))
        return err_invalid(err, "invalid scope: %s", rq->scope);
    if (rq->ipam && !str_empty(rq->ipam->driver) && !str_eq(rq->ipam->driver, "default"))
        return err_invalid(err, "invalid ipam driver: %s", rq->ipam->driver);
    return 0;
}

/* Docker collects what is wrong with a pool under one heading. */
static int bad(struct err *err, const char *what, const char *text, const char *why)
{
    return err_invalid(err, "invalid network config:\ninvalid %s %s: %s", what, text, why);
}

static int check_in(const struct ip *subnet, const char *what, const char *text, bool bare,
                    struct ip *ret, struct err *err)
{
    char shown[IP_TEXT];

    if (ip_parse(text, ret) < 0 || bare != !strchr(text, '/'))
        return bad(err, what, text, bare ? "invalid address" : "invalid CIDR block notation");
    if (ret->family != subnet->family)
        return bad(err, what, text,
                   subnet->family == AF_INET ? "parent subnet is an IPv4 block"
                                             : "parent subnet is an IPv6 block");
    if (!ip_contains(subnet, ret))
        return err_invalid(err,
                           "invalid network config:\ninvalid %s %s: parent subnet %s doesn't "
                           "contain %s",
                           what, text, ip_format_cidr(subnet, shown), what);
    return 0;
}

static int check_pool(const struct ipam_pool *p, struct err *err)
{
    struct ip subnet, ip;
    char should[IP_TEXT + 32] = "it should be ";
    int r = 0;

    if (str_empty(p->subnet))
        return err_invalid(err, "invalid network config:\nempty subnet");
    if (!strchr(p->subnet, '/') || ip_parse(p->subnet, &subnet) < 0)
        return bad(err, "subnet", p->subnet, "invalid CIDR block notation");
    struct ip net = ip_network(&subnet);
    (void)ip_format_cidr(&net, should + strlen(should));
    if (!ip_same(&net, &subnet))
        return bad(err, "subnet", p->subnet, should);
    if (!str_empty(p->ip_range))
        r = check_in(&net, "ip-range", p->ip_range, false, &ip, err);
    if (r >= 0 && !str_empty(p->gateway))
        r = check_in(&net, "gateway", p->gateway, true, &ip, err);
    for (size_t i = 0; r >= 0 && i < p->aux_addresses.n; i++)
        r = check_in(&net, "auxiliary address", p->aux_addresses.v[i].val, true, &ip, err);
    return r;
}

static int check_pools(const struct ipam *ipam, struct err *err)
{
    int r = 0;

    if (!ipam)
        return 0;
    if (ipam->config.n > SUBNETS_MAX)
        return err_invalid(err, "invalid network config:\nmore than %d subnets", SUBNETS_MAX);
    for (size_t i = 0; r >= 0 && i < ipam->config.n; i++)
        if (!str_empty(ipam->config.v[i]->subnet) || !str_empty(ipam->config.v[i]->gateway) ||
            !str_empty(ipam->config.v[i]->ip_range))
            r = check_pool(ipam->config.v[i], err);
    return r;
}
int net_check_request(const struct network_create_request *rq, struct err *err)
{
    int r = check_name(rq->name, err);

    if (r >= 0 && !rq->config_only)
        r = check_driver(rq, err);
    return r < 0 ? r : check_pools(rq->ipam, err);
}
