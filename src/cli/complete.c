#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/io.h"
#include "cli/cmd.h"

/*
 * Shell completion and manual pages from the command tables. The scripts hold the words; only names
 * of containers, images, networks and volumes are asked of the daemon while completing.
 */

/* What the arguments of a command are, by its usage text. */
static const char *argument_kind(const struct command *c)
{
    static const struct {
        const char *word, *kind;
    } kinds[] = {
        {"CONTAINER", "containers"}, {"NAME|ID", "containers"}, {"IMAGE", "images"},
        {"REPOSITORY", "images"},    {"NETWORK", "networks"},   {"VOLUME", "volumes"},
        {"CONTEXT", "contexts"},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strstr(c->usage, kinds[i].word))
            return kinds[i].kind;
    return "files";
}

static void put_options(const struct command *c, struct buf *out)
{
    for (size_t i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];
        if (o->flags & OPT_HIDDEN)
            continue;
        buf_printf(out, "--%s ", o->name);
        if (o->letter)
            buf_printf(out, "-%c ", o->letter);
    }
    buf_puts(out, "--help");
}

/* The words that may follow @group ("" at the top). */
static void put_words(const char *group, struct buf *out)
{
    size_t n = strlen(group);

    for (size_t i = 0; all_commands[i]; i++) {
        for (size_t k = 0; all_commands[i]->paths[k]; k++) {
            const char *p = all_commands[i]->paths[k];
            if (n == 0 && !strchr(p, ' '))
                buf_printf(out, "%s ", p);
            else if (n > 0 && strncmp(p, group, n) == 0 && p[n] == ' ')
                buf_printf(out, "%s ", p + n + 1);
        }
    }
    for (const struct group *g = all_groups; n == 0 && g->name; g++)
        buf_printf(out, "%s ", g->name);
}

static void put_bash_cases(struct buf *out)
{
    for (const struct group *g = all_groups; g->name; g++) {
        buf_printf(out, "    '%s') words=\"", g->name);
        put_words(g->name, out);
        buf_puts(out, "\" ;;\n");
    }
    for (size_t i = 0; all_commands[i]; i++) {
        const struct command *c = all_commands[i];
        buf_puts(out, "    ");
        for (size_t k = 0; c->paths[k]; k++)
            buf_printf(out, "%s'%s'", k ? "|" : "", c->paths[k]);
        buf_printf(out, ") kind=%s; opts=\"", argument_kind(c));
        put_options(c, out);
        buf_puts(out, "\" ;;\n");
    }
}

static void put_bash(struct buf *out)
{
    buf_puts(out, "# bash completion for cleat; made by \"cleat completion bash\"\n"
                  "_cleat_names() {\n"
                  "    case $1 in\n"
                  "    containers) cleat ps -a --format '{{.Names}}' 2>/dev/null ;;\n"
                  "    images) cleat images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null ;;\n"
                  "    networks) cleat network ls --format '{{.Name}}' 2>/dev/null ;;\n"
                  "    volumes) cleat volume ls --format '{{.Name}}' 2>/dev/null ;;\n"
                  "    contexts) cleat context ls --format '{{.Name}}' 2>/dev/null ;;\n"
                  "    esac\n"
                  "}\n"
                  "_cleat() {\n"
                  "    local cur=${COMP_WORDS[COMP_CWORD]} path='' words='' kind='' opts='' i w\n"
                  "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                  "        w=${COMP_WORDS[i]}\n"
                  "        case $w in -*) continue ;; esac\n"
                  "        case \" ");
    for (const struct group *g = all_groups; g->name; g++)
        buf_printf(out, "%s ", g->name);
    buf_puts(out, "\" in *\" $w \"*) [ -z \"$path\" ] && path=$w && continue ;; esac\n"
                  "        path=\"${path:+$path }$w\"; break\n"
                  "    done\n"
                  "    case $path in\n"
                  "    '') words=\"");
    put_words("", out);
    buf_puts(out, "\" ;;\n");
    put_bash_cases(out);
    buf_puts(out, "    esac\n"
                  "    if [ -n \"$words\" ]; then\n"
                  "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                  "    elif [[ $cur == -* ]]; then\n"
                  "        COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
                  "    elif [ \"$kind\" = files ]; then\n"
                  "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                  "    else\n"
                  "        COMPREPLY=($(compgen -W \"$(_cleat_names $kind)\" -- \"$cur\"))\n"
                  "    fi\n"
                  "}\n"
                  "complete -F _cleat cleat\n");
}

/* zsh runs bash's script in its own emulation of it. */
static void put_zsh(struct buf *out)
{
    buf_puts(out, "#compdef cleat\nautoload -U +X bashcompinit && bashcompinit\n");
    put_bash(out);
}

/* Single quotes and backslashes need care inside fish's single quotes. */
static void put_fish_text(const char *s, struct buf *out)
{
    for (; *s && *s != '\n'; s++) {
        if (*s == '\'' || *s == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *s);
    }
}

static void put_fish_options(const struct command *c, const char *seen, struct buf *out)
{
    for (size_t i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];
        if (o->flags & OPT_HIDDEN)
            continue;
        buf_printf(out, "complete -c cleat -n '%s' -l %s", seen, o->name);
        if (o->letter)
            buf_printf(out, " -s %c", o->letter);
        buf_puts(out, o->kind == O_BOOL ? " -d '" : " -r -d '");
        put_fish_text(o->help, out);
        buf_puts(out, "'\n");
    }
}

static void put_fish_command(const struct command *c, struct buf *out)
{
    for (size_t k = 0; c->paths[k]; k++) {
        char seen[160];
        const char *p = c->paths[k], *blank = strchr(p, ' ');
        int n = (int)(blank ? blank - p : 0);

        buf_puts(out, "complete -c cleat -f -n '");
        if (blank)
            buf_printf(out, "__fish_seen_subcommand_from %.*s", n, p);
        else
            buf_puts(out, "__fish_use_subcommand");
        buf_printf(out, "' -a '%s' -d '", blank ? blank + 1 : p);
        put_fish_text(c->help, out);
        buf_puts(out, "'\n");
        if (blank)
            (void)snprintf(seen, sizeof(seen),
                           "__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s",
                           n, p, blank + 1);
        else
            (void)snprintf(seen, sizeof(seen), "__fish_seen_subcommand_from %s", p);
        put_fish_options(c, seen, out);
    }
}

static void put_fish(struct buf *out)
{
    for (const struct group *g = all_groups; g->name; g++)
        buf_printf(out, "complete -c cleat -f -n __fish_use_subcommand -a %s -d '%s'\n", g->name,
                   g->help);
    for (size_t i = 0; all_commands[i]; i++)
        put_fish_command(all_commands[i], out);
}

int completion_write(const char *shell, struct buf *out, struct err *err)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        put_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        put_fish(out);
    else
        return err_invalid(err, "no completion for shell \"%s\": want bash, zsh or fish", shell);
    return 0;
}

/* ---- manual pages ---- */

/* roff takes '-' for a hyphen, '.' and ''' at a line's start for a request. */
static void put_roff(const char *s, struct buf *out)
{
    for (bool start = true; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            buf_puts(out, "\\&");
        start = *s == '\n';
        if (*s == '-')
            buf_puts(out, "\\-");
        else if (*s == '\\')
            buf_puts(out, "\\e");
        else if (*s == '\n')
            buf_puts(out, "\n.br\n");
        else
            buf_putc(out, *s);
    }
}

static bool says_something(const char *def)
{
    static const char *const plain[] = {"", "0", "0s", "false", "[]", "map[]"};

    for (size_t i = 0; def && i < sizeof(plain) / sizeof(plain[0]); i++)
        if (strcmp(def, plain[i]) == 0)
            return false;
    return def != NULL;
}

static void put_man_option(const struct opt *o, struct buf *out)
{
    buf_puts(out, ".TP\n");
    if (o->letter)
        buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
    buf_puts(out, "\\fB\\-\\-");
    put_roff(o->name, out);
    buf_puts(out, "\\fR");
    if (*opt_type(o))
        buf_printf(out, " \\fI%s\\fR", opt_type(o));
    buf_putc(out, '\n');
    put_roff(o->help, out);
    if (says_something(o->def)) {
        buf_puts(out, " (default ");
        put_roff(o->def, out);
        buf_putc(out, ')');
    }
    buf_putc(out, '\n');
}

static void put_man(const struct command *c, const char *name, struct buf *out)
{
    buf_printf(out, ".TH \"%s\" 1 \"\" \"Cleat %s\" \"Cleat manual\"\n.SH NAME\n", name,
               CLEAT_VERSION);
    put_roff(name, out);
    buf_puts(out, " \\- ");
    put_roff(c->help, out);
    buf_puts(out, "\n.SH SYNOPSIS\n");
    for (size_t k = 0; c->paths[k]; k++) {
        buf_printf(out, "%s\\fBcleat %s\\fR ", k ? ".br\n" : "", c->paths[k]);
        put_roff(c->usage, out);
        buf_putc(out, '\n');
    }
    if (c->nopts > 0)
        buf_puts(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < c->nopts; i++)
        if (!(c->opts[i].flags & OPT_HIDDEN))
            put_man_option(&c->opts[i], out);
    buf_puts(out, ".SH SEE ALSO\n\\fBcleat\\fR(1)\n");
}

static void page_name(const char *path, char *out, size_t n)
{
    (void)snprintf(out, n, "cleat-%s", path);
    for (char *p = out; *p; p++)
        *p = *p == ' ' ? '-' : *p;
}

static int write_page(int dir, const char *name, const struct buf *text, struct err *err)
{
    char file[120];

    (void)snprintf(file, sizeof(file), "%s.1", name);
    return write_file_at(dir, file, 0644, text->data, text->len, false, err);
}

/* A command's other names are pages that lead to the main one's. */
static int write_aliases(int dir, const struct command *c, struct err *err)
{
    char name[100], alias[100];
    int r = 0;

    page_name(c->paths[0], name, sizeof(name));
    for (size_t k = 1; r == 0 && c->paths[k]; k++) {
        auto_buf struct buf out = BUF_INIT;
        buf_printf(&out, ".so man1/%s.1\n", name);
        page_name(c->paths[k], alias, sizeof(alias));
        r = write_page(dir, alias, &out, err);
    }
    return r;
}

static int write_overview(int dir, struct err *err)
{
    auto_buf struct buf out = BUF_INIT;

    buf_printf(&out,
               ".TH \"cleat\" 1 \"\" \"Cleat %s\" \"Cleat manual\"\n.SH NAME\ncleat \\- run and "
               "manage containers\n.SH SYNOPSIS\n\\fBcleat\\fR [OPTIONS] COMMAND [ARG...]\n"
               ".SH COMMANDS\n",
               CLEAT_VERSION);
    for (size_t i = 0; all_commands[i]; i++) {
        char name[100];
        page_name(all_commands[i]->paths[0], name, sizeof(name));
        buf_puts(&out, ".TP\n\\fB");
        put_roff(name, &out);
        buf_puts(&out, "\\fR(1)\n");
        put_roff(all_commands[i]->help, &out);
        buf_putc(&out, '\n');
    }
    return write_page(dir, "cleat", &out, err);
}

int man_write(const char *dir, struct err *err)
{
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "mkdir %s", dir);
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", dir);
    for (size_t i = 0; all_commands[i]; i++) {
        auto_buf struct buf out = BUF_INIT;
        char name[100];
        page_name(all_commands[i]->paths[0], name, sizeof(name));
        put_man(all_commands[i], name, &out);
        int r = write_page(fd, name, &out, err);
        if (r == 0)
            r = write_aliases(fd, all_commands[i], err);
        if (r < 0)
            return r;
    }
    return write_overview(fd, err);
}
