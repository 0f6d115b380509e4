#include "network/dns-priv.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/thread.h"
#include "kern/ns.h"

#define STACK_B (256 * 1024)
#define SOCKETS_MAX 4096

/* Upstream takes a socket per server and query, and containers connect as they like; the daemon
 * needs descriptors for other things too. */
static size_t max_sockets(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 4 > SOCKETS_MAX)
        return SOCKETS_MAX;
    return files.rlim_cur / 4;
}

static void *serve(void *arg)
{
    struct dns *d = arg;

    (void)pthread_setname_np(pthread_self(), "dns");
    int r = loop_run(d->loop, NULL);
    assert(r == 0); /* epoll fails when it is misused */
    (void)r;
    return NULL;
}

static int start_thread(struct dns *d, struct err *err)
{
    return thread_start(serve, d, STACK_B, &d->thread, "start thread of name server", err);
}

static void free_parts(struct dns *d)
{
    loop_free(d->loop);
    dns_cache_free(d->cache);
    map_free(d->queries);
    buf_done(&d->out);
    pthread_mutex_destroy(&d->lock);
    close_fd(&d->home);
    free(d->in);
    free(d);
}

int dns_new(struct dns **ret, struct err *err)
{
    struct dns *d = xnew(struct dns);

    pthread_mutex_init(&d->lock, NULL);
    d->cache = dns_cache_new();
    d->queries = map_new();
    d->in = xmalloc(DNS_MSG_MAX);
    d->max_sockets = max_sockets();
    d->home = ns_net_own(err);
    int r = d->home < 0 ? d->home : loop_new(&d->loop, err);
    if (r == 0)
        r = start_thread(d, err);
    if (r < 0) {
        free_parts(d);
        return r;
    }
    *ret = d;
    return 0;
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    loop_stop(d->loop);
    (void)pthread_join(d->thread, NULL);
    loop_drain(d->loop);
    assert(!d->clients && d->nzones == 0);
    free_parts(d);
}

/* ---- clients ---- */

static void link_client(struct dns_client *c)
{
    pthread_mutex_lock(&c->d->lock);
    c->number = ++c->d->nclients;
    c->next = c->d->clients;
    if (c->next)
        c->next->prev = c;
    c->d->clients = c;
    pthread_mutex_unlock(&c->d->lock);
}

int dns_client_new(struct dns *d, int udp, int tcp, const struct dns_view *view,
                   struct dns_client **ret, struct err *err)
{
    struct dns_client *c = xnew(struct dns_client);

    c->d = d;
    c->udp = udp;
    c->tcp = tcp;
    dns_sight_init(&c->sight, view);
    link_client(c);
    int r = dns_client_open(c, err);
    if (r < 0) {
        dns_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void dns_client_set(struct dns_client *c, const struct dns_view *view)
{
    struct dns_sight before, now;

    dns_sight_init(&now, view);
    pthread_mutex_lock(&c->d->lock);
    before = c->sight;
    c->sight = now;
    pthread_mutex_unlock(&c->d->lock);
    dns_sight_done(&before);
}

static void close_client(void *arg)
{
    dns_client_close(arg);
}

void dns_client_free(struct dns_client *c)
{
    if (c)
        loop_post(c->d->loop, close_client, c);
}
