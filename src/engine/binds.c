/*
 * Binds, volumes and images as users write them: "-v", "--mount" and HostConfig.Mounts, checked and
 * brought to one form.
 */
#include "engine/mounts.h"

#include "engine/engine-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool known_propagation(const char *s)
{
    static const char *const known[] = {"private", "rprivate", "shared",
                                        "rshared", "slave",    "rslave"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], s) == 0)
            return true;
    return false;
}

static int parse_mode(const char *mode, struct bind *b, struct arena *a, struct err *err)
{
    struct strv words = str_split(a, mode, ',');

    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        if (strcmp(w, "ro") == 0)
            b->ro = true;
        else if (known_propagation(w))
            b->propagation = words.v[i];
        else if (strcmp(w, "nocopy") == 0)
            b->no_copy = true;
        else if (strcmp(w, "rw") != 0 && strcmp(w, "z") != 0 && strcmp(w, "Z") != 0 &&
                 strcmp(w, "cached") != 0 && strcmp(w, "delegated") != 0 &&
                 strcmp(w, "consistent") != 0)
            return err_invalid(err, "invalid mode: %s", mode);
    }
    return 0;
}

/* "/host:/container[:mode]" or "volume:/container[:mode]" */
static int parse_bind(const char *text, struct arena *a, struct bind *ret, struct err *err)
{
    struct strv p = str_split(a, text, ':');
    struct bind b = {
        .propagation = arena_strdup(a, "rprivate"), .mode = arena_strdup(a, ""), .create = true};

    if (p.n < 2 || p.n > 3 || !*p.v[0] || !*p.v[1])
        return err_invalid(err, "invalid volume specification: '%s'", text);
    b.source = p.v[0];
    b.target = p.v[1];
    if (b.target[0] != '/')
        return err_invalid(err,
                           "invalid volume specification: '%s': invalid mount config for type "
                           "\"bind\": invalid mount path: '%s' mount path must be absolute",
                           text, b.target);
    if (strcmp(b.target, "/") == 0)
        return err_invalid(err,
                           "invalid volume specification: '%s': invalid mount config for type "
                           "\"bind\": invalid specification: destination can't be '/'",
                           text);
    b.kind = b.source[0] == '/' ? BIND_PATH : BIND_VOLUME;
    if (p.n == 3) {
        int r = parse_mode(p.v[2], &b, a, err);
        if (r < 0)
            return r;
        b.mode = p.v[2];
    }
    *ret = b;
    return 0;
}

/* An entry of HostConfig.Mounts of type bind. */
static int mount_to_bind(const struct mount_spec *m, struct arena *a, struct bind *ret,
                         struct err *err)
{
    const struct bind_options *o = m->bind_options;
    struct stat st;

    if (str_empty(m->target) || m->target[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"bind\": invalid mount path: '%s' mount "
                           "path must be absolute",
                           str_or(m->target, ""));
    if (str_empty(m->source))
        return err_invalid(err, "invalid mount config for type \"bind\": field Source must not be "
                                "empty");
    if (m->source[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"bind\": invalid mount path: '%s' mount "
                           "path must be absolute",
                           str_or(m->source, ""));
    if (!(o && o->create_mountpoint) && stat(m->source, &st) < 0)
        return err_invalid(err,
                           "invalid mount config for type \"bind\": bind source path does not "
                           "exist: %s",
                           m->source);
    *ret = (struct bind){.source = m->source,
                         .target = m->target,
                         .mode = arena_strdup(a, ""),
                         .propagation =
                             arena_strdup(a, o ? str_or(o->propagation, "rprivate") : "rprivate"),
                         .ro = m->read_only,
                         .rro = m->read_only && o && o->read_only_force_recursive,
                         .non_recursive = o && o->non_recursive,
                         .create = o && o->create_mountpoint};
    return 0;
}

/* Relative, and no ".." leads out of it, whatever the names before it may be links to. */
static bool is_inside(const char *path)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv parts = str_split(&a, path, '/');
    int depth = 0;

    for (size_t i = 0; i < parts.n && depth >= 0; i++)
        if (strcmp(parts.v[i], "..") == 0)
            depth--;
        else
            depth += *parts.v[i] && strcmp(parts.v[i], ".") != 0;
    return *path != '/' && depth >= 0;
}

/* An entry of HostConfig.Mounts of type volume. */
static int mount_to_volume(const struct mount_spec *m, struct arena *a, struct bind *ret,
                           struct err *err)
{
    const struct volume_options *o = m->volume_options;

    if (str_empty(m->target) || m->target[0] != '/')
        return err_invalid(err,
                           "invalid mount config for type \"volume\": invalid mount path: '%s' "
                           "mount path must be absolute",
                           str_or(m->target, ""));
    if (m->source && m->source[0] == '/')
        return err_invalid(err,
                           "invalid mount config for type \"volume\": Source must be the name "
                           "of a volume: %s",
                           m->source);
    if (o && !str_empty(o->subpath) && !is_inside(o->subpath))
        return err_invalid(err,
                           "invalid mount config for type \"volume\": subpath must be a relative "
                           "path within the volume");
    if (o && !str_empty(o->subpath) && str_empty(m->source))
        return err_invalid(err,
                           "invalid mount config for type \"volume\": must not set Subpath when "
                           "using anonymous volumes");
    *ret = (struct bind){.kind = BIND_VOLUME,
                         .source = arena_strdup(a, str_or(m->source, "")),
                         .target = m->target,
                         .mode = arena_strdup(a, ""),
                         .propagation = arena_strdup(a, ""),
                         .driver = o && o->driver_config ? o->driver_config->name : NULL,
                         .subpath = o ? o->subpath : NULL,
                         .ro = m->read_only,
                         .no_copy = o && o->no_copy};
    return 0;
}

/* An entry of HostConfig.Mounts of type image; it is read-only whatever the user says. */
static int mount_to_image(const struct mount_spec *m, struct arena *a, struct bind *ret,
                          struct err *err)
{
    const struct image_options *o = m->image_options;

    if (str_empty(m->target) || m->target[0] != '/')
        return err_invalid(
            err,
            "invalid mount config for type \"image\": invalid mount path: '%s' mount "
            "path must be absolute",
            str_or(m->target, ""));
    if (strcmp(path_clean(a, m->target), "/") == 0)
        return err_invalid(err, "invalid mount config for type \"image\": invalid specification: "
                                "destination can't be '/'");
    if (str_empty(m->source))
        return err_invalid(err, "invalid mount config for type \"image\": field Source must not be "
                                "empty");
    if (m->bind_options || m->volume_options)
        return err_invalid(
            err, "invalid mount config for type \"image\": field %s must not be specified",
            m->bind_options ? "BindOptions" : "VolumeOptions");
    if (o && !str_empty(o->subpath) && !is_inside(o->subpath))
        return err_invalid(err,
                           "invalid mount config for type \"image\": subpath must be a relative "
                           "path within the volume");
    *ret = (struct bind){.kind = BIND_IMAGE,
                         .source = m->source,
                         .target = m->target,
                         .mode = arena_strdup(a, ""),
                         .propagation = arena_strdup(a, ""),
                         .subpath = o ? o->subpath : NULL,
                         .ro = true};
    return 0;
}

static int mount_to_any(const struct mount_spec *m, struct arena *a, struct bind *ret,
                        struct err *err)
{
    static const struct {
        const char *type;
        int (*fn)(const struct mount_spec *m, struct arena *a, struct bind *ret, struct err *err);
    } kinds[] = {{"bind", mount_to_bind}, {"volume", mount_to_volume}, {"image", mount_to_image}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_eq(m->type, kinds[i].type))
            return kinds[i].fn(m, a, ret, err);
    return err_invalid(err, "mount type unknown: \"%s\"", str_or(m->type, ""));
}

int binds_collect(const struct host_config *host, struct arena *a, struct binds *ret,
                  struct err *err)
{
    for (size_t i = 0; i < host->binds.n; i++) {
        struct bind *b = &arena_push(a, *ret);
        int r = parse_bind(host->binds.v[i], a, b, err);
        if (r < 0)
            return r;
        if (b->kind == BIND_VOLUME && !str_empty(host->volume_driver))
            b->driver = host->volume_driver;
    }
    for (size_t i = 0; i < host->mounts.n; i++) {
        const struct mount_spec *m = host->mounts.v[i];
        if (str_eq(m->type, "tmpfs"))
            continue;
        int r = mount_to_any(m, a, &arena_push(a, *ret), err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ret->n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(ret->v[i].target, ret->v[j].target) == 0)
                return err_invalid(err, "Duplicate mount point: %s", ret->v[i].target);
    return 0;
}

char *bind_driver(const struct host_config *host, const char *target)
{
    auto_arena struct arena a = ARENA_INIT;
    struct binds binds = {0};
    int r = binds_collect(host, &a, &binds, NULL);

    for (size_t i = 0; r >= 0 && i < binds.n; i++)
        if (strcmp(binds.v[i].target, target) == 0)
            return binds.v[i].driver;
    return NULL;
}

int ctr_check_binds(const struct host_config *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct binds binds = {0};

    return binds_collect(host, &a, &binds, err);
}
