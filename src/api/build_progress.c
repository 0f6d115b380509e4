#include "api/build-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "build/check.h"
#include "build/status.h"
#include "distribution/reference.h"
#include "image/transfers.h"
#include "wire/build.h"

#define SHORT_ID 12

/* ---- classic text ---- */

static int say(struct build_progress_out *o, const char *text, struct err *err)
{
    struct progress_message m = {.stream = (char *)(uintptr_t)text};

    return o->quiet ? 0 : api_progress(o->resp, &m, err);
}

static int say_step(struct build_progress_out *o, const struct build_step *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    o->last = s;
    int r = say(
        o, arena_printf(&a, "Step %u/%u : %s", s->id + 1, o->steps, o->several ? s->name : s->text),
        err);
    return r < 0 ? r : say(o, "\n", err);
}

/* Stages run at the same time: a line that is not of the step above it says whose it is. */
static int say_output(struct build_progress_out *o, const struct build_event *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    int r = o->last == e->step ? 0 : say_step(o, e->step, err);

    return r < 0 ? r : say(o, arena_strndup(&a, e->text, e->len), err);
}

static int say_done(struct build_progress_out *o, const struct build_step *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    int r = o->last == s ? 0 : say_step(o, s, err);

    if (r >= 0 && s->cached)
        r = say(o, " ---> Using cache\n", err);
    if (r >= 0 && s->key)
        r = say(o, arena_printf(&a, " ---> %.*s\n", SHORT_ID, s->key + 7), err);
    return r;
}

static int tell_classic(struct build_progress_out *o, const struct build_event *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    switch (e->kind) {
    case BUILD_PLANNED:
        o->steps++;
        return 0;
    case BUILD_STARTED:
        return say_step(o, e->step, err);
    case BUILD_OUTPUT:
        return say_output(o, e, err);
    case BUILD_PULLING:
        return o->quiet ? 0 : api_tell_transfer(o->resp, e->transfer, err);
    case BUILD_DONE:
        return say_done(o, e->step, err);
    case BUILD_FAILED:
        return e->excerpt ? say(o, e->excerpt, err) : 0;
    case BUILD_WARNING:
        return say(o, arena_printf(&a, "[Warning] %s: %s\n", e->warning->rule, e->warning->message),
                   err);
    }
    return 0;
}

/* ---- status ---- */

static int send_aux(struct build_progress_out *o, const char *id, const struct json_type *type,
                    const void *obj, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(type, obj, &text);
    struct progress_message m = {.id = (char *)(uintptr_t)id, .aux = {text.data, text.len}};
    return api_progress(o->resp, &m, err);
}

static int tell_status(struct build_progress_out *o, const struct build_event *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_status st = {0};

    build_status_of(e, now_ns(), &a, &st);
    return send_aux(o, BUILD_STATUS_ID, &build_status_type, &st, err);
}

int build_progress_tell(void *ctx, const struct build_event *e, struct err *err)
{
    struct build_progress_out *o = ctx;

    return o->status ? tell_status(o, e, err) : tell_classic(o, e, err);
}

/* ---- the end ---- */

static int say_result(struct build_progress_out *o, const struct build_opts *opts,
                      const struct build_result *res, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_result_message msg = {.image = res->image};
    auto_buf struct buf text = BUF_INIT;

    json_encode(&build_result_message_type, &msg, &text);
    struct progress_message aux = {.aux = {text.data, text.len}};
    int r = o->quiet ? 0 : api_progress(o->resp, &aux, err);
    if (r >= 0)
        r = say(o, arena_printf(&a, "Successfully built %.*s\n", SHORT_ID, res->image + 7), err);
    for (size_t i = 0; r >= 0 && i < opts->tags.n; i++) {
        struct reference ref;
        char name[REF_TEXT_MAX + 1];
        r = reference_parse(opts->tags.v[i], &ref, err);
        if (r < 0)
            return r;
        reference_default_tag(&ref);
        r = say(o, arena_printf(&a, "Successfully tagged %s\n", reference_familiar(&ref, name)),
                err);
    }
    if (r >= 0 && o->quiet) {
        struct progress_message m = {.stream = arena_printf(&a, "%s\n", res->image)};
        r = api_progress(o->resp, &m, err);
    }
    return r;
}

int build_progress_result(struct build_progress_out *o, const struct build_opts *opts,
                          const struct build_result *res, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_result_message msg = {
        .image = res->image, .names = opts->tags, .descriptor = res->top};

    if (!res->image)
        return 0; /* it was only checked */
    for (size_t i = 0; i < res->images.n; i++) {
        const struct build_image *img = &res->images.v[i];
        struct build_result_platform *p = arena_new(&a, struct build_result_platform);
        *p = (struct build_result_platform){img->platform, img->image, img->manifest};
        arena_push(&a, msg.platforms) = p;
    }
    return o->status ? send_aux(o, BUILD_RESULT_ID, &build_result_message_type, &msg, err)
                     : say_result(o, opts, res, err);
}

int build_progress_end(struct build_progress_out *o, int r, const struct build_result *res,
                       struct err *err)
{
    if (r >= 0 || !http_resp_started(o->resp) || !res->exit_code)
        return api_progress_end(o->resp, r, err);
    struct error_detail d = {.code = res->exit_code, .message = err->msg};
    struct progress_message m = {.error_detail = &d, .error = err->msg};
    struct err lost = {0};
    return api_progress(o->resp, &m, &lost) < 0 ? r : http_resp_end(o->resp, err);
}
