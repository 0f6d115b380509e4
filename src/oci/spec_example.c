/* The example that "spec" writes: what an ordinary container looks like, from tables. */
#include "oci/spec.h"

#include <unistd.h>

static const struct {
    const char *dest, *type, *source, *options;
} mounts[] = {
    {"/proc", "proc", "proc", ""},
    {"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
    {"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"},
    {"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
    {"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
    {"/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"},
};

static const char caps[] = "CAP_AUDIT_WRITE,CAP_KILL,CAP_NET_BIND_SERVICE";
static const char masked[] = "/proc/acpi,/proc/asound,/proc/kcore,/proc/keys,/proc/latency_stats,"
                             "/proc/timer_list,/proc/timer_stats,/proc/sched_debug,/sys/firmware,"
                             "/proc/scsi";
static const char readonly[] = "/proc/bus,/proc/fs,/proc/irq,/proc/sys,/proc/sysrq-trigger";
static const char kinds[] = "pid,network,ipc,uts,mount,cgroup";

static struct oci_process *process(struct arena *a)
{
    struct oci_process *p = arena_new(a, struct oci_process);
    struct oci_rlimit *l = arena_new(a, struct oci_rlimit);

    p->terminal = true;
    strv_push(a, &p->args, "sh");
    strv_push(a, &p->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_push(a, &p->env, "TERM=xterm");
    p->cwd = arena_strdup(a, "/");
    p->capabilities = arena_new(a, struct oci_capabilities);
    p->capabilities->bounding = str_split(a, caps, ',');
    p->capabilities->effective = str_split(a, caps, ',');
    p->capabilities->permitted = str_split(a, caps, ',');
    *l = (struct oci_rlimit){.type = arena_strdup(a, "RLIMIT_NOFILE"), .soft = 1024, .hard = 1024};
    arena_push(a, p->rlimits) = l;
    p->no_new_privileges = true;
    return p;
}

static void add_mounts(struct arena *a, struct oci_spec *s)
{
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        struct oci_mount *m = arena_new(a, struct oci_mount);
        m->destination = arena_strdup(a, mounts[i].dest);
        m->type = arena_strdup(a, mounts[i].type);
        m->source = arena_strdup(a, mounts[i].source);
        if (*mounts[i].options)
            m->options = str_split(a, mounts[i].options, ',');
        arena_push(a, s->mounts) = m;
    }
}

static void add_namespaces(struct arena *a, struct oci_linux *l)
{
    struct strv list = str_split(a, kinds, ',');

    for (size_t i = 0; i < list.n; i++) {
        struct oci_namespace *n = arena_new(a, struct oci_namespace);
        n->type = list.v[i];
        arena_push(a, l->namespaces) = n;
    }
}

static void map_self(struct arena *a, struct idmap_list *list, uint32_t host_id)
{
    struct idmap_range *m = arena_new(a, struct idmap_range);

    *m = (struct idmap_range){.container_id = 0, .host_id = host_id, .size = 1};
    arena_push(a, *list) = m;
}

static void make_rootless(struct arena *a, struct oci_linux *l)
{
    struct oci_namespace *n = arena_new(a, struct oci_namespace);

    n->type = arena_strdup(a, "user");
    arena_push(a, l->namespaces) = n;
    map_self(a, &l->uid_mappings, geteuid());
    map_self(a, &l->gid_mappings, getegid());
    l->resources = NULL;
}

struct oci_spec *oci_spec_example(struct arena *a, bool rootless)
{
    struct oci_spec *s = arena_new(a, struct oci_spec);
    struct oci_linux *l = arena_new(a, struct oci_linux);
    struct cgroup_device_rule *deny = arena_new(a, struct cgroup_device_rule);

    s->oci_version = arena_strdup(a, OCI_VERSION);
    s->process = process(a);
    s->root = arena_new(a, struct oci_root);
    s->root->path = arena_strdup(a, "rootfs");
    s->root->readonly = true;
    s->hostname = arena_strdup(a, "cleat");
    add_mounts(a, s);
    s->lnx = l;
    add_namespaces(a, l);
    l->resources = arena_new(a, struct cgroup_limits);
    deny->access = arena_strdup(a, "rwm");
    arena_push(a, l->resources->devices) = deny;
    l->masked_paths = str_split(a, masked, ',');
    l->readonly_paths = str_split(a, readonly, ',');
    if (rootless)
        make_rootless(a, l);
    return s;
}
