#include "cli/list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "cli/table.h"
#include "cli/tmpl.h"
#include "cli/units.h"

#define MINWIDTH 10
#define PADDING 3

/* "\t" and "\n" as people type them in a shell. */
static char *unescape(struct arena *a, const char *s)
{
    char *out = arena_alloc(a, strlen(s) + 1), *to = out;

    for (; *s; s++) {
        if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n')) {
            *to++ = s[1] == 't' ? '\t' : '\n';
            s++;
        } else {
            *to++ = *s;
        }
    }
    return out;
}

static int exec(struct list *l, const struct json *row, const struct strmap *labels, bool header,
                struct err *err)
{
    struct tmpl_data d = {.root = row, .type = l->type, .labels = labels, .header = header};
    int r = tmpl_exec(l->tmpl, &d, l->a, &l->out, err);

    if (r < 0)
        return err_wrap(err, r,
                        str_eq(l->type, "*formatter.ContainerContext")
                            ? "failed to execute template"
                            : "template parsing error"); /* docker's words differ, too */
    buf_putc(&l->out, '\n');
    return 0;
}

static int print_header(struct list *l, struct err *err)
{
    list_row(l);
    for (const struct heading *h = l->headings; h->name; h++)
        list_cell(l, h->name, h->header);
    return exec(l, &l->row, NULL, true, err);
}

int list_begin(struct list *l, struct arena *a, const char *format, const char *otherwise,
               const struct heading *headings, struct err *err)
{
    const char *f = str_or(format, otherwise);

    if (str_eq(f, "table"))
        f = otherwise;
    if (str_eq(f, "json"))
        f = "{{json .}}";
    const char *rest = str_starts(f, "table ");
    *l = (struct list){.a = a, .headings = headings, .table = rest != NULL};
    while (headings->name)
        headings++;
    l->type = headings->header;
    int r = tmpl_parse(unescape(a, rest ? rest : f), a, &l->tmpl, err);
    if (r < 0)
        return err_wrap(err, r, "failed to parse template");
    return l->table ? print_header(l, err) : 0;
}

void list_row(struct list *l)
{
    l->row = (struct json){.kind = JSON_OBJECT};
    l->last = NULL;
}

/* Rows are kept in the order of their names: that is how {{json .}} shows them. */
static void insert(struct list *l, struct json *cell)
{
    struct json **at = &l->row.child;

    while (*at && strcmp((*at)->key, cell->key) < 0)
        at = &(*at)->next;
    cell->next = *at;
    *at = cell;
    l->row.n++;
}

static struct json *new_cell(struct list *l, const char *name, enum json_kind kind)
{
    struct json *j = arena_new(l->a, struct json);

    j->kind = kind;
    j->key = name;
    return j;
}

void list_cell(struct list *l, const char *name, const char *text)
{
    struct json *j = new_cell(l, name, JSON_STRING);

    j->text = arena_strdup(l->a, text ? text : "");
    j->n = (uint32_t)strlen(j->text);
    insert(l, j);
}

void list_cellf(struct list *l, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    list_cell(l, name, arena_vprintf(l->a, fmt, ap));
    va_end(ap);
}

void list_bool(struct list *l, const char *name, bool yes)
{
    insert(l, new_cell(l, name, yes ? JSON_TRUE : JSON_FALSE));
}

void list_null(struct list *l, const char *name)
{
    insert(l, new_cell(l, name, JSON_NULL));
}

int list_row_end(struct list *l, const struct strmap *labels, struct err *err)
{
    static const struct strmap none = {0};

    return exec(l, &l->row, labels ? labels : &none, false, err);
}

void list_text(struct list *l, struct buf *out)
{
    if (l->table)
        table_align(buf_str(&l->out), MINWIDTH, PADDING, out);
    else
        buf_put(out, buf_str(&l->out), l->out.len);
    buf_done(&l->out);
}

void list_done(struct list *l)
{
    buf_done(&l->out);
}

void list_end(struct list *l)
{
    struct buf out = BUF_INIT;

    list_text(l, &out);
    (void)fwrite(buf_str(&out), 1, out.len, stdout);
    buf_done(&out);
}

bool list_wants(const char *format, const char *placeholder)
{
    const char *at = format ? strstr(format, placeholder) : NULL;
    size_t n = strlen(placeholder);

    for (; at; at = strstr(at + 1, placeholder))
        if (!(at[n] >= 'A' && at[n] <= 'Z') && !(at[n] >= 'a' && at[n] <= 'z'))
            return true;
    return false;
}

/* ---- cells ---- */

char *cell_printable(struct arena *a, const char *text)
{
    char *out = arena_strdup(a, text);

    for (char *c = out; *c; c++)
        *c = *c > ' ' && *c < 0x7f ? *c : '?';
    return out;
}

char *cell_short_id(struct arena *a, const char *id, bool whole)
{
    const char *hex = str_starts(id, "sha256:");

    if (whole)
        return arena_strdup(a, id ? id : "");
    hex = hex ? hex : id ? id : "";
    return arena_strndup(a, hex, strnlen(hex, 12));
}

char *cell_cut(struct arena *a, const char *s, size_t width)
{
    size_t chars = 0, keep = 0, i = 0;

    for (; s[i]; i++) {
        if (((unsigned char)s[i] & 0xc0) == 0x80)
            continue;
        if (++chars == width)
            keep = i;
    }
    if (chars <= width)
        return arena_strdup(a, s);
    return arena_printf(a, "%.*s\xe2\x80\xa6", (int)keep, s);
}

char *cell_labels(struct arena *a, const struct strmap *labels)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < labels->n; i++)
        buf_printf(&b, "%s%s=%s", i ? "," : "", labels->v[i].key, labels->v[i].val);
    char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

char *cell_time(struct arena *a, int64_t unix_s)
{
    char text[64] = "";
    time_t t = unix_s;
    struct tm tm;

    if (localtime_r(&t, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &tm);
    return arena_strdup(a, text);
}

char *cell_rfc3339(struct arena *a, int64_t unix_s)
{
    char text[64] = "", zone[16] = "";
    time_t t = unix_s;
    struct tm tm;

    if (!localtime_r(&t, &tm))
        return arena_strdup(a, "");
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)strftime(zone, sizeof(zone), "%z", &tm);
    return tm.tm_gmtoff == 0 ? arena_printf(a, "%sZ", text)
                             : arena_printf(a, "%s%.3s:%s", text, zone, zone + 3);
}

char *cell_ago(struct arena *a, int64_t unix_s)
{
    char text[64];

    return arena_printf(a, "%s ago", duration_human(now_ns() - unix_s * NS_PER_S, text));
}

char *cell_size(struct arena *a, double size)
{
    char text[UNITS_TEXT];

    return arena_strdup(a, units_size(size, 3, text));
}
