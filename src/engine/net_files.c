/*
 * A container's /etc/hosts, /etc/hostname and /etc/resolv.conf. They are files in its directory,
 * mounted over those of the image: written anew for a start, and in place while it runs.
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"

#define RESOLV_MAX 65536
#define HOST_GATEWAY "host-gateway"

/* ---- hosts ---- */

static int put_extra(const struct container *c, struct buf *t, struct err *err)
{
    const struct strv *extra = &c->host->extra_hosts;
    char addr[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < extra->n; i++) {
        const char *colon = strchr(extra->v[i], ':');
        if (!colon)
            return err_invalid(err, "bad format for add-host: \"%s\"", extra->v[i]);
        const char *to = colon + 1;
        if (strcmp(to, HOST_GATEWAY) == 0) {
            struct ip ip = {.family = AF_INET};
            const struct net *bridge = c->e->nets.bridge;
            struct ip subnet =
                bridge && bridge->links ? network_subnet(bridge->links, AF_INET) : ip;
            struct ip gw = bridge && bridge->links ? network_gateway(bridge->links, &subnet) : ip;
            if (!gw.family)
                return err_invalid(err, "unable to derive the IP value for host-gateway");
            to = ip_format(&gw, addr);
        }
        buf_printf(t, "%s\t%.*s\n", to, (int)(colon - extra->v[i]), extra->v[i]);
    }
    return 0;
}

static void put_own(const struct container *c, const struct ip *ip, struct buf *t)
{
    const char *domain = str_or(c->config->domainname, ""), *host = c->config->hostname;
    char addr[INET6_ADDRSTRLEN];

    if (!ip->family)
        return;
    buf_printf(t, "%s\t%s", ip_format(ip, addr), host);
    if (*domain)
        buf_printf(t, ".%s %s", domain, host);
    buf_putc(t, '\n');
}

static int hosts_text(const struct container *c, struct buf *t, struct err *err)
{
    buf_puts(t, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\n"
                "ff02::2\tip6-allrouters\n");
    int r = put_extra(c, t, err);
    if (r >= 0)
        links_hosts(c, t);
    for (size_t i = 0; r >= 0 && i < c->net.nends; i++) {
        put_own(c, &c->net.ends[i].ep.ip, t);
        put_own(c, &c->net.ends[i].ep.ip6, t);
    }
    return r;
}

/* ---- resolv.conf ---- */

/* The host's file and what the user or the daemon's settings say instead. */
struct resolv {
    struct strv servers, search, options;
    struct strv rest; /* of the host's lines */
};

static bool is_local(const char *server)
{
    return str_starts(server, "127.") || strcmp(server, "::1") == 0;
}

static void add_words(struct arena *a, struct strv *to, const char *line)
{
    struct strv words = str_split(a, line, ' ');

    for (size_t i = 1; i < words.n; i++)
        if (*words.v[i])
            strv_push(a, to, words.v[i]);
}

static void read_line(struct arena *a, char *line, struct resolv *ret)
{
    for (char *p = line; *p; p++)
        if (*p == '\t' || *p == '\r')
            *p = ' ';
    if (str_starts(line, "nameserver "))
        add_words(a, &ret->servers, line);
    else if (str_starts(line, "search ") || str_starts(line, "domain ")) {
        ret->search = (struct strv){0}; /* the last one counts */
        add_words(a, &ret->search, line);
    } else if (str_starts(line, "options "))
        add_words(a, &ret->options, line);
    else if (*line && *line != '#' && *line != ';')
        strv_push(a, &ret->rest, line);
}

static int read_resolv(const struct container *c, struct arena *a, struct resolv *ret,
                       struct err *err)
{
    const struct engine_config *conf = c->e->conf;
    auto_buf struct buf host = BUF_INIT;
    int r = read_file_at(AT_FDCWD, "/etc/resolv.conf", RESOLV_MAX, &host, err);

    if (r < 0 && r != -ENOENT)
        return r;
    err_clear(err);
    struct strv lines = str_split(a, buf_str(&host), '\n');
    for (size_t i = 0; i < lines.n; i++)
        read_line(a, lines.v[i], ret);
    const struct strv *dns = c->host->dns.n ? &c->host->dns : &conf->dns;
    const struct strv *search = c->host->dns_search.n ? &c->host->dns_search : &conf->dns_search;
    const struct strv *opts = c->host->dns_options.n ? &c->host->dns_options : &conf->dns_opts;
    if (dns->n)
        ret->servers = *dns;
    if (search->n)
        ret->search = *search;
    if (opts->n)
        ret->options = *opts;
    return 0;
}

/* In a network of its own a container cannot reach the host's 127.0.0.53. */
static struct strv reachable(const struct container *c, const struct resolv *rc, struct arena *a)
{
    struct strv v = {0};

    for (size_t i = 0; i < rc->servers.n; i++)
        if (!ctr_own_netns(c) || !is_local(rc->servers.v[i]))
            strv_push(a, &v, rc->servers.v[i]);
    if (v.n == 0) {
        strv_push(a, &v, "8.8.8.8");
        strv_push(a, &v, "8.8.4.4");
    }
    return v;
}

static bool has_ipv6(const struct container *c)
{
    for (size_t i = 0; i < c->net.nends; i++)
        if (c->net.ends[i].ep.ip6.family)
            return true;
    return false;
}

/* Servers that the container was given are its own: they may be behind a tunnel of its, or in it.
 * The host's are asked from the host where the container cannot: on loopback, and by IPv6 when it
 * has none. */
static bool is_hosts(const struct container *c, const struct ip *ip)
{
    return c->host->dns.n == 0 && (ip_is_loopback(ip) || (ip->family == AF_INET6 && !has_ipv6(c)));
}

size_t ctr_upstreams(const struct container *c, struct dns_server *ret, size_t max)
{
    auto_arena struct arena a = ARENA_INIT;
    struct resolv rc = {0};
    struct err ignored = {0};
    size_t n = 0;

    if (read_resolv(c, &a, &rc, &ignored) < 0)
        return 0;
    for (size_t i = 0; i < rc.servers.n && n < max; i++)
        if (ip_parse(rc.servers.v[i], &ret[n].ip) == 0) {
            ret[n].host = is_hosts(c, &ret[n].ip);
            n++;
        }
    return n;
}

static bool has_option(const struct strv *options, const char *prefix)
{
    for (size_t i = 0; i < options->n; i++)
        if (str_starts(options->v[i], prefix))
            return true;
    return false;
}

static int resolv_text(const struct container *c, struct buf *t, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct resolv rc = {0};
    bool ours = ctr_wants_dns(c);
    int r = read_resolv(c, &a, &rc, err);

    if (r < 0)
        return r;
    struct strv servers = ours ? (struct strv){0} : reachable(c, &rc, &a);
    for (size_t i = 0; i < servers.n; i++)
        buf_printf(t, "nameserver %s\n", servers.v[i]);
    if (ours)
        buf_puts(t, "nameserver " DNS_ADDRESS "\n");
    if (rc.search.n && !str_eq(rc.search.v[0], "."))
        buf_printf(t, "search %s\n", strv_join(&a, &rc.search, " "));
    if (ours && !has_option(&rc.options, "ndots:"))
        strv_push(&a, &rc.options, "ndots:0");
    if (rc.options.n)
        buf_printf(t, "options %s\n", strv_join(&a, &rc.options, " "));
    for (size_t i = 0; i < rc.rest.n; i++)
        buf_printf(t, "%s\n", rc.rest.v[i]);
    return 0;
}

/* ---- writing ---- */

/* The same file: it is mounted in the container. */
static int rewrite(struct container *c, const char *name, const struct buf *t, struct err *err)
{
    auto_close int fd =
        openat(c->data_fd, name, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return err_sys(err, "open %s", name);
    int r = write_full(fd, buf_str(t), t->len);
    return r < 0 ? err_no(err, r, "write %s", name) : 0;
}

static int write_both(struct container *c, struct err *err)
{
    auto_buf struct buf hosts = BUF_INIT, resolv = BUF_INIT;
    int r = hosts_text(c, &hosts, err);

    if (r >= 0)
        r = resolv_text(c, &resolv, err);
    if (r >= 0)
        r = rewrite(c, "hosts", &hosts, err);
    return r < 0 ? r : rewrite(c, "resolv.conf", &resolv, err);
}

int ctr_net_refresh(struct container *c, struct err *err)
{
    return write_both(c, err);
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
            r = rewrite(c, files[i], &t, err);
    }
    return r;
}

int ctr_net_files(struct container *c, struct err *err)
{
    auto_buf struct buf line = BUF_INIT;
    const char *other = str_starts(c->host->network_mode, "container:");
    char host[256];

    if (other)
        return copy_files(c, other, err);
    if (str_empty(c->config->hostname) && gethostname(host, sizeof(host)) == 0)
        host[sizeof(host) - 1] = '\0';
    else
        (void)snprintf(host, sizeof(host), "%s", str_or(c->config->hostname, ""));
    buf_printf(&line, "%s\n", host);
    int r = rewrite(c, "hostname", &line, err);
    return r < 0 ? r : write_both(c, err);
}
