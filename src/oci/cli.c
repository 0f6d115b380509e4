/* Options, the table of commands, and where errors and warnings go. */
#include "oci/cli-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "base/time.h"

#define DEFAULT_ROOT "/run/cleat-oci"
#define O(m) offsetof(struct cli, m)

static const struct cli_opt global_opts[] = {
    {"debug", 0, CLI_BOOL, O(debug), NULL, "more messages"},
    {"log", 0, CLI_STR, O(log), "FILE", "write messages there, too"},
    {"log-format", 0, CLI_STR, O(log_format), "text|json", "format of --log"},
    {"root", 0, CLI_STR, O(root), "DIR", "where states are kept (" DEFAULT_ROOT ")"},
    {"systemd-cgroup", 0, CLI_BOOL, O(systemd_cgroup), NULL, "cgroups by systemd (not built)"},
    {"rootless", 0, CLI_IGNORED, 0, "auto|true|false", "ignored"},
    {"criu", 0, CLI_IGNORED, 0, "FILE", "ignored"},
    {"version", 'v', CLI_BOOL, O(version), NULL, "print the version"},
    {NULL, 0, CLI_BOOL, 0, NULL, NULL},
};

static const struct command commands[] = {
    {"create", "ID", "make a container", cmd_create},
    {"delete", "ID", "remove a container that has ended", cmd_delete},
    {"exec", "ID COMMAND [ARG...]", "run a further process in a container", cmd_exec},
    {"features", "", "what this runtime can do, as JSON", cmd_features},
    {"kill", "ID [SIGNAL]", "signal a container (SIGTERM)", cmd_kill},
    {"list", "", "list the containers below --root", cmd_list},
    {"pause", "ID", "freeze all processes of a container", cmd_pause},
    {"ps", "ID [PS OPTION...]", "list the processes of a container", cmd_ps},
    {"resume", "ID", "continue a paused container", cmd_resume},
    {"run", "ID", "create and start a container", cmd_run},
    {"spec", "", "write an example config.json", cmd_spec},
    {"start", "ID", "start a created container", cmd_start},
    {"state", "ID", "print the state of a container", cmd_state},
    {"update", "ID", "change the limits of a container", cmd_update},
    {NULL, NULL, NULL, NULL},
};

/* ---- messages ---- */

static void log_json(int fd, const char *level, const char *msg)
{
    auto_buf struct buf b = BUF_INIT;
    struct json_w w = {.out = &b};
    char when[TIME_TEXT];

    json_w_obj(&w);
    json_w_key(&w, "level");
    json_w_str(&w, level);
    json_w_key(&w, "msg");
    json_w_str(&w, msg);
    json_w_key(&w, "time");
    json_w_str(&w, time_rfc3339(now_ns(), when));
    json_w_end_obj(&w);
    buf_putc(&b, '\n');
    (void)!write_full(fd, b.data, b.len);
}

static void log_text(int fd, const char *level, const char *msg)
{
    auto_buf struct buf b = BUF_INIT;
    char when[TIME_TEXT];

    buf_printf(&b, "time=\"%s\" level=%s msg=", time_rfc3339(now_ns(), when), level);
    json_quote(&b, msg, strlen(msg));
    buf_putc(&b, '\n');
    (void)!write_full(fd, b.data, b.len);
}

void cli_log(const struct cli *cli, const char *level, const char *msg)
{
    auto_close int fd = -1;

    if (!str_empty(cli->log))
        fd = open(cli->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && str_eq(cli->log_format, "json"))
        log_json(fd, level, msg);
    else if (fd >= 0)
        log_text(fd, level, msg);
    (void)dprintf(2, "cleat-oci: %s%s\n", str_eq(level, "warning") ? "warning: " : "", msg);
}

void cli_warnings(const struct cli *cli, unsigned warnings)
{
    for (unsigned bit = 1; bit && bit <= warnings; bit <<= 1)
        if (warnings & bit)
            cli_log(cli, "warning", oci_warning_text((enum oci_warning)bit));
}

/* ---- options ---- */

static const struct cli_opt *find(const struct cli_opt *t, const char *name, size_t n)
{
    for (; t->name; t++)
        if ((strlen(t->name) == n && strncmp(t->name, name, n) == 0) ||
            (n == 1 && t->letter == *name))
            return t;
    return NULL;
}

static int set_i64(struct arena *a, void *at, const char *name, const char *val, struct err *err)
{
    int64_t *v = arena_new(a, int64_t);

    if (str_to_i64(val, v) < 0)
        return err_invalid(err, "--%s: \"%s\" is not a number", name, val);
    *(int64_t **)at = v;
    return 0;
}

static int set(const struct cli_opt *o, struct arena *a, void *out, const char *val,
               struct err *err)
{
    void *at = (char *)out + o->offset;

    switch (o->kind) {
    case CLI_BOOL:
        *(bool *)at = !str_eq(val, "false");
        break;
    case CLI_STR:
        *(const char **)at = val;
        break;
    case CLI_STRV:
        strv_push(a, at, val);
        break;
    case CLI_I64:
        return set_i64(a, at, o->name, val, err);
    case CLI_IGNORED:
    case CLI_IGNORED_BOOL:
        break;
    }
    return 0;
}

/* One option; *argv stands on it and moves to its last word. */
static int parse_one(const struct cli_opt *table, struct arena *a, void *out, char ***argv,
                     struct err *err)
{
    const char *word = **argv, *name = word + strspn(word, "-"), *eq = strchr(name, '=');
    const struct cli_opt *o = find(table, name, eq ? (size_t)(eq - name) : strlen(name));

    if (!o)
        return err_invalid(err, "flag provided but not defined: %s", word);
    bool flag = o->kind == CLI_BOOL || o->kind == CLI_IGNORED_BOOL;
    if (!eq && !flag) {
        if (!(*argv)[1])
            return err_invalid(err, "flag needs an argument: %s", word);
        ++*argv;
    }
    return set(o, a, out, eq ? eq + 1 : flag ? "true" : **argv, err);
}

int cli_parse(const struct cli_opt *table, struct arena *a, void *out, char ***argv,
              struct err *err)
{
    for (; **argv && ***argv == '-' && (**argv)[1]; ++*argv) {
        if (str_eq(**argv, "--")) {
            ++*argv;
            return 0;
        }
        if (str_eq(**argv, "-h") || str_eq(**argv, "--help"))
            return 1;
        int r = parse_one(table, a, out, argv, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void cli_usage(const struct cli_opt *table, const char *head)
{
    (void)printf("Usage: cleat-oci %s\n\nOptions:\n", head);
    for (; table->name; table++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "%s%c%s --%s %s", table->letter ? "-" : " ",
                       table->letter ? table->letter : ' ', table->letter ? "," : " ", table->name,
                       str_or(table->arg, ""));
        (void)printf("  %-36s %s\n", left, table->help);
    }
}

int cli_one_id(char **argv, const char **ret, struct err *err)
{
    if (!argv[0] || argv[1])
        return err_invalid(err, "exactly one argument is wanted: the container's id");
    *ret = argv[0];
    return state_check_id(argv[0], err);
}

/* ---- main ---- */

static void help(void)
{
    cli_usage(global_opts, "[OPTION...] COMMAND [ARG...]");
    (void)printf("\nCommands:\n");
    for (const struct command *c = commands; c->name; c++)
        (void)printf("  %-10s %-22s %s\n", c->name, c->args, c->help);
}

static int dispatch(struct cli *cli, char **argv, struct err *err)
{
    if (str_eq(argv[0], "help")) {
        help();
        return 0;
    }
    for (const struct command *c = commands; c->name; c++) {
        if (!str_eq(c->name, argv[0]))
            continue;
        if (cli->systemd_cgroup)
            return err_as(err, ERR_NOT_IMPLEMENTED, EOPNOTSUPP,
                          "cgroups by systemd are not implemented");
        return c->run(cli, argv + 1, err);
    }
    return err_invalid(err, "no such command: %s", argv[0]);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.root = DEFAULT_ROOT};
    struct err e = {0};

    (void)argc;
    if (oci_seal_self(argv, &e) < 0)
        cli_log(&cli, "warning", e.msg);
    argv++;
    int r = cli_parse(global_opts, &cli.arena, &cli, &argv, &e);
    if (r == 0 && cli.version) {
        (void)printf("cleat-oci version " CLEAT_VERSION "\nspec: " OCI_VERSION "\n");
        return 0;
    }
    if (r > 0 || (r == 0 && !*argv)) {
        help();
        return 0;
    }
    if (r == 0)
        r = dispatch(&cli, argv, &e);
    if (r < 0) {
        cli_log(&cli, "error", e.msg);
        r = 1;
    }
    arena_done(&cli.arena);
    return r;
}
