#include "base/test.h"

#include <errno.h>

#include "archive/ignore.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/glob.h"
#include "base/mem.h"

static const struct {
    const char *pattern, *path;
    int want;
} globs[] = {
    {"a", "a", 1},
    {"a", "b", 0},
    {"a", "a/b", 0},
    {"", "", 1},
    {"*", "abc", 1},
    {"*", "", 1},
    {"*", "a/b", 0},
    {"*/*", "a/b", 1},
    {"*.go", "x.go", 1},
    {"*.go", "x.gox", 0},
    {"a*c", "abbc", 1},
    {"a*c", "ac", 1},
    {"?", "a", 1},
    {"?", "ö", 1},
    {"?", "\xff", 1},
    {"?", "", 0},
    {"?", "/", 0},
    {"a?c", "abc", 1},
    {"[a-c]x", "bx", 1},
    {"[a-c]x", "dx", 0},
    {"[^a-c]x", "dx", 1},
    {"[^a-c]x", "ax", 0},
    {"[^a]", "/", 0},
    {"[\\]]", "]", 1},
    {"[a\\-z]", "-", 1},
    {"[ä-ö]", "ö", 1},
    {"[-a]", "a", -EINVAL},
    {"[]", "a", -EINVAL},
    {"[]a]", "a", -EINVAL},
    {"[a", "a", -EINVAL},
    {"[a-]", "a", -EINVAL},
    {"[", "a", -EINVAL},
    {"\\*", "*", 1},
    {"\\*", "a", 0},
    {"\\", "a", -EINVAL},
    {"a\\bc", "abc", 1},
    {"**", "a/b/c", 1},
    {"**", "a", 1},
    {"**/c", "a/b/c", 1},
    {"**/c", "c", 1},
    {"**/c", "xc", 0},
    {"a/**", "a/b/c", 1},
    {"a/**", "a", 0},
    {"a/**/c", "a/c", 1},
    {"a/**/c", "a/x/y/c", 1},
    {"a/**/c", "ac", 0},
    {"a**c", "a/c", 1},
    {"a**c", "ax/c", 1},
    {"**c", "a/bc", 1},
    {"**/*.go", "x.go", 1},
    {"**/*.go", "a/b/x.go", 1},
    {"**/**/**/c", "c", 1},
    {"**/**/**/c", "a/c", 1},
    {"***", "a/b", 1},
    {".*", ".git", 1},
    {"*", ".git", 1},
};

TEST(glob)
{
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
        printf("# %s %s\n", globs[i].pattern, globs[i].path);
        CHECK_INT(glob_match(globs[i].pattern, globs[i].path), globs[i].want);
    }
}

/* Steps for a pattern on a path of @n characters. */
static size_t steps(const char *pattern, const char *unit, size_t n)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf path = BUF_INIT;
    struct glob g = {0};
    struct err e = {0};
    size_t budget = SIZE_MAX;

    while (path.len < n)
        buf_puts(&path, unit);
    CHECK_OK(glob_path(pattern, &a, &g, &e));
    struct runes s = runes_decode(buf_str(&path), &a);
    CHECK_INT(glob_match_runes(&g, s.v, s.n, GLOB_PARENT, &budget), GLOB_NONE);
    return SIZE_MAX - budget;
}

TEST(work_is_the_product_of_the_lengths_at_most)
{
    static const char *const bad[] = {
        "**/**/**/**/x*x*x*x", "**/a*a*a*a*a*a*a*a*b", "*/*/*/**/*/*/**/b",
        "**/?**/?**/?**/b",    "[a]*[a]*[a]*[a]*[b]",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t n = 1000; n <= 100000; n *= 10) {
            CHECK(steps(bad[i], "a", n) <= (n + 1) * (strlen(bad[i]) + 1));
            CHECK(steps(bad[i], "aa/", n) <= (n + 4) * (strlen(bad[i]) + 1));
        }
    }
    CHECK(steps("nowhere/to/go", "a", 100000) < 5); /* ends where nothing can follow */
}

TEST(a_budget_ends_the_match)
{
    auto_arena struct arena a = ARENA_INIT;
    struct runes s = runes_decode("aaaaaaaaaa", &a);
    struct glob g = {0};
    struct err e = {0};
    size_t budget = 5;

    CHECK_OK(glob_path("*", &a, &g, &e));
    CHECK_INT(glob_match_runes(&g, s.v, s.n, GLOB_WHOLE, &budget), GLOB_NONE);
    CHECK_INT(budget, 0);
}

/* ---- files ---- */

static const struct {
    const char *file, *path;
    bool out;
} cases[] = {
    {"", "a", false},
    {"a", "a", true},
    {"a", "b", false},
    {"a", "a/b/c", true},
    {"a/b", "a", false},
    {"/a", "a", true},
    {"./a/", "a", true},
    {"a//b/../c", "a/c", true},
    {"  a  ", "a", true},
    {"a\r\nb\r\n", "b", true},
    {"\xef\xbb\xbf"
     "a",
     "a", true},
    {"# a\na", "a", true},
    {"#a", "#a", false},
    {" #a", "#a", true},
    {"../a", "a", false},
    {"..", "a", false},
    {".", "a", false},
    {"/", "a", false},
    {"\n\n\na", "a", true},
    {"*", "a/b", true},
    {"*", ".git", true},
    {"*.md", "README.md", true},
    {"*.md", "docs/README.md", false},
    {"**/*.md", "docs/README.md", true},
    {"**/*.md", "docs/README.md/x", true},
    {"*/temp*", "a/temporary", true},
    {"*/temp*", "a/b/temporary", false},
    {"temp?", "tempa", true},
    {"a\n!a/b", "a/b", false},
    {"a\n!a/b", "a/b/c", false},
    {"a\n!a/b", "a/c", true},
    {"a\n!a/b\na/b/c", "a/b/c", true},
    {"!a\na", "a", true},
    {"*\n!a", "a", false},
    {"*\n!a", "b", true},
    {"*\n! a", "a", false},
    {"*\n!/a/", "a/x", false},
    {"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
    {"*.md\n!README*.md\nREADME-secret.md", "README-x.md", false},
    {"**\n!**/*.go", "a/b.go", false},
    {"**\n!**/*.go", "a/b.c", true},
    {"\\!a", "!a", true},
    {"a/**", "a", false},
    {"a/**", "a/b", true},
};

static struct ignore *parse(struct arena *a, const char *text)
{
    struct ignore *ig = NULL;
    struct err e = {0};

    CHECK_OK(ignore_parse(text, strlen(text), a, &ig, &e));
    return ig;
}

TEST(dockerignore)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        printf("# %zu %s\n", i, cases[i].path);
        CHECK_INT(ignore_match(parse(&a, cases[i].file), cases[i].path), cases[i].out);
    }
    CHECK(!ignore_match(NULL, "a"));
}

static const struct {
    const char *file, *path;
    bool below;
} belows[] = {
    {"a", "a", false},        {"a\n!a/b", "a", true},          {"a\n!a/b/c", "a/b", true},
    {"a\n!a/b", "b", false},  {"a\n!ab", "a", false},          {"*\n!**/x", "any/where", true},
    {"*\n!*/x", "any", true}, {"*\n!*/x", "any/where", false}, {"*\n!a", "a/b", true},
    {"*\n!a*/b", "ab", true}, {"*\n!a*/b", "b", false},
};

TEST(what_may_be_wanted_below)
{
    for (size_t i = 0; i < sizeof(belows) / sizeof(belows[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        printf("# %zu %s\n", i, belows[i].path);
        CHECK_INT(ignore_below(parse(&a, belows[i].file), belows[i].path), belows[i].below);
    }
    CHECK(!ignore_below(NULL, "a"));
}

static int fail(const char *text, size_t len, const char *msg)
{
    auto_arena struct arena a = ARENA_INIT;
    struct ignore *ig = NULL;
    struct err e = {0};
    int r = ignore_parse(text, len, &a, &ig, &e);

    if (r < 0) {
        CHECK_INT(e.kind, ERR_INVALID);
        CHECK(!msg || strcmp(e.msg, msg) == 0);
    }
    return r;
}

static int fail_filled(const char *unit, size_t n)
{
    auto_free char *text = xmalloc(n);

    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % strlen(unit)];
    return fail(text, n, NULL);
}

TEST(errors_and_limits)
{
    CHECK_INT(fail("a\n!\n", 4, "illegal exclusion pattern: \"!\""), -EINVAL);
    CHECK_INT(fail("! ", 2, "illegal exclusion pattern: \"!\""), -EINVAL);
    CHECK_INT(fail("[a", 2, "syntax error in pattern: [a"), -EINVAL);
    CHECK_INT(fail("a\\", 2, "syntax error in pattern: a\\"), -EINVAL);
    CHECK_INT(fail_filled("a", IGNORE_PATTERN_MAX), 0);
    CHECK_INT(fail_filled("a", IGNORE_PATTERN_MAX + 1), -E2BIG);
    CHECK_INT(fail_filled("a\n", 2 * IGNORE_PATTERNS_MAX), 0);
    CHECK_INT(fail_filled("a\n", 2 * IGNORE_PATTERNS_MAX + 2), -E2BIG);
    CHECK_INT(fail_filled("\n", IGNORE_MAX + 1), -E2BIG);
}

TEST(patterns_of_a_list)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv v = {0};
    struct ignore *ig = NULL;
    struct err e = {0};

    strv_push(&a, &v, "#a");
    strv_push(&a, &v, "*.go");
    strv_push(&a, &v, "!x.go");
    CHECK_OK(ignore_new(&v, &a, &ig, &e));
    CHECK(ignore_match(ig, "#a"));
    CHECK(ignore_match(ig, "y.go"));
    CHECK(!ignore_match(ig, "x.go"));
}
