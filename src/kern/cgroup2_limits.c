/*
 * The limits in v2's files. The specification speaks v1; what means the same under another scale
 * is converted as runc does. Source: Documentation/admin-guide/cgroup-v2.rst of the kernel.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "kern/cgroup-priv.h"

static bool given(const int64_t *v)
{
    return v && *v != 0;
}

static int set_max(struct cgroup *cg, enum cg_ctl ctl, const char *file, int64_t v, struct err *err)
{
    if (v < 0)
        return cg_write(cg, ctl, file, err, "max");
    return cg_write(cg, ctl, file, err, "%lld", (long long)v);
}

/*
 * v1's shares 2..262144 (default 1024) to v2's weight 1..10000 (default 100): a quadratic curve in
 * the logarithm through those three points.
 */
static uint64_t weight_of_shares(uint64_t shares)
{
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2((double)shares);
    return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int check_usage(struct cgroup *cg, int64_t limit, struct err *err)
{
    uint64_t usage;
    int r = cg_read_u64(cg, CTL_MEMORY, "memory.current", &usage, err);

    if (r < 0 || limit < 0 || usage <= (uint64_t)limit)
        return r;
    return err_as(err, ERR_CONFLICT, EBUSY, "memory limit %lld is below the usage %llu",
                  (long long)limit, (unsigned long long)usage);
}

static int set_swap(struct cgroup *cg, const struct cgroup_memory *m, struct err *err)
{
    int64_t limit = m->limit ? *m->limit : 0, swap = m->swap ? *m->swap : 0;

    if (limit == -1 && swap == 0 && m->limit)
        swap = -1;
    if (swap == 0)
        return 0;
    if (swap == -1) {
        int r = cg_write(cg, CTL_MEMORY, "memory.swap.max", err, "max");
        if (r == -ENOENT) { /* a kernel without swap accounting has no such limit */
            err_clear(err);
            return 0;
        }
        return r;
    }
    if (limit <= 0)
        return err_invalid(err, "a limit of memory and swap needs a limit of memory");
    if (swap < limit)
        return err_invalid(err, "memory+swap limit must be at least the memory limit");
    return set_max(cg, CTL_MEMORY, "memory.swap.max", swap - limit, err);
}

static int set_memory(struct cgroup *cg, const struct cgroup_memory *m, struct err *err)
{
    int r = 0;

    if (m->check_before_update && *m->check_before_update && given(m->limit))
        r = check_usage(cg, *m->limit, err);
    if (r == 0)
        r = set_swap(cg, m, err);
    if (r == 0 && given(m->limit))
        r = set_max(cg, CTL_MEMORY, "memory.max", *m->limit, err);
    if (r == 0 && given(m->reservation))
        r = set_max(cg, CTL_MEMORY, "memory.low", *m->reservation, err);
    return r;
}

static int set_bandwidth(struct cgroup *cg, const struct cgroup_cpu *cpu, struct err *err)
{
    char quota[24] = "max";
    unsigned long long period = cpu->period ? cpu->period : 100000;

    if (!given(cpu->quota) && !cpu->period)
        return 0;
    if (cpu->quota && *cpu->quota > 0)
        (void)snprintf(quota, sizeof(quota), "%lld", (long long)*cpu->quota);
    if (!given(cpu->quota)) { /* period alone: keep the quota */
        auto_buf struct buf now = BUF_INIT;
        int r = cg_read(cg, CTL_CPU, "cpu.max", &now, err);
        if (r < 0)
            return r;
        (void)snprintf(quota, sizeof(quota), "%.*s", (int)strcspn(buf_str(&now), " \n"),
                       buf_str(&now));
    }
    return cg_write(cg, CTL_CPU, "cpu.max", err, "%s %llu", quota, period);
}

static int set_cpu(struct cgroup *cg, const struct cgroup_cpu *cpu, struct err *err)
{
    int r = 0;

    if (cpu->rt_period || given(cpu->rt_runtime))
        return err_invalid(err, "real-time CPU limits do not exist on cgroup v2");
    if (cpu->idle)
        r = set_max(cg, CTL_CPU, "cpu.idle", *cpu->idle, err);
    if (r == 0 && cpu->shares)
        r = cg_write(cg, CTL_CPU, "cpu.weight", err, "%llu",
                     (unsigned long long)weight_of_shares(cpu->shares));
    if (r == 0)
        r = set_bandwidth(cg, cpu, err);
    if (r == 0 && cpu->burst)
        r = set_max(cg, CTL_CPU, "cpu.max.burst", *cpu->burst, err);
    return r;
}

/* v1's 10..1000 to 1..10000; BFQ has its own file with v1's scale. */
static int set_weight(struct cgroup *cg, const char *dev, uint32_t weight, struct err *err)
{
    int r = cg_write(cg, CTL_IO, "io.bfq.weight", err, "%s%u", dev, weight);

    if (r != -ENOENT)
        return r;
    err_clear(err);
    return cg_write(cg, CTL_IO, "io.weight", err, "%s%u", *dev ? dev : "default ",
                    1 + (weight - 10) * 9999 / 990);
}

static int set_throttle(struct cgroup *cg, const char *key, struct cgroup_io_throttle *const *v,
                        size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        char rate[24] = "max";
        if (v[i]->rate)
            (void)snprintf(rate, sizeof(rate), "%llu", (unsigned long long)v[i]->rate);
        r = cg_write(cg, CTL_IO, "io.max", err, "%lld:%lld %s=%s", (long long)v[i]->major,
                     (long long)v[i]->minor, key, rate);
    }
    return r;
}

static int set_io(struct cgroup *cg, const struct cgroup_block_io *io, struct err *err)
{
    int r = io->weight ? set_weight(cg, "", io->weight, err) : 0;

    for (size_t i = 0; i < io->weight_device.n && r == 0; i++) {
        char dev[64];
        (void)snprintf(dev, sizeof(dev), "%lld:%lld ", (long long)io->weight_device.v[i]->major,
                       (long long)io->weight_device.v[i]->minor);
        r = set_weight(cg, dev, io->weight_device.v[i]->weight, err);
    }
    if (r == 0)
        r = set_throttle(cg, "rbps", io->read_bps.v, io->read_bps.n, err);
    if (r == 0)
        r = set_throttle(cg, "wbps", io->write_bps.v, io->write_bps.n, err);
    if (r == 0)
        r = set_throttle(cg, "riops", io->read_iops.v, io->read_iops.n, err);
    if (r == 0)
        r = set_throttle(cg, "wiops", io->write_iops.v, io->write_iops.n, err);
    return r;
}

/* Reservations too: who is only over "max" learns it by SIGBUS at the first touch, not from mmap().
 */
static int set_huge(struct cgroup *cg, const struct cgroup_hugetlb *h, struct err *err)
{
    static const char *const kinds[] = {"max", "rsvd.max"};
    char file[64];
    int r = 0;

    for (size_t i = 0; i < 2 && r == 0; i++) {
        int n = snprintf(file, sizeof(file), "hugetlb.%s.%s", h->page_size, kinds[i]);
        if (n < 0 || (size_t)n >= sizeof(file) || strchr(file, '/'))
            return err_invalid(err, "page size %.40s is not valid", h->page_size);
        r = cg_write(cg, CTL_HUGETLB, file, err, "%llu", (unsigned long long)h->limit);
    }
    return r;
}

static int set_hugetlb(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < lim->hugetlb.n && r == 0; i++)
        r = set_huge(cg, lim->hugetlb.v[i], err);
    return r;
}

static int set_unified(struct cgroup *cg, const struct strmap *map, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < map->n && r == 0; i++) {
        const char *file = map->v[i].key;
        if (strchr(file, '/') || !strchr(file, '.'))
            return err_invalid(err, "unified resource \"%s\" is not a file name", file);
        r = cg_write_hier(cg, cg->host->v2, file, map->v[i].val, err);
    }
    return r;
}

int cg2_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int r = lim->memory ? set_memory(cg, lim->memory, err) : 0;

    if (r == 0 && lim->cpu)
        r = set_cpu(cg, lim->cpu, err);
    if (r == 0 && lim->block_io)
        r = set_io(cg, lim->block_io, err);
    if (r == 0)
        r = set_hugetlb(cg, lim, err);
    return r < 0 ? r : set_unified(cg, &lim->unified, err);
}
