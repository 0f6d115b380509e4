#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "http/addr.h"
#include "base/auto.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/time.h"
#include "http/server-priv.h"

/*
 * Listeners and idle connections. A connection belongs to the loop's thread while it is idle and to
 * one thread of the pool while it is active; its one-shot epoll source changes the owner, so none
 * of its fields needs a lock but those that stopping looks at.
 */

#define ARMED (EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)
#define ACCEPT_BURST 64
#define HEAD_TIMEOUT_MS 300000
#define RETRY_ACCEPT_NS (100 * NS_PER_MS)

struct listener {
    struct http_server *server;
    struct listener *next;
    struct loop_source *source, *retry;
    struct tls_ctx *tls;
    int fd;
    bool local, passed; /* passed: by systemd, which keeps it open */
    char path[108];
};

/* ---- connections ---- */

static void conn_link(struct http_conn *c)
{
    struct http_server *s = c->server;

    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
}

static void conn_unlink(struct http_conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

static void set_state(struct http_conn *c, enum conn_state state)
{
    struct http_server *s = c->server;

    if (c->state == CONN_ACTIVE && state != CONN_ACTIVE) {
        s->active--;
        pthread_cond_broadcast(&s->ended);
    }
    s->active += c->state != CONN_ACTIVE && state == CONN_ACTIVE;
    c->state = state;
}

void conn_close(struct http_conn *c)
{
    struct http_server *s = c->server;

    loop_source_free(c->source);
    h1_in_done(&c->in);
    pthread_mutex_lock(&s->lock);
    conn_unlink(c);
    if (c->s)
        stream_free(c->s); /* under the lock: http_server_stop() may look at its descriptor */
    else
        close_fd(&c->fd);
    set_state(c, CONN_IDLE);
    pthread_mutex_unlock(&s->lock);
    free(c);
}

bool server_stopping(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static void hand_over(struct http_conn *c)
{
    pthread_mutex_lock(&c->server->lock);
    c->since = 0;
    set_state(c, CONN_ACTIVE);
    pthread_mutex_unlock(&c->server->lock);
    if (pool_run(c->server->opts.pool, conn_serve, c, NULL) < 0)
        conn_close(c);
}

static int64_t head_timeout_ns(const struct http_server *s)
{
    unsigned ms = s->opts.head_timeout_ms ? s->opts.head_timeout_ms : HEAD_TIMEOUT_MS;

    return ms * NS_PER_MS;
}

/* The timer runs only while some head is incomplete: an idle daemon is never woken by it. */
static void begin_head_locked(struct http_conn *c)
{
    struct http_server *s = c->server;

    if (c->since == 0)
        c->since = mono_ns();
    if (!s->head_timer_set) {
        s->head_timer_set = true;
        loop_timer_set(s->head_timer, head_timeout_ns(s), 0);
    }
}

static void begin_head(struct http_conn *c)
{
    pthread_mutex_lock(&c->server->lock);
    begin_head_locked(c);
    pthread_mutex_unlock(&c->server->lock);
}

/* Cut the connections whose head is late; their next event closes them. */
static void on_head_timer(struct loop_source *src, uint32_t events, void *arg)
{
    struct http_server *s = arg;
    int64_t limit = head_timeout_ns(s), now = mono_ns(), next = -1;

    (void)events;
    pthread_mutex_lock(&s->lock);
    for (struct http_conn *c = s->conns; c; c = c->next) {
        if (c->state != CONN_IDLE || c->since == 0)
            continue;
        int64_t left = c->since + limit - now;
        if (left <= 0)
            (void)shutdown(c->fd, SHUT_RDWR);
        else if (next < 0 || left < next)
            next = left;
    }
    s->head_timer_set = next >= 0;
    if (next >= 0)
        loop_timer_set(src, next, 0);
    pthread_mutex_unlock(&s->lock);
}

static void arm(struct http_conn *c)
{
    if (loop_source_arm(c->source, ARMED, NULL) < 0)
        conn_close(c);
}

void conn_park(struct http_conn *c)
{
    bool partial = h1_in_len(&c->in) > 0;

    if (!partial)
        h1_in_done(&c->in); /* idle connections hold no buffer */
    c->scan = 0;
    struct http_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    /* An idle connection belongs to the loop and to http_server_free(): once it is one and the lock
     * is gone, it may be, too. One that is not parked stays active until it is closed. */
    bool parked = !s->stopping && loop_source_arm(c->source, ARMED, NULL) >= 0;
    if (parked && partial)
        begin_head_locked(c);
    if (parked)
        set_state(c, CONN_IDLE);
    pthread_mutex_unlock(&s->lock);
    if (!parked)
        conn_close(c);
}

static void on_readable(struct loop_source *src, uint32_t events, void *arg)
{
    struct http_conn *c = arg;

    (void)src, (void)events;
    if (c->tls) { /* handshake and decryption may block */
        hand_over(c);
        return;
    }
    ssize_t n = recv(c->fd, buf_room(&c->in.buf, 4096), 4096, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        arm(c);
        return;
    }
    if (n <= 0) {
        conn_close(c);
        return;
    }
    buf_commit(&c->in.buf, (size_t)n);
    if (h1_head_end(h1_in_data(&c->in), h1_in_len(&c->in), &c->scan) ||
        h1_in_len(&c->in) > H1_HEAD_MAX) {
        hand_over(c);
        return;
    }
    begin_head(c);
    arm(c);
}

static void conn_new(struct listener *l, int fd)
{
    struct http_conn *c = xnew(struct http_conn);
    int one = 1;

    c->server = l->server;
    c->tls = l->tls;
    c->local = l->local;
    c->fd = fd;
    if (!l->local)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (!c->tls)
        c->in.s = c->s = stream_from_fd(fd);
    pthread_mutex_lock(&c->server->lock);
    conn_link(c);
    pthread_mutex_unlock(&c->server->lock);
    /* In the loop's thread, so it cannot fire before c->source is set. */
    if (loop_add_fd(c->server->opts.loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, on_readable, c,
                    &c->source, NULL) < 0)
        conn_close(c);
}

/* ---- listeners ---- */

static void on_retry(struct loop_source *src, uint32_t events, void *arg)
{
    struct listener *l = arg;

    (void)src, (void)events;
    (void)!loop_source_arm(l->source, EPOLLIN, NULL);
}

/* Out of descriptors: the listener would stay readable and spin, so it rests a while. */
static void rest(struct listener *l)
{
    if (loop_source_arm(l->source, EPOLLONESHOT, NULL) < 0)
        return;
    if (l->retry)
        loop_timer_set(l->retry, RETRY_ACCEPT_NS, 0);
    else
        (void)!loop_add_timer(l->server->opts.loop, RETRY_ACCEPT_NS, 0, on_retry, l, &l->retry,
                              NULL);
}

static void on_accept(struct loop_source *src, uint32_t events, void *arg)
{
    struct listener *l = arg;

    (void)src, (void)events;
    for (int i = 0; i < ACCEPT_BURST && !server_stopping(l->server); i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            conn_new(l, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(l);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static int add_listener(struct http_server *s, int fd, struct tls_ctx *tls, bool passed,
                        const char *path, struct err *err)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    auto_free struct listener *l = xnew(struct listener);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return err_sys(err, "look at listening socket");
    l->server = s;
    l->fd = fd;
    l->local = ss.ss_family == AF_UNIX;
    l->tls = l->local ? NULL : tls;
    l->passed = passed;
    strncpy(l->path, path, sizeof(l->path) - 1);
    int r = loop_add_fd(s->opts.loop, fd, EPOLLIN, on_accept, l, &l->source, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    l->next = s->listeners;
    s->listeners = take_ptr(&l);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

#define LISTEN_FDS_START 3

static bool fd_wanted(const char *want, int fd, const char *name)
{
    char number[12];

    (void)snprintf(number, sizeof(number), "%d", fd);
    return str_empty(want) || str_eq(want, "*") || str_eq(want, number) || str_eq(want, name);
}

static bool is_unix(int fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

/* Sockets passed by systemd: sd_listen_fds(3). */
static int listen_passed(struct http_server *s, const char *want, struct tls_ctx *tls,
                         struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    uint64_t for_pid = 0, n = 0, used = 0;

    if (str_to_u64(pid, &for_pid) < 0 || for_pid != (uint64_t)getpid() || str_to_u64(fds, &n) < 0 ||
        n > 1024)
        return err_as(err, ERR_INVALID, ENOENT, "no sockets found via socket activation");
    struct strv name = str_split(&a, names ? names : "", ':');
    for (int i = 0; i < (int)n; i++) {
        int fd = LISTEN_FDS_START + i;
        if (!fd_wanted(want, fd, (size_t)i < name.n ? name.v[i] : ""))
            continue;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
            return err_sys(err, "prepare passed socket %d", fd);
        int r = add_listener(s, fd, is_unix(fd) ? NULL : tls, true, "", err);
        if (r < 0)
            return r;
        used++;
    }
    return used ? 0 : err_as(err, ERR_INVALID, ENOENT, "no passed socket matches fd://%s", want);
}

int http_server_listen(struct http_server *s, const char *addr, unsigned mode, int gid,
                       struct tls_ctx *tls, struct err *err)
{
    struct addr a;
    int r = addr_parse(addr, tls ? 2376 : 2375, &a, err);

    if (r < 0)
        return r;
    if (a.kind == ADDR_FD)
        return listen_passed(s, a.path, tls, err);
    auto_close int fd = addr_listen(&a, mode, gid, err);
    if (fd < 0)
        return fd;
    r = add_listener(s, fd, tls, false, a.path, err);
    if (r < 0)
        return r;
    (void)take_fd(&fd);
    return 0;
}

/* ---- life ---- */

int http_server_new(const struct http_server_opts *opts, struct http_server **ret, struct err *err)
{
    pthread_condattr_t attr;
    auto_free struct http_server *s = xnew(struct http_server);

    s->opts = *opts;
    s->log_fd = -1;
    int r = opts->log_path ? reqlog_open(opts->log_path, &s->log_fd, err) : 0;
    if (r < 0)
        return r;
    r = loop_add_timer(opts->loop, -1, 0, on_head_timer, s, &s->head_timer, err);
    if (r < 0) {
        close_fd(&s->log_fd);
        return r;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->ended, &attr);
    pthread_condattr_destroy(&attr);
    *ret = take_ptr(&s);
    return 0;
}

/* No new connection, no further request: called with the lock held. */
static void refuse(struct http_server *s)
{
    s->stopping = true;
    for (struct listener *l = s->listeners; l; l = l->next) {
        (void)!loop_source_arm(l->source, EPOLLONESHOT, NULL);
        if (l->passed)
            continue;
        (void)shutdown(l->fd, SHUT_RDWR);
        if (*l->path)
            (void)unlink(l->path);
    }
}

/* Cut idle connections and those whose handlers only wait for their client (or all). */
static void cut(struct http_server *s, bool all)
{
    for (struct http_conn *c = s->conns; c; c = c->next)
        if (all || c->state == CONN_IDLE || atomic_load(&c->watched))
            (void)shutdown(c->fd, all || c->state == CONN_IDLE ? SHUT_RDWR : SHUT_RD);
}

static void wait_for_requests(struct http_server *s, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    while (s->active > 0)
        if (pthread_cond_timedwait(&s->ended, &s->lock, &until) == ETIMEDOUT)
            return;
}

size_t http_server_stop(struct http_server *s, unsigned timeout_ms)
{
    pthread_mutex_lock(&s->lock);
    refuse(s);
    cut(s, false);
    wait_for_requests(s, timeout_ms);
    if (s->active > 0) {
        cut(s, true);
        wait_for_requests(s, 1000);
    }
    size_t left = s->active;
    pthread_mutex_unlock(&s->lock);
    return left;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
    for (struct listener *l = s->listeners, *next; l; l = next) {
        next = l->next;
        loop_source_free(l->source);
        loop_source_free(l->retry);
        close_fd(&l->fd);
        free(l);
    }
    loop_source_free(s->head_timer);
    close_fd(&s->log_fd);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
