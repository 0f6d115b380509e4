#include "network/firewall-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

int fw_run(struct firewall *f, const char *commands, const char *what, struct err *err)
{
    int bad = nft_run_cmd_from_buffer(f->nft, commands);
    const char *text = nft_ctx_get_error_buffer(f->nft);

    if (!bad)
        return 0;
    return err_as(err, ERR_SYSTEM, EIO, "nftables: %s: %.*s", what,
                  (int)strcspn(str_or(text, "failed"), "\n"), str_or(text, "failed"));
}

/* The port of a netfilter socket that has none yet. Return: 0: @fd is something else. */
static uint32_t bind_netfilter(int fd)
{
    struct sockaddr_nl addr = {0};
    socklen_t len = sizeof(addr), n = sizeof(int);
    int protocol = -1;

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 || addr.nl_family != AF_NETLINK ||
        addr.nl_pid != 0 || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) < 0 ||
        protocol != NETLINK_NETFILTER || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return 0;
    return addr.nl_pid;
}

/* libnftables keeps its socket to itself, and the kernel numbers it with the first message only:
 * just made, it is the one netfilter socket among our descriptors without a number. */
static uint32_t find_port_id(void)
{
    auto_dir DIR *d = opendir("/proc/self/fd");
    uint32_t id = 0;
    uint64_t fd;

    for (struct dirent *ent; d && !id && (ent = readdir(d));)
        if (str_to_u64(ent->d_name, &fd) == 0)
            id = bind_netfilter((int)fd);
    return id;
}

int fw_open(const char *table, bool enabled, bool override, struct firewall **ret, struct err *err)
{
    auto_buf struct buf rules = BUF_INIT;
    char digest[DIGEST_LEN + 1];
    struct firewall *f = xnew(struct firewall);

    (void)pthread_mutex_init(&f->lock, NULL);
    (void)snprintf(f->table, sizeof(f->table), "%s", table);
    f->wanted = map_new();
    f->override = override;
    *ret = f;
    if (!enabled)
        return 0;
    fw_put_rules(&rules, "x");
    sha256_of(rules.data, rules.len, digest);
    (void)snprintf(f->rules, sizeof(f->rules), "%s", digest);
    f->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (f->nft && nft_ctx_buffer_error(f->nft) == 0 && nft_ctx_buffer_output(f->nft) == 0) {
        f->port_id = find_port_id();
        return 0;
    }
    fw_free(take_ptr(ret));
    return err_no(err, ENOMEM, "nftables: create context");
}

void fw_free(struct firewall *f)
{
    if (!f)
        return;
    if (f->nft)
        nft_ctx_free(f->nft);
    map_free(f->wanted);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

int fw_remove(struct firewall *f, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    if (!f->nft)
        return 0;
    buf_printf(&text, "add table inet %s\ndelete table inet %s\n", f->table, f->table);
    (void)pthread_mutex_lock(&f->lock);
    int r = fw_run(f, text.data, "delete table", err);
    if (r >= 0) {
        f->synced = false; /* whoever still gives ports back does not make it again */
        r = fw_host_remove(f, err);
    }
    (void)pthread_mutex_unlock(&f->lock);
    return r < 0 ? r : 0;
}

uint32_t fw_port_id(const struct firewall *f)
{
    return f->port_id;
}

bool fw_overrides(const struct firewall *f)
{
    return f->nft && f->override;
}

const char *fw_table(const struct firewall *f)
{
    return f->table;
}

int fw_sync(struct firewall *f, struct err *err)
{
    if (!f->nft)
        return 0;
    FAIL_POINT("firewall.sync", err);
    (void)pthread_mutex_lock(&f->lock);
    int r = fw_sync_table(f, err);
    if (r >= 0)
        f->synced = true;
    (void)pthread_mutex_unlock(&f->lock);
    return r;
}

/* ---- elements ---- */

/* Elements as put_net() and put_port() write them, a line each: into what is wanted, or out of it.
 * @out: the commands for it. @changed: those that were not so before. */
static void note(struct firewall *f, const char *elements, const char *verb, struct buf *out,
                 struct buf *changed)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv lines = str_split(&a, elements, '\n');
    bool add = strcmp(verb, "add") == 0;

    for (size_t i = 0; i < lines.n; i++) {
        if (!*lines.v[i] || (!add && !map_has(f->wanted, lines.v[i]))) /* gone already */
            continue;
        fw_put_element(out, verb, f->table, lines.v[i]);
        if (map_has(f->wanted, lines.v[i]) != add)
            buf_printf(changed, "%s\n", lines.v[i]);
        if (add)
            (void)map_set(f->wanted, lines.v[i], f);
        else
            (void)map_del(f->wanted, lines.v[i]);
    }
}

static bool all_wanted(struct firewall *f, const struct buf *elements)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv lines = str_split(&a, buf_str(elements), '\n');
    bool all = true;

    (void)pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < lines.n; i++)
        all &= !*lines.v[i] || map_has(f->wanted, lines.v[i]);
    (void)pthread_mutex_unlock(&f->lock);
    return all;
}

/* The commands assume that the kernel has what we want. When they fail, somebody may have flushed
 * the table a moment ago: the comparison with what is really there says what is left to do.
 * @nets: bridges come or go, which the host's chains hear of, too. */
static int change(struct firewall *f, const char *verb, const struct buf *elements, bool nets,
                  const char *what, struct err *err)
{
    auto_buf struct buf text = BUF_INIT, changed = BUF_INIT, undo = BUF_INIT, ignored = BUF_INIT;
    int r = 0;

    if (!f->nft || elements->len == 0)
        return 0;
    (void)pthread_mutex_lock(&f->lock);
    note(f, buf_str(elements), verb, &text, &changed);
    if (f->synced && text.len > 0)
        r = fw_run(f, text.data, what, err);
    if (r < 0 && fw_sync_table(f, NULL) >= 0) {
        err_clear(err);
        r = 0;
    }
    if (r >= 0 && f->synced && nets)
        r = fw_host_sync(f, err);
    if (r < 0 && strcmp(verb, "add") == 0) /* what could not be added is not wanted either */
        note(f, buf_str(&changed), "delete", &undo, &ignored);
    (void)pthread_mutex_unlock(&f->lock);
    return r < 0 ? r : 0;
}

static void put_net(struct buf *out, const struct fw_net *n)
{
    char text[IP_TEXT], addr[INET6_ADDRSTRLEN];

    buf_printf(out, "nets \"%s\"\n", n->bridge);
    buf_printf(out, "same \"%s\" . \"%s\" : %s\n", n->bridge, n->bridge,
               n->icc ? "accept" : "drop");
    if (n->internal)
        buf_printf(out, "internal \"%s\"\n", n->bridge);
    for (size_t i = 0; i < n->ntrusted; i++)
        buf_printf(out, "trusted \"%s\" . \"%s\"\n", n->trusted[i], n->bridge);
    for (size_t i = 0; i < 2; i++) {
        struct ip net = ip_network(&n->subnets[i]);
        int v = net.family == AF_INET6 ? 6 : 4;
        bool masquerade = n->masquerade && !n->internal && n->doors[i] != FW_ROUTED;
        if (!net.family)
            continue;
        buf_printf(out, "local%d %s\n", v, ip_format_cidr(&net, text));
        if (n->doors[i] != FW_SHUT)
            buf_printf(out, "%s%d \"%s\"\n", n->doors[i] == FW_WIDE ? "wide" : "routed", v,
                       n->bridge);
        if (masquerade && n->sources[i].family)
            buf_printf(out, "snat%d %s : %s\n", v, text, ip_format(&n->sources[i], addr));
        else if (masquerade)
            buf_printf(out, "masq%d %s\n", v, text);
    }
}

int fw_net_add(struct firewall *f, const struct fw_net *n, struct err *err)
{
    auto_buf struct buf elements = BUF_INIT;

    put_net(&elements, n);
    return all_wanted(f, &elements) ? 0 : change(f, "add", &elements, true, "add network", err);
}

int fw_net_del(struct firewall *f, const struct fw_net *n, struct err *err)
{
    auto_buf struct buf elements = BUF_INIT;

    put_net(&elements, n);
    return change(f, "delete", &elements, true, "remove network", err);
}

static void put_port(struct buf *out, const struct fw_port *p)
{
    char host[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    int v = p->to.family == AF_INET6 ? 6 : 4;
    bool any = ip_is_any(&p->host);

    buf_printf(out, "%s%d ", any ? "any" : "one", v);
    if (!any)
        buf_printf(out, "%s . ", ip_format(&p->host, host));
    buf_printf(out, "%s . %u : %s . %u\n", p->proto, p->host_port, ip_format(&p->to, to), p->port);
}

static void put_open_port(struct buf *out, const struct fw_port *p)
{
    char to[INET6_ADDRSTRLEN];

    buf_printf(out, "%s%d %s . %s . %u\n", p->near ? "near" : "open",
               p->to.family == AF_INET6 ? 6 : 4, ip_format(&p->to, to), p->proto, p->port);
}

static int change_ports(struct firewall *f, const char *verb,
                        void (*put)(struct buf *out, const struct fw_port *p),
                        const struct fw_port *ports, size_t n, const char *what, struct err *err)
{
    auto_buf struct buf elements = BUF_INIT;

    for (size_t i = 0; i < n; i++)
        put(&elements, &ports[i]);
    return change(f, verb, &elements, false, what, err);
}

int fw_publish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    return change_ports(f, "add", put_port, ports, n, "publish ports", err);
}

int fw_unpublish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    return change_ports(f, "delete", put_port, ports, n, "unpublish ports", err);
}

int fw_open_ports(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    auto_buf struct buf elements = BUF_INIT;

    for (size_t i = 0; i < n; i++)
        put_open_port(&elements, &ports[i]);
    return all_wanted(f, &elements) ? 0 : change(f, "add", &elements, false, "open ports", err);
}

int fw_shut_ports(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    return change_ports(f, "delete", put_open_port, ports, n, "shut ports", err);
}
