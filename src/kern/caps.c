#include "kern/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

static const char *const names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

#define NAMES ((int)(sizeof(names) / sizeof(names[0])))

int caps_parse(const char *name)
{
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (int i = 0; i < NAMES; i++)
        if (strcasecmp(names[i] + 4, name) == 0)
            return i;
    return -EINVAL;
}

const char *caps_name(int cap)
{
    return cap >= 0 && cap < NAMES ? names[cap] : NULL;
}

int caps_last(void)
{
    int lo = 0, hi = 63; /* lo is known to the kernel, hi is not */

    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (prctl(PR_CAPBSET_READ, mid, 0, 0, 0) >= 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int caps_mask(const struct strv *list, uint64_t *ret, struct err *err)
{
    int last = caps_last(), skipped = 0;
    uint64_t mask = 0;

    (void)err;
    for (size_t i = 0; i < list->n; i++) {
        int cap = caps_parse(list->v[i]);
        if (cap < 0 || cap > last)
            skipped = 1;
        else
            mask |= BIT(cap);
    }
    *ret = mask;
    return skipped;
}

int caps_bound(uint64_t mask, struct err *err)
{
    int last = caps_last();

    for (int i = 0; i <= last; i++) {
        if (mask & BIT(i) || prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0)
            continue;
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 0) /* else it was not there to begin with */
            return err_sys(err, "drop %s from the bounding set", caps_name(i));
    }
    return 0;
}

static int set_ambient(const struct caps *c, struct err *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return err_sys(err, "clear ambient capabilities");
    for (int i = 0; i < NAMES; i++) {
        /* The kernel wants them permitted and inheritable; runc leaves out the others, too. */
        if (!(c->ambient & c->permitted & c->inheritable & BIT(i)))
            continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return err_sys(err, "raise ambient %s", caps_name(i));
    }
    return 0;
}

int caps_raise(struct err *err)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &hdr, data) < 0)
        return err_sys(err, "get capabilities");
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted;
    return syscall(SYS_capset, &hdr, data) < 0 ? err_sys(err, "raise capabilities") : 0;
}

int caps_hold_back(int cap, struct err *err)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &hdr, data) < 0)
        return err_sys(err, "get capabilities");
    data[cap / 32].effective &= ~(1U << (cap % 32));
    return syscall(SYS_capset, &hdr, data) < 0 ? err_sys(err, "hold back a capability") : 0;
}

int caps_apply(const struct caps *c, struct err *err)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    for (int i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(c->effective >> (32 * i));
        data[i].permitted = (uint32_t)(c->permitted >> (32 * i));
        data[i].inheritable = (uint32_t)(c->inheritable >> (32 * i));
    }
    if (syscall(SYS_capset, &hdr, data) < 0)
        return err_sys(err, "set capabilities");
    return set_ambient(c, err);
}
