/*
 * Profile to filter, by libseccomp, with two things in front that it does not do:
 *
 *   - system calls newer than the profile fail with ENOSYS, not with the profile's EPERM. A C
 * library that tries a new call first falls back on ENOSYS only, so with EPERM old profiles break
 * new programs. "Newer" is: above the largest number the profile names on that architecture.
 *   - rules for calls that this libseccomp does not know yet. Since Linux 5.x new calls have the
 * same number everywhere, so a small table here is enough.
 *
 * Source: what runc does to filters (libcontainer/seccomp/patchbpf), for the first.
 */
#include "kern/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"

#define ARCHS_MAX 24
#define BPF_BYTES_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))
#define X32_BIT 0x40000000U
#define NEW_MAX 32

/* ---- names ---- */

struct name {
    const char *name;
    uint32_t value;
};

const char *const seccomp_action_names[] = {
    "SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",        "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",       "SCMP_ACT_TRAP",         NULL,
};

static const struct name ops[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {NULL, 0},
};

const char *const seccomp_op_names[] = {
    "SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
    "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL,
};

static const struct name archs[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {NULL, 0},
};

const char *const seccomp_arch_names[] = {
    "SCMP_ARCH_AARCH64",   "SCMP_ARCH_ARM",      "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",    "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC",      "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",   "SCMP_ARCH_RISCV64",  "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",
    "SCMP_ARCH_X32",       "SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",   NULL,
};

/* Newer than the libseccomp of Debian 12. */
static const struct name new_calls[] = {
    {"cachestat", 451},         {"fchmodat2", 452},
    {"map_shadow_stack", 453},  {"futex_wake", 454},
    {"futex_wait", 455},        {"futex_requeue", 456},
    {"statmount", 457},         {"listmount", 458},
    {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},  {"mseal", 462},
    {"setxattrat", 463},        {"getxattrat", 464},
    {"listxattrat", 465},       {"removexattrat", 466},
    {"open_tree_attr", 467},    {"file_getattr", 468},
    {"file_setattr", 469},      {NULL, 0},
};

static const struct name *find(const struct name *t, const char *name)
{
    while (t->name && !str_eq(t->name, name))
        t++;
    return t->name ? t : NULL;
}

/* ---- translation ---- */

struct compile {
    scmp_filter_ctx ctx;
    const struct seccomp_profile *p;
    uint32_t def; /* default action */
    uint32_t arch[ARCHS_MAX];
    int max_nr[ARCHS_MAX]; /* largest number the profile names there */
    size_t narch;
    struct {
        uint32_t nr, action; /* SECCOMP_RET_* */
    } newer[NEW_MAX];
    size_t nnewer;
};

static int action_of(const char *name, const uint32_t *errno_ret, uint32_t *ret, struct err *err)
{
    const struct name table[] = {
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
        {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(errno_ret ? *errno_ret & 0xffff : EPERM)},
        {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG},
        {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(errno_ret ? *errno_ret & 0xffff : EPERM)},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
        {NULL, 0},
    };
    const struct name *n = find(table, name);

    if (str_eq(name, "SCMP_ACT_NOTIFY"))
        return err_as(err, ERR_NOT_IMPLEMENTED, EOPNOTSUPP, "seccomp: SCMP_ACT_NOTIFY");
    if (!n)
        return err_invalid(err, "seccomp: action \"%s\" is not known", str_or(name, ""));
    *ret = n->value;
    return 0;
}

static int add_archs(struct compile *c, struct err *err)
{
    const struct strv *list = &c->p->architectures;

    c->arch[0] = seccomp_arch_native();
    c->narch = 1;
    for (size_t i = 0; i < list->n; i++) {
        const struct name *n = find(archs, list->v[i]);
        if (!n)
            return err_invalid(err, "seccomp: architecture \"%s\" is not known", list->v[i]);
        if (n->value == c->arch[0] || c->narch == ARCHS_MAX)
            continue;
        int r = seccomp_arch_add(c->ctx, n->value);
        if (r == -EEXIST || r == -EDOM) /* given twice, or of another byte order */
            continue;
        if (r < 0)
            return err_no(err, r, "seccomp: add architecture %s", list->v[i]);
        c->arch[c->narch++] = n->value;
    }
    return 0;
}

/* Remembers what the profile knows, whatever it says about it. Return: libseccomp's number. */
static int note_call(struct compile *c, const char *name)
{
    for (size_t i = 0; i < c->narch; i++) {
        int nr = seccomp_syscall_resolve_name_arch(c->arch[i], name);
        if (nr > c->max_nr[i])
            c->max_nr[i] = nr;
    }
    return seccomp_syscall_resolve_name(name);
}

static void note_new(struct compile *c, const char *name, uint32_t action, bool plain)
{
    const struct name *n = find(new_calls, name);

    if (!n || c->nnewer == NEW_MAX)
        return;
    for (size_t i = 0; i < c->narch; i++) {
        int nr = (int)(n->value | (c->arch[i] == SCMP_ARCH_X32 ? X32_BIT : 0));
        if (nr > c->max_nr[i])
            c->max_nr[i] = nr;
    }
    if (!plain || action == c->def) /* conditions on arguments: the default action stays */
        return;
    c->newer[c->nnewer].nr = n->value;
    c->newer[c->nnewer++].action = action;
}

static int add_args(struct compile *c, int nr, uint32_t action, const struct seccomp_rule *rule,
                    struct err *err)
{
    struct scmp_arg_cmp cmp[6];
    bool twice = false;
    unsigned seen = 0, n = 0;

    if (rule->args.n > 6)
        return err_invalid(err, "seccomp: more than 6 conditions");
    for (size_t i = 0; i < rule->args.n; i++) {
        const struct seccomp_arg *a = rule->args.v[i];
        const struct name *op = find(ops, a->op);
        if (!op || a->index > 5)
            return err_invalid(err, "seccomp: bad condition on argument %u (%s)", a->index,
                               str_or(a->op, ""));
        twice |= (seen & (1U << a->index)) != 0;
        seen |= 1U << a->index;
        cmp[n++] =
            (struct scmp_arg_cmp){a->index, (enum scmp_compare)op->value, a->value, a->value_two};
    }
    if (!twice)
        return seccomp_rule_add_array(c->ctx, action, nr, n, cmp);
    /* libseccomp takes an argument once per rule; several mean "or" to Docker and runc. */
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++)
        r = seccomp_rule_add_array(c->ctx, action, nr, 1, &cmp[i]);
    return r;
}

static int add_rule(struct compile *c, const struct seccomp_rule *rule, struct err *err)
{
    uint32_t action;
    int r = action_of(rule->action, rule->errno_ret, &action, err);

    for (size_t i = 0; i < rule->names.n && r == 0; i++) {
        int nr = note_call(c, rule->names.v[i]);
        if (nr == __NR_SCMP_ERROR) {
            note_new(c, rule->names.v[i], action, rule->args.n == 0);
            continue;
        }
        if (action == c->def) /* libseccomp refuses what changes nothing */
            continue;
        r = add_args(c, nr, action, rule, err);
        if (r == -EDOM || r == -EINVAL || r == -EACCES)
            r = err_no(err, EINVAL, "seccomp: rule for %s", rule->names.v[i]);
        else if (r < 0)
            r = err_no(err, r, "seccomp: rule for %s", rule->names.v[i]);
    }
    return r;
}

/* ---- code in front ---- */

static void op(struct buf *b, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    struct sock_filter f = {code, jt, jf, k};

    buf_put(b, &f, sizeof(f));
}

/*
 * For numbers of one architecture, with the number loaded: known to us only -> its action, above
 * what the profile knows -> ENOSYS, else on to libseccomp's code. Ends all paths.
 */
static void emit_arch(const struct compile *c, struct buf *b, int max_nr, uint32_t bit, bool enosys,
                      uint32_t *to_end, size_t *nend)
{
    for (size_t i = 0; i < c->nnewer; i++) {
        op(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, c->newer[i].nr | bit);
        op(b, BPF_RET | BPF_K, 0, 0, c->newer[i].action);
    }
    if (enosys && max_nr >= 0) {
        op(b, BPF_JMP | BPF_JGT | BPF_K, 0, 1, (uint32_t)max_nr);
        op(b, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    }
    to_end[(*nend)++] = (uint32_t)(b->len / sizeof(struct sock_filter));
    op(b, BPF_JMP | BPF_JA, 0, 0, 0); /* patched: to the end of the code in front */
}

static bool wants_enosys(const struct compile *c)
{
    uint32_t kind = c->def & 0xffff0000U;

    return kind == (SCMP_ACT_ERRNO(0) & 0xffff0000U) && c->def != SCMP_ACT_ERRNO(ENOSYS);
}

/* x32 is x86-64 with a bit in the number; any other architecture has its own audit value. */
static int x32_max(const struct compile *c, bool *ret_has)
{
    *ret_has = false;
    for (size_t i = 0; i < c->narch; i++)
        if (c->arch[i] == SCMP_ARCH_X32) {
            *ret_has = true;
            return c->max_nr[i];
        }
    return -1;
}

static void emit_front(const struct compile *c, struct buf *b)
{
    uint32_t to_end[ARCHS_MAX * 2];
    size_t nend = 0;
    bool enosys = wants_enosys(c), x32;
    int max32 = x32_max(c, &x32);

    for (size_t i = 0; i < c->narch; i++) {
        if (c->arch[i] == SCMP_ARCH_X32)
            continue;
        op(b, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
        op(b, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, c->arch[i]);
        size_t skip = b->len;
        op(b, BPF_JMP | BPF_JA, 0, 0, 0); /* patched: another architecture, to the next block */
        op(b, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
        if (c->arch[i] == SCMP_ARCH_X86_64) {
            op(b, BPF_JMP | BPF_JGE | BPF_K, 1, 0, X32_BIT);
            size_t over = b->len;
            op(b, BPF_JMP | BPF_JA, 0, 0, 0); /* patched: not x32 */
            emit_arch(c, b, x32 ? max32 : -1, X32_BIT, enosys, to_end, &nend);
            ((struct sock_filter *)(b->data + over))->k =
                (uint32_t)((b->len - over) / sizeof(struct sock_filter) - 1);
        }
        emit_arch(c, b, c->max_nr[i], 0, enosys, to_end, &nend);
        ((struct sock_filter *)(b->data + skip))->k =
            (uint32_t)((b->len - skip) / sizeof(struct sock_filter) - 1);
    }
    uint32_t end = (uint32_t)(b->len / sizeof(struct sock_filter));
    for (size_t i = 0; i < nend; i++)
        ((struct sock_filter *)b->data)[to_end[i]].k = end - to_end[i] - 1;
}

/* ---- compile ---- */

static int export_bpf(const struct compile *c, struct buf *out, struct err *err)
{
    auto_close int fd = memfd_create("bpf", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "seccomp: make a file");
    int r = seccomp_export_bpf(c->ctx, fd);
    if (r < 0)
        return err_no(err, r, "seccomp: export the filter");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, "seccomp: rewind the filter");
    return read_fd(fd, BPF_BYTES_MAX, out, err);
}

static int compile_into(struct compile *c, struct buf *out, struct err *err)
{
    int r = add_archs(c, err);

    for (size_t i = 0; i < c->narch; i++)
        c->max_nr[i] = -1;
    for (size_t i = 0; i < c->p->syscalls.n && r == 0; i++)
        r = add_rule(c, c->p->syscalls.v[i], err);
    if (r < 0)
        return r;
    auto_buf struct buf code = BUF_INIT;
    emit_front(c, &code);
    r = export_bpf(c, &code, err);
    if (r < 0)
        return r;
    if (code.len > BPF_BYTES_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "seccomp: the filter is too large");
    buf_put(out, code.data, code.len);
    return 0;
}

int seccomp_compile(const struct seccomp_profile *p, struct buf *out, struct err *err)
{
    struct compile c = {.p = p};
    int r = action_of(p->default_action, p->default_errno_ret, &c.def, err);

    if (r < 0)
        return r;
    c.ctx = seccomp_init(c.def);
    if (!c.ctx)
        return err_no(err, ENOMEM, "seccomp: start a filter");
    (void)seccomp_attr_set(c.ctx, SCMP_FLTATR_CTL_NNP, 0); /* we load it ourselves */
    /* A binary tree over the numbers instead of a list: when the filter is installed, the kernel
     * runs it once for every call of every architecture to find the ones always allowed. */
    r = seccomp_attr_set(c.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    r = r < 0 ? err_no(err, r, "seccomp: ask for a tree") : compile_into(&c, out, err);
    seccomp_release(c.ctx);
    return r;
}
