#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/specs.h"
#include "cli/table.h"
#include "wire/container.h"

/* cleat top, port, diff, update. */

/* ---- top ---- */

static int run_top(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct container_top_response out = {0};
    struct buf text = BUF_INIT, aligned = BUF_INIT;
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    char *t = cli_target(cli, "/containers/%s/top", args->v[0], NULL);
    if (args->n > 1) {
        struct strv ps = {args->v + 1, args->n - 1};
        t = cli_query(cli, t, "ps_args", strv_join(&cli->arena, &ps, " "));
    }
    r = call_get(cli, t, &container_top_response_type, &out, err);
    if (r < 0)
        return r;
    buf_printf(&text, "%s\n", strv_join(&cli->arena, &out.titles, "\t"));
    for (size_t i = 0; i < out.processes.n; i++)
        buf_printf(&text, "%s\n", strv_join(&cli->arena, &out.processes.v[i], "\t"));
    table_align(buf_str(&text), 20, 3, &aligned);
    (void)fwrite(buf_str(&aligned), 1, aligned.len, stdout);
    buf_done(&text);
    buf_done(&aligned);
    return 0;
}

/* ---- port ---- */

static void print_binding(const char *port, const struct port_binding *b, bool one)
{
    const char *ip = str_or(b->host_ip, "");

    if (!one)
        printf("%s -> ", port);
    printf(strchr(ip, ':') ? "[%s]:%s\n" : "%s:%s\n", ip, str_or(b->host_port, ""));
}

static int by_port(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static int print_all_ports(struct cli *cli, const port_map *m)
{
    struct strv keys = {0};

    for (size_t i = 0; i < m->n; i++)
        arena_push(&cli->arena, keys) = m->v[i].key;
    if (keys.n > 0)
        qsort(keys.v, keys.n, sizeof(*keys.v), by_port);
    for (size_t i = 0; i < keys.n; i++) {
        const struct objv *v = port_map_get(m, keys.v[i]);
        for (size_t k = 0; v && k < v->n; k++)
            print_binding(keys.v[i], v->v[k], false);
    }
    return 0;
}

/* The number of "80" or "80/udp". */
static int check_port(const char *port, struct err *err)
{
    int n = (int)strcspn(port, "/");
    char text[24];
    uint64_t v;

    (void)snprintf(text, sizeof(text), "%.*s", n, port);
    int r = str_to_u64(text, &v);
    if (r == 0 && v <= UINT16_MAX)
        return 0;
    return err_invalid(err, "Error: invalid port (%.*s): strconv.ParseUint: parsing \"%.*s\": %s",
                       n, port, n, port,
                       r == 0 || r == -ERANGE ? "value out of range" : "invalid syntax");
}

static int run_port(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct container_inspect c = {0};
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    r = call_get(cli, cli_target(cli, "/containers/%s/json", args->v[0], NULL),
                 &container_inspect_type, &c, err);
    if (r < 0)
        return r;
    if (args->n == 1)
        return print_all_ports(cli, &c.network_settings.ports);
    char *port = args->v[1];
    if ((r = check_port(port, err)) < 0)
        return r;
    if (!strchr(port, '/'))
        port = arena_printf(&cli->arena, "%s/tcp", port);
    const struct objv *v = port_map_get(&c.network_settings.ports, port);
    if (!v || v->n == 0)
        return err_not_found(err, "Error: No public port '%s' published for %s", args->v[1],
                             args->v[0]);
    for (size_t i = 0; i < v->n; i++)
        print_binding(port, v->v[i], true);
    return 0;
}

/* ---- diff ---- */

static int run_diff(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    static const char letters[] = "CAD";
    struct objv v = {0};
    int r = need_client(cli, err);

    (void)opts;
    if (r < 0)
        return r;
    r = call_list(cli, cli_target(cli, "/containers/%s/changes", args->v[0], NULL),
                  &filesystem_change_type, &v, err);
    for (size_t i = 0; r == 0 && i < v.n; i++) {
        const struct filesystem_change *c = v.v[i];
        printf("%c %s\n", c->kind >= 0 && c->kind < 3 ? letters[c->kind] : '?', c->path);
    }
    return r;
}

/* ---- update ---- */

struct update_opts {
    int64_t memory, memory_reservation, memory_swap, kernel_memory, cpu_period, cpu_quota;
    int64_t cpu_rt_period, cpu_rt_runtime, cpu_shares, cpus, blkio_weight, pids_limit;
    char *cpuset_cpus, *cpuset_mems, *restart;
};

struct update {
    struct container_update_request rq;
};

static int update_one(struct cli *cli, const char *name, void *arg, struct err *err)
{
    struct update *u = arg;
    struct container_update_response out = {0};
    int r = call_post(cli, cli_target(cli, "/containers/%s/update", name, NULL),
                      &container_update_request_type, &u->rq, &container_update_response_type, &out,
                      err);

    for (size_t i = 0; r >= 0 && i < out.warnings.n; i++)
        fprintf(stderr, "%s\n", out.warnings.v[i]);
    return r;
}

static int run_update(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct update_opts *o = opts;
    struct update u = {.rq.res = {.memory_b = o->memory,
                                  .memory_reservation_b = o->memory_reservation,
                                  .memory_swap_b = o->memory_swap,
                                  .kernel_memory_b = o->kernel_memory,
                                  .cpu_period_us = o->cpu_period,
                                  .cpu_quota_us = o->cpu_quota,
                                  .cpu_rt_period_us = o->cpu_rt_period,
                                  .cpu_rt_runtime_us = o->cpu_rt_runtime,
                                  .cpu_shares = o->cpu_shares,
                                  .nano_cpus = o->cpus,
                                  .blkio_weight = (uint32_t)o->blkio_weight,
                                  .cpuset_cpus = o->cpuset_cpus,
                                  .cpuset_mems = o->cpuset_mems}};
    bool any = false;
    int r = 0;

    for (size_t i = 0; i < cli->command->nopts; i++)
        any |= cli->given[i];
    if (!any)
        return err_invalid(err, "you must provide one or more flags when using this command");
    if (cli_given(cli, "pids-limit"))
        u.rq.res.pids_limit = &o->pids_limit;
    if (!str_empty(o->restart))
        r = spec_restart(o->restart, &cli->arena, &u.rq.restart_policy, err);
    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    return each(cli, args, update_one, &u);
}

#define O(...) OPT(struct update_opts, __VA_ARGS__)

static const struct opt update_opts[] = {
    O("blkio-weight", 0, O_UINT16, blkio_weight,
      "Relative share of block I/O, 10 to 1000; 0 switches it off", .def = "0"),
    O("cpu-period", 0, O_INT, cpu_period, "Period of the CPU quota in microseconds"),
    O("cpu-quota", 0, O_INT, cpu_quota, "CPU time per period in microseconds"),
    O("cpu-rt-period", 0, O_INT, cpu_rt_period, "Period of real-time scheduling, microseconds"),
    O("cpu-rt-runtime", 0, O_INT, cpu_rt_runtime, "Real-time CPU time per period, microseconds"),
    O("cpu-shares", 'c', O_INT, cpu_shares, "Relative share of CPU time"),
    O("cpus", 0, O_DECIMAL, cpus, "Number of CPUs it may use at most"),
    O("cpuset-cpus", 0, O_STR, cpuset_cpus, "CPUs it may run on (0-3, 0,1)"),
    O("cpuset-mems", 0, O_STR, cpuset_mems, "Memory nodes it may use (0-3, 0,1)"),
    O("kernel-memory", 0, O_BYTES, kernel_memory, "Kernel memory limit", .def = "0",
      .flags = OPT_HIDDEN),
    O("memory", 'm', O_BYTES, memory, "Memory limit", .def = "0"),
    O("memory-reservation", 0, O_BYTES, memory_reservation, "Soft memory limit", .def = "0"),
    O("memory-swap", 0, O_SWAP, memory_swap,
      "Limit of memory and swap together: '-1' for unlimited swap", .def = "0"),
    O("pids-limit", 0, O_INT, pids_limit, "Limit of processes (-1 for none)"),
    O("restart", 0, O_STR, restart, "When to start it again after it exited"),
};

const struct command cmd_top = {
    .paths = (const char *const[]){"container top", "top", NULL},
    .usage = "CONTAINER [ps OPTIONS]",
    .help = "Show the processes of a container",
    .args = {1, -1},
    .flags = CMD_FIRST,
    .run = run_top,
};
const struct command cmd_port = {
    .paths = (const char *const[]){"container port", "port", NULL},
    .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
    .help = "Show the published ports of a container",
    .args = {1, 2},
    .run = run_port,
};
const struct command cmd_diff = {
    .paths = (const char *const[]){"container diff", "diff", NULL},
    .usage = "CONTAINER",
    .help = "Show what a container changed in its files",
    .args = {1, 1},
    .run = run_diff,
};
const struct command cmd_update = {
    .paths = (const char *const[]){"container update", "update", NULL},
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .help = "Change the limits of containers",
    OPTS(update_opts),
    .opts_size = sizeof(struct update_opts),
    .args = {1, -1},
    .run = run_update,
};
