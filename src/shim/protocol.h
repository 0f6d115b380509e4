/*
 * What the daemon and a container's shim say to each other.
 *
 * The daemon spawns the shim with a plan (JSON in a sealed memfd) and one end of a SOCK_SEQPACKET
 * pair, the control socket. Later daemons connect to the socket in the shim's run directory.
 * Every message is one JSON object, with descriptors beside it where they are needed:
 *
 *   daemon -> shim  struct shim_req    one request, answered by one struct shim_reply; a connection
 *                                      may carry any number of them, one after the other
 *   shim -> daemon  struct shim_event  on the control socket, and on any connection that asked for
 *                                      events with "watch" (which is answered first)
 *
 * A message over SHIM_INLINE bytes travels in a memfd, passed as the last descriptor.
 * SHIM_PROTOCOL is in the plan and in the reply to "watch": a daemon that meets a shim of another
 * version says so instead of guessing. Members may be added without a new version.
 */
#pragma once

#include "base/json.h"
#include "oci/spec.h"

#include <stdbool.h>
#include <stdint.h>

#define SHIM_PROTOCOL 1
#define SHIM_INLINE 60000
#define SHIM_MESSAGE_MAX (16U << 20)
#define SHIM_REPLY_FDS 2

/* Descriptors of the shim at its birth; the plan names those behind SHIM_FD_FIRST. */
enum shim_fd {
    SHIM_FD_CONTROL = 3, /* SOCK_SEQPACKET pair */
    SHIM_FD_PLAN = 4,    /* memfd */
    SHIM_FD_RUN = 5,     /* run directory: socket, exit record */
    SHIM_FD_DATA = 6,    /* the container's data directory: log files */
    SHIM_FD_FIRST = 7,
};

#define SHIM_SOCKET "sock"
#define SHIM_EXIT_RECORD "exit.json"

/* An interface of the container. */
struct shim_net {
    char *kind;            /* "veth", "macvlan", "ipvlan" */
    char *host_if;         /* veth: name of the host's end */
    char *peer_if;         /* name in the container */
    int32_t parent;        /* ifindex of the bridge, or of the link that is shared; 0: none */
    uint32_t mode, flags;  /* macvlan, ipvlan: as the kernel's */
    int32_t mtu;           /* 0: the kernel's choice */
    char *mac;             /* of the container's end; "" for the kernel's choice */
    struct strv addresses; /* "172.17.0.2/16" */
    bool isolated;         /* a bridge port without a way to others of its kind */
    bool hairpin;          /* a bridge port whose frames may come back */
    bool no_ipv6;          /* not even a link-local address */
    struct strmap sysctls; /* below net., set before the interface comes up */
};

/* The default route of a family; those that are not named have none. */
struct shim_gateway {
    int32_t family;
    char *dev; /* name in the container */
    char *via; /* address; "": by the link alone */
};
typedef VEC_OF(struct shim_gateway *) shim_gateways;

struct shim_log {
    char *driver;     /* "json-file", "none" */
    int64_t max_size; /* bytes of one file; <= 0: no rotation */
    int32_t max_files;
    bool compress;         /* rotated files become .gz */
    struct json_raw attrs; /* object added to every entry as "attrs" */
};

/* A client of the container's streams; its socket is the descriptor @fd (in a plan) or the
 * message's first descriptor (in a request). */
struct shim_attach {
    int32_t fd;
    bool in, out, err;
    bool mux;          /* frame output with the 8-byte header */
    char *detach_keys; /* bytes, not names; "" for none */
};

struct shim_plan {
    int32_t version;
    char *id;
    struct oci_spec *spec;
    struct strv lowers; /* directories of the image's layers, topmost first */
    char *upper, *work; /* on the host; "" for a container without its own layer */
    bool rootfs_ro;
    bool fleeting;      /* the upper layer goes with the run: nothing of it is synced to disk */
    char *cgroup;       /* "/cleat/<id>" */
    int32_t seccomp_fd; /* memfd with the compiled filter, 0 for none */
    uint32_t seccomp_flags;
    bool open_stdin, stdin_once;
    struct shim_log log;
    VEC_OF(struct shim_net *) nets; /* besides lo */
    shim_gateways gateways;
    bool dns; /* the name server's sockets are wanted: see "dns" */
    bool go;  /* wait for "go" before the container's program starts */
    VEC_OF(struct shim_attach *) attach;
};

struct shim_req {
    /* "watch", "go", "attach", "exec", "resize", "kill", "close", "end", "state";
     * "parent": answers the event of that name, @parent is the link to take instead, and like "go"
     * it has no reply;
     * "net-join": add @net, then the default routes are @gateways; "net-leave": the interface
     * @peer_if goes; "dns": two descriptors come back, a datagram and a listening socket at
     * 127.0.0.11 in the container, which asks them at port 53 */
    const char *op;
    const char *exec; /* attach, exec, resize, kill, state: id of the exec, "" for init */
    struct oci_process *process; /* exec */
    bool tty;                    /* exec */
    struct shim_attach *attach;  /* attach, exec */
    int32_t signal;              /* kill */
    uint32_t rows, cols;         /* resize */
    struct shim_net *net;        /* net-join */
    shim_gateways gateways;      /* net-join, net-leave */
    const char *peer_if;         /* net-leave */
    int32_t parent;              /* parent */
};

struct shim_reply {
    int32_t no, kind; /* errno and enum err_kind; 0: fine */
    const char *msg;
    int32_t pid;                            /* exec, watch */
    int32_t version;                        /* watch */
    int64_t started_ns;                     /* watch; 0: not started */
    bool exited;                            /* watch, state */
    int32_t code;                           /* watch: exit code */
    VEC_OF(struct shim_exec_state *) execs; /* watch */
    int fds[SHIM_REPLY_FDS];                /* dns: beside the message; the receiver's */
    size_t nfds;
};

struct shim_exec_state {
    char *id;
    int32_t pid, code;
    bool running;
};

struct shim_event {
    /* "started", "failed", "exit", "exec-exit", "oom", "detach"; before "started" any number of
     * "parent": the link that the plan names for an interface has gone meanwhile */
    const char *event;
    int32_t pid;       /* started */
    int64_t at_ns;     /* wall clock */
    int32_t code;      /* exit, exec-exit: 0..255, 128 + signal */
    bool oom;          /* exit */
    const char *exec;  /* exec-exit, detach */
    int32_t no, kind;  /* failed */
    const char *msg;   /* failed */
    uint32_t warnings; /* started: enum oci_warning */
    uint32_t net;      /* parent: which of the plan's nets */
};

extern const struct json_type shim_plan_type;
extern const struct json_type shim_req_type;
extern const struct json_type shim_reply_type;
extern const struct json_type shim_event_type;

/**
 * shim_send() - one message with @nfds descriptors
 * Return: 0, -errno (EPIPE when the other side is gone).
 */
int shim_send(int sock, const struct json_type *type, const void *msg, const int *fds,
              size_t nfds) MUST;

/**
 * shim_recv() - one message
 * @fds, @nfds: room for descriptors and how many came, as fds_recv(); may be NULL for none
 * Return: 1, 0 when the other side closed, -EAGAIN on an empty non-blocking socket, -errno.
 */
int shim_recv(int sock, const struct json_type *type, struct arena *a, void *msg, int *fds,
              size_t *nfds, struct err *err) MUST;

/** shim_memfd() - a sealed memfd with @n bytes, position 0. Return: fd or -errno. */
int shim_memfd(const char *name, const void *p, size_t n, struct err *err) MUST;
