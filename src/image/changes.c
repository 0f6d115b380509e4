/*
 * The instructions that import and commit take as --change: those of a Dockerfile that only touch
 * the config. One function per instruction; its arguments come as the rest of the line.
 *
 * Words: separated by blanks; quotes group, a backslash takes the next character as it is. The JSON
 * form ("[...]") is tried first where an instruction has one.
 */
#include "image/import.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time.h"

struct change {
    const char *name; /* "CMD" */
    const char *args; /* the rest, without blanks at its ends */
    struct arena *a;
    struct oci_image_config *config;
};

/* ---- words ---- */

static int unclosed(const struct change *c, struct err *err)
{
    return err_invalid(err, "unexpected end of statement while looking for matching quote: %s",
                       c->args);
}

/* Cuts the next word off *@at. Return: 1, 0 at the end, -EINVAL. */
static int next_word(const struct change *c, const char **at, char **ret, struct err *err)
{
    auto_buf struct buf word = BUF_INIT;
    const char *p = *at;
    char quote = '\0';

    while (isspace((unsigned char)*p))
        p++;
    if (!*p)
        return 0;
    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (*p == '\\' && quote != '\'' && p[1])
            buf_putc(&word, *++p);
        else if (*p == quote)
            quote = '\0';
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else
            buf_putc(&word, *p);
    }
    if (quote)
        return unclosed(c, err);
    *at = p;
    *ret = arena_strndup(c->a, buf_str(&word), word.len);
    return 1;
}

static int words(const struct change *c, struct strv *ret, struct err *err)
{
    const char *at = c->args;
    char *word = NULL;
    int r = 0;

    while ((r = next_word(c, &at, &word, err)) > 0)
        strv_push(c->a, ret, word);
    return r;
}

/* ["a", "b"]. Return: 1, 0 when it is no such list. */
static int json_words(const struct change *c, struct strv *ret)
{
    struct json *j = NULL;
    struct strv v = {.v = arena_alloc(c->a, sizeof(char *))};

    if (*c->args != '[' || json_parse(c->args, strlen(c->args), c->a, &j, NULL) < 0 ||
        j->kind != JSON_ARRAY)
        return 0;
    if (j->child)
        v.v = NULL; /* strv_push() wants an array of its own */
    for (const struct json *e = j->child; e; e = e->next) {
        if (e->kind != JSON_STRING)
            return 0;
        strv_push(c->a, &v, e->text);
    }
    *ret = v;
    return 1;
}

static int want_arguments(const struct change *c, struct err *err)
{
    return *c->args ? 0 : err_invalid(err, "%s requires at least one argument", c->name);
}

static int want_one(const struct change *c, struct err *err)
{
    return *c->args ? 0 : err_invalid(err, "%s requires exactly one argument", c->name);
}

/* ---- KEY=VALUE ---- */

typedef void (*put_pair_fn)(const struct change *c, const char *key, const char *val);

/* "NAME VALUE with blanks" is the old form of one pair. */
static int old_pair(const struct change *c, put_pair_fn put, struct err *err)
{
    const char *end = c->args;

    while (*end && !isspace((unsigned char)*end))
        end++;
    const char *val = end;
    while (isspace((unsigned char)*val))
        val++;
    if (!*val)
        return err_invalid(err, "%s must have two arguments", c->name);
    put(c, arena_strndup(c->a, c->args, (size_t)(end - c->args)), val);
    return 0;
}

static int pairs(const struct change *c, put_pair_fn put, struct err *err)
{
    struct strv v = {0};
    int r = want_arguments(c, err);

    if (r >= 0)
        r = words(c, &v, err);
    if (r < 0)
        return r;
    if (!strchr(v.v[0], '='))
        return old_pair(c, put, err);
    for (size_t i = 0; i < v.n; i++) {
        char *eq = strchr(v.v[i], '=');
        if (!eq)
            return err_invalid(err,
                               "Syntax error - can't find = in \"%s\". Must be of the form: "
                               "name=value",
                               v.v[i]);
        *eq = '\0';
        if (!*v.v[i])
            return err_invalid(err, "%s names can not be blank", c->name);
        put(c, v.v[i], eq + 1);
    }
    return 0;
}

static void put_env(const struct change *c, const char *key, const char *val)
{
    strv_env_set(c->a, &c->config->env, arena_printf(c->a, "%s=%s", key, val));
}

static void put_label(const struct change *c, const char *key, const char *val)
{
    strmap_set(c->a, &c->config->labels, key, val);
}

static int do_env(const struct change *c, struct err *err)
{
    return pairs(c, put_env, err);
}

static int do_label(const struct change *c, struct err *err)
{
    return pairs(c, put_label, err);
}

/* ---- commands ---- */

/* The shell form runs through the image's shell. */
static struct strv shell_form(const struct change *c)
{
    struct strv v = {0};

    if (c->config->shell.n) {
        v = strv_clone(c->a, &c->config->shell);
    } else {
        strv_push(c->a, &v, "/bin/sh");
        strv_push(c->a, &v, "-c");
    }
    strv_push(c->a, &v, c->args);
    return v;
}

static int do_cmd(const struct change *c, struct err *err)
{
    (void)err;
    if (!json_words(c, &c->config->cmd))
        c->config->cmd = shell_form(c);
    return 0;
}

static int do_entrypoint(const struct change *c, struct err *err)
{
    (void)err;
    if (!json_words(c, &c->config->entrypoint))
        c->config->entrypoint = shell_form(c);
    return 0;
}

/* ---- single values ---- */

static int do_user(const struct change *c, struct err *err)
{
    c->config->user = arena_strdup(c->a, c->args);
    return want_one(c, err);
}

static int do_stopsignal(const struct change *c, struct err *err)
{
    c->config->stop_signal = arena_strdup(c->a, c->args);
    return want_one(c, err);
}

/* A relative one is below the one before. */
static int do_workdir(const struct change *c, struct err *err)
{
    const char *old = str_or(c->config->working_dir, "/");

    if (*c->args == '/')
        c->config->working_dir = arena_strdup(c->a, c->args);
    else
        c->config->working_dir =
            arena_printf(c->a, "%s%s%s", old, str_ends(old, "/") ? "" : "/", c->args);
    return want_one(c, err);
}

static int do_onbuild(const struct change *c, struct err *err)
{
    int r = want_arguments(c, err);

    if (r < 0)
        return r;
    if (strncasecmp(c->args, "ONBUILD", 7) == 0)
        return err_invalid(err, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (strncasecmp(c->args, "FROM", 4) == 0 || strncasecmp(c->args, "MAINTAINER", 10) == 0)
        return err_invalid(err, "%.*s isn't allowed as an ONBUILD trigger",
                           (int)strcspn(c->args, " \t"), c->args);
    strv_push(c->a, &c->config->on_build, c->args);
    return 0;
}

/* ---- sets ---- */

static void add_to_set(const struct change *c, struct strv *set, const char *s)
{
    if (!strv_has(set, s))
        strv_push(c->a, set, s);
}

static int do_volume(const struct change *c, struct err *err)
{
    struct strv v = {0};
    int r = want_arguments(c, err);

    if (r >= 0 && !json_words(c, &v))
        r = words(c, &v, err);
    for (size_t i = 0; r >= 0 && i < v.n; i++) {
        if (!*v.v[i])
            return err_invalid(err, "VOLUME specified can not be an empty string");
        add_to_set(c, &c->config->volumes, v.v[i]);
    }
    return r;
}

static int port_number(const char *s, uint64_t *ret)
{
    return str_to_u64(s, ret) < 0 || *ret == 0 || *ret > 65535 ? -EINVAL : 0;
}

/* "80", "53/udp", "8000-8010/tcp" */
static int expose(const struct change *c, const char *spec, struct err *err)
{
    char *first = arena_strdup(c->a, spec);
    char *proto = strchr(first, '/'), *last = first;
    uint64_t from = 0, to = 0;

    if (proto)
        *proto++ = '\0';
    char *dash = strchr(first, '-');
    if (dash) {
        *dash = '\0';
        last = dash + 1;
    }
    for (char *p = proto; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (proto && strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0 &&
        strcmp(proto, "sctp") != 0)
        return err_invalid(err, "invalid proto: %s", proto);
    if (port_number(first, &from) < 0 || port_number(last, &to) < 0 || to < from)
        return err_invalid(err, "invalid containerPort: %s", spec);
    for (; from <= to; from++)
        add_to_set(c, &c->config->exposed_ports,
                   arena_printf(c->a, "%llu/%s", (unsigned long long)from, proto ? proto : "tcp"));
    return 0;
}

static int do_expose(const struct change *c, struct err *err)
{
    struct strv v = {0};
    int r = want_arguments(c, err);

    if (r >= 0)
        r = words(c, &v, err);
    for (size_t i = 0; r >= 0 && i < v.n; i++)
        r = expose(c, v.v[i], err);
    return r;
}

/* ---- health ---- */

#define HEALTH_MIN NS_PER_MS

static int health_duration(const char *name, const char *val, int64_t *to, struct err *err)
{
    int64_t ns = 0;

    if (duration_parse(val, &ns) < 0)
        return err_invalid(err, "time: invalid duration \"%s\"", val);
    if (ns < 0 || (ns > 0 && ns < HEALTH_MIN))
        return err_invalid(err, "Interval \"%s\" cannot be less than 1ms", name);
    *to = ns;
    return 0;
}

static int health_flag(struct oci_image_health *h, const char *flag, struct err *err)
{
    const struct {
        const char *name;
        int64_t *to;
    } durations[] = {
        {"interval", &h->interval_ns},
        {"timeout", &h->timeout_ns},
        {"start-period", &h->start_period_ns},
        {"start-interval", &h->start_interval_ns},
    };
    const char *val = str_starts(flag, "--retries=");

    if (val)
        return str_to_i64(val, &h->retries) < 0 || h->retries < 0
                   ? err_invalid(err, "--retries must be a number, at least 0: %s", val)
                   : 0;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        size_t n = strlen(durations[i].name);
        if (strncmp(flag + 2, durations[i].name, n) == 0 && flag[2 + n] == '=')
            return health_duration(durations[i].name, flag + 3 + n, durations[i].to, err);
    }
    return err_invalid(err, "unknown flag: %s", flag);
}

/* "CMD ..." behind the flags, "NONE" without. */
static int health_test(const struct change *c, struct oci_image_health *h, const char *rest,
                       struct err *err)
{
    const char *args = rest + strcspn(rest, " \t");
    size_t n = (size_t)(args - rest);

    while (isspace((unsigned char)*args))
        args++;
    if (n == 4 && strncasecmp(rest, "NONE", 4) == 0) {
        strv_push(c->a, &h->test, "NONE");
        return *args ? err_invalid(err, "HEALTHCHECK NONE takes no arguments") : 0;
    }
    if (n != 3 || strncasecmp(rest, "CMD", 3) != 0)
        return err_invalid(err, "Unknown type \"%.*s\" in HEALTHCHECK (try CMD)", (int)n, rest);
    if (!*args)
        return err_invalid(err, "Missing command after HEALTHCHECK CMD");
    struct change inner = *c;
    struct strv v = {0};
    inner.args = args;
    strv_push(c->a, &h->test, json_words(&inner, &v) ? "CMD" : "CMD-SHELL");
    if (!v.v)
        strv_push(c->a, &v, args);
    for (size_t i = 0; i < v.n; i++)
        strv_push(c->a, &h->test, v.v[i]);
    return 0;
}

static int do_healthcheck(const struct change *c, struct err *err)
{
    struct oci_image_health *h = arena_new(c->a, struct oci_image_health);
    const char *at = c->args;
    char *word = NULL;
    int r = want_arguments(c, err);

    while (r >= 0 && str_starts(at, "--")) {
        r = next_word(c, &at, &word, err);
        if (r > 0)
            r = health_flag(h, word, err);
        while (isspace((unsigned char)*at))
            at++;
    }
    if (r >= 0)
        r = health_test(c, h, at, err);
    if (r >= 0)
        c->config->health = h;
    return r;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    int (*apply)(const struct change *c, struct err *err);
} commands[] = {
    {"CMD", do_cmd},         {"ENTRYPOINT", do_entrypoint},   {"ENV", do_env},
    {"EXPOSE", do_expose},   {"HEALTHCHECK", do_healthcheck}, {"LABEL", do_label},
    {"ONBUILD", do_onbuild}, {"STOPSIGNAL", do_stopsignal},   {"USER", do_user},
    {"VOLUME", do_volume},   {"WORKDIR", do_workdir},
};

static char *trimmed(struct arena *a, const char *s)
{
    size_t n = strlen(s);

    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    return arena_strndup(a, s, n);
}

static int apply(struct arena *a, const char *line, struct oci_image_config *config,
                 struct err *err)
{
    size_t n = strcspn(line, " \t");
    const char *args = line + n;

    while (isspace((unsigned char)*args))
        args++;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strlen(commands[i].name) != n || strncasecmp(commands[i].name, line, n) != 0)
            continue;
        struct change c = {commands[i].name, args, a, config};
        return commands[i].apply(&c, err);
    }
    return err_invalid(err, "%.*s is not a valid change command", (int)(n > 64 ? 64 : n), line);
}

int changes_apply(struct arena *a, const struct strv *changes, struct oci_image_config *config,
                  struct err *err)
{
    for (size_t i = 0; i < changes->n; i++) {
        const char *line = changes->v[i];
        while (isspace((unsigned char)*line))
            line++;
        int r = *line ? apply(a, trimmed(a, line), config, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}
