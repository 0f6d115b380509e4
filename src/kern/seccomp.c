#include "kern/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const struct {
    const char *name;
    unsigned flag;
} flag_table[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

#define FLAGS (sizeof(flag_table) / sizeof(flag_table[0]))

const char *const seccomp_flag_names[] = {
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    NULL,
};

int seccomp_flags(const struct strv *names, unsigned *ret, struct err *err)
{
    unsigned flags = 0;

    for (size_t i = 0; i < names->n; i++) {
        size_t k = 0;
        while (k < FLAGS && !str_eq(flag_table[k].name, names->v[i]))
            k++;
        if (k == FLAGS)
            return err_invalid(err, "seccomp flag \"%s\" is not known", names->v[i]);
        flags |= flag_table[k].flag;
    }
    *ret = flags;
    return 0;
}

int seccomp_install(const void *bpf, size_t len, unsigned flags, struct err *err)
{
    struct sock_fprog prog = {
        .len = (unsigned short)(len / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)bpf,
    };

    if (len == 0 || len % sizeof(struct sock_filter) ||
        len / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return err_invalid(err, "seccomp filter of %zu bytes is not valid", len);
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    if (r < 0)
        return err_sys(err, "install the seccomp filter");
    if (r > 0 && !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
        return err_no(err, EBUSY, "install the seccomp filter in thread %ld", r);
    return (int)r;
}
