/* What builds keep, as Docker's API shows and prunes it. */
#include "build/prune.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/time.h"
#include "base/units.h"
#include "engine/build-priv.h"

static char *stamp(struct arena *a, int64_t ns)
{
    char text[TIME_TEXT];

    return ns ? arena_strdup(a, time_rfc3339(ns, text)) : NULL;
}

int engine_build_cache(struct engine *e, struct arena *a, struct disk_usage *ret, struct err *err)
{
    struct build_kepts all = {0};
    int r = build_kept_list(e->builder, a, &all, err);

    ret->build_cache.v = arena_alloc(a, (all.n + 1) * sizeof(void *));
    for (size_t i = 0; r >= 0 && i < all.n; i++) {
        const struct build_kept *k = &all.v[i];
        struct build_cache_record *rec = arena_new(a, struct build_cache_record);
        *rec = (struct build_cache_record){.id = k->id,
                                           .type = arena_strdup(a, k->type),
                                           .description = k->description,
                                           .in_use = k->in_use,
                                           .shared = k->shared,
                                           .size_b = k->size,
                                           .created_at = stamp(a, k->created_ns),
                                           .last_used_at = stamp(a, k->used_ns),
                                           .usage_count = k->uses};
        ret->build_cache.v[ret->build_cache.n++] = rec;
    }
    return r;
}

/* ---- prune ---- */

static bool flag_matches(const struct filters *f, const char *key, bool is)
{
    return !filters_get(f, key) || is;
}

static bool wanted(void *ctx, const struct build_kept *k)
{
    const struct filters *f = ctx;

    return (!filters_get(f, "id") || filters_exact(f, "id", k->id)) &&
           (!filters_get(f, "type") || filters_exact(f, "type", k->type)) &&
           (!filters_get(f, "description") ||
            filters_exact(f, "description", str_or(k->description, ""))) &&
           flag_matches(f, "inuse", k->in_use) && flag_matches(f, "shared", k->shared) &&
           flag_matches(f, "private", !k->shared) && !filters_get(f, "parent");
}

/* "until" of Docker, "unused-for" of old: a duration before now, or a time. */
static int read_before(const struct filters *f, int64_t *ret, struct err *err)
{
    const struct strv *v = filters_get(f, "until");

    if (!v)
        v = filters_get(f, "unused-for");
    *ret = INT64_MAX;
    if (!v || v->n == 0)
        return 0;
    return v->n > 1 ? err_invalid(err, "filters expect only one value")
                    : time_parse_user(v->v[0], now_ns(), ret, err);
}

int engine_build_prune(struct engine *e, const struct build_prune_opts *o, struct arena *a,
                       struct build_prune_response *ret, struct err *err)
{
    static const char *const accepted[] = {"until",       "unused-for", "id",     "parent",  "type",
                                           "description", "inuse",      "shared", "private", NULL};
    struct build_prune p = {
        .all = o->all, .space = o->space, .wanted = wanted, .ctx = (void *)&o->filters};
    char bytes[24];
    struct strmap attrs = {0};
    int r = filters_check(&o->filters, accepted, err);

    if (r >= 0)
        r = read_before(&o->filters, &p.before_ns, err);
    if (r < 0)
        return r;
    ret->deleted.v = arena_alloc(a, sizeof(char *));
    struct strv ids = {0};
    int64_t freed = build_prune(e->builder, &p, a, &ids, err);
    if (freed < 0)
        return (int)freed;
    if (ids.n)
        ret->deleted = ids;
    ret->space_reclaimed_b = (uint64_t)freed;
    (void)snprintf(bytes, sizeof(bytes), "%lld", (long long)freed);
    strmap_set(a, &attrs, "reclaimed", bytes);
    events_put(e->events, "builder", "prune", "", &attrs);
    return 0;
}

/* ---- by itself ---- */

#define COLLECT_EVERY_NS (10 * 60 * NS_PER_S)
#define UNUSED_MAX_NS (60 * 24 * 3600 * NS_PER_S)
#define KEEP_MIN_B (INT64_C(2) << 30)

/* Without a word of the user's: a tenth of the disk. */
static int default_keep(struct engine *e, struct err *err)
{
    struct statvfs fs;

    if (fstatvfs(e->data_fd, &fs) < 0)
        return err_sys(err, "look at the size of %s", e->data_path);
    e->build_keep_b = (int64_t)(fs.f_blocks / 10 * fs.f_frsize);
    if (e->build_keep_b < KEEP_MIN_B)
        e->build_keep_b = KEEP_MIN_B;
    return 0;
}

int engine_build_limits(struct engine *e, struct err *err)
{
    const struct builder_gc *gc = &e->conf->builder.gc;
    const char *text = str_or(gc->reserved, gc->keep);

    e->build_keep_b = 0;
    if (!gc->enabled)
        return 0;
    if (str_empty(text))
        return default_keep(e, err);
    int r = units_parse_bytes(text, &e->build_keep_b, err);
    if (r >= 0 && e->build_keep_b <= 0)
        r = err_invalid(err, "it must be more than nothing");
    return r < 0 ? err_wrap(err, r, "builder.gc: %s", text) : 0;
}

static void collect(void *arg)
{
    struct engine *e = arg;
    const struct build_prune rules[] = {
        {.all = true, .before_ns = now_ns() - UNUSED_MAX_NS},
        {.before_ns = INT64_MAX, .space.reserved = e->build_keep_b},
    };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct err err = {0};
        int64_t freed = build_prune(e->builder, &rules[i], &a, NULL, &err);
        if (freed < 0)
            log_warn("collect what builds keep: %s", err.msg);
        else if (freed > 0)
            log_info("collected %lld bytes that builds kept", (long long)freed);
    }
}

void engine_build_collect(struct engine *e)
{
    int64_t now = mono_ns();

    (void)pthread_mutex_lock(&e->lock);
    bool due = e->build_keep_b > 0 &&
               (!e->build_collected_ns || now - e->build_collected_ns > COLLECT_EVERY_NS);
    if (due)
        e->build_collected_ns = now;
    (void)pthread_mutex_unlock(&e->lock);
    if (due)
        engine_job(e, collect, e);
}
