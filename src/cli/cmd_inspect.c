#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/tmpl.h"

/* cleat inspect and its forms for one kind of object. */

struct inspect_opts {
    char *format, *type;
    bool size, verbose;
    char *scope, *platform;
};

struct kind {
    const char *name, *path, *missing;
};

/* In the order in which a bare name is looked up. */
static const struct kind kinds[] = {
    {"container", "/containers/%s/json", "No such container"},
    {"image", "/images/%r/json", "No such image"},
    {"network", "/networks/%s", "network"},
    {"volume", "/volumes/%s", "no such volume"},
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

int format_check(struct cli *cli, const char *what, const char *name, const char *format)
{
    struct tmpl *t = NULL;
    struct err e = {0};

    if (str_empty(format) || str_eq(format, "json") ||
        tmpl_parse_as(name, format, &cli->arena, &t, &e) == 0)
        return 0;
    fprintf(stderr, "%s: %s\n", what, e.msg);
    return 64;
}

int inspect_check(struct cli *cli, const char *format)
{
    return format_check(cli, "template parsing error", "", format);
}

/* ---- output ---- */

/* An object without its blanks and line ends. */
static void put_compact(struct cli *cli, const char *text, struct buf *out)
{
    struct json *j = NULL;

    if (json_parse(text, strlen(text), &cli->arena, &j, NULL) == 0)
        json_write(j, out);
}

/* The letters that Go escapes in JSON for HTML are shown as they are. */
static void put_unescaped(const char *s, size_t n, struct buf *out)
{
    static const struct {
        const char *code;
        char c;
    } codes[] = {{"\\u003c", '<'}, {"\\u003e", '>'}, {"\\u0026", '&'}};

    for (size_t i = 0; i < n; i++) {
        size_t hit = 3;
        for (size_t k = 0; s[i] == '\\' && k < 3; k++)
            hit = n - i >= 6 && strncmp(s + i, codes[k].code, 6) == 0 ? k : hit;
        if (hit < 3) {
            buf_putc(out, codes[hit].c);
            i += 5;
        } else if (s[i] == '\\' && i + 1 < n) {
            buf_put(out, s + i++, 2);
        } else {
            buf_putc(out, s[i]);
        }
    }
}

static void print_array(const struct strv *texts)
{
    auto_buf struct buf all = BUF_INIT, pretty = BUF_INIT, out = BUF_INIT;

    buf_putc(&all, '[');
    for (size_t i = 0; i < texts->n; i++)
        buf_printf(&all, "%s%s", i ? "," : "", texts->v[i]);
    buf_putc(&all, ']');
    json_pretty(all.data, all.len, "", "    ", &pretty);
    put_unescaped(buf_str(&pretty), pretty.len, &out);
    printf("%s\n", buf_str(&out));
}

static void print_compact(struct cli *cli, const struct strv *texts)
{
    auto_buf struct buf all = BUF_INIT, out = BUF_INIT;

    buf_putc(&all, '[');
    for (size_t i = 0; i < texts->n; i++) {
        if (i)
            buf_putc(&all, ',');
        put_compact(cli, texts->v[i], &all);
    }
    buf_putc(&all, ']');
    put_unescaped(all.data, all.len, &out);
    printf("%s\n", buf_str(&out));
}

/* One line per object; an object that the template does not fit is an error of its own. */
static int print_template(struct cli *cli, const struct strv *texts, const char *format,
                          struct strv *errors, struct err *err)
{
    auto_buf struct buf all = BUF_INIT;
    struct tmpl *t = NULL;
    int r = tmpl_parse(format, &cli->arena, &t, err);

    for (size_t i = 0; r == 0 && i < texts->n; i++) {
        auto_buf struct buf out = BUF_INIT;
        struct json *j = NULL;
        struct err e = {0};
        if ((r = json_parse(texts->v[i], strlen(texts->v[i]), &cli->arena, &j, err)) < 0)
            return r;
        struct tmpl_data d = {.root = j};
        if (tmpl_exec(t, &d, &cli->arena, &out, &e) < 0)
            strv_push(&cli->arena, errors,
                      arena_printf(&cli->arena, "template parsing error: %s", e.msg));
        else
            buf_printf(&all, "%s\n", buf_str(&out));
    }
    if (r == 0)
        printf("%s", all.len ? all.data : "\n");
    return r;
}

int inspect_print(struct cli *cli, const struct strv *texts, const char *format,
                  struct strv *errors, struct err *err)
{
    if (!str_empty(format) && !str_eq(format, "json"))
        return print_template(cli, texts, format, errors, err);
    if (str_eq(format, "json"))
        print_compact(cli, texts);
    else
        print_array(texts);
    return 0;
}

/* ---- looking up ---- */

static char *target(struct cli *cli, const struct kind *k, const char *name,
                    const struct inspect_opts *o)
{
    char *t = cli_target(cli, k->path, name, NULL);

    if (o->size && str_eq(k->name, "container"))
        t = cli_query(cli, t, "size", "1");
    if (o->verbose && str_eq(k->name, "network"))
        t = cli_query(cli, t, "verbose", "true");
    if (!str_empty(o->scope) && str_eq(k->name, "network"))
        t = cli_query(cli, t, "scope", o->scope);
    return t;
}

static int get(struct cli *cli, const struct kind *k, const char *name,
               const struct inspect_opts *o, struct strv *texts, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *t = target(cli, k, name, o);
    bool image = str_eq(k->name, "image");
    int r = image ? cli_query_platform(cli, t, "platform", o->platform, &t, err) : 0;

    if (r >= 0)
        r = call_text(cli, t, &text, err);
    if (r < 0)
        return r;
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.data[--text.len] = '\0';
    strv_push(&cli->arena, texts, buf_str(&text));
    return 0;
}

/* A name of any kind of object. */
static int get_any(struct cli *cli, const char *name, const struct inspect_opts *o,
                   struct strv *texts, struct err *err)
{
    for (size_t i = 0; i < NKINDS; i++) {
        if (!str_empty(o->type) && !str_eq(o->type, kinds[i].name))
            continue;
        err_clear(err);
        int r = get(cli, &kinds[i], name, o, texts, err);
        if (r == 0 || err->kind != ERR_NOT_FOUND || !str_empty(o->type))
            return r;
    }
    return err_not_found(err, "Error: No such object: %s", name);
}

static const struct kind *kind_of(const struct cli *cli)
{
    for (size_t i = 0; i < NKINDS; i++) {
        const char *rest = str_starts(cli->path, kinds[i].name);
        if (rest && *rest == ' ')
            return &kinds[i];
    }
    return NULL;
}

static int check_type(const char *type, struct err *err)
{
    bool known = str_empty(type);

    for (size_t i = 0; i < NKINDS; i++)
        known |= str_eq(type, kinds[i].name);
    return known ? 0 : err_invalid(err, "\"%s\" is not a valid value for --type", type);
}

/* What was found is printed, then what was wrong with the rest. */
static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct inspect_opts *o = opts;
    const struct kind *k = kind_of(cli);
    struct strv texts = {0}, errors = {0};
    int status = inspect_check(cli, o->format);

    if (status)
        return status;
    int r = check_type(o->type, err);
    if (r < 0 || (r = need_client(cli, err)) < 0)
        return r;
    for (size_t i = 0; i < args->n; i++) {
        struct err e = {0};
        r = k ? get(cli, k, args->v[i], o, &texts, &e) : get_any(cli, args->v[i], o, &texts, &e);
        if (r < 0)
            strv_push(&cli->arena, &errors, e.msg);
        if (r < 0 && e.kind == ERR_UNAVAILABLE)
            break;
    }
    r = inspect_print(cli, &texts, o->format, &errors, err);
    (void)fflush(stdout);
    for (size_t i = 0; i < errors.n; i++)
        fprintf(stderr, "%s\n", errors.v[i]);
    return r < 0 ? r : errors.n ? 1 : 0;
}

/* ---- tables ---- */

#define FORMAT OPT(struct inspect_opts, "format", 'f', O_STR, format, FORMAT_HELP_INSPECT)

static const struct opt any_opts[] = {
    FORMAT,
    OPT(struct inspect_opts, "size", 's', O_BOOL, size, "Show file sizes of containers"),
    OPT(struct inspect_opts, "type", 0, O_STR, type, "Only look for this kind of object"),
};
static const struct opt container_opts[] = {
    FORMAT,
    OPT(struct inspect_opts, "size", 's', O_BOOL, size, "Show file sizes"),
};
static const struct opt image_opts[] = {
    FORMAT,
    OPT(struct inspect_opts, "platform", 0, O_STR, platform, "Platform of the image to show"),
};
static const struct opt network_opts[] = {
    FORMAT,
    OPT(struct inspect_opts, "scope", 0, O_STR, scope, "Only look in this scope",
        .flags = OPT_HIDDEN),
    OPT(struct inspect_opts, "verbose", 'v', O_BOOL, verbose, "Show more, for finding faults"),
};
static const struct opt volume_opts[] = {FORMAT};

const struct command cmd_inspect = {
    .paths = (const char *const[]){"inspect", NULL},
    .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
    .help = "Show everything about objects",
    OPTS(any_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, -1},
    .run = run,
};
const struct command cmd_container_inspect = {
    .paths = (const char *const[]){"container inspect", NULL},
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .help = "Show everything about containers",
    OPTS(container_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, -1},
    .run = run,
};
const struct command cmd_image_inspect = {
    .paths = (const char *const[]){"image inspect", NULL},
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .help = "Show everything about images",
    OPTS(image_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, -1},
    .run = run,
};
const struct command cmd_network_inspect = {
    .paths = (const char *const[]){"network inspect", NULL},
    .usage = "[OPTIONS] NETWORK [NETWORK...]",
    .help = "Show everything about networks",
    OPTS(network_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, -1},
    .run = run,
};
const struct command cmd_volume_inspect = {
    .paths = (const char *const[]){"volume inspect", NULL},
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .help = "Show everything about volumes",
    OPTS(volume_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, -1},
    .run = run,
};
