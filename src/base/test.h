/*
 * The unit test runner: include it in a test_*.c, write TEST(name) { ... } blocks, done. Each case
 * runs in a process of its own, so one that crashes, clones or mounts hurts nobody else. Output is
 * TAP. SKIP("why") ends a case as skipped; a test that needs root says so with NEED_ROOT().
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct test_case {
    const char *name;
    void (*fn)(void);
    struct test_case *next;
};

static struct test_case *test_first, **test_last = &test_first;

#define TEST(NAME)                                                                                 \
    static void test_##NAME(void);                                                                 \
    static struct test_case case_##NAME = {#NAME, test_##NAME, NULL};                              \
    __attribute__((__constructor__)) static void add_##NAME(void)                                  \
    {                                                                                              \
        *test_last = &case_##NAME;                                                                 \
        test_last = &case_##NAME.next;                                                             \
    }                                                                                              \
    static void test_##NAME(void)

#define TEST_FAIL(...)                                                                             \
    do {                                                                                           \
        printf("# %s:%d: ", __FILE__, __LINE__);                                                   \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        exit(1);                                                                                   \
    } while (0)
#define SKIP(why)                                                                                  \
    do {                                                                                           \
        printf("# skip: %s\n", why);                                                               \
        exit(77);                                                                                  \
    } while (0)
#define NEED_ROOT()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            SKIP("needs root");                                                                    \
    } while (0)

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            TEST_FAIL("%s", #cond);                                                                \
    } while (0)
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (g_ != w_)                                                                              \
            TEST_FAIL("%s is %lld, want %lld", #got, g_, w_);                                      \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *g_ = (got), *w_ = (want);                                                      \
        if ((!g_ || !w_) ? g_ != w_ : strcmp(g_, w_) != 0)                                         \
            TEST_FAIL("%s is \"%s\", want \"%s\"", #got, g_ ? g_ : "(null)", w_ ? w_ : "(null)");  \
    } while (0)
/* CHECK_OK(call(..., &e)): the call must not fail; prints e.msg when it does. Needs struct err e.
 */
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        long r_ = (long)(call);                                                                    \
        if (r_ < 0)                                                                                \
            TEST_FAIL("%s: %ld: %s", #call, r_, e.msg);                                            \
    } while (0)

static int test_run(const struct test_case *t)
{
    fflush(stdout);
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(120); /* a hung case is a failed case */
        t->fn();
        exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFSIGNALED(status))
        printf("# killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    int n = 0, bad = 0;

    for (struct test_case *t = test_first; t; t = t->next)
        n += argc < 2 || strcmp(argv[1], t->name) == 0;
    printf("1..%d\n", n);
    n = 0;
    for (struct test_case *t = test_first; t; t = t->next) {
        if (argc > 1 && strcmp(argv[1], t->name) != 0)
            continue;
        int code = test_run(t);
        if (code == 77) {
            printf("ok %d %s # SKIP\n", ++n, t->name);
            continue;
        }
        printf("%sok %d %s\n", code ? "not " : "", ++n, t->name);
        bad += code != 0;
    }
    return bad != 0;
}
