#include "base/test.h"

#include <pthread.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "base/pool.h"
#include "base/time.h"

struct trace {
    struct loop *loop;
    int hits, limit;
    int last;
};

static void stop_after(struct loop_source *s, uint32_t events, void *arg)
{
    struct trace *t = arg;

    (void)s;
    t->last = (int)events;
    if (++t->hits >= t->limit)
        loop_stop(t->loop);
}

TEST(loop_fd_fires_until_freed)
{
    struct err e = {0};
    struct trace t = {.limit = 3};
    struct loop_source *s = NULL;
    int sv[2];

    CHECK_OK(loop_new(&t.loop, &e));
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    CHECK_INT(write(sv[1], "x", 1), 1);
    CHECK_OK(loop_add_fd(t.loop, sv[0], EPOLLIN, stop_after, &t, &s, &e));
    CHECK_OK(loop_run(t.loop, &e)); /* level-triggered: three rounds */
    CHECK_INT(t.hits, 3);
    CHECK_INT(t.last, EPOLLIN);
    loop_source_free(s);
    loop_free(t.loop);
}

TEST(loop_oneshot_needs_arming)
{
    struct err e = {0};
    struct trace t = {.limit = 1};
    struct loop_source *s = NULL;
    int sv[2];

    CHECK_OK(loop_new(&t.loop, &e));
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    CHECK_INT(write(sv[1], "x", 1), 1);
    CHECK_OK(loop_add_fd(t.loop, sv[0], EPOLLIN | EPOLLONESHOT, stop_after, &t, &s, &e));
    CHECK_OK(loop_run(t.loop, &e));
    struct trace end = {.loop = t.loop, .limit = 1};
    CHECK_OK(loop_add_timer(t.loop, 20 * NS_PER_MS, 0, stop_after, &end, NULL, &e));
    CHECK_OK(loop_run(t.loop, &e));
    CHECK_INT(t.hits, 1);
    CHECK_OK(loop_source_arm(s, EPOLLIN | EPOLLONESHOT, &e));
    CHECK_OK(loop_run(t.loop, &e));
    CHECK_INT(t.hits, 2);
    loop_free(t.loop);
}

TEST(loop_timers_fire_in_order)
{
    struct err e = {0};
    struct trace t = {.limit = 5}, never = {.limit = 1}, slow = {.limit = 1};
    struct loop_source *s = NULL, *gone = NULL;

    CHECK_OK(loop_new(&t.loop, &e));
    never.loop = slow.loop = t.loop;
    CHECK_OK(loop_add_timer(t.loop, 3600 * NS_PER_S, 0, stop_after, &never, NULL, &e));
    CHECK_OK(loop_add_timer(t.loop, NS_PER_MS, 0, stop_after, &never, &gone, &e));
    loop_timer_set(gone, -1, 0);
    CHECK_OK(loop_add_timer(t.loop, NS_PER_MS, NS_PER_MS, stop_after, &t, &s, &e));
    CHECK_OK(loop_run(t.loop, &e));
    CHECK_INT(t.hits, 5);
    CHECK_INT(never.hits, 0);
    loop_source_free(s);
    loop_free(t.loop);
}

static void posted(void *arg)
{
    struct trace *t = arg;

    if (++t->hits == t->limit)
        loop_stop(t->loop);
}

static void *poster(void *arg)
{
    struct trace *t = arg;

    for (int i = 0; i < 1000; i++)
        loop_post(t->loop, posted, t);
    return NULL;
}

TEST(loop_post_from_threads)
{
    struct err e = {0};
    struct trace t = {.limit = 4000};
    pthread_t th[4];

    CHECK_OK(loop_new(&t.loop, &e));
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&th[i], NULL, poster, &t), 0);
    CHECK_OK(loop_run(t.loop, &e));
    for (int i = 0; i < 4; i++)
        pthread_join(th[i], NULL);
    CHECK_INT(t.hits, 4000);
    loop_free(t.loop);
}

TEST(loop_signals_are_events)
{
    struct err e = {0};
    struct trace t = {.limit = 1};

    CHECK_OK(loop_new(&t.loop, &e));
    CHECK_OK(loop_add_signals(t.loop, (int[]){SIGHUP, SIGTERM}, 2, stop_after, &t, NULL, &e));
    CHECK_INT(kill(getpid(), SIGHUP), 0);
    CHECK_OK(loop_run(t.loop, &e));
    CHECK_INT(t.last, SIGHUP);
    loop_free(t.loop);
}

static void free_other(struct loop_source *s, uint32_t events, void *arg)
{
    struct loop_source **pair = arg;
    struct loop_source *other = pair[0] == s ? pair[1] : pair[0];

    (void)events;
    loop_source_free(other);
    loop_source_free(s);
    pair[0] = pair[1] = NULL;
}

TEST(loop_freeing_a_source_of_the_same_round)
{
    struct err e = {0};
    struct loop *l = NULL;
    struct loop_source *pair[2];
    struct trace t = {.limit = 1};
    int sv[2][2];

    CHECK_OK(loop_new(&l, &e));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv[i]), 0);
        CHECK_INT(write(sv[i][1], "x", 1), 1);
        CHECK_OK(loop_add_fd(l, sv[i][0], EPOLLIN, free_other, pair, &pair[i], &e));
    }
    t.loop = l;
    CHECK_OK(loop_add_timer(l, 5 * NS_PER_MS, 0, stop_after, &t, NULL, &e));
    CHECK_OK(loop_run(l, &e));
    CHECK(!pair[0]);
    loop_free(l);
}

struct count {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int running, peak, total, wait_for;
};

static void meet(void *arg)
{
    struct count *c = arg;

    pthread_mutex_lock(&c->lock);
    c->total++;
    if (++c->running > c->peak)
        c->peak = c->running;
    if (c->peak >= c->wait_for)
        pthread_cond_broadcast(&c->cond);
    while (c->peak < c->wait_for)
        pthread_cond_wait(&c->cond, &c->lock);
    c->running--;
    pthread_mutex_unlock(&c->lock);
}

TEST(pool_grows_to_its_cap_and_queues)
{
    struct err e = {0};
    struct pool *p = NULL;
    struct count c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .wait_for = 4};

    CHECK_OK(pool_new("test", 4, &p, &e));
    for (int i = 0; i < 100; i++)
        CHECK_OK(pool_run(p, meet, &c, &e));
    CHECK(pool_threads(p) <= 4);
    pool_free(p);
    CHECK_INT(c.total, 100);
    CHECK_INT(c.peak, 4);
}

TEST(pool_of_none_is_refused)
{
    struct err e = {0};
    struct pool *p = NULL;

    CHECK_INT(pool_new("x", 0, &p, &e), -EINVAL);
}
