/* FROM: what a stage begins with. The triggers that a base image left come before its own code. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/auto.h"
#include "base/json.h"
#include "base/time.h"
#include "build/key.h"
#include "build/solve-priv.h"
#include "build/tree.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void from_nothing(struct stage *st)
{
    struct oci_image *img = arena_new(&st->a, struct oci_image);
    const struct platform *p = &st->target->platform;

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
    st->root.image = arena_strdup(&st->a, id);
    st->root.layers = st->layers.n;
    st->root.history = st->image->history.n;
    return 0;
}

static void from_stage(struct stage *st, const struct stage *base)
{
    st->image = json_clone(&oci_image_type, base->image, &st->a);
    st->time_ns = base->time_ns;
    st->root = base->root;
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
    if (plan_is_shared(st) && plan_sees_target(ins))
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "ONBUILD trigger \"%s\" in a stage that several platforms share is not built "
                      "yet: write its ARG into the stage",
                      text);
    if (!plan_is_step(ins))
        return 0;
    r = build_trigger(st, ins, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&b->lock);
    const char *place = b->ntargets > 1 ? plan_place(st) : st->def->name;
    ret->step = plan_step(b, arena_printf(&b->a, "%s onbuild", place), text);
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

/* ---- a context ---- */

static int copy_context(void *ctx, struct layer_stage *into, struct adopt_options *o,
                        struct arena *a, struct err *err)
{
    static const struct strv nothing = {0};
    const struct stage *st = ctx;
    const struct tree_filter f = {.ignored = st->base.named->ignored};
    auto_close int from = open(st->base.named->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)o;
    if (from < 0)
        return err_sys(err, "open context %s", st->def->from->from.image);
    auto_close int to = stage_tree(st->b, &nothing, into, err);
    if (to < 0)
        return to;
    const struct tree_copy c = {.from_fd = from, .to_fd = to, .filter = &f, .uid = -1, .gid = -1};
    const struct tree_item item = {.path = arena_strdup(a, ""), .name = NULL, .dir = true};
    return tree_copy_item(&c, &item, "/", err);
}

/* Its files are the stage's first layer. */
static int from_context(struct stage *st, struct err *err)
{
    const struct tree_filter f = {.ignored = st->base.named->ignored};
    const struct tree_item item = {.path = arena_strdup(&st->a, ""), .dir = true};
    char digest[DIGEST_LEN + 1];
    bool empty = true;
    auto_close int fd = -1;
    int r = origin_open(st, &st->base, st->from_step, &fd, err);

    if (r >= 0)
        r = tree_digest(fd, &item, &f, st->base.named->kept, digest, err);
    if (r < 0)
        return r;
    from_nothing(st);
    struct key *k = key_new("context");
    key_text(k, "content", digest);
    r = step_make(st, st->from_step, k, copy_context, st, &empty, err);
    if (r >= 0)
        stage_history(st, st->def->from->text, empty);
    return r;
}

/* Return: 1 the step is ended already. */
static int begin_stage(struct stage *st, const char *id, struct err *err)
{
    int r = 0;

    if (id)
        return from_image(st, id, err);
    if (st->base.named) {
        r = from_context(st, err);
        return r < 0 ? r : 1;
    }
    if (st->base.stage)
        from_stage(st, st->base.stage);
    else
        from_nothing(st);
    return r;
}

int step_from(struct stage *st, struct err *err)
{
    const char *platform = st->platform ? st->platform : st->target->text;
    char *id = NULL;
    int r = step_begin(st, st->from_step, err);

    if (r >= 0)
        r = origin_layers(st, &st->base, platform, st->from_step, &st->layers, &id, err);
    if (r < 0)
        return r;
    int begun = begin_stage(st, id, err);
    if (begun < 0)
        return begun;
    st->config = st->image->config;
    forget_container(st);
    st->scope = (struct scope){.a = &st->a,
                               .given = &st->b->rq->args,
                               .outer = &st->target->global,
                               .env = &st->config->env,
                               .total = &st->b->expanded};
    r = add_triggers(st, err);
    return r < 0 || begun > 0 ? r : step_end(st, st->from_step, err);
}
