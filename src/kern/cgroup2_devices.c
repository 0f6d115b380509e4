/*
 * The device list under v2: a small eBPF program that the kernel asks at each open and mknod.
 *
 * The rules are those of v1's devices.allow/deny: later ones win, and an access of several kinds
 * ("rw") may be granted by several rules. The program therefore walks the rules from the last to
 * the first and keeps the kinds still to be granted: a matching allow takes its kinds away (none
 * left: granted), a matching deny of one still wanted refuses. At the end: refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "kern/cgroup-priv.h"

#define OLD_PROGS 64
#define RULES_MAX 500

enum { R_RESULT = 0, R_CTX = 1, R_TYPE = 2, R_WANT = 3, R_MAJOR = 4, R_MINOR = 5, R_TMP = 6 };

static void emit(struct buf *b, uint8_t code, uint8_t dst, uint8_t src_reg, int16_t off,
                 int32_t imm)
{
    struct bpf_insn i = {.code = code,
                         .dst_reg = (uint8_t)(dst & 15),
                         .src_reg = (uint8_t)(src_reg & 15),
                         .off = off,
                         .imm = imm};

    buf_put(b, &i, sizeof(i));
}

static void load_ctx(struct buf *b, uint8_t reg, size_t off)
{
    emit(b, BPF_LDX | BPF_W | BPF_MEM, reg, R_CTX, (int16_t)off, 0);
}

static void ret(struct buf *b, int32_t v)
{
    emit(b, BPF_ALU64 | BPF_MOV | BPF_K, R_RESULT, 0, 0, v);
    emit(b, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Low half of access_type: kind of device; high half: kinds of access. */
static void prologue(struct buf *b)
{
    load_ctx(b, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    emit(b, BPF_ALU64 | BPF_MOV | BPF_X, R_WANT, R_TYPE, 0, 0);
    emit(b, BPF_ALU64 | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
    emit(b, BPF_ALU64 | BPF_RSH | BPF_K, R_WANT, 0, 0, 16);
    load_ctx(b, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
    load_ctx(b, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static int32_t access_bits(const char *access)
{
    int32_t bits = 0;

    for (const char *p = str_or(access, "rwm"); *p; p++)
        bits |= *p == 'm'   ? BPF_DEVCG_ACC_MKNOD
                : *p == 'r' ? BPF_DEVCG_ACC_READ
                : *p == 'w' ? BPF_DEVCG_ACC_WRITE
                            : 0;
    return bits;
}

/* Jumps are relative to the next instruction; every rule ends with four (allow) or four (deny). */
static void emit_rule(struct buf *b, const struct cgroup_device_rule *d)
{
    char type = str_empty(d->type) ? 'a' : *d->type;
    bool any_major = !d->major || *d->major < 0, any_minor = !d->minor || *d->minor < 0;
    int16_t skip = (int16_t)((type != 'a') + !any_major + !any_minor + 4);
    const uint8_t jne = BPF_JMP | BPF_JNE | BPF_K;

    if (type != 'a')
        emit(b, jne, R_TYPE, 0, --skip, type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
    if (!any_major)
        emit(b, jne, R_MAJOR, 0, --skip, (int32_t)*d->major);
    if (!any_minor)
        emit(b, jne, R_MINOR, 0, --skip, (int32_t)*d->minor);
    if (d->allow) {
        emit(b, BPF_ALU64 | BPF_AND | BPF_K, R_WANT, 0, 0, ~access_bits(d->access));
        emit(b, jne, R_WANT, 0, 2, 0);
        ret(b, 1);
        return;
    }
    emit(b, BPF_JMP | BPF_JSET | BPF_K, R_WANT, 0, 1, access_bits(d->access));
    emit(b, BPF_JMP | BPF_JA, 0, 0, 2, 0);
    ret(b, 0);
}

static int load(struct buf *code, struct err *err)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)code->data;
    attr.insn_cnt = (uint32_t)(code->len / sizeof(struct bpf_insn));
    attr.license = (uint64_t)(uintptr_t) "Apache";
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
    return fd < 0 ? err_sys(err, "load the device filter") : fd;
}

/* The programs attached now, so that an update can take them away after the new one is there. */
static size_t query(int dir, uint32_t *ids)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.query.target_fd = (uint32_t)dir;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attr.query.prog_cnt = OLD_PROGS;
    return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0 ? 0 : attr.query.prog_cnt;
}

static int attach(int dir, int prog, struct err *err)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)prog;
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0
               ? err_sys(err, "attach the device filter")
               : 0;
}

static int detach(int dir, uint32_t id, struct err *err)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_id = id;
    auto_close int prog = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
    if (prog < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open the old device filter");
    memset(&attr, 0, sizeof(attr));
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)prog;
    attr.attach_type = BPF_CGROUP_DEVICE;
    return syscall(SYS_bpf, BPF_PROG_DETACH, &attr, sizeof(attr)) < 0
               ? err_sys(err, "detach the old device filter")
               : 0;
}

int cg2_devices(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err)
{
    auto_buf struct buf code = BUF_INIT;
    uint32_t old[OLD_PROGS];
    char path[64];

    if (lim->devices.n > RULES_MAX)
        return err_invalid(err, "more than %d device rules", RULES_MAX);
    prologue(&code);
    for (size_t i = lim->devices.n; i-- > 0;)
        emit_rule(&code, lim->devices.v[i]);
    ret(&code, 0);
    auto_close int prog = load(&code, err);
    if (prog < 0)
        return prog;
    int base = cg_dir(cg, cg->host->v2, err);
    if (base < 0)
        return base;
    /* bpf() wants a descriptor that is open for reading; ours is O_PATH. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", base);
    auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, "open cgroup %s", cg->path);
    size_t n = query(dir, old);
    int r = attach(dir, prog, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = detach(dir, old[i], err);
    return r;
}
