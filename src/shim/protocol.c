#include "shim/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"

static const struct field net_fields[] = {
    FIELD(struct shim_net, "kind", F_STR, kind),
    FIELD(struct shim_net, "host_if", F_STR, host_if, .flags = F_OMIT),
    FIELD(struct shim_net, "peer_if", F_STR, peer_if),
    FIELD(struct shim_net, "parent", F_I32, parent),
    FIELD(struct shim_net, "mode", F_U32, mode, .flags = F_OMIT),
    FIELD(struct shim_net, "flags", F_U32, flags, .flags = F_OMIT),
    FIELD(struct shim_net, "mtu", F_I32, mtu, .flags = F_OMIT),
    FIELD(struct shim_net, "mac", F_STR, mac, .flags = F_OMIT),
    FIELD(struct shim_net, "addresses", F_STRV, addresses),
    FIELD(struct shim_net, "isolated", F_BOOL, isolated, .flags = F_OMIT),
    FIELD(struct shim_net, "hairpin", F_BOOL, hairpin, .flags = F_OMIT),
    FIELD(struct shim_net, "no_ipv6", F_BOOL, no_ipv6, .flags = F_OMIT),
    FIELD(struct shim_net, "sysctls", F_STRMAP, sysctls, .flags = F_OMIT),
};
static const struct json_type net_type = JSON_TYPE("Net", struct shim_net, net_fields);

static const struct field gateway_fields[] = {
    FIELD(struct shim_gateway, "family", F_I32, family),
    FIELD(struct shim_gateway, "dev", F_STR, dev),
    FIELD(struct shim_gateway, "via", F_STR, via, .flags = F_OMIT),
};
static const struct json_type gateway_type =
    JSON_TYPE("Gateway", struct shim_gateway, gateway_fields);

static const struct field log_fields[] = {
    FIELD(struct shim_log, "driver", F_STR, driver),
    FIELD(struct shim_log, "max_size", F_I64, max_size),
    FIELD(struct shim_log, "max_files", F_I32, max_files),
    FIELD(struct shim_log, "compress", F_BOOL, compress),
    FIELD(struct shim_log, "attrs", F_RAW, attrs, .flags = F_OMIT),
};
static const struct json_type log_type = JSON_TYPE("Log", struct shim_log, log_fields);

static const struct field attach_fields[] = {
    FIELD(struct shim_attach, "fd", F_I32, fd),
    FIELD(struct shim_attach, "in", F_BOOL, in),
    FIELD(struct shim_attach, "out", F_BOOL, out),
    FIELD(struct shim_attach, "err", F_BOOL, err),
    FIELD(struct shim_attach, "mux", F_BOOL, mux),
    FIELD(struct shim_attach, "detach_keys", F_STR, detach_keys),
};
static const struct json_type attach_type = JSON_TYPE("Attach", struct shim_attach, attach_fields);

static const struct field plan_fields[] = {
    FIELD(struct shim_plan, "version", F_I32, version, .flags = F_REQUIRED),
    FIELD(struct shim_plan, "id", F_STR, id, .flags = F_REQUIRED),
    FIELD(struct shim_plan, "spec", F_PTR, spec, .flags = F_REQUIRED, .type = &oci_spec_type),
    FIELD(struct shim_plan, "lowers", F_STRV, lowers),
    FIELD(struct shim_plan, "upper", F_STR, upper),
    FIELD(struct shim_plan, "work", F_STR, work),
    FIELD(struct shim_plan, "rootfs_ro", F_BOOL, rootfs_ro),
    FIELD(struct shim_plan, "fleeting", F_BOOL, fleeting),
    FIELD(struct shim_plan, "cgroup", F_STR, cgroup),
    FIELD(struct shim_plan, "seccomp_fd", F_I32, seccomp_fd),
    FIELD(struct shim_plan, "seccomp_flags", F_U32, seccomp_flags),
    FIELD(struct shim_plan, "open_stdin", F_BOOL, open_stdin),
    FIELD(struct shim_plan, "stdin_once", F_BOOL, stdin_once),
    FIELD(struct shim_plan, "log", F_OBJ, log, .type = &log_type),
    FIELD(struct shim_plan, "nets", F_OBJV, nets, .flags = F_OMIT, .type = &net_type),
    FIELD(struct shim_plan, "gateways", F_OBJV, gateways, .flags = F_OMIT, .type = &gateway_type),
    FIELD(struct shim_plan, "dns", F_BOOL, dns, .flags = F_OMIT),
    FIELD(struct shim_plan, "go", F_BOOL, go, .flags = F_OMIT),
    FIELD(struct shim_plan, "attach", F_OBJV, attach, .flags = F_OMIT, .type = &attach_type),
};
const struct json_type shim_plan_type = JSON_TYPE("Plan", struct shim_plan, plan_fields);

static const struct field req_fields[] = {
    FIELD(struct shim_req, "op", F_STR, op, .flags = F_REQUIRED),
    FIELD(struct shim_req, "exec", F_STR, exec, .flags = F_OMIT),
    FIELD(struct shim_req, "process", F_PTR, process, .flags = F_OMIT, .type = &oci_process_type),
    FIELD(struct shim_req, "tty", F_BOOL, tty, .flags = F_OMIT),
    FIELD(struct shim_req, "attach", F_PTR, attach, .flags = F_OMIT, .type = &attach_type),
    FIELD(struct shim_req, "signal", F_I32, signal, .flags = F_OMIT),
    FIELD(struct shim_req, "rows", F_U32, rows, .flags = F_OMIT),
    FIELD(struct shim_req, "cols", F_U32, cols, .flags = F_OMIT),
    FIELD(struct shim_req, "net", F_PTR, net, .flags = F_OMIT, .type = &net_type),
    FIELD(struct shim_req, "gateways", F_OBJV, gateways, .flags = F_OMIT, .type = &gateway_type),
    FIELD(struct shim_req, "parent", F_I32, parent, .flags = F_OMIT),
    FIELD(struct shim_req, "peer_if", F_STR, peer_if, .flags = F_OMIT),
};
const struct json_type shim_req_type = JSON_TYPE("Request", struct shim_req, req_fields);

static const struct field exec_state_fields[] = {
    FIELD(struct shim_exec_state, "id", F_STR, id),
    FIELD(struct shim_exec_state, "pid", F_I32, pid),
    FIELD(struct shim_exec_state, "code", F_I32, code),
    FIELD(struct shim_exec_state, "running", F_BOOL, running),
};
static const struct json_type exec_state_type =
    JSON_TYPE("Exec", struct shim_exec_state, exec_state_fields);

static const struct field reply_fields[] = {
    FIELD(struct shim_reply, "no", F_I32, no),
    FIELD(struct shim_reply, "kind", F_I32, kind),
    FIELD(struct shim_reply, "msg", F_STR, msg),
    FIELD(struct shim_reply, "pid", F_I32, pid),
    FIELD(struct shim_reply, "version", F_I32, version),
    FIELD(struct shim_reply, "started_ns", F_I64, started_ns),
    FIELD(struct shim_reply, "exited", F_BOOL, exited),
    FIELD(struct shim_reply, "code", F_I32, code),
    FIELD(struct shim_reply, "execs", F_OBJV, execs, .flags = F_OMIT, .type = &exec_state_type),
};
const struct json_type shim_reply_type = JSON_TYPE("Reply", struct shim_reply, reply_fields);

static const struct field event_fields[] = {
    FIELD(struct shim_event, "event", F_STR, event, .flags = F_REQUIRED),
    FIELD(struct shim_event, "pid", F_I32, pid),
    FIELD(struct shim_event, "at_ns", F_I64, at_ns),
    FIELD(struct shim_event, "code", F_I32, code),
    FIELD(struct shim_event, "oom", F_BOOL, oom),
    FIELD(struct shim_event, "exec", F_STR, exec, .flags = F_OMIT),
    FIELD(struct shim_event, "no", F_I32, no, .flags = F_OMIT),
    FIELD(struct shim_event, "kind", F_I32, kind, .flags = F_OMIT),
    FIELD(struct shim_event, "msg", F_STR, msg, .flags = F_OMIT),
    FIELD(struct shim_event, "net", F_U32, net, .flags = F_OMIT),
    FIELD(struct shim_event, "warnings", F_U32, warnings, .flags = F_OMIT),
};
const struct json_type shim_event_type = JSON_TYPE("Event", struct shim_event, event_fields);

int shim_memfd(const char *name, const void *p, size_t n, struct err *err)
{
    auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_sys(err, "create memfd");
    int r = write_full(fd, p, n);
    if (r < 0)
        return err_no(err, r, "write memfd");
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return err_sys(err, "seal memfd");
    return take_fd(&fd);
}

int shim_send(int sock, const struct json_type *type, const void *msg, const int *fds, size_t nfds)
{
    auto_buf struct buf text = BUF_INIT;
    auto_close int big = -1;
    int all[FDS_MAX];

    json_encode(type, msg, &text);
    if (text.len <= SHIM_INLINE)
        return fds_send(sock, text.data, text.len, fds, nfds);
    if (nfds >= FDS_MAX)
        return -E2BIG;
    big = shim_memfd("cleat-message", text.data, text.len, NULL);
    if (big < 0)
        return big;
    if (nfds)
        memcpy(all, fds, nfds * sizeof(int));
    all[nfds] = big;
    return fds_send(sock, "@", 1, all, nfds + 1); /* no JSON object starts with it */
}

static int decode_memfd(int fd, const struct json_type *type, struct arena *a, void *msg,
                        struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "rewind message")
                                       : read_fd(fd, SHIM_MESSAGE_MAX, &text, err);

    return r < 0 ? r : json_decode(type, text.data, text.len, a, msg, 0, err);
}

int shim_recv(int sock, const struct json_type *type, struct arena *a, void *msg, int *fds,
              size_t *nfds, struct err *err)
{
    char text[SHIM_INLINE];
    int got[FDS_MAX];
    size_t n = FDS_MAX, room = nfds ? *nfds : 0;

    if (nfds)
        *nfds = 0;
    ssize_t len = fds_recv(sock, text, sizeof(text), got, &n);
    if (len == -ECONNRESET)
        return 0;
    if (len <= 0)
        return len == 0 ? 0 : err_no(err, (int)len, "receive from shim");
    bool big = text[0] == '@' && n > 0;
    int r = big ? decode_memfd(got[n - 1], type, a, msg, err)
                : json_decode(type, text, (size_t)len, a, msg, 0, err);
    if (big)
        close_fd(&got[--n]);
    if (r >= 0 && n > room)
        r = err_as(err, ERR_INVALID, EMSGSIZE, "%zu descriptors, want at most %zu", n, room);
    for (size_t i = 0; r < 0 && i < n; i++)
        close_fd(&got[i]);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        fds[i] = got[i];
    if (nfds)
        *nfds = n;
    return 1;
}
