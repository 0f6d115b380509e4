/*
 * Creating a container: merge the request with the image's configuration, check everything that
 * can be checked, then make the directory and the row. Until the row is there the container does
 * not exist; a directory without one is removed at the next start of the daemon.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"

#define NAME_LEN_MAX 4096
#define NAME_TRIES 10

static bool name_char(char c, bool first)
{
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

    return alnum || (!first && (c == '_' || c == '.' || c == '-'));
}

static int check_name(const char *name, struct err *err)
{
    size_t n = strlen(name), i = 0;

    while (i < n && name_char(name[i], i == 0))
        i++;
    if (n < 2 || i != n || n > NAME_LEN_MAX)
        return err_invalid(err,
                           "Invalid container name (%.700s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are "
                           "allowed",
                           name);
    return 0;
}

/* Return: 0 free, -EEXIST taken. */
int ctr_name_free(struct engine *e, const char *name, struct err *err)
{
    char holder[65] = "";

    (void)pthread_mutex_lock(&e->lock);
    const struct container *c = ctr_named(e, name);
    if (c)
        memcpy(holder, c->id, sizeof(holder));
    (void)pthread_mutex_unlock(&e->lock);
    if (!*holder)
        return 0;
    return err_conflict(err,
                        "Conflict. The container name \"/%s\" is already in use by container "
                        "\"%s\". You have to remove (or rename) that container to be able to reuse "
                        "that name.",
                        name, holder);
}

/* A name for a container whose user gave none: an adjective and a thing of the harbour. */
static char *make_name(struct engine *e, struct arena *a)
{
    static const char *const how[] = {"able",   "brisk", "calm",  "deft",  "eager", "fleet",
                                      "gentle", "hale",  "jolly", "keen",  "lucid", "merry",
                                      "noble",  "proud", "quiet", "ready", "sleek", "trim"};
    static const char *const what[] = {"anchor", "barge",   "bosun",  "buoy",  "capstan", "davit",
                                       "ferry",  "halyard", "hawser", "jetty", "keel",    "lugger",
                                       "mast",   "pilot",   "rudder", "sloop", "tiller",  "yawl"};
    uint32_t r[3];

    for (int tries = 0;; tries++) {
        rand_bytes(r, sizeof(r));
        char *name = arena_printf(a, "%s_%s", how[r[0] % 18], what[r[1] % 18]);
        if (tries > 2)
            name = arena_printf(a, "%s%u", name, r[2] % 100000);
        if (ctr_name_free(e, name, NULL) == 0)
            return name;
    }
}

/* ---- merging with the image ---- */

/* What the user set stands first, as Docker shows it. */
static void merge_env(struct arena *a, struct container_config *c, const struct strv *image)
{
    for (size_t i = 0; i < image->n; i++) {
        char *name =
            arena_strndup(a, image->v[i], (size_t)(strchrnul(image->v[i], '=') - image->v[i]));
        if (!strv_env(&c->env, name))
            strv_push(a, &c->env, image->v[i]);
    }
}

static void merge_set(struct arena *a, struct strv *into, const struct strv *image)
{
    for (size_t i = 0; i < image->n; i++)
        if (!strv_has(into, image->v[i]))
            strv_push(a, into, image->v[i]);
}

/* An entrypoint of the user drops the image's command; {""} or [] resets the image's entrypoint. */
static void merge_command(struct container_config *c, const struct container_config *image)
{
    if (c->entrypoint.n == 1 && !*c->entrypoint.v[0])
        c->entrypoint = (struct strv){0};
    else if (c->entrypoint.n == 0) {
        if (c->cmd.n == 0)
            c->cmd = image->cmd;
        if (!c->entrypoint.v)
            c->entrypoint = image->entrypoint;
    }
}

void config_merge(struct arena *a, struct container_config *c, const struct container_config *image)
{
    if (str_empty(c->user))
        c->user = image->user;
    if (str_empty(c->working_dir))
        c->working_dir = image->working_dir;
    if (str_empty(c->stop_signal))
        c->stop_signal = image->stop_signal;
    merge_env(a, c, &image->env);
    merge_set(a, &c->exposed_ports, &image->exposed_ports);
    merge_set(a, &c->volumes, &image->volumes);
    for (size_t i = 0; i < image->labels.n; i++)
        if (!strmap_get(&c->labels, image->labels.v[i].key))
            strmap_set(a, &c->labels, image->labels.v[i].key, image->labels.v[i].val);
    merge_command(c, image);
    if (!c->healthcheck || c->healthcheck->test.n == 0)
        c->healthcheck = image->healthcheck;
    if (!c->shell.v)
        c->shell = image->shell;
    c->on_build = (struct strv){0};
}

/* ---- checks and defaults ---- */

static int check_restart(const struct host_config *h, struct err *err)
{
    static const char *const known[] = {"", "no", "always", "unless-stopped", "on-failure"};
    const char *name = str_or(h->restart_policy.name, "");
    bool ok = false;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        ok |= strcmp(name, known[i]) == 0;
    if (!ok)
        return err_invalid(err,
                           "invalid restart policy: unknown policy '%s'; use one of 'no', "
                           "'always', 'on-failure', or 'unless-stopped'",
                           name);
    if (h->restart_policy.max_retries && strcmp(name, "on-failure") != 0)
        return err_invalid(err, "invalid restart policy: maximum retry count can only be used with "
                                "'on-failure'");
    if (h->restart_policy.max_retries < 0)
        return err_invalid(err, "invalid restart policy: maximum retry count cannot be negative");
    if (h->auto_remove && *name && strcmp(name, "no") != 0)
        return err_invalid(err, "can't create 'AutoRemove' container with restart policy");
    return 0;
}

static int check_log(const struct host_config *h, struct err *err)
{
    static const char *const dockers[] = {"local",   "syslog", "journald", "gelf",   "fluentd",
                                          "awslogs", "splunk", "etwlogs",  "gcplogs"};
    const char *type = h->log_config.type;

    if (strcmp(type, "json-file") == 0 || strcmp(type, "none") == 0)
        return 0;
    for (size_t i = 0; i < sizeof(dockers) / sizeof(dockers[0]); i++)
        if (strcmp(type, dockers[i]) == 0)
            return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                          "logger: the log driver \"%s\" is not built yet: use json-file or none",
                          type);
    return err_invalid(err, "logger: no log driver named '%s' is registered", type);
}

static int check_modes(const struct host_config *h, struct err *err)
{
    static const char *const ipc[] = {"", "none", "host", "private", "shareable"};
    const char *mode = str_or(h->ipc_mode, "");
    bool known = str_starts(mode, "container:") != NULL;

    for (size_t i = 0; i < sizeof(ipc) / sizeof(ipc[0]); i++)
        known |= strcmp(mode, ipc[i]) == 0;
    if (!known)
        return err_invalid(err, "invalid IPC mode: %s", mode);
    mode = str_or(h->pid_mode, "");
    if (*mode && strcmp(mode, "host") != 0 && !str_starts(mode, "container:"))
        return err_invalid(err, "invalid PID mode: %s", mode);
    mode = str_or(h->uts_mode, "");
    if (*mode && strcmp(mode, "host") != 0)
        return err_invalid(err, "invalid UTS mode: %s", mode);
    mode = str_or(h->cgroupns_mode, "");
    if (*mode && strcmp(mode, "host") != 0 && strcmp(mode, "private") != 0)
        return err_invalid(err, "invalid CgroupNS mode: %s", mode);
    if (h->links.n &&
        (str_eq(h->network_mode, "host") || str_starts(h->network_mode, "container:")))
        return err_invalid(err, "conflicting options: %s type networking can't be used with links",
                           h->network_mode);
    return 0;
}

static int check_security(const struct host_config *h, struct err *err)
{
    static const char *const known[] = {"seccomp",           "apparmor",    "label",
                                        "no-new-privileges", "systempaths", "writable-cgroups"};
    static const char *const flags[] = {"no-new-privileges", "writable-cgroups"};

    for (size_t i = 0; i < h->security_opt.n; i++) {
        const char *opt = h->security_opt.v[i];
        size_t n = strcspn(opt, "=:");
        bool ok = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            ok |= strlen(known[k]) == n && strncmp(known[k], opt, n) == 0;
        if (!ok)
            return err_invalid(err, "invalid --security-opt 2: \"%s\"", opt);
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (ctr_security_flag(h, flags[i], false) < 0)
            return err_invalid(err, "invalid --security-opt 2: \"%s\" is true or false", flags[i]);
    return ctr_apparmor_check(h, err);
}

static int check_ranges(const struct host_config *h, struct err *err)
{
    static const char *const limits[] = {
        "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
        "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};

    if (h->shm_size_b < 0)
        return err_invalid(err, "SHM size can not be less than 0");
    if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
        return err_invalid(err, "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                           (long long)h->oom_score_adj);
    for (size_t i = 0; i < h->res.ulimits.n; i++) {
        const struct ulimit *u = h->res.ulimits.v[i];
        bool known = false;
        for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++)
            known |= str_eq(limits[k], u->name);
        if (!known)
            return err_invalid(err, "invalid ulimit type: %s", str_or(u->name, ""));
        if (u->hard != -1 && (u->soft == -1 || u->soft > u->hard))
            return err_invalid(err,
                               "ulimit soft limit must be less than or equal to hard limit: %lld > "
                               "%lld",
                               (long long)u->soft, (long long)u->hard);
    }
    return 0;
}

static int check_health(const struct healthcheck *h, struct err *err)
{
    const struct {
        const char *name;
        int64_t ns;
    } times[] = {{"Interval", h ? h->interval_ns : 0},
                 {"Timeout", h ? h->timeout_ns : 0},
                 {"StartPeriod", h ? h->start_period_ns : 0},
                 {"StartInterval", h ? h->start_interval_ns : 0}};

    if (!h)
        return 0;
    for (size_t i = 0; i < 4; i++)
        if (times[i].ns != 0 && times[i].ns < NS_PER_MS)
            return err_invalid(err, "%s in Healthcheck cannot be less than 1ms", times[i].name);
    if (h->retries < 0)
        return err_invalid(err, "Retries in Healthcheck cannot be negative");
    return 0;
}

static int check_config(const struct container_config *c, struct err *err)
{
    if (!str_empty(c->working_dir) && c->working_dir[0] != '/')
        return err_invalid(err,
                           "the working directory '%s' is invalid, it needs to be an absolute path",
                           c->working_dir);
    if (!str_empty(c->stop_signal) && signal_parse(c->stop_signal) < 0)
        return err_invalid(err, "invalid signal: %s", c->stop_signal);
    for (size_t i = 0; i < c->env.n; i++)
        if (!*c->env.v[i] || c->env.v[i][0] == '=')
            return err_invalid(err, "invalid environment variable: %s", c->env.v[i]);
    if (c->entrypoint.n + c->cmd.n == 0)
        return err_invalid(err, "no command specified");
    return check_health(c->healthcheck, err);
}

static int check_host(struct host_config *h, struct err *err)
{
    auto_arena struct arena tmp = ARENA_INIT;
    struct cgroup_limits limits = {0};
    struct strv caps;
    uint64_t layer;

    if (h->res.device_requests.n > 0)
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "could not select device driver: device requests are not built yet");
    int r = check_restart(h, err);
    if (r >= 0)
        r = check_log(h, err);
    if (r >= 0)
        r = check_modes(h, err);
    if (r >= 0)
        r = check_ranges(h, err);
    if (r >= 0)
        r = check_security(h, err);
    if (r >= 0)
        r = ctr_check_binds(h, err);
    if (r >= 0)
        r = ctr_limits(h, &tmp, &limits, err);
    if (r >= 0)
        r = ctr_layer_limit(h, &layer, err);
    if (r >= 0)
        r = ctr_caps(h, &tmp, &caps, err);
    return r;
}

/* On v2 even a privileged container has a namespace of its own: its groups lie below its own. */
static const char *default_cgroupns(const struct engine *e, const struct host_config *h)
{
    bool v2 = cgroup_host_mode(e->cgroups) == CGROUP_V2;

    if (h->privileged && !v2)
        return "host";
    return str_or(e->conf->default_cgroupns_mode, v2 ? "private" : "host");
}

static void fill_defaults(struct engine *e, struct container *c)
{
    struct arena *a = &c->mem;
    struct host_config *h = c->host;
    struct container_config *cfg = c->config;

    if (str_empty(cfg->hostname) && !str_eq(h->network_mode, "host") &&
        !str_starts(str_or(h->uts_mode, ""), "host"))
        cfg->hostname = arena_strndup(a, c->id, 12);
    if (str_empty(h->network_mode))
        h->network_mode = arena_strdup(a, "default");
    if (str_eq(h->network_mode, "default"))
        h->network_mode = arena_strdup(a, "bridge");
    if (str_empty(h->ipc_mode))
        h->ipc_mode = arena_strdup(a, e->conf->default_ipc_mode);
    if (str_empty(h->cgroupns_mode))
        h->cgroupns_mode = arena_strdup(a, default_cgroupns(e, h));
    if (str_empty(h->restart_policy.name))
        h->restart_policy.name = arena_strdup(a, "no");
    if (h->shm_size_b == 0)
        h->shm_size_b = e->conf->default_shm_size;
    if (str_empty(h->runtime))
        h->runtime = arena_strdup(a, "cleat");
    if (str_empty(h->log_config.type)) {
        h->log_config.type = arena_strdup(a, e->conf->log_driver);
        for (size_t i = 0; i < e->conf->log_opts.n; i++)
            strmap_set(a, &h->log_config.config, e->conf->log_opts.v[i].key,
                       e->conf->log_opts.v[i].val);
    }
    if (h->res.memory_b > 0 && h->res.memory_swap_b == 0)
        h->res.memory_swap_b = 2 * h->res.memory_b;
    host_config_defaults(h, a);
    ctr_protect_paths(h, a);
}

/* ---- making it ---- */

static int make_dirs(struct engine *e, struct container *c, struct err *err)
{
    if (mkdirat(e->containers_fd, c->id, 0710) < 0)
        return err_sys(err, "create container directory");
    c->data_fd = openat(e->containers_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->data_fd < 0)
        return err_sys(err, "open container directory");
    FAIL_POINT("container.create.dir", err);
    if (mkdirat(c->data_fd, "diff", 0755) < 0 || mkdirat(c->data_fd, "work", 0711) < 0)
        return err_sys(err, "create container layer");
    return ctr_limit_layer(c, err);
}

/* Clients take "not found" for the image's absence, and pull it. */
static int not_the_image(int r, struct err *err)
{
    if (r < 0 && err && err->kind == ERR_NOT_FOUND)
        err->kind = ERR_INVALID;
    return r;
}

static void clone_request(struct container *c, const struct container_create_request *req)
{
    c->config = json_clone(&container_config_type, &req->config, &c->mem);
    c->host = req->host_config ? json_clone(&host_config_type, req->host_config, &c->mem)
                               : arena_new(&c->mem, struct host_config);
}

static int use_image(struct engine *e, struct container *c, const struct platform *want,
                     struct err *err)
{
    struct img_use image;

    if (str_empty(c->config->image))
        return err_invalid(err, "config.Image must be specified: no image given");
    int r = img_resolve(e, c->config->image, want, &c->mem, &image, err);
    if (r < 0)
        return r;
    c->image_id = image.id;
    c->image_name = c->config->image;
    c->lowers = image.lowers;
    config_merge(&c->mem, c->config, image.config);
    return 0;
}

static int complete(struct engine *e, struct container *c,
                    const struct container_create_request *req, struct err *err)
{
    fill_defaults(e, c);
    int r = check_config(c->config, err);
    if (r >= 0)
        r = check_host(c->host, err);
    if (r >= 0)
        r = not_the_image(ctr_volumes_plan(c, err), err);
    if (r >= 0)
        r = not_the_image(links_check(e, c->host, err), err);
    if (r >= 0)
        r = not_the_image(ctr_networks_init(c, req->networking_config, err), err);
    return r < 0 ? r : ctr_check_ports(e, c->config, c->host, err);
}

static int store_it(struct engine *e, struct container *c, struct err *err)
{
    FAIL_POINT("container.create.begin", err);
    int r = make_dirs(e, c, err);
    if (r >= 0)
        r = ctr_save_new(c, err); /* the name is unique in the catalog: of two, one fails here */
    if (r < 0)
        (void)!remove_tree_at(e->containers_fd, c->id, NULL);
    return r;
}

/* A name of our choice may be taken by another create between the look and the row: once more. */
static int name_and_store(struct engine *e, struct container *c, const char *name, struct err *err)
{
    int r = -EEXIST;

    if (!str_empty(name)) {
        c->name = arena_strdup(&c->mem, name);
        return store_it(e, c, err);
    }
    for (int tries = 0; tries < NAME_TRIES && r == -EEXIST; tries++) {
        err_clear(err);
        close_fd(&c->data_fd);
        c->name = make_name(e, &c->mem);
        r = store_it(e, c, err);
    }
    return r;
}

/* The container is in the table, so that nobody prunes its volumes; it starts when it has them. */
static int make_volumes(struct container *c, struct err *err)
{
    struct err ignored = {0};

    (void)pthread_mutex_lock(&c->op);
    ctr_link(c);
    int r = not_the_image(ctr_volumes_make(c, true, err), err);
    bool gone = r < 0 && ctr_remove_locked(c, true, &ignored) >= 0;
    (void)pthread_mutex_unlock(&c->op);
    if (gone)
        ctr_volumes_drop(c);
    return r;
}

int ctr_create(struct engine *e, const char *name, const struct platform *want,
               const struct container_create_request *req, struct arena *a,
               struct container_create_response *ret, struct err *err)
{
    char id[ID_LEN + 1];

    if (name && *name == '/')
        name++;
    int r = str_empty(name) ? 0 : check_name(name, err);
    if (r >= 0 && !str_empty(name))
        r = ctr_name_free(e, name, err);
    if (r < 0)
        return r;
    rand_id(id);
    auto_ctr struct container *c = ctr_new(e, id);
    c->created_ns = now_ns();
    struct strv warnings = {.v = arena_alloc(a, sizeof(char *))};
    clone_request(c, req);
    r = use_image(e, c, want, err);
    if (r >= 0)
        r = complete(e, c, req, err);
    if (r >= 0)
        r = ctr_drop_unsupported(c, a, &warnings, err);
    if (r < 0)
        return r;
    ctr_apparmor_warn(c, a, &warnings);
    r = name_and_store(e, c, name, err);
    if (r >= 0)
        r = make_volumes(c, err);
    if (r < 0)
        return r;
    ctr_event(c, "create", NULL);
    ret->id = arena_strdup(a, id);
    ret->warnings = warnings;
    return 0;
}

int ctr_create_hidden(struct engine *e, const struct container_create_request *req,
                      const struct strv *lowers, struct container **ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv warnings = {0};
    char id[ID_LEN + 1];

    rand_id(id);
    auto_ctr struct container *c = ctr_new(e, id);
    c->created_ns = now_ns();
    clone_request(c, req);
    c->image_name = arena_strdup(&c->mem, "");
    c->lowers = strv_clone(&c->mem, lowers);
    int r = complete(e, c, req, err);
    if (r >= 0)
        r = ctr_drop_unsupported(c, &a, &warnings, err);
    if (r < 0)
        return r;
    c->name = arena_printf(&c->mem, HIDDEN_PREFIX "%.16s", id);
    r = store_it(e, c, err);
    if (r < 0)
        return r;
    ctr_link(c);
    *ret = take_ptr(&c);
    return 0;
}

int ctr_rename(struct engine *e, const char *id, const char *name, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    if (name && *name == '/')
        name++;
    if (str_empty(name))
        return err_invalid(err, "Neither old nor new names may be empty");
    int r = check_name(name, err);
    if (r >= 0 && strcmp(name, c->name) == 0)
        return err_invalid(err, "Renaming a container with the same name as its current name");
    if (r >= 0)
        r = ctr_name_free(e, name, err);
    if (r < 0)
        return r;
    FAIL_POINT("container.rename", err);
    r = container_set_name(e->db, c->id, name, err);
    if (r < 0)
        return r;
    /* The table is searched by name: the name changes under its lock. */
    (void)pthread_mutex_lock(&c->ends);
    ctr_names_remove(c);
    (void)pthread_mutex_lock(&e->lock);
    (void)pthread_mutex_lock(&c->lock);
    char *old = c->name;
    ctr_set_name(c, arena_strdup(&c->mem, name));
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_mutex_unlock(&e->lock);
    ctr_names_add(c);
    (void)pthread_mutex_unlock(&c->ends);
    auto_free char *shown = xasprintf("/%s", old);
    ctr_event(c, "rename", "oldName", shown, NULL);
    return 0;
}
