/*
 * Progress as a picture on a terminal that is drawn anew in place: a line per step with its time,
 * below those that run the bars and the last lines of their output. What does not fit on the screen
 * is left out from the top.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/time.h"
#include "cli/build_steps.h"
#include "cli/units.h"

#define REDRAW_NS (80 * NS_PER_MS)
#define LOG_LINES 6
#define TIME_ROOM 8 /* columns at the end of a line */
#define SIZE_MIN 20

#define BLUE "\033[34m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

struct picture {
    struct buf text;
    size_t width, lines;
    bool color;
};

/* ---- text that fits ---- */

/* Output is drawn, not obeyed: escape sequences go, and what a carriage return wrote over. */
static void clean(const char *text, struct buf *out)
{
    const char *cr;

    while ((cr = strchr(text, '\r')) && cr[1])
        text = cr + 1;
    for (const char *p = text; *p; p++) {
        if (*p == '\033' && p[1] == '[') {
            for (p += 2; *p && !(*p >= '@' && *p <= '~'); p++)
                ;
            if (!*p)
                return;
        } else if (*p == '\t') {
            buf_puts(out, "    ");
        } else if ((unsigned char)*p >= ' ' && *p != 0x7f) {
            buf_putc(out, *p);
        }
    }
}

/* As many whole characters of UTF-8 as @width columns hold. Return: columns taken. */
static size_t put_fitting(struct buf *out, const char *s, size_t width)
{
    size_t used = 0;

    while (*s && used < width) {
        size_t n = 1;
        while (((unsigned char)s[n] & 0xc0) == 0x80)
            n++;
        buf_put(out, s, n);
        s += n;
        used++;
    }
    return used;
}

/* A line, with a time at its right end unless @seconds is negative. */
static void put_line(struct picture *p, const char *text, double seconds, const char *color)
{
    auto_buf struct buf c = BUF_INIT;
    size_t room = p->width - (seconds < 0 ? 1 : TIME_ROOM);

    clean(text, &c);
    buf_puts(&p->text, p->color ? color : "");
    size_t used = put_fitting(&p->text, buf_str(&c), room);
    if (seconds >= 0)
        buf_printf(&p->text, "%*s%6.1fs", (int)(room - used), "", seconds);
    buf_puts(&p->text, p->color && *color ? PLAIN "\033[K\n" : "\033[K\n");
    p->lines++;
}

/* ---- the picture ---- */

static double time_of_step(const struct step *s)
{
    int64_t end = s->completed_ns ? s->completed_ns : now_ns();

    return s->started_ns && end > s->started_ns ? (double)(end - s->started_ns) / 1e9 : 0;
}

static void put_bars(struct picture *p, const struct step *s)
{
    char now[UNITS_TEXT], all[UNITS_TEXT];

    for (size_t i = 0; i < s->bars.n; i++) {
        const struct step_bar *b = &s->bars.v[i];
        auto_buf struct buf text = BUF_INIT;
        buf_printf(&text, " => => %s %s", b->id, b->name);
        if (b->total > 0)
            buf_printf(&text, " %s / %s", units_size((double)b->current, 4, now),
                       units_size((double)b->total, 4, all));
        put_line(p, buf_str(&text), -1, "");
    }
}

static void put_output(struct picture *p, const struct step *s)
{
    size_t n = step_lines(s), from = n > LOG_LINES ? n - LOG_LINES : 0;

    for (size_t i = from; i < n; i++) {
        auto_buf struct buf text = BUF_INIT;
        buf_printf(&text, " => => # %s", step_line(s, i));
        put_line(p, buf_str(&text), -1, "");
    }
}

static bool is_running(const struct step *s)
{
    return s->started_ns && !s->completed_ns;
}

static void put_step(struct picture *p, const struct step *s)
{
    auto_buf struct buf text = BUF_INIT;
    const char *word = s->error ? "ERROR " : s->cached ? "CACHED " : "";

    buf_printf(&text, " => %s%s", word, s->name);
    put_line(p, buf_str(&text), time_of_step(s), s->error ? RED : s->completed_ns ? BLUE : "");
    if (!is_running(s))
        return;
    put_bars(p, s);
    put_output(p, s);
}

static void put_head(struct picture *p, const struct display *d, const char *end)
{
    const struct steps *all = d->steps;
    auto_buf struct buf text = BUF_INIT;
    size_t done = 0;

    for (size_t i = 0; i < all->all.n; i++)
        done += all->all.v[i]->completed_ns && !all->all.v[i]->error;
    buf_printf(&text, "[+] Building %.1fs (%zu/%zu)%s", (double)(mono_ns() - d->began_ns) / 1e9,
               done, all->all.n, end);
    put_line(p, buf_str(&text), -1, "");
}

/* Those that are over go first when there is no room for all. */
static size_t first_shown(const struct steps *all, size_t rows)
{
    size_t need = 1, i = all->all.n;

    while (i > 0 && need < rows) {
        const struct step *s = all->all.v[i - 1];
        size_t lines = step_lines(s) < LOG_LINES ? step_lines(s) : LOG_LINES;
        need += !s->started_ns && !s->completed_ns ? 0 : 1;
        need += is_running(s) ? s->bars.n + lines : 0;
        if (need >= rows)
            break;
        i--;
    }
    return i;
}

static void draw(struct display *d, const char *end)
{
    struct winsize ws = {0};
    struct picture p = {.text = BUF_INIT, .color = str_empty(getenv("NO_COLOR"))};

    (void)ioctl(fileno(d->to), TIOCGWINSZ, &ws);
    p.width = ws.ws_col > SIZE_MIN ? ws.ws_col : ws.ws_col ? SIZE_MIN : 80;
    if (d->height)
        buf_printf(&p.text, "\033[%zuA\r", d->height);
    put_head(&p, d, end);
    for (size_t i = *end ? 0 : first_shown(d->steps, ws.ws_row > 3 ? ws.ws_row - 1u : 24);
         i < d->steps->all.n; i++)
        if (d->steps->all.v[i]->started_ns || d->steps->all.v[i]->completed_ns)
            put_step(&p, d->steps->all.v[i]);
    buf_puts(&p.text, "\033[J");
    (void)fwrite(p.text.data, 1, p.text.len, d->to);
    (void)fflush(d->to);
    d->height = p.lines;
    d->drawn_ns = mono_ns();
    buf_done(&p.text);
}

static void tty_tick(struct display *d)
{
    if (mono_ns() - d->drawn_ns >= REDRAW_NS)
        draw(d, "");
}

static void tty_vertex(struct display *d, struct step *s, bool was_done)
{
    (void)s, (void)was_done;
    tty_tick(d);
}

static void tty_line(struct display *d, struct step *s, const char *text, double at_s)
{
    (void)s, (void)text, (void)at_s;
    tty_tick(d);
}

static void tty_bar(struct display *d, struct step *s, struct step_bar *b, bool is_new)
{
    (void)s, (void)b, (void)is_new;
    tty_tick(d);
}

static void tty_end(struct display *d, bool ok)
{
    draw(d, ok ? " FINISHED" : " ERROR");
}

const struct display_ops display_tty = {
    .vertex = tty_vertex, .line = tty_line, .bar = tty_bar, .tick = tty_tick, .end = tty_end};
