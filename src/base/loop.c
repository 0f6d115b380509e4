#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"

/*
 * Descriptors live in epoll, timers in a binary heap whose top sets epoll's timeout. A source that
 * is freed while its round is dispatched may still be named by a later event of that round, so the
 * loop's thread only marks it dead and frees it after the round. A one-shot source has no event
 * behind its own, so another thread may free it at once.
 */

enum source_kind { SRC_FD, SRC_TIMER, SRC_SIGNAL };

#define NOT_QUEUED SIZE_MAX
#define ROUND 64

struct loop_source {
    struct loop *loop;
    enum source_kind kind;
    bool dead;
    int fd;
    uint32_t events;
    loop_fn *fn;
    void *arg;
    int64_t at, every; /* timers; monotonic ns */
    size_t heap_pos;
    struct loop_source *prev, *next; /* all sources, under loop->lock */
    struct loop_source *next_dead;
};

struct post {
    void (*fn)(void *arg);
    void *arg;
    struct post *next;
};

struct loop {
    int epfd, wakefd;
    pthread_mutex_t lock; /* guards sources, heap and posts */
    struct loop_source *sources, *dead;
    struct {
        struct loop_source **v;
        size_t n, cap;
    } heap;
    struct post *posts, **last_post;
    pthread_t thread; /* valid while running */
    bool running, stop;
};

int loop_new(struct loop **ret, struct err *err)
{
    auto_close int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        return err_sys(err, "create epoll descriptor");
    auto_close int wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wakefd < 0)
        return err_sys(err, "create eventfd");
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, wakefd, &ev) < 0)
        return err_sys(err, "watch eventfd");

    struct loop *l = xnew(struct loop);
    l->epfd = take_fd(&epfd);
    l->wakefd = take_fd(&wakefd);
    l->last_post = &l->posts;
    pthread_mutex_init(&l->lock, NULL);
    *ret = l;
    return 0;
}

static void free_dead(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct loop_source *s = l->dead;
    l->dead = NULL;
    pthread_mutex_unlock(&l->lock);
    while (s) {
        struct loop_source *next = s->next_dead;
        free(s);
        s = next;
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    free_dead(l);
    for (struct loop_source *s = l->sources, *next; s; s = next) {
        next = s->next;
        if (s->kind == SRC_SIGNAL)
            close_fd(&s->fd);
        free(s);
    }
    for (struct post *p = l->posts, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(l->heap.v);
    close_fd(&l->epfd);
    close_fd(&l->wakefd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wakefd, &one, sizeof(one)); /* EAGAIN: it is awake already */
    (void)n;
}

void loop_stop(struct loop *l)
{
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    wake(l);
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct post *p = xnew(struct post);

    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&l->lock);
    *l->last_post = p;
    l->last_post = &p->next;
    pthread_mutex_unlock(&l->lock);
    wake(l);
}

static void run_posts(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct post *p = l->posts;
    l->posts = NULL;
    l->last_post = &l->posts;
    pthread_mutex_unlock(&l->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

void loop_drain(struct loop *l)
{
    run_posts(l);
}

/* ---- timer heap; all under the lock ---- */

static void heap_put(struct loop *l, size_t i, struct loop_source *s)
{
    l->heap.v[i] = s;
    s->heap_pos = i;
}

static void heap_up(struct loop *l, size_t i, struct loop_source *s)
{
    for (; i > 0 && l->heap.v[(i - 1) / 2]->at > s->at; i = (i - 1) / 2)
        heap_put(l, i, l->heap.v[(i - 1) / 2]);
    heap_put(l, i, s);
}

static void heap_down(struct loop *l, size_t i, struct loop_source *s)
{
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= l->heap.n)
            break;
        if (kid + 1 < l->heap.n && l->heap.v[kid + 1]->at < l->heap.v[kid]->at)
            kid++;
        if (l->heap.v[kid]->at >= s->at)
            break;
        heap_put(l, i, l->heap.v[kid]);
        i = kid;
    }
    heap_put(l, i, s);
}

static void heap_add(struct loop *l, struct loop_source *s)
{
    if (l->heap.n == l->heap.cap) {
        l->heap.cap = l->heap.cap ? 2 * l->heap.cap : 16;
        l->heap.v = xrealloc(l->heap.v, l->heap.cap * sizeof(struct loop_source *));
    }
    heap_up(l, l->heap.n++, s);
}

static void heap_remove(struct loop *l, struct loop_source *s)
{
    size_t i = s->heap_pos;

    if (i == NOT_QUEUED)
        return;
    s->heap_pos = NOT_QUEUED;
    struct loop_source *last = l->heap.v[--l->heap.n];
    if (last == s)
        return;
    heap_down(l, i, last);
    heap_up(l, last->heap_pos, last);
}

/* ---- sources ---- */

static struct loop_source *source_new(struct loop *l, enum source_kind kind, loop_fn *fn, void *arg)
{
    struct loop_source *s = xnew(struct loop_source);

    *s = (struct loop_source){
        .loop = l, .kind = kind, .fd = -1, .fn = fn, .arg = arg, .heap_pos = NOT_QUEUED};
    pthread_mutex_lock(&l->lock);
    s->next = l->sources;
    if (s->next)
        s->next->prev = s;
    l->sources = s;
    pthread_mutex_unlock(&l->lock);
    return s;
}

static void source_unlink(struct loop_source *s)
{
    struct loop *l = s->loop;

    if (s->prev)
        s->prev->next = s->next;
    else
        l->sources = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

static bool in_loop_thread(struct loop *l)
{
    return __atomic_load_n(&l->running, __ATOMIC_ACQUIRE) &&
           pthread_equal(l->thread, pthread_self());
}

void loop_source_free(struct loop_source *s)
{
    if (!s)
        return;
    struct loop *l = s->loop;
    bool later = in_loop_thread(l);

    if (s->kind != SRC_TIMER)
        (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
    if (s->kind == SRC_SIGNAL)
        close_fd(&s->fd);
    pthread_mutex_lock(&l->lock);
    heap_remove(l, s);
    source_unlink(s);
    if (later) {
        s->dead = true;
        s->next_dead = l->dead;
        l->dead = s;
    }
    pthread_mutex_unlock(&l->lock);
    if (!later)
        free(s);
}

static int add_fd(struct loop *l, enum source_kind kind, int fd, uint32_t events, loop_fn *fn,
                  void *arg, struct loop_source **ret, struct err *err)
{
    struct loop_source *s = source_new(l, kind, fn, arg);
    struct epoll_event ev = {.events = events, .data.ptr = s};

    s->fd = fd;
    s->events = events;
    if (ret)
        *ret = s;
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        int r = err_sys(err, "watch descriptor %d", fd);
        if (ret)
            *ret = NULL;
        s->fd = -1;
        s->kind = SRC_TIMER; /* never entered epoll */
        loop_source_free(s);
        return r;
    }
    return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg,
                struct loop_source **ret, struct err *err)
{
    return add_fd(l, SRC_FD, fd, events, fn, arg, ret, err);
}

/* Arming hands the source to the loop's thread, which may run its callback before epoll_ctl() has
 * even returned here. The lock makes the callback wait for that, and orders what this thread did to
 * the source's object before what the callback does. */
int loop_source_arm(struct loop_source *s, uint32_t events, struct err *err)
{
    struct loop *l = s->loop;
    struct epoll_event ev = {.events = events, .data.ptr = s};
    int fd = s->fd;

    pthread_mutex_lock(&l->lock);
    int r = epoll_ctl(l->epfd, EPOLL_CTL_MOD, fd, &ev);
    pthread_mutex_unlock(&l->lock);
    return r < 0 ? err_sys(err, "watch descriptor %d", fd) : 0;
}

int loop_source_fd(const struct loop_source *s)
{
    return s->fd;
}

static void timer_start(struct loop_source *s, int64_t after_ns, int64_t every_ns)
{
    struct loop *l = s->loop;

    pthread_mutex_lock(&l->lock);
    heap_remove(l, s);
    s->every = every_ns;
    if (after_ns >= 0) {
        s->at = mono_ns() + after_ns;
        heap_add(l, s);
    }
    bool first = s->heap_pos == 0;
    pthread_mutex_unlock(&l->lock);
    if (first && !in_loop_thread(l))
        wake(l);
}

int loop_add_timer(struct loop *l, int64_t after_ns, int64_t every_ns, loop_fn *fn, void *arg,
                   struct loop_source **ret, struct err *err)
{
    (void)err;
    struct loop_source *s = source_new(l, SRC_TIMER, fn, arg);
    if (ret)
        *ret = s;
    timer_start(s, after_ns, every_ns);
    return 0;
}

void loop_timer_set(struct loop_source *s, int64_t after_ns, int64_t every_ns)
{
    assert(s->kind == SRC_TIMER);
    timer_start(s, after_ns, every_ns);
}

int loop_add_signals(struct loop *l, const int *signals, size_t n, loop_fn *fn, void *arg,
                     struct loop_source **ret, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        sigaddset(&set, signals[i]);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0)
        return err_no(err, r, "block signals");
    auto_close int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, "create signalfd");
    r = add_fd(l, SRC_SIGNAL, fd, EPOLLIN, fn, arg, ret, err);
    if (r < 0)
        return r;
    (void)take_fd(&fd);
    return 0;
}

/* ---- the loop ---- */

/* The timer that is due, taken from the heap and set anew if it repeats; or NULL. */
static struct loop_source *timer_due(struct loop *l, int64_t now)
{
    struct loop_source *s = NULL;

    pthread_mutex_lock(&l->lock);
    if (l->heap.n > 0 && l->heap.v[0]->at <= now) {
        s = l->heap.v[0];
        heap_remove(l, s);
        if (s->every > 0) {
            s->at += s->every;
            if (s->at <= now) /* fell behind (the machine slept): do not fire once per miss */
                s->at = now + s->every;
            heap_add(l, s);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return s;
}

static void run_timers(struct loop *l)
{
    int64_t now = mono_ns();
    struct loop_source *s;

    while ((s = timer_due(l, now)))
        s->fn(s, 0, s->arg);
}

/* Milliseconds until the next timer, rounded up; -1: none. */
static int next_timeout(struct loop *l)
{
    int64_t wait = -1;

    pthread_mutex_lock(&l->lock);
    if (l->heap.n > 0)
        wait = l->heap.v[0]->at - mono_ns();
    bool any = l->heap.n > 0;
    pthread_mutex_unlock(&l->lock);
    if (!any)
        return -1;
    if (wait <= 0)
        return 0;
    wait = (wait + NS_PER_MS - 1) / NS_PER_MS;
    return wait > 3600000 ? 3600000 : (int)wait;
}

static void dispatch_signal(struct loop_source *s)
{
    struct signalfd_siginfo info;

    while (!s->dead && read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        s->fn(s, info.ssi_signo, s->arg);
}

static bool is_dead(struct loop *l, const struct loop_source *s)
{
    pthread_mutex_lock(&l->lock); /* see loop_source_arm() */
    bool dead = s->dead;
    pthread_mutex_unlock(&l->lock);
    return dead;
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
    struct loop_source *s = ev->data.ptr;

    if (!s) {
        uint64_t count;
        ssize_t n = read(l->wakefd, &count, sizeof(count));
        (void)n;
        run_posts(l);
    } else if (is_dead(l, s)) {
        return;
    } else if (s->kind == SRC_SIGNAL) {
        dispatch_signal(s);
    } else {
        s->fn(s, ev->events, s->arg); /* may free @s: not touched afterwards */
    }
}

int loop_run(struct loop *l, struct err *err)
{
    struct epoll_event ev[ROUND];
    int r = 0;

    l->thread = pthread_self();
    __atomic_store_n(&l->running, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
        int n = epoll_wait(l->epfd, ev, ROUND, next_timeout(l));
        if (n < 0 && errno != EINTR) {
            r = err_sys(err, "wait for events");
            break;
        }
        for (int i = 0; i < n; i++)
            dispatch(l, &ev[i]);
        run_timers(l);
        free_dead(l);
    }
    __atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
    __atomic_store_n(&l->running, false, __ATOMIC_RELEASE);
    return r;
}
