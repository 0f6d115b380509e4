#include "cli/table.h"

#include <stdbool.h>
#include <string.h>

#include "base/arena.h"

/*
 * A column is a run of neighbouring lines that all have a cell there which is ended by a tab; what
 * stands behind the last tab of a line belongs to none. Columns nest, so the work is recursive over
 * runs of lines (Go's text/tabwriter).
 */

struct cell {
    const char *text;
    size_t len, width; /* bytes, characters */
};

struct line {
    struct cell *v;
    size_t n;
};

struct table {
    struct arena arena;
    struct line *lines;
    size_t nlines, minwidth, padding;
    struct {
        size_t *v;
        size_t n;
    } widths;
    struct buf *out;
};

static size_t width_of(const char *s, size_t n)
{
    size_t w = 0;

    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)s[i] & 0xc0) != 0x80; /* not the middle of a UTF-8 sequence */
    return w;
}

static void split_line(struct table *t, struct line *l, const char *s, size_t n)
{
    for (size_t at = 0; at <= n;) {
        const char *tab = memchr(s + at, '\t', n - at);
        size_t len = tab ? (size_t)(tab - s) - at : n - at;
        arena_push(&t->arena, *l) = (struct cell){s + at, len, width_of(s + at, len)};
        at += len + 1;
    }
}

static void print_lines(struct table *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct line *l = &t->lines[i];
        for (size_t k = 0; k < l->n; k++) {
            buf_put(t->out, l->v[k].text, l->v[k].len);
            size_t w = k < t->widths.n ? t->widths.v[k] : 0;
            for (size_t b = l->v[k].width; k + 1 < l->n && b < w; b++)
                buf_putc(t->out, ' ');
        }
        if (i + 1 < t->nlines)
            buf_putc(t->out, '\n');
    }
}

static bool has_column(const struct line *l, size_t column)
{
    return column + 1 < l->n;
}

static void format(struct table *t, size_t from, size_t to)
{
    size_t column = t->widths.n;

    for (size_t i = from; i < to; i++) {
        if (!has_column(&t->lines[i], column))
            continue;
        print_lines(t, from, i);
        from = i;
        size_t width = t->minwidth;
        for (; i < to && has_column(&t->lines[i], column); i++) {
            size_t w = t->lines[i].v[column].width + t->padding;
            width = w > width ? w : width;
        }
        arena_push(&t->arena, t->widths) = width;
        format(t, from, i);
        t->widths.n--;
        from = i--;
    }
    print_lines(t, from, to);
}

void table_align(const char *text, size_t minwidth, size_t padding, struct buf *out)
{
    struct table t = {.minwidth = minwidth, .padding = padding, .out = out};
    size_t n = 1;

    for (const char *p = text; *p; p++)
        n += *p == '\n';
    t.lines = arena_alloc(&t.arena, n * sizeof(*t.lines));
    t.nlines = n;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(text, "\n");
        split_line(&t, &t.lines[i], text, len);
        text += len + (text[len] == '\n');
    }
    format(&t, 0, n);
    arena_done(&t.arena);
}
