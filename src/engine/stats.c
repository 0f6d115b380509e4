/* One reading of a container's resource use, in the API's shape. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/time.h"

#define NET_DEV_MAX (1U << 20)

/* All CPUs of the machine together: the first line of /proc/stat. */
static uint64_t system_cpu_ns(void)
{
    auto_buf struct buf t = BUF_INIT;
    unsigned long long v[8] = {0}, sum = 0;
    long hz = sysconf(_SC_CLK_TCK);

    if (read_file_at(AT_FDCWD, "/proc/stat", 1U << 20, &t, NULL) < 0)
        return 0;
    (void)sscanf(t.data, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                 &v[4], &v[5], &v[6], &v[7]);
    for (int i = 0; i < 8; i++)
        sum += v[i];
    return sum * (uint64_t)(NS_PER_S / hz);
}

static void put_cpu(const struct cgroup_stats *cg, struct arena *a, struct cpu_stats *out)
{
    out->usage.total_ns = cg->cpu.total_ns;
    out->usage.kernel_ns = cg->cpu.system_ns;
    out->usage.user_ns = cg->cpu.user_ns;
    for (size_t i = 0; i < cg->cpu.npercpu; i++)
        arena_push(a, out->usage.percpu_ns) = (int64_t)cg->cpu.percpu_ns[i];
    out->system_ns = system_cpu_ns();
    out->online_cpus = (uint32_t)get_nprocs();
    out->throttling.periods = cg->cpu.periods;
    out->throttling.throttled_periods = cg->cpu.throttled_periods;
    out->throttling.throttled_ns = cg->cpu.throttled_ns;
}

static void put_memory(const struct cgroup_stats *cg, struct arena *a, struct memory_stats *out)
{
    struct sysinfo si;
    struct u64_entry *v = arena_alloc(a, (cg->memory.stat.n + 1) * sizeof(*v));

    for (size_t i = 0; i < cg->memory.stat.n; i++)
        v[i] = (struct u64_entry){cg->memory.stat.v[i].key, cg->memory.stat.v[i].val};
    out->usage_b = cg->memory.usage;
    if (!cg->v2) { /* Docker has these on v1 only */
        out->max_usage_b = cg->memory.max_usage;
        out->failcnt = cg->memory.failcnt;
    }
    out->stats = u64map_raw(a, v, cg->memory.stat.n);
    (void)sysinfo(&si);
    uint64_t total = (uint64_t)si.totalram * si.mem_unit;
    out->limit_b = cg->memory.limit < total ? cg->memory.limit : total;
}

struct blkio_list {
    struct blkio_entry **v;
    size_t n;
};

static void put_io_list(const struct cgroup_io_stats *in, struct arena *a, void *list)
{
    struct blkio_list *out = list;

    out->v = arena_alloc(a, sizeof(*out->v));
    for (size_t i = 0; i < in->n; i++) {
        struct blkio_entry *e = arena_new(a, struct blkio_entry);
        *e = (struct blkio_entry){in->v[i].major, in->v[i].minor, arena_strdup(a, in->v[i].op),
                                  in->v[i].value};
        arena_push(a, *out) = e;
    }
}

static void put_io(const struct cgroup_stats *cg, struct arena *a, struct blkio_stats *out)
{
    put_io_list(&cg->io.service_bytes, a, &out->service_bytes);
    if (cg->v2)
        return; /* the others stay null, as Docker sends them there */
    put_io_list(&cg->io.serviced, a, &out->serviced);
    put_io_list(&cg->io.queued, a, &out->queue);
    put_io_list(&cg->io.service_time, a, &out->service_time);
    put_io_list(&cg->io.wait_time, a, &out->wait_time);
    put_io_list(&cg->io.merged, a, &out->merged);
    put_io_list(&cg->io.time, a, &out->time);
    put_io_list(&cg->io.sectors, a, &out->sectors);
}

/* One line of /proc/PID/net/dev: "  eth0: bytes packets errs drop fifo frame compressed multicast",
 * then the same for what was sent. */
static void put_interface(const char *line, struct arena *a, struct container_stats *ret)
{
    struct network_stats v = {0};
    unsigned long long rx[4], tx[4];
    char name[IFNAMSIZ + 1];

    if (sscanf(line, " %16[^: ]: %llu %llu %llu %llu %*u %*u %*u %*u %llu %llu %llu %llu", name,
               &rx[0], &rx[1], &rx[2], &rx[3], &tx[0], &tx[1], &tx[2], &tx[3]) != 9 ||
        strcmp(name, "lo") == 0)
        return;
    v = (struct network_stats){.rx_bytes = rx[0],
                               .rx_packets = rx[1],
                               .rx_errors = rx[2],
                               .rx_dropped = rx[3],
                               .tx_bytes = tx[0],
                               .tx_packets = tx[1],
                               .tx_errors = tx[2],
                               .tx_dropped = tx[3]};
    arena_push(a, ret->networks).key = arena_strdup(a, name);
    ret->networks.v[ret->networks.n - 1].val = arena_memdup(a, &v, sizeof(v));
}

static void put_networks(int64_t pid, struct arena *a, struct container_stats *ret)
{
    auto_buf struct buf text = BUF_INIT;
    char *path = arena_printf(a, "/proc/%lld/net/dev", (long long)pid);

    if (read_file_at(AT_FDCWD, path, NET_DEV_MAX, &text, NULL) < 0)
        return; /* it has just ended */
    struct strv lines = str_split(a, buf_str(&text), '\n');
    for (size_t i = 2; i < lines.n; i++) /* behind two lines of headings */
        put_interface(lines.v[i], a, ret);
}

int ctr_stats(struct engine *e, const char *id, struct arena *a, struct container_stats *ret,
              struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct cgroup_stats cg = {0};
    struct cgroup *group = NULL;
    char when[TIME_TEXT];

    if (!c)
        return err_code(err);
    *ret = (struct container_stats){.id = arena_strdup(a, c->id),
                                    .name = arena_printf(a, "/%s", c->name),
                                    .read = arena_strdup(a, TIME_ZERO_TEXT),
                                    .preread = arena_strdup(a, TIME_ZERO_TEXT)};
    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c);
    int64_t pid = c->net.nends ? c->pid : 0;
    (void)pthread_mutex_unlock(&c->lock);
    if (!running)
        return 0;
    int r = cgroup_new(e->cgroups, ctr_cgroup_path(c, a), &group, err);
    if (r >= 0)
        r = cgroup_stats(group, a, &cg, err);
    cgroup_free(group);
    if (r < 0)
        return r;
    ret->read = arena_strdup(a, time_rfc3339(now_ns(), when));
    put_cpu(&cg, a, &ret->cpu);
    put_memory(&cg, a, &ret->memory);
    put_io(&cg, a, &ret->blkio);
    ret->pids.current = cg.pids.current;
    ret->pids.limit = cg.pids.limit;
    if (pid)
        put_networks(pid, a, ret);
    return 0;
}
