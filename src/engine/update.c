/* Changing the limits and the restart policy of a container that exists. */
#include "engine/engine-priv.h"

#include <errno.h>
#include <string.h>

#define TAKE_NUM(field)                                                                            \
    do {                                                                                           \
        if (in->field)                                                                             \
            out->field = in->field;                                                                \
    } while (0)
#define TAKE_TEXT(field)                                                                           \
    do {                                                                                           \
        if (!str_empty(in->field))                                                                 \
            out->field = arena_strdup(&c->mem, in->field);                                         \
    } while (0)

static void merge(struct container *c, const struct container_update_request *req,
                  struct host_config *h)
{
    const struct resources *in = &req->res;
    struct resources *out = &h->res;

    TAKE_NUM(cpu_shares);
    TAKE_NUM(memory_b);
    TAKE_NUM(nano_cpus);
    TAKE_NUM(blkio_weight);
    TAKE_NUM(cpu_period_us);
    TAKE_NUM(cpu_quota_us);
    TAKE_NUM(cpu_rt_period_us);
    TAKE_NUM(cpu_rt_runtime_us);
    TAKE_NUM(memory_reservation_b);
    TAKE_NUM(memory_swap_b);
    TAKE_TEXT(cpuset_cpus);
    TAKE_TEXT(cpuset_mems);
    if (in->pids_limit)
        out->pids_limit = arena_memdup(&c->mem, in->pids_limit, sizeof(int64_t));
    if (!str_empty(req->restart_policy.name)) {
        h->restart_policy = req->restart_policy;
        h->restart_policy.name = arena_strdup(&c->mem, req->restart_policy.name);
    }
}

static int apply(struct container *c, const struct cgroup_limits *limits, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct cgroup *cg = NULL;
    int r = cgroup_new(c->e->cgroups, ctr_cgroup_path(c, &a), &cg, err);

    if (r >= 0)
        r = cgroup_apply(cg, limits, err);
    cgroup_free(cg);
    return r;
}

int ctr_update(struct engine *e, const char *id, const struct container_update_request *req,
               struct arena *a, struct container_update_response *ret, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct cgroup_limits limits = {0};

    if (!c)
        return err_code(err);
    if (c->host->auto_remove && !str_empty(req->restart_policy.name) &&
        strcmp(req->restart_policy.name, "no") != 0)
        return err_invalid(err, "Restart policy cannot be updated because AutoRemove is enabled "
                                "for the container");
    (void)pthread_mutex_lock(&c->lock);
    struct host_config *next = json_clone(&host_config_type, c->host, &c->mem), *old = c->host;
    merge(c, req, next);
    int r = ctr_limits(next, a, &limits, err);
    if (r >= 0 && req->res.pids_limit && !limits.pids) /* at a start, none is what there is */
        limits.pids = arena_new(a, struct cgroup_pids);
    if (r >= 0 && ctr_running(c))
        r = apply(c, &limits, err);
    if (r >= 0) {
        c->host = next;
        r = ctr_save_host(c, err);
        if (r < 0)
            c->host = old;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return err_wrap(err, r, "Cannot update container %s", c->id);
    ret->warnings.v = arena_alloc(a, sizeof(char *));
    ctr_event(c, "update", NULL);
    return 0;
}
