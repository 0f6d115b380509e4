/*
 * "firewall": "docker". A host whose FORWARD chain drops what it does not know keeps its say over
 * our networks, unless the user wants Docker's behaviour: then every network's bridge gets a rule
 * in front that lets it pass. They are written so that iptables reads them as its own; what must
 * not pass has been dropped by our own table all the same. iptables-legacy is another packet filter
 * of the kernel, which nftables cannot reach.
 */
#include "network/firewall-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"

#define CHAIN "filter FORWARD"

/* "iifname \"br-1\"": a rule of ours as a key, or NULL for somebody else's. */
static char *rule_key(const struct firewall *f, const struct json *rule, struct arena *a)
{
    const struct json *expr = json_get(rule, "expr");
    const struct json *match = expr && expr->child ? json_get(expr->child, "match") : NULL;
    const struct json *left = match ? json_get(match, "left") : NULL;
    const struct json *meta = left ? json_get(left, "meta") : NULL;
    const char *key = meta ? json_str(meta, "key") : NULL;
    const char *link = match ? json_str(match, "right") : NULL;

    if (!str_eq(json_str(rule, "comment"), f->table) || !key || !link)
        return NULL;
    return arena_printf(a, "%s \"%s\"", key, link);
}

/* What shall be there: two rules per bridge, of the elements "nets \"br-1\"". */
static void want_rules(const struct firewall *f, struct arena *a, struct map *ret)
{
    const char *element;
    size_t pos = 0;

    while (f->override && map_next(f->wanted, &pos, &element, NULL)) {
        const char *link = str_starts(element, "nets ");
        if (!link)
            continue;
        (void)map_set(ret, arena_printf(a, "iifname %s", link), ret);
        (void)map_set(ret, arena_printf(a, "oifname %s", link), ret);
    }
}

static int sync_family(struct firewall *f, const char *family, bool all, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    auto_map struct map *want = map_new();
    const struct json *list = NULL;
    const char *key;
    size_t pos = 0;
    int r = fw_list(f, arena_printf(&a, "list chain %s " CHAIN, family), &a, &list, err);

    if (r <= 0) /* a host without such a chain drops nothing there */
        return r;
    if (!all)
        want_rules(f, &a, want);
    for (const struct json *it = list->child; it; it = it->next) {
        const struct json *rule = json_get(it, "rule");
        char *have = rule ? rule_key(f, rule, &a) : NULL;
        const struct json *handle = rule ? json_get(rule, "handle") : NULL;
        if (have && !map_del(want, have) && handle)
            buf_printf(&text, "delete rule %s " CHAIN " handle %s\n", family, handle->text);
    }
    while (map_next(want, &pos, &key, NULL))
        buf_printf(&text, "insert rule %s " CHAIN " %s accept comment \"%s\"\n", family, key,
                   f->table);
    r = text.len ? fw_run(f, text.data, "change the host's FORWARD chain", err) : 0;
    return r < 0 ? r : text.len > 0;
}

static int sync_both(struct firewall *f, bool all, struct err *err)
{
    int v4 = sync_family(f, "ip", all, err);
    int v6 = v4 < 0 ? v4 : sync_family(f, "ip6", all, err);

    return v6 < 0 ? v6 : v4 > 0 || v6 > 0;
}

int fw_host_sync(struct firewall *f, struct err *err)
{
    return f->override ? sync_both(f, false, err) : 0;
}

int fw_host_remove(struct firewall *f, struct err *err)
{
    return f->override ? sync_both(f, true, err) : 0;
}
