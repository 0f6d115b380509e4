#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cmds.h"
#include "wire/container.h"

/*
 * The PORTS column: consecutive ports that are published under their own number are shown as one
 * range ("0.0.0.0:80-82->80-82/tcp"), all others one by one behind them.
 */

struct span {
    const char *ip, *type;
    uint32_t first, last;
};

static int by_port(const void *x, const void *y)
{
    const struct port_summary *a = *(struct port_summary *const *)x;
    const struct port_summary *b = *(struct port_summary *const *)y;
    int d;

    if (a->private_port != b->private_port)
        return a->private_port < b->private_port ? -1 : 1;
    if ((d = strcmp(str_or(a->ip, ""), str_or(b->ip, ""))) != 0)
        return d;
    if (a->public_port != b->public_port)
        return a->public_port < b->public_port ? -1 : 1;
    return strcmp(str_or(a->type, ""), str_or(b->type, ""));
}

static void put_comma(struct buf *out)
{
    if (out->len)
        buf_puts(out, ", ");
}

static void put_ip(struct buf *out, const char *ip)
{
    buf_printf(out, strchr(ip, ':') ? "[%s]:" : "%s:", ip);
}

static void put_range(struct buf *out, const struct span *g)
{
    buf_printf(out, "%u", g->first);
    if (g->last != g->first)
        buf_printf(out, "-%u", g->last);
}

static void put_group(struct buf *out, const struct span *g)
{
    put_comma(out);
    if (*g->ip) {
        put_ip(out, g->ip);
        put_range(out, g);
        buf_puts(out, "->");
    }
    put_range(out, g);
    buf_printf(out, "/%s", g->type);
}

char *ports_text(struct arena *a, struct port_summary *const *ports, size_t n)
{
    struct port_summary **v = arena_memdup(a, ports, n * sizeof(*v));
    struct span *groups = arena_alloc(a, (n + 1) * sizeof(*groups));
    struct buf out = BUF_INIT, single = BUF_INIT;
    size_t ngroups = 0;

    qsort(v, n, sizeof(*v), by_port);
    for (size_t i = 0; i < n; i++) {
        const struct port_summary *p = v[i];
        const char *ip = str_or(p->ip, ""), *type = str_or(p->type, "");
        if (*ip && p->public_port != p->private_port) {
            put_comma(&single);
            put_ip(&single, ip);
            buf_printf(&single, "%u->%u/%s", p->public_port, p->private_port, type);
            continue;
        }
        size_t k = 0;
        while (k < ngroups && !(str_eq(groups[k].ip, ip) && str_eq(groups[k].type, type)))
            k++;
        if (k < ngroups && p->private_port == groups[k].last + 1) {
            groups[k].last++;
            continue;
        }
        if (k < ngroups)
            put_group(&out, &groups[k]);
        groups[k] = (struct span){ip, type, p->private_port, p->private_port};
        ngroups += k == ngroups;
    }
    for (size_t k = 0; k < ngroups; k++)
        put_group(&out, &groups[k]);
    if (single.len) {
        put_comma(&out);
        buf_puts(&out, single.data);
    }
    char *text = arena_strdup(a, buf_str(&out));
    buf_done(&out);
    buf_done(&single);
    return text;
}
