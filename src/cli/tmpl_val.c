#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/tmpl-priv.h"

/* Values: how they print (as Go's fmt prints them), when they are true, what their members are. */

struct val val_of_json(const struct json *j)
{
    if (!j || j->kind == JSON_NULL)
        return (struct val){V_NIL, .j = j};
    if (j->kind == JSON_TRUE || j->kind == JSON_FALSE)
        return (struct val){V_BOOL, .b = j->kind == JSON_TRUE};
    if (j->kind == JSON_STRING)
        return (struct val){V_STR, .s = j->text};
    return (struct val){V_JSON, .j = j};
}

bool val_num(const struct val *v, double *ret)
{
    if (v->kind == V_INT)
        *ret = (double)v->i;
    else if (v->kind == V_FLOAT)
        *ret = v->f;
    else if (v->kind == V_JSON && v->j->kind == JSON_NUMBER)
        *ret = strtod(v->j->text, NULL);
    else
        return false;
    return true;
}

bool val_true(const struct val *v)
{
    double d;

    if (val_num(v, &d))
        return d != 0;
    switch (v->kind) {
    case V_NIL:
        return false;
    case V_BOOL:
        return v->b;
    case V_STR:
        return *v->s != '\0';
    default:
        return v->j->n > 0;
    }
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct json *const *)a)->key, (*(const struct json *const *)b)->key);
}

static void print_json(const struct json *j, struct buf *out);

/* Objects that are Go structs: known by their members, of which a '?' marks those left out when
 * empty. They print as {a b}, in this order. */
static const char *const structs[][10] = {
    {"HostIp", "HostPort"},
    {"Name", "MaximumRetryCount"},
    {"Type", "Config"},
    {"Data", "Name"},
    {"?Type", "?Name", "Source", "Destination", "?Driver", "Mode", "RW", "Propagation"},
};

static bool has_members(const struct json *j, const char *const *names)
{
    size_t hits = 0;

    for (size_t i = 0; names[i]; i++) {
        bool optional = *names[i] == '?';
        bool there = json_get(j, names[i] + optional) != NULL;
        if (!there && !optional)
            return false;
        hits += there;
    }
    return hits == j->n;
}

static bool print_struct(const struct json *j, struct buf *out)
{
    for (size_t k = 0; k < sizeof(structs) / sizeof(structs[0]); k++) {
        if (!has_members(j, structs[k]))
            continue;
        for (size_t i = 0; structs[k][i]; i++) {
            const struct json *c = json_get(j, structs[k][i] + (*structs[k][i] == '?'));
            buf_putc(out, i ? ' ' : '{');
            if (c)
                print_json(c, out);
        }
        buf_putc(out, '}');
        return true;
    }
    return false;
}

/* Go prints maps sorted by key: map[a:1 b:2]. */
static void print_object(const struct json *j, struct buf *out)
{
    if (print_struct(j, out))
        return;
    const struct json **v = calloc(j->n ? j->n : 1, sizeof(*v));
    size_t n = 0;

    for (const struct json *c = j->child; v && c; c = c->next)
        v[n++] = c;
    if (v)
        qsort(v, n, sizeof(*v), by_key);
    buf_puts(out, "map[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s:", i ? " " : "", v[i]->key);
        print_json(v[i], out);
    }
    buf_putc(out, ']');
    free(v);
}

static void print_json(const struct json *j, struct buf *out)
{
    switch (j->kind) {
    case JSON_OBJECT:
        print_object(j, out);
        break;
    case JSON_ARRAY:
        buf_putc(out, '[');
        for (const struct json *c = j->child; c; c = c->next) {
            print_json(c, out);
            if (c->next)
                buf_putc(out, ' ');
        }
        buf_putc(out, ']');
        break;
    case JSON_NULL:
        buf_puts(out, "<nil>");
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_puts(out, j->kind == JSON_TRUE ? "true" : "false");
        break;
    default:
        buf_put(out, j->text, j->n);
    }
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

/* Docker prints its Go structs, in which null is a nil list, map or pointer: told by the name. */
static const char *null_text(const struct json *j)
{
    static const char *const lists[] = {"Aliases",
                                        "Args",
                                        "Binds",
                                        "CapAdd",
                                        "CapDrop",
                                        "Cmd",
                                        "DeviceCgroupRules",
                                        "DeviceRequests",
                                        "Devices",
                                        "Entrypoint",
                                        "Dns",
                                        "DnsOptions",
                                        "DnsSearch",
                                        "Env",
                                        "ExecIDs",
                                        "ExtraHosts",
                                        "GroupAdd",
                                        "Links",
                                        "MaskedPaths",
                                        "Mounts",
                                        "OnBuild",
                                        "ReadonlyPaths",
                                        "RepoDigests",
                                        "RepoTags",
                                        "SecurityOpt",
                                        "Shell",
                                        "Ulimits",
                                        "VolumesFrom",
                                        "Layers",
                                        "DNSNames",
                                        "SecondaryIPAddresses",
                                        "SecondaryIPv6Addresses",
                                        NULL};
    static const char *const maps[] = {"Annotations", "DriverOpts",   "ExposedPorts", "Labels",
                                       "Options",     "PortBindings", "Ports",        "StorageOpt",
                                       "Sysctls",     "Tmpfs",        "Volumes",      NULL};

    if (!j || !j->key)
        return "<no value>";
    return is_one_of(j->key, lists) ? "[]" : is_one_of(j->key, maps) ? "map[]" : "<nil>";
}

void val_print(const struct val *v, struct buf *out)
{
    switch (v->kind) {
    case V_NIL:
        buf_puts(out, null_text(v->j));
        break;
    case V_BOOL:
        buf_puts(out, v->b ? "true" : "false");
        break;
    case V_INT:
        buf_printf(out, "%" PRId64, v->i);
        break;
    case V_FLOAT:
        buf_printf(out, "%.16g", v->f);
        break;
    case V_STR:
        buf_puts(out, v->s);
        break;
    case V_JSON:
        print_json(v->j, out);
        break;
    }
}

const char *val_str(const struct val *v, struct arena *a)
{
    struct buf b = BUF_INIT;

    if (v->kind == V_STR)
        return v->s;
    val_print(v, &b);
    const char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

/*
 * Docker tries its Go structs first and the JSON text then; people write either spelling: ".ID" for
 * "Id", ".NanoCPUs" for "NanoCpus". So an exact match wins, and a name that begins as an exported
 * one does may differ in case otherwise.
 */
int val_field(const struct val *v, const char *name, struct val *ret)
{
    /* Spelt otherwise in Go: a template that names them so is run on the bare JSON. */
    static const char *const renamed[] = {"Dns", "DnsOptions", "DnsSearch", NULL};

    if (v->kind != V_JSON || v->j->kind != JSON_OBJECT)
        return -ENOENT;
    const struct json *hit = json_get(v->j, name);
    bool exported = *name >= 'A' && *name <= 'Z';
    for (const struct json *c = v->j->child; c && !hit && exported; c = c->next)
        if (c->key[0] == *name && strcasecmp(c->key, name) == 0)
            hit = c;
    if (!hit)
        return -ENOENT;
    *ret = val_of_json(hit);
    if (ret->kind == V_NIL && str_eq(hit->key, name) && is_one_of(name, renamed))
        ret->j = NULL;
    return 0;
}

/* The zero values of members that docker's JSON leaves out. */
int val_absent(const struct val *v, const char *name, struct arena *a, struct val *ret)
{
    static const char *const nils[] = {
        "Annotations", "ExposedPorts", "Health",      "Healthcheck", "Init",    "Mounts", "Shell",
        "SizeRootFs",  "SizeRw",       "StopTimeout", "StorageOpt",  "Sysctls", "Tmpfs",  NULL};
    static const char *const texts[] = {"MacAddress", "StopSignal", "Variant", "OsVersion", NULL};
    static const char *const bools[] = {"NetworkDisabled", "ArgsEscaped", NULL};

    if (v->kind != V_JSON || v->j->kind != JSON_OBJECT)
        return -ENOENT;
    if (is_one_of(name, texts)) {
        *ret = (struct val){V_STR, .s = ""};
        return 0;
    }
    if (is_one_of(name, bools)) {
        *ret = (struct val){V_BOOL, .b = false};
        return 0;
    }
    if (!is_one_of(name, nils))
        return -ENOENT;
    struct json *null = arena_new(a, struct json);
    null->kind = JSON_NULL;
    null->key = arena_strdup(a, name);
    *ret = (struct val){V_NIL, .j = null};
    return 0;
}
