#include "cli/pull.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/progress.h"

void ref_split(struct arena *a, const char *ref, char **ret_name, char **ret_tag)
{
    const char *at = strchr(ref, '@');
    const char *slash = strrchr(ref, '/');
    const char *colon = strchr(slash ? slash : ref, ':');
    const char *tag = at ? at : colon, *cut = at && (!colon || at < colon) ? at : colon;

    *ret_name = cut ? arena_strndup(a, ref, (size_t)(cut - ref)) : arena_strdup(a, ref);
    *ret_tag = tag ? arena_strdup(a, tag + 1) : NULL;
}

char *ref_familiar(struct arena *a, const char *ref)
{
    char *name = NULL, *tag = NULL;

    ref_split(a, ref, &name, &tag);
    return tag ? arena_strdup(a, ref) : arena_printf(a, "%s:latest", ref);
}

/* One piece of the path: lower-case words joined by '.', '_', '__' or '-'. */
static bool valid_piece(const char *s, size_t n)
{
    bool mark = true;

    for (size_t i = 0; i < n; i++) {
        bool word = islower((unsigned char)s[i]) || isdigit((unsigned char)s[i]);
        if (!word && (!strchr("._-", s[i]) || (mark && i == 0)))
            return false;
        mark = !word;
    }
    return n > 0 && !mark;
}

static bool has_upper(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isupper((unsigned char)s[i]))
            return true;
    return false;
}

static bool is_host(const char *s, size_t n)
{
    return memchr(s, '.', n) || memchr(s, ':', n) || has_upper(s, n) ||
           (n == 9 && strncmp(s, "localhost", 9) == 0);
}

/* Bytes of the registry's host at the start of a name, 0 when it names none. */
static size_t host_len(const char *name)
{
    size_t n = strcspn(name, "/");

    return name[n] && is_host(name, n) ? n : 0;
}

/* The names of docker.io, which is also the registry of names without a host (@n 0). */
static bool is_hub(const char *name, size_t n)
{
    return n == 0 || (n == 9 && strncmp(name, "docker.io", n) == 0) ||
           (n == 15 && strncmp(name, "index.docker.io", n) == 0);
}

/* The name behind the host: "busybox" is "library/busybox" of docker.io. */
static char *remote_name(struct arena *a, const char *name)
{
    size_t n = host_len(name);
    bool hub = is_hub(name, n);

    name += n + (n > 0);
    return arena_printf(a, "%s%s", hub && !strchr(name, '/') ? "library/" : "", name);
}

static char *full_name(struct arena *a, const char *name)
{
    size_t n = host_len(name);

    bool hub = is_hub(name, n);

    return arena_printf(a, "%.*s/%s", hub ? 9 : (int)n, hub ? "docker.io" : name,
                        remote_name(a, name));
}

static bool valid_tag(const char *s)
{
    if (!isalnum((unsigned char)*s) && *s != '_')
        return false;
    for (size_t i = 0; s[i]; i++)
        if ((!isalnum((unsigned char)s[i]) && !strchr("_.-", s[i])) || i > 127)
            return false;
    return true;
}

static bool valid_digest(const char *s)
{
    const char *hex = str_starts(s, "sha256:");

    return hex && strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64;
}

char *ref_full(struct arena *a, const char *ref)
{
    char *name = NULL, *tag = NULL;

    ref_split(a, ref, &name, &tag);
    return arena_printf(a, "%s%s", full_name(a, name), ref_familiar(a, ref) + strlen(name));
}

static bool valid_name(struct arena *a, const char *name)
{
    struct strv pieces = str_split(a, name + host_len(name) + (host_len(name) > 0), '/');

    for (size_t i = 0; i < pieces.n; i++)
        if (!valid_piece(pieces.v[i], strlen(pieces.v[i])))
            return false;
    return true;
}

int ref_check(const char *ref, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *name = NULL, *tag = NULL;

    ref_split(&a, ref, &name, &tag);
    char *remote = remote_name(&a, name);
    if (has_upper(remote, strlen(remote)))
        return err_invalid(err, "invalid reference format: repository name (%s) must be lowercase",
                           remote);
    bool ok = !tag || (strchr(ref, '@') ? valid_digest(tag) : valid_tag(tag));
    if (!*name || !ok || !valid_name(&a, name))
        return err_invalid(err, "invalid reference format");
    return 0;
}

int pull_image(struct cli *cli, const char *ref, const char *platform, bool all, bool quiet,
               bool to_stderr, struct err *err)
{
    char *name = NULL, *tag = NULL;
    struct http_reply *reply = NULL;
    struct http_call call = {.method = "POST"};

    ref_split(&cli->arena, ref, &name, &tag);
    char *t = cli_query(cli, cli_target(cli, "/images/create", NULL, NULL), "fromImage",
                        full_name(&cli->arena, name));
    if (!all)
        t = cli_query(cli, t, "tag", tag ? tag : "latest");
    if (!str_empty(platform))
        t = cli_query(cli, t, "platform", platform);
    call.target = t;
    strmap_set(&cli->arena, &call.headers, "X-Registry-Auth", config_auth(cli, ref));
    int r = client_open(cli->client, &call, &reply, err);
    if (r < 0)
        return r;
    return progress_run(cli, reply, quiet, to_stderr, err);
}

/* @target: with its query */
static int push(struct cli *cli, const char *ref, const char *target, bool quiet, bool to_stderr,
                struct err *err)
{
    struct http_call call = {.method = "POST", .target = target};
    struct http_reply *reply = NULL;

    strmap_set(&cli->arena, &call.headers, "X-Registry-Auth", config_auth(cli, ref));
    int r = client_open(cli->client, &call, &reply, err);
    return r < 0 ? r : progress_run(cli, reply, quiet, to_stderr, err);
}

static char *push_target(struct cli *cli, const char *ref, bool all)
{
    char *name = NULL, *tag = NULL;

    ref_split(&cli->arena, ref, &name, &tag);
    char *t = cli_target(cli, "/images/%r/push", name, NULL);
    return all ? t : cli_query(cli, t, "tag", str_or(tag, "latest"));
}

int push_image(struct cli *cli, const char *ref, const char *platform, bool all, bool quiet,
               bool to_stderr, struct err *err)
{
    char *t = push_target(cli, ref, all);
    int r = cli_query_platform(cli, t, "platform", platform, &t, err);

    return r < 0 ? r : push(cli, ref, t, quiet, to_stderr, err);
}

int push_by_digest(struct cli *cli, const char *ref, bool quiet, struct err *err)
{
    return push(cli, ref, cli_query(cli, push_target(cli, ref, false), "bydigest", "1"), quiet,
                true, err);
}
