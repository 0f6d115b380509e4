#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/thread.h"

/*
 * Jobs queue in a list; a new thread is made when there are more jobs waiting than threads idle.
 * The thread that has been idle the shortest is not preferred: a condition variable wakes any,
 * and each gives up after IDLE_S seconds, so the number follows the load down.
 */

#define IDLE_S 5

struct job {
    void (*fn)(void *arg);
    void *arg;
    struct job *next;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct job *head, **tail;
    size_t waiting, idle, threads, max;
    bool ending;
    char name[16];
};

int pool_new(const char *name, size_t max, struct pool **ret, struct err *err)
{
    pthread_condattr_t attr;

    if (max == 0)
        return err_invalid(err, "a pool needs at least one thread");
    struct pool *p = xnew(struct pool);
    p->tail = &p->head;
    p->max = max;
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_cond_init(&p->done, NULL);
    pthread_condattr_destroy(&attr);
    *ret = p;
    return 0;
}

/* Next job, or NULL when the thread shall end. Called and returns with the lock held. */
static struct job *next_job(struct pool *p)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    p->idle++;
    while (!p->head && !p->ending)
        if (pthread_cond_timedwait(&p->work, &p->lock, &until) == ETIMEDOUT)
            break;
    p->idle--;
    struct job *j = p->head;
    if (j) {
        p->head = j->next;
        if (!p->head)
            p->tail = &p->head;
        p->waiting--;
    }
    return j;
}

static void *thread_main(void *arg)
{
    struct pool *p = arg;
    struct job *j;

    (void)pthread_setname_np(pthread_self(), p->name);
    pthread_mutex_lock(&p->lock);
    while ((j = next_job(p))) {
        pthread_mutex_unlock(&p->lock);
        j->fn(j->arg);
        free(j);
        pthread_mutex_lock(&p->lock);
    }
    p->threads--;
    if (p->threads == 0)
        pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_run(struct pool *p, void (*fn)(void *arg), void *arg, struct err *err)
{
    struct job *j = xnew(struct job);
    int r = 0;

    j->fn = fn;
    j->arg = arg;
    pthread_mutex_lock(&p->lock);
    if (p->waiting >= p->idle && p->threads < p->max) {
        r = thread_start(thread_main, p, POOL_STACK_B, NULL, "start a thread", NULL);
        p->threads += r == 0;
    }
    if (p->threads == 0) {
        pthread_mutex_unlock(&p->lock);
        free(j);
        return err_no(err, r, "start a thread");
    }
    *p->tail = j;
    p->tail = &j->next;
    p->waiting++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

size_t pool_threads(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->threads;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
