/*
 * seccomp filters. Two halves that are linked separately: the profile and its compilation to BPF
 * (seccomp_compile.c, needs libseccomp: daemon and cleat-oci only), and the installation of a
 * ready-made filter (seccomp.c, plain system calls: also in the static shim).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* linux.seccomp of the OCI runtime specification. */
struct seccomp_arg {
    uint32_t index; /* 0..5 */
    uint64_t value, value_two;
    char *op; /* "SCMP_CMP_EQ" ... */
};

struct seccomp_rule {
    struct strv names;
    char *action; /* "SCMP_ACT_ALLOW" ... */
    uint32_t *errno_ret;
    VEC_OF(struct seccomp_arg *) args; /* all must hold; same index twice: one rule each (or) */
};

struct seccomp_profile {
    char *default_action;
    uint32_t *default_errno_ret;
    struct strv architectures; /* "SCMP_ARCH_X86_64" ...; empty: the native one */
    struct strv flags;         /* "SECCOMP_FILTER_FLAG_LOG" ... */
    char *listener_path, *listener_metadata;
    VEC_OF(struct seccomp_rule *) syscalls;
};

/**
 * seccomp_flags() - the SECCOMP_FILTER_FLAG_* bits a profile asks for
 * Return: 0; -EINVAL for an unknown name.
 */
int seccomp_flags(const struct strv *names, unsigned *ret, struct err *err) MUST;

/**
 * seccomp_compile() - profile to classic BPF (kern_seccomp_dep)
 * Names of system calls that libseccomp or the architecture does not know are skipped; actions the
 * kernel lacks are errors. Costs milliseconds for Docker's default: cache the result.
 * @out: appended: an array of struct sock_filter
 * Return: 0; -EINVAL with the bad member in the message.
 */
int seccomp_compile(const struct seccomp_profile *p, struct buf *out, struct err *err) MUST;

/**
 * seccomp_install() - install a filter in the calling thread, irrevocably
 * @bpf: @len bytes of struct sock_filter; the caller has no_new_privs or CAP_SYS_ADMIN
 * @flags: SECCOMP_FILTER_FLAG_*; with NEW_LISTENER the return is the notify fd
 */
int seccomp_install(const void *bpf, size_t len, unsigned flags, struct err *err) MUST;

/** seccomp_action_known(), for "features": NULL-terminated name lists. */
extern const char *const seccomp_action_names[];
extern const char *const seccomp_op_names[];
extern const char *const seccomp_arch_names[];
extern const char *const seccomp_flag_names[];
