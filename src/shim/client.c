#include "shim/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"

/* How many descriptors a shim may be born with, those of mounts among them. */
#define BIRTH_MAX 128
#define MOUNTS_MAX 64

/* Descriptors and the numbers they get in the shim. Sources are first lifted above every target,
 * so that no dup2() overwrites one that is still to come. */
struct fd_map {
    int from[BIRTH_MAX];
    size_t n;
};

static void map_fd(struct fd_map *m, int fd)
{
    m->from[m->n++] = fd;
}

static int lift(struct fd_map *m, struct err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        int high = fcntl(m->from[i], F_DUPFD_CLOEXEC, SHIM_FD_CONTROL + BIRTH_MAX);
        if (high < 0) {
            int r = err_sys(err, "duplicate descriptor");
            while (i > 0)
                (void)close(m->from[--i]);
            m->n = 0;
            return r;
        }
        m->from[i] = high;
    }
    return 0;
}

static void drop(struct fd_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        (void)close(m->from[i]);
}

static int spawn(const char *program, const char *id, const struct fd_map *m, struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    char *const argv[] = {(char *)"cleat-shim", (char *)(uintptr_t)id, NULL};
    pid_t pid;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    (void)posix_spawn_file_actions_adddup2(&files, 0, 1);
    for (size_t i = 0; i < m->n; i++)
        (void)posix_spawn_file_actions_adddup2(&files, m->from[i], SHIM_FD_CONTROL + (int)i);
    int no = posix_spawn(&pid, program, &files, &attr, argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return no ? err_no(err, no, "start %s", program) : 0;
}

static size_t count_sources(const struct shim_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->spec->mounts.n; i++)
        n += plan->spec->mounts.v[i]->source_fd > 0;
    return n;
}

/* @sources: the descriptors as they were, in the order of their new numbers. */
static void number_fds(struct shim_spawn *sp, struct shim_plan *plan, int *sources)
{
    int next = SHIM_FD_FIRST;
    size_t n = 0;

    plan->seccomp_fd = sp->seccomp_fd >= 0 ? next++ : 0;
    for (size_t i = 0; i < plan->attach.n; i++)
        plan->attach.v[i]->fd = next++;
    for (size_t i = 0; i < plan->spec->mounts.n; i++) {
        struct oci_mount *m = plan->spec->mounts.v[i];
        if (m->source_fd <= 0)
            continue;
        sources[n++] = m->source_fd;
        m->source_fd = next++;
    }
}

int shim_spawn(struct shim_spawn *sp, struct err *err)
{
    struct shim_plan plan = *sp->plan;
    auto_buf struct buf text = BUF_INIT;
    struct fd_map m = {.n = 0};
    auto_close int memfd = -1, ours = -1, theirs = -1;
    int pair[2], sources[MOUNTS_MAX];
    size_t nsources = count_sources(&plan);

    if (plan.attach.n > FDS_MAX - 8)
        return err_conflict(err, "too many clients are attached to container %s", plan.id);
    if (nsources > MOUNTS_MAX)
        return err_invalid(err, "more than %d volumes of plugins in container %s", MOUNTS_MAX,
                           plan.id);
    number_fds(sp, &plan, sources);
    json_encode(&shim_plan_type, &plan, &text);
    memfd = shim_memfd("cleat-plan", text.data, text.len, err);
    if (memfd < 0)
        return memfd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "create socket pair");
    ours = pair[0];
    theirs = pair[1];
    map_fd(&m, theirs);
    map_fd(&m, memfd);
    map_fd(&m, sp->run_fd);
    map_fd(&m, sp->data_fd);
    if (sp->seccomp_fd >= 0)
        map_fd(&m, sp->seccomp_fd);
    for (size_t i = 0; i < plan.attach.n; i++)
        map_fd(&m, sp->attach_fds[i]);
    for (size_t i = 0; i < nsources; i++)
        map_fd(&m, sources[i]);
    int r = lift(&m, err);
    if (r >= 0)
        r = spawn(sp->program, plan.id, &m, err);
    drop(&m);
    return r < 0 ? r : take_fd(&ours);
}

static int set_timeout(int sock, int timeout_ms, struct err *err)
{
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L};

    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
        return err_sys(err, "set a time limit");
    return 0;
}

static int no_answer(struct err *err)
{
    return err_as(err, ERR_SYSTEM, ETIMEDOUT, "the shim does not answer");
}

int shim_connect(int run_fd, int timeout_ms, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(err, "create socket");
    int r = set_timeout(fd, timeout_ms, err);
    if (r < 0)
        return r;
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" SHIM_SOCKET, run_fd);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return errno == EAGAIN ? no_answer(err) : err_sys(err, "connect to shim");
    return take_fd(&fd);
}

int shim_first_event(int control, int timeout_ms, struct arena *a, struct shim_event *ret,
                     struct err *err)
{
    int r = set_timeout(control, timeout_ms, err);

    if (r >= 0)
        r = shim_recv(control, &shim_event_type, a, ret, NULL, NULL, err);
    /* It ended without having read our "go": that is reported before what it had sent. */
    if (r == -ECONNRESET) {
        err_clear(err);
        r = shim_recv(control, &shim_event_type, a, ret, NULL, NULL, err);
    }
    return r == -EAGAIN ? no_answer(err) : r;
}

int shim_call_on(int sock, const struct shim_req *req, int fd, struct arena *a,
                 struct shim_reply *reply, struct err *err)
{
    int r = shim_send(sock, &shim_req_type, req, &fd, fd >= 0 ? 1 : 0);

    if (r == -EPIPE || r == -ECONNRESET)
        return 1;
    if (r < 0)
        return r == -EAGAIN ? no_answer(err) : err_no(err, r, "ask shim to %s", req->op);
    reply->nfds = SHIM_REPLY_FDS;
    r = shim_recv(sock, &shim_reply_type, a, reply, reply->fds, &reply->nfds, err);
    if (r <= 0)
        return r == 0 ? 1 : r == -EAGAIN ? no_answer(err) : r;
    if (reply->no)
        return err_as(err, (enum err_kind)reply->kind, reply->no, "%s", str_or(reply->msg, ""));
    return 0;
}

int shim_call(int run_fd, const struct shim_req *req, int fd, struct arena *a,
              struct shim_reply *reply, struct err *err)
{
    auto_close int sock = shim_connect(run_fd, SHIM_PATIENCE_MS, err);

    if (sock >= 0)
        return shim_call_on(sock, req, fd, a, reply, err);
    if (sock != -ENOENT && sock != -ECONNREFUSED)
        return sock;
    err_clear(err);
    return 1;
}

int shim_exit_record(int run_fd, struct arena *a, struct shim_event *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(run_fd, SHIM_EXIT_RECORD, SHIM_INLINE, &text, err);

    if (r == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (r >= 0)
        r = json_decode(&shim_event_type, text.data, text.len, a, ret, 0, err);
    return r < 0 ? r : 1;
}
