#include "network/firewall.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

struct firewall {
    struct nft_ctx *nft;
    pthread_mutex_t lock; /* a libnftables context serves one caller at a time */
    char table[IFNAMSIZ + 8];
};

/*
 * @T table, @B bridge, @S subnet, @M, @I: rules that depend on settings. Why each chain is there:
 *   guard   127.0.0.0/8 may be routed onto the bridge for published ports on localhost; nobody on
 *           the bridge may use that to reach the host's own loopback services
 *   pre/out port maps for packets from outside and from the host itself
 *   post    the way out; localhost and a container's own published port need a source address
 *           that the answer comes back to (told by address: where br_netfilter translates on the
 *           bridge there is no incoming interface here)
 *   forward from outside, only what was published gets in, and answers
 */
static const char ruleset[] =
    "add table ip @T\n"
    "delete table ip @T\n"
    "table ip @T {\n"
    " map any { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    " map one { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    " chain guard { type filter hook prerouting priority raw; policy accept;\n"
    "  iifname \"@B\" ip daddr 127.0.0.0/8 drop; }\n"
    " chain ports {\n"
    "  dnat ip to ip daddr . meta l4proto . th dport map @one\n"
    "  dnat ip to meta l4proto . th dport map @any; }\n"
    " chain pre { type nat hook prerouting priority dstnat; policy accept;\n"
    "  fib daddr type local jump ports; }\n"
    " chain out { type nat hook output priority -100; policy accept;\n"
    "  fib daddr type local jump ports; }\n"
    " chain post { type nat hook postrouting priority srcnat; policy accept;\n"
    "  oifname \"@B\" ip saddr 127.0.0.0/8 masquerade\n"
    "  ip saddr @S oifname \"@B\" ct status dnat masquerade\n"
    "@M }\n"
    " chain forward { type filter hook forward priority filter; policy accept;\n"
    "@I"
    "  iifname != \"@B\" oifname \"@B\" ct state established,related accept\n"
    "  iifname != \"@B\" oifname \"@B\" ct status dnat accept\n"
    "  iifname != \"@B\" oifname \"@B\" drop; }\n"
    "}\n";

static int run(struct firewall *f, const char *commands, const char *what, struct err *err)
{
    (void)pthread_mutex_lock(&f->lock);
    int bad = nft_run_cmd_from_buffer(f->nft, commands);
    const char *text = nft_ctx_get_error_buffer(f->nft);
    int r = bad ? err_as(err, ERR_SYSTEM, EIO, "nftables: %s: %.*s", what,
                         (int)strcspn(str_or(text, "failed"), "\n"), str_or(text, "failed"))
                : 0;
    (void)pthread_mutex_unlock(&f->lock);
    return r;
}

static void expand(struct buf *out, const char *table, const char *bridge, const char *subnet,
                   bool masquerade, bool icc)
{
    for (const char *p = ruleset; *p; p++) {
        if (*p != '@') {
            buf_putc(out, *p);
            continue;
        }
        switch (*++p) {
        case 'T':
            buf_puts(out, table);
            break;
        case 'B':
            buf_puts(out, bridge);
            break;
        case 'S':
            buf_puts(out, subnet);
            break;
        case 'M':
            if (masquerade)
                buf_printf(out, "  ip saddr %s oifname != \"%s\" masquerade;", subnet, bridge);
            break;
        case 'I':
            if (!icc)
                buf_printf(out, "  iifname \"%s\" oifname \"%s\" drop\n", bridge, bridge);
            break;
        default: /* "@one", "@any": names of maps */
            buf_putc(out, '@');
            buf_putc(out, *p);
        }
    }
}

int fw_open(const char *bridge, const struct ip *subnet, bool masquerade, bool icc,
            struct firewall **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char net[INET6_ADDRSTRLEN + 8], addr[INET6_ADDRSTRLEN];
    struct firewall *f = xnew(struct firewall);

    f->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!f->nft || nft_ctx_buffer_error(f->nft) < 0 || nft_ctx_buffer_output(f->nft) < 0) {
        fw_free(f);
        return err_no(err, ENOMEM, "nftables: create context");
    }
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)snprintf(f->table, sizeof(f->table), "cleat-%s", bridge);
    (void)snprintf(net, sizeof(net), "%s/%d", ip_format(subnet, addr), subnet->prefix);
    expand(&text, f->table, bridge, net, masquerade, icc);
    int r = run(f, text.data, "create table", err);
    if (r < 0) {
        fw_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

void fw_free(struct firewall *f)
{
    if (!f)
        return;
    if (f->nft)
        nft_ctx_free(f->nft);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

int fw_remove(struct firewall *f, struct err *err)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "delete table ip %s", f->table);
    return run(f, text, "delete table", err);
}

static bool any_host(const struct fw_port *p)
{
    static const uint8_t zero[16] = {0};

    return memcmp(p->host.addr, zero, sizeof(zero)) == 0;
}

static void put_element(struct buf *out, const char *verb, const char *table,
                        const struct fw_port *p)
{
    char host[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    bool any = any_host(p);

    buf_printf(out, "%s element ip %s %s { ", verb, table, any ? "any" : "one");
    if (!any)
        buf_printf(out, "%s . ", ip_format(&p->host, host));
    buf_printf(out, "%s . %u : %s . %u }\n", p->proto, p->host_port, ip_format(&p->to, to),
               p->port);
}

static int change(struct firewall *f, const char *verb, const struct fw_port *ports, size_t n,
                  const char *what, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        put_element(&text, verb, f->table, &ports[i]);
    return run(f, text.data, what, err);
}

int fw_publish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    return change(f, "add", ports, n, "publish ports", err);
}

int fw_unpublish(struct firewall *f, const struct fw_port *ports, size_t n, struct err *err)
{
    return change(f, "delete", ports, n, "unpublish ports", err);
}
