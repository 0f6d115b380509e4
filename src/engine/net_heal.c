/*
 * Mending: somebody has deleted or renamed a bridge, taken it down, or flushed the packet filter.
 * Containers keep their interfaces and addresses in all these cases; what the host's side has lost
 * is made again and said in the log.
 */
#include "engine/engine-priv.h"

#include <stdlib.h>

#include "base/auto.h"
#include "base/log.h"

/* A new bridge has no ports: those of running containers come back to it. */
static void attach_all(struct engine *e, const struct net *net)
{
    size_t n;
    auto_free struct container **all = ctr_all(e, &n);

    for (size_t i = 0; i < n; i++) {
        struct container *c = all[i];
        struct err err = {0};
        bool hairpin = ctr_publishes(c);
        (void)pthread_mutex_lock(&c->ends);
        for (size_t k = 0; k < c->net.nends; k++)
            if (c->net.ends[k].net == net &&
                network_attach(net->links, &c->net.ends[k].ep, hairpin, &err) < 0)
                log_error("container %s: network %s: %s", c->id, net->rec.net.name, err.msg);
        (void)pthread_mutex_unlock(&c->ends);
        ctr_unref(c);
    }
}

static void heal_net(struct engine *e, struct net *net)
{
    struct err err = {0};
    int r = net->links ? network_heal(net->links, &err) : 0;

    if (r < 0)
        log_error("network %s: %s", net->rec.net.name, err.msg);
    if (r <= 0)
        return;
    log_warn("network %s was changed from outside; it is as it was again", net->rec.net.name);
    attach_all(e, net);
}

static void heal_all(void *arg)
{
    struct engine *e = arg;
    struct err err = {0};
    size_t n;

    /* Not while a network is being removed. */
    (void)pthread_mutex_lock(&e->nets.making);
    auto_free struct net **all = nets_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        heal_net(e, all[i]);
        net_put(e, all[i]);
    }
    int r = net_host_sync(e->nets.host, &err);
    (void)pthread_mutex_unlock(&e->nets.making);
    if (r < 0)
        log_error("packet filter: %s", err.msg);
    else if (r > 0)
        log_warn("the packet filter was changed from outside; it is as it was again");
}

static void changed(void *arg)
{
    struct engine *e = arg;

    if (!e->closing)
        engine_job(e, heal_all, e);
}

int nets_watch(struct engine *e, struct err *err)
{
    return net_watch_new(e->loop, e->nets.host, changed, e, &e->nets.watch, err);
}
