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
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

/* "4" and "6" are families. Ports: "any" local address or "one" of them; "open" ones are a
 * container's own. */
static const char *const sets[] = {
    "set nets { type ifname; }",
    "set internal { type ifname; }",
    "map same { type ifname . ifname : verdict; }",
    "set local4 { type ipv4_addr; flags interval; }",
    "set local6 { type ipv6_addr; flags interval; }",
    "set masq4 { type ipv4_addr; flags interval; }",
    "set masq6 { type ipv6_addr; flags interval; }",
    "map snat4 { type ipv4_addr : ipv4_addr; flags interval; }",
    "map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }",
    "map one4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
    "map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }",
    "map one6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }",
    "set wide4 { type ifname; }",
    "set wide6 { type ifname; }",
    "set routed4 { type ifname; }",
    "set routed6 { type ifname; }",
    "set open4 { type ipv4_addr . inet_proto . inet_service; }",
    "set open6 { type ipv6_addr . inet_proto . inet_service; }",
};

#define RULES_MAX 8
static const struct {
    const char *name, *hook;
    const char *rules[RULES_MAX];
} chains[] = {
    /* 127.0.0.0/8 may be routed onto our bridges for published ports on localhost; nobody on a
     * bridge may use that to reach the host's own loopback services. */
    {"guard",
     "type filter hook prerouting priority raw",
     {"iifname @nets ip daddr 127.0.0.0/8 drop"}},
    {"ports",
     NULL,
     {"dnat ip to ip daddr . meta l4proto . th dport map @one4",
      "dnat ip to meta l4proto . th dport map @any4",
      "dnat ip6 to ip6 daddr . meta l4proto . th dport map @one6",
      "dnat ip6 to meta l4proto . th dport map @any6"}},
    /* A neighbour that sends to 127.0.0.1 must not get at what is published there. */
    {"pre",
     "type nat hook prerouting priority dstnat",
     {"iifname != \"lo\" ip daddr 127.0.0.0/8 return", "fib daddr type local jump ports"}},
    /* ::1 is routed nowhere but to this host: the proxy serves it. */
    {"out",
     "type nat hook output priority -100",
     {"ip6 daddr ::1 return", "fib daddr type local jump ports"}},
    /* Localhost, and a container that asks for a published port of its own network, need a source
     * address that the answer comes back to (told by address: where br_netfilter translates on
     * the bridge there is no incoming interface here). */
    {"post",
     "type nat hook postrouting priority srcnat",
     {"oifname @nets ip saddr 127.0.0.0/8 masquerade",
      "oifname @nets ip saddr @local4 ct status dnat masquerade",
      "oifname @nets ip6 saddr @local6 ct status dnat masquerade", "oifname @nets return",
      "snat ip to ip saddr map @snat4", "ip saddr @masq4 masquerade",
      "ip6 saddr @masq6 masquerade"}},
    /* From outside and from other networks, only what was published gets in, and answers. */
    {"inward",
     NULL,
     {"ct status dnat accept", "ip daddr . meta l4proto . th dport @open4 accept",
      "ip6 daddr . meta l4proto . th dport @open6 accept",
      "oifname @routed4 meta l4proto icmp accept", "oifname @routed6 meta l4proto icmpv6 accept",
      "oifname @wide4 meta nfproto ipv4 iifname != @nets accept",
      "oifname @wide6 meta nfproto ipv6 iifname != @nets accept", "drop"}},
    {"forward",
     "type filter hook forward priority filter",
     {"iifname . oifname vmap @same", "iifname @internal drop", "oifname @internal drop",
      "ct state established,related accept", "oifname @nets jump inward"}},
};
#define SETS (sizeof(sets) / sizeof(sets[0]))
#define CHAINS (sizeof(chains) / sizeof(chains[0]))

/* ---- commands ---- */

static void put_rules(struct buf *out, const char *table)
{
    buf_printf(out, "add table inet %s\n", table);
    for (size_t i = 0; i < SETS; i++) /* "set NAME ...", "map NAME ..." */
        buf_printf(out, "add %.3s inet %s %s\n", sets[i], table, sets[i] + 4);
    for (size_t i = 0; i < CHAINS; i++) {
        buf_printf(out, "add chain inet %s %s", table, chains[i].name);
        if (chains[i].hook)
            buf_printf(out, " { %s; policy accept; }", chains[i].hook);
        buf_putc(out, '\n');
    }
    for (size_t i = 0; i < CHAINS; i++)
        for (size_t k = 0; k < RULES_MAX && chains[i].rules[k]; k++)
            buf_printf(out, "add rule inet %s %s %s\n", table, chains[i].name, chains[i].rules[k]);
}

static size_t rules_count(void)
{
    size_t n = 0;

    for (size_t i = 0; i < CHAINS; i++)
        for (size_t k = 0; k < RULES_MAX && chains[i].rules[k]; k++)
            n++;
    return n;
}

/* An element is kept as "SET KEY" or "SET KEY : VALUE". */
static void put_command(struct buf *out, const char *verb, const char *table, const char *element)
{
    int name = (int)strcspn(element, " ");

    buf_printf(out, "%s element inet %s %.*s { %s }\n", verb, table, name, element,
               element + name + 1);
}

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
    put_rules(&rules, "x");
    sha256_of(rules.data, rules.len, digest);
    (void)snprintf(f->version, sizeof(f->version), "rules-%.8s", digest + strlen("sha256:"));
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

/* ---- what the kernel has ---- */

struct live {
    struct map *elements;
    size_t rules;
    bool version; /* the chain that tells is there */
};

static void put_value(struct buf *out, const struct json *v, bool names)
{
    const struct json *concat = json_get(v, "concat"), *prefix = json_get(v, "prefix");

    if (v->kind == JSON_STRING)
        buf_printf(out, names ? "\"%s\"" : "%s", v->text);
    else if (v->kind == JSON_NUMBER)
        buf_puts(out, v->text);
    else if (prefix)
        buf_printf(out, "%s/%s", str_or(json_str(prefix, "addr"), ""),
                   json_get(prefix, "len") ? json_get(prefix, "len")->text : "");
    else if (concat)
        for (const struct json *c = concat->child; c; c = c->next) {
            put_value(out, c, names);
            buf_puts(out, c->next ? " . " : "");
        }
    else if (v->kind == JSON_OBJECT && v->child)
        buf_puts(out, v->child->key); /* a verdict; anything else is not ours, and goes */
}

/* Are the elements of this set names of links, which want quotes? */
static bool has_links(const char *set)
{
    for (size_t i = 0; i < SETS; i++)
        if (strncmp(sets[i] + 4, set, strlen(set)) == 0 && sets[i][4 + strlen(set)] == ' ')
            return strstr(sets[i], "{ type ifname") != NULL;
    return false;
}

static void read_elements(struct live *l, const struct json *set)
{
    const char *name = str_or(json_str(set, "name"), "");
    const struct json *elem = json_get(set, "elem");
    bool names = has_links(name);

    for (const struct json *e = elem ? elem->child : NULL; e; e = e->next) {
        auto_buf struct buf text = BUF_INIT;
        buf_printf(&text, "%s ", name);
        put_value(&text, e->kind == JSON_ARRAY && e->child ? e->child : e, names);
        if (e->kind == JSON_ARRAY && e->child && e->child->next) {
            buf_puts(&text, " : ");
            put_value(&text, e->child->next, names);
        }
        (void)map_set(l->elements, text.data, l);
    }
}

int fw_list(struct firewall *f, const char *command, struct arena *a, const struct json **ret,
            struct err *err)
{
    struct json *root;
    struct err missing = {0};

    nft_ctx_output_set_flags(f->nft, NFT_CTX_OUTPUT_JSON);
    int r = fw_run(f, command, "list", &missing);
    nft_ctx_output_set_flags(f->nft, 0);
    if (r < 0)
        return 0;
    const char *out = nft_ctx_get_output_buffer(f->nft);
    r = json_parse(out, strlen(out), a, &root, err);
    *ret = r < 0 ? NULL : json_get(root, "nftables");
    if (r >= 0 && !*ret)
        r = err_no(err, EPROTO, "no list of objects");
    return r < 0 ? err_wrap(err, r, "nftables: %s", command) : 1;
}

/* Lock held. A table that is not there has no rules. */
static int read_live(struct firewall *f, struct live *l, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct json *list = NULL;
    int r = fw_list(f, arena_printf(&a, "list table inet %s", f->table), &a, &list, err);

    for (const struct json *it = r > 0 ? list->child : NULL; it; it = it->next) {
        const struct json *set = json_get(it, "set"), *map = json_get(it, "map");
        const struct json *chain = json_get(it, "chain");
        l->rules += json_get(it, "rule") != NULL;
        l->version |= chain && str_eq(json_str(chain, "name"), f->version);
        if (set || map)
            read_elements(l, set ? set : map);
    }
    return r < 0 ? r : 0;
}

static void put_missing(struct buf *out, const char *verb, const char *table,
                        const struct map *from, const struct map *than)
{
    const char *element;
    size_t pos = 0;

    while (map_next(from, &pos, &element, NULL))
        if (!than || !map_has(than, element))
            put_command(out, verb, table, element);
}

static int sync_locked(struct firewall *f, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_map struct map *elements = map_new();
    struct live live = {.elements = elements};
    int r = read_live(f, &live, err);

    if (r < 0)
        return r;
    bool whole = live.version && live.rules == rules_count();
    if (whole) {
        put_missing(&text, "delete", f->table, elements, f->wanted);
        put_missing(&text, "add", f->table, f->wanted, elements);
    } else {
        buf_printf(&text, "add table inet %s\ndelete table inet %s\n", f->table, f->table);
        put_rules(&text, f->table);
        buf_printf(&text, "add chain inet %s %s\n", f->table, f->version);
        put_missing(&text, "add", f->table, f->wanted, NULL);
    }
    if (text.len > 0)
        r = fw_run(f, text.data, whole ? "change table" : "make table", err);
    int host = r < 0 ? r : fw_host_sync(f, err);
    if (host < 0)
        return host;
    return !whole ? 2 : text.len > 0 || host > 0;
}

int fw_sync(struct firewall *f, struct err *err)
{
    if (!f->nft)
        return 0;
    FAIL_POINT("firewall.sync", err);
    (void)pthread_mutex_lock(&f->lock);
    int r = sync_locked(f, err);
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
        put_command(out, verb, f->table, lines.v[i]);
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
    if (r < 0 && sync_locked(f, NULL) >= 0) {
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
        if (masquerade && v == 4 && n->masquerade4.family)
            buf_printf(out, "snat4 %s : %s\n", text, ip_format(&n->masquerade4, addr));
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

    buf_printf(out, "open%d %s . %s . %u\n", p->to.family == AF_INET6 ? 6 : 4,
               ip_format(&p->to, to), p->proto, p->port);
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
