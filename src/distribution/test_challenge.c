#include "base/test.h"

#include <errno.h>

#include "base/buf.h"
#include "distribution/challenge.h"

static int parse(struct arena *a, const char *text, struct challenges *c)
{
    *c = (struct challenges){0};
    return challenge_parse(text, a, c, NULL);
}

static const char *param(const struct challenges *c, size_t i, const char *key)
{
    CHECK(i < c->n);
    return strmap_get(&c->v[i].params, key);
}

TEST(bearer)
{
    auto_arena struct arena a = ARENA_INIT;
    struct challenges c;

    CHECK_INT(parse(&a,
                    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
                    "scope=\"repository:library/busybox:pull,push\"",
                    &c),
              0);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.v[0].scheme, "bearer");
    CHECK_STR(param(&c, 0, "realm"), "https://auth.docker.io/token");
    CHECK_STR(param(&c, 0, "service"), "registry.docker.io");
    CHECK_STR(param(&c, 0, "scope"), "repository:library/busybox:pull,push");
}

TEST(several)
{
    auto_arena struct arena a = ARENA_INIT;
    struct challenges c;

    CHECK_INT(parse(&a, "Negotiate, basic REALM=plain , Bearer realm=\"a \\\"b\\\"\", x=y", &c), 0);
    CHECK_INT(c.n, 3);
    CHECK_STR(c.v[0].scheme, "negotiate");
    CHECK_INT(c.v[0].params.n, 0);
    CHECK_STR(param(&c, 1, "realm"), "plain");
    CHECK_STR(param(&c, 2, "realm"), "a \"b\"");
    CHECK_STR(param(&c, 2, "x"), "y");
    CHECK(challenge_find(&c, "bearer") == &c.v[2]);
    CHECK(!challenge_find(&c, "digest"));
}

TEST(token68)
{
    auto_arena struct arena a = ARENA_INIT;
    struct challenges c;

    CHECK_INT(parse(&a, "Negotiate YII=, Basic realm=\"x\"", &c), 0);
    CHECK_INT(c.n, 2);
    CHECK_STR(c.v[1].scheme, "basic");
}

TEST(first_of_two_wins)
{
    auto_arena struct arena a = ARENA_INIT;
    struct challenges c;

    CHECK_INT(parse(&a, "Bearer realm=\"one\",realm=\"two\"", &c), 0);
    CHECK_STR(param(&c, 0, "realm"), "one");
}

TEST(malformed)
{
    static const char *const bad[] = {"Bearer realm=\"open", "=x", "Bearer a=\"b\" c", "(x)",
                                      "Bearer realm=\"a\"\"b\""};
    auto_arena struct arena a = ARENA_INIT;
    struct challenges c;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(&a, bad[i], &c) != -EINVAL)
            TEST_FAIL("taken: %s", bad[i]);
}

TEST(limits)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf b = BUF_INIT;
    struct challenges c;

    for (int i = 0; i <= CHALLENGES_MAX; i++)
        buf_puts(&b, "a,");
    CHECK_INT(parse(&a, b.data, &c), -EINVAL);
    CHECK_INT(c.n, CHALLENGES_MAX);
    buf_clear(&b);
    buf_puts(&b, "Bearer a=b");
    for (int i = 0; i < CHALLENGE_PARAMS_MAX; i++)
        buf_printf(&b, ",k%d=v", i);
    CHECK_INT(parse(&a, b.data, &c), -EINVAL);
    buf_clear(&b);
    while (b.len <= CHALLENGE_TEXT_MAX)
        buf_putc(&b, 'a');
    CHECK_INT(parse(&a, b.data, &c), -EINVAL);
}
