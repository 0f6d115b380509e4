/*
 * Networks that come and go while a container exists. One that does not run only changes what it
 * wants; one that runs gets or loses an interface, names and perhaps its default route. Its exit
 * waits for container.ends, so that no end is taken away under our hands.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"

static int check_mode(const struct container *c, const struct net *n, struct err *err)
{
    const char *mode = c->host->network_mode;

    if (str_starts(mode, "container:"))
        return err_invalid(err, "container sharing network namespace with another container or "
                                "host cannot be connected to any other network");
    if (str_eq(n->rec.net.name, "host") || (str_eq(mode, "host") && ctr_wanted(c, "host")))
        return err_invalid(err, "container cannot be disconnected from host network or connected "
                                "to host network");
    return 0;
}

static int check_connect(const struct container *c, const struct net *n,
                         const struct endpoint_settings *s, struct err *err)
{
    int r = check_mode(c, n, err);

    if (r >= 0 && ctr_wanted(c, "none") && !str_eq(n->rec.net.name, "none"))
        r = err_invalid(err, "container cannot be connected to multiple networks with one of the "
                             "networks in private (none) mode");
    if (r >= 0 && str_eq(n->rec.net.name, "none") && c->networks.endpoints.n)
        r = err_invalid(err, "container cannot be connected to multiple networks with one of the "
                             "networks in private (none) mode");
    return r < 0 ? r : endpoint_check(n, s, err);
}

/* ---- what it wants ---- */

/* Lock held. */
static void set_wanted(struct container *c, const char *name, struct endpoint_settings *s)
{
    for (size_t i = 0; i < c->networks.endpoints.n; i++)
        if (strcmp(c->networks.endpoints.v[i].key, name) == 0) {
            c->networks.endpoints.v[i].val = s;
            return;
        }
    arena_push(&c->mem, c->networks.endpoints).key = arena_strdup(&c->mem, name);
    c->networks.endpoints.v[c->networks.endpoints.n - 1].val = s;
}

/* Lock held. */
static void drop_wanted(struct container *c, const char *name)
{
    size_t n = c->networks.endpoints.n, i = 0;

    while (i < n && strcmp(c->networks.endpoints.v[i].key, name) != 0)
        i++;
    if (i == n)
        return;
    memmove(&c->networks.endpoints.v[i], &c->networks.endpoints.v[i + 1],
            (n - i - 1) * sizeof(c->networks.endpoints.v[0]));
    c->networks.endpoints.n--;
}

/* ---- a running container ---- */

/* Taken out under the lock, since inspect looks at them under it. @left: an end that is no longer
 * the container's, or NULL. */
static void unpublish(struct container *c, struct ctr_end *left)
{
    (void)pthread_mutex_lock(&c->lock);
    struct ctr_net gone = {.ports = take_ptr(&c->net.ports), .nports = c->net.nports};
    memcpy(gone.port_end, c->net.port_end, sizeof(gone.port_end));
    c->net.nports = 0;
    c->net.port_end[0] = '\0';
    (void)pthread_mutex_unlock(&c->lock);
    gone.ends = left ? left : c->net.ends;
    gone.nends = left ? 1 : c->net.nends;
    ctr_net_unpublish(&gone);
}

/* Ports of the host follow the default route: when that moved to another network, so do they. */
static int move_ports(struct container *c, struct err *err)
{
    const struct ctr_end *end = ctr_port_end(c);

    if (c->net.nports ? end && strcmp(end->id, c->net.port_end) == 0 : !end)
        return 0;
    unpublish(c, NULL);
    return ctr_net_publish(c, err);
}

/* What follows from other ends than before: files, name server, ports, the state row. */
static int settle(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dns_view view;
    int r = ctr_net_refresh(c, err);

    if (r >= 0 && !c->net.dns)
        r = ctr_net_started(c, err);
    else if (r >= 0) {
        ctr_dns_view(c, &a, &view);
        dns_client_set(c->net.dns, &view);
    }
    if (r >= 0)
        r = ctr_open_ports(c, err);
    if (r >= 0)
        r = move_ports(c, err);
    return r;
}

static int ask_join(struct container *c, const struct ctr_end *end,
                    const struct endpoint_settings *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req = {.op = "net-join"};

    req.net = ctr_end_plan(c, end, s, &a, err);
    if (!req.net)
        return err_code(err);
    ctr_gateways(c, &a, &req.gateways);
    FAIL_POINT("network.connect.planned", err);
    return ctr_ask(c, &req, -1, NULL, err);
}

static int ask_leave(struct container *c, const char *ifname, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct shim_req req = {.op = "net-leave", .peer_if = ifname};

    ctr_gateways(c, &a, &req.gateways);
    return ctr_ask(c, &req, -1, NULL, err);
}

/* Taken out of the container: it is the caller's. */
static struct ctr_end take_end(struct container *c, size_t i)
{
    (void)pthread_mutex_lock(&c->lock);
    struct ctr_end end = c->net.ends[i];
    c->net.nends--;
    memmove(&c->net.ends[i], &c->net.ends[i + 1], (c->net.nends - i) * sizeof(*c->net.ends));
    (void)pthread_mutex_unlock(&c->lock);
    return end;
}

static int save(struct container *c, struct err *err)
{
    (void)pthread_mutex_lock(&c->lock);
    int r = ctr_save_networks(c, err);
    if (r >= 0)
        r = ctr_save_state(c, err);
    (void)pthread_mutex_unlock(&c->lock);
    return r;
}

/* Written down before it is made: a daemon that dies in between leaves an end that can be
 * disconnected, and not an interface that nobody knows. And once more when ports have moved. */
static int make_end(struct container *c, const struct ctr_end *end,
                    const struct endpoint_settings *s, bool *ret_made, struct err *err)
{
    int r = save(c, err);

    if (r >= 0)
        r = ask_join(c, end, s, err);
    if (r > 0)
        return err_conflict(err, "container %s has just ended", c->id);
    *ret_made = r >= 0;
    FAIL_POINT("network.connect.joined", err);
    if (r >= 0)
        r = settle(c, err);
    return r < 0 ? r : save(c, err);
}

static int join_running(struct container *c, const struct net *n, const struct endpoint_settings *s,
                        struct err *err)
{
    struct ctr_end end;
    bool made = false;
    int r = ctr_end_join(c, n->rec.net.name, s, &end, err);

    if (r < 0)
        return r;
    ctr_end_add(c, &end);
    r = make_end(c, &end, s, &made, err);
    if (r >= 0)
        return r;
    /* Out of the container first: routes, names and ports are then those without it. */
    end = take_end(c, c->net.nends - 1);
    if (strcmp(end.id, c->net.port_end) == 0)
        unpublish(c, &end);
    if (made)
        (void)!ask_leave(c, end.ifname, NULL);
    ctr_end_leave(c, &end);
    (void)!settle(c, NULL);
    return r;
}

/* @ret_gone: the interface is away, and the end with it, whatever fails behind that. */
static int leave_running(struct container *c, size_t i, bool *ret_gone, struct err *err)
{
    struct ctr_end end = take_end(c, i);

    if (strcmp(end.id, c->net.port_end) == 0)
        unpublish(c, &end); /* while the end can still be found */
    int r = ask_leave(c, end.ifname, err);
    if (r < 0) {
        ctr_end_add(c, &end);
        (void)!move_ports(c, NULL);
        return r;
    }
    *ret_gone = true;
    ctr_end_leave(c, &end);
    FAIL_POINT("network.disconnect.left", err);
    return settle(c, err);
}

/* ---- connect, disconnect ---- */

static size_t find_end(const struct container *c, const struct net *n)
{
    size_t i = 0;

    while (i < c->net.nends && c->net.ends[i].net != n)
        i++;
    return i;
}

/* op and ends are held. */
static int connect_locked(struct container *c, struct net *n, const struct endpoint_settings *s,
                          struct err *err)
{
    const char *name = n->rec.net.name;
    int r = check_connect(c, n, s, err);

    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c) && !c->restarting;
    struct endpoint_settings *copy = json_clone(&endpoint_settings_type, s, &c->mem);
    struct endpoint_settings *before = (struct endpoint_settings *)ctr_wanted(c, name);
    if (r >= 0 && running && find_end(c, n) < c->net.nends)
        r = err_as(err, ERR_DENIED, EEXIST, "endpoint with name %s already exists in network %s",
                   c->name, name);
    else if (r >= 0)
        set_wanted(c, name, copy);
    (void)pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return r;
    FAIL_POINT("network.connect.before", err);
    if (running && !str_eq(name, "none"))
        r = join_running(c, n, copy, err);
    else
        r = save(c, err);
    if (r < 0) {
        (void)pthread_mutex_lock(&c->lock);
        if (before)
            set_wanted(c, name, before);
        else
            drop_wanted(c, name);
        (void)pthread_mutex_unlock(&c->lock);
        (void)!save(c, NULL);
        return r;
    }
    if (running)
        net_event(c->e, n, "connect", c->id);
    return 0;
}

static int disconnect_locked(struct container *c, struct net *n, struct err *err)
{
    const char *name = n->rec.net.name;
    int r = check_mode(c, n, err);
    size_t i = find_end(c, n);
    bool has = i < c->net.nends;

    if (r < 0)
        return r;
    if (!has && !ctr_wanted(c, name))
        return err_as(err, ERR_DENIED, ENOENT, "container %s is not connected to network %s", c->id,
                      name);
    FAIL_POINT("network.disconnect.before", err);
    bool gone = !has;
    if (has)
        r = leave_running(c, i, &gone, err);
    if (!gone)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    drop_wanted(c, name);
    (void)pthread_mutex_unlock(&c->lock);
    int saved = save(c, r < 0 ? NULL : err);
    if (has)
        net_event(c->e, n, "disconnect", c->id);
    return r < 0 ? r : saved;
}

static int check_state(const struct container *c, struct err *err)
{
    if (c->status == CTR_REMOVING || c->status == CTR_DEAD)
        return err_conflict(err,
                            "container %s is marked for removal and cannot be connected or "
                            "disconnected to the network",
                            c->id);
    return 0;
}

static int connect_once(struct container *c, struct net *n, const struct endpoint_settings *s,
                        struct err *err)
{
    (void)pthread_mutex_lock(&c->op);
    (void)pthread_mutex_lock(&c->ends);
    int r = check_state(c, err);
    if (r >= 0)
        r = connect_locked(c, n, s, err);
    (void)pthread_mutex_unlock(&c->ends);
    (void)pthread_mutex_unlock(&c->op);
    return r;
}

/* Somebody may delete the bridge when the end is just being made: again then, on the new one. */
static int connect_to(struct container *c, struct net *n, const struct endpoint_settings *s,
                      struct err *err)
{
    for (;;) {
        struct net_link link = {0};
        if (n->links)
            network_link(n->links, &link);
        int r = connect_once(c, n, s, err);
        if (r >= 0 || !n->links || network_has_link(n->links, link.parent))
            return r;
        err_clear(err);
        r = net_mend(c->e, n, err);
        if (r < 0)
            return err_wrap(err, r, "network %s", n->rec.net.name);
    }
}

int net_connect(struct engine *e, const char *network, const char *container,
                const struct endpoint_settings *s, struct err *err)
{
    static const struct endpoint_settings nothing = {0};
    struct net *n = net_get(e, network, err);
    auto_ctr struct container *c = n ? ctr_find(e, container, err) : NULL;
    int r = c ? connect_to(c, n, s ? s : &nothing, err) : err_code(err);

    net_put(e, n);
    return r;
}

int net_disconnect(struct engine *e, const char *network, const char *container, bool force,
                   struct err *err)
{
    struct net *n = net_get(e, network, err);
    auto_ctr struct container *c = n ? ctr_find(e, container, err) : NULL;
    int r = c ? 0 : err_code(err);

    if (n && !c && force && err->kind == ERR_NOT_FOUND) {
        err_clear(err); /* no end outlives its container here */
        r = 0;
    }
    if (c) {
        (void)pthread_mutex_lock(&c->op);
        (void)pthread_mutex_lock(&c->ends);
        r = check_state(c, err);
        if (r >= 0)
            r = disconnect_locked(c, n, err);
        (void)pthread_mutex_unlock(&c->ends);
        (void)pthread_mutex_unlock(&c->op);
    }
    net_put(e, n);
    return r;
}
