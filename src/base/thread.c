#include "base/thread.h"

#include <signal.h>

int thread_start(void *(*fn)(void *arg), void *arg, size_t stack_b, pthread_t *ret,
                 const char *what, struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, stack_b);
    if (!ret)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int no = pthread_create(ret ? ret : &thread, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return no ? err_no(err, no, "%s", what) : 0;
}
