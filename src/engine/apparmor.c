/*
 * Which AppArmor profile confines a container. The default is a profile of our own, which the
 * daemon gives to the kernel when it starts and no earlier one has: it takes away what a container
 * could do to the host through /proc and /sys if the read-only mounts there were got out of the
 * way, and all mounting. Where the kernel has no AppArmor, or nobody can compile a profile for it,
 * containers are not confined by it, and inspect and info say so.
 *
 * Docker's name for its default means ours too: compose files and orchestrators write it.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "kern/apparmor.h"

#define OURS "cleat-default"
#define DOCKERS "docker-default"

/* "deny" rules win over "file", and are not logged. Writing below /proc/sys, only what belongs to
 * the IPC namespace; below /sys, only control groups, whose mount has its own say. */
static const char default_profile[] =
    "profile " OURS " flags=(attach_disconnected,mediate_deleted) {\n"
    "  capability,\n"
    "  network,\n"
    "  file,\n"
    "  umount,\n"
    "  deny mount,\n"
    "  signal (receive) peer=unconfined,\n"
    "  signal (send,receive) peer=" OURS ",\n"
    "  ptrace (trace,read,tracedby,readby) peer=" OURS ",\n"
    "  deny /proc/* w,\n"
    "  deny /proc/{acpi,asound,bus,driver,dynamic_debug,fs,irq,scsi,sysvipc,tty}/** w,\n"
    "  deny /proc/sys/[^k]** w,\n"
    "  deny /proc/sys/kernel/{s,sh,[^s]*,s[^h]*,sh[^m]*} w,\n"
    "  deny /proc/sys/kernel/*/** w,\n"
    "  deny /proc/{sysrq-trigger,kcore} rwklx,\n"
    "  deny /sys/[^f]** wklx,\n"
    "  deny /sys/f[^s]** wklx,\n"
    "  deny /sys/fs/[^c]** wklx,\n"
    "  deny /sys/fs/c[^g]** wklx,\n"
    "  deny /sys/firmware/** rwklx,\n"
    "  deny /sys/devices/virtual/powercap/** rwklx,\n"
    "  deny /sys/kernel/security/** rwklx,\n"
    "}\n";

/* Return: 0; a profile of the name may be that of another daemon, and stays. */
static int load_default(struct err *err)
{
    int r = apparmor_loaded(OURS, err);

    return r != 0 ? (r < 0 ? r : 0) : apparmor_load(default_profile, OURS, err);
}

void engine_apparmor_open(struct engine *e)
{
    struct err err = {0};

    e->apparmor = apparmor_enabled();
    if (!e->apparmor)
        return;
    e->apparmor_default = load_default(&err) >= 0;
    if (!e->apparmor_default)
        log_warn("containers without a profile of their own are not confined by AppArmor: %s",
                 err.msg);
}

/* The last one given, as of every option; NULL when none is. */
static const char *wanted(const struct container *c)
{
    const struct strv *o = &c->host->security_opt;
    const char *name = NULL;

    for (size_t i = 0; i < o->n; i++) {
        const char *v = str_starts(o->v[i], "apparmor");
        if (v && (*v == '=' || *v == ':'))
            name = v + 1;
    }
    return name;
}

const char *ctr_apparmor(const struct container *c)
{
    const char *name = wanted(c);

    if (!c->e->apparmor)
        return "";
    if (name)
        return name;
    return c->host->privileged || !c->e->apparmor_default ? APPARMOR_UNCONFINED : OURS;
}

int ctr_apparmor_profile(const struct container *c, const char **ret, struct err *err)
{
    const char *name = ctr_apparmor(c);
    int r = 0;

    if (str_eq(name, DOCKERS)) {
        r = apparmor_loaded(DOCKERS, err);
        if (r == 0)
            name = OURS;
    }
    if (r >= 0 && str_eq(name, OURS))
        r = load_default(err); /* somebody may have unloaded it */
    if (r < 0)
        return r;
    *ret = name;
    return 0;
}

int ctr_apparmor_check(const struct host_config *host, struct err *err)
{
    for (size_t i = 0; i < host->security_opt.n; i++) {
        const char *v = str_starts(host->security_opt.v[i], "apparmor");
        if (v && (str_empty(v) || !v[1] || strlen(v) > 512 || strpbrk(v, "\n\t\r")))
            return err_invalid(err, "invalid --security-opt: \"%.600s\"", host->security_opt.v[i]);
    }
    return 0;
}

void ctr_apparmor_warn(const struct container *c, struct arena *a, struct strv *warnings)
{
    const char *name = wanted(c);

    if (name && !c->e->apparmor && !str_eq(name, APPARMOR_UNCONFINED))
        strv_push(a, warnings,
                  arena_printf(a, "AppArmor is not enabled on this machine. Profile %s discarded.",
                               name));
}
