/*
 * Limits that the machine's cgroups do not have, and options that are safe on one version alone.
 * Docker drops most such limits with a warning, so that a compose file written for one version
 * works under the other, and refuses the rest.
 */
#include "engine/engine-priv.h"

#include <errno.h>

int ctr_drop_unsupported(struct container *c, struct arena *a, struct strv *warnings,
                         struct err *err)
{
    struct resources *r = &c->host->res;
    bool v2 = cgroup_host_mode(c->e->cgroups) == CGROUP_V2;

    /* v1 has files that run programs on the host, and both show other groups without a namespace.
     */
    if (ctr_security_flag(c->host, "writable-cgroups", false) > 0 && !c->host->privileged &&
        (!v2 || !str_eq(c->host->cgroupns_mode, "private")))
        return err_invalid(err, "writable-cgroups needs cgroup v2 and a private cgroup namespace");
    if (!v2)
        return 0;
    if (r->cpu_rt_period_us || r->cpu_rt_runtime_us)
        return err_invalid(err, "Your kernel does not support CPU real-time scheduler");
    if (r->memory_swappiness && *r->memory_swappiness != -1) {
        r->memory_swappiness = NULL;
        strv_push(a, warnings,
                  "Your kernel does not support memory swappiness capabilities or the cgroup is "
                  "not mounted. Memory swappiness discarded.");
    }
    if (r->oom_kill_disable && *r->oom_kill_disable) {
        r->oom_kill_disable = NULL;
        strv_push(a, warnings,
                  "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    }
    if (r->kernel_memory_tcp_b) {
        r->kernel_memory_tcp_b = 0;
        strv_push(a, warnings,
                  "Your kernel does not support kernel memory TCP limit capabilities or the "
                  "cgroup is not mounted. Limitation discarded.");
    }
    return 0;
}
