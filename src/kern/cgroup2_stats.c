/* Statistics from v2's files, and the dispatch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "kern/cgroup-priv.h"

#define US 1000

static void get(struct cgroup *cg, enum cg_ctl ctl, const char *file, uint64_t *out)
{
    (void)!cg_read_u64(cg, ctl, file, out, NULL);
}

/* cpu.stat's times are there even without the controller, so it is read from the tree itself. */
static void cpu_stats(struct cgroup *cg, struct cgroup_stats *ret)
{
    auto_buf struct buf text = BUF_INIT;
    struct {
        const char *key;
        uint64_t *out, unit;
    } keys[] = {
        {"usage_usec", &ret->cpu.total_ns, US},
        {"user_usec", &ret->cpu.user_ns, US},
        {"system_usec", &ret->cpu.system_ns, US},
        {"nr_periods", &ret->cpu.periods, 1},
        {"nr_throttled", &ret->cpu.throttled_periods, 1},
        {"throttled_usec", &ret->cpu.throttled_ns, US},
    };

    if (cg_read_hier(cg, cg->host->v2, "cpu.stat", &text, NULL) < 0)
        return;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (cg_key(buf_str(&text), keys[i].key, keys[i].out) == 0)
            *keys[i].out *= keys[i].unit;
}

static void memory_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret)
{
    auto_buf struct buf text = BUF_INIT;

    get(cg, CTL_MEMORY, "memory.current", &ret->memory.usage);
    get(cg, CTL_MEMORY, "memory.peak", &ret->memory.max_usage);
    get(cg, CTL_MEMORY, "memory.max", &ret->memory.limit);
    get(cg, CTL_MEMORY, "memory.swap.current", &ret->memory.swap_usage);
    get(cg, CTL_MEMORY, "memory.swap.max", &ret->memory.swap_limit);
    if (cg_read(cg, CTL_MEMORY, "memory.events", &text, NULL) == 0)
        (void)!cg_key(buf_str(&text), "max", &ret->memory.failcnt);
    if (cg_read(cg, CTL_MEMORY, "memory.stat", &text, NULL) == 0)
        cg_stat_map(a, text.data, ret);
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"; Docker does not report what is discarded
 */
static void io_line(struct arena *a, char *line, struct cgroup_stats *ret)
{
    static const struct {
        const char *key, *op;
        bool bytes;
    } keys[] = {{"rbytes", "read", true},
                {"wbytes", "write", true},
                {"rios", "read", false},
                {"wios", "write", false}};
    unsigned long long major, minor;
    char *save = NULL;

    if (sscanf(line, "%llu:%llu", &major, &minor) != 2)
        return;
    for (char *p = strtok_r(line, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(p, '=');
        for (size_t i = 0; eq && i < sizeof(keys) / sizeof(keys[0]); i++) {
            size_t n = strlen(keys[i].key);
            if ((size_t)(eq - p) == n && strncmp(p, keys[i].key, n) == 0)
                cg_io_add(a, keys[i].bytes ? &ret->io.service_bytes : &ret->io.serviced, major,
                          minor, keys[i].op, strtoull(eq + 1, NULL, 10));
        }
    }
}

int cg2_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *line;

    (void)err;
    cpu_stats(cg, ret);
    memory_stats(cg, a, ret);
    get(cg, CTL_PIDS, "pids.current", &ret->pids.current);
    get(cg, CTL_PIDS, "pids.max", &ret->pids.limit);
    if (cg_read(cg, CTL_IO, "io.stat", &text, NULL) == 0)
        for (char *p = text.data; p && (line = cg_next_line(&p));)
            io_line(a, line, ret);
    return 0;
}

int cgroup_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret, struct err *err)
{
    struct cgroup_stats s = {.v2 = cg->host->mode == CGROUP_V2};
    int r = cgroup_exists(cg, err);

    if (r <= 0)
        return r < 0 ? r : err_no(err, ENOENT, "read statistics of cgroup %s", cg->path);
    r = s.v2 ? cg2_stats(cg, a, &s, err) : cg1_stats(cg, a, &s, err);
    if (r < 0)
        return r;
    if (s.pids.limit == UINT64_MAX)
        s.pids.limit = 0;
    *ret = s;
    return 0;
}
