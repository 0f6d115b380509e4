#include "cli/runopts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/specs.h"

/*
 * From options to a create request, topic by topic. Only what was given is set; what the daemon
 * decides stays empty.
 */

struct fill {
    struct cli *cli;
    const struct run_opts *o;
    struct arena *a;
    struct container_config *c;
    struct host_config *hc;
    struct networking_config *net;
    struct err *err;
};

static bool given(const struct fill *f, const char *option)
{
    return cli_given(f->cli, option);
}

static char *copy(struct fill *f, const char *s)
{
    return arena_strdup(f->a, s ? s : "");
}

static struct strv copies(struct fill *f, const struct strv *v)
{
    return strv_clone(f->a, v);
}

static bool attaches(const struct run_opts *o, const char *stream)
{
    for (size_t i = 0; i < o->attach.n; i++)
        if (strcasecmp(o->attach.v[i], stream) == 0)
            return true;
    return false;
}

static int fill_streams(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct container_config *c = f->c;

    if (o->detach && o->attach.n > 0)
        return err_invalid(f->err,
                           "conflicting options: cannot specify both --attach and --detach");
    c->tty = o->tty;
    c->open_stdin = o->interactive;
    if (o->detach)
        return 0;
    bool all = o->attach.n == 0;
    c->attach_stdin = all ? o->interactive : attaches(o, "stdin");
    c->attach_stdout = all || attaches(o, "stdout");
    c->attach_stderr = all || attaches(o, "stderr");
    c->stdin_once = c->open_stdin && c->attach_stdin;
    return 0;
}

static int fill_process(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct container_config *c = f->c;

    c->hostname = copy(f, o->hostname);
    c->domainname = copy(f, o->domainname);
    c->user = copy(f, o->user);
    c->working_dir = copy(f, o->workdir);
    c->stop_signal = copy(f, o->stop_signal);
    if (given(f, "stop-timeout"))
        c->stop_timeout_s = arena_memdup(f->a, &o->stop_timeout, sizeof(o->stop_timeout));
    if (given(f, "entrypoint"))
        strv_push(f->a, &c->entrypoint, o->entrypoint);
    if (given(f, "init"))
        f->hc->init = arena_memdup(f->a, &o->init, sizeof(o->init));
    int r = spec_env(&o->env_file, &o->env, f->a, &c->env, f->err);
    return r < 0 ? r : spec_labels(&o->label_file, &o->label, f->a, &c->labels, f->err);
}

static int fill_health(struct fill *f)
{
    const struct run_opts *o = f->o;
    bool any = !str_empty(o->health_cmd) || o->health_interval || o->health_timeout ||
               o->health_start_period || o->health_start_interval || o->health_retries;

    if (o->no_healthcheck && any)
        return err_invalid(f->err, "--no-healthcheck conflicts with --health-* options");
    if (o->health_interval < 0 || o->health_timeout < 0 || o->health_retries < 0 ||
        o->health_start_period < 0)
        return err_invalid(f->err, "--health-* options cannot be negative");
    if (!o->no_healthcheck && !any)
        return 0;
    struct healthcheck *h = arena_new(f->a, struct healthcheck);
    if (o->no_healthcheck)
        strv_push(f->a, &h->test, "NONE");
    if (!str_empty(o->health_cmd)) {
        strv_push(f->a, &h->test, "CMD-SHELL");
        strv_push(f->a, &h->test, o->health_cmd);
    }
    h->interval_ns = o->health_interval;
    h->timeout_ns = o->health_timeout;
    h->start_period_ns = o->health_start_period;
    h->start_interval_ns = o->health_start_interval;
    h->retries = o->health_retries;
    f->c->healthcheck = h;
    return 0;
}

/* Docker also copies the registries' credentials into the container, which needs its archive. */
static int mount_api_socket(struct fill *f)
{
    struct tls_opts *tls = NULL;
    struct mount_spec *m = NULL;
    char *host = NULL;
    int r = config_host(f->cli, &host, &tls, f->err);

    if (r < 0)
        return r;
    const char *path = str_starts(host, "unix://");
    if (!path)
        return err_invalid(f->err, "--use-api-socket needs a daemon on a unix socket, not %s",
                           host);
    const struct json *auths = json_get(f->cli->config.root, "auths");
    if (auths && auths->n > 0)
        return err_as(f->err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "--use-api-socket cannot hand on credentials of registries yet");
    r = spec_mount(arena_printf(f->a, "type=bind,source=%s,target=/var/run/docker.sock", path),
                   f->a, &m, f->err);
    if (r == 0)
        arena_push(f->a, f->hc->mounts) = m;
    return r;
}

static int fill_mounts(struct fill *f)
{
    const struct run_opts *o = f->o;
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->volume.n; i++)
        r = spec_volume(o->volume.v[i], f->a, &f->hc->binds, &f->c->volumes, f->err);
    for (size_t i = 0; r == 0 && i < o->mount.n; i++) {
        struct mount_spec *m = NULL;
        r = spec_mount(o->mount.v[i], f->a, &m, f->err);
        if (r == 0)
            arena_push(f->a, f->hc->mounts) = m;
    }
    for (size_t i = 0; i < o->tmpfs.n; i++) {
        const char *s = o->tmpfs.v[i], *colon = strchrnul(s, ':');
        strmap_set(f->a, &f->hc->tmpfs, arena_strndup(f->a, s, (size_t)(colon - s)),
                   *colon ? colon + 1 : "");
    }
    if (r == 0 && o->use_api_socket)
        r = mount_api_socket(f);
    f->hc->volumes_from = copies(f, &o->volumes_from);
    f->hc->volume_driver = copy(f, o->volume_driver);
    f->hc->readonly_rootfs = o->read_only;
    spec_map(&o->storage_opt, f->a, &f->hc->storage_opt);
    return r;
}

static int fill_ports(struct fill *f)
{
    const struct run_opts *o = f->o;
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->publish.n; i++)
        r = spec_publish(o->publish.v[i], f->a, &f->hc->port_bindings, &f->c->exposed_ports,
                         f->err);
    for (size_t i = 0; r == 0 && i < o->expose.n; i++)
        r = spec_expose(o->expose.v[i], f->a, &f->c->exposed_ports, f->err);
    f->hc->publish_all_ports = o->publish_all;
    return r;
}

static struct endpoint_ipam *ipam_of(struct fill *f, struct endpoint_settings *e)
{
    if (!e->ipam)
        e->ipam = arena_new(f->a, struct endpoint_ipam);
    return e->ipam;
}

/* Options that say something about the first network. */
static void fill_first_endpoint(struct fill *f, struct endpoint_settings *e)
{
    const struct run_opts *o = f->o;

    for (size_t i = 0; i < o->network_alias.n; i++)
        strv_push(f->a, &e->aliases, o->network_alias.v[i]);
    for (size_t i = 0; i < o->link.n; i++)
        strv_push(f->a, &e->links, o->link.v[i]);
    if (!str_empty(o->ip))
        ipam_of(f, e)->ipv4_address = copy(f, o->ip);
    if (!str_empty(o->ip6))
        ipam_of(f, e)->ipv6_address = copy(f, o->ip6);
    for (size_t i = 0; i < o->link_local_ip.n; i++)
        strv_push(f->a, &ipam_of(f, e)->link_local_ips, o->link_local_ip.v[i]);
    if (!str_empty(o->mac_address))
        e->mac_address = copy(f, o->mac_address);
}

static bool has_settings(const struct endpoint_settings *e)
{
    return e->ipam || e->aliases.n || e->links.n || !str_empty(e->mac_address) ||
           e->driver_opts.n || e->gw_priority;
}

static bool is_predefined(const char *mode)
{
    return str_eq(mode, "host") || str_eq(mode, "none") || str_eq(mode, "bridge") ||
           str_eq(mode, "default") || str_starts(mode, "container:");
}

static int check_networks(struct fill *f, const char *name, const struct endpoint_settings *e)
{
    bool predefined = is_predefined(name);

    if (e->aliases.n > 0 && predefined)
        return err_invalid(f->err, "network-scoped aliases are only supported for user-defined "
                                   "networks");
    if (e->ipam && (e->ipam->ipv4_address || e->ipam->ipv6_address) && predefined)
        return err_invalid(f->err, "conflicting options: user specified IP address is supported on "
                                   "user defined networks only");
    return 0;
}

static int fill_networks(struct fill *f)
{
    const struct run_opts *o = f->o;
    size_t n = o->network.n ? o->network.n : 1;

    f->hc->links = copies(f, &o->link);
    for (size_t i = 0; i < n; i++) {
        struct endpoint_settings *e = NULL;
        char *name = NULL;
        const char *text = o->network.n ? o->network.v[i] : "default";
        int r = spec_network(text, f->a, &name, &e, f->err);
        if (r < 0)
            return r;
        if (i == 0)
            fill_first_endpoint(f, e);
        if (i == 0)
            f->hc->network_mode = name;
        if ((r = check_networks(f, name, e)) < 0)
            return r;
        if (is_predefined(name)) /* links are the container's there, else the endpoint's */
            e->links = (struct strv){0};
        else
            f->hc->links = (struct strv){0};
        if (i > 0 || has_settings(e)) {
            arena_push(f->a, f->net->endpoints) = (typeof(f->net->endpoints.v[0])){name, e};
        }
    }
    f->c->mac_address = copy(f, o->mac_address);
    return 0;
}

static int fill_names(struct fill *f)
{
    const struct run_opts *o = f->o;

    f->hc->dns = copies(f, &o->dns);
    f->hc->dns_options = copies(f, &o->dns_option);
    f->hc->dns_search = copies(f, &o->dns_search);
    for (size_t i = 0; i < o->add_host.n; i++) {
        char *host = NULL;
        int r = spec_host(o->add_host.v[i], f->a, &host, f->err);
        if (r < 0)
            return r;
        strv_push(f->a, &f->hc->extra_hosts, host);
    }
    return 0;
}

static int fill_namespaces(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct host_config *hc = f->hc;

    hc->ipc_mode = copy(f, o->ipc);
    hc->pid_mode = copy(f, o->pid);
    hc->uts_mode = copy(f, o->uts);
    hc->userns_mode = copy(f, o->userns);
    hc->cgroupns_mode = copy(f, o->cgroupns);
    hc->isolation = copy(f, o->isolation);
    hc->runtime = copy(f, o->runtime);
    if (!str_empty(o->cgroupns) && !str_eq(o->cgroupns, "host") && !str_eq(o->cgroupns, "private"))
        return err_invalid(f->err, "--cgroupns: invalid CGROUP mode");
    if (!str_empty(o->uts) && !str_eq(o->uts, "host"))
        return err_invalid(f->err, "--uts: invalid UTS mode");
    if (!str_empty(o->userns) && !str_eq(o->userns, "host") && !str_starts(o->userns, "auto"))
        return err_invalid(f->err, "--userns: invalid USER mode");
    if (!str_empty(o->pid) && !str_eq(o->pid, "host") && !str_starts(o->pid, "container:"))
        return err_invalid(f->err, "--pid: invalid PID mode");
    return 0;
}

static int fill_security(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct host_config *hc = f->hc;

    hc->privileged = o->privileged;
    hc->cap_add = copies(f, &o->cap_add);
    hc->cap_drop = copies(f, &o->cap_drop);
    hc->group_add = copies(f, &o->group_add);
    spec_map(&o->sysctl, f->a, &hc->sysctls);
    spec_map(&o->annotation, f->a, &hc->annotations);
    return spec_security(&o->security_opt, f->a, hc, f->err);
}

static int fill_lifetime(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct host_config *hc = f->hc;
    int r = spec_restart(o->restart, f->a, &hc->restart_policy, f->err);

    if (r < 0)
        return r;
    if (o->rm && !str_eq(o->restart, "no") && !str_empty(o->restart))
        return err_invalid(f->err, "conflicting options: cannot specify both --restart and --rm");
    hc->auto_remove = o->rm;
    hc->log_config.type = copy(f, o->log_driver);
    if (str_eq(o->log_driver, "none") && o->log_opt.n > 0)
        return err_invalid(f->err, "invalid logging opts for driver none");
    spec_map(&o->log_opt, f->a, &hc->log_config.config);
    hc->container_id_file = copy(f, o->cidfile);
    return 0;
}

static int fill_throttle(struct fill *f, const struct strv *in, bool bytes, struct objv *out)
{
    for (size_t i = 0; i < in->n; i++) {
        struct throttle_device *d = NULL;
        int r = spec_throttle(in->v[i], bytes, f->a, &d, f->err);
        if (r < 0)
            return r;
        arena_push(f->a, *out) = d;
    }
    return 0;
}

static int fill_devices(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct resources *res = &f->hc->res;
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->device.n; i++) {
        struct device_mapping *d = NULL;
        if (strchr(o->device.v[i], '=')) {
            struct device_request *q = arena_new(f->a, struct device_request);
            q->driver = copy(f, "cdi");
            strv_push(f->a, &q->device_ids, o->device.v[i]);
            arena_push(f->a, res->device_requests) = q;
        } else if ((r = spec_device(o->device.v[i], f->a, &d, f->err)) == 0) {
            arena_push(f->a, res->devices) = d;
        }
    }
    for (size_t i = 0; r == 0 && i < o->gpus.n; i++) {
        struct device_request *q = NULL;
        r = spec_gpus(o->gpus.v[i], f->a, &q, f->err);
        if (r == 0)
            arena_push(f->a, res->device_requests) = q;
    }
    res->device_cgroup_rules = copies(f, &o->device_cgroup_rule);
    return r;
}

static int fill_io(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct resources *res = &f->hc->res;
    int r = 0;

    res->blkio_weight = (uint32_t)o->blkio_weight;
    for (size_t i = 0; r == 0 && i < o->blkio_weight_device.n; i++) {
        struct weight_device *d = NULL;
        r = spec_weight(o->blkio_weight_device.v[i], f->a, &d, f->err);
        if (r == 0)
            arena_push(f->a, res->blkio_weight_device) = d;
    }
    if (r < 0 ||
        (r = fill_throttle(f, &o->device_read_bps, true, (struct objv *)&res->blkio_read_bps)) <
            0 ||
        (r = fill_throttle(f, &o->device_write_bps, true, (struct objv *)&res->blkio_write_bps)) <
            0 ||
        (r = fill_throttle(f, &o->device_read_iops, false, (struct objv *)&res->blkio_read_iops)) <
            0)
        return r;
    return fill_throttle(f, &o->device_write_iops, false, (struct objv *)&res->blkio_write_iops);
}

static int fill_limits(struct fill *f)
{
    const struct run_opts *o = f->o;
    struct resources *res = &f->hc->res;

    res->memory_b = o->memory;
    res->memory_reservation_b = o->memory_reservation;
    res->memory_swap_b = o->memory_swap;
    res->kernel_memory_b = o->kernel_memory;
    res->cpu_shares = o->cpu_shares;
    res->nano_cpus = o->cpus;
    res->cpu_period_us = o->cpu_period;
    res->cpu_quota_us = o->cpu_quota;
    res->cpu_rt_period_us = o->cpu_rt_period;
    res->cpu_rt_runtime_us = o->cpu_rt_runtime;
    res->cpu_count = o->cpu_count;
    res->cpu_percent = o->cpu_percent;
    res->io_max_iops = (uint64_t)o->io_max_iops;
    res->io_max_bandwidth = (uint64_t)o->io_max_bandwidth;
    res->cpuset_cpus = copy(f, o->cpuset_cpus);
    res->cpuset_mems = copy(f, o->cpuset_mems);
    res->cgroup_parent = copy(f, o->cgroup_parent);
    f->hc->shm_size_b = o->shm_size;
    f->hc->oom_score_adj = o->oom_score_adj;
    if (o->memory_swappiness != -1 && (o->memory_swappiness < 0 || o->memory_swappiness > 100))
        return err_invalid(f->err, "invalid value: %lld. Valid memory swappiness range is 0-100",
                           (long long)o->memory_swappiness);
    if (o->memory_swappiness != -1)
        res->memory_swappiness =
            arena_memdup(f->a, &o->memory_swappiness, sizeof(o->memory_swappiness));
    if (given(f, "oom-kill-disable"))
        res->oom_kill_disable =
            arena_memdup(f->a, &o->oom_kill_disable, sizeof(o->oom_kill_disable));
    if (given(f, "pids-limit"))
        res->pids_limit = arena_memdup(f->a, &o->pids_limit, sizeof(o->pids_limit));
    for (size_t i = 0; i < o->ulimit.n; i++) {
        struct ulimit *u = NULL;
        int r = spec_ulimit(o->ulimit.v[i], f->a, &u, f->err);
        if (r < 0)
            return r;
        arena_push(f->a, res->ulimits) = u;
    }
    return 0;
}

int run_request(struct cli *cli, const struct run_opts *o, const struct strv *args,
                struct container_create_request *ret, struct err *err)
{
    static int (*const steps[])(struct fill *) = {
        fill_streams,  fill_process, fill_health,     fill_mounts,   fill_ports,
        fill_networks, fill_names,   fill_namespaces, fill_security, fill_lifetime,
        fill_devices,  fill_io,      fill_limits,
    };
    struct container_create_request rq = {0};
    struct fill f = {.cli = cli, .o = o, .a = &cli->arena, .c = &rq.config, .err = err};

    f.hc = rq.host_config = arena_new(f.a, struct host_config);
    f.net = rq.networking_config = arena_new(f.a, struct networking_config);
    rq.config.image = copy(&f, args->v[0]);
    for (size_t i = 1; i < args->n; i++)
        strv_push(f.a, &rq.config.cmd, args->v[i]);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](&f);
        if (r < 0)
            return r;
    }
    host_config_defaults(f.hc, f.a);
    *ret = rq;
    return 0;
}
