#include "distribution/transport.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/mem.h"
#include "http/guard.h"

#define HOSTS_MAX 64 /* hosts of one session: redirects could name any number */
#define KEEP 8       /* idle connections per host */

struct host {
    struct url u; /* its target is not used */
    struct http_client *client;
};

struct transport {
    const struct dist_config *config;
    const int *gone_fd;
    pthread_mutex_t lock;
    struct host hosts[HOSTS_MAX];
    size_t n;
};

struct transport *transport_new(const struct dist_config *c, const int *gone_fd)
{
    struct transport *t = xnew(struct transport);

    t->config = c;
    t->gone_fd = gone_fd;
    (void)pthread_mutex_init(&t->lock, NULL);
    return t;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        http_client_free(t->hosts[i].client);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

const struct dist_config *transport_config(const struct transport *t)
{
    return t->config;
}

static void addr_of(const struct url *u, struct addr *ret)
{
    *ret = (struct addr){.kind = ADDR_TCP, .https = u->https, .port = u->port};
    (void)snprintf(ret->host, sizeof(ret->host), "%s", u->host);
}

static int set_proxy(struct transport *t, const struct url *u, struct arena *a, struct addr *addr,
                     struct http_client_opts *o, struct err *err)
{
    const char *text = dist_proxy(t->config, u);
    struct url proxy;

    if (!text)
        return 0;
    int r = url_parse(text, a, &proxy, err);
    if (r < 0)
        return err_wrap(err, r, "proxy");
    addr_of(&proxy, addr);
    o->proxy = addr;
    if (proxy.user) {
        auto_buf struct buf b = BUF_INIT;
        base64_encode(proxy.user, strlen(proxy.user), false, &b);
        o->proxy_auth = arena_printf(a, "Basic %s", buf_str(&b));
    }
    return 0;
}

static int connect_to(struct transport *t, const struct url *u, struct http_client **ret,
                      struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct http_client_opts o = {.connect_ms = t->config->connect_ms,
                                 .idle_ms = t->config->idle_ms,
                                 .keep = KEEP,
                                 .gone_fd = t->gone_fd};
    struct dist_certs certs = {0};
    struct tls_opts tls = {0};
    struct addr proxy;
    int r = set_proxy(t, u, &a, &proxy, &o, err);

    if (r >= 0 && u->https)
        r = dist_certs_find(t->config, u, &a, &certs, err);
    if (r < 0)
        return r;
    addr_of(u, &o.addr);
    if (u->https) {
        tls.verify = !dist_is_insecure(t->config, u);
        tls.more_ca_files = certs.ca.n ? (const char *const *)strv_z(&a, &certs.ca) : NULL;
        /* With a certificate of its own, also a host that may be insecure is checked by it. */
        tls.verify |= certs.ca.n > 0;
        tls.cert_file = certs.cert;
        tls.key_file = certs.key;
        o.tls = &tls;
    }
    r = http_client_open(&o, ret, err);
    if (r >= 0)
        http_client_header(*ret, "User-Agent", t->config->user_agent);
    return r;
}

static struct http_client *known(const struct transport *t, const struct url *u)
{
    for (size_t i = 0; i < t->n; i++)
        if (url_same_origin(&t->hosts[i].u, u))
            return t->hosts[i].client;
    return NULL;
}

/* The lock is held. */
static int add_host(struct transport *t, const struct url *u, struct http_client **ret,
                    struct err *err)
{
    if (t->n == HOSTS_MAX)
        return err_as(err, ERR_UNAVAILABLE, E2BIG, "more than %d hosts for one image", HOSTS_MAX);
    int r = connect_to(t, u, ret, err);
    if (r >= 0)
        t->hosts[t->n++] = (struct host){*u, *ret};
    return r;
}

static int client_for(struct transport *t, const struct url *u, struct http_client **ret,
                      struct err *err)
{
    int r = 0;

    (void)pthread_mutex_lock(&t->lock);
    *ret = known(t, u);
    if (!*ret)
        r = add_host(t, u, ret, err);
    (void)pthread_mutex_unlock(&t->lock);
    return r;
}

/* As Go words it: Get "https://host/path": why. The query may hold a signature: left out. */
static int named(const struct url *u, const char *method, int r, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char verb[16];

    (void)snprintf(verb, sizeof(verb), "%s", method);
    for (char *p = verb + 1; verb[0] && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    char *text = url_text(u, &a);
    text[strcspn(text, "?")] = '\0';
    return err_wrap(err, r, "%s \"%.300s\"", verb, text);
}

int transport_send(struct transport *t, const struct url *u, const struct http_call *call,
                   struct http_reply **ret, struct err *err)
{
    struct http_call c = *call;
    struct http_client *client = NULL;
    int r = client_for(t, u, &client, err);

    c.target = u->target;
    if (r >= 0)
        r = http_send(client, &c, ret, err);
    return r < 0 ? named(u, call->method, r, err) : 0;
}

int transport_wait(struct transport *t, unsigned ms, struct err *err)
{
    int r = guard_wait(-1, 0, ms ? ms : 1, *t->gone_fd);

    return r == -ETIMEDOUT ? 0 : err_no(err, r, "wait for the registry");
}
