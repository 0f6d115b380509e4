/*
 * The built-in seccomp profile. A rule is one line: system calls, when they apply, and what is
 * asked of an argument. Everything that no rule names fails with EPERM. Docker ties ptrace and its
 * kin to kernels from 4.8 on; ours are all newer, so here they stand among the others.
 * Source: the default profile of moby v28.5.2, whose rules this table must equal.
 */
#include "kern/seccomp_default.h"

#include <errno.h>

#define NS_FLAGS 0x7E020000 /* every CLONE_NEW* that clone() takes but CLONE_NEWTIME */

/* When a rule applies; a list is "a b c", NULL is no condition. */
struct rule {
    const char *names;
    const char *cap;       /* needs this capability */
    const char *without;   /* needs its absence */
    const char *arches;    /* only on these */
    const char *no_arches; /* on none of these */
    const char *op;        /* NULL: arguments do not matter */
    uint32_t arg;          /* which argument */
    uint64_t value;
    uint32_t errno_ret; /* 0: allow */
};

static const char always[] =
    "_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget "
    "capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres "
    "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
    "epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat "
    "faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat "
    "fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock "
    "fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake "
    "futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid "
    "getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer "
    "getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid "
    "getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt "
    "gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch "
    "inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents "
    "io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc "
    "kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
    "lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr "
    "lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create "
    "memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 "
    "mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 "
    "mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd "
    "msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat "
    "openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free "
    "pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 "
    "process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg "
    "remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall "
    "riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr "
    "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp "
    "select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 "
    "sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid "
    "setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer "
    "setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 "
    "setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat "
    "shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask "
    "sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx "
    "symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink "
    "unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 "
    "waitid waitpid write writev";

static const struct rule rules[] = {
    {always},
    {"process_vm_readv process_vm_writev ptrace"},
    {"socket", .op = "SCMP_CMP_NE", .arg = 0, .value = 40 /* AF_VSOCK leads out of a VM */},
    {"personality", .op = "SCMP_CMP_EQ", .value = 0x0},
    {"personality", .op = "SCMP_CMP_EQ", .value = 0x8},
    {"personality", .op = "SCMP_CMP_EQ", .value = 0x20000},
    {"personality", .op = "SCMP_CMP_EQ", .value = 0x20008},
    {"personality", .op = "SCMP_CMP_EQ", .value = 0xffffffff /* only asks */},
    {"sync_file_range2 swapcontext", .arches = "ppc64le"},
    {"arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
     .arches = "arm arm64"},
    {"arch_prctl", .arches = "amd64 x32"},
    {"modify_ldt", .arches = "amd64 x32 x86"},
    {"s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", .arches = "s390 s390x"},
    {"riscv_flush_icache", .arches = "riscv64"},
    {"open_by_handle_at", .cap = "CAP_DAC_READ_SEARCH"},
    {
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr "
        "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname "
        "sethostname setns syslog umount umount2 unshare",
        .cap = "CAP_SYS_ADMIN",
    },
    /* clone() may make threads and processes, but no namespaces; clone3() hides its flags in
     * memory, so programs are told that it does not exist and fall back. */
    {"clone", .without = "CAP_SYS_ADMIN", .no_arches = "s390 s390x", .op = "SCMP_CMP_MASKED_EQ",
     .arg = 0, .value = NS_FLAGS},
    {"clone", .without = "CAP_SYS_ADMIN", .arches = "s390 s390x", .op = "SCMP_CMP_MASKED_EQ",
     .arg = 1, .value = NS_FLAGS},
    {"clone3", .without = "CAP_SYS_ADMIN", .errno_ret = ENOSYS},
    {"reboot", .cap = "CAP_SYS_BOOT"},
    {"chroot", .cap = "CAP_SYS_CHROOT"},
    {"delete_module finit_module init_module", .cap = "CAP_SYS_MODULE"},
    {"acct", .cap = "CAP_SYS_PACCT"},
    {"kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
     .cap = "CAP_SYS_PTRACE"},
    {"ioperm iopl", .cap = "CAP_SYS_RAWIO"},
    {"clock_settime clock_settime64 settimeofday stime", .cap = "CAP_SYS_TIME"},
    {"vhangup", .cap = "CAP_SYS_TTY_CONFIG"},
    {"get_mempolicy mbind set_mempolicy set_mempolicy_home_node", .cap = "CAP_SYS_NICE"},
    {"syslog", .cap = "CAP_SYSLOG"},
    {"bpf", .cap = "CAP_BPF"},
    {"perf_event_open", .cap = "CAP_PERFMON"},
};

static const struct {
    const char *arch, *names; /* the filter covers the 32-bit modes of the machine, too */
} machines[] = {
    {"amd64", "SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32"},
    {"arm64", "SCMP_ARCH_AARCH64 SCMP_ARCH_ARM"},
};

/* Is @word in the list "a b c"? A NULL list has no words. */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = list; p; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL) {
        if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\0'))
            return true;
    }
    return false;
}

static bool applies(const struct rule *r, const char *arch, const struct strv *caps)
{
    if (r->cap && !strv_has(caps, r->cap))
        return false;
    if (r->without && strv_has(caps, r->without))
        return false;
    if (r->arches && !listed(r->arches, arch))
        return false;
    return !listed(r->no_arches, arch);
}

static struct seccomp_rule *rule_made(struct arena *a, const struct rule *r)
{
    struct seccomp_rule *out = arena_new(a, struct seccomp_rule);

    out->names = str_split(a, r->names, ' ');
    out->action = arena_strdup(a, r->errno_ret ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
    if (r->errno_ret)
        out->errno_ret = arena_memdup(a, &r->errno_ret, sizeof(r->errno_ret));
    if (r->op) {
        struct seccomp_arg *arg = arena_new(a, struct seccomp_arg);
        *arg =
            (struct seccomp_arg){.index = r->arg, .value = r->value, .op = arena_strdup(a, r->op)};
        arena_push(a, out->args) = arg;
    }
    return out;
}

void seccomp_default_fill_arch(struct arena *a, const char *arch, const struct strv *caps,
                               struct seccomp_profile *out)
{
    static const uint32_t eperm = EPERM;

    *out = (struct seccomp_profile){.default_action = arena_strdup(a, "SCMP_ACT_ERRNO"),
                                    .default_errno_ret = arena_memdup(a, &eperm, sizeof(eperm))};
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (str_eq(machines[i].arch, arch))
            out->architectures = str_split(a, machines[i].names, ' ');
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (applies(&rules[i], arch, caps))
            arena_push(a, out->syscalls) = rule_made(a, &rules[i]);
    }
}

void seccomp_default_fill(struct arena *a, const struct strv *caps, struct seccomp_profile *out)
{
#if defined(__aarch64__)
    seccomp_default_fill_arch(a, "arm64", caps, out);
#else
    seccomp_default_fill_arch(a, "amd64", caps, out);
#endif
}
