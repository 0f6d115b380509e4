#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/specs.h"
#include "wire/network.h"

/* cleat network. */

/* ---- ls ---- */

struct ls_opts {
    bool no_trunc, quiet;
    struct strv filter;
    char *format;
};

static const struct heading headings[] = {
    {"ID", "NETWORK ID"},
    {"Name", "NAME"},
    {"Driver", "DRIVER"},
    {"Scope", "SCOPE"},
    {"IPv4", "IPV4"},
    {"IPv6", "IPV6"},
    {"Internal", "INTERNAL"},
    {"Labels", "LABELS"},
    {"CreatedAt", "CREATED AT"},
    {NULL, "*network.networkContext"},
};

static int by_name(const void *a, const void *b)
{
    return strverscmp((*(struct network_inspect *const *)a)->name,
                      (*(struct network_inspect *const *)b)->name);
}

/* "2024-01-02T03:04:05.67Z" as Go prints times: "2024-01-02 03:04:05.67 +0000 UTC". */
static char *go_time(struct arena *a, const char *text)
{
    const char *t = strchr(text ? text : "", 'T');
    size_t n = t ? strlen(t) : 0;

    if (n < 2 || t[n - 1] != 'Z')
        return arena_strdup(a, text ? text : "");
    return arena_printf(a, "%.*s %.*s +0000 UTC", (int)(t - text), text, (int)(n - 2), t + 1);
}

static int put_row(struct list *l, const struct network_inspect *n, bool whole, struct err *err)
{
    list_row(l);
    list_cell(l, "ID", cell_short_id(l->a, n->id, whole));
    list_cell(l, "Name", n->name);
    list_cell(l, "Driver", n->driver);
    list_cell(l, "Scope", n->scope);
    list_cell(l, "IPv4", n->enable_ipv4 ? "true" : "false");
    list_cell(l, "IPv6", n->enable_ipv6 ? "true" : "false");
    list_cell(l, "Internal", n->internal ? "true" : "false");
    list_cell(l, "Labels", cell_labels(l->a, &n->labels));
    list_cell(l, "CreatedAt", go_time(l->a, n->created));
    return list_row_end(l, &n->labels, err);
}

static int run_ls(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct ls_opts *o = opts;
    struct objv v = {0};
    auto_list struct list l = {0};
    int r = need_client(cli, err);

    (void)args;
    if (r < 0)
        return r;
    const char *format = !str_empty(o->format) ? o->format
                         : o->quiet            ? "{{.ID}}"
                                               : config_str(cli, "networksFormat");
    char *t = cli_query_filters(cli, cli_target(cli, "/networks", NULL, NULL), &o->filter, err);
    r = list_begin(&l, &cli->arena, format, "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
                   headings, err);
    if (r < 0 || (r = call_list(cli, t, &network_inspect_type, &v, err)) < 0)
        return r;
    if (v.n)
        qsort(v.v, v.n, sizeof(*v.v), by_name);
    for (size_t i = 0; i < v.n && r == 0; i++)
        r = put_row(&l, v.v[i], o->no_trunc, err);
    if (r == 0)
        list_end(&l);
    return r;
}

/* ---- create ---- */

struct create_opts {
    bool attachable, config_only, ingress, internal, ipv4, ipv6;
    char *driver, *ipam_driver, *config_from, *scope;
    struct strv aux, gateway, ip_range, subnet, ipam_opt, label, opt;
};

/* "10.0.0.0/8" to its bytes; a bare address has all bits. Return: bytes of an address, or 0. */
static size_t parse_cidr(const char *s, unsigned char out[16], unsigned *bits)
{
    char host[64];
    size_t n = strcspn(s, "/"), size;
    uint64_t len;

    if (n >= sizeof(host))
        return 0;
    memcpy(host, s, n);
    host[n] = '\0';
    size = inet_pton(AF_INET, host, out) == 1 ? 4 : inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
    len = size * 8;
    if (s[n] == '/' && (str_to_u64(s + n + 1, &len) < 0 || len > size * 8))
        return 0;
    *bits = (unsigned)len;
    return size;
}

/* Which subnet an address belongs to: compared by the bits of the prefix. */
static bool contains(const char *subnet, const char *addr)
{
    unsigned char net[16], in[16];
    unsigned bits = 0, unused;
    size_t size = parse_cidr(subnet, net, &bits);

    if (size == 0 || parse_cidr(addr, in, &unused) != size)
        return false;
    for (unsigned i = 0; i < bits; i++)
        if ((net[i / 8] ^ in[i / 8]) & (0x80 >> (i % 8)))
            return false;
    return true;
}

static struct ipam_pool *pool_of(const struct ipam *ipam, const char *addr)
{
    for (size_t i = 0; i < ipam->config.n; i++)
        if (contains(ipam->config.v[i]->subnet, addr))
            return ipam->config.v[i];
    return NULL;
}

static int fill_pools(struct cli *cli, const struct create_opts *o, struct ipam *ipam,
                      struct err *err)
{
    for (size_t i = 0; i < o->subnet.n; i++) {
        struct ipam_pool *p = arena_new(&cli->arena, struct ipam_pool);
        p->subnet = o->subnet.v[i];
        arena_push(&cli->arena, ipam->config) = p;
    }
    for (size_t i = 0; i < o->ip_range.n; i++) {
        struct ipam_pool *p = pool_of(ipam, o->ip_range.v[i]);
        if (!p)
            return err_invalid(err, "no matching subnet for range %s", o->ip_range.v[i]);
        p->ip_range = o->ip_range.v[i];
    }
    for (size_t i = 0; i < o->gateway.n; i++) {
        struct ipam_pool *p = pool_of(ipam, o->gateway.v[i]);
        if (!p)
            return err_invalid(err, "no matching subnet for gateway %s", o->gateway.v[i]);
        p->gateway = o->gateway.v[i];
    }
    for (size_t i = 0; i < o->aux.n; i++) {
        const char *eq = strchr(o->aux.v[i], '=');
        struct ipam_pool *p = eq ? pool_of(ipam, eq + 1) : NULL;
        if (!p)
            return err_invalid(err, "no matching subnet for aux-address %s", o->aux.v[i]);
        strmap_set(&cli->arena, &p->aux_addresses,
                   arena_strndup(&cli->arena, o->aux.v[i], (size_t)(eq - o->aux.v[i])), eq + 1);
    }
    return 0;
}

static int run_create(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct create_opts *o = opts;
    struct ipam ipam = {.driver = o->ipam_driver};
    struct network_create_response out = {0};
    struct network_create_request rq = {.name = args->v[0],
                                        .driver = o->driver,
                                        .scope = o->scope,
                                        .internal = o->internal,
                                        .attachable = o->attachable,
                                        .ingress = o->ingress,
                                        .config_only = o->config_only,
                                        .ipam = &ipam};
    struct config_reference from = {.network = o->config_from};
    int r = fill_pools(cli, o, &ipam, err);

    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    if (cli_given(cli, "ipv4"))
        rq.enable_ipv4 = &o->ipv4;
    if (cli_given(cli, "ipv6"))
        rq.enable_ipv6 = &o->ipv6;
    if (!str_empty(o->config_from))
        rq.config_from = &from;
    spec_map(&o->ipam_opt, &cli->arena, &ipam.options);
    spec_map(&o->opt, &cli->arena, &rq.options);
    spec_map(&o->label, &cli->arena, &rq.labels);
    r = call_post(cli, cli_target(cli, "/networks/create", NULL, NULL),
                  &network_create_request_type, &rq, &network_create_response_type, &out, err);
    if (r < 0)
        return r;
    if (!str_empty(out.warning))
        fprintf(stderr, "WARNING: %s\n", out.warning);
    printf("%s\n", out.id);
    return 0;
}

/* ---- rm ---- */

struct rm_opts {
    bool force;
};

static int run_rm(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct rm_opts *o = opts;
    int r = need_client(cli, err), status = 0;

    for (size_t i = 0; r >= 0 && i < args->n; i++) {
        struct err e = {0};
        if (call_do(cli, "DELETE", cli_target(cli, "/networks/%s", args->v[i], NULL), &e) >= 0) {
            printf("%s\n", args->v[i]);
            continue;
        }
        if (o->force && e.kind == ERR_NOT_FOUND)
            continue;
        (void)fflush(stdout);
        fprintf(stderr, "%s\n", e.msg);
        status = 1;
    }
    return r < 0 ? r : status;
}

/* ---- connect, disconnect ---- */

struct connect_opts {
    struct strv alias, driver_opt, link, link_local_ip;
    char *ip, *ip6;
    int64_t gw_priority;
    bool force;
};

static int run_connect(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct connect_opts *o = opts;
    struct endpoint_ipam ipam = {
        .ipv4_address = o->ip, .ipv6_address = o->ip6, .link_local_ips = o->link_local_ip};
    struct endpoint_settings e = {
        .aliases = o->alias, .links = o->link, .gw_priority = o->gw_priority};
    struct network_connect_request rq = {.container = args->v[1], .endpoint = &e};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    if (!str_empty(o->ip) || !str_empty(o->ip6) || o->link_local_ip.n)
        e.ipam = &ipam;
    spec_map(&o->driver_opt, &cli->arena, &e.driver_opts);
    r = call_post(cli, cli_target(cli, "/networks/%s/connect", args->v[0], NULL),
                  &network_connect_request_type, &rq, NULL, NULL, err);
    return r < 0 ? r : 0;
}

static int run_disconnect(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct connect_opts *o = opts;
    struct network_disconnect_request rq = {.container = args->v[1], .force = o->force};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    r = call_post(cli, cli_target(cli, "/networks/%s/disconnect", args->v[0], NULL),
                  &network_disconnect_request_type, &rq, NULL, NULL, err);
    return r < 0 ? r : 0;
}

/* ---- tables ---- */

static const struct opt ls_opts[] = {
    OPT(struct ls_opts, "filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter",
        .check = check_filter),
    OPT(struct ls_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct ls_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
    OPT(struct ls_opts, "quiet", 'q', O_BOOL, quiet, "Only show the ids"),
};

#define O(...) OPT(struct create_opts, __VA_ARGS__)

static const struct opt create_opts[] = {
    O("attachable", 0, O_BOOL, attachable, "Containers may be attached by hand"),
    O("aux-address", 0, O_MAP, aux, "Address that the driver shall not give away", .def = "map[]"),
    O("config-from", 0, O_STR, config_from, "Network to copy the configuration from"),
    O("config-only", 0, O_BOOL, config_only, "Only keep the configuration"),
    O("driver", 'd', O_STR, driver, "Driver of the network", .def = "bridge"),
    O("gateway", 0, O_CSV, gateway, "IPv4 or IPv6 gateway of the subnet"),
    O("ingress", 0, O_BOOL, ingress, "The routing mesh of a swarm"),
    O("internal", 0, O_BOOL, internal, "No way to the outside"),
    O("ip-range", 0, O_CSV, ip_range, "Give containers addresses of this range"),
    O("ipam-driver", 0, O_STR, ipam_driver, "Driver that manages the addresses", .def = "default"),
    O("ipam-opt", 0, O_MAP, ipam_opt, "Option of that driver", .def = "map[]"),
    O("ipv4", 0, O_BOOL, ipv4, "Use IPv4", .def = "true"),
    O("ipv6", 0, O_BOOL, ipv6, "Use IPv6"),
    O("label", 0, O_LIST, label, "Set a label"),
    O("opt", 'o', O_MAP, opt, "Option of the driver", .def = "map[]"),
    O("scope", 0, O_STR, scope, "Scope of the network"),
    O("subnet", 0, O_CSV, subnet, "Subnet in CIDR notation"),
};
static const struct opt rm_opts[] = {
    OPT(struct rm_opts, "force", 'f', O_BOOL, force, "A network that is missing is no error"),
};
static const struct opt connect_opts[] = {
    OPT(struct connect_opts, "alias", 0, O_CSV, alias, "Additional name in the network"),
    OPT(struct connect_opts, "driver-opt", 0, O_CSV, driver_opt, "Option of the driver"),
    OPT(struct connect_opts, "gw-priority", 0, O_INT, gw_priority,
        "Which network has the default gateway: the highest number"),
    OPT(struct connect_opts, "ip", 0, O_STR, ip, "IPv4 address (172.30.100.104)"),
    OPT(struct connect_opts, "ip6", 0, O_STR, ip6, "IPv6 address (2001:db8::33)"),
    OPT(struct connect_opts, "link", 0, O_CUSTOM, link, "Link to another container", .type = "list",
        .check = check_link),
    OPT(struct connect_opts, "link-local-ip", 0, O_CSV, link_local_ip, "Link-local address"),
};
static const struct opt disconnect_opts[] = {
    OPT(struct connect_opts, "force", 'f', O_BOOL, force, "Disconnect even if it hurts"),
};

const struct command cmd_network_ls = {
    .paths = (const char *const[]){"network ls", "network list", NULL},
    .usage = "[OPTIONS]",
    .help = "List networks",
    OPTS(ls_opts),
    .opts_size = sizeof(struct ls_opts),
    .run = run_ls,
};
const struct command cmd_network_create = {
    .paths = (const char *const[]){"network create", NULL},
    .usage = "[OPTIONS] NETWORK",
    .help = "Create a network",
    OPTS(create_opts),
    .opts_size = sizeof(struct create_opts),
    .args = {1, 1},
    .run = run_create,
};
const struct command cmd_network_rm = {
    .paths = (const char *const[]){"network rm", "network remove", NULL},
    .usage = "NETWORK [NETWORK...]",
    .help = "Remove networks",
    OPTS(rm_opts),
    .opts_size = sizeof(struct rm_opts),
    .args = {1, -1},
    .run = run_rm,
};
const struct command cmd_network_connect = {
    .paths = (const char *const[]){"network connect", NULL},
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .help = "Connect a container to a network",
    OPTS(connect_opts),
    .opts_size = sizeof(struct connect_opts),
    .args = {2, 2},
    .run = run_connect,
};
const struct command cmd_network_disconnect = {
    .paths = (const char *const[]){"network disconnect", NULL},
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .help = "Disconnect a container from a network",
    OPTS(disconnect_opts),
    .opts_size = sizeof(struct connect_opts),
    .args = {2, 2},
    .run = run_disconnect,
};
