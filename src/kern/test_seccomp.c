/* The compiled filter, installed in a child and asked. */
#include "kern/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
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

/* ---- the whole filter, call by call ---- */

/* The part of classic BPF (bpf(4), seccomp(2)) that filters are made of. */
static uint32_t run_filter(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < n; pc++) {
        bool jump = false;
        switch (f[pc].code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)d + f[pc].k, sizeof(a));
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f[pc].k;
            continue;
        case BPF_RET | BPF_K:
            return f[pc].k;
        case BPF_JMP | BPF_JA:
            pc += f[pc].k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jump = a == f[pc].k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jump = a > f[pc].k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jump = a >= f[pc].k;
            break;
        default:
            return UINT32_MAX;
        }
        pc += jump ? f[pc].jt : f[pc].jf;
    }
    return UINT32_MAX;
}

/* What the profile says of a name: 1 allowed, 0 not, -1 it depends on arguments. */
static int profile_says(const struct seccomp_profile *p, const char *name)
{
    int says = 0;

    for (size_t i = 0; i < p->syscalls.n; i++) {
        const struct seccomp_rule *r = p->syscalls.v[i];
        for (size_t k = 0; k < r->names.n; k++) {
            if (!str_eq(r->names.v[k], name) || !str_eq(r->action, "SCMP_ACT_ALLOW"))
                continue;
            if (r->args.n == 0)
                return 1;
            says = -1;
        }
    }
    return says;
}

static int check_arch(const struct seccomp_profile *p, const struct buf *code, uint32_t arch)
{
    int seen = 0;

    for (int nr = 0; nr < 480; nr++) {
        auto_free char *name = seccomp_syscall_resolve_num_arch(arch, nr);
        struct seccomp_data d = {.nr = nr, .arch = arch};
        int want = name ? profile_says(p, name) : -1;
        uint32_t got = run_filter((const struct sock_filter *)code->data,
                                  code->len / sizeof(struct sock_filter), &d);
        if (want < 0)
            continue;
        if ((got == SECCOMP_RET_ALLOW) != (want == 1) || got == UINT32_MAX)
            TEST_FAIL("%s (%d of %x): %x, want %s", name, nr, arch, got,
                      want ? "allow" : "an error");
        seen++;
    }
    return seen;
}

TEST(every_call_gets_what_the_profile_says)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf code = BUF_INIT;
    struct seccomp_profile p = {0};
    struct err e = {0};

    docker_like(&a, &p);
    CHECK_OK(seccomp_compile(&p, &code, &e));
    CHECK(check_arch(&p, &code, seccomp_arch_native()) > 250);
    if (seccomp_arch_native() == SCMP_ARCH_X86_64)
        CHECK(check_arch(&p, &code, SCMP_ARCH_X86) > 250);
}
