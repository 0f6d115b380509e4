/*
 * A container's network, between the API's words and the bridge: joining, published ports, the
 * files /etc/hosts, /etc/hostname and /etc/resolv.conf, and what inspect says.
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#define RESOLV_MAX 65536
bool ctr_on_bridge(const struct container *c)
{
    return str_eq(c->host->network_mode, "bridge") && !c->config->network_disabled;
}

static bool own_netns(const struct container *c)
{
    const char *mode = c->host->network_mode;

    return !str_eq(mode, "host") && !str_starts(mode, "container:");
}

/* ---- ports ---- */

struct ports {
    struct publish *v;
    size_t n;
};

/* "80/tcp" -> 80, "tcp" (static text). A range is the CLI's business: one port here. */
static int parse_port(const char *text, uint16_t *port, const char **proto, struct err *err)
{
    static const char *const protos[] = {"tcp", "udp", "sctp"};
    char num[8];
    const char *slash = strchrnul(text, '/');
    uint64_t v;

    *proto = NULL;
    for (size_t i = 0; i < 3; i++)
        if (!*slash || strcmp(slash + 1, protos[i]) == 0) {
            *proto = protos[i];
            break;
        }
    if ((size_t)(slash - text) < sizeof(num) && *proto) {
        memcpy(num, text, (size_t)(slash - text));
        num[slash - text] = '\0';
        if (str_to_u64(num, &v) == 0 && v >= 1 && v <= 65535) {
            *port = (uint16_t)v;
            return 0;
        }
    }
    return err_invalid(err, "invalid port specification: \"%s\"", text);
}

static int parse_host_port(const char *text, struct publish *p, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv range = str_split(&a, text, '-');
    uint64_t v[2] = {0, 0};

    if (str_empty(text))
        return 0;
    for (size_t i = 0; i < range.n; i++)
        if (i > 1 || str_to_u64(range.v[i], &v[i]) < 0 || v[i] > 65535)
            return err_invalid(err, "invalid port specification: \"%s\"", text);
    p->host_port = (uint16_t)v[0];
    p->host_port_last = (uint16_t)v[1];
    return 0;
}

static int add_port(const struct container *c, const struct host_config *host, const char *key,
                    const struct port_binding *b, struct arena *a, struct ports *out,
                    struct err *err)
{
    struct publish p = {.reserved = -1};
    const char *ip = str_or(b ? b->host_ip : NULL, c ? str_or(c->e->conf->ip, "") : "");

    (void)host;
    int r = parse_port(key, &p.port, &p.proto, err);
    if (r >= 0 && b)
        r = parse_host_port(b->host_port, &p, err);
    if (r < 0)
        return r;
    if (strchr(ip, ':')) /* published on IPv6: with the networks issue; IPv4 only until then */
        return 0;
    if (*ip && ip_parse(ip, &p.host) < 0)
        return err_invalid(err, "invalid host address \"%s\"", ip);
    arena_push(a, *out) = p;
    return 0;
}

static int collect_ports(const struct container *c, const struct container_config *config,
                         const struct host_config *host, struct arena *a, struct ports *ret,
                         struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < host->port_bindings.n; i++) {
        const struct objv *list = host->port_bindings.v[i].val;
        const char *key = host->port_bindings.v[i].key;
        if (!list || list->n == 0)
            r = add_port(c, host, key, NULL, a, ret, err);
        for (size_t j = 0; list && r >= 0 && j < list->n; j++)
            r = add_port(c, host, key, list->v[j], a, ret, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; host->publish_all_ports && i < config->exposed_ports.n; i++) {
        if (port_map_get(&host->port_bindings, config->exposed_ports.v[i]))
            continue;
        r = add_port(c, host, config->exposed_ports.v[i], NULL, a, ret, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Asked at the start only, as docker does: a container may be made before its network, and a
 * client takes "not found" from create for a missing image. */
static int check_network(const char *mode, struct err *err)
{
    static const char *const modes[] = {"bridge", "host", "none"};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (str_eq(mode, modes[i]))
            return 0;
    if (str_starts(mode, "container:"))
        return 0;
    return err_not_found(err, "failed to set up container networking: network %s not found", mode);
}

int ctr_check_ports(struct engine *e, const struct container_config *config,
                    const struct host_config *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ports ports = {0};
    uint16_t port;
    const char *proto;

    if (str_eq(host->network_mode, "bridge") && !e->bridge)
        return err_not_found(err, "network bridge not found: the daemon runs with --bridge none");
    for (size_t i = 0; i < config->exposed_ports.n; i++)
        if (parse_port(config->exposed_ports.v[i], &port, &proto, err) < 0)
            return -EINVAL;
    return collect_ports(NULL, config, host, &a, &ports, err);
}

/* ---- joining and leaving ---- */

static int wanted_ip(const struct container *c, struct ip *ret)
{
    (void)c; /* a fixed address needs a user-defined network: issue of networks */
    *ret = (struct ip){0};
    return 0;
}

void ctr_net_event(struct container *c, const char *action)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strmap attrs = {0};
    const char *mode = c->host->network_mode;

    if (str_starts(mode, "container:"))
        return;
    strmap_set(&a, &attrs, "container", c->id);
    strmap_set(&a, &attrs, "name", mode);
    strmap_set(&a, &attrs, "type", strcmp(mode, "none") == 0 ? "null" : mode);
    events_put(c->e->events, "network", action, net_id(mode), &attrs);
}

int ctr_net_join(struct container *c, struct arena *a, struct shim_net **ret, struct err *err)
{
    char gw[INET6_ADDRSTRLEN], addr[INET6_ADDRSTRLEN];
    struct ip want, gateway;
    struct endpoint ep;

    *ret = NULL;
    int r = check_network(c->host->network_mode, err);
    if (r < 0 || !ctr_on_bridge(c))
        return r;
    (void)!wanted_ip(c, &want);
    r = bridge_join(c->e->bridge, &want, &ep, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    c->ep = ep;
    (void)pthread_mutex_unlock(&c->lock);
    struct shim_net *net = arena_new(a, struct shim_net);
    gateway = bridge_gateway(c->e->bridge);
    net->host_if = arena_strdup(a, ep.host_if);
    net->peer_if = arena_strdup(a, "eth0");
    net->bridge = bridge_index(c->e->bridge);
    net->mtu = bridge_mtu(c->e->bridge);
    net->mac = arena_strdup(a, str_or(c->config->mac_address, ep.mac));
    strv_push(a, &net->addresses, arena_printf(a, "%s/%d", ip_format(&ep.ip, addr), ep.ip.prefix));
    net->gateway = arena_strdup(a, ip_format(&gateway, gw));
    net->go = c->host->port_bindings.n > 0 || c->host->publish_all_ports;
    *ret = net;
    return 0;
}

int ctr_net_publish(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ports ports = {0};
    int r = ctr_on_bridge(c) ? collect_ports(c, c->config, c->host, &a, &ports, err) : 0;

    if (r < 0 || ports.n == 0)
        return r;
    r = bridge_publish(c->e->bridge, &c->ep, ports.v, ports.n, err);
    if (r < 0)
        return err_wrap(err, r, "driver failed programming external connectivity on endpoint %s",
                        c->name);
    (void)pthread_mutex_lock(&c->lock);
    c->ports = xmemdup(ports.v, ports.n * sizeof(*ports.v));
    c->nports = ports.n;
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

struct ctr_net ctr_net_take(struct container *c)
{
    struct ctr_net net = {c->ep, take_ptr(&c->ports), c->nports};

    c->nports = 0;
    c->ep = (struct endpoint){0};
    return net;
}

void ctr_net_release(struct engine *e, struct ctr_net *net)
{
    if (net->nports)
        bridge_unpublish(e->bridge, &net->ep, net->ports, net->nports);
    free(net->ports);
    if (e->bridge)
        bridge_leave(e->bridge, &net->ep);
    *net = (struct ctr_net){0};
}

int ctr_net_restore(struct container *c, const struct ctr_state *st, struct err *err)
{
    if (str_empty(st->ip) || !c->e->bridge)
        return 0;
    if (ip_parse(st->ip, &c->ep.ip) < 0)
        return err_invalid(err, "bad address %s in the catalog", st->ip);
    (void)snprintf(c->ep.mac, sizeof(c->ep.mac), "%s", str_or(st->mac, ""));
    (void)snprintf(c->ep.host_if, sizeof(c->ep.host_if), "%s", str_or(st->host_if, ""));
    int r = bridge_rejoin(c->e->bridge, &c->ep, err);
    if (r < 0 || st->ports.n == 0)
        return r;
    c->ports = xcalloc(st->ports.n, sizeof(*c->ports));
    for (size_t i = 0; i < st->ports.n; i++) {
        const struct ctr_port *p = st->ports.v[i];
        struct publish *pub = &c->ports[i];
        uint16_t port;
        auto_free char *key = xasprintf("%u/%s", p->port, p->proto);
        r = parse_port(key, &port, &pub->proto, err);
        if (r < 0)
            return r;
        pub->port = port;
        pub->host_port = (uint16_t)p->host_port;
        pub->reserved = -1;
        if (!str_empty(p->host_ip) && ip_parse(p->host_ip, &pub->host) < 0)
            return err_invalid(err, "bad address %s in the catalog", p->host_ip);
    }
    c->nports = st->ports.n;
    return bridge_publish(c->e->bridge, &c->ep, c->ports, c->nports, err);
}

/* ---- files ---- */

static int write_hosts(struct container *c, struct err *err)
{
    auto_buf struct buf t = BUF_INIT;
    char addr[INET6_ADDRSTRLEN];
    const struct strv *extra = &c->host->extra_hosts;

    buf_puts(&t, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                 "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\n"
                 "ff02::2\tip6-allrouters\n");
    for (size_t i = 0; i < extra->n; i++) {
        const char *colon = strchr(extra->v[i], ':');
        if (!colon)
            return err_invalid(err, "bad format for add-host: \"%s\"", extra->v[i]);
        const char *to = colon + 1;
        struct ip gw = c->e->bridge ? bridge_gateway(c->e->bridge) : (struct ip){0};
        if (strcmp(to, "host-gateway") == 0)
            to = ip_format(&gw, addr);
        buf_printf(&t, "%s\t%.*s\n", to, (int)(colon - extra->v[i]), extra->v[i]);
    }
    if (c->ep.ip.family) {
        const char *domain = str_or(c->config->domainname, "");
        buf_printf(&t, "%s\t%s%s%s%s%s\n", ip_format(&c->ep.ip, addr), c->config->hostname,
                   *domain ? "." : "", domain, *domain ? " " : "",
                   *domain ? c->config->hostname : "");
    }
    return write_file_at(c->data_fd, "hosts", 0644, t.data, t.len, false, err);
}

/* The host's own servers, but for those that mean the host itself: in a network namespace of its
 * own a container cannot reach 127.0.0.53. */
static int write_resolv(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf host = BUF_INIT, t = BUF_INIT;
    const struct engine_config *conf = c->e->conf;
    const struct strv *dns = c->host->dns.n ? &c->host->dns : &conf->dns;
    const struct strv *search = c->host->dns_search.n ? &c->host->dns_search : &conf->dns_search;
    const struct strv *opts = c->host->dns_options.n ? &c->host->dns_options : &conf->dns_opts;
    size_t servers = dns->n;

    int r = read_file_at(AT_FDCWD, "/etc/resolv.conf", RESOLV_MAX, &host, err);
    if (r < 0 && r != -ENOENT)
        return r;
    struct strv lines = str_split(&a, buf_str(&host), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *l = lines.v[i], *server = str_starts(l, "nameserver");
        bool local = server && own_netns(c) && (strstr(server, " 127.") || strstr(server, " ::1"));
        if ((server && (dns->n || local)) || (str_starts(l, "search") && search->n) ||
            (str_starts(l, "options") && opts->n) || *l == '#' || !*l)
            continue;
        servers += server != NULL;
        buf_printf(&t, "%s\n", l);
    }
    for (size_t i = 0; i < dns->n; i++)
        buf_printf(&t, "nameserver %s\n", dns->v[i]);
    if (servers == 0)
        buf_puts(&t, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    if (search->n && !str_eq(search->v[0], "."))
        buf_printf(&t, "search %s\n", strv_join(&a, search, " "));
    if (opts->n)
        buf_printf(&t, "options %s\n", strv_join(&a, opts, " "));
    return write_file_at(c->data_fd, "resolv.conf", 0644, buf_str(&t), t.len, false, err);
}

/* "container:NAME" shares the files of that container with its namespace. */
static int copy_files(struct container *c, const char *name, struct err *err)
{
    static const char *const files[] = {"hosts", "resolv.conf", "hostname"};
    auto_ctr struct container *o = ctr_find(c->e, name, err);
    int r = o ? 0 : err_code(err);

    for (size_t i = 0; r >= 0 && i < 3; i++) {
        auto_buf struct buf t = BUF_INIT;
        r = read_file_at(o->data_fd, files[i], RESOLV_MAX, &t, err);
        if (r >= 0)
            r = write_file_at(c->data_fd, files[i], 0644, buf_str(&t), t.len, false, err);
    }
    return r;
}

int ctr_net_files(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *other = str_starts(c->host->network_mode, "container:");
    char host[256];

    if (other)
        return copy_files(c, other, err);
    if (str_empty(c->config->hostname) && gethostname(host, sizeof(host)) == 0)
        host[sizeof(host) - 1] = '\0';
    else
        (void)snprintf(host, sizeof(host), "%s", str_or(c->config->hostname, ""));
    const char *line = arena_printf(&a, "%s\n", host);
    int r = write_file_at(c->data_fd, "hostname", 0644, line, strlen(line), false, err);
    if (r >= 0)
        r = write_hosts(c, err);
    return r < 0 ? r : write_resolv(c, err);
}

/* ---- inspect ---- */

static struct endpoint_settings *endpoint_of(struct container *c, struct arena *a)
{
    struct endpoint_settings *s = arena_new(a, struct endpoint_settings);
    char text[INET6_ADDRSTRLEN];

    if (c->ep.ip.family == 0)
        return s;
    struct ip gw = bridge_gateway(c->e->bridge);
    s->network_id = arena_strdup(a, NET_BRIDGE_ID);
    s->endpoint_id = arena_printf(a, "e%.63s", c->id);
    s->ip_address = arena_strdup(a, ip_format(&c->ep.ip, text));
    s->ip_prefix_len = c->ep.ip.prefix;
    s->gateway = arena_strdup(a, ip_format(&gw, text));
    s->mac_address = arena_strdup(a, c->ep.mac);
    return s;
}

static void published(struct container *c, struct arena *a, port_map *map)
{
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < c->config->exposed_ports.n; i++)
        port_map_set_null(map, a, c->config->exposed_ports.v[i]);
    for (size_t i = 0; i < c->nports; i++) {
        const struct publish *p = &c->ports[i];
        port_map_add(map, a, arena_printf(a, "%u/%s", p->port, p->proto),
                     p->host.family ? ip_format(&p->host, text) : "0.0.0.0",
                     arena_printf(a, "%u", p->host_port));
    }
}

void ctr_net_settings(struct container *c, struct arena *a, struct network_settings *ret)
{
    const char *mode = c->host->network_mode;

    ret->ports.v = arena_alloc(a, sizeof(*ret->ports.v));
    ret->networks.v = arena_alloc(a, sizeof(*ret->networks.v));
    if (str_starts(mode, "container:"))
        return;
    struct endpoint_settings *s = endpoint_of(c, a);
    arena_push(a, ret->networks).key = arena_strdup(a, mode);
    ret->networks.v[ret->networks.n - 1].val = s;
    if (!ctr_running(c))
        return;
    published(c, a, &ret->ports);
    ret->sandbox_id = arena_strdup(a, c->id);
    ret->sandbox_key = arena_printf(a, "/proc/%lld/ns/net", (long long)c->pid);
    if (c->ep.ip.family == 0)
        return;
    ret->endpoint_id = s->endpoint_id;
    ret->ip_address = s->ip_address;
    ret->ip_prefix_len = s->ip_prefix_len;
    ret->gateway = s->gateway;
    ret->mac_address = s->mac_address;
}
