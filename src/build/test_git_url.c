#include "build/git_url.h"

#include <errno.h>

#include "base/test.h"

TEST(what_is_a_repository)
{
    static const char *const yes[] = {
        "https://h/x.git", "http://h/x.git#main", "https://h/x.git?ref=v1",
        "git://h/x",       "ssh://git@h:22/x",    "git@h:a/b.git",
        "me@h:x"};
    static const char *const no[] = {
        "https://h/x.tar", "https://h/x?y.git", "x.git",         "./a@b:c", "a/b@c:d",
        "git@h",           "ext::sh -c x",      "file:///x.git", "@h:x",    ""};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        CHECK(git_url_is(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        CHECK(!git_url_is(no[i]));
}

TEST(fragment)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    struct git_url u;

    CHECK_INT(git_url_parse("https://u:p@h/x.git#v1:a/../b", &a, &u, &e), 0);
    CHECK_STR(u.remote, "https://u:p@h/x.git");
    CHECK_STR(u.shown, "https://h/x.git");
    CHECK_STR(u.ref, "v1");
    CHECK_STR(u.subdir, "b");
    CHECK(u.submodules && !u.keep_git_dir);
    CHECK_INT(git_url_parse("git@h:x.git#:../../etc", &a, &u, &e), 0);
    CHECK(u.ref == NULL);
    CHECK_STR(u.subdir, "etc");
}

TEST(query)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    struct git_url u;

    CHECK_INT(git_url_parse("https://h/x.git?branch=b&subdir=s%2Ft&checksum=abc&keep-git-dir"
                            "&submodules=false&mtime=commit&fetch-by-commit=1",
                            &a, &u, &e),
              0);
    CHECK_STR(u.remote, "https://h/x.git");
    CHECK_STR(u.ref, "refs/heads/b");
    CHECK_STR(u.subdir, "s/t");
    CHECK_STR(u.commit, "abc");
    CHECK(u.keep_git_dir && !u.submodules && u.mtime_commit);
    CHECK_INT(git_url_parse("https://h/x.git?tag=t", &a, &u, &e), 0);
    CHECK_STR(u.ref, "refs/tags/t");
}

TEST(refused)
{
    static const char *const bad[] = {
        "https://h/x.git?nope=1",
        "https://h/x.git?ref=a#b",
        "https://h/x.git?subdir=a#:b",
        "https://h/x.git?mtime=x",
        "https://h/x.git?submodules=maybe",
        "https://h/x.git?commit=xyz",
        "https://h/x.git?ref=%00",
        "https://h/x.git#--upload-pack=x",
        "https://h/x.git#a..b",
        "https://h/x.git#+a",
        "https://h/x.git?ref=a:b",
        "https://h/x.git?ref=a%20b",
        "https://-h/x.git",
        "https://u@-h/x.git",
        "ssh://-oProxyCommand=x/y",
        "ssh://u@-oProxyCommand=x/y",
        "ssh://-u@h/y",
        "git@-oProxyCommand=x:y",
        "-u@h:y",
        "git@h:--upload-pack=x",
        "https://h/x y.git",
        "https://h/x\n.git",
        "https:///x.git",
    };
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    struct git_url u;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (git_url_parse(bad[i], &a, &u, &e) != -EINVAL)
            TEST_FAIL("%s was taken", bad[i]);
}
