/* The shim's own structs. One process, one thread, one epoll set; everything hangs on struct shim.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "oci/runtime.h"
#include "shim/logfile.h"
#include "shim/protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct shim;
struct source;

/* Something epoll watches; embedded in what it belongs to. */
typedef void (*source_fn)(struct shim *s, struct source *src, uint32_t events);
struct source {
    int fd;
    uint32_t events; /* as registered; 0: not registered */
    source_fn fn;
};

/* Output of a process: one pipe, or the pty master. */
struct pump {
    struct source src; /* fd -1: at its end */
    int stream;        /* 1 stdout, 2 stderr */
    struct proc *proc;
};

/* A client that is attached to a process' streams. */
struct client {
    struct source src;
    struct proc *proc;
    bool in, out, err, mux;
    bool eof;          /* it will send nothing more */
    bool ending;       /* no more output will come: close when the queue is empty */
    struct buf queue;  /* output that its socket did not take yet */
    char *detach_keys; /* bytes; in the proc's arena */
    size_t matched;    /* how many of them were typed so far */
    struct client *next;
};

/* A process with its streams: the container's init, or an exec. */
struct proc {
    char *id; /* "" for init */
    pid_t pid;
    bool tty;
    bool exited; /* reaped; output may still be in the pipe */
    bool ended;  /* output is over and the daemon knows; clients may still be draining */
    int code;
    bool stdin_once;
    struct pump out, err;
    struct source in; /* write end of stdin; the pty master's duplicate with a tty; fd -1: closed */
    struct buf in_queue;
    bool in_eof;       /* close stdin once in_queue is empty */
    int64_t linger_at; /* mono ns: when to give up on output after the exit; 0: no such time */
    struct client *clients;
    struct arena mem;
    struct proc *next;
};

/* A connection of the daemon. */
struct peer {
    struct source src;
    bool watch; /* gets events */
    struct peer *next;
};

struct shim {
    struct arena mem; /* the plan */
    struct shim_plan *plan;
    int epoll, run_fd, data_fd;
    struct source control_src, listen, signals, oom;
    struct cgroup_host *host;
    struct cgroup *cgroup;
    struct oci_init init;
    const void *bpf;
    size_t bpf_len;
    struct proc *procs; /* init first */
    struct proc *init_proc;
    struct peer *peers;
    struct logfile log;
    int dns_udp, dns_tcp; /* sockets in the container's network for the daemon's name server; -1 */
    int64_t started_ns;
    uint64_t ooms;
    bool done;
    bool gone_on; /* the daemon's "go" has come */
};

/* run.c */
void source_set(struct shim *s, struct source *src, uint32_t events);
void source_close(struct shim *s, struct source *src);
void shim_tell(struct shim *s, const struct shim_event *ev);
/** shim_hear() - before the start: waits for @op from the daemon, which may say "go" before it. */
int shim_hear(struct shim *s, const char *op, struct arena *a, struct shim_req *ret,
              struct err *err) MUST;

/* stdio.c: the streams of a process */
struct stdio_pipes {
    int child[3]; /* ends for the process; -1: none (tty) */
    int ours[3];
};
int stdio_open(bool tty, bool want_stdin, struct stdio_pipes *ret, struct err *err) MUST;
void stdio_close(struct stdio_pipes *p);
void proc_take_streams(struct shim *s, struct proc *p, struct stdio_pipes *pipes, int console);
bool proc_output_done(const struct proc *p);
void proc_free(struct shim *s, struct proc *p);
void proc_drain(struct shim *s, struct proc *p);
void proc_write(struct shim *s, struct proc *p, const char *data, size_t n);
void proc_stdin_eof(struct shim *s, struct proc *p);
void proc_stdin_resume(struct shim *s, struct proc *p);

/* attach.c: the clients of a process */
void client_add(struct shim *s, struct proc *p, const struct shim_attach *a, int fd);
void client_output(struct shim *s, struct proc *p, int stream, const char *data, size_t n);
bool clients_full(const struct proc *p);
void clients_end(struct shim *s, struct proc *p);
void client_drop(struct shim *s, struct client *c);

/* serve.c: the daemon's requests */
int serve_open(struct shim *s, struct err *err) MUST;
void serve_peer(struct shim *s, struct source *src, uint32_t events);

/* exec.c */
int shim_exec(struct shim *s, const struct shim_req *req, int client_fd, pid_t *ret_pid,
              struct err *err) MUST;

/* net.c: callbacks of oci_create(), and changes while the container runs */
int net_setup(void *arg, pid_t pid, int netns_fd, struct err *err) MUST;
int net_child(void *arg, int proc_sys, struct err *err) MUST;
int net_join(struct shim *s, const struct shim_net *net, const shim_gateways *gateways,
             struct err *err) MUST;
int net_leave(struct shim *s, const char *peer_if, const shim_gateways *gateways,
              struct err *err) MUST;
/** net_dns_open() - make s->dns_udp and s->dns_tcp, if they are not there yet. */
int net_dns_open(struct shim *s, struct err *err) MUST;
