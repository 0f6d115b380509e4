#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/specs.h"
#include "cli/units.h"

/* --mount and -v. */

int csv_split(const char *s, struct arena *a, struct strv *ret, struct err *err)
{
    struct strv v = {0};

    for (;;) {
        char *out = arena_alloc(a, strlen(s) + 1);
        size_t n = 0;
        if (*s == '"') {
            for (s++; *s && (*s != '"' || s[1] == '"'); s++) {
                s += *s == '"';
                out[n++] = *s;
            }
            if (*s++ != '"' || (*s && *s != ','))
                return err_invalid(err, "parse error on line 1: extraneous or missing \" in "
                                        "quoted-field");
        } else {
            for (; *s && *s != ','; s++)
                out[n++] = *s;
        }
        arena_push(a, v) = out;
        if (!*s)
            break;
        s++;
    }
    *ret = v;
    return 0;
}

static int parse_bool(const char *key, const char *val, bool *ret, struct err *err)
{
    if (!val || str_eq(val, "true") || str_eq(val, "1")) {
        *ret = true;
        return 0;
    }
    if (str_eq(val, "false") || str_eq(val, "0")) {
        *ret = false;
        return 0;
    }
    return err_invalid(err, "invalid value for %s: %s", key, val);
}

struct mount_parse {
    struct arena *a;
    struct mount_spec *m;
    struct err *err;
};

static struct bind_options *bind_of(struct mount_parse *p)
{
    if (!p->m->bind_options)
        p->m->bind_options = arena_new(p->a, struct bind_options);
    return p->m->bind_options;
}

static struct volume_options *volume_of(struct mount_parse *p)
{
    if (!p->m->volume_options)
        p->m->volume_options = arena_new(p->a, struct volume_options);
    return p->m->volume_options;
}

static struct tmpfs_options *tmpfs_of(struct mount_parse *p)
{
    if (!p->m->tmpfs_options)
        p->m->tmpfs_options = arena_new(p->a, struct tmpfs_options);
    return p->m->tmpfs_options;
}

static struct volume_driver_config *driver_of(struct mount_parse *p)
{
    struct volume_options *v = volume_of(p);

    if (!v->driver_config)
        v->driver_config = arena_new(p->a, struct volume_driver_config);
    return v->driver_config;
}

/* A host path that begins with "." is relative to the client. */
static char *absolute(struct arena *a, const char *path, size_t n)
{
    auto_free char *cwd = getcwd(NULL, 0);
    char *given = arena_strndup(a, path, n);

    if (*given != '.' || !cwd)
        return given;
    const char *rest = str_starts(given, "./");
    if (str_eq(given, ".") || (rest && !*rest))
        return arena_strdup(a, cwd);
    return arena_printf(a, "%s/%s", cwd, rest ? rest : given);
}

static int set_mode(struct mount_parse *p, const char *val)
{
    char *end = NULL;
    unsigned long mode = strtoul(val, &end, 8);

    if (!*val || *end || mode > 07777)
        return err_invalid(p->err, "invalid value for tmpfs-mode: %s", val);
    tmpfs_of(p)->mode = (uint32_t)mode;
    return 0;
}

static void set_pair(struct arena *a, struct strmap *m, const char *val)
{
    const char *eq = strchr(val, '=');

    strmap_set(a, m, eq ? arena_strndup(a, val, (size_t)(eq - val)) : val, eq ? eq + 1 : "");
}

static int set_recursive(struct mount_parse *p, const char *val)
{
    struct bind_options *b = bind_of(p);

    if (str_eq(val, "disabled"))
        b->non_recursive = true;
    else if (str_eq(val, "writable"))
        b->read_only_non_recursive = true;
    else if (str_eq(val, "readonly"))
        b->read_only_force_recursive = true;
    else if (!str_eq(val, "enabled"))
        return err_invalid(p->err,
                           "invalid value for bind-recursive: %s (must be \"enabled\", "
                           "\"disabled\", \"writable\", or \"readonly\")",
                           val);
    return 0;
}

static bool is(const char *key, const char *a, const char *b)
{
    return strcasecmp(key, a) == 0 || (b && strcasecmp(key, b) == 0);
}

/* Fields that may stand without a value. */
static int set_switch(struct mount_parse *p, const char *key, const char *val, bool *known)
{
    bool b = false;
    int r = 0;

    *known = true;
    if (is(key, "readonly", "ro")) {
        if ((r = parse_bool(key, val, &b, p->err)) == 0)
            p->m->read_only = b;
    } else if (is(key, "volume-nocopy", NULL)) {
        if ((r = parse_bool(key, val, &b, p->err)) == 0)
            volume_of(p)->no_copy = b;
    } else if (is(key, "bind-nonrecursive", NULL)) {
        if ((r = parse_bool(key, val, &b, p->err)) == 0)
            bind_of(p)->non_recursive = b;
    } else if (is(key, "bind-create-mountpoint", NULL)) {
        if ((r = parse_bool(key, val, &b, p->err)) == 0)
            bind_of(p)->create_mountpoint = b;
    } else {
        *known = false;
    }
    return r;
}

static int set_field(struct mount_parse *p, const char *key, const char *val)
{
    struct mount_spec *m = p->m;
    struct arena *a = p->a;

    if (is(key, "type", NULL))
        m->type = arena_strdup(a, val);
    else if (is(key, "source", "src"))
        m->source = absolute(a, val, strlen(val));
    else if (is(key, "target", "dst") || is(key, "destination", NULL))
        m->target = arena_strdup(a, val);
    else if (is(key, "consistency", NULL))
        m->consistency = arena_strdup(a, val);
    else if (is(key, "bind-propagation", NULL))
        bind_of(p)->propagation = arena_strdup(a, val);
    else if (is(key, "bind-recursive", NULL))
        return set_recursive(p, val);
    else if (is(key, "volume-subpath", NULL))
        volume_of(p)->subpath = arena_strdup(a, val);
    else if (is(key, "volume-label", NULL))
        set_pair(a, &volume_of(p)->labels, val);
    else if (is(key, "volume-driver", NULL))
        driver_of(p)->name = arena_strdup(a, val);
    else if (is(key, "volume-opt", NULL))
        set_pair(a, &driver_of(p)->options, val);
    else if (is(key, "image-subpath", NULL)) {
        m->image_options = arena_new(a, struct image_options);
        m->image_options->subpath = arena_strdup(a, val);
    } else if (is(key, "tmpfs-size", NULL))
        return units_parse_bytes(val, &tmpfs_of(p)->size_b, p->err);
    else if (is(key, "tmpfs-mode", NULL))
        return set_mode(p, val);
    else
        return err_invalid(p->err, "unexpected key '%s' in '%s=%s'", key, key, val);
    return 0;
}

/* Options of one kind of mount given for another. */
static int check_kind(const struct mount_spec *m, struct err *err)
{
    if (!m->target)
        return err_invalid(err, "target is required");
    if (m->volume_options && !str_eq(m->type, "volume"))
        return err_invalid(err, "cannot mix 'volume-*' options with mount type '%s'", m->type);
    if (m->image_options && !str_eq(m->type, "image"))
        return err_invalid(err, "cannot mix 'image-*' options with mount type '%s'", m->type);
    if (m->bind_options && !str_eq(m->type, "bind"))
        return err_invalid(err, "cannot mix 'bind-*' options with mount type '%s'", m->type);
    if (m->tmpfs_options && !str_eq(m->type, "tmpfs"))
        return err_invalid(err, "cannot mix 'tmpfs-*' options with mount type '%s'", m->type);
    return 0;
}

int spec_mount(const char *s, struct arena *a, struct mount_spec **ret, struct err *err)
{
    struct mount_parse p = {.a = a, .m = arena_new(a, struct mount_spec), .err = err};
    struct strv fields = {0};
    int r = csv_split(s, a, &fields, err);

    if (r < 0)
        return r;
    p.m->type = arena_strdup(a, "volume");
    for (size_t i = 0; i < fields.n; i++) {
        char *key = fields.v[i], *val = strchr(key, '=');
        bool known = false;
        if (val)
            *val++ = '\0';
        if ((r = set_switch(&p, key, val, &known)) < 0)
            return r;
        if (known)
            continue;
        if (!val)
            return err_invalid(err, "invalid field '%s' must be a key=value pair", key);
        if ((r = set_field(&p, key, val)) < 0)
            return r;
    }
    if ((r = check_kind(p.m, err)) < 0)
        return r;
    *ret = p.m;
    return 0;
}

int check_mount(const char *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct mount_spec *m;

    return spec_mount(s, &a, &m, err);
}

int spec_volume(const char *s, struct arena *a, struct strv *binds, struct strv *volumes,
                struct err *err)
{
    const char *colon = strchr(s, ':');

    if (!*s || str_eq(s, ":"))
        return err_invalid(err, "invalid empty volume spec");
    if (!colon) {
        if (!strv_has(volumes, s))
            strv_push(a, volumes, s);
        return 0;
    }
    if (colon == s)
        return err_invalid(err, "invalid spec: %s: empty section between colons", s);
    strv_push(a, binds, arena_printf(a, "%s%s", absolute(a, s, (size_t)(colon - s)), colon));
    return 0;
}
