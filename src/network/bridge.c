#include "network/bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

/* Docker's range for ports that nobody named; the kernel's own ephemeral range. */
#define PORT_FIRST 32768
#define PORT_LAST 60999

/* Which daemon has which bridge: a locked file each, named after network namespace and link. It is
 * no daemon's root, since daemons with different roots are who must not meet. */
#define CLAIMS_DIR "/run/cleat/bridges"

struct bridge {
    char name[IFNAMSIZ];
    int claim; /* locked file while the bridge is ours */
    int index, mtu;
    struct ip gateway, subnet;
    pthread_mutex_t lock; /* pool, next_port, held */
    struct addr_pool *pool;
    uint16_t next_port;
    struct firewall *fw;
    struct {
        struct publish *v; /* heap: what we hold, to tell our own ports from foreign ones */
        size_t n;
    } held;
};

/* One bridge, one daemon: another one would replace our packet filter and delete the link when it
 * stops. The file stays when we go; removing it would race with the next one's open. */
static int claim(struct bridge *b, struct err *err)
{
    struct stat ns;
    int r = mkdir_p_at(AT_FDCWD, CLAIMS_DIR, 0700, err);

    if (r < 0)
        return r;
    if (stat("/proc/thread-self/ns/net", &ns) < 0)
        return err_sys(err, "network namespace");
    auto_free char *path = xasprintf("%s/%ju-%s", CLAIMS_DIR, (uintmax_t)ns.st_ino, b->name);
    b->claim = lock_file_at(AT_FDCWD, path, 0600, err);
    if (b->claim == -EAGAIN) {
        err_clear(err);
        return err_conflict(err, "in use by another daemon; choose another one with --bridge");
    }
    return b->claim;
}

struct link_addr {
    int index;
    struct ip ip;
};

static int find_addr(void *arg, int ifindex, const struct ip *ip)
{
    struct link_addr *want = arg;

    if (ifindex != want->index || ip->family != AF_INET)
        return 0;
    want->ip = *ip;
    return 1;
}

/* The address the bridge shall have: as told, as it has, or the first of a free subnet. */
static int pick_gateway(struct bridge *b, const struct bridge_opts *o, struct err *err)
{
    struct link_addr have = {.index = b->index};
    int r;

    if (!str_empty(o->bip)) {
        if (ip_parse(o->bip, &b->gateway) < 0 || b->gateway.family != AF_INET)
            return err_invalid(err, "invalid bip \"%s\"", o->bip);
        return 0;
    }
    r = b->index > 0 ? rtnl_addr_each(find_addr, &have, err) : 0;
    if (r < 0)
        return r;
    if (r > 0) {
        b->gateway = have.ip;
        return 0;
    }
    r = addr_find_subnet(&b->subnet, err);
    if (r < 0)
        return r;
    b->gateway = ip_from_u32(ip_to_u32(&b->subnet) + 1, b->subnet.prefix);
    return 0;
}

static int set_up_link(struct bridge *b, const struct bridge_opts *o, struct err *err)
{
    auto_close int nl = rtnl_open(err);
    struct err missing = {0};

    if (nl < 0)
        return nl;
    b->index = rtnl_link_index(nl, b->name, &missing);
    if (b->index > 0 && o->fresh)
        return err_conflict(err, "there is such a link already");
    int r = pick_gateway(b, o, err);
    if (r >= 0 && b->index < 0) {
        r = rtnl_bridge_add(nl, b->name, b->mtu, err);
        if (r >= 0)
            r = b->index = rtnl_link_index(nl, b->name, err);
    }
    if (r >= 0)
        r = rtnl_addr_add(nl, b->index, &b->gateway, err);
    return r < 0 ? r : rtnl_link_up(nl, b->index, err);
}

static int set_sysctl(const char *name, const char *value, struct err *err)
{
    auto_free char *path = xasprintf("/proc/sys/%s", name);
    auto_buf struct buf now = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, 4096, &now, err);

    if (r < 0)
        return r;
    return strncmp(now.data, value, strlen(value)) == 0
               ? 0
               : write_value_at(AT_FDCWD, path, value, err);
}

static int set_sysctls(const struct bridge *b, const struct bridge_opts *o, struct err *err)
{
    auto_free char *localnet = xasprintf("net/ipv4/conf/%s/route_localnet", b->name);
    int r = set_sysctl(localnet, "1", err);

    return r < 0 || !o->forward ? r : set_sysctl("net/ipv4/ip_forward", "1", err);
}

int bridge_open(const struct bridge_opts *o, struct bridge **ret, struct err *err)
{
    struct bridge *b = xnew(struct bridge);

    (void)pthread_mutex_init(&b->lock, NULL);
    (void)snprintf(b->name, sizeof(b->name), "%s", o->name);
    b->claim = -1;
    b->mtu = o->mtu ? o->mtu : 1500;
    b->next_port = PORT_FIRST;
    int r = claim(b, err);
    if (r >= 0)
        r = set_up_link(b, o, err);
    b->subnet =
        ip_from_u32(ip_to_u32(&b->gateway) & ~(UINT32_MAX >> b->gateway.prefix), b->gateway.prefix);
    if (r >= 0)
        r = addr_pool_new(&b->subnet, &b->pool, err);
    if (r >= 0)
        r = addr_pool_take_this(b->pool, &b->gateway, err);
    if (r >= 0)
        r = set_sysctls(b, o, err);
    if (r >= 0)
        r = fw_open(b->name, &b->subnet, o->masquerade, o->icc, &b->fw, err);
    if (r < 0) {
        bridge_free(b);
        return err_wrap(err, r, "bridge %s", o->name);
    }
    *ret = b;
    return 0;
}

void bridge_free(struct bridge *b)
{
    if (!b)
        return;
    fw_free(b->fw);
    addr_pool_free(b->pool);
    free(b->held.v);
    close_fd(&b->claim);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

int bridge_remove(struct bridge *b, struct err *err)
{
    auto_close int nl = rtnl_open(err);
    int r = nl < 0 ? nl : fw_remove(b->fw, err);

    return r < 0 ? r : rtnl_link_del(nl, b->name, err);
}

const char *bridge_name(const struct bridge *b)
{
    return b->name;
}

int bridge_index(const struct bridge *b)
{
    return b->index;
}

int bridge_mtu(const struct bridge *b)
{
    return b->mtu;
}

struct ip bridge_gateway(const struct bridge *b)
{
    return b->gateway;
}

struct ip bridge_subnet(const struct bridge *b)
{
    return b->subnet;
}

/* ---- endpoints ---- */

int bridge_join(struct bridge *b, const struct ip *want, struct endpoint *ret, struct err *err)
{
    struct endpoint ep = {0};
    char suffix[8];
    int r;

    (void)pthread_mutex_lock(&b->lock);
    if (want && want->family) {
        ep.ip = *want;
        ep.ip.prefix = b->subnet.prefix;
        r = addr_pool_take_this(b->pool, want, err);
    } else {
        r = addr_pool_take(b->pool, &ep.ip, err);
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (r < 0)
        return r;
    /* From the address, as Docker's: a reused address then has the MAC its neighbours know. */
    (void)snprintf(ep.mac, sizeof(ep.mac), "02:42:%02x:%02x:%02x:%02x", ep.ip.addr[0],
                   ep.ip.addr[1], ep.ip.addr[2], ep.ip.addr[3]);
    rand_hex(suffix, 7);
    (void)snprintf(ep.host_if, sizeof(ep.host_if), "veth%s", suffix);
    *ret = ep;
    return 0;
}

int bridge_rejoin(struct bridge *b, const struct endpoint *ep, struct err *err)
{
    (void)pthread_mutex_lock(&b->lock);
    int r = addr_pool_take_this(b->pool, &ep->ip, err);
    (void)pthread_mutex_unlock(&b->lock);
    return r;
}

void bridge_leave(struct bridge *b, const struct endpoint *ep)
{
    if (ep->ip.family == 0)
        return;
    (void)pthread_mutex_lock(&b->lock);
    addr_pool_give_back(b->pool, &ep->ip);
    (void)pthread_mutex_unlock(&b->lock);
}

/* ---- published ports ---- */

/* A bound socket keeps the port from everybody else; TCP also listens, so that `ss` shows it. No
 * packet reaches it: the port map comes first. */
static int reserve(const struct publish *p, uint16_t port)
{
    bool stream = strcmp(p->proto, "udp") != 0;
    int protocol = strcmp(p->proto, "sctp") == 0 ? IPPROTO_SCTP : 0;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    auto_close int fd =
        socket(AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, protocol);

    if (fd < 0) /* no SCTP in this kernel: the map works all the same */
        return errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ? -ENOTSUP : -errno;
    memcpy(&addr.sin_addr, p->host.addr, sizeof(addr.sin_addr));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || (stream && listen(fd, 1) < 0))
        return -errno;
    return take_fd(&fd);
}

static uint16_t next_port(struct bridge *b)
{
    (void)pthread_mutex_lock(&b->lock);
    uint16_t port = b->next_port++;
    if (b->next_port > PORT_LAST)
        b->next_port = PORT_FIRST;
    (void)pthread_mutex_unlock(&b->lock);
    return port;
}

static int reserve_any(struct bridge *b, struct publish *p)
{
    int fd = -EADDRINUSE;

    for (int tried = 0; tried <= PORT_LAST - PORT_FIRST && fd == -EADDRINUSE; tried++) {
        p->host_port = next_port(b);
        fd = reserve(p, p->host_port);
    }
    return fd;
}

static bool same_port(const struct publish *a, const struct publish *b)
{
    static const uint8_t any[16] = {0};
    bool hosts = memcmp(a->host.addr, b->host.addr, 16) == 0 ||
                 memcmp(a->host.addr, any, 16) == 0 || memcmp(b->host.addr, any, 16) == 0;

    return hosts && a->host_port == b->host_port && strcmp(a->proto, b->proto) == 0;
}

static bool is_ours(struct bridge *b, const struct publish *p)
{
    bool found = false;

    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->held.n; i++)
        found |= same_port(&b->held.v[i], p);
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}

static void hold(struct bridge *b, const struct publish *ports, size_t n)
{
    (void)pthread_mutex_lock(&b->lock);
    b->held.v = xrealloc(b->held.v, (b->held.n + n) * sizeof(*b->held.v));
    memcpy(b->held.v + b->held.n, ports, n * sizeof(*ports));
    b->held.n += n;
    (void)pthread_mutex_unlock(&b->lock);
}

static void let_go(struct bridge *b, const struct publish *ports, size_t n)
{
    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->held.n; k++)
            if (same_port(&b->held.v[k], &ports[i])) {
                b->held.v[k] = b->held.v[--b->held.n];
                break;
            }
    (void)pthread_mutex_unlock(&b->lock);
}

static int reserve_one(struct bridge *b, struct publish *p, struct err *err)
{
    char host[INET6_ADDRSTRLEN];
    uint16_t first = p->host_port, last = p->host_port_last;
    int fd;

    p->reserved = -1;
    if (p->host_port == 0) {
        fd = reserve_any(b, p);
    } else {
        fd = reserve(p, p->host_port);
        while (fd == -EADDRINUSE && p->host_port < last)
            fd = reserve(p, ++p->host_port);
    }
    struct ip any = {.family = AF_INET};
    const char *shown = ip_format(p->host.family ? &p->host : &any, host);
    if (fd == -EADDRINUSE && last > first)
        return err_as(err, ERR_SYSTEM, EADDRINUSE,
                      "Bind for %s:%u-%u failed: all ports are allocated", shown, first, last);
    if (fd == -EADDRINUSE && !is_ours(b, p))
        return err_as(err, ERR_SYSTEM, EADDRINUSE,
                      "failed to bind host port for %s:%u/%s: address already in use", shown,
                      p->host_port, p->proto);
    if (fd == -EADDRINUSE)
        return err_as(err, ERR_SYSTEM, EADDRINUSE,
                      "Bind for %s:%u failed: port is already allocated", shown, p->host_port);
    if (fd < 0 && fd != -ENOTSUP)
        return err_no(err, fd, "failed to bind host port for %s:%u/%s", shown, p->host_port,
                      p->proto);
    p->reserved = fd == -ENOTSUP ? -1 : fd;
    return 0;
}

static struct fw_port *fw_ports(const struct endpoint *ep, const struct publish *ports, size_t n)
{
    struct fw_port *v = xcalloc(n, sizeof(*v));

    for (size_t i = 0; i < n; i++)
        v[i] = (struct fw_port){.host = ports[i].host,
                                .host_port = ports[i].host_port,
                                .port = ports[i].port,
                                .to = ep->ip,
                                .proto = ports[i].proto};
    return v;
}

static void release(struct publish *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close_fd(&ports[i].reserved);
}

int bridge_publish(struct bridge *b, const struct endpoint *ep, struct publish *ports, size_t n,
                   struct err *err)
{
    FAIL_POINT("bridge.publish.reserve", err);
    for (size_t i = 0; i < n; i++) {
        int r = reserve_one(b, &ports[i], err);
        if (r < 0) {
            release(ports, i);
            return r;
        }
    }
    auto_free struct fw_port *v = fw_ports(ep, ports, n);
    int r = fw_publish(b->fw, v, n, err);
    if (r < 0)
        release(ports, n);
    else
        hold(b, ports, n);
    return r;
}

void bridge_unpublish(struct bridge *b, const struct endpoint *ep, struct publish *ports, size_t n)
{
    auto_free struct fw_port *v = fw_ports(ep, ports, n);
    struct err err = {0};

    if (fw_unpublish(b->fw, v, n, &err) < 0)
        log_warn("%s", err.msg);
    let_go(b, ports, n);
    release(ports, n);
}
