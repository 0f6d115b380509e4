#include <string.h>

#include "base/base64.h"
#include "base/time.h"
#include "build/attest.h"
#include "build/materials.h"

#define BUILDER "urn:cleat:builder"
#define BUILD_TYPE "urn:cleat:build@v1" /* what "buildConfig" and the metadata of ours mean */

struct writer {
    const struct result *x;
    const struct result_image *img;
    bool max;
    struct json_w w;
};

char *attest_time(const struct build *b, int64_t t, struct arena *a)
{
    char text[TIME_TEXT];

    return arena_strdup(a, time_rfc3339(b->epoch_ns == INT64_MAX ? t : b->epoch_ns, text));
}

static void put(struct writer *p, const char *key, const char *val)
{
    json_w_key(&p->w, key);
    json_w_str(&p->w, val);
}

static void put_flag(struct writer *p, const char *key, bool val)
{
    json_w_key(&p->w, key);
    json_w_bool(&p->w, val);
}

static void open(struct writer *p, const char *key)
{
    json_w_key(&p->w, key);
    json_w_obj(&p->w);
}

static void close_obj(struct writer *p)
{
    json_w_end_obj(&p->w);
}

/* ---- invocation ---- */

static void put_source(struct writer *p)
{
    const struct build_request *rq = p->x->b->rq;

    open(p, "configSource");
    if (rq->source) {
        const char *hex = str_starts(str_or(rq->source_id, ""), "sha256:");
        put(p, "uri", material_address(rq->source, p->x->a));
        open(p, "digest");
        put(p, hex ? "sha256" : "sha1", hex ? hex : str_or(rq->source_id, ""));
        close_obj(p);
    }
    put(p, "entryPoint", str_or(rq->file_name, "Dockerfile"));
    close_obj(p);
}

static void put_map(struct writer *p, const char *prefix, const struct strmap *m)
{
    struct strmap sorted = {0};

    for (size_t i = 0; i < m->n; i++)
        strmap_set(p->x->a, &sorted, arena_printf(p->x->a, "%s%s", prefix, m->v[i].key),
                   m->v[i].val);
    for (size_t i = 0; i < sorted.n; i++)
        for (size_t k = i + 1; k < sorted.n; k++)
            if (strcmp(sorted.v[k].key, sorted.v[i].key) < 0) {
                struct strpair swap = sorted.v[i];
                sorted.v[i] = sorted.v[k];
                sorted.v[k] = swap;
            }
    for (size_t i = 0; i < sorted.n; i++)
        put(p, sorted.v[i].key, sorted.v[i].val);
}

/* What may be somebody's secret is left out of "min"; proxies have passwords, and are nowhere. */
static void put_args(struct writer *p)
{
    const struct build_request *rq = p->x->b->rq;
    struct strmap args = {0};

    for (size_t i = 0; i < rq->args.n; i++)
        if (!scope_is_proxy(rq->args.v[i].key))
            strmap_set(p->x->a, &args, rq->args.v[i].key, rq->args.v[i].val);
    open(p, "args");
    if (p->max) {
        put_map(p, "build-arg:", &args);
        put_map(p, "label:", &rq->labels);
    }
    if (rq->no_cache)
        put(p, "no-cache", "");
    if (!str_empty(rq->target))
        put(p, "target", rq->target);
    close_obj(p);
}

static void put_ids(struct writer *p)
{
    const struct build_request *rq = p->x->b->rq;

    if (rq->secrets.n) {
        json_w_key(&p->w, "secrets");
        json_w_arr(&p->w);
        for (size_t i = 0; i < rq->secrets.n; i++) {
            json_w_obj(&p->w);
            put(p, "id", rq->secrets.v[i].id);
            close_obj(p);
        }
        json_w_end_arr(&p->w);
    }
    if (!rq->ssh.n)
        return;
    json_w_key(&p->w, "ssh");
    json_w_arr(&p->w);
    for (size_t i = 0; i < rq->ssh.n; i++) {
        json_w_obj(&p->w);
        put(p, "id", rq->ssh.v[i].id);
        close_obj(p);
    }
    json_w_end_arr(&p->w);
}

static void put_invocation(struct writer *p)
{
    static const char *const locals[] = {"context", "dockerfile"};
    char text[PLATFORM_TEXT];

    open(p, "invocation");
    put_source(p);
    open(p, "parameters");
    put(p, "frontend", "dockerfile.v0");
    put_args(p);
    if (p->max)
        put_ids(p);
    if (!p->x->b->rq->source) {
        json_w_key(&p->w, "locals");
        json_w_arr(&p->w);
        for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
            json_w_obj(&p->w);
            put(p, "name", locals[i]);
            close_obj(p);
        }
        json_w_end_arr(&p->w);
    }
    close_obj(p);
    open(p, "environment");
    put(p, "platform", platform_text(&p->x->b->native, text));
    close_obj(p);
    close_obj(p);
}

/* ---- steps ---- */

static void put_step(struct writer *p, const struct build_step *s)
{
    json_w_obj(&p->w);
    put(p, "name", s->name);
    if (s->key)
        put(p, "key", s->key);
    close_obj(p);
}

static void put_steps(struct writer *p)
{
    const struct target *t = p->img->target;

    open(p, "buildConfig");
    json_w_key(&p->w, "steps");
    json_w_arr(&p->w);
    for (size_t i = 0; i < p->x->b->nstages; i++) {
        const struct stage *st = t->stages[i];
        if (!st->needed)
            continue;
        put_step(p, st->from_step);
        for (size_t k = 0; k < st->code.n; k++)
            if (st->code.v[k].step)
                put_step(p, st->code.v[k].step);
    }
    json_w_end_arr(&p->w);
    close_obj(p);
}

/* ---- metadata ---- */

static bool uses_network(const struct writer *p)
{
    const struct target *t = p->img->target;
    bool cut_off = str_eq(p->x->b->rq->network, "none");

    for (size_t i = 0; i < p->x->b->nstages; i++)
        for (size_t k = 0; t->stages[i]->needed && k < t->stages[i]->code.n; k++) {
            const struct ins *ins = t->stages[i]->code.v[k].ins;
            const char *own = ins->op == INS_RUN ? ins->run.network : "none";
            if (!str_eq(own, "none") && !(cut_off && (!own || str_eq(own, "default"))))
                return true;
        }
    return false;
}

static bool tells_all_parameters(const struct writer *p)
{
    const struct build_request *rq = p->x->b->rq;

    return p->max || (rq->args.n == 0 && rq->labels.n == 0);
}

static void put_file(struct writer *p)
{
    auto_buf struct buf text = BUF_INIT;

    base64_encode(p->x->b->rq->file, p->x->b->rq->file_len, false, &text);
    open(p, BUILD_TYPE "#metadata");
    open(p, "source");
    put(p, "filename", str_or(p->x->b->rq->file_name, "Dockerfile"));
    put(p, "data", buf_str(&text));
    close_obj(p);
    close_obj(p);
}

/* The same image from the same time is the same invocation: with an epoch nothing here changes. */
static char *invocation_id(const struct writer *p, const char *began)
{
    const char *what = arena_printf(p->x->a, "%s %s", p->img->id, began);
    char digest[DIGEST_LEN + 1];

    sha256_of(what, strlen(what), digest);
    return arena_strndup(p->x->a, digest + strlen("sha256:"), 32);
}

static void put_metadata(struct writer *p)
{
    struct build *b = p->x->b;
    const char *began = attest_time(b, b->began_ns, p->x->a);

    open(p, "metadata");
    put(p, "buildInvocationID", invocation_id(p, began));
    put(p, "buildStartedOn", began);
    put(p, "buildFinishedOn", attest_time(b, now_ns(), p->x->a));
    open(p, "completeness");
    put_flag(p, "parameters", tells_all_parameters(p));
    put_flag(p, "environment", true);
    put_flag(p, "materials", b->rq->source && !uses_network(p));
    close_obj(p);
    put_flag(p, "reproducible", false);
    if (p->max)
        put_file(p);
    close_obj(p);
}

void provenance_make(const struct result *x, const struct result_image *img, bool max,
                     struct buf *out)
{
    struct writer p = {.x = x, .img = img, .max = max, .w = {.out = out}};

    json_w_obj(&p.w);
    open(&p, "builder");
    put(&p, "id", BUILDER);
    close_obj(&p);
    put(&p, "buildType", BUILD_TYPE);
    json_w_key(&p.w, "materials");
    materials_put(x->b, &p.w);
    put_invocation(&p);
    if (max)
        put_steps(&p);
    put_metadata(&p);
    json_w_end_obj(&p.w);
}
