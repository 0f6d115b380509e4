/*
 * Links of the default bridge: `--link db:database` puts the other container's address into
 * /etc/hosts, and its ports and environment into environment variables. In user-defined networks a
 * link is just one more name (net_names.c).
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/log.h"

struct link {
    char *name, *alias; /* without a leading slash */
};

/* "db", "db:database", and the form that inspect shows: "/db:/web/database". */
static struct link parse(const char *text, struct arena *a)
{
    const char *colon = strchrnul(text, ':'), *slash = strrchr(text, '/');
    struct link l = {.name = arena_strndup(a, text, (size_t)(colon - text))};

    if (*l.name == '/')
        l.name++;
    l.alias = !*colon                  ? l.name
              : slash && slash > colon ? arena_strdup(a, slash + 1)
                                       : arena_strdup(a, colon + 1);
    return l;
}

int links_check(struct engine *e, const struct host_config *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    for (size_t i = 0; i < host->links.n; i++) {
        struct link l = parse(host->links.v[i], &a);
        auto_ctr struct container *o = ctr_find(e, l.name, err);
        if (!o)
            return err_wrap(err, err_code(err), "could not get container for %s", l.name);
        if (str_eq(o->host->network_mode, "host"))
            return err_invalid(err, "conflicting options: host type networking can't be used with "
                                    "links. This would result in undefined behavior");
    }
    return 0;
}

/* Links by file and environment: of a container on the default bridge. */
static size_t link_count(const struct container *c)
{
    return str_eq(c->host->network_mode, "bridge") ? c->host->links.n : 0;
}

/* The other's address on the default bridge. Its lock is held. */
static struct ip address_of(const struct container *o)
{
    for (size_t i = 0; i < o->net.nends; i++)
        if (o->net.ends[i].net == o->e->nets.bridge)
            return o->net.ends[i].ep.ip;
    return (struct ip){0};
}

int links_running(const struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    for (size_t i = 0; i < link_count(c); i++) {
        struct link l = parse(c->host->links.v[i], &a);
        auto_ctr struct container *o = ctr_find(c->e, l.name, err);
        if (!o)
            return err_code(err);
        (void)pthread_mutex_lock(&o->lock);
        bool running = ctr_running(o) && !o->restarting;
        (void)pthread_mutex_unlock(&o->lock);
        if (!running)
            return err_as(err, ERR_SYSTEM, ESRCH,
                          "Cannot link to a non running container: /%s AS /%s/%s", o->name, c->name,
                          l.alias);
    }
    return 0;
}

void links_hosts(const struct container *c, struct buf *out)
{
    auto_arena struct arena a = ARENA_INIT;
    char addr[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < link_count(c); i++) {
        struct link l = parse(c->host->links.v[i], &a);
        auto_ctr struct container *o = ctr_find(c->e, l.name, NULL);
        if (!o)
            continue;
        (void)pthread_mutex_lock(&o->lock);
        struct ip ip = address_of(o);
        if (ip.family)
            buf_printf(out, "%s\t%s %.12s %s\n", ip_format(&ip, addr), l.alias, o->id, o->name);
        (void)pthread_mutex_unlock(&o->lock);
    }
}

/* ---- environment ---- */

static int by_number(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static void put_port(struct arena *a, struct strv *env, const char *prefix, const char *addr,
                     const char *key, bool first)
{
    const char *slash = strchrnul(key, '/');
    char *port = arena_strndup(a, key, (size_t)(slash - key));
    const char *proto = *slash ? slash + 1 : "tcp";
    char *name = arena_printf(a, "%s_PORT_%s_%s", prefix, port, proto);

    for (char *p = name; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    if (first)
        strv_env_set(a, env, arena_printf(a, "%s_PORT=%s://%s:%s", prefix, proto, addr, port));
    strv_env_set(a, env, arena_printf(a, "%s=%s://%s:%s", name, proto, addr, port));
    strv_env_set(a, env, arena_printf(a, "%s_ADDR=%s", name, addr));
    strv_env_set(a, env, arena_printf(a, "%s_PORT=%s", name, port));
    strv_env_set(a, env, arena_printf(a, "%s_PROTO=%s", name, proto));
}

/* The other's lock is held. */
static void put_link(const struct container *c, const struct container *o, const struct link *l,
                     struct arena *a, struct strv *env)
{
    char addr[INET6_ADDRSTRLEN];
    struct ip ip = address_of(o);
    char *prefix = arena_strdup(a, l->alias);
    struct strv ports = strv_clone(a, &o->config->exposed_ports);

    if (!ip.family)
        return;
    for (char *p = prefix; *p; p++)
        *p = (char)(*p == '-' ? '_' : toupper((unsigned char)*p));
    strv_env_set(a, env, arena_printf(a, "%s_NAME=/%s/%s", prefix, c->name, l->alias));
    if (ports.n)
        qsort(ports.v, ports.n, sizeof(*ports.v), by_number);
    for (size_t i = 0; i < ports.n; i++)
        put_port(a, env, prefix, ip_format(&ip, addr), ports.v[i], i == 0);
    for (size_t i = 0; i < o->config->env.n; i++) {
        const char *pair = o->config->env.v[i];
        if (strchr(pair, '=') && !str_starts(pair, "HOME=") && !str_starts(pair, "PATH="))
            strv_env_set(a, env, arena_printf(a, "%s_ENV_%s", prefix, pair));
    }
}

void links_environment(const struct container *c, struct arena *a, struct strv *env)
{
    for (size_t i = 0; i < link_count(c); i++) {
        struct link l = parse(c->host->links.v[i], a);
        auto_ctr struct container *o = ctr_find(c->e, l.name, NULL);
        if (!o || o == c)
            continue;
        (void)pthread_mutex_lock(&o->lock);
        put_link(c, o, &l, a, env);
        (void)pthread_mutex_unlock(&o->lock);
    }
}

struct strv links_describe(const struct container *c, struct arena *a)
{
    struct strv v = {0};

    for (size_t i = 0; i < c->host->links.n; i++) {
        struct link l = parse(c->host->links.v[i], a);
        strv_push(a, &v, arena_printf(a, "/%s:/%s/%s", l.name, c->name, l.alias));
    }
    return v;
}

/* ---- the other one has a new address ---- */

static bool is_linked(const struct container *c, const struct container *to)
{
    auto_arena struct arena a = ARENA_INIT;
    bool linked = false;

    for (size_t i = 0; i < link_count(c) && !linked; i++) {
        struct link l = parse(c->host->links.v[i], &a);
        auto_ctr struct container *o = ctr_find(c->e, l.name, NULL);
        linked = o == to;
    }
    return linked;
}

static bool has_links(const struct container *c)
{
    return link_count(c) > 0;
}

void links_refresh(const struct container *c)
{
    size_t n;
    auto_free struct container **all = ctr_some(c->e, has_links, &n);

    for (size_t i = 0; i < n; i++) {
        struct container *o = all[i];
        struct err err = {0};
        (void)pthread_mutex_lock(&o->lock);
        bool wants = ctr_running(o);
        (void)pthread_mutex_unlock(&o->lock);
        if (wants && is_linked(o, c)) {
            (void)pthread_mutex_lock(&o->ends);
            if (ctr_net_refresh(o, &err) < 0)
                log_error("container %s: %s", o->id, err.msg);
            (void)pthread_mutex_unlock(&o->ends);
        }
        ctr_unref(o);
    }
}
