#include "build/status.h"

#include <string.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/time.h"
#include "build/check.h"
#include "image/transfers.h"

static char *stamp(struct arena *a, int64_t ns)
{
    char text[TIME_TEXT];

    return ns ? arena_strdup(a, time_rfc3339(ns, text)) : NULL;
}

/* A name for a step that it has from the beginning, unlike its key. */
static char *vertex_of(struct arena *a, const struct build_step *s)
{
    char digest[DIGEST_LEN + 1];
    char *text = arena_printf(a, "%u %s", s->id, s->name);

    sha256_of(text, strlen(text), digest);
    return arena_strdup(a, digest);
}

static char *in_base64(struct arena *a, const char *p, size_t n)
{
    auto_buf struct buf out = BUF_INIT;

    base64_encode(p, n, false, &out);
    return arena_strndup(a, buf_str(&out), out.len);
}

static void put_vertex(struct build_status *st, const struct build_event *e, int64_t now,
                       struct arena *a)
{
    const struct build_step *s = e->step;
    struct build_vertex *v = arena_new(a, struct build_vertex);

    *v = (struct build_vertex){.digest = vertex_of(a, s),
                               .name = arena_strdup(a, s->name),
                               .started = stamp(a, s->started_ns),
                               .completed = stamp(a, s->ended_ns),
                               .cached = s->cached};
    if (e->kind == BUILD_FAILED) {
        v->error = arena_strdup(a, e->text);
        v->completed = stamp(a, now);
        st->excerpt = e->excerpt ? arena_strdup(a, e->excerpt) : NULL;
    }
    arena_push(a, st->vertexes) = v;
}

static void put_log(struct build_status *st, const struct build_event *e, int64_t now,
                    struct arena *a)
{
    struct build_vertex_log *l = arena_new(a, struct build_vertex_log);

    *l = (struct build_vertex_log){.vertex = vertex_of(a, e->step),
                                   .stream = e->stream,
                                   .data = in_base64(a, e->text, e->len),
                                   .timestamp = stamp(a, now)};
    arena_push(a, st->logs) = l;
}

static void put_bar(struct build_status *st, const struct build_event *e, int64_t now,
                    struct arena *a)
{
    const struct transfer_event *t = e->transfer;
    struct build_vertex_status *s = arena_new(a, struct build_vertex_status);

    *s = (struct build_vertex_status){.id = arena_strdup(a, str_or(t->id, "")),
                                      .vertex = vertex_of(a, e->step),
                                      .name = arena_strdup(a, str_or(t->status, "")),
                                      .current = (int64_t)t->current_b,
                                      .total = (int64_t)t->total_b,
                                      .timestamp = stamp(a, now)};
    arena_push(a, st->statuses) = s;
}

static void put_warning(struct build_status *st, const struct check_warning *c, struct arena *a)
{
    struct build_vertex_warning *w = arena_new(a, struct build_vertex_warning);

    *w = (struct build_vertex_warning){.level = 1,
                                       .rule = arena_strdup(a, c->rule),
                                       .short_text = in_base64(a, c->message, strlen(c->message)),
                                       .description = arena_strdup(a, str_or(c->description, "")),
                                       .url = arena_strdup(a, str_or(c->url, "")),
                                       .line = c->line,
                                       .end_line = c->end_line};
    arena_push(a, st->warnings) = w;
}

void build_status_of(const struct build_event *e, int64_t now_ns, struct arena *a,
                     struct build_status *ret)
{
    if (e->kind == BUILD_OUTPUT)
        put_log(ret, e, now_ns, a);
    else if (e->kind == BUILD_PULLING)
        put_bar(ret, e, now_ns, a);
    else if (e->kind == BUILD_WARNING)
        put_warning(ret, e->warning, a);
    else if (e->step)
        put_vertex(ret, e, now_ns, a);
    else
        ret->excerpt = (char *)(uintptr_t)e->excerpt;
}
