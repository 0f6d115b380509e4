/*
 * The rules of config.json that a table of fields cannot express. Everything is checked before
 * anything is made, so that a bad configuration never leaves half a container behind.
 */
#include "oci/spec.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "kern/ns.h"
#include "kern/rlimit.h"

#define NOT_BUILT(err, ...) err_as(err, ERR_NOT_IMPLEMENTED, EOPNOTSUPP, __VA_ARGS__)
#define GID_MAX INT64_C(0xfffffffe)

int oci_process_check(const struct oci_process *p, struct err *err)
{
    if (p->args.n == 0 || str_empty(p->args.v[0]))
        return err_invalid(err, "process.args must not be empty");
    if (str_empty(p->cwd) || p->cwd[0] != '/')
        return err_invalid(err, "process.cwd \"%s\" must be an absolute path", str_or(p->cwd, ""));
    for (size_t i = 0; i < p->rlimits.n; i++)
        if (rlimit_parse(p->rlimits.v[i]->type) < 0)
            return err_invalid(err, "process.rlimits: \"%s\" is not known", p->rlimits.v[i]->type);
    for (size_t i = 0; i < p->user.additional_gids.n; i++) {
        int64_t gid = p->user.additional_gids.v[i];
        if (gid < 0 || gid > GID_MAX)
            return err_invalid(err, "process.user.additionalGids: %lld is out of range",
                               (long long)gid);
    }
    if (p->user.umask && *p->user.umask > 0777)
        return err_invalid(err, "process.user.umask %o is out of range", *p->user.umask);
    return 0;
}

static int check_mounts(const struct oci_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        const struct oci_mount *m = spec->mounts.v[i];
        if (str_empty(m->destination))
            return err_invalid(err, "mounts[%zu].destination is empty", i);
        if ((m->uid_mappings.n == 0) != (m->gid_mappings.n == 0))
            return err_invalid(err, "mount %s: uidMappings and gidMappings go together",
                               m->destination);
    }
    return 0;
}

const struct oci_namespace *oci_spec_ns(const struct oci_spec *spec, const char *type)
{
    for (size_t i = 0; spec->lnx && i < spec->lnx->namespaces.n; i++)
        if (str_eq(spec->lnx->namespaces.v[i]->type, type))
            return spec->lnx->namespaces.v[i];
    return NULL;
}

static int check_namespaces(const struct oci_spec *spec, struct err *err)
{
    int seen = 0;

    for (size_t i = 0; i < spec->lnx->namespaces.n; i++) {
        const struct oci_namespace *n = spec->lnx->namespaces.v[i];
        const struct ns_kind *k = ns_by_name(n->type);
        if (!k)
            return err_invalid(err, "linux.namespaces: type \"%s\" is not known", n->type);
        if (seen & k->flag)
            return err_invalid(err, "linux.namespaces: \"%s\" is given twice", n->type);
        if (!str_empty(n->path) && n->path[0] != '/')
            return err_invalid(err, "linux.namespaces: path \"%s\" must be absolute", n->path);
        seen |= k->flag;
    }
    if (!(seen & CLONE_NEWNS))
        return err_invalid(err, "linux.namespaces: a container needs a mount namespace");
    return 0;
}

static bool is_new(const struct oci_spec *spec, const char *type)
{
    const struct oci_namespace *n = oci_spec_ns(spec, type);

    return n && str_empty(n->path);
}

static int check_needs(const struct oci_spec *spec, struct err *err)
{
    const struct oci_linux *l = spec->lnx;

    if ((l->uid_mappings.n || l->gid_mappings.n) && !oci_spec_ns(spec, "user"))
        return err_invalid(err, "linux.uidMappings need a user namespace");
    if (is_new(spec, "user") && (!l->uid_mappings.n || !l->gid_mappings.n))
        return err_invalid(err, "a new user namespace needs linux.uidMappings and gidMappings");
    if (!str_empty(spec->hostname) && !oci_spec_ns(spec, "uts"))
        return err_invalid(err, "hostname needs a uts namespace");
    if (!str_empty(spec->domainname) && !oci_spec_ns(spec, "uts"))
        return err_invalid(err, "domainname needs a uts namespace");
    if (l->time_offsets.n && !is_new(spec, "time"))
        return err_invalid(err, "linux.timeOffsets need a new time namespace");
    if ((l->masked_paths.n || l->readonly_paths.n) && !is_new(spec, "mount"))
        return err_invalid(err, "maskedPaths and readonlyPaths need a new mount namespace");
    return 0;
}

/* A sysctl that is not of a namespace would change the host. */
static const struct {
    const char *prefix, *ns;
} sysctls[] = {
    {"net.", "network"},          {"kernel.msg", "ipc"}, {"kernel.sem", "ipc"},
    {"kernel.shm", "ipc"},        {"fs.mqueue.", "ipc"}, {"kernel.hostname", "uts"},
    {"kernel.domainname", "uts"}, {"user.", "user"},
};

static int check_sysctl(const struct oci_spec *spec, const char *key, struct err *err)
{
    char name[256];

    if (strlen(key) >= sizeof(name) || strstr(key, ".."))
        return err_invalid(err, "sysctl \"%s\" is not valid", key);
    /* "net/ipv4/ip_forward" is the same as "net.ipv4.ip_forward"; the first separator decides. */
    bool slashes = key[strcspn(key, "./")] == '/';
    memcpy(name, key, strlen(key) + 1);
    for (char *p = name; *p && slashes; p++)
        *p = *p == '/' ? '.' : *p;
    for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++)
        if (str_starts(name, sysctls[i].prefix)) {
            if (oci_spec_ns(spec, sysctls[i].ns))
                return 0;
            return err_invalid(err, "sysctl \"%s\" is not allowed in the hosts %s namespace", key,
                               sysctls[i].ns);
        }
    return err_invalid(err, "sysctl \"%s\" is not in a separate kernel namespace", key);
}

static int check_built(const struct oci_spec *spec, struct err *err)
{
    const struct oci_linux *l = spec->lnx;
    const struct oci_process *p = spec->process;

    if (l->intel_rdt.text)
        return NOT_BUILT(err, "linux.intelRdt is not implemented");
    if (l->net_devices.n)
        return NOT_BUILT(err, "linux.netDevices is not implemented");
    if (l->memory_policy)
        return NOT_BUILT(err, "linux.memoryPolicy is not implemented");
    if (l->seccomp && !str_empty(l->seccomp->listener_path))
        return NOT_BUILT(err, "linux.seccomp.listenerPath is not implemented");
    if (!str_empty(l->mount_label) || (p && !str_empty(p->selinux_label)))
        return err_invalid(err, "an SELinux label is given, but SELinux is not supported");
    return 0;
}

static const char *const propagations[] = {
    "",         "private", "slave",   "shared",      "unbindable",
    "rprivate", "rslave",  "rshared", "runbindable", NULL};

static int check_linux(const struct oci_spec *spec, struct err *err)
{
    const struct oci_linux *l = spec->lnx;
    const char *prop = str_or(l->rootfs_propagation, "");
    size_t i = 0;
    int r = check_namespaces(spec, err);

    while (propagations[i] && strcmp(propagations[i], prop) != 0)
        i++;
    if (r == 0 && !propagations[i])
        return err_invalid(err, "linux.rootfsPropagation \"%s\" is not known", prop);
    if (r == 0)
        r = check_needs(spec, err);
    for (i = 0; i < l->sysctl.n && r == 0; i++)
        r = check_sysctl(spec, l->sysctl.v[i].key, err);
    for (i = 0; i < l->devices.n && r == 0; i++)
        if (strlen(l->devices.v[i]->type) != 1 || !strchr("cbup", l->devices.v[i]->type[0]))
            r = err_invalid(err, "linux.devices: type \"%s\" is not known", l->devices.v[i]->type);
    return r < 0 ? r : check_built(spec, err);
}

int oci_spec_check(const struct oci_spec *spec, struct err *err)
{
    const char *v = str_or(spec->oci_version, "");

    if (!str_starts(v, "1."))
        return err_invalid(err, "ociVersion \"%s\" is not supported", v);
    if (!spec->process)
        return err_invalid(err, "process is missing");
    if (!spec->root || str_empty(spec->root->path))
        return err_invalid(err, "root.path is missing");
    if (!spec->lnx)
        return err_invalid(err, "linux is missing");
    int r = oci_process_check(spec->process, err);
    if (r == 0)
        r = check_mounts(spec, err);
    return r < 0 ? r : check_linux(spec, err);
}

int oci_spec_decode(const char *text, size_t len, struct arena *a, struct oci_spec **ret,
                    struct err *err)
{
    struct oci_spec *spec = arena_new(a, struct oci_spec);
    int r = json_decode(&oci_spec_type, text, len, a, spec, 0, err);

    if (r == 0)
        r = oci_spec_check(spec, err);
    if (r < 0)
        return err_wrap(err, r, "config.json");
    *ret = spec;
    return 0;
}
