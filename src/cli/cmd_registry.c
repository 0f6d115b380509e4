#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "wire/system.h"

/* cleat login, logout, search. */

#define HUB "https://index.docker.io/v1/"

struct login_opts {
    char *username, *password;
    bool password_stdin;
};

static int read_line(const char *prompt, bool hidden, struct cli *cli, char **ret, struct err *err)
{
    char text[512] = "";
    struct termios old, t;
    bool off = hidden && tcgetattr(0, &old) == 0;

    fprintf(stderr, "%s", prompt);
    if (off) {
        t = old;
        t.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(0, TCSANOW, &t);
    }
    char *got = fgets(text, sizeof(text), stdin);
    if (off) {
        (void)tcsetattr(0, TCSANOW, &old);
        fprintf(stderr, "\n");
    }
    if (!got)
        return err_invalid(err, "Error: Cannot perform an interactive login from a non TTY device");
    text[strcspn(text, "\r\n")] = '\0';
    *ret = arena_strdup(&cli->arena, text);
    return 0;
}

static int ask(struct cli *cli, const struct login_opts *o, struct auth_config *a, struct err *err)
{
    int r = 0;

    a->username = o->username;
    a->password = o->password;
    if (o->password_stdin) {
        auto_buf struct buf text = BUF_INIT;
        if (str_empty(o->username))
            return err_invalid(err, "Must provide --username with --password-stdin");
        if (!str_empty(o->password))
            return err_invalid(err, "conflicting options: cannot specify both --password and "
                                    "--password-stdin");
        if ((r = read_fd(0, 1 << 16, &text, err)) < 0)
            return r;
        a->password = arena_strndup(&cli->arena, buf_str(&text), strcspn(buf_str(&text), "\r\n"));
        return 0;
    }
    if (str_empty(a->username))
        r = read_line("Username: ", false, cli, &a->username, err);
    if (r == 0 && str_empty(a->password))
        r = read_line("Password: ", true, cli, &a->password, err);
    if (r == 0 && (str_empty(a->username) || str_empty(a->password)))
        return err_invalid(err, "username and password must not be empty");
    return r;
}

static int run_login(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct auth_config a = {.server_address =
                                args->n ? args->v[0] : arena_strdup(&cli->arena, HUB)};
    struct auth_response out = {0};
    int r = need_client(cli, err);

    if (r < 0 || (r = ask(cli, opts, &a, err)) < 0)
        return r;
    r = call_post(cli, cli_target(cli, "/auth", NULL, NULL), &auth_config_type, &a,
                  &auth_response_type, &out, err);
    if (r < 0)
        return r;
    if (!str_empty(out.identity_token))
        a.identity_token = out.identity_token;
    if ((r = config_store_auth(cli, a.server_address, &a, err)) < 0)
        return r;
    printf("%s\n", str_or(out.status, "Login Succeeded"));
    return 0;
}

static int run_logout(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const char *server = args->n ? args->v[0] : HUB;

    (void)opts;
    printf("Removing login credentials for %s\n", server);
    return config_store_auth(cli, server, NULL, err);
}

/* ---- search ---- */

struct search_opts {
    struct strv filter;
    char *format;
    int64_t limit;
    bool no_trunc;
};

static const struct heading headings[] = {
    {"Name", "NAME"},           {"Description", "DESCRIPTION"},    {"StarCount", "STARS"},
    {"IsOfficial", "OFFICIAL"}, {NULL, "*registry.searchContext"},
};

static int put_hit(struct list *l, const struct json *hit, bool whole, struct err *err)
{
    const char *text = str_or(json_str(hit, "description"), "");
    const struct json *official = json_get(hit, "is_official");

    list_row(l);
    list_cell(l, "Name", json_str(hit, "name"));
    list_cell(l, "Description", whole ? text : cell_cut(l->a, text, 45));
    list_cellf(l, "StarCount", "%.0f", json_num(json_get(hit, "star_count"), 0));
    list_cell(l, "IsOfficial", official && official->kind == JSON_TRUE ? "[OK]" : "");
    return list_row_end(l, NULL, err);
}

static int run_search(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct search_opts *o = opts;
    auto_buf struct buf text = BUF_INIT;
    struct json *j = NULL;
    auto_list struct list l = {0};
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    char *t = cli_query(cli, cli_target(cli, "/images/search", NULL, NULL), "term", args->v[0]);
    if (o->limit > 0)
        t = cli_query(cli, t, "limit", arena_printf(&cli->arena, "%lld", (long long)o->limit));
    t = cli_query_filters(cli, t, &o->filter, err);
    r = list_begin(&l, &cli->arena, o->format,
                   "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}", headings,
                   err);
    if (r < 0 || (r = call_text(cli, t, &text, err)) < 0 ||
        (r = json_parse(text.data, text.len, &cli->arena, &j, err)) < 0)
        return r;
    for (const struct json *hit = j->child; hit && r == 0; hit = hit->next)
        r = put_hit(&l, hit, o->no_trunc, err);
    if (r == 0)
        list_end(&l);
    return r;
}

static const struct opt login_opts[] = {
    OPT(struct login_opts, "password", 'p', O_STR, password, "Password or token"),
    OPT(struct login_opts, "password-stdin", 0, O_BOOL, password_stdin,
        "Read the password from STDIN"),
    OPT(struct login_opts, "username", 'u', O_STR, username, "User name"),
};
static const struct opt search_opts[] = {
    OPT(struct search_opts, "filter", 'f', O_CUSTOM, filter, FILTER_HELP, .type = "filter",
        .check = check_filter),
    OPT(struct search_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct search_opts, "limit", 0, O_INT, limit, "Show at most so many"),
    OPT(struct search_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
};

const struct command cmd_login = {
    .paths = (const char *const[]){"login", NULL},
    .usage = "[OPTIONS] [SERVER]",
    .help = "Log in to a registry",
    OPTS(login_opts),
    .opts_size = sizeof(struct login_opts),
    .args = {0, 1},
    .run = run_login,
};
const struct command cmd_logout = {
    .paths = (const char *const[]){"logout", NULL},
    .usage = "[SERVER]",
    .help = "Log out from a registry",
    .args = {0, 1},
    .run = run_logout,
};
const struct command cmd_search = {
    .paths = (const char *const[]){"search", NULL},
    .usage = "[OPTIONS] TERM",
    .help = "Search Docker Hub for images",
    OPTS(search_opts),
    .opts_size = sizeof(struct search_opts),
    .args = {1, 1},
    .run = run_search,
};
