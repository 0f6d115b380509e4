/* FROM: what a stage begins with. The triggers that a base image left come before its own code. */
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "build/solve-priv.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void from_nothing(struct stage *st)
{
    struct oci_image *img = arena_new(&st->a, struct oci_image);
    const struct platform *p = &st->b->target;

    img->architecture = arena_strdup(&st->a, p->arch);
    img->os = arena_strdup(&st->a, p->os);
    img->variant = *p->variant ? arena_strdup(&st->a, p->variant) : NULL;
    img->config = arena_new(&st->a, struct oci_image_config);
    strv_push(&st->a, &img->config->env, DEFAULT_PATH);
    img->config->working_dir = arena_strdup(&st->a, "/");
    st->image = img;
}

static int from_image(struct stage *st, const char *id, struct err *err)
{
    int64_t created = 0;
    int r = image_config_read(st->b->store, id, &st->a, &st->image, NULL, err);

    if (r < 0)
        return r;
    const char *text = st->image->created;
    if (text && time_parse_rfc3339(text, strlen(text), &created) >= 0)
        st->time_ns = created;
    if (!st->image->config)
        st->image->config = arena_new(&st->a, struct oci_image_config);
    return 0;
}

static void from_stage(struct stage *st, const struct stage *base)
{
    st->image = json_clone(&oci_image_type, base->image, &st->a);
    st->time_ns = base->time_ns;
}

/* One instruction of a base image's ONBUILD. */
static int add_trigger(struct stage *st, const char *text, struct planned *ret, struct err *err)
{
    struct build *b = st->b;
    struct ins *ins = NULL;
    int r = ins_decode(text, &st->a, &ins, err);

    if (r < 0)
        return err_wrap(err, r, "ONBUILD trigger \"%s\"", text);
    *ret = (struct planned){.ins = ins};
    if (!plan_is_step(ins))
        return 0;
    (void)pthread_mutex_lock(&b->lock);
    ret->step = plan_step(b, arena_printf(&b->a, "%s onbuild", st->def->name), text);
    (void)pthread_mutex_unlock(&b->lock);
    struct build_event e = {.kind = BUILD_PLANNED, .step = ret->step};
    return build_tell_event(b, &e, err);
}

static int add_triggers(struct stage *st, struct err *err)
{
    struct strv triggers = st->config->on_build;
    struct planned *all;
    size_t n = triggers.n + st->code.n;

    if (triggers.n == 0)
        return 0;
    all = arena_alloc(&st->a, n * sizeof(*all));
    for (size_t i = 0; i < triggers.n; i++) {
        int r = add_trigger(st, triggers.v[i], &all[i], err);
        if (r < 0)
            return r;
    }
    if (st->code.n)
        memcpy(all + triggers.n, st->code.v, st->code.n * sizeof(*all));
    st->code.v = all;
    st->code.n = n;
    st->config->on_build = (struct strv){0};
    return 0;
}

/* What an image remembers of the container it was committed from is no business of its children. */
static void forget_container(struct stage *st)
{
    struct oci_image *img = st->image;

    img->container = img->docker_version = img->comment = NULL;
    img->steps.n = st->base.stage ? img->steps.n : 0; /* those of the base are the base's */
    img->config->hostname = img->config->domainname = img->config->image = NULL;
    img->config->attach_stdin = img->config->attach_stdout = img->config->attach_stderr = false;
    img->config->tty = img->config->open_stdin = img->config->stdin_once = false;
}

int step_from(struct stage *st, struct err *err)
{
    const char *platform = st->platform ? st->platform : st->b->rq->platform;
    char *id = NULL;
    int r = step_begin(st, st->from_step, err);

    if (r >= 0)
        r = origin_layers(st, &st->base, platform, st->from_step, &st->layers, &id, err);
    if (r < 0)
        return r;
    if (id)
        r = from_image(st, id, err);
    else if (st->base.stage)
        from_stage(st, st->base.stage);
    else
        from_nothing(st);
    if (r < 0)
        return r;
    st->config = st->image->config;
    forget_container(st);
    st->scope = (struct scope){
        .a = &st->a, .given = &st->b->rq->args, .outer = &st->b->global, .env = &st->config->env};
    r = add_triggers(st, err);
    return r < 0 ? r : step_end(st, st->from_step, err);
}
