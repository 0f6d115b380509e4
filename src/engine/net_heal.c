/*
 * Mending: somebody has deleted or renamed a bridge, taken it down, or flushed the packet filter.
 * Containers keep their interfaces and addresses in all these cases; what the host's side has lost
 * is made again and said in the log.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/log.h"

/* A container that starts has an end from early on, but makes its link later: it finds out itself
 * that the bridge is another one. Return: the end in @net, and with it whether it is to be there.
 */
static bool find_end(struct container *c, const struct net *net, struct endpoint *ret,
                     bool *ret_runs)
{
    bool found = false;

    (void)pthread_mutex_lock(&c->lock);
    for (size_t k = 0; k < c->net.nends && !found; k++) {
        found = c->net.ends[k].net == net;
        *ret = c->net.ends[k].ep;
    }
    *ret_runs = ctr_running(c);
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

static void attach(struct container *c, const struct net *net)
{
    struct endpoint ep;
    struct net_link link;
    struct err err = {0};
    bool runs;

    if (!find_end(c, net, &ep, &runs))
        return;
    network_link(net->links, &link);
    int r = network_attach(net->links, &ep, ctr_publishes(c), &err);
    if (r >= 0 || (r == -ENODEV && !runs) || !network_has_link(net->links, link.parent))
        return; /* a bridge that has gone again is mended again */
    log_error("container %s: network %s: %s", c->id, net->rec.net.name, err.msg);
}

/* A new bridge has no ports: those of running containers come back to it. */
static void attach_all(struct engine *e, const struct net *net)
{
    size_t n;
    auto_free struct container **all = ctr_all(e, &n);

    for (size_t i = 0; i < n; i++) {
        (void)pthread_mutex_lock(&all[i]->ends);
        attach(all[i], net);
        (void)pthread_mutex_unlock(&all[i]->ends);
        ctr_unref(all[i]);
    }
}

/* nets.making is held. */
static int heal_net(struct engine *e, struct net *net, struct err *err)
{
    int r = net->links ? network_heal(net->links, err) : 0;

    if (r <= 0)
        return r;
    log_warn("network %s was changed from outside; it is as it was again", net->rec.net.name);
    attach_all(e, net);
    return 0;
}

int net_mend(struct engine *e, struct net *net, struct err *err)
{
    (void)pthread_mutex_lock(&e->nets.making);
    int r = heal_net(e, net, err);
    (void)pthread_mutex_unlock(&e->nets.making);
    return r;
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
        struct err one = {0};
        if (heal_net(e, all[i], &one) < 0)
            log_error("network %s: %s", all[i]->rec.net.name, one.msg);
        net_put(e, all[i]);
    }
    int r = net_host_sync(e->nets.host, &err);
    (void)pthread_mutex_unlock(&e->nets.making);
    if (r < 0)
        log_error("packet filter: %s", err.msg);
    else if (r > 0)
        log_warn("the packet filter was changed from outside; it is as it was again (table inet %s "
                 "is the daemon's own: other rules belong in another one)",
                 net_host_table(e->nets.host));
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
