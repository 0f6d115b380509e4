/*
 * The driver that asks a plugin: VolumeDriver.Create, Get, Mount ... What comes back is looked at
 * before it is used, and shown as one line where it is text.
 */
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/time.h"
#include "engine/plugins.h"
#include "engine/vol-priv.h"

#define DRIVER "VolumeDriver"
#define STATUS_MAX (1U << 20)

/* ---- what is said ---- */

struct question {
    char *name, *id;
    struct strmap opts;
};
static const struct field create_fields[] = {
    FIELD(struct question, "Name", F_STR, name),
    FIELD(struct question, "Opts", F_STRMAP, opts, .flags = F_EMPTY),
};
static const struct json_type create_type = JSON_TYPE("Create", struct question, create_fields);
static const struct field name_fields[] = {
    FIELD(struct question, "Name", F_STR, name, .flags = F_OMIT),
    FIELD(struct question, "ID", F_STR, id, .flags = F_OMIT),
};
static const struct json_type name_type = JSON_TYPE("Name", struct question, name_fields);

struct told {
    char *name, *mountpoint, *created_at;
    struct json_raw status;
};
static const struct field told_fields[] = {
    FIELD(struct told, "Name", F_STR, name),
    FIELD(struct told, "Mountpoint", F_STR, mountpoint),
    FIELD(struct told, "CreatedAt", F_STR, created_at),
    FIELD(struct told, "Status", F_RAW, status),
};
static const struct json_type told_type = JSON_TYPE("Volume", struct told, told_fields);

struct capability {
    char *scope;
};
static const struct field capability_fields[] = {FIELD(struct capability, "Scope", F_STR, scope)};
static const struct json_type capability_type =
    JSON_TYPE("Capabilities", struct capability, capability_fields);

struct answer {
    char *err, *mountpoint;
    struct told *volume;
    VEC_OF(struct told *) volumes;
    struct capability capabilities;
};
static const struct field answer_fields[] = {
    FIELD(struct answer, "Err", F_STR, err),
    FIELD(struct answer, "Mountpoint", F_STR, mountpoint),
    FIELD(struct answer, "Volume", F_PTR, volume, .type = &told_type),
    FIELD(struct answer, "Volumes", F_OBJV, volumes, .type = &told_type),
    FIELD(struct answer, "Capabilities", F_OBJ, capabilities, .type = &capability_type),
};
static const struct json_type answer_type = JSON_TYPE("Answer", struct answer, answer_fields);

static int ask(struct engine *e, const char *driver, const char *method, const struct question *q,
               struct arena *a, struct answer *ret, struct err *err)
{
    bool create = strcmp(method, DRIVER ".Create") == 0;
    const struct plugin_call call = {.plugin = driver,
                                     .method = method,
                                     .slow = create || strcmp(method, DRIVER ".Remove") == 0 ||
                                             strcmp(method, DRIVER ".Mount") == 0 ||
                                             strcmp(method, DRIVER ".Unmount") == 0,
                                     .in_type = create ? &create_type : &name_type,
                                     .in = q,
                                     .out_type = &answer_type,
                                     .out = ret};

    *ret = (struct answer){0};
    int r = plugin_call(e->plugins, &call, a, err);
    if (r >= 0 && !str_empty(ret->err))
        r = err_as(err, ERR_SYSTEM, EREMOTEIO, "%s: %s", method, plugin_text(a, ret->err));
    return r;
}

static int lookup(struct err *err, int r, const char *driver)
{
    if (r == -ENOENT)
        err_wrap(err, r, "error looking up volume plugin %s", driver);
    return r;
}

/* ---- looking ---- */

/* Return: 1 with @ret; 0 the plugin has none of that name; -errno. */
static int get(struct engine *e, const char *driver, const char *name, struct arena *a,
               struct told *ret, struct err *err)
{
    const struct question q = {.name = (char *)name};
    struct answer ans;
    int r = ask(e, driver, DRIVER ".Get", &q, a, &ans, err);

    if (r == -EREMOTEIO || (r >= 0 && !ans.volume)) {
        err_clear(err);
        return 0;
    }
    if (r < 0)
        return lookup(err, r, driver);
    if (!str_eq(ans.volume->name, name))
        return err_as(err, ERR_SYSTEM, EBADMSG,
                      "plugin %s was asked for volume %s and told of another", driver, name);
    *ret = *ans.volume;
    return 1;
}

/* What is wrong or odd in an answer is left out: it goes on to clients. */
static void show(const struct told *t, struct arena *a, struct volume_info *ret)
{
    int64_t when;

    if (!str_empty(t->mountpoint))
        ret->mountpoint = plugin_text(a, t->mountpoint);
    if (!str_empty(t->created_at) &&
        time_parse_rfc3339(t->created_at, strlen(t->created_at), &when) >= 0)
        ret->created_at = t->created_at;
    if (t->status.len > 0 && t->status.len <= STATUS_MAX && t->status.text[0] == '{')
        ret->status = t->status;
}

static char *scope_of(struct engine *e, const char *driver, struct arena *a)
{
    const struct question q = {0};
    struct answer ans;
    int r = ask(e, driver, DRIVER ".Capabilities", &q, a, &ans, NULL);
    const char *scope = r < 0 ? "" : str_or(ans.capabilities.scope, "");

    return arena_strdup(a, strcmp(scope, "global") == 0 ? "global" : "local");
}

static int describe(struct engine *e, const struct vol_record *rec, struct arena *a,
                    struct volume_info *ret, struct err *err)
{
    struct told t;
    int r = get(e, rec->rq.driver, rec->rq.name, a, &t, err);

    if (r < 0)
        return err_wrap(err, r, "get %s", rec->rq.name);
    if (r == 0)
        return err_not_found(err, "get %s: no such volume", rec->rq.name);
    vol_describe_row(rec, a, ret);
    show(&t, a, ret);
    ret->scope = scope_of(e, rec->rq.driver, a);
    return 0;
}

static int exists(struct engine *e, const struct vol_record *rec, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct told t;

    return get(e, rec->rq.driver, rec->rq.name, &a, &t, err);
}

int vol_plugin_list(struct engine *e, const char *driver, struct arena *a, struct vol_infos *ret,
                    struct err *err)
{
    const struct question q = {0};
    struct answer ans;
    int r = ask(e, driver, DRIVER ".List", &q, a, &ans, err);

    if (r < 0)
        return err_wrap(err, r, "list %s", driver);
    char *scope = scope_of(e, driver, a);
    for (size_t i = 0; i < ans.volumes.n; i++) {
        const struct told *t = ans.volumes.v[i];
        if (!t || str_empty(t->name) || !str_eq(plugin_text(a, t->name), t->name))
            continue; /* a name that we would not show as it is names nothing */
        struct volume_info *v = arena_new(a, struct volume_info);
        *v = (struct volume_info){.name = t->name,
                                  .driver = arena_strdup(a, driver),
                                  .mountpoint = arena_strdup(a, ""),
                                  .scope = scope};
        show(t, a, v);
        arena_push(a, *ret) = v;
    }
    return 0;
}

void vol_plugin_probe(struct engine *e, const char *name, struct arena *a, char **ret)
{
    struct strv used = {0};

    *ret = arena_strdup(a, "");
    plugins_used(e->plugins, DRIVER, a, &used);
    for (size_t i = 0; i < used.n && !**ret; i++) {
        struct told t;
        if (get(e, used.v[i], name, a, &t, NULL) > 0)
            *ret = used.v[i];
    }
}

/* ---- making and removing ---- */

static int check(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    int r = plugin_find(e->plugins, rq->driver, err);

    return r < 0 ? err_wrap(err, lookup(err, r, rq->driver), "create %s", rq->name) : 0;
}

static int create(struct engine *e, const struct volume_create_request *rq, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct question q = {.name = rq->name, .opts = rq->driver_opts};
    struct answer ans;
    struct told t;

    FAIL_POINT("volume.plugin.create.begin", err);
    int r = get(e, rq->driver, rq->name, &a, &t, err);
    if (r == 0)
        r = ask(e, rq->driver, DRIVER ".Create", &q, &a, &ans, err);
    FAIL_POINT("volume.plugin.create.done", err);
    return r < 0 ? err_wrap(err, lookup(err, r, rq->driver), "create %s", rq->name) : 0;
}

/* What the plugin has not any more was removed by somebody else: only the row is left. */
static int remove_it(struct engine *e, const struct vol_record *rec, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct question q = {.name = rec->rq.name};
    struct answer ans;
    struct told t;
    struct err why = {0};

    FAIL_POINT("volume.plugin.remove.begin", err);
    int r = ask(e, rec->rq.driver, DRIVER ".Remove", &q, &a, &ans, &why);
    if (r == -EREMOTEIO && get(e, rec->rq.driver, rec->rq.name, &a, &t, NULL) == 0)
        r = 0;
    FAIL_POINT("volume.plugin.remove.done", err);
    if (r >= 0)
        return 0;
    if (err)
        *err = why;
    return err_wrap(err, lookup(err, r, rec->rq.driver), "remove %s", rec->rq.name);
}

/* ---- using ---- */

int vol_plugin_mount(struct engine *e, const struct vol_record *rec, const char *id,
                     struct arena *a, char **ret_path, struct err *err)
{
    const struct question q = {.name = rec->rq.name, .id = (char *)id};
    struct answer ans;
    int r = ask(e, rec->rq.driver, DRIVER ".Mount", &q, a, &ans, err);

    if (r < 0)
        return err_wrap(err, lookup(err, r, rec->rq.driver), "mount volume %s", rec->rq.name);
    if (str_empty(ans.mountpoint)) /* it may tell by Path alone */
        r = ask(e, rec->rq.driver, DRIVER ".Path", &q, a, &ans, err);
    if (r < 0) /* not a plain no: it is mounted */
        return err_wrap(err, r == -EREMOTEIO ? -EBADMSG : r, "mount volume %s", rec->rq.name);
    *ret_path = arena_strdup(a, str_or(ans.mountpoint, ""));
    return 0;
}

int vol_plugin_unmount(struct engine *e, const struct vol_record *rec, const char *id,
                       struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct question q = {.name = rec->rq.name, .id = (char *)id};
    struct answer ans;
    int r = ask(e, rec->rq.driver, DRIVER ".Unmount", &q, &a, &ans, err);

    return r < 0 ? err_wrap(err, lookup(err, r, rec->rq.driver), "unmount volume %s", rec->rq.name)
                 : 0;
}

static int open_it(struct engine *e, const struct vol_record *rec, struct vol_open *ret,
                   struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *id = NULL;
    int fd = vol_mount(e, rec->rq.name, "", "", &a, &id, err);

    *ret = (struct vol_open){.fd = -1};
    if (fd < 0)
        return fd;
    return vol_opened(e, rec->rq.name, id, fd, ret, err);
}

static int attach(struct container *c, struct ctr_volume *v, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *id = NULL;
    int fd = vol_mount(c->e, v->name, c->id, v->target, &a, &id, err);

    if (fd < 0)
        return fd;
    v->fd = fd;
    return 0;
}

static int mount_it(struct engine *e, const struct vol_record *rec, const struct ctr_volume *v,
                    struct arena *a, struct oci_mount *m, struct err *err)
{
    (void)e, (void)err;
    /* A path alone nobody has looked at: no descriptor, no source. */
    m->source = arena_strdup(a, v->fd > 0 ? str_or(rec->mountpoint, "") : "");
    m->source_fd = v->fd;
    return 0;
}

const struct vol_driver vol_plugin = {
    .check = check,
    .create = create,
    .remove = remove_it,
    .exists = exists,
    .describe = describe,
    .open = open_it,
    .attach = attach,
    .mount = mount_it,
    .open_is_dear = true,
};
