#include "daemon_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

#define DEFAULT_CONFIG "/etc/cleat/daemon.json"
#define CONFIG_MAX (1U << 20)

struct flag {
    const char *name;
    char letter;
    const char *key; /* in daemon.json; NULL: no setting */
    const char *help;
};

static const struct flag flags[] = {
    {"bip", 0, "bip", "Address and prefix of the bridge"},
    {"bip6", 0, "bip6", "IPv6 address and prefix of the bridge"},
    {"bridge", 'b', "bridge",
     "Name of the default bridge, or none (default: cleat0, or the next free one)"},
    {"cgroup-parent", 0, "cgroup-parent", "Parent cgroup of all containers"},
    {"config-file", 0, NULL, "Configuration file (default " DEFAULT_CONFIG ")"},
    {"data-root", 0, "data-root", "Directory of everything that is kept"},
    {"debug", 'D', "debug", "Log much more"},
    {"default-address-pool", 0, "default-address-pools",
     "Subnets for networks: base=CIDR,size=BITS (repeatable)"},
    {"default-cgroupns-mode", 0, "default-cgroupns-mode", "cgroup namespace: host or private"},
    {"default-ipc-mode", 0, "default-ipc-mode", "IPC namespace: private, shareable, host"},
    {"default-shm-size", 0, "default-shm-size", "Bytes of /dev/shm"},
    {"dns", 0, "dns", "Name server for containers (repeatable)"},
    {"dns-opt", 0, "dns-opts", "Resolver option for containers (repeatable)"},
    {"dns-search", 0, "dns-search", "Search domain for containers (repeatable)"},
    {"exec-root", 0, "exec-root", "Directory of what lives until the next boot"},
    {"experimental", 0, "experimental", "Switch experimental features on"},
    {"firewall", 0, "firewall",
     "Who has the last word on forwarding: host, or docker for Docker's behaviour"},
    {"fixed-cidr", 0, "fixed-cidr", "Addresses of the default bridge come from this range"},
    {"fixed-cidr-v6", 0, "fixed-cidr-v6", "The same for IPv6"},
    {"group", 'G', "group", "Group of the unix socket"},
    {"help", 'h', NULL, "Print this"},
    {"host", 'H', "hosts", "Address to listen on (repeatable)"},
    {"http-proxy", 0, "proxies.http-proxy", "Proxy of the daemon itself for http"},
    {"https-proxy", 0, "proxies.https-proxy", "Proxy of the daemon itself for https"},
    {"icc", 0, "icc", "Let containers of the default bridge talk to each other"},
    {"image-blobs", 0, "image-blobs",
     "keep the compressed blobs of layers for a push, or drop them"},
    {"init", 0, "init", "Run an init in every container"},
    {"init-path", 0, "init-path", "Another init program"},
    {"insecure-registry", 0, "insecure-registries",
     "Registry that may be without TLS (repeatable)"},
    {"ip", 0, "ip", "Default host address of published ports"},
    {"ip-forward", 0, "ip-forward", "Switch IP forwarding on"},
    {"ip-masq", 0, "ip-masq", "Masquerade what containers send out"},
    {"ipv6", 0, "ipv6", "IPv6 on the default bridge"},
    {"iptables", 0, "iptables", "Manage packet filter rules"},
    {"label", 0, "labels", "Label of the daemon (repeatable)"},
    {"live-restore", 0, "live-restore", "Containers outlive a stopped daemon"},
    {"log-driver", 0, "log-driver", "Default log driver"},
    {"log-format", 0, "log-format", "Format of the daemon's log: text or json"},
    {"log-level", 'l', "log-level", "debug, info, warn, error or fatal"},
    {"log-opt", 0, "log-opts", "Option of the default log driver (repeatable)"},
    {"max-concurrent-downloads", 0, "max-concurrent-downloads", "Blobs pulled at once"},
    {"max-concurrent-uploads", 0, "max-concurrent-uploads", "Blobs pushed at once"},
    {"max-download-attempts", 0, "max-download-attempts", "How often a request is tried"},
    {"mtu", 0, "mtu", "MTU of the default bridge"},
    {"no-new-privileges", 0, "no-new-privileges", "Set no_new_privs in every container"},
    {"no-proxy", 0, "proxies.no-proxy", "Hosts that are reached without a proxy, by commas"},
    {"pidfile", 'p', "pidfile", "File with the daemon's process id"},
    {"plugin-dir", 0, "plugin-dirs",
     "Directory where plugins are found, instead of the usual three (repeatable)"},
    {"plugin-timeout", 0, "plugin-timeout", "Seconds that a plugin's answer may take"},
    {"registry-mirror", 0, "registry-mirrors", "Mirror of docker.io, or REGISTRY=URL (repeatable)"},
    {"request-log", 0, "", "Write every request and reply to this file (for tests)"},
    {"seccomp-profile", 0, "seccomp-profile", "builtin, unconfined, or a profile's path"},
    {"shutdown-timeout", 0, "shutdown-timeout", "Seconds that containers get to stop"},
    {"tls", 0, "tls", "Use TLS on TCP"},
    {"tlscacert", 0, "tlscacert", "Trust certificates signed by this CA only"},
    {"tlscert", 0, "tlscert", "Certificate of the daemon"},
    {"tlskey", 0, "tlskey", "Key of the daemon"},
    {"tlsverify", 0, "tlsverify", "Use TLS and verify clients"},
    {"userland-proxy", 0, "userland-proxy", "Accepted for compatibility: no process is needed"},
    {"validate", 0, NULL, "Check the configuration and exit"},
    {"version", 'v', NULL, "Print the version"},
};

struct given {
    const struct flag *flag;
    const char *value;
};
struct given_list {
    struct given *v;
    size_t n;
};

/* The field of a key; "proxies.http-proxy" is one of an object. @ret_at: where it is. */
static const struct field *find_setting(const struct json_type *type, const char *key,
                                        size_t *ret_at)
{
    size_t n = strcspn(key, ".");

    for (size_t i = 0; i < type->nfields; i++) {
        const struct field *f = &type->fields[i];
        if (strlen(f->name) != n || strncmp(f->name, key, n) != 0)
            continue;
        *ret_at += f->offset;
        return key[n] ? find_setting(f->type, key + n + 1, ret_at) : f;
    }
    return NULL;
}

static const struct field *setting(const char *key, size_t *ret_at)
{
    *ret_at = 0;
    return find_setting(&engine_config_type, key, ret_at);
}

static const struct flag *find(const char *name, size_t n, char letter)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (name ? strlen(flags[i].name) == n && strncmp(flags[i].name, name, n) == 0
                 : letter && flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

static bool is_switch(const struct flag *f)
{
    size_t at;
    const struct field *s = f->key && *f->key ? setting(f->key, &at) : NULL;

    return s ? s->kind == F_BOOL
             : !str_eq(f->name, "config-file") && !str_eq(f->name, "request-log");
}

/* One argument (and its value, when that is the next one). Return: arguments used. */
static int take(int argc, char **argv, int i, struct given *out, struct err *err)
{
    const char *arg = argv[i], *name = str_starts(arg, "--"), *eq = strchr(arg, '=');
    bool single = !name && arg[0] == '-' && arg[1];

    if (!name && !single)
        return err_invalid(err, "\"cleatd\" accepts no arguments: %s", arg);
    size_t len = name ? (eq ? (size_t)(eq - name) : strlen(name)) : 0;
    out->flag = find(name, len, single ? arg[1] : '\0');
    if (!out->flag)
        return err_invalid(err, "unknown %s: %s", name ? "flag" : "shorthand flag", arg);
    if (name && eq)
        out->value = eq + 1;
    else if (single && arg[2])
        out->value = arg[2] == '=' ? arg + 3 : arg + 2;
    else if (is_switch(out->flag))
        out->value = "true";
    else if (i + 1 < argc) {
        out->value = argv[i + 1];
        return 2;
    } else {
        return err_invalid(err, "flag needs an argument: %s", arg);
    }
    return 1;
}

static int set_bool(const struct given *g, bool *to, struct err *err)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};

    for (int i = 0; i < 6; i++) {
        if (strcmp(yes[i], g->value) == 0 || strcmp(no[i], g->value) == 0) {
            *to = strcmp(yes[i], g->value) == 0;
            return 0;
        }
    }
    return err_invalid(err, "invalid argument \"%s\" for \"--%s\" flag", g->value, g->flag->name);
}

/* "base=10.10.0.0/16,size=24" */
static int add_pool(const struct given *g, struct engine_config *c, struct arena *a,
                    struct err *err)
{
    struct address_pool *p = arena_new(a, struct address_pool);
    struct strv parts = str_split(a, g->value, ',');
    int r = 0;

    for (size_t i = 0; i < parts.n; i++) {
        const char *base = str_starts(parts.v[i], "base="), *size = str_starts(parts.v[i], "size=");
        if (base)
            p->base = arena_strdup(a, base);
        else
            r |= size ? str_to_i64(size, &p->size) : -EINVAL;
    }
    if (r < 0 || str_empty(p->base) || p->size <= 0)
        return err_invalid(err,
                           "invalid argument \"%s\" for \"--%s\" flag: want base=CIDR,size=BITS",
                           g->value, g->flag->name);
    arena_push(a, c->default_address_pools) = p;
    return 0;
}

static int apply(const struct given *g, struct engine_config *c, struct arena *a, struct err *err)
{
    size_t at;
    const struct field *s = setting(g->flag->key, &at);
    void *to = (char *)c + at;
    const char *eq = strchr(g->value, '=');

    switch (s->kind) {
    case F_BOOL:
        return set_bool(g, to, err);
    case F_I64:
        return str_to_i64(g->value, to) < 0
                   ? err_invalid(err, "invalid argument \"%s\" for \"--%s\" flag", g->value,
                                 g->flag->name)
                   : 0;
    case F_STRV:
        strv_push(a, to, g->value);
        return 0;
    case F_STRMAP:
        if (!eq)
            return err_invalid(err, "invalid argument \"%s\" for \"--%s\" flag: want key=value",
                               g->value, g->flag->name);
        strmap_set(a, to, arena_strndup(a, g->value, (size_t)(eq - g->value)), eq + 1);
        return 0;
    case F_OBJV:
        return add_pool(g, c, a, err);
    default:
        *(char **)to = arena_strdup(a, g->value);
        return 0;
    }
}

static bool in_file(const struct json *j, const char *key)
{
    char name[64];
    size_t n = strcspn(key, ".");

    (void)snprintf(name, sizeof(name), "%.*s", (int)n, key);
    const struct json *m = json_get(j, name);
    return key[n] ? in_file(m, key + n + 1) : m != NULL;
}

/* The keys of the file, to find settings that are given twice. */
static int check_twice(const struct daemon_args *args, const struct given_list *given,
                       struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct json *j;

    if (read_file_at(AT_FDCWD, args->config_file, CONFIG_MAX, &text, NULL) < 0 ||
        json_parse(text.data, text.len, a, &j, NULL) < 0)
        return 0; /* loading it says what is wrong */
    for (size_t i = 0; i < given->n; i++) {
        const char *key = given->v[i].flag->key;
        if (key && *key && in_file(j, key))
            return err_invalid(err,
                               "unable to configure the daemon with file %s: the following "
                               "directives are specified both as a flag and in the configuration "
                               "file: %s: (from flag: %s)",
                               args->config_file, key, given->v[i].value);
    }
    return 0;
}

static void take_special(const struct given *g, struct daemon_args *args, struct engine_config *c,
                         struct arena *a)
{
    const char *name = g->flag->name;

    args->help |= strcmp(name, "help") == 0;
    args->version |= strcmp(name, "version") == 0;
    args->validate |= strcmp(name, "validate") == 0;
    if (strcmp(name, "config-file") == 0) {
        args->config_file = arena_strdup(a, g->value);
        args->config_given = true;
    } else if (strcmp(name, "request-log") == 0) {
        c->request_log = arena_strdup(a, g->value);
    }
}

int daemon_flags_parse(int argc, char **argv, struct arena *a, struct daemon_args *args,
                       struct engine_config *ret, struct err *err)
{
    struct given_list given = {0};
    int r = 0;

    *args = (struct daemon_args){.config_file = arena_strdup(a, DEFAULT_CONFIG)};
    engine_config_defaults(ret, a);
    for (int i = 1; i < argc; i += r) {
        struct given g = {0};
        r = take(argc, argv, i, &g, err);
        if (r < 0)
            return r;
        arena_push(a, given) = g;
        if (!g.flag->key || !*g.flag->key)
            take_special(&g, args, ret, a);
    }
    if (args->help || args->version)
        return 0;
    r = check_twice(args, &given, a, err);
    if (r >= 0)
        r = engine_config_load(ret, args->config_file, !args->config_given, a, err);
    for (size_t i = 0; r >= 0 && i < given.n; i++)
        if (given.v[i].flag->key && *given.v[i].flag->key)
            r = apply(&given.v[i], ret, a, err);
    return r < 0 ? r : engine_config_finish(ret, a, err);
}

void daemon_flags_help(void)
{
    printf("Usage:  cleatd [OPTIONS]\n\nThe engine: containers, images, networks behind an API.\n\n"
           "Options:\n");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        char letter[5] = "    ";
        if (flags[i].letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", flags[i].letter);
        printf("  %s--%-24s %s\n", letter, flags[i].name, flags[i].help);
    }
}
