#include "engine/config.h"

#include <errno.h>
#include <fcntl.h>

#include "base/io.h"

#define CONFIG_MAX (1U << 20)

static const struct field proxy_fields[] = {
    FIELD(struct proxy_config, "http-proxy", F_STR, http),
    FIELD(struct proxy_config, "https-proxy", F_STR, https),
    FIELD(struct proxy_config, "no-proxy", F_STR, no),
};
static const struct json_type proxy_type = JSON_TYPE("proxies", struct proxy_config, proxy_fields);

static const struct field gc_fields[] = {
    FIELD(struct builder_gc, "enabled", F_BOOL, enabled),
    FIELD(struct builder_gc, "defaultKeepStorage", F_STR, keep),
    FIELD(struct builder_gc, "defaultReservedSpace", F_STR, reserved),
};
static const struct json_type gc_type = JSON_TYPE("builder.gc", struct builder_gc, gc_fields);

static const struct field builder_fields[] = {
    FIELD(struct builder_config, "gc", F_OBJ, gc, .type = &gc_type),
};
static const struct json_type builder_type =
    JSON_TYPE("builder", struct builder_config, builder_fields);

static const struct field pool_fields[] = {
    FIELD(struct address_pool, "base", F_STR, base, .flags = F_REQUIRED),
    FIELD(struct address_pool, "size", F_I64, size, .flags = F_REQUIRED),
};
static const struct json_type pool_type =
    JSON_TYPE("default-address-pools", struct address_pool, pool_fields);

static const struct field fields[] = {
    FIELD(struct engine_config, "data-root", F_STR, data_root),
    FIELD(struct engine_config, "exec-root", F_STR, exec_root),
    FIELD(struct engine_config, "pidfile", F_STR, pidfile),
    FIELD(struct engine_config, "hosts", F_STRV, hosts),
    FIELD(struct engine_config, "group", F_STR, group),
    FIELD(struct engine_config, "debug", F_BOOL, debug),
    FIELD(struct engine_config, "log-level", F_STR, log_level),
    FIELD(struct engine_config, "log-format", F_STR, log_format),
    FIELD(struct engine_config, "bridge", F_STR, bridge),
    FIELD(struct engine_config, "bip", F_STR, bip),
    FIELD(struct engine_config, "bip6", F_STR, bip6),
    FIELD(struct engine_config, "fixed-cidr", F_STR, fixed_cidr),
    FIELD(struct engine_config, "fixed-cidr-v6", F_STR, fixed_cidr_v6),
    FIELD(struct engine_config, "ipv6", F_BOOL, ipv6),
    FIELD(struct engine_config, "userland-proxy", F_BOOL, userland_proxy),
    FIELD(struct engine_config, "mtu", F_I64, mtu),
    FIELD(struct engine_config, "ip-masq", F_BOOL, ip_masq),
    FIELD(struct engine_config, "ip-forward", F_BOOL, ip_forward),
    FIELD(struct engine_config, "icc", F_BOOL, icc),
    FIELD(struct engine_config, "iptables", F_BOOL, iptables),
    FIELD(struct engine_config, "firewall", F_STR, firewall),
    FIELD(struct engine_config, "default-address-pools", F_OBJV, default_address_pools,
          .type = &pool_type),
    FIELD(struct engine_config, "ip", F_STR, ip),
    FIELD(struct engine_config, "init", F_BOOL, init),
    FIELD(struct engine_config, "init-path", F_STR, init_path),
    FIELD(struct engine_config, "cgroup-parent", F_STR, cgroup_parent),
    FIELD(struct engine_config, "log-driver", F_STR, log_driver),
    FIELD(struct engine_config, "log-opts", F_STRMAP, log_opts),
    FIELD(struct engine_config, "dns", F_STRV, dns),
    FIELD(struct engine_config, "dns-opts", F_STRV, dns_opts),
    FIELD(struct engine_config, "dns-search", F_STRV, dns_search),
    FIELD(struct engine_config, "labels", F_STRV, labels),
    FIELD(struct engine_config, "default-shm-size", F_I64, default_shm_size, .flags = F_FLEX),
    FIELD(struct engine_config, "default-ipc-mode", F_STR, default_ipc_mode),
    FIELD(struct engine_config, "default-cgroupns-mode", F_STR, default_cgroupns_mode),
    FIELD(struct engine_config, "no-new-privileges", F_BOOL, no_new_privileges),
    FIELD(struct engine_config, "seccomp-profile", F_STR, seccomp_profile),
    FIELD(struct engine_config, "shutdown-timeout", F_I64, shutdown_timeout),
    FIELD(struct engine_config, "live-restore", F_BOOL, live_restore),
    FIELD(struct engine_config, "experimental", F_BOOL, experimental),
    FIELD(struct engine_config, "tls", F_BOOL, tls),
    FIELD(struct engine_config, "tlsverify", F_BOOL, tlsverify),
    FIELD(struct engine_config, "tlscacert", F_STR, tlscacert),
    FIELD(struct engine_config, "tlscert", F_STR, tlscert),
    FIELD(struct engine_config, "tlskey", F_STR, tlskey),
    FIELD(struct engine_config, "image-blobs", F_STR, image_blobs),
    FIELD(struct engine_config, "registry-mirrors", F_STRV, registry_mirrors),
    FIELD(struct engine_config, "insecure-registries", F_STRV, insecure_registries),
    FIELD(struct engine_config, "proxies", F_OBJ, proxies, .type = &proxy_type),
    FIELD(struct engine_config, "max-concurrent-downloads", F_I64, max_concurrent_downloads),
    FIELD(struct engine_config, "max-concurrent-uploads", F_I64, max_concurrent_uploads),
    FIELD(struct engine_config, "max-download-attempts", F_I64, max_download_attempts),
    FIELD(struct engine_config, "plugin-dirs", F_STRV, plugin_dirs),
    FIELD(struct engine_config, "plugin-timeout", F_I64, plugin_timeout),
    FIELD(struct engine_config, "builder", F_OBJ, builder, .type = &builder_type),
};
const struct json_type engine_config_type = JSON_TYPE("daemon.json", struct engine_config, fields);

void engine_config_defaults(struct engine_config *c, struct arena *a)
{
    *c = (struct engine_config){
        .data_root = arena_strdup(a, "/var/lib/cleat"),
        .exec_root = arena_strdup(a, "/run/cleat"),
        .log_level = arena_strdup(a, "info"),
        .log_format = arena_strdup(a, "text"),
        .bridge = arena_strdup(a, ""),
        .ip_masq = true,
        .ip_forward = true,
        .icc = true,
        .iptables = true,
        .firewall = arena_strdup(a, "host"),
        .userland_proxy = true,
        .cgroup_parent = arena_strdup(a, "/cleat"),
        .log_driver = arena_strdup(a, "json-file"),
        .default_shm_size = 64 << 20,
        .default_ipc_mode = arena_strdup(a, "private"),
        .default_cgroupns_mode = arena_strdup(a, ""),
        .seccomp_profile = arena_strdup(a, "builtin"),
        .shutdown_timeout = 15,
        .image_blobs = arena_strdup(a, "keep"),
        .live_restore = true,
        .max_concurrent_downloads = 3,
        .max_concurrent_uploads = 5,
        .max_download_attempts = 5,
        .plugin_timeout = 120,
        .builder.gc.enabled = true,
    };
}

int engine_config_load(struct engine_config *c, const char *path, bool missing_ok, struct arena *a,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, CONFIG_MAX, &text, err);

    if (r == -ENOENT && missing_ok) {
        err_clear(err);
        return 0;
    }
    if (r >= 0)
        r = json_decode(&engine_config_type, text.data, text.len, a, c, JSON_STRICT, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* Lists grow by what is given: a default in them could not be replaced. */
int engine_config_finish(struct engine_config *c, struct arena *a, struct err *err)
{
    static const char *const usual[] = {"/run/docker/plugins", "/etc/docker/plugins",
                                        "/usr/lib/docker/plugins"};

    bool given = c->plugin_dirs.n > 0;

    for (size_t i = 0; i < 3 && !given; i++)
        strv_push(a, &c->plugin_dirs, usual[i]);
    if (c->plugin_timeout < 1 || c->plugin_timeout > 3600)
        return err_invalid(err, "invalid plugin-timeout: %lld: 1 to 3600 seconds",
                           (long long)c->plugin_timeout);
    for (size_t i = 0; i < c->plugin_dirs.n; i++)
        if (c->plugin_dirs.v[i][0] != '/')
            return err_invalid(err, "invalid plugin-dirs: \"%.200s\" is no absolute path",
                               c->plugin_dirs.v[i]);
    return 0;
}
