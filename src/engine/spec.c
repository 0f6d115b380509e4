/*
 * From a container to what the runtime is told: struct oci_spec. One function per part of it; all
 * of it is computed, nothing is changed on the machine (but bind sources that -v makes).
 */
#include "engine/engine-priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const masked[] = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap",
};
static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                       "/proc/sysrq-trigger"};

static struct strv list(struct arena *a, const char *const *v, size_t n)
{
    struct strv out = {.v = arena_alloc(a, sizeof(char *))};

    for (size_t i = 0; i < n; i++)
        strv_push(a, &out, v[i]);
    return out;
}

void ctr_protect_paths(struct host_config *h, struct arena *a)
{
    bool open = h->privileged || strv_has(&h->security_opt, "systempaths=unconfined");

    if (open || !h->masked_paths.v)
        h->masked_paths = list(a, masked, open ? 0 : sizeof(masked) / sizeof(masked[0]));
    if (open || !h->readonly_paths.v)
        h->readonly_paths = list(a, readonly, open ? 0 : sizeof(readonly) / sizeof(readonly[0]));
}

/* ---- namespaces ---- */

static void add_ns(struct arena *a, struct oci_linux *l, const char *type, const char *path)
{
    struct oci_namespace *ns = arena_new(a, struct oci_namespace);

    ns->type = arena_strdup(a, type);
    ns->path = path ? arena_strdup(a, path) : NULL;
    arena_push(a, l->namespaces) = ns;
}

/* Whose shared memory lies in its own mount namespace alone does not want to share. */
static int check_shareable(const struct container *o, struct err *err)
{
    if (!str_eq(o->host->ipc_mode, "private") && !str_eq(o->host->ipc_mode, "none"))
        return 0;
    return err_invalid(err,
                       "failed to join IPC namespace: container %s: non-shareable IPC (hint: use "
                       "IpcMode:shareable for the donor container)",
                       o->id);
}

/* "container:NAME": the namespace of another container, which must run. */
static int other_ns(struct container *c, const char *name, const char *file, struct arena *a,
                    const char **ret, struct err *err)
{
    auto_ctr struct container *o = ctr_find(c->e, name, err);

    if (!o)
        return err_code(err);
    if (o == c)
        return err_invalid(err, "container %s cannot join its own %s namespace", c->id, file);
    (void)pthread_mutex_lock(&o->lock);
    int64_t pid = ctr_running(o) ? o->pid : 0;
    (void)pthread_mutex_unlock(&o->lock);
    if (!pid)
        return err_conflict(err, "cannot join %s namespace of a non running container: %s", file,
                            o->id);
    int r = strcmp(file, "ipc") == 0 ? check_shareable(o, err) : 0;
    *ret = arena_printf(a, "/proc/%lld/ns/%s", (long long)pid, file);
    return r;
}

static int one_ns(struct container *c, struct arena *a, struct oci_linux *l, const char *mode,
                  const char *type, const char *file, struct err *err)
{
    const char *path = NULL, *other = str_starts(str_or(mode, ""), "container:");

    if (str_eq(mode, "host"))
        return 0;
    int r = other ? other_ns(c, other, file, a, &path, err) : 0;
    if (r >= 0)
        add_ns(a, l, type, path);
    return r;
}

static int namespaces(struct container *c, struct arena *a, struct oci_linux *l, struct err *err)
{
    const struct host_config *h = c->host;

    add_ns(a, l, "mount", NULL);
    int r = one_ns(c, a, l, h->network_mode, "network", "net", err);
    if (r >= 0)
        r = one_ns(c, a, l, h->pid_mode, "pid", "pid", err);
    if (r >= 0)
        r = one_ns(c, a, l, h->ipc_mode, "ipc", "ipc", err);
    if (r >= 0)
        r = one_ns(c, a, l, h->uts_mode, "uts", "uts", err);
    return r < 0 ? r : one_ns(c, a, l, h->cgroupns_mode, "cgroup", "cgroup", err);
}

static bool own_ns(const struct oci_linux *l, const char *type)
{
    for (size_t i = 0; i < l->namespaces.n; i++)
        if (strcmp(l->namespaces.v[i]->type, type) == 0)
            return str_empty(l->namespaces.v[i]->path);
    return false;
}

static int sysctls(struct container *c, struct arena *a, struct oci_linux *l, struct err *err)
{
    const struct strmap *user = &c->host->sysctls;

    if (own_ns(l, "network")) {
        strmap_set(a, &l->sysctl, "net.ipv4.ip_unprivileged_port_start", "0");
        strmap_set(a, &l->sysctl, "net.ipv4.ping_group_range", "0 2147483647");
    }
    for (size_t i = 0; i < user->n; i++) {
        const char *key = user->v[i].key;
        if (str_starts(key, "net.") && !own_ns(l, "network"))
            return err_invalid(err, "sysctl '%s' not allowed in host network namespace", key);
        strmap_set(a, &l->sysctl, key, user->v[i].val);
    }
    return 0;
}

/* ---- devices ---- */

static void rule(struct arena *a, struct cgroup_limits *l, bool allow, const char *type,
                 int64_t maj, int64_t min, const char *access)
{
    struct cgroup_device_rule *r = arena_new(a, struct cgroup_device_rule);

    r->allow = allow;
    r->type = arena_strdup(a, type);
    r->major = arena_memdup(a, &maj, sizeof(maj));
    r->minor = arena_memdup(a, &min, sizeof(min));
    r->access = arena_strdup(a, access);
    arena_push(a, l->devices) = r;
}

static void default_rules(struct arena *a, struct cgroup_limits *l)
{
    static const int nodes[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}};

    rule(a, l, false, "a", -1, -1, "rwm");
    rule(a, l, true, "c", -1, -1, "m"); /* making a node is harmless, opening it is not */
    rule(a, l, true, "b", -1, -1, "m");
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        rule(a, l, true, "c", nodes[i][0], nodes[i][1], "rwm");
    rule(a, l, true, "c", 136, -1, "rwm"); /* pts */
}

static int add_device(const char *from, const char *to, const char *access, struct arena *a,
                      struct oci_linux *l, struct err *err)
{
    struct stat st;

    if (stat(from, &st) < 0)
        return err_as(err, ERR_INVALID, errno,
                      "error gathering device information while adding custom device \"%s\": %s",
                      from, errno == ENOENT ? "no such file or directory" : strerrordesc_np(errno));
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_invalid(err,
                           "error gathering device information while adding custom device \"%s\": "
                           "not a device node",
                           from);
    struct oci_device *d = arena_new(a, struct oci_device);
    uint32_t mode = st.st_mode & 0777, uid = st.st_uid, gid = st.st_gid;
    d->path = arena_strdup(a, to);
    d->type = arena_strdup(a, S_ISCHR(st.st_mode) ? "c" : "b");
    d->major = major(st.st_rdev);
    d->minor = minor(st.st_rdev);
    d->file_mode = arena_memdup(a, &mode, sizeof(mode));
    d->uid = arena_memdup(a, &uid, sizeof(uid));
    d->gid = arena_memdup(a, &gid, sizeof(gid));
    arena_push(a, l->devices) = d;
    if (access)
        rule(a, l->resources, true, d->type, d->major, d->minor, access);
    return 0;
}

/* A privileged container has every device node of the host's /dev (but terminals and shm). */
static int all_devices(const char *dir, struct arena *a, struct oci_linux *l, int depth,
                       struct err *err)
{
    static const char *const skip[] = {".",      "..",      "pts",  "shm",  "fd",
                                       "mqueue", "console", "ptmx", ".lxc", ".lxd-mounts"};
    auto_dir DIR *d = opendir(dir);

    for (struct dirent *ent; d && (ent = readdir(d));) {
        bool skipped = false;
        for (size_t i = 0; i < sizeof(skip) / sizeof(skip[0]); i++)
            skipped |= strcmp(skip[i], ent->d_name) == 0;
        if (skipped)
            continue;
        char *path = arena_printf(a, "%s/%s", dir, ent->d_name);
        int r = 0;
        if (ent->d_type == DT_DIR && depth < 4)
            r = all_devices(path, a, l, depth + 1, err);
        else if (ent->d_type == DT_CHR || ent->d_type == DT_BLK)
            r = add_device(path, path, NULL, a, l, err);
        if (r == -ENOENT)
            r = 0; /* went away while we looked */
        if (r < 0)
            return r;
    }
    return 0;
}

/* "c 1:3 rwm", "b *:* m", "a *:* rwm" */
static int user_rule(const char *text, struct arena *a, struct cgroup_limits *l, struct err *err)
{
    struct strv w = str_split(a, text, ' ');
    struct strv dev = w.n == 3 ? str_split(a, w.v[1], ':') : (struct strv){0};
    int64_t num[2] = {-1, -1};

    for (size_t i = 0; i < dev.n && i < 2; i++)
        if (strcmp(dev.v[i], "*") != 0 && str_to_i64(dev.v[i], &num[i]) < 0)
            dev.n = 0;
    if (dev.n != 2 || strlen(w.v[0]) != 1 || !strchr("abc", w.v[0][0]) ||
        strspn(w.v[2], "rwm") != strlen(w.v[2]))
        return err_invalid(err, "invalid device cgroup rule format: '%s'", text);
    rule(a, l, true, w.v[0], num[0], num[1], w.v[2]);
    return 0;
}

static int devices(struct container *c, struct arena *a, struct oci_linux *l, struct err *err)
{
    const struct resources *res = &c->host->res;
    int r = 0;

    if (c->host->privileged) {
        rule(a, l->resources, true, "a", -1, -1, "rwm");
        return all_devices("/dev", a, l, 0, err);
    }
    default_rules(a, l->resources);
    for (size_t i = 0; r >= 0 && i < res->devices.n; i++) {
        const struct device_mapping *d = res->devices.v[i];
        r = add_device(d->host_path, str_or(d->container_path, d->host_path),
                       str_or(d->permissions, "rwm"), a, l, err);
    }
    for (size_t i = 0; r >= 0 && i < res->device_cgroup_rules.n; i++)
        r = user_rule(res->device_cgroup_rules.v[i], a, l->resources, err);
    return r;
}

/* ---- the process ---- */

static void rlimits(struct container *c, struct arena *a, struct oci_process *p)
{
    for (size_t i = 0; i < c->host->res.ulimits.n; i++) {
        const struct ulimit *u = c->host->res.ulimits.v[i];
        struct oci_rlimit *r = arena_new(a, struct oci_rlimit);
        r->type = arena_printf(a, "RLIMIT_%s", u->name);
        for (char *ch = r->type; *ch; ch++)
            *ch = *ch >= 'a' && *ch <= 'z' ? (char)(*ch - 32) : *ch;
        r->soft = (uint64_t)u->soft;
        r->hard = (uint64_t)u->hard;
        arena_push(a, p->rlimits) = r;
    }
}

static int to_bool(const char *text)
{
    bool on = false;

    return str_to_bool(text, &on) < 0 ? -EINVAL : on;
}

int ctr_security_flag(const struct host_config *host, const char *name, bool otherwise)
{
    const struct strv *o = &host->security_opt;
    int on = otherwise;

    for (size_t i = 0; i < o->n && on >= 0; i++) {
        const char *v = str_starts(o->v[i], name);
        if (v && *v == '\0')
            on = true;
        else if (v && (*v == '=' || *v == ':'))
            on = to_bool(v + 1);
    }
    return on;
}

/* A bare name ("A", no "=") means that the variable is not set. */
static void put_env(struct arena *a, struct strv *env, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (strchr(from->v[i], '='))
            strv_env_set(a, env, from->v[i]);
}

struct strv ctr_environment(const struct container *c, bool tty, const struct strv *more,
                            const char *home, struct arena *a)
{
    struct strv env = {0};

    strv_push(a, &env, DEFAULT_PATH);
    if (!str_empty(c->config->hostname))
        strv_env_set(a, &env, arena_printf(a, "HOSTNAME=%s", c->config->hostname));
    if (tty)
        strv_env_set(a, &env, "TERM=xterm");
    links_environment(c, a, &env);
    put_env(a, &env, &c->config->env);
    put_env(a, &env, more);
    if (!strv_env(&env, "HOME"))
        strv_env_set(a, &env, arena_printf(a, "HOME=%s", home));
    return env;
}

static void capabilities(const struct strv *caps, const struct user_info *u, struct arena *a,
                         struct oci_process *p)
{
    struct oci_capabilities *oc = arena_new(a, struct oci_capabilities);

    oc->bounding = *caps;
    if (u->uid == 0) /* another user gets them only by a file's capabilities */
        oc->permitted = oc->effective = *caps;
    p->capabilities = oc;
}

static bool wants_init(const struct container *c)
{
    bool on = c->host->init ? *c->host->init : c->e->conf->init;

    return on && str_empty(c->host->pid_mode); /* of others' processes it would not be the first */
}

int ctr_build_process(struct container *c, const struct strv *caps, struct arena *a,
                      struct oci_process **ret, struct err *err)
{
    struct oci_process *p = arena_new(a, struct oci_process);
    static const struct strv none = {0};
    const struct container_config *cfg = c->config;
    struct user_info u;
    const char *apparmor;
    int r = user_lookup(c, cfg->user, &c->host->group_add, a, &u, err);

    if (r >= 0)
        r = ctr_apparmor_profile(c, &apparmor, err);
    if (r < 0)
        return r;
    p->apparmor_profile = arena_strdup(a, apparmor);
    p->terminal = cfg->tty;
    if (c->host->console_size.n == 2 && c->host->console_size.v[0] > 0) {
        p->console_size = arena_new(a, struct oci_box);
        p->console_size->height = (uint32_t)c->host->console_size.v[0];
        p->console_size->width = (uint32_t)c->host->console_size.v[1];
    }
    p->user.uid = u.uid;
    p->user.gid = u.gid;
    p->user.additional_gids.v = u.groups.v;
    p->user.additional_gids.n = u.groups.n;
    if (wants_init(c)) {
        strv_push(a, &p->args, "/sbin/docker-init");
        strv_push(a, &p->args, "--");
    }
    for (size_t i = 0; i < cfg->entrypoint.n; i++)
        strv_push(a, &p->args, cfg->entrypoint.v[i]);
    for (size_t i = 0; i < cfg->cmd.n; i++)
        strv_push(a, &p->args, cfg->cmd.v[i]);
    p->cwd = arena_strdup(a, str_or(cfg->working_dir, "/"));
    p->no_new_privileges =
        ctr_security_flag(c->host, "no-new-privileges", c->e->conf->no_new_privileges) > 0;
    if (c->host->oom_score_adj)
        p->oom_score_adj = arena_memdup(a, &c->host->oom_score_adj, sizeof(int64_t));
    p->env = ctr_environment(c, cfg->tty, &none, u.home, a);
    capabilities(caps, &u, a, p);
    rlimits(c, a, p);
    *ret = p;
    return 0;
}

static void mount_init(struct container *c, struct arena *a, struct oci_spec *spec)
{
    struct oci_mount *m = arena_new(a, struct oci_mount);

    m->destination = arena_strdup(a, "/sbin/docker-init");
    m->type = arena_strdup(a, "bind");
    m->source = arena_strdup(a, str_or(c->e->conf->init_path, c->e->init));
    m->options = str_split(a, "bind,ro", ',');
    arena_push(a, spec->mounts) = m;
}

static int lnx(struct container *c, struct arena *a, struct oci_spec *spec, struct err *err)
{
    struct oci_linux *l = spec->lnx = arena_new(a, struct oci_linux);

    l->resources = arena_new(a, struct cgroup_limits);
    l->cgroups_path = ctr_cgroup_path(c, a);
    l->masked_paths = c->host->masked_paths;
    l->readonly_paths = c->host->readonly_paths;
    int r = namespaces(c, a, l, err);
    if (r >= 0)
        r = sysctls(c, a, l, err);
    if (r >= 0)
        r = ctr_limits(c->host, a, l->resources, err);
    return r < 0 ? r : devices(c, a, l, err);
}

/* Who shares IPC with another container shares its /dev/shm as well, which lies in that one's mount
 * namespace. */
static int share_shm(struct container *c, struct arena *a, struct oci_spec *spec, struct err *err)
{
    const char *other = str_starts(str_or(c->host->ipc_mode, ""), "container:"), *ns;
    struct oci_mount *shm = NULL;

    for (size_t i = 0; other && i < spec->mounts.n; i++)
        if (str_eq(spec->mounts.v[i]->type, SHM_OF_OTHER))
            shm = spec->mounts.v[i];
    if (!shm) /* it has none to share, or something of its own in that place */
        return 0;
    int r = other_ns(c, other, "mnt", a, &ns, err);
    if (r >= 0)
        shm->mount_ns = arena_strdup(a, ns);
    return r;
}

int ctr_build_spec(struct container *c, struct arena *a, struct oci_spec **ret, struct err *err)
{
    struct oci_spec *spec = arena_new(a, struct oci_spec);
    struct strv caps;

    spec->oci_version = arena_strdup(a, OCI_VERSION);
    spec->root = arena_new(a, struct oci_root);
    spec->root->path = arena_strdup(a, "rootfs"); /* comes as a descriptor */
    spec->root->readonly = c->host->readonly_rootfs;
    spec->hostname = str_eq(c->host->uts_mode, "host") ? NULL : c->config->hostname;
    spec->domainname = c->config->domainname;
    spec->annotations = c->host->annotations;
    int r = ctr_caps(c->host, a, &caps, err);
    if (r >= 0)
        r = ctr_build_process(c, &caps, a, &spec->process, err);
    if (r >= 0)
        r = lnx(c, a, spec, err);
    if (r >= 0)
        r = ctr_mounts(c, a, spec, err);
    if (r >= 0)
        r = share_shm(c, a, spec, err);
    if (r < 0)
        return r;
    if (wants_init(c))
        mount_init(c, a, spec);
    *ret = spec;
    return 0;
}
