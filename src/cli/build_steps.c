#include "cli/build_steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/time.h"

#define LINE_MAX_B (64u << 10) /* longer ones are cut into pieces */

static int64_t time_of(const char *text)
{
    int64_t t = 0;

    return text && time_parse_rfc3339(text, strlen(text), &t) == 0 ? t : 0;
}

static struct step *find(struct steps *s, const char *digest)
{
    for (size_t i = 0; digest && i < s->all.n; i++)
        if (strcmp(s->all.v[i]->digest, digest) == 0)
            return s->all.v[i];
    return NULL;
}

static struct step *find_or_add(struct steps *s, const char *digest, const char *name)
{
    struct step *x = find(s, digest);

    if (x)
        return x;
    x = arena_new(&s->a, struct step);
    x->digest = arena_strdup(&s->a, str_or(digest, ""));
    x->name = arena_strdup(&s->a, str_or(name, "")); /* what is planned comes with its name */
    arena_push(&s->a, s->all) = x;
    return x;
}

static void put_line(struct step *x, const char *text, size_t n, double at_s, struct display *d)
{
    char **slot = &x->tail[x->lines++ % STEP_TAIL];

    free(*slot);
    *slot = xstrndup(text, n);
    d->ops->line(d, x, *slot, at_s);
}

static void flush_partial(struct step *x, struct buf *partial, double at_s, struct display *d)
{
    if (partial->len)
        put_line(x, partial->data, partial->len, at_s, d);
    buf_clear(partial);
}

static double seconds_in(const struct step *x, int64_t at_ns)
{
    return x->started_ns && at_ns > x->started_ns ? (double)(at_ns - x->started_ns) / NS_PER_S : 0;
}

static void take_vertex(struct steps *s, const struct build_vertex *v, struct display *d)
{
    struct step *x = find_or_add(s, v->digest, v->name);
    bool was_done = x->completed_ns != 0;

    x->started_ns = x->started_ns ? x->started_ns : time_of(v->started);
    x->completed_ns = time_of(v->completed);
    x->cached |= v->cached;
    if (v->error && !x->error)
        x->error = arena_strdup(&s->a, v->error);
    for (int i = 0; x->completed_ns && i < 2; i++)
        flush_partial(x, &x->partial[i], seconds_in(x, x->completed_ns), d);
    d->ops->vertex(d, x, was_done);
}

static void take_log(struct steps *s, const struct build_vertex_log *l, struct display *d)
{
    struct step *x = find_or_add(s, l->vertex, NULL);
    struct buf *part = &x->partial[l->stream == 2];
    double at_s = seconds_in(x, time_of(l->timestamp));
    size_t from = 0;
    char *end;

    if (!l->data || base64_decode(l->data, strlen(l->data), part) < 0)
        return;
    while (from < part->len && (end = memchr(part->data + from, '\n', part->len - from))) {
        size_t to = (size_t)(end - part->data);
        put_line(x, part->data + from, to - from, at_s, d);
        from = to + 1;
    }
    buf_drop(part, from);
    if (part->len > LINE_MAX_B)
        flush_partial(x, part, at_s, d);
}

static void take_bar(struct steps *s, const struct build_vertex_status *b, struct display *d)
{
    struct step *x = find_or_add(s, b->vertex, NULL);
    struct step_bar *bar = NULL;
    bool is_new = true;

    for (size_t i = 0; i < x->bars.n && !bar; i++)
        if (str_eq(x->bars.v[i].id, b->id))
            bar = &x->bars.v[i];
    if (!bar) {
        arena_push(&s->a, x->bars) =
            (struct step_bar){.id = arena_strdup(&s->a, str_or(b->id, ""))};
        bar = &x->bars.v[x->bars.n - 1];
    }
    if (str_eq(bar->name, b->name))
        is_new = false;
    else
        bar->name = arena_strdup(&s->a, str_or(b->name, ""));
    bar->current = b->current;
    bar->total = b->total;
    d->ops->bar(d, x, bar, is_new);
}

void steps_update(struct steps *s, const struct build_status *st, struct display *d)
{
    for (size_t i = 0; i < st->vertexes.n; i++)
        take_vertex(s, st->vertexes.v[i], d);
    for (size_t i = 0; i < st->statuses.n; i++)
        take_bar(s, st->statuses.v[i], d);
    for (size_t i = 0; i < st->logs.n; i++)
        take_log(s, st->logs.v[i], d);
}

const struct step *steps_failed(const struct steps *s)
{
    for (size_t i = 0; i < s->all.n; i++)
        if (s->all.v[i]->error)
            return s->all.v[i];
    return NULL;
}

size_t step_lines(const struct step *s)
{
    return s->lines < STEP_TAIL ? s->lines : STEP_TAIL;
}

const char *step_line(const struct step *s, size_t i)
{
    return s->tail[(s->lines - step_lines(s) + i) % STEP_TAIL];
}

void steps_done(struct steps *s)
{
    for (size_t i = 0; i < s->all.n; i++) {
        buf_done(&s->all.v[i]->partial[0]);
        buf_done(&s->all.v[i]->partial[1]);
        for (size_t k = 0; k < STEP_TAIL; k++)
            free(s->all.v[i]->tail[k]);
    }
    arena_done(&s->a);
}
