/* What all networks of a daemon share on the host: packet filter, ports, proxy, and the list of
 * their links, for who watches them. */
#include "network/network-priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int net_host_open(const struct net_host_conf *c, struct net_host **ret, struct err *err)
{
    struct net_host *h = xnew(struct net_host);
    int r = fw_open(c->table, c->filter, c->override, &h->fw, err);

    h->forward = c->forward;
    h->filter = c->filter;
    h->ports = ports_new();
    h->proxy = proxy_new();
    (void)pthread_mutex_init(&h->lock, NULL);
    if (r < 0) {
        net_host_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

void net_host_free(struct net_host *h)
{
    if (!h)
        return;
    fw_free(h->fw);
    ports_free(h->ports);
    proxy_free(h->proxy);
    free(h->links.v);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

void net_host_add(struct net_host *h, struct network *n)
{
    (void)pthread_mutex_lock(&h->lock);
    h->links.v = xrealloc(h->links.v, (h->links.n + 1) * sizeof(struct network *));
    h->links.v[h->links.n++] = n;
    (void)pthread_mutex_unlock(&h->lock);
}

void net_host_drop(struct net_host *h, const struct network *n)
{
    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->links.n; i++)
        if (h->links.v[i] == n) {
            h->links.v[i] = h->links.v[--h->links.n];
            break;
        }
    (void)pthread_mutex_unlock(&h->lock);
}

bool net_host_owns(struct net_host *h, int ifindex, const char *name)
{
    bool owns = false;

    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->links.n && !owns; i++)
        owns = h->links.v[i]->index == ifindex && (!name || strcmp(name, h->links.v[i]->link) != 0);
    (void)pthread_mutex_unlock(&h->lock);
    return owns;
}

bool net_host_uses(struct net_host *h, const char *link)
{
    bool uses = false;

    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->links.n && !uses; i++)
        uses = strcmp(h->links.v[i]->link, link) == 0;
    (void)pthread_mutex_unlock(&h->lock);
    return uses;
}

int net_host_sync(struct net_host *h, struct err *err)
{
    return fw_sync(h->fw, err);
}

int net_host_remove(struct net_host *h, struct err *err)
{
    return fw_remove(h->fw, err);
}

const char *net_host_table(const struct net_host *h)
{
    return fw_table(h->fw);
}
