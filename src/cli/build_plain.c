/*
 * Progress as lines that stay: "#5 [2/3] RUN make", "#5 0.012 text", "#5 DONE 0.1s". Steps that run
 * at the same time take turns; one that is interrupted says "..." and is named again later.
 */
#include "base/time.h"
#include "cli/build_steps.h"
#include "cli/units.h"

static void turn_to(struct display *d, struct step *s)
{
    if (d->current == s)
        return;
    if (d->current)
        fprintf(d->to, "#%u ...\n", d->current->index);
    if (d->any)
        fputc('\n', d->to);
    if (!s->index)
        s->index = ++d->steps->shown;
    fprintf(d->to, "#%u %s\n", s->index, s->name);
    d->current = s;
    d->any = true;
}

static void plain_vertex(struct display *d, struct step *s, bool was_done)
{
    if ((!s->started_ns && !s->completed_ns) || was_done)
        return; /* only planned */
    turn_to(d, s);
    if (!s->completed_ns)
        return;
    if (s->error)
        fprintf(d->to, "#%u ERROR: %s\n", s->index, s->error);
    else if (s->cached)
        fprintf(d->to, "#%u CACHED\n", s->index);
    else
        fprintf(d->to, "#%u DONE %.1fs\n", s->index,
                s->started_ns ? (double)(s->completed_ns - s->started_ns) / NS_PER_S : 0);
    d->current = NULL;
    (void)fflush(d->to);
}

static void plain_line(struct display *d, struct step *s, const char *text, double at_s)
{
    turn_to(d, s);
    fprintf(d->to, "#%u %.3f %s\n", s->index, at_s, text);
    (void)fflush(d->to);
}

/* Of a bar only what it is about; the many lines of its growing would be noise. */
static void plain_bar(struct display *d, struct step *s, struct step_bar *b, bool is_new)
{
    char all[UNITS_TEXT];

    if (!is_new || s->completed_ns)
        return;
    turn_to(d, s);
    fprintf(d->to, "#%u %s%s%s", s->index, b->id, *b->id ? " " : "", b->name);
    if (b->total > 0)
        fprintf(d->to, " %s", units_size((double)b->total, 4, all));
    fputc('\n', d->to);
    (void)fflush(d->to);
}

static void plain_end(struct display *d, bool ok)
{
    (void)ok;
    (void)fflush(d->to);
}

const struct display_ops display_plain = {
    .vertex = plain_vertex, .line = plain_line, .bar = plain_bar, .end = plain_end};

/* ---- nothing ---- */

static void no_vertex(struct display *d, struct step *s, bool was_done)
{
    (void)d, (void)s, (void)was_done;
}

static void no_line(struct display *d, struct step *s, const char *text, double at_s)
{
    (void)d, (void)s, (void)text, (void)at_s;
}

static void no_bar(struct display *d, struct step *s, struct step_bar *b, bool is_new)
{
    (void)d, (void)s, (void)b, (void)is_new;
}

static void no_end(struct display *d, bool ok)
{
    (void)d, (void)ok;
}

const struct display_ops display_none = {
    .vertex = no_vertex, .line = no_line, .bar = no_bar, .end = no_end};
