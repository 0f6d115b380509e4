/* Applying limits: what v1 and v2 write in the same way, and the dispatch to what they do not. */
#include "kern/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "kern/cgroup-priv.h"

static int set_cpuset(struct cgroup *cg, const struct cgroup_cpu *cpu, struct err *err)
{
    int r = 0;

    if (!str_empty(cpu->cpus))
        r = cg_write(cg, CTL_CPUSET, "cpuset.cpus", err, "%s", cpu->cpus);
    if (r == 0 && !str_empty(cpu->mems))
        r = cg_write(cg, CTL_CPUSET, "cpuset.mems", err, "%s", cpu->mems);
    return r;
}

static int set_pids(struct cgroup *cg, const struct cgroup_pids *pids, struct err *err)
{
    if (pids->limit > 0)
        return cg_write(cg, CTL_PIDS, "pids.max", err, "%lld", (long long)pids->limit);
    if (cg_hier_of(cg->host, CTL_PIDS) < 0) /* no limit is what a machine without it has */
        return 0;
    return cg_write(cg, CTL_PIDS, "pids.max", err, "max");
}

static int set_rdma(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    for (size_t i = 0; i < lim->rdma.n; i++) {
        const struct cgroup_rdma *m = lim->rdma.v[i].val;
        char handles[16] = "max", objects[16] = "max";
        if (m->hca_handles)
            (void)snprintf(handles, sizeof(handles), "%u", *m->hca_handles);
        if (m->hca_objects)
            (void)snprintf(objects, sizeof(objects), "%u", *m->hca_objects);
        int r = cg_write(cg, CTL_RDMA, "rdma.max", err, "%s hca_handle=%s hca_object=%s",
                         lim->rdma.v[i].key, handles, objects);
        if (r < 0)
            return r;
    }
    return 0;
}

int cg_apply_common(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    int r = lim->cpu ? set_cpuset(cg, lim->cpu, err) : 0;

    if (r == 0 && lim->pids)
        r = set_pids(cg, lim->pids, err);
    return r < 0 ? r : set_rdma(cg, lim, err);
}

int cgroup_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    bool v2 = cg->host->mode == CGROUP_V2;

    if (lim->unified.n && !v2)
        return err_invalid(err, "limit %s needs cgroup v2 alone", lim->unified.v[0].key);
    FAIL_POINT("cgroup.apply.first", err);
    int r = cg_apply_common(cg, lim, err);
    if (r < 0)
        return r;
    FAIL_POINT("cgroup.apply.common", err);
    r = v2 ? cg2_apply(cg, lim, err) : cg1_apply(cg, lim, err);
    if (r < 0)
        return r;
    FAIL_POINT("cgroup.apply.limits", err);
    if (lim->devices.n)
        r = v2 ? cg2_devices(cg, lim, err) : cg1_devices(cg, lim, err);
    if (r < 0)
        return r;
    FAIL_POINT("cgroup.apply.done", err);
    return 0;
}
