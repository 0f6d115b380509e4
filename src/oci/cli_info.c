/* What needs no container: features, spec; and the compilation of seccomp profiles. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "kern/caps.h"
#include "kern/mount.h"
#include "kern/ns.h"
#include "kern/seccomp.h"
#include "oci/cli-priv.h"

int cli_seccomp(const struct oci_spec *spec, struct buf *out, unsigned *ret_flags, struct err *err)
{
    const struct seccomp_profile *p = spec->lnx ? spec->lnx->seccomp : NULL;

    if (!p)
        return 0;
    int r = seccomp_flags(&p->flags, ret_flags, err);
    return r < 0 ? r : seccomp_compile(p, out, err);
}

/* ---- features ---- */

static void put_list(struct json_w *w, const char *key, const char *const *names)
{
    json_w_key(w, key);
    json_w_arr(w);
    for (; *names; names++)
        json_w_str(w, *names);
    json_w_end_arr(w);
}

static void put_enabled(struct json_w *w, const char *key, bool on)
{
    json_w_key(w, key);
    json_w_obj(w);
    json_w_key(w, "enabled");
    json_w_bool(w, on);
    json_w_end_obj(w);
}

static void put_flag(struct json_w *w, const char *key, bool on)
{
    json_w_key(w, key);
    json_w_bool(w, on);
}

static void put_seccomp(struct json_w *w)
{
    json_w_key(w, "seccomp");
    json_w_obj(w);
    put_flag(w, "enabled", true);
    put_list(w, "actions", seccomp_action_names);
    put_list(w, "operators", seccomp_op_names);
    put_list(w, "archs", seccomp_arch_names);
    put_list(w, "knownFlags", seccomp_flag_names);
    put_list(w, "supportedFlags", seccomp_flag_names);
    json_w_end_obj(w);
}

static void put_linux(struct json_w *w)
{
    json_w_key(w, "linux");
    json_w_obj(w);
    json_w_key(w, "namespaces");
    json_w_arr(w);
    for (const struct ns_kind *k = ns_kinds; k->name; k++)
        json_w_str(w, k->name);
    json_w_end_arr(w);
    json_w_key(w, "capabilities");
    json_w_arr(w);
    for (int i = 0; caps_name(i); i++)
        json_w_str(w, caps_name(i));
    json_w_end_arr(w);
    json_w_key(w, "cgroup");
    json_w_obj(w);
    put_flag(w, "v1", true);
    put_flag(w, "v2", true);
    put_flag(w, "systemd", false);
    put_flag(w, "systemdUser", false);
    put_flag(w, "rdma", true);
    json_w_end_obj(w);
    put_seccomp(w);
    put_enabled(w, "apparmor", true);
    put_enabled(w, "selinux", false);
    put_enabled(w, "intelRdt", false);
    json_w_key(w, "mountExtensions");
    json_w_obj(w);
    put_enabled(w, "idmap", true);
    json_w_end_obj(w);
    put_enabled(w, "netDevices", false);
    json_w_end_obj(w);
}

int cmd_features(struct cli *cli, char **argv, struct err *err)
{
    static const char *const hooks[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        NULL};
    auto_buf struct buf text = BUF_INIT, nice = BUF_INIT;
    struct json_w w = {.out = &text};
    struct strv options = {0};

    (void)argv;
    (void)err;
    mount_opts_names(&cli->arena, &options);
    json_w_obj(&w);
    json_w_key(&w, "ociVersionMin");
    json_w_str(&w, "1.0.0");
    json_w_key(&w, "ociVersionMax");
    json_w_str(&w, OCI_VERSION);
    put_list(&w, "hooks", hooks);
    json_w_key(&w, "mountOptions");
    json_w_arr(&w);
    for (size_t i = 0; i < options.n; i++)
        json_w_str(&w, options.v[i]);
    json_w_end_arr(&w);
    put_linux(&w);
    json_w_end_obj(&w);
    json_pretty(text.data, text.len, "", "    ", &nice);
    (void)puts(nice.data);
    return 0;
}

/* ---- spec ---- */

struct spec_opts {
    const char *bundle;
    bool rootless;
};

int cmd_spec(struct cli *cli, char **argv, struct err *err)
{
    static const struct cli_opt table[] = {
        {"bundle", 'b', CLI_STR, offsetof(struct spec_opts, bundle), "DIR", "where to write it"},
        {"rootless", 0, CLI_BOOL, offsetof(struct spec_opts, rootless), NULL,
         "for an ordinary user"},
        {NULL, 0, CLI_BOOL, 0, NULL, NULL},
    };
    struct spec_opts o = {.bundle = "."};
    auto_buf struct buf text = BUF_INIT, nice = BUF_INIT;
    int r = cli_parse(table, &cli->arena, &o, &argv, err);

    if (r > 0)
        cli_usage(table, "spec [OPTION...]");
    if (r)
        return r < 0 ? r : 0;
    auto_close int dir = open(o.bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, "open %s", o.bundle);
    if (faccessat(dir, "config.json", F_OK, 0) == 0)
        return err_conflict(err, "file config.json exists. Remove it first");
    json_encode(&oci_spec_type, oci_spec_example(&cli->arena, o.rootless), &text);
    json_pretty(text.data, text.len, "", "\t", &nice);
    return write_file_at(dir, "config.json", 0666, nice.data, nice.len, false, err);
}
