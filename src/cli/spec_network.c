#include <errno.h>
#include <string.h>

#include "cli/specs.h"

/* --network: a name, or a list of settings for the container's end in it. */

static struct endpoint_ipam *ipam_of(struct arena *a, struct endpoint_settings *e)
{
    if (!e->ipam)
        e->ipam = arena_new(a, struct endpoint_ipam);
    return e->ipam;
}

static void set_driver_opt(struct arena *a, struct endpoint_settings *e, const char *val)
{
    const char *eq = strchr(val, '=');

    strmap_set(a, &e->driver_opts, eq ? arena_strndup(a, val, (size_t)(eq - val)) : val,
               eq ? eq + 1 : "");
}

static int set_field(struct arena *a, const char *key, const char *val, char **name,
                     struct endpoint_settings *e, struct err *err)
{
    if (str_eq(key, "name"))
        *name = arena_strdup(a, val);
    else if (str_eq(key, "alias"))
        strv_push(a, &e->aliases, val);
    else if (str_eq(key, "ip"))
        ipam_of(a, e)->ipv4_address = arena_strdup(a, val);
    else if (str_eq(key, "ip6"))
        ipam_of(a, e)->ipv6_address = arena_strdup(a, val);
    else if (str_eq(key, "link-local-ip"))
        strv_push(a, &ipam_of(a, e)->link_local_ips, val);
    else if (str_eq(key, "mac-address"))
        e->mac_address = arena_strdup(a, val);
    else if (str_eq(key, "driver-opt"))
        set_driver_opt(a, e, val);
    else if (str_eq(key, "gw-priority"))
        return str_to_i64(val, &e->gw_priority) < 0
                   ? err_invalid(err, "invalid gw-priority: invalid syntax: \"%s\"", val)
                   : 0;
    else
        return err_invalid(err, "invalid field key %s", key);
    return 0;
}

int spec_network(const char *s, struct arena *a, char **ret_name, struct endpoint_settings **ret,
                 struct err *err)
{
    struct endpoint_settings *e = arena_new(a, struct endpoint_settings);
    struct strv fields = {0};
    char *name = NULL;

    if (!strchr(s, '=')) {
        *ret_name = arena_strdup(a, s);
        *ret = e;
        return 0;
    }
    int r = csv_split(s, a, &fields, err);
    for (size_t i = 0; r == 0 && i < fields.n; i++) {
        char *key = fields.v[i], *val = strchr(key, '=');
        if (!val)
            return err_invalid(err, "invalid field %s", key);
        *val++ = '\0';
        r = set_field(a, key, val, &name, e, err);
    }
    if (r < 0)
        return r;
    if (str_empty(name))
        return err_invalid(err, "network name/id is not specified");
    *ret_name = name;
    *ret = e;
    return 0;
}
