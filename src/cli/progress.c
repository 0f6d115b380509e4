#include "cli/progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/cli.h"
#include "cli/units.h"
#include "wire/image.h"

/*
 * Docker's look: a line per id, "id: status [===>   ]  1.2MB/3.4MB"; on a terminal the cursor goes
 * up to the line of the id. Without one, only changes of the status are printed.
 */

#define BAR 50

struct screen {
    struct cli *cli;
    FILE *to;
    bool tty, quiet;
    size_t width;
    struct strv ids; /* lines on the screen, top first */
    char *note;      /* for the end: what a user should know; or NULL */
};

static size_t bar_width(const struct screen *s)
{
    return s->width > 110 ? BAR : s->width > 60 ? s->width - 60 : 0;
}

static void put_bar(const struct screen *s, const struct progress_detail *d, struct buf *out)
{
    char now[UNITS_TEXT], all[UNITS_TEXT];
    size_t width = bar_width(s);

    units_size((double)d->current, 3, now);
    if (d->total <= 0 || d->current > d->total) {
        if (!d->hide_counts)
            buf_printf(out, "%8s", now);
        return;
    }
    size_t done = (size_t)((double)d->current / (double)d->total * (double)width);
    if (width > 0) {
        buf_putc(out, '[');
        for (size_t i = 0; i < width; i++)
            buf_putc(out, i < done ? '=' : i == done ? '>' : ' ');
        buf_puts(out, "]  ");
    }
    if (!d->hide_counts)
        buf_printf(out, "%8s/%s", now, units_size((double)d->total, 3, all));
}

/* The row of an id from the bottom; a new id gets a new line. */
static size_t row_of(struct screen *s, const char *id, bool *is_new)
{
    for (size_t i = 0; i < s->ids.n; i++) {
        if (str_eq(s->ids.v[i], id)) {
            *is_new = false;
            return s->ids.n - i;
        }
    }
    *is_new = true;
    strv_push(&s->cli->arena, &s->ids, id);
    return 0;
}

static void show_line(struct screen *s, const struct progress_message *m)
{
    struct buf line = BUF_INIT;
    bool is_new = true, moved = false;
    size_t up = 0;

    if (s->tty && !str_empty(m->id) && m->progress_detail) {
        up = row_of(s, m->id, &is_new);
        moved = true;
    }
    if (!moved && s->tty)
        s->ids.n = 0; /* a plain line: what is above it stays as it is */
    if (up > 0)
        buf_printf(&line, "\033[%zuA", up);
    if (moved)
        buf_puts(&line, "\033[2K\r");
    if (!str_empty(m->id))
        buf_printf(&line, "%s: ", m->id);
    buf_puts(&line, m->status ? m->status : "");
    if (s->tty && m->progress_detail &&
        (m->progress_detail->current > 0 || m->progress_detail->total > 0)) {
        buf_putc(&line, ' ');
        put_bar(s, m->progress_detail, &line);
    }
    buf_putc(&line, '\n');
    if (up > 1)
        buf_printf(&line, "\033[%zuB", up - 1);
    (void)fwrite(line.data, 1, line.len, s->to);
    (void)fflush(s->to);
    buf_done(&line);
}

/* Without a terminal the many lines of a running bar would only be noise. */
static bool is_noise(const struct screen *s, const struct progress_message *m)
{
    return !s->tty && m->progress_detail &&
           (m->progress_detail->current > 0 || m->progress_detail->total > 0);
}

/* A push of less than the name means. */
static void take_aux(struct screen *s, const struct json_raw *aux, struct arena *a)
{
    struct json *j = NULL;

    if (!aux->text || json_parse(aux->text, aux->len, a, &j, NULL) < 0)
        return;
    const char *from = json_str(json_get(j, "originalIndex"), "digest");
    const char *to = json_str(json_get(j, "selectedManifest"), "digest");
    if (from && to)
        s->note = arena_printf(&s->cli->arena,
                               "\n Info -> not all of the index is here: only the image of one "
                               "platform was pushed\n         %s -> %s\n",
                               from, to);
}

static int show(struct screen *s, const struct progress_message *m, struct err *err)
{
    const char *failed = m->error_detail && !str_empty(m->error_detail->message)
                             ? m->error_detail->message
                             : m->error;

    if (!str_empty(failed))
        return err_as(err, ERR_SYSTEM, EREMOTEIO, "%s", failed);
    if (s->quiet)
        return 0;
    if (!str_empty(m->stream)) {
        (void)fputs(m->stream, s->to);
        (void)fflush(s->to);
        return 0;
    }
    if (!str_empty(m->status) && !is_noise(s, m))
        show_line(s, m);
    return 0;
}

static size_t screen_width(FILE *to)
{
    struct winsize ws = {0};

    return ioctl(fileno(to), TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : 80;
}

int progress_run(struct cli *cli, struct http_reply *reply, bool quiet, bool to_stderr,
                 struct err *err)
{
    struct screen s = {.cli = cli, .to = to_stderr ? stderr : stdout, .quiet = quiet};
    struct json_stream in = {.reply = reply};
    const char *text;
    size_t len;
    int r;

    s.tty = isatty(fileno(s.to));
    s.width = screen_width(s.to);
    while ((r = json_stream_next(&in, &text, &len, err)) > 0) {
        auto_arena struct arena a = ARENA_INIT;
        struct progress_message m = {0};
        r = json_decode(&progress_message_type, text, len, &a, &m, 0, err);
        if (r < 0 || (r = show(&s, &m, err)) < 0)
            break;
        take_aux(&s, &m.aux, &a);
    }
    if (r >= 0 && s.note && !quiet)
        (void)fputs(s.note, s.to);
    json_stream_done(&in);
    return r;
}
