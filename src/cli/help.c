#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/cli.h"
#include "cli/cmd.h"

/*
 * Help texts, in the shape that docker's have: pflag's columns and line breaking, cobra's
 * sections. All of it comes from the tables.
 */

#define NAME_WIDTH 11
#define WRAP_SLOP 5
#define WRAP_MIN 24

static size_t help_width(void)
{
    struct winsize ws = {0};

    return ioctl(0, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col - 1U : 79;
}

static void put_blanks(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_putc(out, ' ');
}

/* The first line of @s within @width columns; Return: bytes taken, incl. the blank behind. */
static size_t wrap_line(const char *s, size_t width, size_t slop, size_t *ret_len)
{
    size_t n = strlen(s), w = 0;
    const char *nl = memchr(s, '\n', n < width ? n : width);

    if (nl && nl > s) {
        *ret_len = (size_t)(nl - s);
        return *ret_len + 1;
    }
    *ret_len = n;
    if (width + slop > n)
        return n;
    for (size_t i = 0; i < width; i++)
        if (s[i] == ' ' || s[i] == '\t')
            w = i;
    if (w == 0)
        return n;
    *ret_len = w;
    return w + 1;
}

static void put_wrapped(struct buf *out, const char *s, size_t indent, size_t width)
{
    bool first = true;

    if (width < indent + WRAP_MIN) {
        indent = 16;
        buf_putc(out, '\n');
        put_blanks(out, indent);
    }
    size_t room = width > indent + WRAP_MIN ? width - indent - WRAP_SLOP : WRAP_MIN;
    while (*s) {
        size_t len = 0, used = wrap_line(s, room, WRAP_SLOP, &len);
        if (!first) {
            buf_putc(out, '\n');
            put_blanks(out, indent);
        }
        buf_put(out, s, len);
        s += used;
        first = false;
    }
}

static void put_name(struct buf *out, const struct opt *o)
{
    const char *type = opt_type(o);

    if (o->letter)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (*type)
        buf_printf(out, " %s", type);
}

static void put_text(struct buf *out, const struct opt *o)
{
    buf_puts(out, o->help);
    if (!o->def || str_eq(o->def, "false"))
        return;
    buf_printf(out, o->kind == O_STR ? " (default \"%s\")" : " (default %s)", o->def);
}

static bool takes_h(const struct opt *opts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (opts[i].letter == 'h')
            return true;
    return false;
}

static int by_opt_name(const void *a, const void *b)
{
    return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

void help_options(const struct opt *opts, size_t n, size_t width, struct buf *out)
{
    /* "-h, --help" goes without saying, unless -h is something else. */
    static const struct opt help = {.name = "help", .kind = O_BOOL, .help = "Show this help"};
    const struct opt *sorted[160];
    struct buf name = BUF_INIT, text = BUF_INIT;
    size_t max = 0, shown = 0;

    if (takes_h(opts, n))
        sorted[shown++] = &help;
    for (size_t i = 0; i < n && shown < sizeof(sorted) / sizeof(sorted[0]); i++) {
        if (opts[i].flags & OPT_HIDDEN)
            continue;
        sorted[shown++] = &opts[i];
        buf_clear(&name);
        put_name(&name, &opts[i]);
        max = name.len > max ? name.len : max;
    }
    qsort(sorted, shown, sizeof(sorted[0]), by_opt_name);
    for (size_t i = 0; i < shown; i++) {
        buf_clear(&name);
        buf_clear(&text);
        put_name(&name, sorted[i]);
        put_text(&text, sorted[i]);
        buf_puts(out, buf_str(&name));
        put_blanks(out, max - name.len + 3);
        put_wrapped(out, buf_str(&text), max + 3, width);
        buf_putc(out, '\n');
    }
    buf_done(&name);
    buf_done(&text);
}

void help_usage(const struct command *c, const char *path, struct buf *out)
{
    struct arena a = ARENA_INIT;
    struct strv forms = str_split(&a, c->usage, '\n');

    for (size_t i = 0; i < forms.n; i++)
        buf_printf(out, "%scleat %s%s%s\n", i == 0 ? "Usage:  " : "\t", path,
                   *forms.v[i] ? " " : "", forms.v[i]);
    arena_done(&a);
}

static size_t shown_options(const struct command *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->nopts; i++)
        n += !(c->opts[i].flags & OPT_HIDDEN);
    return n;
}

void help_command(const struct command *c, const char *path, struct buf *out)
{
    help_usage(c, path, out);
    buf_printf(out, "\n%s\n", c->help);
    if (c->paths[1]) {
        buf_puts(out, "\nAliases:\n  ");
        for (size_t i = 0; c->paths[i]; i++)
            buf_printf(out, "%scleat %s", i ? ", " : "", c->paths[i]);
        buf_putc(out, '\n');
    }
    if (shown_options(c) > 0) {
        buf_puts(out, "\nOptions:\n");
        help_options(c->opts, c->nopts, help_width(), out);
    }
}

static void put_entry(struct buf *out, const char *name, const char *help)
{
    buf_printf(out, "  %-*s %s\n", NAME_WIDTH, name, help);
}

struct entry {
    const char *name, *help;
};

static int by_entry_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* The command's name in a group ("" for the top level), or NULL when it is not in it. Of several
 * the first counts: "ls" before its alias "list". */
static const char *name_in(const struct command *c, const char *group)
{
    size_t n = strlen(group);

    for (size_t i = 0; c->paths[i]; i++) {
        const char *p = c->paths[i];
        if (n == 0 && !strchr(p, ' '))
            return p;
        if (n > 0 && strncmp(p, group, n) == 0 && p[n] == ' ')
            return p + n + 1;
    }
    return NULL;
}

static bool is_common(const char *name);

static void put_commands(struct buf *out, const char *group)
{
    struct entry v[160];
    size_t n = 0;

    for (size_t i = 0; all_commands[i] && n < sizeof(v) / sizeof(v[0]); i++) {
        const struct command *c = all_commands[i];
        const char *name = name_in(c, group);
        if (name && !(c->flags & CMD_HIDDEN) && !(*group == '\0' && is_common(name)))
            v[n++] = (struct entry){name, c->help};
    }
    qsort(v, n, sizeof(v[0]), by_entry_name);
    for (size_t i = 0; i < n; i++)
        put_entry(out, v[i].name, v[i].help);
}

void help_group(const struct group *g, struct buf *out)
{
    buf_printf(out, "Usage:  cleat %s COMMAND\n\n%s\n\nCommands:\n", g->name, g->help);
    put_commands(out, g->name);
    buf_printf(out, "\nRun 'cleat %s COMMAND --help' for more information on a command.\n",
               g->name);
}

static const char *const common[] = {"run",     "exec",   "ps",    "build",  "pull",
                                     "push",    "images", "login", "logout", "search",
                                     "version", "info",   NULL};

static bool is_common(const char *name)
{
    for (size_t i = 0; common[i]; i++)
        if (str_eq(common[i], name))
            return true;
    return false;
}

void help_top(struct cli *cli, struct buf *out)
{
    (void)cli;
    buf_puts(out, "Usage:  cleat [OPTIONS] COMMAND\n\nRuns and manages containers\n\n"
                  "Common Commands:\n");
    for (size_t i = 0; common[i]; i++)
        put_entry(out, common[i], command_find(common[i])->help);
    buf_puts(out, "\nManagement Commands:\n");
    for (const struct group *g = all_groups; g->name; g++)
        put_entry(out, g->name, g->help);
    buf_puts(out, "\nCommands:\n");
    put_commands(out, "");
    buf_puts(out, "\nGlobal Options:\n");
}
