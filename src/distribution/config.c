#include "distribution/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

#define CONNECT_MS 30000
#define IDLE_MS 60000
#define TRIES 5
#define CERTS_MAX 100 /* files of one host */

static const char *environment(const char *upper, const char *lower)
{
    const char *val = getenv(upper);

    return str_or(val, getenv(lower));
}

void dist_config_defaults(struct dist_config *c, struct arena *a)
{
    *c = (struct dist_config){
        .http_proxy = environment("HTTP_PROXY", "http_proxy"),
        .https_proxy = environment("HTTPS_PROXY", "https_proxy"),
        .no_proxy = environment("NO_PROXY", "no_proxy"),
        .user_agent = "cleat/" CLEAT_VERSION " os/linux",
        .connect_ms = CONNECT_MS,
        .idle_ms = IDLE_MS,
        .tries = TRIES,
    };
    strv_push(a, &c->certs_dirs, "/etc/cleat/certs.d");
    strv_push(a, &c->certs_dirs, "/etc/docker/certs.d");
}

/* ---- networks ---- */

struct net {
    int family;
    unsigned bits;
    unsigned char addr[16];
};

/* "10.0.0.0/8", "fd00::/8", or a lone address. */
static bool parse_net(const char *text, struct net *ret)
{
    char addr[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "/");
    uint64_t bits = 0;

    if (n >= sizeof(addr))
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    ret->family = strchr(addr, ':') ? AF_INET6 : AF_INET;
    unsigned max = ret->family == AF_INET ? 32 : 128;
    if (inet_pton(ret->family, addr, ret->addr) != 1)
        return false;
    if (text[n] && (str_to_u64(text + n + 1, &bits) < 0 || bits > max))
        return false;
    ret->bits = text[n] ? (unsigned)bits : max;
    return true;
}

static bool net_holds(const struct net *net, const char *host)
{
    struct net one;
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    if (!parse_net(host, &one) || one.family != net->family ||
        memcmp(one.addr, net->addr, whole) != 0)
        return false;
    return !rest || ((one.addr[whole] ^ net->addr[whole]) >> (8 - rest)) == 0;
}

static bool is_loopback(const char *host)
{
    static const char *const nets[] = {"127.0.0.0/8", "::1/128"};
    struct net net;

    if (strcmp(host, "localhost") == 0 || str_ends(host, ".localhost"))
        return true;
    for (int i = 0; i < 2; i++)
        if (parse_net(nets[i], &net) && net_holds(&net, host))
            return true;
    return false;
}

/* Does "host", "host:port", "*.host" (no_proxy: ".host"), or a network name this URL? */
static bool names_url(const char *pattern, const struct url *u, struct arena *a)
{
    struct net net;

    if (strchr(pattern, '/'))
        return parse_net(pattern, &net) && net_holds(&net, u->host);
    if (strcasecmp(pattern, url_host(u, a)) == 0 || strcasecmp(pattern, u->host) == 0)
        return true;
    const char *open = strchr(u->host, ':') ? "[" : "", *close = *open ? "]" : "";
    return strcasecmp(pattern, arena_printf(a, "%s%s%s:%u", open, u->host, close, u->port)) == 0;
}

bool dist_is_insecure(const struct dist_config *c, const struct url *u)
{
    auto_arena struct arena a = ARENA_INIT;

    if (c->verify_all || is_loopback(u->host))
        return !c->verify_all;
    for (size_t i = 0; i < c->insecure.n; i++)
        if (names_url(c->insecure.v[i], u, &a))
            return true;
    return false;
}

/* ---- mirrors ---- */

/* The URL of a mirror's setting, and the registry it stands for. */
static const char *mirror_url(const char *setting, struct arena *a, const char **ret_registry)
{
    const char *eq = strchr(setting, '='), *scheme = strstr(setting, "://");

    if (!eq || (scheme && scheme < eq)) {
        *ret_registry = DIST_HUB;
        return setting;
    }
    *ret_registry = arena_strndup(a, setting, (size_t)(eq - setting));
    return eq + 1;
}

struct strv dist_mirrors(const struct dist_config *c, const char *registry, struct arena *a)
{
    struct strv out = {0};

    for (size_t i = 0; i < c->mirrors.n; i++) {
        const char *of = NULL, *url = mirror_url(c->mirrors.v[i], a, &of);
        if (strcasecmp(of, registry) == 0)
            strv_push(a, &out, url);
    }
    return out;
}

/* ---- proxies ---- */

/* One entry of NO_PROXY: a name and all names below it, an address, a network, "*". */
static bool excepts(const char *entry, const struct url *u, struct arena *a)
{
    const char *name = entry + (*entry == '.');
    size_t n = strlen(name), len = strlen(u->host);

    if (strcmp(entry, "*") == 0 || names_url(entry, u, a))
        return true;
    return n > 0 && len > n && u->host[len - n - 1] == '.' &&
           strcasecmp(u->host + len - n, name) == 0;
}

const char *dist_proxy(const struct dist_config *c, const struct url *u)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *proxy = u->https ? c->https_proxy : c->http_proxy;

    if (str_empty(proxy) || is_loopback(u->host))
        return NULL;
    struct strv except = str_split(&a, str_or(c->no_proxy, ""), ',');
    for (size_t i = 0; i < except.n; i++) {
        char *entry = except.v[i] + strspn(except.v[i], " ");
        entry[strcspn(entry, " ")] = '\0';
        if (*entry && excepts(entry, u, &a))
            return NULL;
    }
    return proxy;
}

int dist_config_check(const struct dist_config *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *const proxies[] = {c->http_proxy, c->https_proxy};
    struct url u;
    int r = 0;

    for (size_t i = 0; i < c->mirrors.n; i++) {
        const char *of = NULL;
        r = url_parse(mirror_url(c->mirrors.v[i], &a, &of), &a, &u, err);
        if (r < 0)
            return err_wrap(err, r, "invalid mirror");
        if (u.user || strpbrk(u.target, "?"))
            return err_invalid(err, "invalid mirror: \"%s\" has a user or a query",
                               c->mirrors.v[i]);
    }
    for (size_t i = 0; i < c->insecure.n; i++) {
        struct net net;
        const char *s = c->insecure.v[i];
        if (strstr(s, "://") || (strchr(s, '/') && !parse_net(s, &net)))
            return err_invalid(err, "insecure registry %s is not valid", s);
    }
    for (int i = 0; i < 2; i++) {
        if (str_empty(proxies[i]))
            continue;
        r = url_parse(proxies[i], &a, &u, err);
        if (r < 0)
            return err_wrap(err, r, "invalid proxy");
        if (u.https)
            return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                          "a proxy that is itself spoken to by TLS is not supported");
    }
    return 0;
}

/* ---- certificates ---- */

static int add_pair(const char *dir, const char *name, struct arena *a, struct dist_certs *ret,
                    struct err *err)
{
    size_t stem = strlen(name) - strlen(".cert");
    const char *key = arena_printf(a, "%s/%.*s.key", dir, (int)stem, name);

    if (access(key, F_OK) < 0)
        return err_invalid(err, "missing key %.*s.key for client certificate %s", (int)stem, name,
                           name);
    ret->cert = arena_printf(a, "%s/%s", dir, name);
    ret->key = key;
    return 0;
}

static int read_dir(const char *dir, struct arena *a, struct dist_certs *ret, struct err *err)
{
    auto_dir DIR *d = opendir(dir);
    int r = 0, n = 0;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "open %s", dir);
    for (struct dirent *e; r >= 0 && (e = readdir(d));) {
        if (++n > CERTS_MAX)
            return err_invalid(err, "%s holds more than %d files", dir, CERTS_MAX);
        if (str_ends(e->d_name, ".crt"))
            strv_push(a, &ret->ca, arena_printf(a, "%s/%s", dir, e->d_name));
        else if (str_ends(e->d_name, ".cert"))
            r = add_pair(dir, e->d_name, a, ret, err);
    }
    return r;
}

int dist_certs_find(const struct dist_config *c, const struct url *u, struct arena *a,
                    struct dist_certs *ret, struct err *err)
{
    struct dist_certs out = {0};
    const char *host = url_host(u, a);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->certs_dirs.n; i++)
        r = read_dir(arena_printf(a, "%s/%s", c->certs_dirs.v[i], host), a, &out, err);
    if (r >= 0)
        *ret = out;
    return r;
}
