/* Statistics from v1's files, and what reading them has in common with v2. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/time.h"
#include "kern/cgroup-priv.h"

static void get(struct cgroup *cg, enum cg_ctl ctl, const char *file, uint64_t *out)
{
    (void)!cg_read_u64(cg, ctl, file, out, NULL); /* a file this kernel lacks leaves the zero */
}

void cg_stat_map(struct arena *a, char *text, struct cgroup_stats *ret)
{
    char *line;

    while (text && (line = cg_next_line(&text))) {
        char *sp = strchr(line, ' ');
        if (!sp)
            continue;
        *sp = '\0';
        arena_push(a, ret->memory.stat) =
            (struct cgroup_kv){.key = arena_strdup(a, line), .val = strtoull(sp + 1, NULL, 10)};
    }
}

void cg_io_add(struct arena *a, struct cgroup_io_stats *list, uint64_t major, uint64_t minor,
               const char *op, uint64_t value)
{
    arena_push(a, *list) = (struct cgroup_io_stat){major, minor, arena_strdup(a, op), value};
}

static void cpu_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret)
{
    auto_buf struct buf text = BUF_INIT;
    char *save = NULL;
    struct {
        uint64_t *v;
        size_t n;
    } percpu = {0};

    get(cg, CTL_CPUACCT, "cpuacct.usage", &ret->cpu.total_ns);
    get(cg, CTL_CPUACCT, "cpuacct.usage_user", &ret->cpu.user_ns);
    get(cg, CTL_CPUACCT, "cpuacct.usage_sys", &ret->cpu.system_ns);
    if (cg_read(cg, CTL_CPUACCT, "cpuacct.usage_percpu", &text, NULL) == 0 && text.data)
        for (char *p = strtok_r(text.data, " \n", &save); p; p = strtok_r(NULL, " \n", &save))
            arena_push(a, percpu) = strtoull(p, NULL, 10);
    ret->cpu.percpu_ns = percpu.v;
    ret->cpu.npercpu = percpu.n;
    if (cg_read(cg, CTL_CPU, "cpu.stat", &text, NULL) < 0)
        return;
    (void)!cg_key(buf_str(&text), "nr_periods", &ret->cpu.periods);
    (void)!cg_key(buf_str(&text), "nr_throttled", &ret->cpu.throttled_periods);
    (void)!cg_key(buf_str(&text), "throttled_time", &ret->cpu.throttled_ns);
}

/* The kernel writes "no limit" as the largest number of pages. */
static uint64_t limit_of(uint64_t v)
{
    return v >= UINT64_C(0x7ffffffffffff000) ? UINT64_MAX : v;
}

static void memory_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret)
{
    auto_buf struct buf text = BUF_INIT;

    get(cg, CTL_MEMORY, "memory.usage_in_bytes", &ret->memory.usage);
    get(cg, CTL_MEMORY, "memory.max_usage_in_bytes", &ret->memory.max_usage);
    get(cg, CTL_MEMORY, "memory.limit_in_bytes", &ret->memory.limit);
    get(cg, CTL_MEMORY, "memory.failcnt", &ret->memory.failcnt);
    get(cg, CTL_MEMORY, "memory.memsw.usage_in_bytes", &ret->memory.swap_usage);
    get(cg, CTL_MEMORY, "memory.memsw.limit_in_bytes", &ret->memory.swap_limit);
    ret->memory.limit = limit_of(ret->memory.limit);
    ret->memory.swap_limit = limit_of(ret->memory.swap_limit);
    if (cg_read(cg, CTL_MEMORY, "memory.stat", &text, NULL) == 0)
        cg_stat_map(a, text.data, ret);
}

/* Lines "8:0 Read 4096"; the sum's line ("Total 4096") has no device and is left out. */
static size_t io_file(struct cgroup *cg, struct arena *a, const char *file,
                      struct cgroup_io_stats *list)
{
    auto_buf struct buf text = BUF_INIT;
    char *line, *p;

    if (cg_read(cg, CTL_IO, file, &text, NULL) < 0)
        return 0;
    for (p = text.data; p && (line = cg_next_line(&p));) {
        unsigned long long major, minor, value;
        char op[16];
        if (sscanf(line, "%llu:%llu %15s %llu", &major, &minor, op, &value) == 4)
            cg_io_add(a, list, major, minor, op, value);
        else if (sscanf(line, "%llu:%llu %llu", &major, &minor, &value) == 3)
            cg_io_add(a, list, major, minor, "", value);
    }
    return list->n;
}

static void io_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret)
{
    struct {
        const char *name;
        struct cgroup_io_stats *list;
    } more[] = {
        {"io_queued_recursive", &ret->io.queued},
        {"io_merged_recursive", &ret->io.merged},
        {"io_service_time_recursive", &ret->io.service_time},
        {"io_wait_time_recursive", &ret->io.wait_time},
        {"time_recursive", &ret->io.time},
        {"sectors_recursive", &ret->io.sectors},
    };
    char file[64];

    /* BFQ's own counters where it schedules the disk, the throttling layer's else. */
    if (!io_file(cg, a, "blkio.bfq.io_service_bytes_recursive", &ret->io.service_bytes))
        (void)io_file(cg, a, "blkio.throttle.io_service_bytes_recursive", &ret->io.service_bytes);
    if (!io_file(cg, a, "blkio.bfq.io_serviced_recursive", &ret->io.serviced))
        (void)io_file(cg, a, "blkio.throttle.io_serviced_recursive", &ret->io.serviced);
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        (void)snprintf(file, sizeof(file), "blkio.bfq.%s", more[i].name);
        (void)io_file(cg, a, file, more[i].list);
    }
}

int cg1_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret, struct err *err)
{
    (void)err;
    cpu_stats(cg, a, ret);
    memory_stats(cg, a, ret);
    get(cg, CTL_PIDS, "pids.current", &ret->pids.current);
    get(cg, CTL_PIDS, "pids.max", &ret->pids.limit);
    io_stats(cg, a, ret);
    return 0;
}
