/*
 * An agent (ssh-agent) of the client, for the steps of its build: a socket that steps mount, and
 * the connection over which the client answers. A request is read whole before it is passed on, and
 * one at a time is: so any number of programs share the one connection, and half a request of one
 * of them stops nobody. What may be asked is the client's to decide.
 */
#include "engine/build_ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rand.h"
#include "base/thread.h"
#include "wire/agent.h"

#define CONNS_MAX 16
#define ANSWER_S 10 /* a program that does not take its answer is cut off */

struct conn {
    int fd;
    struct buf in;
};

struct build_agent {
    int client; /* connection to the client's end */
    int listen;
    char *dir, *path;
    pthread_t thread;
    bool running;
    struct conn conns[CONNS_MAX];
    size_t n;
};

/* ---- messages ---- */

static void drop(struct build_agent *a, size_t i)
{
    close_fd(&a->conns[i].fd);
    buf_done(&a->conns[i].in);
    a->conns[i] = a->conns[--a->n];
    a->conns[a->n] = (struct conn){.fd = -1};
}

/* Return: 0; 1 the program did not take its answer; -errno: the client is gone. */
static int pass_on(struct build_agent *a, struct conn *c, size_t n)
{
    auto_buf struct buf answer = BUF_INIT;
    int r = write_full(a->client, c->in.data, n);

    if (r >= 0)
        r = agent_message_read(agent_read_fd, &a->client, &answer);
    if (r < 0)
        return r;
    buf_drop(&c->in, n);
    return write_full(c->fd, answer.data, answer.len) < 0;
}

/* Return: 0; 1 nothing more will come of it; -errno as pass_on(). */
static int serve(struct build_agent *a, struct conn *c)
{
    ssize_t n = recv(c->fd, buf_room(&c->in, 4096), 4096, MSG_DONTWAIT), len;

    if (n < 0)
        return errno != EAGAIN && errno != EINTR;
    if (n == 0)
        return 1;
    buf_commit(&c->in, (size_t)n);
    while ((len = agent_message_len(&c->in)) > 0) {
        int r = pass_on(a, c, (size_t)len);
        if (r != 0)
            return r;
    }
    return len < 0;
}

/* ---- the thread ---- */

static void take_conn(struct build_agent *a)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    int fd = accept4(a->listen, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    a->conns[a->n++] = (struct conn){.fd = fd};
}

/* The client says nothing unasked: readable means that it is gone, or breaks the rules. */
static bool round_of(struct build_agent *a)
{
    struct pollfd p[CONNS_MAX + 2] = {
        {.fd = a->client, .events = POLLIN | POLLRDHUP},
        {.fd = a->n < CONNS_MAX ? a->listen : -1, .events = POLLIN},
    };
    size_t n = a->n;

    for (size_t i = 0; i < n; i++)
        p[i + 2] = (struct pollfd){.fd = a->conns[i].fd, .events = POLLIN};
    if (poll(p, n + 2, -1) < 0)
        return errno == EINTR;
    if (p[0].revents)
        return false;
    for (size_t i = n; i-- > 0;) {
        int r = p[i + 2].revents ? serve(a, &a->conns[i]) : 0;
        if (r < 0)
            return false;
        if (r > 0)
            drop(a, i);
    }
    if (p[1].revents)
        take_conn(a);
    return true;
}

static void *agent_main(void *arg)
{
    struct build_agent *a = arg;

    while (round_of(a))
        ;
    while (a->n)
        drop(a, a->n - 1);
    close_fd(&a->listen); /* who connects now is refused at once */
    (void)shutdown(a->client, SHUT_RDWR);
    return NULL;
}

/* ---- making and ending ---- */

static int listen_at(const char *path, int *ret, struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(sa.sun_path))
        return err_no(err, ENAMETOOLONG, "the path of an agent's socket is too long: %s", path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    /* Users of a step reach it by its mount alone: the directory is closed to them. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, CONNS_MAX) < 0)
        return err_sys(err, "listen at %s", path);
    *ret = take_fd(&fd);
    return 0;
}

static int start(struct build_agent *a, struct err *err)
{
    int r = thread_start(agent_main, a, POOL_STACK_B, &a->thread, "start a thread", err);

    a->running = r >= 0;
    return r;
}

int build_agent_new(const char *run_path, int fd, struct build_agent **ret, struct err *err)
{
    struct build_agent *a = xnew(struct build_agent);
    char hex[17];

    rand_hex(hex, 16);
    *a = (struct build_agent){
        .client = fd, .listen = -1, .dir = xasprintf("%s/ssh-%s", run_path, hex)};
    a->path = xasprintf("%s/agent", a->dir);
    int r = mkdir(a->dir, 0700) < 0 ? err_sys(err, "make %s", a->dir) : 0;
    if (r >= 0)
        r = listen_at(a->path, &a->listen, err);
    if (r >= 0)
        r = start(a, err);
    if (r < 0) {
        build_agent_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

const char *build_agent_path(const struct build_agent *a)
{
    return a->path;
}

void build_agent_free(struct build_agent *a)
{
    if (!a)
        return;
    (void)shutdown(a->client, SHUT_RDWR); /* wakes the thread, wherever it waits */
    if (a->running)
        (void)pthread_join(a->thread, NULL);
    close_fd(&a->client);
    close_fd(&a->listen);
    (void)!remove_tree_at(AT_FDCWD, a->dir, NULL); /* else the next start does it */
    free(a->path);
    free(a->dir);
    free(a);
}
