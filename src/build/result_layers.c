/*
 * Layers that have no compressed form yet get one before the manifests ask for it: several at a
 * time, and each once, however many of the images have it. What is found is remembered in the
 * catalog, where the manifests look for it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/pool.h"
#include "build/result-priv.h"

#define THREADS_MAX 8

struct pack_job {
    struct result *x;
    const struct packing *how;
    const char *diff_id;
    int r;
    struct err err;
};

static void run(void *arg)
{
    auto_arena struct arena a = ARENA_INIT;
    struct pack_job *j = arg;
    struct oci_descriptor found;

    j->r = layer_packed(j->x->b->store, j->diff_id, j->how, j->x->b->lease, &a, &found, &j->err);
}

static struct strv all_layers(const struct result *x)
{
    struct strv out = {0};

    for (size_t i = 0; i < x->n; i++) {
        const struct strv *layers = &x->v[i].target->result->layers;
        for (size_t k = 0; k < layers->n; k++)
            if (!strv_has(&out, layers->v[k]))
                strv_push(x->a, &out, layers->v[k]);
    }
    return out;
}

static size_t threads_for(size_t jobs)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = cpus > 0 ? (size_t)cpus : 1;

    n = n < THREADS_MAX ? n : THREADS_MAX;
    return n < jobs ? n : jobs;
}

int result_pack(struct result *x, const struct packing *how, struct err *err)
{
    struct strv layers = all_layers(x);
    auto_free struct pack_job *jobs = xcalloc(layers.n + 1, sizeof(*jobs));
    struct pool *pool = NULL;

    if (layers.n < 2)
        return 0;
    int r = pool_new("pack", threads_for(layers.n), &pool, err);
    for (size_t i = 0; r >= 0 && i < layers.n; i++) {
        jobs[i] = (struct pack_job){.x = x, .how = how, .diff_id = layers.v[i]};
        r = pool_run(pool, run, &jobs[i], err);
    }
    pool_free(pool); /* waits for all of them */
    for (size_t i = 0; r >= 0 && i < layers.n; i++) {
        r = jobs[i].r;
        if (r < 0 && err)
            *err = jobs[i].err;
    }
    return r;
}
