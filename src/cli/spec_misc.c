#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "cli/cmds.h"
#include "cli/specs.h"
#include "cli/units.h"

/* Limits, devices, variables, labels and the rest of the small languages. */

#define FILE_MAX (4 * 1024 * 1024)

/* check_x() for a parser spec_x(): the option table's refusal while parsing. */
#define CHECK_BY(NAME, TYPE, CALL)                                                                 \
    int NAME(const char *s, struct err *err)                                                       \
    {                                                                                              \
        auto_arena struct arena a = ARENA_INIT;                                                    \
        TYPE *x;                                                                                   \
        return CALL;                                                                               \
    }

int spec_ulimit(const char *s, struct arena *a, struct ulimit **ret, struct err *err)
{
    const char *eq = strchr(s, '=');
    struct ulimit *u = arena_new(a, struct ulimit);

    if (!eq || eq == s)
        return err_invalid(err, "invalid ulimit argument: %s", s);
    struct strv v = str_split(a, eq + 1, ':');
    if (v.n > 2)
        return err_invalid(err,
                           "too many limit value arguments - %s, can only have up to two, "
                           "`soft[:hard]`",
                           eq + 1);
    if (str_to_i64(v.v[0], &u->soft) < 0)
        return err_invalid(err, "strconv.ParseInt: parsing \"%s\": invalid syntax", v.v[0]);
    u->hard = u->soft;
    if (v.n == 2 && str_to_i64(v.v[1], &u->hard) < 0)
        return err_invalid(err, "strconv.ParseInt: parsing \"%s\": invalid syntax", v.v[1]);
    if (u->hard != -1 && (u->soft > u->hard || u->soft == -1))
        return err_invalid(err,
                           "ulimit soft limit must be less than or equal to hard limit: "
                           "%lld > %lld",
                           (long long)u->soft, (long long)u->hard);
    u->name = arena_strndup(a, s, (size_t)(eq - s));
    *ret = u;
    return 0;
}

CHECK_BY(check_ulimit, struct ulimit, spec_ulimit(s, &a, &x, err))

static bool device_mode(const char *s)
{
    return *s && strspn(s, "rwm") == strlen(s) && strlen(s) <= 3;
}

int spec_device(const char *s, struct arena *a, struct device_mapping **ret, struct err *err)
{
    struct strv v = str_split(a, s, ':');
    struct device_mapping *d = arena_new(a, struct device_mapping);

    if (v.n > 3 || str_empty(v.v[0]))
        return err_invalid(err, "invalid device specification: %s", s);
    d->host_path = d->container_path = v.v[0];
    d->permissions = arena_strdup(a, "rwm");
    if (v.n >= 2 && device_mode(v.v[1]) && v.n == 2)
        d->permissions = v.v[1];
    else if (v.n >= 2 && *v.v[1])
        d->container_path = v.v[1];
    if (v.n == 3) {
        if (!device_mode(v.v[2]))
            return err_invalid(err, "bad mode specified: %s", v.v[2]);
        d->permissions = v.v[2];
    }
    *ret = d;
    return 0;
}

int check_device(const char *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct device_mapping *d;

    /* names of the container device interface ("vendor.com/class=name") go to the daemon as such */
    return strchr(s, '=') ? 0 : spec_device(s, &a, &d, err);
}

int spec_gpus(const char *s, struct arena *a, struct device_request **ret, struct err *err)
{
    struct device_request *d = arena_new(a, struct device_request);
    struct strv fields = {0}, caps = {0};
    int r = csv_split(s, a, &fields, err);

    if (r < 0)
        return r;
    strv_push(a, &caps, "gpu");
    for (size_t i = 0; i < fields.n; i++) {
        char *key = fields.v[i], *val = strchr(key, '=');
        if (val)
            *val++ = '\0';
        const char *count = !val ? key : str_eq(key, "count") ? val : NULL;
        if (count && str_eq(count, "all"))
            d->count = -1;
        else if (count && str_to_i64(count, &d->count) < 0)
            return err_invalid(
                err, "invalid count (%s): value must be either \"all\" or an integer", count);
        else if (!count && str_eq(key, "driver"))
            d->driver = val;
        else if (!count && str_eq(key, "device"))
            d->device_ids = str_split(a, val, ',');
        else if (!count && str_eq(key, "capabilities"))
            caps = str_split(a, arena_printf(a, "gpu,%s", val), ',');
        else if (!count)
            return err_invalid(err, "unexpected key '%s' in '%s=%s'", key, key, val);
    }
    arena_push(a, d->capabilities) = caps;
    *ret = d;
    return 0;
}

CHECK_BY(check_gpus, struct device_request, spec_gpus(s, &a, &x, err))

int spec_throttle(const char *s, bool bytes, struct arena *a, struct throttle_device **ret,
                  struct err *err)
{
    const char *colon = strchr(s, ':');
    struct throttle_device *d = arena_new(a, struct throttle_device);
    int64_t rate = 0;

    if (!colon || colon == s)
        return err_invalid(err, "bad format: %s", s);
    if (!str_starts(s, "/dev/"))
        return err_invalid(err, "bad format for device path: %s", s);
    int r = bytes ? units_parse_bytes(colon + 1, &rate, NULL) : str_to_i64(colon + 1, &rate);
    if (r < 0 || rate < 0)
        return err_invalid(err,
                           "invalid rate for device: %s. The correct format is "
                           "<device-path>:<number>%s. Number must be a positive integer%s",
                           s, bytes ? "[<unit>]" : "",
                           bytes ? ". Unit is optional and can be kb, mb, or gb" : "");
    d->path = arena_strndup(a, s, (size_t)(colon - s));
    d->rate = (uint64_t)rate;
    *ret = d;
    return 0;
}

CHECK_BY(check_throttle_bps, struct throttle_device, spec_throttle(s, true, &a, &x, err))
CHECK_BY(check_throttle_iops, struct throttle_device, spec_throttle(s, false, &a, &x, err))

int spec_weight(const char *s, struct arena *a, struct weight_device **ret, struct err *err)
{
    const char *colon = strchr(s, ':');
    struct weight_device *d = arena_new(a, struct weight_device);
    uint64_t w = 0;

    if (!colon || colon == s)
        return err_invalid(err, "bad format: %s", s);
    if (!str_starts(s, "/dev/"))
        return err_invalid(err, "bad format for device path: %s", s);
    if (str_to_u64(colon + 1, &w) < 0 || (w > 0 && (w < 10 || w > 1000)))
        return err_invalid(err, "invalid weight for device: %s", s);
    d->path = arena_strndup(a, s, (size_t)(colon - s));
    d->weight = (uint32_t)w;
    *ret = d;
    return 0;
}

CHECK_BY(check_weight, struct weight_device, spec_weight(s, &a, &x, err))

int spec_restart(const char *s, struct arena *a, struct restart_policy *ret, struct err *err)
{
    const char *colon = strchr(s, ':');
    struct restart_policy p = {.name = arena_strdup(a, s)};

    if (colon) {
        if (colon == s)
            return err_invalid(err, "invalid restart policy format: no policy provided before "
                                    "colon");
        if (str_to_i64(colon + 1, &p.max_retries) < 0)
            return err_invalid(err, "invalid restart policy format: maximum retry count must be an "
                                    "integer");
        p.name = arena_strndup(a, s, (size_t)(colon - s));
    }
    *ret = p;
    return 0;
}

static bool valid_ip(const char *s)
{
    unsigned char bin[16];

    return inet_pton(AF_INET, s, bin) == 1 || inet_pton(AF_INET6, s, bin) == 1;
}

int spec_host(const char *s, struct arena *a, char **ret, struct err *err)
{
    size_t n = strcspn(s, strchr(s, '=') ? "=" : ":");
    char *ip = arena_strdup(a, s[n] ? s + n + 1 : "");
    size_t len = strlen(ip);

    if (n == 0 || len == 0)
        return err_invalid(err, "bad format for add-host: \"%s\"", s);
    if (*ip == '[' && ip[len - 1] == ']') {
        ip[len - 1] = '\0';
        ip++;
    }
    if (!str_eq(ip, "host-gateway") && !valid_ip(ip))
        return err_invalid(err, "invalid IP address in add-host: \"%s\"", ip);
    *ret = arena_printf(a, "%.*s:%s", (int)n, s, ip);
    return 0;
}

CHECK_BY(check_host, char, spec_host(s, &a, &x, err))

int check_attach(const char *s, struct err *err)
{
    if (strcasecmp(s, "stdin") == 0 || strcasecmp(s, "stdout") == 0 || strcasecmp(s, "stderr") == 0)
        return 0;
    return err_invalid(err, "valid streams are STDIN, STDOUT and STDERR");
}

int check_env(const char *s, struct err *err)
{
    return *s && *s != '=' ? 0 : err_invalid(err, "invalid environment variable: %s", s);
}

int check_link(const char *s, struct err *err)
{
    const char *colon = strchr(s, ':');

    if (!*s)
        return err_invalid(err, "empty string specified for links");
    if (colon && strchr(colon + 1, ':'))
        return err_invalid(err, "bad format for links: %s", s);
    return 0;
}

int check_ip(const char *s, struct err *err)
{
    return valid_ip(s) ? 0 : err_invalid(err, "%s is not an ip address", s);
}

/* ---- files of lines ---- */

/* "NAME" alone takes the client's value, and is dropped when that has none; a label's has none. */
static void push_env(struct arena *a, struct strv *out, const char *s, bool inherit)
{
    const char *val = strchr(s, '=') || !inherit ? NULL : getenv(s);

    if (strchr(s, '='))
        strv_push(a, out, s);
    else if (val)
        strv_push(a, out, arena_printf(a, "%s=%s", s, val));
}

static int read_line(const char *path, char *line, bool inherit, struct arena *a, struct strv *out,
                     struct err *err)
{
    line += strspn(line, " \t");
    size_t n = strlen(line);
    if (n > 0 && line[n - 1] == '\r')
        line[n - 1] = '\0';
    if (!*line || *line == '#')
        return 0;
    size_t name = strcspn(line, "=");
    if (name == 0)
        return err_invalid(err, "no variable name on line '%s'", line);
    if (strcspn(line, " \t") < name)
        return err_invalid(err, "variable '%.*s' contains whitespaces", (int)name, line);
    (void)path;
    push_env(a, out, line, inherit);
    return 0;
}

static int read_lines(const char *path, bool inherit, struct arena *a, struct strv *out,
                      struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, FILE_MAX, &text, NULL);

    if (r < 0)
        return err_as(err, ERR_SYSTEM, -r, "open %s: %s", path, errno_text(a, r));
    if (!str_valid_utf8(buf_str(&text), text.len))
        return err_invalid(err, "env file %s contains invalid utf8 bytes", path);
    struct strv lines = str_split(a, buf_str(&text), '\n');
    for (size_t i = 0; r == 0 && i < lines.n; i++)
        r = read_line(path, lines.v[i], inherit, a, out, err);
    return r;
}

int spec_env(const struct strv *files, const struct strv *vars, struct arena *a, struct strv *ret,
             struct err *err)
{
    for (size_t i = 0; i < files->n; i++) {
        int r = read_lines(files->v[i], true, a, ret, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < vars->n; i++)
        push_env(a, ret, vars->v[i], true);
    return 0;
}

void spec_map(const struct strv *pairs, struct arena *a, struct strmap *ret)
{
    for (size_t i = 0; i < pairs->n; i++) {
        const char *s = pairs->v[i], *eq = strchr(s, '=');
        strmap_set(a, ret, eq ? arena_strndup(a, s, (size_t)(eq - s)) : s, eq ? eq + 1 : "");
    }
}

int spec_labels(const struct strv *files, const struct strv *labels, struct arena *a,
                struct strmap *ret, struct err *err)
{
    struct strv all = {0};

    for (size_t i = 0; i < files->n; i++) {
        int r = read_lines(files->v[i], false, a, &all, err);
        if (r < 0)
            return r;
    }
    spec_map(&all, a, ret);
    spec_map(labels, a, ret);
    return 0;
}

/* ---- security options ---- */

/* A profile is a file of the client: its text is what the daemon gets. */
static int load_profile(const char *path, struct arena *a, char **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT, out = BUF_INIT;
    struct json *j = NULL;
    int r = read_file_at(AT_FDCWD, path, FILE_MAX, &text, NULL);

    if (r < 0)
        return err_as(err, ERR_SYSTEM, -r, "opening seccomp profile (%s) failed: open %s: %s", path,
                      path, errno_text(a, r));
    r = json_parse(buf_str(&text), text.len, a, &j, err);
    if (r < 0)
        return err_wrap(err, r, "compacting json for seccomp profile (%s) failed", path);
    json_write(j, &out);
    *ret = arena_printf(a, "seccomp=%s", buf_str(&out));
    return 0;
}

int spec_security(const struct strv *in, struct arena *a, struct host_config *hc, struct err *err)
{
    for (size_t i = 0; i < in->n; i++) {
        const char *s = in->v[i];
        size_t n = strcspn(s, "=:");
        const char *val = s[n] ? s + n + 1 : "";
        char *text = arena_strdup(a, s);
        if (str_eq(s, "systempaths=unconfined")) {
            hc->masked_paths.v = hc->readonly_paths.v = arena_alloc(a, sizeof(char *));
            continue;
        }
        if (!s[n] && !str_eq(s, "no-new-privileges"))
            return err_invalid(err, "Invalid --security-opt: \"%s\"", s);
        if (strncmp(s, "seccomp", n) == 0 && n == 7 && !str_eq(val, "unconfined") &&
            !str_eq(val, "builtin")) {
            int r = load_profile(val, a, &text, err);
            if (r < 0)
                return r;
        }
        arena_push(a, hc->security_opt) = text;
    }
    return 0;
}
