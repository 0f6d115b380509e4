/*
 * The packet filter's table in the kernel: which rules it has, whether they are still those, and
 * the difference between the elements that are wanted and those that are there.
 */
#include "network/firewall-priv.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"

/* "4" and "6" are families. Ports: "any" local address or "one" of them; "open" ones are a
 * container's own, and so are "near" ones, which only trusted links reach. */
static const char *const sets[] = {
    "set nets { type ifname; }",
    "set internal { type ifname; }",
    "map same { type ifname . ifname : verdict; }",
    "set local4 { type ipv4_addr; flags interval; }",
    "set local6 { type ipv6_addr; flags interval; }",
    "set masq4 { type ipv4_addr; flags interval; }",
    "set masq6 { type ipv6_addr; flags interval; }",
    "map snat4 { type ipv4_addr : ipv4_addr; flags interval; }",
    "map snat6 { type ipv6_addr : ipv6_addr; flags interval; }",
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
    "set trusted { type ifname . ifname; }",
    "set near4 { type ipv4_addr . inet_proto . inet_service; }",
    "set near6 { type ipv6_addr . inet_proto . inet_service; }",
};

#define RULES_MAX 10
static const struct {
    const char *name, *hook;
    const char *rules[RULES_MAX];
} chains[] = {
    /* 127.0.0.0/8 may be routed onto our bridges for published ports on localhost; nobody on a
     * bridge may use that to reach the host's own loopback services. */
    {"guard",
     "type filter hook prerouting priority raw",
     {"ip daddr 127.0.0.0/8 iifname @nets drop"}}, /* the cheap question first: of every packet */
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
      "snat ip to ip saddr map @snat4", "snat ip6 to ip6 saddr map @snat6",
      "ip saddr @masq4 masquerade", "ip6 saddr @masq6 masquerade"}},
    /* From outside and from other networks, only what was published gets in, and answers. */
    {"inward",
     NULL,
     {"ct status dnat accept", "ip daddr . meta l4proto . th dport @open4 accept",
      "ip6 daddr . meta l4proto . th dport @open6 accept",
      "iifname . oifname @trusted ip daddr . meta l4proto . th dport @near4 accept",
      "iifname . oifname @trusted ip6 daddr . meta l4proto . th dport @near6 accept",
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

void fw_put_rules(struct buf *out, const char *table)
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

/* An element is kept as "SET KEY" or "SET KEY : VALUE". */
void fw_put_element(struct buf *out, const char *verb, const char *table, const char *element)
{
    int name = (int)strcspn(element, " ");

    buf_printf(out, "%s element inet %s %.*s { %s }\n", verb, table, name, element,
               element + name + 1);
}

/* ---- what the kernel has ---- */

#define MARK "rules-"
#define MARK_LEN (sizeof(MARK) + 16)

static void put_value(struct buf *out, const struct json *v, bool names)
{
    const struct json *concat = json_get(v, "concat"), *prefix = json_get(v, "prefix");
    const struct json *range = json_get(v, "range"), *elem = json_get(v, "elem");

    if (elem && json_get(elem, "val")) { /* with a comment */
        put_value(out, json_get(elem, "val"), names);
        return;
    }
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
    else if (range)
        for (const struct json *c = range->child; c; c = c->next) {
            put_value(out, c, names);
            buf_puts(out, c->next ? "-" : "");
        }
    else if (v->kind == JSON_OBJECT && v->child)
        buf_puts(out, v->child->key); /* a verdict */
}

/* Are the elements of this set names of links, which want quotes? */
static bool has_links(const char *set)
{
    for (size_t i = 0; i < SETS; i++)
        if (strncmp(sets[i] + 4, set, strlen(set)) == 0 && sets[i][4 + strlen(set)] == ' ')
            return strstr(sets[i], "{ type ifname") != NULL;
    return false;
}

static void read_elements(struct map *ret, const struct json *set)
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
        (void)map_set(ret, text.data, ret);
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

/* Lock held. A table that is not there has no elements. */
static int read_live(struct firewall *f, struct map *ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct json *list = NULL;
    int r = fw_list(f, arena_printf(&a, "list table inet %s", f->table), &a, &list, err);

    for (const struct json *it = r > 0 ? list->child : NULL; it; it = it->next) {
        const struct json *set = json_get(it, "set"), *map = json_get(it, "map");
        if (set || map)
            read_elements(ret, set ? set : map);
    }
    return r < 0 ? r : 0;
}

/* A table bears a mark: an empty chain, named after the text of our rules and after how nft showed
 * them, with chains and sets, when they had just been made. Who changes anything but elements makes
 * another text of it. The mark itself is not part of the text.
 * @marked: it bears this mark. Lock held. */
static void find_mark(struct firewall *f, char ret[MARK_LEN], bool *marked)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    char digest[DIGEST_LEN + 1], chain[MARK_LEN + 16];

    nft_ctx_output_set_flags(f->nft, NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_STATELESS);
    int r = fw_run(f, arena_printf(&a, "list table inet %s", f->table), "list", NULL);
    nft_ctx_output_set_flags(f->nft, 0);
    struct strv lines = str_split(&a, r < 0 ? "" : nft_ctx_get_output_buffer(f->nft), '\n');
    buf_puts(&text, f->rules);
    for (size_t i = 0; i < lines.n; i++)
        if (str_starts(lines.v[i], "\tchain " MARK))
            i++; /* and its end */
        else if (*lines.v[i])
            buf_printf(&text, "%s\n", lines.v[i]);
    sha256_of(text.data, text.len, digest);
    (void)snprintf(ret, MARK_LEN, MARK "%.16s", digest + strlen("sha256:"));
    (void)snprintf(chain, sizeof(chain), "\tchain %s {", ret);
    *marked = false;
    for (size_t i = 0; i < lines.n; i++)
        *marked |= strcmp(lines.v[i], chain) == 0;
}

static void put_missing(struct buf *out, const char *verb, const char *table,
                        const struct map *from, const struct map *than)
{
    const char *element;
    size_t pos = 0;

    while (map_next(from, &pos, &element, NULL))
        if (!than || !map_has(than, element))
            fw_put_element(out, verb, table, element);
}

/* Return: 1 changed, 0 nothing to do. */
static int sync_elements(struct firewall *f, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_map struct map *have = map_new();
    int r = read_live(f, have, err);

    if (r < 0)
        return r;
    put_missing(&text, "delete", f->table, have, f->wanted);
    put_missing(&text, "add", f->table, f->wanted, have);
    r = text.len > 0 ? fw_run(f, text.data, "change table", err) : 0;
    return r < 0 ? r : text.len > 0;
}

static int make_table(struct firewall *f, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char mark[MARK_LEN];
    bool marked;

    buf_printf(&text, "add table inet %s\ndelete table inet %s\n", f->table, f->table);
    fw_put_rules(&text, f->table);
    put_missing(&text, "add", f->table, f->wanted, NULL);
    int r = fw_run(f, text.data, "make table", err);
    if (r < 0)
        return r;
    find_mark(f, mark, &marked);
    text.len = 0;
    buf_printf(&text, "add chain inet %s %s\n", f->table, mark);
    r = fw_run(f, text.data, "mark table", err);
    return r < 0 ? r : 2;
}

/* What somebody has added to the table goes, as what he has taken away comes back: a rule of his
 * could open what we keep apart. His own tables are his. Elements are asked for only where the mark
 * is right: libnftables 1.0.6 writes freed memory into the JSON of a table with flags. */
int fw_sync_table(struct firewall *f, struct err *err)
{
    struct err odd = {0}; /* elements of a form that we do not know */
    char mark[MARK_LEN];
    bool marked;

    find_mark(f, mark, &marked);
    int r = marked ? sync_elements(f, &odd) : -ESTALE;
    if (r < 0)
        r = make_table(f, err);
    int host = r < 0 ? r : fw_host_sync(f, err);
    return host < 0 ? host : r == 0 && host > 0 ? 1 : r;
}
