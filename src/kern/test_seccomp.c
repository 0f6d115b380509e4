/* The compiled filter, installed in a child and asked. */
#include "kern/seccomp.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/test.h"
#include "base/time.h"
#include "kern/seccomp_default.h"

static void install(const struct seccomp_profile *p, unsigned flags)
{
    struct err e = {0};
    struct buf b = BUF_INIT;

    CHECK_OK(seccomp_compile(p, &b, &e));
    printf("# %zu instructions\n", b.len / 8);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK_OK(seccomp_install(b.data, b.len, flags, &e));
    buf_done(&b);
}

/* errno of a call by number, 0 when it worked. */
static int call(long nr, long a)
{
    return syscall(nr, a, 0, 0, 0, 0, 0) < 0 ? errno : 0;
}

static void docker_like(struct arena *a, struct seccomp_profile *p)
{
    struct strv none = {0};

    seccomp_default_fill(a, &none, p);
}

TEST(default_profile_denies_and_allows)
{
    auto_arena struct arena a = ARENA_INIT;
    struct seccomp_profile p = {0};

    docker_like(&a, &p);
    install(&p, 0);
    CHECK_INT(call(SYS_getpid, 0), 0);
    CHECK_INT(call(SYS_kexec_load, 0), EPERM);
    CHECK_INT(call(SYS_unshare, 0x10000000), EPERM);
    CHECK_INT(call(SYS_clone3, 0), ENOSYS);
}

TEST(newer_calls_are_unknown_not_forbidden)
{
    auto_arena struct arena a = ARENA_INIT;
    struct seccomp_profile p = {0};

    int kernel = call(452, -1); /* EFAULT, or ENOSYS before Linux 6.6 */
    docker_like(&a, &p);
    install(&p, 0);
    CHECK_INT(call(600, 0), ENOSYS);
    CHECK_INT(call(452, -1), kernel); /* fchmodat2, allowed though libseccomp does not know it */
}

static struct seccomp_rule *rule(struct arena *a, struct seccomp_profile *p, const char *name,
                                 const char *action)
{
    struct seccomp_rule *r = arena_new(a, struct seccomp_rule);

    strv_push(a, &r->names, name);
    r->action = arena_strdup(a, action);
    arena_push(a, p->syscalls) = r;
    return r;
}

TEST(conditions_on_arguments)
{
    auto_arena struct arena a = ARENA_INIT;
    char allow[] = "SCMP_ACT_ALLOW", eq[] = "SCMP_CMP_EQ";
    struct seccomp_profile p = {.default_action = allow};
    struct seccomp_rule *r = rule(&a, &p, "getpriority", "SCMP_ACT_ERRNO");
    uint32_t no = EDOM;

    r->errno_ret = &no;
    struct seccomp_arg one = {0, 1, 0, eq}, two = {0, 2, 0, eq};
    arena_push(&a, r->args) = &one;
    arena_push(&a, r->args) = &two;
    install(&p, 0);
    CHECK_INT(call(SYS_getpriority, 0), 0);
    CHECK_INT(call(SYS_getpriority, 1), EDOM);
    CHECK_INT(call(SYS_getpriority, 2), EDOM);
}

TEST(bad_names_are_named)
{
    struct err e = {0};
    struct buf b = BUF_INIT;
    char bad[] = "SCMP_ACT_MAYBE";
    struct seccomp_profile p = {.default_action = bad};

    CHECK_INT(seccomp_compile(&p, &b, &e), -EINVAL);
    CHECK_STR(e.msg, "seccomp: action \"SCMP_ACT_MAYBE\" is not known");
}

TEST(unknown_calls_are_skipped)
{
    auto_arena struct arena a = ARENA_INIT;
    char allow[] = "SCMP_ACT_ALLOW";
    struct seccomp_profile p = {.default_action = allow};

    rule(&a, &p, "no_such_call", "SCMP_ACT_ERRNO");
    install(&p, 0);
    CHECK_INT(call(SYS_getpid, 0), 0);
}
