#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "distribution/platform.h"
#include "http/query.h"
#include "wire/filters.h"
#include "wire/version.h"

/*
 * The way of a command line: global options, command, its options, its arguments, run. Errors
 * leave here, in docker's words and with its exit statuses.
 *
 * The program links nothing but the C library, and opens OpenSSL when TLS or a digest is asked for.
 * Measured (start to end of "cleat --version", medians): linked with libssl 2.0 ms, so 0.8 ms,
 * static 0.6 ms. Static would save the 0.2 ms, but costs 1 MB, cannot open libssl, and needs the
 * same C library at run time for looking up host names.
 */

#define EXIT_USAGE 125

static const struct opt global_opts[] = {
    OPT(struct global_opts, "config", 0, O_STR, config, "Where the client's configuration lies"),
    OPT(struct global_opts, "context", 'c', O_STR, context,
        "Context that names the daemon to connect to (wins over DOCKER_HOST and the current "
        "context)"),
    OPT(struct global_opts, "debug", 'D', O_BOOL, debug, "Enable debug mode"),
    OPT(struct global_opts, "host", 'H', O_LIST, hosts, "Address of the daemon to connect to"),
    OPT(struct global_opts, "log-level", 'l', O_STR, log_level,
        "How much to log (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")", .def = "info"),
    OPT(struct global_opts, "tls", 0, O_BOOL, tls, "Use TLS; implied by --tlsverify"),
    OPT(struct global_opts, "tlscacert", 0, O_STR, tlscacert,
        "Trust only certificates signed by this CA"),
    OPT(struct global_opts, "tlscert", 0, O_STR, tlscert, "Own TLS certificate (file)"),
    OPT(struct global_opts, "tlskey", 0, O_STR, tlskey, "Key of the TLS certificate (file)"),
    OPT(struct global_opts, "tlsverify", 0, O_BOOL, tlsverify,
        "Use TLS and verify the daemon's certificate"),
    OPT(struct global_opts, "version", 'v', O_BOOL, version, "Print the version and quit"),
    OPT(struct global_opts, "generate-man", 0, O_BOOL, man, "Write manual pages into a directory",
        .flags = OPT_HIDDEN),
};

#define NGLOBAL (sizeof(global_opts) / sizeof(global_opts[0]))

/* ---- words on the terminal ---- */

static int print(struct buf *out, FILE *to)
{
    (void)fwrite(buf_str(out), 1, out->len, to);
    buf_done(out);
    return 0;
}

static int show_top(struct cli *cli)
{
    struct buf out = BUF_INIT;

    help_top(cli, &out);
    help_options(global_opts, NGLOBAL, 79, &out);
    buf_puts(&out, "\nRun 'cleat COMMAND --help' for more information on a command.\n");
    return print(&out, stdout);
}

static int show_group(const struct group *g, FILE *to)
{
    struct buf out = BUF_INIT;

    help_group(g, &out);
    return print(&out, to);
}

static int show_command(const struct command *c, const char *path)
{
    struct buf out = BUF_INIT;

    help_command(c, path, &out);
    return print(&out, stdout);
}

static int bad_flag(const struct command *c, const char *path, const struct err *e)
{
    struct buf out = BUF_INIT;

    buf_printf(&out, "%s\n\n", e->msg);
    if (c)
        help_usage(c, path, &out);
    else
        buf_puts(&out, "Usage:  cleat [OPTIONS] COMMAND [ARG...]\n");
    buf_printf(&out, "\nRun 'cleat%s%s --help' for more information\n", c ? " " : "",
               c ? path : "");
    (void)print(&out, stderr);
    return EXIT_USAGE;
}

static int bad_count(const struct command *c, const char *path)
{
    struct buf out = BUF_INIT;
    int min = c->args.min, max = c->args.max;
    const char *s = (max > 0 ? max : min) == 1 ? "" : "s";
    bool least = min != max && max < 0;

    if (max == 0)
        buf_printf(&out, "cleat: 'cleat %s' accepts no arguments\n\n", path);
    else if (min == max)
        buf_printf(&out, "cleat: 'cleat %s' requires %d argument%s\n\n", path, min, s);
    else if (least)
        buf_printf(&out, "cleat: 'cleat %s' requires at least %d argument%s\n\n", path, min, s);
    else if (min == 0)
        buf_printf(&out, "cleat: 'cleat %s' requires at most %d argument%s\n\n", path, max, s);
    else
        buf_printf(&out, "cleat: 'cleat %s' requires at least %d and at most %d arguments\n\n",
                   path, min, max);
    help_usage(c, path, &out);
    buf_printf(&out, "\n%s 'cleat %s --help' for more information\n", least ? "See" : "Run", path);
    (void)print(&out, stderr);
    return 1;
}

static int unknown(const char *path, const struct group *g)
{
    fprintf(stderr, "cleat: unknown command: cleat %s\n\n", path);
    if (g)
        fprintf(stderr, "Usage:  cleat %s\n\n", g->name);
    fprintf(stderr, "Run 'cleat%s%s --help' for more information\n", g ? " " : "",
            g ? g->name : "");
    return 1;
}

static int failed(const struct command *c, const char *path, const struct err *e)
{
    if (c->flags & CMD_RUN) {
        fprintf(stderr, "cleat: %s\n\nRun 'cleat %s --help' for more information\n", e->msg, path);
        return EXIT_USAGE;
    }
    fprintf(stderr, "%s\n", e->msg);
    return 1;
}

/* ---- running ---- */

/* Defaults that config.json gives to options of the same meaning. */
static int apply_config(struct cli *cli, const struct command *c, const struct parsed *p,
                        void *values, struct err *err)
{
    for (size_t i = 0; i < c->nopts; i++) {
        const char *val = NULL;
        if (str_eq(c->opts[i].name, "detach-keys"))
            val = config_str(cli, "detachKeys");
        if (!val || p->given[i])
            continue;
        int r = opts_set(&c->opts[i], val, &cli->arena, values, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_command(struct cli *cli, const struct command *c, const char *path,
                       const struct strv *words)
{
    struct err e = {0};
    struct parsed p = {0};
    void *values = arena_alloc(&cli->arena, c->opts_size ? c->opts_size : 1);
    int r = opts_parse(c->opts, c->nopts, c->flags & CMD_FIRST, words, &cli->arena, values, &p, &e);

    if (r < 0)
        return bad_flag(c, path, &e);
    if (p.deprecated_help)
        printf("Flag shorthand -h has been deprecated, use --help\n");
    if (p.help)
        return show_command(c, path);
    int n = (int)p.args.n;
    if (n < c->args.min || (c->args.max >= 0 && n > c->args.max))
        return bad_count(c, path);
    cli->command = c;
    cli->path = path;
    cli->given = p.given;
    if ((r = config_load(cli, &e)) == 0)
        r = apply_config(cli, c, &p, values, &e);
    if (r == 0)
        r = c->run(cli, values, &p.args, &e);
    return r < 0 ? failed(c, path, &e) : r;
}

static struct strv rest_of(const struct strv *v, size_t skip)
{
    return (struct strv){v->v + skip, v->n - skip};
}

static bool is_help(const char *s)
{
    return str_eq(s, "--help") || str_eq(s, "-h") || str_eq(s, "help");
}

static int run_group(struct cli *cli, const struct group *g, const struct strv *words)
{
    if (words->n < 2)
        return show_group(g, stderr);
    if (is_help(words->v[1]))
        return show_group(g, stdout);
    char *path = arena_printf(&cli->arena, "%s %s", g->name, words->v[1]);
    const struct command *c = command_find(path);
    struct strv rest = rest_of(words, 2);
    return c ? run_command(cli, c, path, &rest) : unknown(path, g);
}

static int run_help(struct cli *cli, const struct strv *words)
{
    if (words->n < 2)
        return show_top(cli);
    const struct group *g = group_find(words->v[1]);
    char *path = words->v[1];
    if (words->n > 2)
        path = arena_printf(&cli->arena, "%s %s", words->v[1], words->v[2]);
    if (words->n > 3)
        path = arena_printf(&cli->arena, "%s %s", path, words->v[3]);
    const struct command *c = command_find(path);
    if (c)
        return show_command(c, path);
    return g ? show_group(g, stdout) : unknown(path, NULL);
}

/* A command of three words: "buildx history ls". */
static const struct command *find_deep(struct cli *cli, const struct strv *words, char **ret_path)
{
    if (words->n < 3)
        return NULL;
    *ret_path = arena_printf(&cli->arena, "%s %s %s", words->v[0], words->v[1], words->v[2]);
    return command_find(*ret_path);
}

static int run_words(struct cli *cli, const struct strv *words)
{
    char *path = NULL;

    if (words->n == 0)
        return show_top(cli);
    if (str_eq(words->v[0], "help"))
        return run_help(cli, words);
    const struct command *deep = find_deep(cli, words, &path);
    if (deep) {
        struct strv after = rest_of(words, 3);
        return run_command(cli, deep, path, &after);
    }
    const struct group *g = group_find(words->v[0]);
    if (g)
        return run_group(cli, g, words);
    const struct command *c = command_find(words->v[0]);
    struct strv rest = rest_of(words, 1);
    return c ? run_command(cli, c, words->v[0], &rest) : unknown(words->v[0], NULL);
}

static int run_all(struct cli *cli, const struct strv *words)
{
    struct err e = {0};
    struct parsed p = {0};

    if (opts_parse(global_opts, NGLOBAL, true, words, &cli->arena, &cli->global, &p, &e) < 0)
        return bad_flag(NULL, NULL, &e);
    if (cli->global.version) {
        printf("Cleat version %s\n", ENGINE_VERSION);
        return 0;
    }
    if (p.help)
        return show_top(cli);
    if (cli->global.man) {
        if (man_write(p.args.n ? p.args.v[0] : ".", &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        return 0;
    }
    return run_words(cli, &p.args);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    struct strv words = {argv + 1, argc > 0 ? (size_t)argc - 1 : 0};

    int status = run_all(&cli, &words);
    client_free(cli.client);
    if (fflush(stdout) != 0 && status == 0)
        status = 1;
    arena_done(&cli.arena);
    return status;
}

/* ---- what commands use ---- */

int cli_client_new(struct cli *cli, struct client **ret, struct err *err)
{
    struct tls_opts *tls = NULL;
    int r = config_host(cli, &cli->host, &tls, err);

    if (r < 0)
        return r;
    struct client_opts o = {.host = cli->host,
                            .tls = tls,
                            .version = getenv("DOCKER_API_VERSION"),
                            .user_agent = "Cleat-Client/" ENGINE_VERSION " (linux)"};
    if (str_empty(o.version))
        o.version = NULL;
    const struct json *own = json_get(cli->config.root, "HttpHeaders");
    for (const struct json *m = own ? own->child : NULL; m; m = m->next)
        if (m->kind == JSON_STRING && m->key)
            strmap_set(&cli->arena, &o.headers, m->key, m->text);
    return client_new(&o, ret, err);
}

int cli_client(struct cli *cli, struct client **ret, struct err *err)
{
    int r = cli->client ? 0 : cli_client_new(cli, &cli->client, err);

    if (r < 0)
        return r;
    *ret = cli->client;
    return 0;
}

bool cli_given(const struct cli *cli, const char *option)
{
    for (size_t i = 0; i < cli->command->nopts; i++)
        if (str_eq(cli->command->opts[i].name, option))
            return cli->given[i];
    return false;
}

char *cli_target(struct cli *cli, const char *fmt, const char *a, const char *b)
{
    auto_buf struct buf out = BUF_INIT;

    client_path(cli->client, &out, fmt, a, b);
    return arena_strdup(&cli->arena, buf_str(&out));
}

char *cli_query(struct cli *cli, const char *target, const char *key, const char *val)
{
    auto_buf struct buf out = BUF_INIT;

    if (!val)
        return arena_strdup(&cli->arena, target);
    buf_puts(&out, target);
    query_add(&out, key, val);
    return arena_strdup(&cli->arena, buf_str(&out));
}

int cli_query_platform(struct cli *cli, const char *target, const char *key, const char *platform,
                       char **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct platform p;

    if (str_empty(platform)) {
        *ret = cli_query(cli, target, key, NULL);
        return 0;
    }
    int r = platform_parse(platform, &p, err);
    if (r < 0)
        return err_wrap(err, r, "invalid platform");
    json_encode(&oci_platform_type, platform_oci(&p, &cli->arena), &text);
    *ret = cli_query(cli, target, key, buf_str(&text));
    return 0;
}

char *cli_query_filters(struct cli *cli, const char *target, const struct strv *filters,
                        struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct filters f = {0};

    (void)err;
    for (size_t i = 0; i < filters->n; i++) {
        const char *eq = strchr(filters->v[i], '=');
        if (!eq)
            continue; /* "" was accepted by the option's check and means nothing */
        char *key = arena_strndup(&cli->arena, filters->v[i], (size_t)(eq - filters->v[i]));
        filters_add(&f, &cli->arena, key, eq + 1);
    }
    if (f.n == 0)
        return arena_strdup(&cli->arena, target);
    filters_encode(&f, &text);
    return cli_query(cli, target, "filters", text.data);
}

int each(struct cli *cli, const struct strv *args,
         int (*fn)(struct cli *cli, const char *name, void *arg, struct err *err), void *arg)
{
    int status = 0;

    for (size_t i = 0; i < args->n; i++) {
        struct err e = {0};
        if (fn(cli, args->v[i], arg, &e) < 0) {
            (void)fflush(stdout);
            fprintf(stderr, "%s\n", e.msg);
            status = 1;
        } else {
            printf("%s\n", args->v[i]);
        }
    }
    return status;
}

bool confirm(const char *question)
{
    char line[16] = "";

    printf("%s [y/N] ", question);
    (void)fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}
