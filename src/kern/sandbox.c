#include "kern/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/seccomp.h"

/* ---- descriptors ---- */

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer knows one table of descriptors per process, and takes equal numbers in two tables
 * for the same file: in its builds there is one. */
static int keep_fds(const struct sandbox *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}
#else
static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

/* A table of its own, and nothing in it but what is needed. POSIX locks stay: they belong to the
 * table they were taken with. */
static int keep_fds(const struct sandbox *s, struct err *err)
{
    int keep[SANDBOX_FDS_MAX + 1];
    unsigned next = STDERR_FILENO + 1; /* so that nothing else becomes one of the first three */
    size_t n = 0;

    for (; n < s->nkeep && n < SANDBOX_FDS_MAX; n++)
        keep[n] = s->keep[n];
    if (s->dir_fd >= 0)
        keep[n++] = s->dir_fd;
    qsort(keep, n, sizeof(*keep), by_value);
    if (unshare(CLONE_FILES) < 0)
        return err_sys(err, "unshare descriptors");
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)keep[i] > next && close_range(next, (unsigned)keep[i] - 1, 0) < 0)
            return err_sys(err, "close descriptors");
        next = (unsigned)keep[i] + 1;
    }
    return close_range(next, ~0U, 0) < 0 ? err_sys(err, "close descriptors") : 0;
}
#endif

/* ---- Landlock ---- */

/* The build's headers may be older than the kernel. */
#define LL_ABI_MIN 2 /* before, nothing could be linked or moved between directories */
#define LL_RULE_BENEATH 1
#define LL_VERSION 1
#define FS_EXECUTE (1ULL << 0)
#define FS_READ_FILE (1ULL << 2)
#define FS_MAKE_SOCK (1ULL << 9)
#define FS_ALL_2 ((1ULL << 14) - 1)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_TCP 3ULL
#define SCOPE_ALL 3ULL /* abstract sockets, signals */

struct ll_attr {
    uint64_t fs, net, scoped;
};
struct ll_beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

/* What this kernel can forbid. Return: bytes of it that the kernel knows. */
static size_t ll_fill(long abi, struct ll_attr *ret)
{
    ret->fs = FS_ALL_2 | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    ret->net = abi >= 4 ? NET_TCP : 0;
    ret->scoped = abi >= 6 ? SCOPE_ALL : 0;
    return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

static int ll_allow(int rules, int dir_fd, uint64_t allowed, struct err *err)
{
    struct ll_beneath b = {.allowed = allowed, .parent_fd = dir_fd};

    if (dir_fd >= 0 && syscall(SYS_landlock_add_rule, rules, LL_RULE_BENEATH, &b, 0) < 0)
        return err_sys(err, "add a Landlock rule");
    return 0;
}

static int landlock(int dir_fd, struct err *err)
{
    struct ll_attr attr = {0};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);

    if (abi < LL_ABI_MIN)
        return 0;
    size_t size = ll_fill(abi, &attr);
    auto_close int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (rules < 0)
        return err_sys(err, "make Landlock rules");
    int r = ll_allow(rules, dir_fd,
                     attr.fs & ~(FS_EXECUTE | FS_READ_FILE | FS_MAKE_SOCK | FS_IOCTL_DEV), err);
    if (r >= 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = err_sys(err, "apply Landlock rules");
    return r;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Memory without code, waiting, ending: what every thread needs. */
static const uint16_t always[] = {
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_sched_yield,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettid,
    SYS_getpid,
    SYS_getrandom,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_membarrier,
    SYS_close,
    SYS_write,
    SYS_sched_getaffinity,
};

/* Files, where the descriptors and Landlock let it. None of these makes a process, a socket or a
 * mount, or speaks with another process. */
static const uint16_t file_work[] = {
    SYS_openat,     SYS_openat2,    SYS_read,       SYS_pwrite64,  SYS_lseek,      SYS_fstat,
    SYS_newfstatat, SYS_statx,      SYS_fsync,      SYS_fdatasync, SYS_ftruncate,  SYS_fallocate,
    SYS_fcntl,      SYS_getdents64, SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_mkdirat,
    SYS_mknodat,    SYS_symlinkat,  SYS_linkat,     SYS_unlinkat,  SYS_renameat2,  SYS_fchown,
    SYS_fchownat,   SYS_fchmod,     SYS_fchmodat,   SYS_fchmodat2, SYS_utimensat,  SYS_setxattr,
    SYS_lsetxattr,  SYS_fsetxattr,  SYS_getuid,     SYS_geteuid,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_rmdir /* what an older C library has for those with "at" */
    SYS_readlink,   SYS_unlink,     SYS_rmdir,
#endif
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CALLS_MAX (COUNT(always) + COUNT(file_work))
#define PROLOGUE 9
#define FILTER_MAX (PROLOGUE + 2 * CALLS_MAX + 1)
_Static_assert(FILTER_MAX < 256, "jumps are of 8 bits");
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, what))
#define TEST(how, value, then, otherwise)                                                          \
    BPF_JUMP(BPF_JMP | (how) | BPF_K, (value), (uint8_t)(then), (uint8_t)(otherwise))

/* A filter under construction; its last two instructions allow and refuse. */
struct filter {
    struct sock_filter f[FILTER_MAX];
    size_t n, allow, refuse;
};

static void put(struct filter *x, struct sock_filter f)
{
    x->f[x->n++] = f;
}

/* Jumps count from the next instruction. */
#define FROM_HERE(x, to) ((to) - (x)->n - 1)

/* The other calling conventions are refused (x32 by its numbers, which are in no list), and memory
 * that can be executed: the low half of the third argument tells. */
static void put_prologue(struct filter *x)
{
    put(x, (struct sock_filter)LOAD(arch));
    put(x, (struct sock_filter)TEST(BPF_JEQ, ARCH, 0, FROM_HERE(x, x->refuse)));
    put(x, (struct sock_filter)LOAD(nr));
    put(x, (struct sock_filter)TEST(BPF_JEQ, SYS_mmap, 1, 0));
    put(x, (struct sock_filter)TEST(BPF_JEQ, SYS_mprotect, 0, 3));
    put(x, (struct sock_filter)LOAD(args[2]));
    put(x, (struct sock_filter)TEST(BPF_JSET, PROT_EXEC, FROM_HERE(x, x->refuse), 0));
    put(x, (struct sock_filter)LOAD(nr));
    put(x, (struct sock_filter)TEST(BPF_JEQ, SYS_mmap, FROM_HERE(x, x->allow), 0));
}

/* A tree of comparisons over sorted numbers: the kernel tries every call when it takes a filter,
 * and that time is part of every unpacking. */
static void put_calls(struct filter *x, const uint16_t *calls, size_t n)
{
    if (n == 1) {
        put(x, (struct sock_filter)TEST(BPF_JEQ, calls[0], FROM_HERE(x, x->allow),
                                        FROM_HERE(x, x->refuse)));
        return;
    }
    size_t left = n / 2;
    put(x, (struct sock_filter)TEST(BPF_JGE, calls[left], 2 * left - 1, 0));
    put_calls(x, calls, left);
    put_calls(x, calls + left, n - left);
}

static int by_number(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int filter_calls(bool files, struct err *err)
{
    uint16_t calls[CALLS_MAX];
    size_t n = COUNT(always);
    struct filter x = {0};

    memcpy(calls, always, sizeof(always));
    if (files) {
        memcpy(calls + n, file_work, sizeof(file_work));
        n += COUNT(file_work);
    }
    qsort(calls, n, sizeof(calls[0]), by_number);
    x.allow = PROLOGUE + 2 * n - 1;
    x.refuse = x.allow + 1;
    put_prologue(&x);
    put_calls(&x, calls, n);
    put(&x, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    put(&x, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    int r = seccomp_install(x.f, x.n * sizeof(x.f[0]), SECCOMP_FILTER_FLAG_SPEC_ALLOW, err);
    return r == -ENOSYS || r == -EINVAL ? 0 : r; /* a kernel without it */
}

/* ---- threads ---- */

int sandbox_enter(const struct sandbox *s, struct err *err)
{
    int r = keep_fds(s, err);

    if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = err_sys(err, "give up new privileges");
    if (r >= 0)
        r = landlock(s->dir_fd, err);
    if (r >= 0)
        r = filter_calls(s->dir_fd >= 0, err);
    return r < 0 ? err_wrap(err, r, "shut a thread in") : 0;
}

struct run {
    const struct sandbox *s;
    sandbox_fn fn;
    void *ctx;
    int result;
    struct err err;
};

static void *run(void *arg)
{
    struct run *r = arg;

    r->result = sandbox_enter(r->s, &r->err);
    if (r->result >= 0)
        r->result = r->fn(r->ctx, &r->err);
    return NULL;
}

int sandbox_run(const struct sandbox *s, sandbox_fn fn, void *ctx, struct err *err)
{
    struct run r = {.s = s, .fn = fn, .ctx = ctx};
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run, &r);

    if (code)
        return err_no(err, code, "start a thread");
    (void)pthread_join(thread, NULL);
    if (r.result < 0 && err)
        *err = r.err;
    return r.result;
}
