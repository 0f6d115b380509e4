/*
 * Seccomp profiles in Docker's JSON format: the runtime's rules, plus conditions on capabilities,
 * architecture and kernel that are decided here, for one container on this machine.
 */
#include "engine/engine-priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "engine/seccomp_json.h"

struct condition {
    struct strv caps, arches;
    char *min_kernel;
};

struct docker_rule {
    struct strv names;
    char *name; /* the oldest form has one name */
    char *action;
    uint32_t *errno_ret;
    VEC_OF(struct seccomp_arg *) args;
    struct condition *includes, *excludes;
};

struct arch_map {
    char *arch;
    struct strv sub;
};

struct docker_profile {
    char *default_action;
    uint32_t *default_errno_ret;
    struct strv architectures, flags;
    VEC_OF(struct arch_map *) arch_map;
    VEC_OF(struct docker_rule *) syscalls;
};

static const struct field condition_fields[] = {
    FIELD(struct condition, "caps", F_STRV, caps),
    FIELD(struct condition, "arches", F_STRV, arches),
    FIELD(struct condition, "minKernel", F_STR, min_kernel),
};
static const struct json_type condition_type =
    JSON_TYPE("Condition", struct condition, condition_fields);

static const struct field arg_fields[] = {
    FIELD(struct seccomp_arg, "index", F_U32, index),
    FIELD(struct seccomp_arg, "value", F_U64, value),
    FIELD(struct seccomp_arg, "valueTwo", F_U64, value_two),
    FIELD(struct seccomp_arg, "op", F_STR, op),
};
static const struct json_type arg_type = JSON_TYPE("Arg", struct seccomp_arg, arg_fields);

static const struct field rule_fields[] = {
    FIELD(struct docker_rule, "names", F_STRV, names),
    FIELD(struct docker_rule, "name", F_STR, name),
    FIELD(struct docker_rule, "action", F_STR, action, .flags = F_REQUIRED),
    FIELD(struct docker_rule, "errnoRet", F_U32P, errno_ret),
    FIELD(struct docker_rule, "args", F_OBJV, args, .type = &arg_type),
    FIELD(struct docker_rule, "includes", F_PTR, includes, .type = &condition_type),
    FIELD(struct docker_rule, "excludes", F_PTR, excludes, .type = &condition_type),
};
static const struct json_type rule_type = JSON_TYPE("Rule", struct docker_rule, rule_fields);

static const struct field arch_fields[] = {
    FIELD(struct arch_map, "architecture", F_STR, arch),
    FIELD(struct arch_map, "subArchitectures", F_STRV, sub),
};
static const struct json_type arch_type = JSON_TYPE("ArchMap", struct arch_map, arch_fields);

static const struct field profile_fields[] = {
    FIELD(struct docker_profile, "defaultAction", F_STR, default_action, .flags = F_REQUIRED),
    FIELD(struct docker_profile, "defaultErrnoRet", F_U32P, default_errno_ret),
    FIELD(struct docker_profile, "architectures", F_STRV, architectures),
    FIELD(struct docker_profile, "flags", F_STRV, flags),
    FIELD(struct docker_profile, "archMap", F_OBJV, arch_map, .type = &arch_type),
    FIELD(struct docker_profile, "syscalls", F_OBJV, syscalls, .type = &rule_type),
};
static const struct json_type profile_type =
    JSON_TYPE("Profile", struct docker_profile, profile_fields);

#ifdef __aarch64__
#define NATIVE "arm64"
#define NATIVE_SCMP "SCMP_ARCH_AARCH64"
#else
#define NATIVE "amd64"
#define NATIVE_SCMP "SCMP_ARCH_X86_64"
#endif

static bool kernel_at_least(const char *want)
{
    struct utsname u;
    unsigned have[2] = {0, 0}, need[2] = {0, 0};

    (void)uname(&u);
    (void)sscanf(u.release, "%u.%u", &have[0], &have[1]);
    (void)sscanf(want, "%u.%u", &need[0], &need[1]);
    return have[0] != need[0] ? have[0] > need[0] : have[1] >= need[1];
}

static bool any_cap(const struct strv *want, const struct strv *caps)
{
    for (size_t i = 0; i < want->n; i++)
        if (strv_has(caps, want->v[i]))
            return true;
    return false;
}

static bool applies(const struct docker_rule *r, const struct strv *caps)
{
    const struct condition *in = r->includes, *ex = r->excludes;

    if (ex && (any_cap(&ex->caps, caps) || strv_has(&ex->arches, NATIVE) ||
               (!str_empty(ex->min_kernel) && kernel_at_least(ex->min_kernel))))
        return false;
    if (!in)
        return true;
    for (size_t i = 0; i < in->caps.n; i++)
        if (!strv_has(caps, in->caps.v[i]))
            return false;
    return (in->arches.n == 0 || strv_has(&in->arches, NATIVE)) &&
           (str_empty(in->min_kernel) || kernel_at_least(in->min_kernel));
}

static void put_architectures(const struct docker_profile *p, struct arena *a,
                              struct seccomp_profile *out)
{
    out->architectures = p->architectures;
    for (size_t i = 0; i < p->arch_map.n; i++) {
        const struct arch_map *m = p->arch_map.v[i];
        if (!str_eq(m->arch, NATIVE_SCMP))
            continue;
        strv_push(a, &out->architectures, m->arch);
        for (size_t s = 0; s < m->sub.n; s++)
            strv_push(a, &out->architectures, m->sub.v[s]);
    }
}

int seccomp_profile_docker(const char *text, size_t len, const struct strv *caps, struct arena *a,
                           struct seccomp_profile *out, struct err *err)
{
    struct docker_profile p = {0};
    int r = json_decode(&profile_type, text, len, a, &p, 0, err);

    if (r < 0)
        return r;
    *out = (struct seccomp_profile){.default_action = p.default_action,
                                    .default_errno_ret = p.default_errno_ret,
                                    .flags = p.flags};
    put_architectures(&p, a, out);
    for (size_t i = 0; i < p.syscalls.n; i++) {
        const struct docker_rule *d = p.syscalls.v[i];
        if (!applies(d, caps))
            continue;
        struct seccomp_rule *rule = arena_new(a, struct seccomp_rule);
        rule->names = d->names;
        if (!str_empty(d->name))
            strv_push(a, &rule->names, d->name);
        rule->action = d->action;
        rule->errno_ret = d->errno_ret;
        rule->args.v = d->args.v;
        rule->args.n = d->args.n;
        arena_push(a, out->syscalls) = rule;
    }
    return 0;
}
