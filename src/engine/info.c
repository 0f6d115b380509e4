/* The engine about itself and its machine: info, version, disk usage. */
#include "engine/build-priv.h"
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/time.h"
#include "engine/plugins.h"
#include "store/layer_blobs.h"
#include "store/layers.h"
#include "wire/version.h"

static const char *architecture(void)
{
#ifdef __aarch64__
    return "arm64";
#else
    return "amd64";
#endif
}

static bool file_says(const char *path, char c)
{
    auto_buf struct buf t = BUF_INIT;

    return read_file_at(AT_FDCWD, path, 4096, &t, NULL) >= 0 && t.len && t.data[0] == c;
}

/* PRETTY_NAME and VERSION_ID of os-release. */
static char *os_release(const char *key, const char *otherwise, struct arena *a)
{
    auto_buf struct buf t = BUF_INIT;

    if (read_file_at(AT_FDCWD, "/etc/os-release", 65536, &t, NULL) < 0)
        return arena_strdup(a, otherwise);
    struct strv lines = str_split(a, buf_str(&t), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *v = str_starts(lines.v[i], key);
        if (!v || *v != '=')
            continue;
        v++;
        size_t n = strlen(v);
        if (n >= 2 && *v == '"')
            return arena_strndup(a, v + 1, n - 2);
        return arena_strdup(a, v);
    }
    return arena_strdup(a, otherwise);
}

static void count_containers(struct engine *e, struct system_info *ret)
{
    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c; c = c->next) {
        if (ctr_hidden(c))
            continue;
        ret->containers++;
        if (c->status == CTR_RUNNING && c->paused)
            ret->containers_paused++;
        else if (c->status == CTR_RUNNING)
            ret->containers_running++;
        else
            ret->containers_stopped++;
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static void put_machine(struct engine *e, struct arena *a, struct system_info *ret)
{
    struct utsname u;
    struct sysinfo si;

    (void)uname(&u);
    (void)sysinfo(&si);
    ret->kernel_version = arena_strdup(a, u.release);
    ret->operating_system = os_release("PRETTY_NAME", "Linux", a);
    ret->os_version = os_release("VERSION_ID", "", a);
    ret->os_type = arena_strdup(a, "linux");
    ret->architecture = arena_strdup(a, u.machine);
    ret->ncpu = get_nprocs();
    ret->mem_total_b = (int64_t)si.totalram * si.mem_unit;
    ret->name = arena_strdup(a, u.nodename);
    ret->cgroup_driver = arena_strdup(a, "cgroupfs");
    ret->cgroup_version = arena_strdup(a, cgroup_host_mode(e->cgroups) == CGROUP_V2 ? "2" : "1");
    ret->memory_limit = ret->swap_limit = cgroup_host_has(e->cgroups, "memory");
    ret->cpu_shares = ret->cpu_cfs_period = ret->cpu_cfs_quota = cgroup_host_has(e->cgroups, "cpu");
    ret->cpuset = cgroup_host_has(e->cgroups, "cpuset");
    ret->pids_limit = cgroup_host_has(e->cgroups, "pids");
    ret->oom_kill_disable = cgroup_host_mode(e->cgroups) != CGROUP_V2;
    ret->ipv4_forwarding = file_says("/proc/sys/net/ipv4/ip_forward", '1');
}

static void put_features(struct engine *e, struct arena *a, struct system_info *ret)
{
    struct runtime_info *rt = arena_new(a, struct runtime_info);

    strv_push(a, &ret->plugins.volume, "local");
    plugins_with(e->plugins, "VolumeDriver", a, &ret->plugins.volume);
    strv_push(a, &ret->plugins.network, "bridge");
    strv_push(a, &ret->plugins.network, "host");
    strv_push(a, &ret->plugins.network, "ipvlan");
    strv_push(a, &ret->plugins.network, "macvlan");
    strv_push(a, &ret->plugins.network, "null");
    strv_push(a, &ret->plugins.log, "json-file");
    strv_push(a, &ret->plugins.log, "none");
    rt->path = arena_strdup(a, e->shim);
    arena_push(a, ret->runtimes).key = arena_strdup(a, "cleat");
    ret->runtimes.v[0].val = rt;
    ret->default_runtime = arena_strdup(a, "cleat");
    strv_push(a, &ret->security_options,
              arena_printf(a, "name=seccomp,profile=%s", e->conf->seccomp_profile));
    if (e->apparmor_default)
        strv_push(a, &ret->security_options, "name=apparmor");
    if (cgroup_host_mode(e->cgroups) == CGROUP_V2)
        strv_push(a, &ret->security_options, "name=cgroupns");
    ret->swarm.local_node_state = arena_strdup(a, "inactive");
    ret->init_binary = arena_strdup(a, "cleat-init");
    ret->live_restore_enabled = e->conf->live_restore;
    ret->experimental_build = e->conf->experimental;
    ret->logging_driver = arena_strdup(a, e->conf->log_driver);
    ret->labels = strv_clone(a, &e->conf->labels);
    if (!ret->labels.v)
        ret->labels.v = arena_alloc(a, sizeof(char *));
    registry_describe(e, a, ret);
    ret->index_server_address = arena_strdup(a, "https://index.docker.io/v1/");
    struct firewall_info *fw = arena_new(a, struct firewall_info);
    fw->driver = arena_strdup(a, "nftables");
    ret->firewall_backend = fw;
}

static int64_t threads_now(void)
{
    auto_buf struct buf t = BUF_INIT;
    int64_t n = 0;

    if (read_file_at(AT_FDCWD, "/proc/self/status", 65536, &t, NULL) < 0)
        return 0;
    const char *at = strstr(t.data, "\nThreads:");
    if (at)
        (void)sscanf(at + 9, "%ld", &n);
    return n;
}

static int64_t fds_now(void)
{
    int64_t n = 0;
    auto_dir DIR *d = opendir("/proc/self/fd");

    while (d && readdir(d))
        n++;
    return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

static void add_status(struct arena *a, struct system_info *ret, const char *what, const char *how)
{
    struct strv pair = {0};

    strv_push(a, &pair, what);
    strv_push(a, &pair, how);
    arena_push(a, ret->driver_status) = pair;
}

/* The second form of layers, which is in no image's size. */
static void put_blobs(struct engine *e, struct arena *a, struct system_info *ret)
{
    int64_t n = 0, size_b = 0;

    if (!image_store_keeps_blobs(e->images) || layer_blobs_kept(e->images, &n, &size_b, NULL) < 0)
        add_status(a, ret, "Image Blobs", e->conf->image_blobs);
    else
        add_status(a, ret, "Image Blobs",
                   arena_printf(a, "keep: %lld (%.4gMB)", (long long)n, (double)size_b / 1e6));
}

void engine_info(struct engine *e, struct arena *a, struct system_info *ret)
{
    struct image_rows rows = {0};
    char when[TIME_TEXT];

    *ret = (struct system_info){.id = arena_strdup(a, e->id),
                                .driver = arena_strdup(a, "overlay2"),
                                .debug = e->conf->debug,
                                .docker_root_dir = arena_strdup(a, e->data_path),
                                .server_version = arena_strdup(a, ENGINE_VERSION)};
    count_containers(e, ret);
    if (image_rows_all(e->images, a, &rows, NULL) >= 0)
        ret->images = (int64_t)rows.n;
    add_status(a, ret, "Backing Filesystem", "overlay, detached mounts");
    put_blobs(e, a, ret);
    put_machine(e, a, ret);
    put_features(e, a, ret);
    ret->nfd = fds_now();
    ret->ngoroutines = threads_now();
    ret->nevents_listener = events_count(e->events);
    ret->system_time = arena_strdup(a, time_rfc3339(now_ns(), when));
}

void engine_version(struct engine *e, struct arena *a, struct system_version *ret)
{
    struct utsname u;
    struct version_component *c = arena_new(a, struct version_component);

    (void)uname(&u);
    *ret = (struct system_version){
        .platform = {.name = arena_strdup(a, "Cleat")},
        .version = arena_strdup(a, ENGINE_VERSION),
        .api_version = arena_strdup(a, API_MAX_TEXT),
        .min_api_version = arena_strdup(a, API_MIN_TEXT),
        .git_commit = arena_strdup(a, ""),
        .go_version = arena_strdup(a, ""),
        .os = arena_strdup(a, "linux"),
        .arch = arena_strdup(a, architecture()),
        .kernel_version = arena_strdup(a, u.release),
        .experimental = e->conf->experimental,
        .build_time = arena_strdup(a, ""),
    };
    c->name = arena_strdup(a, "Engine");
    c->version = ret->version;
    strmap_set(a, &c->details, "ApiVersion", API_MAX_TEXT);
    strmap_set(a, &c->details, "MinAPIVersion", API_MIN_TEXT);
    strmap_set(a, &c->details, "Arch", architecture());
    strmap_set(a, &c->details, "Os", "linux");
    strmap_set(a, &c->details, "KernelVersion", u.release);
    strmap_set(a, &c->details, "Experimental", e->conf->experimental ? "true" : "false");
    strmap_set(a, &c->details, "BuildTime", "");
    strmap_set(a, &c->details, "GitCommit", "");
    strmap_set(a, &c->details, "GoVersion", "");
    arena_push(a, ret->components) = c;
}

static size_t users_of(struct engine *e, const char *image_id)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c; c = c->next)
        n += str_eq(c->image_id, image_id);
    (void)pthread_mutex_unlock(&e->lock);
    return n;
}

/* Our own: what a plugin keeps takes no place here that we know of. */
static int put_volumes(struct engine *e, struct arena *a, struct disk_usage *ret, struct err *err)
{
    struct filters local = {0};
    struct volume_list_response list = {0};

    filters_add(&local, a, "driver", "local");
    int r = vol_list(e, &local, a, &list, err);

    for (size_t i = 0; i < list.volumes.n; i++) {
        struct volume_info *v = list.volumes.v[i];
        v->usage = arena_new(a, struct volume_usage);
        *v->usage = (struct volume_usage){.size_b = vol_size(e, v->name),
                                          .ref_count = (int64_t)vol_users(e, v->name, NULL)};
    }
    ret->volumes.v = list.volumes.v ? list.volumes.v : arena_alloc(a, sizeof(void *));
    ret->volumes.n = list.volumes.n;
    return r;
}

int engine_disk_usage(struct engine *e, struct arena *a, struct disk_usage *ret, struct err *err)
{
    static const struct filters none = {0};
    struct ctr_list_opts o = {.all = true, .size = true};
    struct ctr_summaries ctrs = {0};
    struct img_summaries imgs = {0};
    int r = img_list(e, IMG_ALL, &none, a, &imgs, err);

    if (r >= 0)
        r = ctr_list(e, &o, a, &ctrs, err);
    if (r < 0)
        return r;
    struct strv seen = {0};
    for (size_t i = 0; i < imgs.n; i++) {
        struct image_row row;
        imgs.v[i]->containers = (int64_t)users_of(e, imgs.v[i]->id);
        if (image_by_id(e->images, imgs.v[i]->id, a, &row, NULL) < 0)
            continue;
        for (size_t k = 0; k < row.layers.n; k++) {
            struct layer_row lr;
            if (strv_has(&seen, row.layers.v[k]))
                continue;
            strv_push(a, &seen, row.layers.v[k]);
            if (layer_get(e->images, row.layers.v[k], a, &lr, NULL) >= 0)
                ret->layers_size_b += lr.size;
        }
    }
    ret->images.v = imgs.v ? imgs.v : arena_alloc(a, sizeof(void *));
    ret->images.n = imgs.n;
    ret->containers.v = ctrs.v ? ctrs.v : arena_alloc(a, sizeof(void *));
    ret->containers.n = ctrs.n;
    r = put_volumes(e, a, ret, err);
    return r < 0 ? r : engine_build_cache(e, a, ret, err);
}
