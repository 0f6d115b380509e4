/* Limits of a container: the API's HostConfig to the runtime's linux.resources, with checks. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMORY_MIN (6 << 20) /* Docker's: less than this, and nothing starts */

static int64_t *num(struct arena *a, int64_t v)
{
    return arena_memdup(a, &v, sizeof(v));
}

static int memory(const struct resources *r, struct arena *a, struct cgroup_limits *l,
                  struct err *err)
{
    struct cgroup_memory *m = arena_new(a, struct cgroup_memory);

    if (r->memory_b != 0 && r->memory_b < MEMORY_MIN)
        return err_invalid(err, "Minimum memory limit allowed is 6MB");
    if (r->memory_swap_b > 0 && r->memory_b == 0)
        return err_invalid(err, "You should always set the Memory limit when using Memoryswap "
                                "limit, see usage");
    if (r->memory_b > 0 && r->memory_swap_b > 0 && r->memory_swap_b < r->memory_b)
        return err_invalid(err, "Minimum memoryswap limit should be larger than memory limit, see "
                                "usage");
    if (r->memory_b > 0 && r->memory_reservation_b > r->memory_b)
        return err_invalid(err, "Minimum memory limit can not be less than memory reservation "
                                "limit, see usage");
    if (r->memory_swappiness && (*r->memory_swappiness < -1 || *r->memory_swappiness > 100))
        return err_invalid(err, "Invalid value: %lld, valid memory swappiness range is 0-100",
                           (long long)*r->memory_swappiness);
    if (r->memory_b)
        m->limit = num(a, r->memory_b);
    if (r->memory_swap_b)
        m->swap = num(a, r->memory_swap_b);
    if (r->memory_reservation_b)
        m->reservation = num(a, r->memory_reservation_b);
    if (r->memory_swappiness && *r->memory_swappiness >= 0)
        m->swappiness = r->memory_swappiness;
    if (r->oom_kill_disable && *r->oom_kill_disable)
        m->disable_oom_killer = r->oom_kill_disable;
    if (m->limit || m->swap || m->reservation || m->swappiness || m->disable_oom_killer)
        l->memory = m;
    return 0;
}

/* "0-2,7": numbers and ranges, none above what the machine has. */
static int check_list(const char *text, const char *what, long max, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv parts = str_split(&a, str_or(text, "0"), ',');

    for (size_t i = 0; i < parts.n; i++) {
        struct strv ends = str_split(&a, parts.v[i], '-');
        uint64_t v[2] = {0, 0};
        for (size_t k = 0; k < ends.n; k++)
            if (k > 1 || str_to_u64(ends.v[k], &v[k]) < 0)
                return err_invalid(err, "Invalid value %s for cpuset %s", text, what);
        if (max > 0 && (v[0] >= (uint64_t)max || v[1] >= (uint64_t)max))
            return err_invalid(err,
                               "Requested %s are not available - requested %s, available: 0-%ld",
                               strcmp(what, "cpus") == 0 ? "CPUs" : "memory nodes", text, max - 1);
    }
    return 0;
}

static int cpu(const struct resources *r, struct arena *a, struct cgroup_limits *l, struct err *err)
{
    struct cgroup_cpu *c = arena_new(a, struct cgroup_cpu);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (r->nano_cpus && (r->cpu_quota_us || r->cpu_period_us))
        return err_invalid(err, "Conflicting options: Nano CPUs and CPU %s cannot both be set.",
                           r->cpu_quota_us ? "Quota" : "Period");
    if (r->nano_cpus < 0 || r->nano_cpus > cpus * 1000000000LL)
        return err_invalid(err,
                           "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
                           "available",
                           cpus, cpus);
    if (r->cpu_shares < 0)
        return err_invalid(err, "shares must be greater than or equal to 0");
    if (r->cpu_period_us && (r->cpu_period_us < 1000 || r->cpu_period_us > 1000000))
        return err_invalid(err, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger "
                                "than 1s (i.e. 1000000)");
    if (r->cpu_quota_us > 0 && r->cpu_quota_us < 1000)
        return err_invalid(err, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    int e = check_list(r->cpuset_cpus, "cpus", cpus, err);
    if (e >= 0)
        e = check_list(r->cpuset_mems, "mems", 0, err);
    if (e < 0)
        return e;
    c->shares = (uint64_t)r->cpu_shares;
    c->period = r->nano_cpus ? 100000 : (uint64_t)r->cpu_period_us;
    if (r->nano_cpus)
        c->quota = num(a, r->nano_cpus / 10000);
    else if (r->cpu_quota_us)
        c->quota = num(a, r->cpu_quota_us);
    if (r->cpu_rt_runtime_us)
        c->rt_runtime = num(a, r->cpu_rt_runtime_us);
    c->rt_period = (uint64_t)r->cpu_rt_period_us;
    c->cpus = r->cpuset_cpus;
    c->mems = r->cpuset_mems;
    if (c->shares || c->period || c->quota || c->rt_runtime || c->rt_period ||
        !str_empty(c->cpus) || !str_empty(c->mems))
        l->cpu = c;
    return 0;
}

static int device_number(const char *path, int64_t *major_, int64_t *minor_, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_as(err, ERR_INVALID, errno, "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISBLK(st.st_mode))
        return err_invalid(err, "%s: not a block device", path);
    *major_ = major(st.st_rdev);
    *minor_ = minor(st.st_rdev);
    return 0;
}

struct throttles {
    struct cgroup_io_throttle **v;
    size_t n;
};

static int throttle(const void *list, struct arena *a, struct throttles *out, struct err *err)
{
    const struct {
        struct throttle_device **v;
        size_t n;
    } *in = list;

    for (size_t i = 0; i < in->n; i++) {
        struct cgroup_io_throttle *t = arena_new(a, struct cgroup_io_throttle);
        int r = device_number(in->v[i]->path, &t->major, &t->minor, err);
        if (r < 0)
            return r;
        t->rate = in->v[i]->rate;
        arena_push(a, *out) = t;
    }
    return 0;
}

static int block_io(const struct resources *r, struct arena *a, struct cgroup_limits *l,
                    struct err *err)
{
    struct cgroup_block_io *io = arena_new(a, struct cgroup_block_io);
    const void *in[] = {&r->blkio_read_bps, &r->blkio_write_bps, &r->blkio_read_iops,
                        &r->blkio_write_iops};
    void *out[] = {&io->read_bps, &io->write_bps, &io->read_iops, &io->write_iops};
    size_t n = 0;

    if (r->blkio_weight && (r->blkio_weight < 10 || r->blkio_weight > 1000))
        return err_invalid(err, "Range of blkio weight is from 10 to 1000");
    io->weight = r->blkio_weight;
    for (int i = 0; i < 4; i++) {
        int e = throttle(in[i], a, out[i], err);
        if (e < 0)
            return e;
        n += ((struct throttles *)out[i])->n;
    }
    for (size_t i = 0; i < r->blkio_weight_device.n; i++) {
        struct cgroup_io_weight *w = arena_new(a, struct cgroup_io_weight);
        int e = device_number(r->blkio_weight_device.v[i]->path, &w->major, &w->minor, err);
        if (e < 0)
            return e;
        w->weight = r->blkio_weight_device.v[i]->weight;
        arena_push(a, io->weight_device) = w;
    }
    if (n || io->weight || io->weight_device.n)
        l->block_io = io;
    return 0;
}

int ctr_limits(const struct host_config *host, struct arena *a, struct cgroup_limits *ret,
               struct err *err)
{
    const struct resources *r = &host->res;
    struct cgroup_limits l = {0};
    int e = memory(r, a, &l, err);

    if (e >= 0)
        e = cpu(r, a, &l, err);
    if (e >= 0)
        e = block_io(r, a, &l, err);
    if (e < 0)
        return e;
    if (r->pids_limit && *r->pids_limit > 0) {
        l.pids = arena_new(a, struct cgroup_pids);
        l.pids->limit = *r->pids_limit;
    }
    *ret = l;
    return 0;
}

char *ctr_cgroup_path(const struct container *c, struct arena *a)
{
    const char *parent = str_or(c->host->res.cgroup_parent, c->e->conf->cgroup_parent);

    return arena_printf(a, "%s%s/%s", *parent == '/' ? "" : "/", parent, c->id);
}
