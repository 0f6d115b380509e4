/* Capabilities of a container: Docker's 14 defaults, with what the user adds and drops. */
#include "engine/engine-priv.h"

#include <ctype.h>
#include <string.h>
#include <sys/prctl.h>

#include "kern/caps.h"

static const char *const defaults[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE",
};

/* "net_admin", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN" */
static char *canonical(struct arena *a, const char *name)
{
    char *upper = arena_strdup(a, name);

    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return str_starts(upper, "CAP_") ? upper : arena_printf(a, "CAP_%s", upper);
}

static int parse_list(const struct strv *in, struct arena *a, struct strv *out, bool *all,
                      struct err *err)
{
    for (size_t i = 0; i < in->n; i++) {
        char *cap = canonical(a, in->v[i]);
        if (strcmp(cap, "CAP_ALL") == 0)
            *all = true;
        else if (caps_parse(cap) < 0)
            return err_invalid(err, "invalid capability: %s", in->v[i]);
        strv_push(a, out, cap);
    }
    return 0;
}

int ctr_caps(const struct host_config *host, struct arena *a, struct strv *ret, struct err *err)
{
    struct strv add = {0}, drop = {0}, caps = {0};
    bool add_all = false, drop_all = false;
    int r = parse_list(&host->cap_add, a, &add, &add_all, err);

    if (r >= 0)
        r = parse_list(&host->cap_drop, a, &drop, &drop_all, err);
    if (r < 0)
        return r;
    for (int n = 0, last = caps_last(); n <= last; n++) {
        const char *name = caps_name(n);
        bool usual = false;
        if (!name || prctl(PR_CAPBSET_READ, n) != 1)
            continue; /* we cannot give what we do not have */
        for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
            usual |= strcmp(defaults[i], name) == 0;
        if (strv_has(&add, name) || ((host->privileged || add_all) && !strv_has(&drop, name)) ||
            (usual && !drop_all && !strv_has(&drop, name)))
            strv_push(a, &caps, name);
    }
    *ret = caps;
    return 0;
}
