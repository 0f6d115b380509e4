/* Further processes in the running container. No program but the user's is started. */
#include "shim/shim-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"

static int start(struct shim *s, struct proc *p, const struct shim_req *req,
                 struct stdio_pipes *pipes, struct err *err)
{
    struct oci_init started = OCI_INIT_NONE;
    struct oci_exec x = {.pidfd = s->init.pidfd,
                         .pid = s->init.pid,
                         .process = req->process,
                         .spec = s->plan->spec,
                         .cgroup = s->cgroup,
                         .stdio = {pipes->child[0], pipes->child[1], pipes->child[2]},
                         .new_session = true,
                         .seccomp_bpf = s->bpf,
                         .seccomp_len = s->bpf_len,
                         .seccomp_flags = s->plan->seccomp_flags};
    int r = oci_exec(&x, &started, err);

    if (r < 0)
        return r;
    p->pid = started.pid;
    proc_take_streams(s, p, pipes, take_fd(&started.console));
    oci_init_done(&started);
    return 0;
}

int shim_exec(struct shim *s, const struct shim_req *req, int client_fd, pid_t *ret_pid,
              struct err *err)
{
    struct stdio_pipes pipes;
    auto_close int fd = client_fd;
    bool want_in = req->attach && req->attach->in;
    int r = 0;

    if (!req->process || str_empty(req->exec))
        r = err_invalid(err, "exec without a process");
    else if (s->init_proc->exited || !s->started_ns)
        r = err_as(err, ERR_CONFLICT, ESRCH, "Container %s is not running", s->plan->id);
    if (r >= 0)
        r = stdio_open(req->tty, want_in, &pipes, err);
    if (r < 0)
        return r;
    struct proc *p = xnew(struct proc);
    p->id = arena_strdup(&p->mem, req->exec);
    p->tty = req->tty;
    p->stdin_once = true;
    p->in.fd = p->out.src.fd = p->err.src.fd = -1;
    r = start(s, p, req, &pipes, err);
    stdio_close(&pipes);
    if (r < 0) {
        proc_free(s, p);
        return r;
    }
    p->next = s->procs->next;
    s->procs->next = p; /* init stays first */
    if (fd >= 0)
        client_add(s, p, req->attach, take_fd(&fd));
    *ret_pid = p->pid;
    return 0;
}
