/* The limits in v1's files. Source: Documentation/admin-guide/cgroup-v1 of the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/cgroup-priv.h"

static bool given(const int64_t *v)
{
    return v && *v != 0;
}

static int set_i64(struct cgroup *cg, enum cg_ctl ctl, const char *file, int64_t v, struct err *err)
{
    return cg_write(cg, ctl, file, err, "%lld", (long long)v);
}

static int set_limit(struct cgroup *cg, int64_t limit, struct err *err)
{
    uint64_t usage = 0, peak = 0;
    int r = set_i64(cg, CTL_MEMORY, "memory.limit_in_bytes", limit, err);

    if (r != -EBUSY)
        return r;
    (void)!cg_read_u64(cg, CTL_MEMORY, "memory.usage_in_bytes", &usage, NULL);
    (void)!cg_read_u64(cg, CTL_MEMORY, "memory.max_usage_in_bytes", &peak, NULL);
    return err_as(err, ERR_CONFLICT, EBUSY,
                  "unable to set memory limit to %lld (current usage: %llu, peak usage: %llu)",
                  (long long)limit, (unsigned long long)usage, (unsigned long long)peak);
}

/* The kernel keeps limit <= limit + swap at every moment, so the order of the two depends on where
 * they go. */
static int set_limit_and_swap(struct cgroup *cg, int64_t limit, int64_t swap, struct err *err)
{
    uint64_t now = 0;
    const char *file = "memory.memsw.limit_in_bytes";
    int r = cg_read_u64(cg, CTL_MEMORY, "memory.limit_in_bytes", &now, err);

    if (r < 0)
        return r;
    bool swap_first = swap == -1 || now < (uint64_t)swap;
    if (swap_first)
        r = set_i64(cg, CTL_MEMORY, file, swap, err);
    if (r == 0)
        r = set_limit(cg, limit, err);
    if (r == 0 && !swap_first)
        r = set_i64(cg, CTL_MEMORY, file, swap, err);
    return r;
}

static int set_memory_sizes(struct cgroup *cg, const struct cgroup_memory *m, struct err *err)
{
    int64_t limit = m->limit ? *m->limit : 0, swap = m->swap ? *m->swap : 0;

    if (limit == -1 && swap == 0 && m->limit) /* lifting the limit lifts that of swap */
        swap = -1;
    if (limit && swap) {
        int r = set_limit_and_swap(cg, limit, swap, err);
        if (r == -ENOENT && swap == -1) { /* a kernel that does not account swap */
            err_clear(err);
            r = set_limit(cg, limit, err);
        }
        return r;
    }
    if (limit)
        return set_limit(cg, limit, err);
    return swap ? set_i64(cg, CTL_MEMORY, "memory.memsw.limit_in_bytes", swap, err) : 0;
}

/* Files that kernels have dropped or never had; asked for only by generous engines. */
static int optional(int r, struct err *err)
{
    if (r != -ENOENT && r != -EOPNOTSUPP)
        return r;
    err_clear(err);
    return 0;
}

static int set_memory(struct cgroup *cg, const struct cgroup_memory *m, struct err *err)
{
    int r = set_memory_sizes(cg, m, err);

    if (r == 0 && given(m->reservation))
        r = set_i64(cg, CTL_MEMORY, "memory.soft_limit_in_bytes", *m->reservation, err);
    if (r == 0 && given(m->kernel_tcp))
        r = optional(set_i64(cg, CTL_MEMORY, "memory.kmem.tcp.limit_in_bytes", *m->kernel_tcp, err),
                     err);
    if (r == 0 && m->swappiness && *m->swappiness >= 0)
        r = set_i64(cg, CTL_MEMORY, "memory.swappiness", *m->swappiness, err);
    if (r == 0 && m->disable_oom_killer && *m->disable_oom_killer)
        r = set_i64(cg, CTL_MEMORY, "memory.oom_control", 1, err);
    return r;
}

/* A period below what the quota allows is refused, and the other way round: try both orders. */
static int set_bandwidth(struct cgroup *cg, const struct cgroup_cpu *cpu, struct err *err)
{
    const char *period_file = "cpu.cfs_period_us";
    long long period = (long long)cpu->period;
    int r = 0;

    if (cpu->period)
        r = cg_write(cg, CTL_CPU, period_file, err, "%lld", period);
    bool again = r == -EINVAL && given(cpu->quota);
    if (again) {
        err_clear(err);
        r = 0;
    }
    if (r == 0 && given(cpu->quota))
        r = set_i64(cg, CTL_CPU, "cpu.cfs_quota_us", *cpu->quota, err);
    if (r == 0 && again)
        r = cg_write(cg, CTL_CPU, period_file, err, "%lld", period);
    if (r == 0 && cpu->burst)
        r = set_i64(cg, CTL_CPU, "cpu.cfs_burst_us", *cpu->burst, err);
    return r;
}

static int set_cpu(struct cgroup *cg, const struct cgroup_cpu *cpu, struct err *err)
{
    int r = 0;

    if (cpu->shares)
        r = cg_write(cg, CTL_CPU, "cpu.shares", err, "%llu", (unsigned long long)cpu->shares);
    if (r == 0)
        r = set_bandwidth(cg, cpu, err);
    if (r == 0 && cpu->rt_period)
        r = cg_write(cg, CTL_CPU, "cpu.rt_period_us", err, "%llu",
                     (unsigned long long)cpu->rt_period);
    if (r == 0 && given(cpu->rt_runtime))
        r = set_i64(cg, CTL_CPU, "cpu.rt_runtime_us", *cpu->rt_runtime, err);
    if (r == 0 && cpu->idle)
        r = set_i64(cg, CTL_CPU, "cpu.idle", *cpu->idle, err);
    return r;
}

/* Which scheduler is in use decides the name: BFQ's, else what CFQ had. */
static int set_io_weight(struct cgroup *cg, const char *what, const char *fmt_dev, uint32_t weight,
                         struct err *err)
{
    static const char *const prefixes[] = {"blkio.bfq.", "blkio."};
    int r = -ENOENT;

    for (size_t i = 0; i < 2 && r == -ENOENT; i++) {
        char file[64];
        (void)snprintf(file, sizeof(file), "%s%s", prefixes[i], what);
        err_clear(err);
        r = cg_write(cg, CTL_IO, file, err, "%s%u", fmt_dev, weight);
    }
    return r;
}

static int set_io_weights(struct cgroup *cg, const struct cgroup_block_io *io, struct err *err)
{
    int r = io->weight ? set_io_weight(cg, "weight", "", io->weight, err) : 0;

    if (r == 0 && io->leaf_weight)
        r = set_io_weight(cg, "leaf_weight", "", io->leaf_weight, err);
    for (size_t i = 0; i < io->weight_device.n && r == 0; i++) {
        const struct cgroup_io_weight *w = io->weight_device.v[i];
        char dev[64];
        (void)snprintf(dev, sizeof(dev), "%lld:%lld ", (long long)w->major, (long long)w->minor);
        if (w->weight)
            r = set_io_weight(cg, "weight_device", dev, w->weight, err);
        if (r == 0 && w->leaf_weight)
            r = set_io_weight(cg, "leaf_weight_device", dev, w->leaf_weight, err);
    }
    return r;
}

static int set_throttle(struct cgroup *cg, const char *file, struct cgroup_io_throttle *const *v,
                        size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = cg_write(cg, CTL_IO, file, err, "%lld:%lld %llu", (long long)v[i]->major,
                     (long long)v[i]->minor, (unsigned long long)v[i]->rate);
    return r;
}

static int set_io(struct cgroup *cg, const struct cgroup_block_io *io, struct err *err)
{
    int r = set_io_weights(cg, io, err);

    if (r == 0)
        r = set_throttle(cg, "blkio.throttle.read_bps_device", io->read_bps.v, io->read_bps.n, err);
    if (r == 0)
        r = set_throttle(cg, "blkio.throttle.write_bps_device", io->write_bps.v, io->write_bps.n,
                         err);
    if (r == 0)
        r = set_throttle(cg, "blkio.throttle.read_iops_device", io->read_iops.v, io->read_iops.n,
                         err);
    if (r == 0)
        r = set_throttle(cg, "blkio.throttle.write_iops_device", io->write_iops.v, io->write_iops.n,
                         err);
    return r;
}

static int set_network(struct cgroup *cg, const struct cgroup_network *net, struct err *err)
{
    int r = 0;

    if (net->class_id)
        r = cg_write(cg, CTL_NET_CLS, "net_cls.classid", err, "%u", *net->class_id);
    for (size_t i = 0; i < net->priorities.n && r == 0; i++)
        r = cg_write(cg, CTL_NET_PRIO, "net_prio.ifpriomap", err, "%s %u",
                     net->priorities.v[i]->name, net->priorities.v[i]->priority);
    return r;
}

static int set_hugetlb(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < lim->hugetlb.n && r == 0; i++) {
        char file[64];
        (void)snprintf(file, sizeof(file), "hugetlb.%s.limit_in_bytes",
                       lim->hugetlb.v[i]->page_size);
        r = cg_write(cg, CTL_HUGETLB, file, err, "%llu",
                     (unsigned long long)lim->hugetlb.v[i]->limit);
    }
    return r;
}

int cg1_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int r = lim->memory ? set_memory(cg, lim->memory, err) : 0;

    if (r == 0 && lim->cpu)
        r = set_cpu(cg, lim->cpu, err);
    if (r == 0 && lim->block_io)
        r = set_io(cg, lim->block_io, err);
    if (r == 0)
        r = set_hugetlb(cg, lim, err);
    if (r == 0 && lim->network)
        r = set_network(cg, lim->network, err);
    return r;
}

/* A rule is one write; the two files stay open, since there are a dozen rules. */
static int write_rule(int fd, const struct cgroup_device_rule *d, struct err *err)
{
    char major[24] = "*", minor[24] = "*", text[80];

    if (d->major && *d->major >= 0)
        (void)snprintf(major, sizeof(major), "%lld", (long long)*d->major);
    if (d->minor && *d->minor >= 0)
        (void)snprintf(minor, sizeof(minor), "%lld", (long long)*d->minor);
    int n = snprintf(text, sizeof(text), "%c %s:%s %.8s", str_empty(d->type) ? 'a' : *d->type,
                     major, minor, str_or(d->access, "rwm"));
    return write(fd, text, (size_t)n) < 0 ? err_sys(err, "set device rule \"%s\"", text) : 0;
}

int cg1_devices(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int i = cg_hier_of(cg->host, CTL_DEVICES);
    int dir = i < 0 ? -1 : cg_dir(cg, i, err);

    if (i < 0)
        return err_as(err, ERR_INVALID, EOPNOTSUPP, "this machine has no devices controller");
    if (dir < 0)
        return dir;
    auto_close int allow = openat(dir, "devices.allow", O_WRONLY | O_CLOEXEC);
    auto_close int deny = openat(dir, "devices.deny", O_WRONLY | O_CLOEXEC);
    if (allow < 0 || deny < 0)
        return err_sys(err, "open the device list of cgroup %s", cg->path);
    for (size_t k = 0; k < lim->devices.n; k++) {
        const struct cgroup_device_rule *d = lim->devices.v[k];
        int r = write_rule(d->allow ? allow : deny, d, err);
        if (r < 0)
            return r;
    }
    return 0;
}
